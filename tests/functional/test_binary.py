# SPDX-License-Identifier: MIT
"""What the linker has made of the program: nothing is writable and executable, or stays writable without need."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))

pytestmark = pytest.mark.skipif(not shutil.which("readelf"), reason="there is no readelf: install binutils")


def readelf(option):
    done = subprocess.run(["readelf", "-W", option, PRONTO], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def segments():
    """(type, address, size in memory, flags) of each."""
    lines = re.findall(r"^  (\w+) +0x\S+ (0x\S+) 0x\S+ 0x\S+ (0x\S+) ([R W E]{3}) ", readelf("-l"), re.M)
    return [(kind, int(address, 16), int(size, 16), flags) for kind, address, size, flags in lines]


def test_is_position_independent():
    assert re.search(r"^ +Type: +DYN ", readelf("-h"), re.M)
    assert re.search(r"\(FLAGS_1\) +Flags: .*\bPIE\b", readelf("-d"))


def test_nothing_is_writable_and_executable():
    flags = [(kind, flags) for kind, _, _, flags in segments() if kind in ("LOAD", "GNU_STACK")]
    assert ("GNU_STACK", "RW ") in flags
    assert [f for f in flags if "W" in f[1] and "E" in f[1]] == []


def test_relocated_data_is_read_only():
    """All of it, as the loader resolves everything before the program starts."""
    (_, start, size, _), = (s for s in segments() if s[0] == "GNU_RELRO")
    assert size > 0 and (start + size) % 4096 == 0
    assert re.search(r"\(FLAGS\) +.*\bBIND_NOW\b", readelf("-d"))
    assert re.search(r"\(FLAGS_1\) +Flags: .*\bNOW\b", readelf("-d"))
    # Without BIND_NOW .got.plt would lie behind it, to be filled in later.
    sections = re.findall(r"^ +\[ *\d+\] (\.got\S*) +\S+ +(\S+) ", readelf("-S"), re.M)
    assert sections and all(start <= int(address, 16) < start + size for _, address in sections)
