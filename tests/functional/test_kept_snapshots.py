# SPDX-License-Identifier: MIT
"""Snapshots that earlier versions made, by tests/snapshots/make: this one understands them."""

import json
import os
import shutil
import subprocess

import pytest

import vm

HERE = vm.ROOT / "tests" / "snapshots"
KEPT = sorted(HERE.glob("*.tar.xz"))
GO_ON = """
. "$1" && cd /run && mkdir kept && tar -C kept -xf "$2" && mv kept/disk . && cat kept/said || exit
: > more
"$3" restore kept > more &
case $2 in
*-busy-*)
    until [ "$(wc -c < more)" -ge 20 ] || ! kill -0 $!; do sleep 0.1; done
    kill -TERM $!
esac
wait $!
status=$?
cat more
exit $status
"""

each = pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.name)


def test_there_are_some():
    assert len(KEPT) >= 2


@each
def test_is_told_of(box, tmp_path, kept):
    subprocess.run(["tar", "-C", tmp_path, "-xf", kept], check=True)
    done = vm.Vm(box, [vm.PRONTO, "inspect", "--json", tmp_path]).wait()
    assert (done.status, done.err) == (0, "")
    told = json.loads(done.out)
    assert (told["usable"], told["machine"]["memory"]) == (True, 64 << 20)
    assert {s["name"] for s in told["sections"]} >= {"machine", "config", "vcpu", "virtio", "virtq", "disk", "net", "balloon"}


@pytest.mark.lab
@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")
@pytest.mark.skipif("PRONTO_LAB" in os.environ, reason="a lab in the lab would be too slow")
@each
def test_goes_on(kept):
    """What it said then, and what it says now, are all that it had to say; who is busy is until somebody presses the button.

    Instructions are the lab's clock, as a snapshot is of a machine whose counter has a certain rate: so no limit within, by that
    clock, would do.
    """
    done = subprocess.run([vm.ROOT / "lab" / "lab", "-q", "--icount", "--timeout=150", "sh", "-c", GO_ON, "sh", HERE / "place.sh", kept,
                           vm.PRONTO], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == vm.POWEROFF, done
    said = done.stdout
    if "-busy-" in kept.name:
        assert len(said) >= 40 and set(said) == {"."}, done
    else:
        vm.tap(said)
