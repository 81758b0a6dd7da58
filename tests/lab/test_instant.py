# SPDX-License-Identifier: MIT
"""Debian's kernel boots once, and later runs begin where its user space began."""

import json
import os
import pathlib
import re
import shutil

import pytest

from machines import ROOT, in_lab, kernel_with_devices
from test_debian import LOST_SECONDS

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
ARGS = "console=ttyS0 reboot=k panic=-1 cryptomgr.notests quiet"
RUNS = """
export XDG_CACHE_HOME=/run/cache
cd /run
truncate -s 8M disk && PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q -F disk
ip link set lo up; ip tuntap add tap7 mode tap; ip link set tap7 up
for run in 1 2 3; do
	echo "@@ run $run"
	echo "@@ began $(date +%s)"
	"$@" < /dev/null || echo "@@ failed $?"
	echo "@@ ended $(date +%s)"
	echo "@@ timeline $(tr -d '\\n' < timeline.json)"
done
"""

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")


def runs(kernel, do, *options):
    """Of each of three runs what the guest said, by keys, and when its moments came, in ms."""
    vmlinux, initrd = kernel_with_devices(kernel)
    done = in_lab("sh", "-c", RUNS, "sh", PRONTO, "run", "--instant", "-v", "--timeline=timeline.json", *options, "-m", "256M",
                  "-i", initrd, vmlinux, "--", f"{ARGS} pronto.do={do}", seconds=300)
    out, err = (text.decode(errors="replace").replace("\r", "") for text in (done.stdout, done.stderr))
    assert done.returncode == 0 and "@@ failed" not in out, out[-3000:] + err[-3000:]
    found = []
    for part in out.split("@@ run ")[1:]:
        facts = dict(re.findall(r"^@@ (\S+) (.*)$", part, re.M))
        facts["moments"] = {m["name"]: m["ns"] / 1e6 for m in json.loads(facts["timeline"])["moments"]}
        facts["text"] = part
        found.append(facts)
    assert len(found) == 3 and err.count("instant: saved in") == 1, err
    return found


def check_time(first, *others):
    """From one copy to the next the guest's time of day goes on by as much as the host's; how far behind it was, when it was saved,
    is its own doing: ticks of a boot get lost in a busy lab."""
    began, time, ended = ([int(one[what]) for one in (first, *others)] for what in ("began", "time", "ended"))
    print(f"the guest's time {time}, in runs from {began} to {ended}")
    assert began[2] - ended[1] - 1 <= time[2] - time[1] <= ended[2] - began[1] + 1
    assert all(began[i] - LOST_SECONDS <= time[i] <= ended[i] for i in range(3))


# A disk and an interface, of which the kernel knows nothing yet when it is saved: its drivers are modules.
DEVICES = ["--disk", "/run/disk", "--net", "tap=tap7"]


@pytest.mark.parametrize("kernel,options", [
    ("cloud-newer", []),
    pytest.param("cloud-newer", DEVICES, marks=pytest.mark.long),
    pytest.param("cloud-newer", [*DEVICES, "--transport", "pci"], marks=pytest.mark.long),
    pytest.param("cloud", DEVICES, marks=pytest.mark.long)])
def test_boots_once(kernel, options):
    first, *others = runs(kernel, "devices,secrets,write,time" if options else "secrets,time", *options)
    ordinary = first["moments"]["user space"]
    for other in others:
        at_once = other["moments"]["first guest instruction"]
        print(f"user space after {ordinary:.0f} ms, and after {at_once:.0f} ms")
        assert at_once < ordinary / 8
        assert "Hello from user space." in other["text"]
        if kernel == "cloud-newer":  # the other has no driver for it
            assert other["copy"] == "crng reseeded due to virtual machine fork"
    check_time(first, *others)
    for secret in "random", "uuid", "stack":
        assert len({one[secret] for one in [first, *others]}) == 3, secret
    if options:
        for one in [first, *others]:
            name, *sums = one["written"].split()
            assert name == "vda" and sums[0] == sums[2]
            assert "virtio_net" in one["text"]
