# SPDX-License-Identifier: MIT
"""Guest programs, each of which checks one property of the machine and prints TAP."""

import datetime
import json
import os
import pathlib
import re
import time
import xml.etree.ElementTree

import pytest

import vm

pytestmark = pytest.mark.kvm


def check(result):
    assert (result.status, result.err) == (vm.POWEROFF, "")
    return vm.tap(result.out)


@pytest.mark.parametrize("kernel", ["entry", "entry-note8", "entry-elf64"])
def test_entry(run, kernel):
    check(run(kernel))


def test_stack_and_gdt_before_the_guest_has_its_own(run):
    check(run("early"))


@pytest.mark.parametrize("size", [32, 128, 256, 3071, 3072, 3073, 5120])
def test_start_info(run, size):
    remarks = check(run("startinfo", "-m", f"{size}M"))
    ram = int(remarks["ram"][0][0], 16)
    assert ram == (size << 20) - 0x60000  # all but the hole below 1 MiB
    assert "module" not in remarks
    # The last byte of RAM, counted with the device hole.
    top = max(int(at, 16) + int(n, 16) for at, n, _, kind in remarks["map"] if kind == "1")
    assert top == (size << 20) + (0x40000000 if size > 3072 else 0)


# FNV-1a of the command line: the guest has seen every byte.
@pytest.mark.parametrize("size", [1, 2047, 2048, 60000, 65535])
def test_command_line_arrives_whole(run, size):
    text = "".join(chr(33 + i % 94) for i in range(size))
    remarks = check(run("startinfo", words=[text]))
    assert remarks["cmdline"] == [[str(size), hex(vm.checksum(text.encode()))]]


def test_command_line_words(run):
    remarks = check(run("startinfo", words=["a=1", "two  blanks", "--", "-x"]))
    text = b"a=1 two  blanks -- -x"
    assert remarks["cmdline"] == [[str(len(text)), hex(vm.checksum(text))]]


def test_default_command_line(run):
    remarks = check(run("startinfo"))
    assert int(remarks["cmdline"][0][0]) > 0


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 70001])
def test_initrd_arrives_whole(run, tmp_path, size):
    data = bytes((i * 37 + i // 251) & 0xff for i in range(size))
    (tmp_path / "initrd").write_bytes(data)
    remarks = check(run("startinfo", "-i", tmp_path / "initrd"))
    assert remarks["module"] == [[str(size), hex(vm.checksum(data))]]


def test_initrd_of_many_pieces(run, tmp_path):
    """Whether it arrives whole is for tests/unit/test_guest_mem_file and for Linux to say."""
    (tmp_path / "initrd").write_bytes(bytes(range(256)) * (20 << 12))
    done = run("poweroff", "-c", "4", "-m", "256M", "-i", tmp_path / "initrd")
    assert (done.status, done.err) == (0, "")


def test_acpi_tables(run):
    remarks = check(run("startinfo"))
    assert {name for name, _ in remarks["acpi"]} == {"RSDT", "XSDT", "FACP", "APIC", "SPCR", "DSDT"}


def test_cpu(run):
    before = time.time()
    remarks = check(run("cpu"))
    after = time.time()
    # Its name is the host's.
    host = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)[1]
    assert remarks["name"] == [host.split()]
    # KVM's wall clock says when the machine began, in whole seconds.
    assert int(before) <= int(remarks["boot"][0][1]) <= after


@pytest.mark.parametrize("n", [1, 2, 4])
def test_smp(run, n):
    remarks = check(run("smp", "-c", n))
    assert remarks["cpus"] == [[str(n)]]


@pytest.mark.parametrize("n", [2, 4])
def test_smp_with_the_local_apics_software_disabled(run, n):
    """KVM knows a vCPU by a map that it makes when something about an APIC changes: here nothing does."""
    assert check(run("smp", "-c", n, words=["soft-off"]))["cpus"] == [[str(n)]]


@pytest.mark.parametrize("n", [1, 2, 64])
def test_cpus_by_the_mp_table(run, n):
    assert check(run("mptable", "-c", n))["cpus"] == [[str(n)]]


def test_smp_again_and_again(run):
    for _ in range(10):
        check(run("smp", "-c", 4))


@pytest.mark.parametrize("name", ["headers", "low"])
def test_odd_places(run, name):
    """Below 1 MiB whatever nobody uses is the kernel's, if it is linked to it."""
    check(run(name))


def test_wild_accesses(run):
    check(run("bus"))


def test_an_input_more_than_have_a_line(run):
    check(run("bus", "--ioapic-inputs", 5, words=["5", "inputs"]))


def test_serial_by_interrupts(run):
    text = b"a line of more than one FIFO's length, so that it comes in parts"
    result = run("serial_irq", stdin=text + b"\n")
    assert check(result)["line"] == [[str(len(text)), hex(vm.checksum(text))]]
    assert "one byte after another, each by an interrupt of its own\n" in result.out


def test_serial_input_on_the_pin_that_every_pc_has(run):
    text = b"a line of more than one FIFO's length, so that it comes in parts"
    result = run("isa_serial", stdin=text + b"\n")
    assert check(result)["line"] == [[str(len(text)), hex(vm.checksum(text))]]


def test_serial_polled(run):
    data = bytes(range(256)).replace(b"q", b"")
    result = run("echo", stdin=data + b"q")
    assert (result.status, result.err) == (vm.POWEROFF, "")
    assert result.out == "ready\n" + "".join(f"byte {byte:#x}\n" for byte in data + b"q") + "bytes 256\n"


@pytest.mark.parametrize("way, n_checks", [("keyboard", 1), ("control", 2)])
def test_reset_as_of_a_pc(run, way, n_checks):
    result = run("pc_reset", words=[way])
    assert (result.status, result.err) == (vm.REBOOT, "")
    assert [line.split()[0] for line in result.out.splitlines()] == ["ok"] * n_checks


def test_time_by_the_clock_chip(run):
    before = time.time()
    (told,), = check(run("clock"))["time"]
    clock = datetime.datetime.strptime(told, "%Y%m%d%H%M%S").replace(tzinfo=datetime.timezone.utc)
    assert int(before) <= clock.timestamp() <= time.time()


def test_jump_to_the_reset_vector(run):
    result = run("vector")
    assert (result.status, result.out, result.err) == (vm.REBOOT, "jumping\n", "")


# Kernel and VM are made at the same time: of these moments each may come first.
SIDE_BY_SIDE = {"kernel loaded", "KVM open", "VM created", "vCPUs created", "console open"}
MOMENTS = ["kernel file open", SIDE_BY_SIDE, "first guest instruction", "first console byte",
           "guest's mark 7", "user space", "guest's mark 255", "guest's end", "machine released"]


def gather(names):
    """The names, those of SIDE_BY_SIDE as one set where they stand together."""
    first = min(names.index(name) for name in SIDE_BY_SIDE)
    last = first + len(SIDE_BY_SIDE)
    return [*names[:first], set(names[first:last]), *names[last:]]


def test_marks_on_the_timeline(run):
    result = run("mark", "--timeline")
    assert result.status == vm.POWEROFF
    rows = [line.rsplit(None, 2) for line in result.err.splitlines()]
    assert gather([row[0] for row in rows]) == ["timeline", "VMM start", *MOMENTS]
    times = [float(row[1]) for row in rows[1:]]
    steps = [float(row[2]) for row in rows[1:]]
    assert times == sorted(times) and times[0] == 0 and times[-1] < result.seconds * 1000
    assert sum(steps) == pytest.approx(times[-1], abs=0.02)


def test_timeline_drawn(run, box):
    result = run("mark", "--timeline=t.svg", left=["cwd/t.svg"])
    assert (result.status, result.err) == (vm.POWEROFF, "")
    svg = xml.etree.ElementTree.parse(box.path / "cwd" / "t.svg").getroot()
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    named = [bar.text.split(":")[0] for bar in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert gather(named) == ["monitor", "kernel", "user space", "release", *MOMENTS]


def test_timeline_as_json(run, box):
    before = time.monotonic_ns()
    result = run("mark", "--timeline=t.json", left=["cwd/t.json"])
    assert (result.status, result.err) == (vm.POWEROFF, "")
    told = json.loads((box.path / "cwd" / "t.json").read_text())
    times = [moment["ns"] for moment in told["moments"]]
    assert gather([moment["name"] for moment in told["moments"]]) == ["VMM start", *MOMENTS]
    assert times == sorted(times) and times[0] == 0
    assert before < told["start_ns"] < told["start_ns"] + times[-1] < time.monotonic_ns()


def test_timeline_that_cannot_be_written(run, box):
    """Known before the guest runs; what fails later is not a success either."""
    result = run("mark", "--timeline=nowhere/t.svg")
    assert (result.status, result.out) == (vm.OPERATOR, "")
    assert result.err == "pronto: error: --timeline: nowhere/t.svg: cannot open: No such file or directory\n"
    os.mkfifo(box.path / "fifo")
    assert "cannot open" in run("mark", f"--timeline={box.path / 'fifo'}").err
    result = run("mark", "--timeline=/dev/full")
    assert (result.status, result.out) == (vm.HOST_ERROR, "marking\n")
    assert result.err == "pronto: error: --timeline: /dev/full: cannot write: No space left on device\n"


def test_no_timeline_unless_asked(run):
    assert run("mark").err == ""


def test_only_what_was_built_is_there():
    """A program that is in the build's list by mistake of nobody: each has a source, each source that is no part of others a program."""
    sources = {f.stem for f in pathlib.Path(vm.ROOT, "tests", "guest").glob("*.c")} - {"lib", "crooked_acpi", "virtio"}
    built = {f[:-4] for f in os.listdir(vm.GUESTS) if f.endswith(".elf")} - {"entry-note8", "entry-elf64"}
    assert built == sources
