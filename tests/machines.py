# SPDX-License-Identifier: MIT
"""The machines on which tests run programs: this one, if it has KVM, and the lab's."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "lab"))
# pylint: disable=wrong-import-position
from labkit import packages  # noqa: E402  pylint: disable=unused-import


def why_no_kvm():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError as err:
        return f"/dev/kvm: {err.strerror}"
    return None


# Of what tests/lab/limited has killed: what it said before, and its status.  If it did not come to that, the lab's own limit.
TOO_LONG, KILLED_BY_9, LAB_TIMEOUT = b"about to be killed after ", 137, 124
# Seconds: what the lab itself may take to come up, which may have to be made first; and to begin a command, and to tell of threads.
COMES_UP, TELLS = 300, 60


def in_lab(*argv, stdin=b"", seconds=200, lab=(), **kwargs):
    """Run a command in the lab, which is given the options in LAB; the rest is subprocess.run()'s.

    What takes too long is killed there, by the lab's own clock; the test has then failed, and shows what was said and who hung.
    """
    outer = [ROOT / "lab" / "lab", "-q", f"--timeout={seconds + TELLS}", *lab, ROOT / "tests" / "lab" / "limited", str(seconds),
             *map(str, argv)]
    done = subprocess.run(outer, input=stdin, capture_output=True, timeout=COMES_UP + seconds + TELLS, check=False, **kwargs)
    if done.returncode == LAB_TIMEOUT or done.returncode == KILLED_BY_9 and TOO_LONG in done.stderr:
        said = (text.decode(errors="replace").replace("\r", "") for text in (done.stdout[-4000:], done.stderr[-12000:]))
        pytest.fail("\n".join(said))
    return done


def kernel_with_devices(name):
    """Of a set of packages the kernel, uncompressed, and an initramfs with the modules of its devices; without them the test is skipped."""
    if packages.why_not(name):
        pytest.skip(packages.why_not(name))
    made = [subprocess.run(argv, check=True, capture_output=True, text=True, timeout=600).stdout.strip() for argv in (
        [ROOT / "lab" / "fetch", "--vmlinux", name], [ROOT / "lab" / "guest" / "mkinitramfs", "--devices", name])]
    return made[0].split(" ", 1)[1], made[1]
