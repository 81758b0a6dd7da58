# SPDX-License-Identifier: MIT
"""Memory that a guest does without, in the lab: how much of it the host has back."""

import json
import re
import shutil

import pytest

from machines import ROOT, in_lab, kernel_with_devices
from test_linux import BASE, PRONTO, kernel, output

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

# The resident memory of the VMM when the guest says that it has taken 100 MiB, and some time after it has left them.  What the VMM
# says each second is kept apart, or it would stand in the middle of a line of the guest's.
WATCH = r"""
"$@" > /run/out 2> /run/err &
rss() {
    until grep -q "@@ ready $1" /run/out; do kill -0 $! || break; sleep 0.5; done
    sleep "$2"
    echo "@@ rss $1 $(awk '/^VmRSS/ { print $2 }' /proc/$!/status)"
}
rss taken 0
rss left 4
wait $!
echo "@@ status $?"
cat /run/out /run/err
"""


def hinted(do, mib, changes):
    """What is said of a guest that does this, and asked and answered meanwhile."""
    kernel_, initrd = kernel_with_devices("cloud-newer")
    plan = {"kernel": kernel_, "initrd": initrd, "args": f"{BASE} pronto.do={do}", "mib": mib, "changes": changes}
    done = in_lab("/usr/bin/python3", ROOT / "tests" / "lab" / "drive_hints.py", PRONTO, json.dumps(plan), seconds=400)
    out = done.stdout.decode(errors="replace").replace("\r", "")
    assert "@@ status 0\n" in out and "@@ kernel_problem" not in out, out[-4000:] + done.stderr.decode(errors="replace")[-2000:]
    return out


@pytest.mark.long
def test_what_is_free_when_the_host_asks():
    out = hinted("devices,memory,wait-button,memory", 256, "once")
    rss = {when: int(kib) for when, kib in re.findall(r"@@ rss (\w+) (\d+)", out)}
    assert "@@ virtio virtio0 0x0005 virtio_balloon 0x0000000f\n" in out
    # Of the 100 MiB what lies in whole blocks of 4 MiB.
    assert rss["left"] - rss["asked"] > 50 * 1024, rss
    # It has no more, and may use it all again.
    status, = re.findall(r"@@ hints (.*)", out)
    assert json.loads(status) == {"host_cmd": 1, "guest_cmd": 0}
    free = [int(kib) for kib in re.findall(r"@@ free (\d+)", out)]
    assert len(free) == 4 and abs(free[2] - free[0]) < 32 * 1024, free


@pytest.mark.long
def test_what_is_in_use_stays():
    """The host asks all the time, in both ways, while the guest is short of memory."""
    out = hinted("devices,hold", 128, "always")
    assert "@@ held 3\n" in out and "@@ differs" not in out, out
    assert int(re.search(r"@@ asked (\d+)", out)[1]) >= 10


def test_what_a_guest_has_left_goes_back_to_the_host():
    guest = kernel("cloud-newer")
    initramfs = output(str(ROOT / "lab" / "guest" / "mkinitramfs"), "--devices", "cloud-newer")
    done = in_lab("sh", "-c", WATCH, "sh", PRONTO, "run", "-v", "--balloon", "size=32M,stats=1", "-i", initramfs,
                  guest.vmlinux, "--", f"{BASE} pronto.do=devices,memory", seconds=400)
    out = done.stdout.decode(errors="replace").replace("\r", "")
    rss = {when: int(kib) for when, kib in re.findall(r"@@ rss (\w+) (\d+)", out)}
    assert "@@ status 0\n" in out, out + done.stderr.decode(errors="replace")
    assert "@@ virtio virtio0 0x0005 virtio_balloon 0x0000000f\n" in out, out
    assert rss["taken"] - rss["left"] > 80 * 1024, rss
    # The balloon has the 32 MiB that were asked for, and the guest is told so.
    total = int(re.search(r"total-memory=(\d+)", out)[1])
    assert total < 256 * 2**20 - 32 * 2**20
    free = [int(bytes_) for bytes_ in re.findall(r"free-memory=(\d+)", out)]
    assert max(free) - min(free) > 80 * 2**20, free
