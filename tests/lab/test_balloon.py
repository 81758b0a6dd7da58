# SPDX-License-Identifier: MIT
"""Memory that a guest does without, in the lab: how much of it the host has back."""

import re
import shutil

import pytest

from machines import ROOT, in_lab
from test_linux import BASE, PRONTO, kernel, output

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

# The resident memory of the VMM when the guest says that it has taken 100 MiB, and some time after it has left them.
WATCH = r"""
"$@" > /run/out 2>&1 &
rss() {
    until grep -q "@@ ready $1" /run/out; do kill -0 $! || break; sleep 0.2; done
    sleep "$2"
    echo "@@ rss $1 $(awk '/^VmRSS/ { print $2 }' /proc/$!/status)"
}
rss taken 0
rss left 4
wait $!
echo "@@ status $?"
cat /run/out
"""


def test_what_a_guest_has_left_goes_back_to_the_host():
    guest = kernel("cloud-newer")
    initramfs = output(str(ROOT / "lab" / "guest" / "mkinitramfs"), "--devices", "cloud-newer")
    done = in_lab("sh", "-c", WATCH, "sh", PRONTO, "run", "-v", "--balloon", "size=32M,stats=1", "-i", initramfs,
                  guest.vmlinux, "--", f"{BASE} pronto.do=devices,memory")
    out = done.stdout.decode(errors="replace").replace("\r", "")
    rss = {when: int(kib) for when, kib in re.findall(r"@@ rss (\w+) (\d+)", out)}
    assert "@@ status 0\n" in out, out
    assert "@@ virtio virtio0 0x0005 virtio_balloon 0x0000000f\n" in out
    assert rss["taken"] - rss["left"] > 80 * 1024, rss
    # The balloon has the 32 MiB that were asked for, and the guest is told so.
    total = int(re.search(r"total-memory=(\d+)", out)[1])
    assert total < 256 * 2**20 - 32 * 2**20
    free = [int(bytes_) for bytes_ in re.findall(r"free-memory=(\d+)", out)]
    assert max(free) - min(free) > 80 * 2**20, free
