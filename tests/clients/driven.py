# SPDX-License-Identifier: MIT
"""Run a client that starts a program called firecracker, with a tap in a network of its own."""

import os
import subprocess
import sys

import pytest

import vm

# Make tap5, which stays, and exec the rest.
ADD = """
import fcntl, os, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tap5", 0x5002))
fcntl.ioctl(fd, 0x400454cb, 1)
os.close(fd)
os.execvp(sys.argv[1], sys.argv[1:])
"""
TAP = "tap5"


def why_no_tap():
    done = subprocess.run(["unshare", "-Urn", sys.executable, "-c", ADD, "true"], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1:] if done.returncode else None


needs_tap = pytest.mark.skipif(bool(why_no_tap()), reason=f"no tap in a network of one's own: {why_no_tap()}")


def drive(box, *argv, env=None, with_tap=False):
    """Run it to its end; what its guest said."""
    around = ["unshare", "-Urn", sys.executable, "-c", ADD] if with_tap else []
    path = f"{box.path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    console, words = box.path / "console", box.path / "words"
    with open(console, "wb") as out, open(words, "wb") as err:
        status = vm.Vm(box, [*around, *argv], stdout=out, stderr=err, env={"PATH": path, **(env or {})}).wait(timeout=120).status
    said = console.read_text(encoding="latin-1")
    assert status == 0, words.read_text(encoding="utf-8") + said
    assert box.processes() == []
    return said
