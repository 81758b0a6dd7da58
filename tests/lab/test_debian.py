# SPDX-License-Identifier: MIT
"""A whole Debian in the lab, from the disk that examples/debian makes, and by its own kernel and initrd: it is in order, is
reached by its consoles and by ssh, moves data by every device, knows the time, and leaves a clean disk.

A boot takes minutes, so each looks at all of this: debian_host.py is what happens around the guest, debian_guest.py in it.
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from machines import ROOT, in_lab
from labkit import cache, fresh
from test_share import WITH_VIRTIOFSD

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
HERE = pathlib.Path(__file__).resolve().parent
E2FSCK = shutil.which("e2fsck", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
BOOT_SECONDS = 2400

# What the guest may lose of its first second's ticks under a busy lab: 25 were seen.
LOST_SECONDS = 60

pytestmark = [
    pytest.mark.long, pytest.mark.timeout(BOOT_SECONDS + 900), WITH_VIRTIOFSD,
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86"),
    pytest.mark.skipif(not shutil.which("passt"), reason="there is no passt: run scripts/setup"),
    pytest.mark.skipif(not shutil.which("ssh"), reason="there is no ssh: run scripts/setup"),
    pytest.mark.skipif(not E2FSCK, reason="there is no e2fsck: install e2fsprogs"),
]

Disk = collections.namedtuple("Disk", "release kernel version")

DISKS = {
    "generic": Disk("bookworm", "linux-image-amd64", "6.1."),
    "cloud-newer": Disk("bookworm", "linux-image-6.12-cloud-amd64", "6.12."),
    "trixie": Disk("trixie", "linux-image-cloud-amd64", "6.12."),
}


def made(name):
    """The directory with the disk of this name, made if today's make-image has made none of late."""
    disk, maker = DISKS[name], ROOT / "examples" / "debian" / "make-image"
    directory = cache.path("images", f"test-{name}-{cache.digest(maker.read_bytes(), *disk)}")
    with cache.lock(f"image-{name}"):
        if cache.is_recent(f"{directory}/disk.img"):
            return directory
        if fresh.why_not(disk.release):
            pytest.skip(fresh.why_not(disk.release))
        for old in pathlib.Path(directory).parent.glob(f"test-{name}-*"):
            shutil.rmtree(old)
        subprocess.run([maker, "--kernel", disk.kernel, "--include", "python3", disk.release, directory], check=True,
                       stdin=subprocess.DEVNULL, timeout=1800)
    return directory


def boot(name, transport, ending, scratch):
    """The facts that were told, as lists, and all that was said."""
    image = made(name)
    subprocess.run(["cp", "--sparse=always", f"{image}/disk.img", scratch], check=True)
    cmdline = pathlib.Path(image, "cmdline").read_text(encoding="ascii").strip()
    done = in_lab("python3", HERE / "debian_host.py", f"{image}/id_ed25519", ending, PRONTO, "run", "-m", "512M", "--transport",
                  transport, "--grace", "900", "--disk", f"{scratch}/disk.img", "-i", f"{image}/initrd.img",
                  f"{image}/vmlinuz", "--", cmdline, seconds=BOOT_SECONDS, lab=("--out", str(scratch)))
    said = done.stdout.decode(errors="replace").replace("\r", "") + done.stderr.decode(errors="replace")
    facts = collections.defaultdict(list)
    for key, value in re.findall(r"^@@ (\S+) ?(.*)$", said, re.M):
        facts[key].append(value)
    return facts, said


@pytest.mark.parametrize("name, transport, ending", [
    ("generic", "mmio", "poweroff"), ("cloud-newer", "mmio", "button"), ("cloud-newer", "pci", "poweroff"),
    ("trixie", "mmio", "button")])
def test_whole(tmp_path, name, transport, ending):
    facts, said = boot(name, transport, ending, tmp_path)
    assert facts["status"] == ["0"], said

    # In order, by this kernel, and by this transport.
    assert facts["running"] == facts["state"] == ["running"] and facts["failed"] == [""], said
    assert facts["kernel"][0].startswith(DISKS[name].version), said
    assert facts["mount"] == ["/dev/vda ext4"]
    behind = r"0000:00:\S+" if transport == "pci" else r"LNRO0005:\S+"
    assert all(re.fullmatch(r"\S+ " + behind, line) for line in facts["virtio"]), said
    assert {line.split()[0] for line in facts["virtio"]} >= {"virtio_blk", "virtio_net", "virtio_console", "virtiofs"}, said
    assert facts["complaint"] == [] and facts["end_of_log"], said

    # Somebody is at each console, and comes by each network.
    assert (facts["hvc"], facts["serial"]) == (["/dev/hvc0"], ["/dev/ttyS0"]), said
    assert re.fullmatch(r"1\d\.\d+ 0", facts["ssh_passt"][0]) and facts["ssh_tap"] == ["0"], said

    # What arrives is what was sent.
    assert facts["fetched"] == [f"passt {facts['served'][0]}", f"tap {facts['served'][0]}"], said
    assert facts["got"] == [f"passt {facts['serving'][0]}", f"tap {facts['serving'][0]}"], said
    assert (facts["share"], facts["share_back"]) == (["host"], ["guest"]), said
    assert (facts["vsock"], facts["stream"]) == (["True"], ["True True"]), said

    # The time of day: near the start, as ticks of a boot get lost here; then as the host has it, also when the VM has stood still.
    assert facts["source"] == ["kvm-clock"], said
    assert float(facts["start"][0]) - LOST_SECONDS <= int(facts["user_space"][0]) <= float(facts["time"][0]), said
    assert (facts["follows"], facts["reference"]) == (["0"], ["PHC0"]), said
    for before, now, after in zip(facts["time"][::2], facts["now"], facts["time"][1::2]):
        assert float(before) - 0.01 <= float(now) <= float(after) + 0.01, said
    assert len(facts["now"]) == 2

    # What is left is in order, and nothing was said that nobody wants to read.
    assert "pronto: " not in said, said
    checked = subprocess.run([E2FSCK, "-fn", tmp_path / "disk.img"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + said
