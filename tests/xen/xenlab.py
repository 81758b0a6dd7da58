# SPDX-License-Identifier: MIT
"""lab/xen and the programs that run in it, for tests.

PRONTO names the program that was built (default: build/pronto); guests are found beside it.
"""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))
# pylint: disable=wrong-import-position
from labkit import packages  # noqa: E402

BUILD = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve().parent
XEN = ROOT / "lab" / "xen"
QEMU = "qemu-system-x86_64"
LIFE = BUILD / "tests" / "xen" / "life.elf"
PIECE = 199  # bytes of a line that Xen holds

POWEROFF, USAGE, REBOOT, CRASH, TIMEOUT, LAB_FAILED, REFUSED = 0, 2, 3, 4, 124, 125, 126

Result = collections.namedtuple("Result", "status out err")

needs_qemu = pytest.mark.skipif(not shutil.which(QEMU), reason="there is no QEMU: install qemu-system-x86")


def xen(*argv, seconds=150):
    done = subprocess.run([XEN, *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds,
                          check=False)
    return Result(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1"))


def outcomes(*argv, seconds=280):
    """The list that --json prints; the guests may have ended in any way."""
    done = xen(*argv[:1], "--json", *argv[1:], seconds=seconds)
    assert done.status not in (USAGE, LAB_FAILED), done.err
    return json.loads(done.out)


def xen_version():
    """Of the Xen that this release has: (4, 17), for one."""
    version = re.match(r"xen-hypervisor-(\d+)\.(\d+)-", os.path.basename(packages.get("xen")))
    return tuple(int(part) for part in version.groups())


def known_failures():
    """What pvh-check finds wrong with dom0's hand-over.  The emulated machine's ACPI is of version 1, and Xen 4.17
    makes dom0's XSDT from a header that only version 2 has; 4.20 no longer does."""
    acpi = {"ACPI: XSDT or RSDT has signature and sum"} if xen_version() == (4, 17) else set()
    return {"start info: version 1 or later", *acpi}


def facts(version, cmdline="(none)", *modules):
    """What life.elf says of a hand-over by Xen."""
    flags, entries = ((3, 0), (0, 5))[version]
    return "".join(line + "\n" for line in (
        f"version {version}", f"flags {flags}", f"map {entries}", f"modules {len(modules)}",
        *(f"module {module}" for module in modules), f"command line {cmdline}"))


LINES = "".join(f"{c * n}\n" for c, n in zip("abcd", (PIECE - 1, PIECE, PIECE + 1, 3 * PIECE)))


def failed_checks(text):
    """The names of the checks of pvh-check that failed, from a report that must be whole."""
    sys.path.insert(0, str(ROOT / "guest" / "check"))
    import conformance  # pylint: disable=import-outside-toplevel
    return set(conformance.Report(text).named(conformance.FAIL))


def guest_program(*parts):
    path = BUILD.joinpath(*parts)
    assert path.exists(), f"{path} is not built"
    return path


def hello(name):
    """One of HELLOS."""
    return guest_program("guest", "hello", f"{name}.elf")


HELLOS = ("hello", "hello32", "hello-reloc", "hello32-reloc")


def check_hello(text, version, mebibytes, n_regions):
    """libpvh's way through Xen's hand-over, to the last word; LIFE is its module."""
    match = re.fullmatch(r"hello from a guest of Xen, start info version (\d)\nmemory (\d+) KiB in (\d+) regions\n"
                         r"command line a b\nmodule 0: (\d+) bytes\n"
                         r"entered [1-9]\d* cycles of the time stamp counter ago, which is \d+ us\n", text)
    assert match, text
    assert (int(match[1]), int(match[3]), int(match[4])) == (version, n_regions, LIFE.stat().st_size)
    assert mebibytes * 1024 - 4 <= int(match[2]) <= mebibytes * 1024


def life_without_note(directory):
    """The same program; its note is nobody's that Xen knows."""
    data = LIFE.read_bytes()
    assert data.count(b"Xen\0") == 1
    path = directory / "life.elf"
    path.write_bytes(data.replace(b"Xen\0", b"Nex\0"))
    return path
