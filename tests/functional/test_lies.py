# SPDX-License-Identifier: MIT
"""Hand-overs that are wrong or odd, told to programs over libpvh by tests/guest/liar.c.

A lie is answered by one line on the console and a halt; what is merely odd is served.
"""

import os
import pathlib
import re
import time

import pytest

import vm

pytestmark = pytest.mark.kvm

MAGIC = "the start info has the wrong magic number"
START_INFO = "the start info is out of reach"
NO_MAP = "there is no memory map, and no Xen to ask for one"
MAP_ADDRESS = "the memory map has no address, or is out of reach"
MAP_COUNT = "the memory map has too many entries"
MAP_NO_RAM = "there is no RAM in the memory map"
MAP_IMAGE = "the program does not lie in RAM of the memory map"
MODULE_LIST = "the module list has no address, or is out of reach"
MODULE_COUNT = "there are too many modules"
MODULE = "a module has no address, has no end, or lies over the program"
CMDLINE = "a command line is out of reach, or has no end"

REFUSED = {
    "start-info-null": START_INFO,
    "start-info-nowhere": MAGIC,
    "start-info-top": START_INFO,
    "magic": MAGIC,
    "magic-null": MAGIC,
    "version-0": NO_MAP,
    "map-0": NO_MAP,
    "map-1025": MAP_COUNT,
    "map-wraps-32": MAP_COUNT,
    "map-max": MAP_COUNT,
    "map-null": MAP_ADDRESS,
    "map-far": MAP_ADDRESS,
    "map-wraps": MAP_ADDRESS,
    "map-no-ram": MAP_NO_RAM,
    "map-type-0": MAP_NO_RAM,
    "map-ram-elsewhere": MAP_IMAGE,
    "map-hole": MAP_IMAGE,
    "modules-33": MODULE_COUNT,
    "modules-max": MODULE_COUNT,
    "modules-null": MODULE_LIST,
    "modules-far": MODULE_LIST,
    "module-over-image": MODULE,
    "module-wraps": MODULE,
    "module-null": MODULE,
    "module-cmdline-far": CMDLINE,
    "cmdline-far": CMDLINE,
    "cmdline-endless": CMDLINE,
}

USUAL = {"version": 1, "regions": 6, "modules": 0, "cmdline": "told by a liar"}
# What differs from the usual.
SERVED = {
    "none": {},
    "start-info-align-4": {},
    "version-2": {"version": 2},
    "version-max": {"version": 2**32 - 1},
    "map-1": {"regions": 1},
    "map-126": {"regions": 126},
    "map-127": {"regions": 127},
    "map-128": {"regions": 128},
    "map-129": {"regions": 129},
    "map-mess": {"regions": 9},
    "modules-32": {"modules": 32},
    "module-high": {"modules": 1},
    "cmdline-none": {"cmdline": "none"},
    "direction-flag": {},
    "registers": {},
    "no-tables": {},
}

# The core alone, and the whole library for both kinds of code.
HELLO = vm.PRONTO.parent / "guest" / "hello"
PROGRAMS = {name: HELLO / f"{name}.elf" for name in ("hello", "hello32")} | {"reader": vm.GUESTS / "reader.elf"}


def test_each_lie_is_known_here():
    source = (pathlib.Path(__file__).parents[1] / "guest" / "liar.c").read_text(encoding="utf-8")
    table = source[source.index("} lies[] = {"):]
    assert sorted(re.findall(r'^\t\{ "([^"]+)", ', table, re.MULTILINE)) == sorted({**REFUSED, **SERVED})


def tell(start, program, lie):
    return start("liar", "-m", "128M", "--grace", "0", "-i", PROGRAMS[program], words=[lie])


def ticks(pid):
    """Processor time that a process and its guest have used, in 1/100 s."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) * 100 // os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("lie", REFUSED)
def test_lie(start, program, lie):
    guest = tell(start, program, lie)
    want = f"liar: {lie}\npvh: {REFUSED[lie]}\n"
    guest.expect(want)
    before = ticks(guest.pid)
    time.sleep(0.3)
    # Still there, but at rest, and silent.
    assert guest.process.poll() is None, guest.said()
    assert ticks(guest.pid) - before <= 3
    assert guest.out.decode() == want
    guest.kill()
    assert guest.err == b""


def said_by_reader(text):
    pattern = r"hello, guest 1, version (\w+), regions (\d+), modules (\d+), command line (.*)\n"
    version, regions, modules, cmdline = re.fullmatch(pattern, text).groups()
    return {"version": int(version, 16), "regions": int(regions), "modules": int(modules), "cmdline": cmdline}


def said_by_hello(text):
    pattern = (r"hello from a guest of KVM, start info version (\d+)\nmemory \d+ KiB in (\d+) regions\n"
               r"command line (.*)\n((?:module \d+: \d+ bytes\n)*)entered \d+ .*\n")
    version, regions, cmdline, modules = re.fullmatch(pattern, text).groups()
    return {"version": int(version), "regions": int(regions), "modules": modules.count("\n"),
            "cmdline": cmdline.strip("()")}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("lie", SERVED)
def test_oddity(start, program, lie):
    result = tell(start, program, lie).wait()
    assert (result.status, result.err) == (vm.POWEROFF, ""), result
    first, said = result.out.split("\n", 1)
    assert first == f"liar: {lie}"
    read = said_by_reader if program == "reader" else said_by_hello
    assert read(said) == {**USUAL, **SERVED[lie]}
