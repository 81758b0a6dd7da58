# SPDX-License-Identifier: MIT
"""virtio devices on PCI, in the lab: Debian's kernels and firmware find them, use them, and find no fault."""

import hashlib
import re
import subprocess

import pytest

import efi
from machines import ROOT, in_lab, packages
from test_linux import BASE, PRONTO, Lazy, boot, explain, kernel, output
from test_linux import pytestmark  # noqa: F401  pylint: disable=unused-import

POWEROFF = 0


class Guest:  # pylint: disable=too-few-public-methods
    """A Debian kernel, and an initramfs with its drivers."""

    def __init__(self, name):
        self.vmlinuz = kernel(name).vmlinuz
        self.initramfs = output(str(ROOT / "lab" / "guest" / "mkinitramfs"), "--devices", name)


@pytest.fixture(scope="session")
def guests():
    return Lazy(Guest)


def devices(done):
    """name -> driver, of those that are at work."""
    assert done.status == POWEROFF, explain(done)
    assert done.facts["kernel_problem"] == []
    found = [line.split() for line in done.facts["virtio"]]
    assert all(line[3] == "0x0000000f" for line in found), found
    return {name: driver for name, _, driver, _ in found}


# Of 6.1: it looks for its ECAM in ACPI, too early, if there are no ports that it can check it by; then it has none
# for a moment, and says so.
EARLY_6_1 = {"PCI: not using MMCONFIG", "PCI: Fatal: No config space access function found"}


@pytest.mark.parametrize("name", [pytest.param("cloud", marks=pytest.mark.long), "cloud-newer"])
def test_linux_on_pci(guests, name):
    guest = guests[name]
    done = boot(guest.vmlinuz, "--transport", "pci", "--rng", "on", initrd=guest.initramfs, do="devices,rng,dmesg")
    assert devices(done) == {"virtio0": "virtio_rng"}
    assert done.facts["rng"] == ["virtio_rng.0"]
    assert len(set(done.facts["random"])) == 2
    vectors = [line.split() for line in done.facts["interrupt"] if "MSI" in line]
    assert [line[-1] for line in vectors] == ["virtio0-config", "virtio0-input"]
    assert int(vectors[1][1]) >= 2
    said = [re.sub(r"^\[ *[\d.]+\] ", "", line) for line in done.facts["dmesg"]]
    bad = [line for line in said if re.search(r"PCI|pci|ECAM|MMCONFIG|_OSC", line) and
           re.search(r"fail|not |error|\bbug:|can't|no config|conflict|clipped|invalid|disabl", line, re.I)]
    assert set(bad) <= EARLY_6_1, bad
    assert not [line for line in said if "Firmware Bug" in line]
    assert [line for line in said if "[1af4:1044]" in line]
    assert "pci_bus 0000:00: root bus resource [bus 00]" in said
    assert done.err == ""


@pytest.mark.parametrize("transport", [pytest.param("mmio", marks=pytest.mark.long), "pci"])
def test_eight_disks(guests, tmp_path, transport):
    """Each is the one that was named at its place."""
    guest = guests["cloud-newer"]
    options = ["--transport", transport, "--rng", "off"]
    for i in range(8):
        disk = tmp_path / f"{i}.img"
        disk.write_bytes(bytes((i,)) * 4096)
        options += ["--disk", f"{disk},ro"]
    done = boot(guest.vmlinuz, *options, initrd=guest.initramfs, do="devices,disks")
    assert devices(done) == {f"virtio{i}": "virtio_blk" for i in range(8)}
    assert done.facts["sum"] == [f"vd{'abcdefgh'[i]} {hashlib.md5(bytes((i,)) * 4096).hexdigest()}  -" for i in range(8)]


def test_a_command_line_without_pci(guests):
    guest = guests["cloud-newer"]
    done = boot(guest.vmlinuz, "--transport", "pci", "--rng", "on", initrd=guest.initramfs, do="devices",
                base=f"{BASE} pci=off")
    assert devices(done) == {}
    assert done.err == ("pronto: warn: the command line says pci=off: Linux will find no device on PCI; leave it out, "
                        "or --transport pci\n")


@pytest.fixture(scope="session")
def cloudhv():
    if packages.why_not("cloudhv"):
        pytest.skip(packages.why_not("cloudhv"))
    subprocess.run([ROOT / "lab" / "fetch", "cloudhv"], check=True, stdout=subprocess.DEVNULL, timeout=600)
    image, = (ROOT / ".cache" / "packages" / "cloudhv").glob("**/CLOUDHV.fd")
    return image


def test_firmware_boots_a_disk(cloudhv, tmp_path):
    """EDK2, which takes RAM from the PVH memory map, finds the disk, moves its BAR, reads a program from it and runs it.

    With time counted: QEMU 7.2 stops (an assertion in tcg_handle_interrupt) where a guest of its guest writes CR8 with
    a further interrupt waiting, as EDK2 does at each one's end, and on a busy machine one always is.
    """
    image = tmp_path / "disk.img"
    image.write_bytes(efi.disk(efi.program(ROOT / "tests" / "lab" / "efi_hello.c", tmp_path)))
    done = in_lab(PRONTO, "run", "--transport", "pci", "--disk", f"{image},ro", cloudhv, lab=["--icount"], seconds=2000)
    out = done.stdout.decode(errors="replace")
    assert re.search(r"Hello from a disk, by .+\.\r\n", out), out + done.stderr.decode()
    assert (done.returncode, done.stderr) == (POWEROFF, b"")
