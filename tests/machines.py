# SPDX-License-Identifier: MIT
"""The machines on which tests run programs: this one, if it has KVM, and the lab's."""

import os
import pathlib
import subprocess
import sys

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


def in_lab(*argv, stdin=b"", seconds=200, lab=(), **kwargs):
    """Run a command in the lab, which is given the options in LAB; the rest is subprocess.run()'s.

    What takes too long is killed there, by the lab's own clock.
    """
    outer = [ROOT / "lab" / "lab", "-q", f"--timeout={seconds + 20}", *lab,
             "timeout", "--foreground", "-s", "KILL", str(seconds), *map(str, argv)]
    return subprocess.run(outer, input=stdin, capture_output=True, timeout=seconds + 60, check=False, **kwargs)
