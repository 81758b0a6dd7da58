# SPDX-License-Identifier: MIT
"""Debian's kernels through pvh-shim: under pronto in the lab, and packed under QEMU itself."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

import test_linux
from machines import in_lab
from test_linux import AS_LINKED, BASE, POWEROFF, PRONTO, boot, check_report, place_of

guests = test_linux.guests

SHIM = pathlib.Path(PRONTO).parent / "guest" / "shim" / "pvh-shim.elf"
NAMES = ["cloud", "generic", "cloud-newer"]

# With its ACPI tables Linux often waits there for a first tick that does not come, entered by PVH too.
MICROVM = "microvm,acpi=off"
# What every machine can do, with -no-reboot for QEMU's end.
REPORT = "pronto.do=report,reboot reboot=t"

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")


@pytest.fixture(scope="session", name="noteless")
def fixture_noteless(guests, tmp_path_factory):
    """The same kernels without their notes, PVH's among them."""
    def make(name):
        made = str(tmp_path_factory.mktemp("noteless") / name)
        subprocess.run(["objcopy", "--remove-section", ".notes", guests[name].vmlinux, made], check=True,
                       stderr=subprocess.DEVNULL, timeout=60)
        done = subprocess.run([PRONTO, "run", "--no-shim", "--dry-run", made], capture_output=True, timeout=60,
                              check=False)
        assert b"has no PVH entry" in done.stderr
        return made
    return test_linux.Lazy(make)


@pytest.mark.parametrize("name, memory, mib", [("cloud", "128M", 128), pytest.param("generic", "256M", 256, marks=pytest.mark.long),
                                               pytest.param("cloud-newer", "5G", 5120, marks=pytest.mark.long)])
def test_bzimage_whole(guests, name, memory, mib):
    guest = guests[name]
    done = boot(guest.vmlinuz, "--shim", "always", "-c", "2", "-m", memory, initrd=guest.initramfs, do="report")
    check_report(done, 2, mib)
    assert done.facts["release"][0] in guest.vmlinuz


@pytest.mark.parametrize("name", [pytest.param("cloud", marks=pytest.mark.long), pytest.param("generic", marks=pytest.mark.long),
                                  "cloud-newer"])
def test_vmlinux_without_note(guests, noteless, name):
    """Through the shim by itself, since it can be entered in no other way."""
    guest = guests[name]
    check_report(boot(noteless[name], "-c", "2", initrd=guest.initramfs, do="report"), 2, 256)


@pytest.mark.long
def test_kaslr(guests):
    """A bzImage chooses other addresses at each boot, unless it is told not to.  (test_linux.py has it entered by PVH.)"""
    guest = guests["cloud-newer"]
    options = {"initrd": guest.initramfs, "do": "report"}
    first, second = [place_of(boot(guest.vmlinuz, "--shim=always", **options)) for _ in range(2)]
    fixed = place_of(boot(guest.vmlinuz, "--shim=always", base=BASE + " nokaslr", **options))
    assert first[0] != second[0] and first != second
    assert fixed[0] not in (first[0], second[0])
    assert fixed == AS_LINKED


@pytest.mark.long
def test_initrd_above_4g(guests, tmp_path):
    """An initrd that does not fit below 3 GiB: archive, then junk that Linux stops at."""
    needed = 9 << 30
    available = int(re.search(r"MemAvailable: +(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) << 10
    if available < needed:
        pytest.skip(f"{needed >> 30} GiB of free memory are needed, and {available >> 30} are there")
    guest = guests["cloud"]
    initrd = tmp_path / "initrd"
    shutil.copy(guest.initramfs, initrd)
    with open(initrd, "r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b"no archive")
        file.truncate(3 << 30)
    argv = test_linux.command(guest.vmlinuz, "--shim=always", "-m", "7G", initrd=str(initrd), do="report")
    done = in_lab(*argv, seconds=200, lab=("--mem", "6G"))
    out = done.stdout.decode(errors="replace")
    assert done.returncode == POWEROFF, out[-3000:]
    start, end = re.search(r"@@ initrd RAMDISK: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]", out).groups()
    assert int(start, 16) >= 4 << 30 and int(end, 16) + 1 - int(start, 16) == 3 << 30


@pytest.fixture(scope="session", name="packed")
def fixture_packed(guests, tmp_path_factory):
    def make(name):
        guest = guests[name]
        made = str(tmp_path_factory.mktemp("packed") / f"{name}.elf")
        subprocess.run([PRONTO, "pack", "-i", guest.initramfs, "--cmdline", BASE, guest.vmlinuz, "-o", made],
                       check=True, timeout=60)
        return made
    return test_linux.Lazy(make)


def in_qemu(machine, kernel, *options, append="", memory="256M"):
    done = subprocess.run(["qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-cpu", "max", "-m", memory,
                           "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", kernel,
                           "-append", append, *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                          check=False)
    return done.stdout.decode(errors="replace")


@pytest.mark.parametrize("name,machine", [*((name, "q35") for name in NAMES), ("cloud", MICROVM), ("cloud", "pc")])
def test_packed_under_qemu(packed, machine, name):
    out = in_qemu(machine, packed[name], append=REPORT)
    assert "@@ report_ends here" in out, out[-3000:]
    # The command line that was packed, then QEMU's.
    assert f"@@ cmdline {BASE} {REPORT}" in out


def test_packed_under_pronto(packed):
    done = in_lab(PRONTO, "run", packed["cloud"], "--", "pronto.do=report")
    assert done.returncode == POWEROFF, done
    assert b"@@ report_ends here" in done.stdout
    assert f"@@ cmdline {BASE} pronto.do=report".encode() in done.stdout


def test_packed_vmlinux(guests, noteless, tmp_path):
    packed = str(tmp_path / "packed.elf")
    guest = guests["cloud"]
    subprocess.run([PRONTO, "pack", "-i", guest.initramfs, "--cmdline", BASE, noteless["cloud"], "-o", packed],
                   check=True, timeout=60)
    assert "@@ report_ends here" in in_qemu("q35", packed, append=REPORT)


def test_kernel_as_a_module_under_qemu(guests):
    """QEMU hands its -initrd over as the first module: the kernel, for a shim with nothing packed."""
    out = in_qemu("q35", str(SHIM), "-initrd", guests["cloud"].vmlinuz, append=BASE)
    assert "Unable to mount root fs" in out, out[-3000:]


def test_no_kernel_under_qemu():
    with subprocess.Popen(["qemu-system-x86_64", "-M", "microvm", "-accel", "tcg", "-m", "64M", "-nodefaults",
                           "-display", "none", "-serial", "stdio", "-kernel", SHIM],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline()
        finally:
            process.kill()
    assert line == b"pvh-shim: there is no kernel: give one as the first module (initrd), or pack one\n", line
