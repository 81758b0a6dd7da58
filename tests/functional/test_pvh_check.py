# SPDX-License-Identifier: MIT
"""pvh-check, the guest that judges a hand-over: it is content with Pronto, and each lie makes it complain."""

import os
import re
import shutil
import subprocess
import sys

import pytest

import vm

CHECK = vm.PRONTO.parent / "guest" / "check" / "pvh-check.elf"
QEMU = shutil.which("qemu-system-x86_64")

sys.path.insert(0, str(vm.ROOT / "guest" / "check"))
# pylint: disable=wrong-import-position
import conformance  # noqa: E402
from conformance import FAIL, SKIP, Report, fill, told  # noqa: E402


def failed(report):
    return set(report.named(FAIL))


@pytest.mark.kvm
@pytest.mark.parametrize("size", ["32M", "64M", "3G", "3073M", "5G"])
def test_pronto_hands_over_well(run, size):
    result = run(str(CHECK), "-m", size, words=["pvh-check.tr=1", fill(2000)])
    report = Report(result.out)
    assert (result.status, result.err, failed(report)) == (vm.POWEROFF, "", set())
    # Where everything is tried, but for what this machine has not.
    without = {name for name in report.named(SKIP) if not name.startswith("modules:")}
    assert without == ({"RAM: first and last page of each entry above 4 GiB"} if size in ("32M", "64M", "3G") else set())


@pytest.mark.kvm
def test_with_everything(run):
    """A module, memory above 4 GiB, several processors, and the longest command line."""
    words = ["pvh-check.tr=1", told(CHECK)]
    words.append(fill(65535 - len(" ".join(words)) - 1))
    result = run(str(CHECK), "-m", "5G", "-c", "2", "-i", CHECK, words=words, timeout=60)
    report = Report(result.out)
    assert (result.status, result.err, failed(report)) == (vm.POWEROFF, "", set())
    assert list(report.named(SKIP)) == ["modules: modlist_paddr is 0 without modules"]


# The lie; what must be complained about; the words of the complaint; and what else breaks with it.
LIES = [
    ("cr0", "cr0: PE is set, nothing else that can be written", "is 0x13"),
    ("cr4", "cr4: is 0", "is 0x200"),
    ("if", "eflags: IF is clear", "eflags is 0x246"),
    ("ds_limit", "ds: base 0, reads, writes, reaches 4 GiB", "an access to own data or to the last byte failed"),
    ("ds_base", "ds: base 0, reads, writes, reaches 4 GiB", "an access to own data or to the last byte failed"),
    ("es_limit", "es: base 0, reads, writes, reaches 4 GiB", "an access to own data or to the last byte failed"),
    ("es_base", "es: base 0, reads, writes, reaches 4 GiB", "an access to own data or to the last byte failed"),
    ("es_read_only", "es: base 0, reads, writes, reaches 4 GiB", "an access to own data or to the last byte failed"),
    ("ss_16", "ss: base 0, reads, writes, reaches 4 GiB, 32-bit", "an access to own data or to the last byte failed"),
    ("tss", "tr: a 32-bit TSS at address 0 is in use", "the exception's stack pointer is 0x6fe8, not "),
    ("efer", "EFER: is 0", "is 0x1"),
    ("mtrr", "MTRR: on, default type write-back", "default type register is 0x800"),
    ("apic_off", "local APIC: on, at 0xfee00000, of the boot processor",
     "the processor says that it has none, or that it is off"),
    ("apic_pending", "local APIC: nothing is pending", "vectors from 128: requested 0x1, in service 0x0"),
    ("bss", "image: memory beyond the file's bytes is 0", "0xa5 at "),
    ("magic", "ebx: points at a start info, by its magic", "; the word there is 0x336e4578"),
    ("ebx_zero", "ebx: points at a start info, by its magic", "ebx is 0x0"),
    ("ebx_nowhere", "ebx: points at a start info, by its magic", "ebx is 0xd8000000; the word there is 0xffffffff"),
    ("ebx_top", "ebx: points at a start info, by its magic", "ebx is 0xfffffff0"),
    ("version", "start info: version 1 or later", "version 0: there is no place for a memory map"),
    ("reserved", "start info: reserved field is 0", "is 0x1"),
    ("pointer_4g", "start info: its addresses are below 4 GiB", "cmdline_paddr is 0x100000000"),
    ("map_1g", "start info: memory map and module list are below 1 GiB", "memmap_paddr is 0xd8000000"),
    ("cmdline_1g", "start info: it and the command line are below 1 GiB", "cmdline_paddr is 0xd8000000"),
    ("overlap", "hand-over: nothing overlaps", "the memory map at "),
    ("over_image", "hand-over: nothing overlaps", "the image at 0x200000 and a module at 0x201000"),
    ("not_ram", "hand-over: all of it is in RAM of the map", "the command line: "),
    ("low", "hand-over: nothing is in 0x1000 to 0x7bff", "the start info is at 0x3000"),
    ("cmdline_end", "command line: ASCII, and has an end", "no NUL in 32768 bytes from 0xffff8000"),
    ("cmdline_ascii", "command line: ASCII, and has an end", "byte 0 is 0xe4"),
    ("cmdline_cut", "command line: arrives whole", "299 characters of 300 arrived"),
    ("cmdline_byte", "command line: arrives whole", "character 298 of 300 is wrong"),
    ("no_list", "modules: there is a list, if any", "1 modules; the list is at 0x0"),
    ("no_module", "modules: there is a list, if any", "a module was given, and is not there"),
    ("list_without", "modules: modlist_paddr is 0 without modules", "modlist_paddr is "),
    ("many_modules", "modules: there is a list, if any", "4294967295 modules; the list is at "),
    ("module_reserved", "modules: reserved fields are 0", "module 0: 0x10000000000"),
    ("module_wraps", "modules: each has an address, and ends below 4 GiB", "module 0: 0xffffffff"),
    ("module_text", "modules: command lines have an end", "module 0: at 0xffff8000"),
    ("module_byte", "modules: the first arrives whole", "the checksum is "),
    ("no_map", "memory map: there is one", "no entries, and no hypervisor to ask"),
    ("map_pointer", "memory map: there is one", "start info: 6 entries at 0x0"),
    ("map_count", "memory map: there is one", "start info: 4294967295 entries at "),
    ("map_reserved", "memory map: reserved fields are 0", "entry 1: 0x10000 bytes at 0xf0000, type 0x2, reserved 0x1"),
    ("map_type", "memory map: types are known", "entry 1: 0x10000 bytes at 0xf0000, type 0x9, reserved 0x0"),
    ("map_wraps", "memory map: no entry wraps", "entry 6: 0x2000 bytes at 0xfffffffffffff000, "),
    ("map_no_ram", "memory map: has RAM", "no entry is RAM"),
    ("map_image", "memory map: the image is in RAM", "0x200000 to "),
    ("map_unsorted", "memory map: sorted", "entry 1: 0xa0000 bytes at 0x0, "),
    ("map_overlap", "memory map: no overlaps", "entry 6: 0x1000 bytes at 0xfeffc000, "),
    ("map_long", "memory map: 127 entries at most", "128 entries"),
    ("map_page_1", "memory map: page 1 is RAM", "0x1000 to 0x1fff is not RAM"),
    ("map_no_low", "memory map: has RAM below 636 KiB", "no page from 0x1000 to 0x9efff is RAM"),
    ("bios_area", "memory map: agrees with the BIOS data area", "0x413 says 636 KiB; the map has RAM above"),
    ("ram_low", "RAM: first and last page of each entry below 4 GiB", "the word at 0xff000000; entry 6 is not RAM"),
    ("ram_high", "RAM: first and last page of each entry above 4 GiB", "the word at 0x200000000; entry 6 is not RAM"),
    ("ram_beyond", "memory map: the processor can address all RAM", "the processor has "),
    ("no_rsdp", "ACPI: there is an RSDP", "rsdp_paddr is 0"),
    ("rsdp_sum", "ACPI: RSDP has signature and sums", "revision 2; the sum of 20 bytes is 0x1, of 36 bytes 0x1"),
    ("rsdp_sum_2", "ACPI: RSDP has signature and sums", "revision 2; the sum of 20 bytes is 0x0, of 36 bytes 0x"),
    ("rsdp_nowhere", "ACPI: RSDP has signature and sums", "no RSDP at 0xd8000000"),
    ("xsdt_sum", "ACPI: XSDT or RSDT has signature and sum", "XSDT at "),
    ("xsdt_name", "ACPI: XSDT or RSDT has signature and sum", "YSDT at "),
    ("xsdt_size", "ACPI: XSDT or RSDT has signature and sum", "no table at RSDT "),
    ("xsdt_empty", "ACPI: every table has a size and its sum, below 4 GiB",
     "0 of 0 tables have no size, or are not below 4 GiB"),
    ("table_sum", "ACPI: every table has a size and its sum, below 4 GiB", "SPCR at "),
    ("table_size", "ACPI: every table has a size and its sum, below 4 GiB",
     "1 of 3 tables have no size, or are not below 4 GiB"),
    ("tables_in_ram", "ACPI: no table is in what the map calls RAM", "FACP at "),
    ("dsdt", "ACPI: FADT leads to DSDT, and to FACS if any", "no DSDT with a good sum where the FADT points"),
    ("no_fadt", "ACPI: FADT leads to DSDT, and to FACS if any", "there is no FADT"),
    ("no_facs", "ACPI: FADT leads to DSDT, and to FACS if any", "there is no FACS"),
    ("facs", "ACPI: FADT leads to DSDT, and to FACS if any", "FACS at "),
    ("no_madt", "ACPI: there is a MADT", "there is no MADT"),
    ("madt_loop", "ACPI: MADT's entries are sound, and one is this processor", "the entry at 44 has no sound length"),
    ("madt_id", "ACPI: MADT's entries are sound, and one is this processor",
     "1 processors, of which none has APIC ID 0"),
]

# What breaks with a lie, beside what it is about.
ALSO = {
    "version": {"memory map: there is one"},
    "pointer_4g": {"start info: it and the command line are below 1 GiB", "command line: ASCII, and has an end"},
    "map_1g": {"hand-over: all of it is in RAM of the map", "command line: 2048 bytes from its start are RAM",
               "memory map: reserved fields are 0", "memory map: types are known", "memory map: no entry wraps",
               "memory map: has RAM", "memory map: the image is in RAM", "memory map: page 1 is RAM",
               "memory map: has RAM below 636 KiB"},
    "cmdline_1g": {"command line: ASCII, and has an end"},
    "not_ram": {"command line: 2048 bytes from its start are RAM"},
    "cmdline_end": {"start info: it and the command line are below 1 GiB"},
    "list_without": {"modules: there is a list, if any"},
    "many_modules": {"hand-over: nothing overlaps", "hand-over: all of it is in RAM of the map"},
    "module_wraps": {"hand-over: all of it is in RAM of the map", "modules: the first arrives whole"},
    "module_text": {"hand-over: all of it is in RAM of the map"},
    "map_count": {"hand-over: nothing overlaps"},
    "map_no_ram": {"hand-over: all of it is in RAM of the map", "command line: 2048 bytes from its start are RAM",
                   "memory map: the image is in RAM", "memory map: page 1 is RAM",
                   "memory map: has RAM below 636 KiB"},
    "map_image": {"hand-over: all of it is in RAM of the map", "command line: 2048 bytes from its start are RAM"},
    "map_no_low": {"memory map: page 1 is RAM"},
    "xsdt_empty": {"ACPI: FADT leads to DSDT, and to FACS if any", "ACPI: there is a MADT"},
}

# Unusual, and nothing to complain about.
WELL = ["none", "acpi_1", "not_low"]


def crooked(run, lie):
    # To sum the module up takes a while where KVM interprets.
    told_module = [told(CHECK)] if "module" in lie or lie in (*WELL, "list_without") else []
    result = run("crooked", "-m", "64M", "-i", CHECK, words=[f"lie={lie}", "pvh-check.tr=1", *told_module, fill(321)])
    return result, Report(result.out)


@pytest.mark.kvm
@pytest.mark.parametrize("lie", WELL)
def test_without_a_lie_all_is_well(run, lie):
    result, report = crooked(run, lie)
    assert (result.status, result.err, failed(report)) == (vm.POWEROFF, "", set())
    assert set(report.named(SKIP)) == {"modules: modlist_paddr is 0 without modules",
                                       "RAM: first and last page of each entry above 4 GiB"}
    assert re.search(r"^# eax 0x.*\n# cr0 0x11, ", result.out, re.M)


@pytest.mark.kvm
@pytest.mark.parametrize("lie, what, why", LIES, ids=[lie for lie, *_ in LIES])
def test_lie(run, lie, what, why):
    result, report = crooked(run, lie)
    assert failed(report) == {what} | ALSO.get(lie, set())
    assert why in report.named(FAIL)[what].why
    # Without ACPI's FADT there is no way to end but a crash.
    acpi = "ACPI: there is a MADT" not in report.named(SKIP) and "ACPI: there is an RSDP" not in failed(report)
    acpi = acpi and lie not in ("xsdt_empty", "no_fadt")
    assert result.status == ((vm.POWEROFF if report.well else vm.REBOOT) if acpi else vm.CRASH)


@pytest.mark.kvm
def test_useless_stack_segment(run):
    """A processor that heeds the limit cannot even tell; the last words then say what it was."""
    result = run("crooked", "-m", "64M", "-i", CHECK, words=["lie=ss_limit"])
    if "1.." in result.out:
        assert "ss: base 0, reads, writes, reaches 4 GiB, 32-bit" in failed(Report(result.out))
    else:
        assert result.out.endswith("silence means that it cannot be\n") and result.status == vm.CRASH


def test_every_lie_is_told():
    source = "".join((vm.ROOT / "tests" / "guest" / f"{name}.c").read_text(encoding="utf-8") for name in ("crooked", "crooked_acpi"))
    assert set(re.findall(r"^static void lie_(\w+)\(void\)", source, re.M)) == {
        *(lie for lie, *_ in LIES), "ss_limit", *WELL}


# What no lie of a guest can bring about: these are the VMM's and the processor's alone.
UNLIED = {
    "cs: reaches 4 GiB", "eflags: TF and VM are clear", "start info: can be written", "RAM: address bit 20 counts",
    "local APIC: its version can be read", "CPUID: says that there is a hypervisor",
    "CPUID: leaf 0x40000000 names the hypervisor",
}


@pytest.mark.kvm
def test_every_check_has_its_lie(run):
    assert {row.what for row in Report(run(str(CHECK)).out).rows} == {what for _, what, _ in LIES} | set.union(*ALSO.values()) | UNLIED


in_lab = [
    pytest.mark.lab,
    pytest.mark.skipif(not QEMU, reason="there is no QEMU: install qemu-system-x86"),
    pytest.mark.skipif("PRONTO_LAB" in os.environ, reason="a lab in the lab would be too slow"),
]


def run_in_lab(*words):
    """On a KVM whose processor does as the manual says."""
    done = subprocess.run([vm.ROOT / "lab" / "lab", "-q", "--timeout=60", vm.PRONTO, "run", *words],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=180, check=False)
    assert done.stderr == b""
    return done.returncode, Report(done.stdout.decode())


@pytest.mark.parametrize("size", [pytest.param("5G", marks=in_lab)])
def test_pronto_in_the_lab(size):
    status, report = run_in_lab("-m", size, CHECK, "--", fill(2000))
    assert (status, failed(report)) == (vm.POWEROFF, set())


@pytest.mark.parametrize("lie, what", [
    pytest.param("ds_limit", "ds: base 0, reads, writes, reaches 4 GiB", marks=in_lab),
    pytest.param("es_limit", "es: base 0, reads, writes, reaches 4 GiB", marks=in_lab)])
def test_exception_in_the_lab(lie, what):
    """Before anything of the program's own is in use but its tables."""
    status, report = run_in_lab("-m", "64M", "-i", CHECK, vm.guest("crooked"), "--", f"lie={lie}")
    assert (status, failed(report)) == (vm.REBOOT, {what})


@pytest.mark.skipif(not QEMU, reason="there is no QEMU: install qemu-system-x86")
@pytest.mark.parametrize("machine", ["pc", "q35", "microvm"])
def test_qemu_is_judged(machine):
    """Whatever a QEMU does, the exit status is what the lines say."""
    done = subprocess.run([QEMU, "-M", machine, "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none",
                           "-no-reboot", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", CHECK,
                           "-initrd", CHECK, "-append", f"{told(CHECK)} {fill(1900)}"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    report = Report(done.stdout.decode())
    assert done.returncode == (33 if report.well else 35), done.stderr
    assert "modules: the first arrives whole" not in {*failed(report), *report.named(SKIP)}


@pytest.mark.parametrize("size", [22, 321, 2047, 65535])
def test_fill_has_the_size_asked_for(size):
    assert len(fill(size)) == size


@pytest.mark.kvm
def test_page_is_of_today(run):
    """docs/conformance.md lists what pvh-check looks at, and says of Pronto what is so now."""
    page = conformance.read_page((vm.ROOT / "docs" / "conformance.md").read_text(encoding="utf-8"))
    words = told(CHECK)
    reports = [Report(run(str(CHECK), "-m", "64M", "-i", CHECK, words=[words, fill(2047 - len(words) - 1)]).out),
               Report(run(str(CHECK), "-m", "5G", words=["few words", "pvh-check.tr=1"]).out)]
    rows = conformance.merge(reports)
    assert sorted(page) == sorted((row.what, row.level) for row in rows)
    for row in rows:
        signs = {name.split()[0]: sign for name, sign in page[row.what, row.level].items()}
        assert (row.what, signs["Pronto"]) == (row.what, conformance.SIGNS[row.verdict])


@pytest.mark.parametrize("text", ["", "TAP version 13\n1..1\n# all that must be is so\n",
                                  "TAP version 13\n1..1\nok 1 - MUST a (b)\n",
                                  "TAP version 13\n1..2\nok 1 - MUST a (b)\n# all that must be is so\n",
                                  "TAP version 13\n1..1\nnot ok 1 - MUST a (b)\n# all that must be is so\n",
                                  "TAP version 13\n1..1\nok 2 - MUST a (b)\n# all that must be is so\n"])
def test_what_is_not_whole_is_no_report(text):
    with pytest.raises(conformance.Problem):
        Report(text)
