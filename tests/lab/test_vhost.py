# SPDX-License-Identifier: MIT
"""Devices that the host's kernel serves, in the lab: hostile guests, and who may not have them."""

import os
import pathlib
import re
import shutil

import pytest

from machines import ROOT, in_lab

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
GUESTS = ROOT / "build" / "tests" / "guest"

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

TAP = """
ip tuntap add tap7 mode tap user nobody
ip link set tap7 up
"""

# Neither may be where this user has no way to.
NOBODY = """
chmod 600 /dev/vhost*
cp "$1" "$2" /run
shift 2
exec setpriv --reuid nobody --regid nogroup --clear-groups "$@"
"""


def test_every_rule_broken():
    """The kernel judges the rings; whatever comes of it, the machine lives, and a reset mends the device."""
    done = in_lab("sh", "-c", TAP + '"$@"; echo "@@ status $?"', "sh", PRONTO, "run", "-m", "32M", "--rng", "off",
                  "--net", "tap=tap7,vhost", "--vsock", "cid=3", GUESTS / "rings.elf", "--", "vhost", seconds=400)
    out, err = (text.decode(errors="replace").replace("\r", "") for text in (done.stdout, done.stderr))
    assert "# devices 2\n" in out and "@@ status 0\n" in out, out + err
    assert not re.search("^not ok", out, re.M), out
    assert re.search(r"^1\.\.\d+$", out, re.M), out
    broken = "the guest's driver broke the rules of virtio"
    assert all(broken in line for line in err.splitlines()), err
    assert f"warn: net: {broken}: its rings, or what they lead to, are malformed;" in err
    assert f"warn: vsock: {broken}: its rings, or what they lead to, are malformed;" in err


@pytest.mark.parametrize("device, option", [("vhost-net", "--net tap=tap7,vhost"), ("vhost-vsock", "--vsock cid=3")])
def test_no_right(device, option):
    done = in_lab("sh", "-c", TAP + NOBODY, "sh", PRONTO, GUESTS / "poweroff.elf", "/run/pronto", "run", *option.split(), "/run/poweroff.elf")
    says = (f"no permission to open /dev/{device}; join the group that has it (`ls -l /dev/{device}`; with most hosts: "
            "`usermod -aG kvm USER`, then log in again)")
    assert (done.returncode, done.stderr.decode()) == (2, f"pronto: error: {option.split()[0]}: {says}\n")
