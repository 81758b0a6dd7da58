# SPDX-License-Identifier: MIT
"""Guests that do one thing without an end, in the lab: tests/functional/test_storms.py, on another KVM."""

import os
import shutil

import pytest

from machines import ROOT, in_lab
from test_linux import PRONTO

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")


def passes(n, *options, seconds):
    done = in_lab("/usr/bin/env", f"PRONTO={os.path.abspath(PRONTO)}", "/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-s",
                  "--basetemp=/run/tests", ROOT / "tests" / "functional" / "test_storms.py", *options, seconds=seconds)
    out = done.stdout.decode(errors="replace")
    print(out)
    assert done.returncode == 0 and f"\n{n} passed" in out, out[-4000:] + done.stderr.decode(errors="replace")[-2000:]


@pytest.mark.long
def test_storms():
    passes(6, "-m", "not long", seconds=300)


@pytest.mark.long
@pytest.mark.timeout(5400)
def test_an_hour_of_broken_rules():
    passes(1, "-m", "long", "-k", "confined", seconds=4500)
