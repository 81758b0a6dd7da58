# SPDX-License-Identifier: MIT
"""The ACPI tables, judged by ACPICA's own tools: acpixtract takes them out of --dry-run's output,
iasl disassembles them, and compiles the DSDT again.  Needs no /dev/kvm."""

import os
import pathlib
import re
import shutil
import struct
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))
TABLES = ["APIC", "DSDT", "FACP", "RSDT", "SPCR", "XSDT"]

pytestmark = [
    pytest.mark.skipif(not shutil.which("iasl") or not shutil.which("acpixtract"),
                       reason="iasl and acpixtract are not there: install acpica-tools"),
]


def pvh_elf(entry=0x1000000):
    """An ELF64 of one instruction and a PHYS32_ENTRY note."""
    note = struct.pack("<III4sQ", 4, 8, 18, b"Xen\0", entry)
    code = b"\xf4"
    note_at = 64 + 2 * 56
    code_at = note_at + len(note)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, entry, 64, 0, 0, 64,
                         56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, code_at, entry, entry, len(code), len(code), 1)
    notes = struct.pack("<IIQQQQQQ", 4, 4, note_at, 0, 0, len(note), len(note), 4)
    return header + load + notes + note + code


def run(*argv, cwd=None):
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(params=[(1,), (2, "--rng", "on"), (64,), (2, "--rng", "on", "--transport", "pci")],
                ids=lambda p: f"{p[0]}cpus{''.join(p[1:])}", scope="module")
def tables(request, tmp_path_factory):
    """The directory with <signature>.dat of every table, for so many CPUs and these options."""
    n_cpus, *options = request.param
    where = tmp_path_factory.mktemp("acpi")
    (where / "kernel").write_bytes(pvh_elf())
    dump = subprocess.run([PRONTO, "run", "--dry-run", "-c", str(n_cpus), *options, "kernel"], cwd=where,
                          stdout=subprocess.PIPE, check=True, timeout=60).stdout
    (where / "dump.txt").write_bytes(dump)
    run("acpixtract", "-a", "dump.txt", cwd=where)
    return where, n_cpus, TABLES + ["MCFG"] if "pci" in options else TABLES


def test_all_are_extracted(tables):
    where, _, names = tables
    assert sorted(f.stem.upper() for f in where.glob("*.dat")) == sorted(names + ["RSDP"])


def test_checksum_and_length(tables):
    where, _, names = tables
    for name in names:
        data = (where / f"{name.lower()}.dat").read_bytes()
        assert data[:4].decode() == name
        assert struct.unpack_from("<I", data, 4)[0] == len(data)
        assert sum(data) % 256 == 0


def test_rsdp(tables):
    data = (tables[0] / "rsdp.dat").read_bytes()
    assert data[:8] == b"RSD PTR " and len(data) == 36
    assert sum(data[:20]) % 256 == 0 and sum(data) % 256 == 0


def complaints(text):
    """Lines in which iasl finds fault; its own summary of none is no fault."""
    return [line for line in text.splitlines()
            if re.search(r"error|warning|remark|invalid|unknown", line, re.I)
            and "0 Errors, 0 Warnings, 0 Remarks" not in line]


def test_disassembles_cleanly(tables):
    where, _, names = tables
    for name in names:
        said = run("iasl", "-d", f"{name.lower()}.dat", cwd=where)
        assert complaints(said) == []
        assert complaints((where / f"{name.lower()}.dsl").read_text()) == []


def test_dsdt_recompiles_to_the_same_bytes(tables):
    where, n_cpus, _ = tables
    run("iasl", "-d", "dsdt.dat", cwd=where)
    # 6035 wants hexadecimal digits at a _HID's end, which the name that Linux knows a generation ID by has not.
    said = run("iasl", "-vw", "6035", "-p", "again", "dsdt.dsl", cwd=where)
    assert "0 Errors, 0 Warnings, 0 Remarks" in said
    ours = (where / "dsdt.dat").read_bytes()
    theirs = (where / "again.aml").read_bytes()
    assert len(ours) == len(theirs)
    assert ours[36:] == theirs[36:]
    assert ours.count(b"ACPI0007") == n_cpus


@pytest.mark.parametrize("events", range(4))
def test_events_are_told(tables, events):
    """Linux's interpreter runs the event device's method, with EVENTS in the register."""
    said = run("acpiexec", "-r", "-fv", str(events), "-b", r"evaluate \_SB.GED._EVT 3", "dsdt.dat", cwd=tables[0])
    told = re.findall(r"Received a Device Notify on \[(\w+)\] .* Value 0x80", said)
    assert sorted(told) == [name for bit, name in ((1, "PWRB"), (2, "VGEN")) if events & bit]


def test_complaints_are_seen(tmp_path):
    """A table with a wrong checksum must not pass for a clean one."""
    (tmp_path / "kernel").write_bytes(pvh_elf())
    dump = subprocess.run([PRONTO, "run", "--dry-run", "kernel"], cwd=tmp_path,
                          stdout=subprocess.PIPE, check=True, timeout=60).stdout
    (tmp_path / "dump.txt").write_bytes(dump)
    run("acpixtract", "-a", "dump.txt", cwd=tmp_path)
    bad = bytearray((tmp_path / "facp.dat").read_bytes())
    bad[9] ^= 0xff
    (tmp_path / "facp.dat").write_bytes(bad)
    said = run("iasl", "-d", "facp.dat", cwd=tmp_path)
    assert complaints(said + (tmp_path / "facp.dsl").read_text()) != []
