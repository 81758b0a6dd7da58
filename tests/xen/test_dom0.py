# SPDX-License-Identifier: MIT
"""The real Xen with an ELF file as its PVH dom0: version 0 of the start info, and no memory map in it."""
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
from xenlab import (CRASH, HELLOS, LIFE, LINES, POWEROFF, QEMU, REBOOT, REFUSED, TIMEOUT, USAGE, XEN, check_hello, facts,
                    failed_checks, guest_program, hello, known_failures, life_without_note, needs_qemu, xen,
                    xen_version)

pytestmark = needs_qemu

TRIPLE_FAULT = "xen: | d0v0 Triple fault - invoking HVM shutdown action 1\n"


@pytest.fixture(scope="module", autouse=True)
def fetched():
    """The first use fetches and unpacks; let it not be in a test's time."""
    guest_program("tests", "xen", "life.elf")
    subprocess.run([XEN.parent / "fetch", "xen"], check=True, stdout=subprocess.DEVNULL, timeout=300)


@pytest.mark.parametrize("words, status, ending", [
    ("poweroff", POWEROFF, "power-off"),
    ("halt", POWEROFF, "power-off"),  # to Xen, a domain all of whose processors halt for good is off
    ("reboot", REBOOT, "reboot"),
])
def test_ends(words, status, ending):
    assert xen("dom0", "--cmdline", words, LIFE) == (status, facts(0, words), f"xen: life.elf: {ending}\n")


def test_crash():
    assert xen("dom0", "--cmdline", "crash", LIFE) == (
        CRASH, facts(0, "crash"),
        "xen: | Hardware Dom0 crashed: rebooting machine in 5 seconds.\nxen: life.elf: crash\n")


def test_triple_fault():
    done = xen("dom0", "--cmdline", "triplefault", LIFE)
    assert (done.status, done.out) == (CRASH, facts(0, "triplefault"))
    assert done.err.startswith(TRIPLE_FAULT) and done.err.endswith("\nxen: life.elf: crash\n")
    assert "xen: | RIP:    0008:[<00000000001" in done.err


def test_timeout():
    assert xen("dom0", "--timeout", "3", "--cmdline", "spin", LIFE) == (
        TIMEOUT, facts(0, "spin"), "xen: life.elf: timeout\n")


def test_timeout_of_who_never_pauses():
    done = xen("dom0", "--timeout", "3", "--cmdline", "flood", LIFE)
    assert (done.status, done.err) == (TIMEOUT, "xen: life.elf: timeout\n")
    assert done.out.startswith(facts(0, "flood") + "more\nmore\n")


def test_no_kernel(tmp_path):
    """What Xen says tells why."""
    path = tmp_path / "nothing.elf"
    path.write_bytes(b"no kernel at all\n" * 1000)
    done = xen("dom0", path)
    assert (done.status, done.out) == (REFUSED, "")
    assert done.err == ("xen: | Unable to init ELF\n"
                        "xen: | Failed to load Dom0 kernel\nxen: | Could not construct domain 0\n"
                        "xen: nothing.elf: refused\n")


def test_no_note(tmp_path):
    done = xen("dom0", life_without_note(tmp_path))
    assert (done.status, done.out) == (REFUSED, "")
    assert "or with PHYS32_ENTRY set\n" in done.err and done.err.endswith("\nxen: life.elf: refused\n")


@pytest.mark.parametrize("words", ["a,b", "a,,b 'c' \"d\" \\e =f;g -- h", "x" * 900])
def test_command_line_is_handed_over_whole(words):
    assert xen("dom0", "-q", "--cmdline", words, LIFE) == (POWEROFF, facts(0, words), "")


def test_module(tmp_path):
    directory = tmp_path / "a, b"
    directory.mkdir()
    (directory / "c d,e").write_text("first line\nsecond line\n")
    (directory / "life, again.elf").write_bytes(LIFE.read_bytes())
    done = xen("dom0", directory / "life, again.elf", directory / "c d,e")
    assert done == (POWEROFF, facts(0, "", "first line"), "xen: life, again.elf: power-off\n")


def test_long_lines():
    """Xen prints a long line in pieces; here it is one again."""
    assert xen("dom0", "-q", "--cmdline", "lines", LIFE) == (POWEROFF, facts(0, "lines") + LINES, "")


def test_unfinished_line():
    """Xen shows a line when it is whole: this one never is."""
    assert xen("dom0", "-q", "--cmdline", "unfinished", LIFE) == (POWEROFF, facts(0, "unfinished"), "")


def test_json():
    done = xen("dom0", "--json", "--memory", "64M", "--cmdline", "console", LIFE)
    assert (done.status, done.err) == (POWEROFF, "xen: life.elf: power-off\n")
    result, = json.loads(done.out)
    assert 0 < result.pop("seconds") < 60
    assert result == {"kernel": str(LIFE), "ending": "power-off", "port": facts(0, "console"),
                      "console": "by hypercall\n", "xen": "Hardware Dom0 halted: halting machine\n"}


def test_all():
    done = xen("dom0", "--all", "-q", "--cmdline", "console", LIFE)
    lines = done.out.splitlines()
    assert done.status == POWEROFF
    assert "(d0) version 0" in lines and "by hypercall" in lines
    assert lines[-1] == "(XEN) Hardware Dom0 halted: halting machine"
    version = "{}.{}".format(*xen_version())
    assert any(line.startswith((f"(XEN)  Xen {version}", f"(XEN) Xen version {version}")) for line in lines)


@pytest.mark.parametrize("argv, message", [
    (["dom0", "/nowhere"], "lab/xen dom0: error: argument ELF: /nowhere: No such file or directory"),
    (["dom0", "--memory", "1M", LIFE], "lab/xen dom0: error: argument --memory: 1M is not a size from 16M to 16G"),
    (["dom0", "--timeout", "0", LIFE],
     "lab/xen dom0: error: argument --timeout: 0 is not a number of seconds from 0.1 to 86400"),
    (["domu"], "lab/xen domu: error: the following arguments are required: ELF"),
    (["domu", "--vcpus", "none", LIFE], "lab/xen domu: error: argument --vcpus: none is not a number from 1 to 64"),
    (["domu", LIFE, "--next"], "lab/xen domu: error: the following arguments are required: ELF"),
    ([], "lab/xen: error: the following arguments are required: dom0|domu"),
])
def test_usage(argv, message):
    done = xen(*argv)
    assert (done.status, done.out) == (USAGE, "")
    assert done.err.splitlines()[-1] == message


def test_pvh_check():
    """It needs the map that only Xen's hypercall gives, and finds it."""
    done = xen("dom0", "-q", guest_program("guest", "check", "pvh-check.elf"))
    assert failed_checks(done.out) == known_failures()
    # That the start info is of version 0 is none of what must not be.
    assert done.status == (CRASH if len(known_failures()) > 1 else POWEROFF)
    assert "\nok 29 - MUST memory map: there is one (" in done.out


@pytest.mark.parametrize("name", HELLOS)
def test_hello(name):
    """libpvh asks Xen for the map: version 0 has none.  Xen's map for dom0 is the machine's."""
    done = xen("dom0", "-q", "--memory", "96M", "--cmdline", "a b", hello(name), LIFE)
    assert (done.status, done.err) == (POWEROFF, "")
    check_hello(done.out, 0, 96, 11)


def machine_of(process):
    """The emulator that PROCESS has started."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for pid in children.read_text(encoding="ascii").split():
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            if QEMU.encode() in command.split(b"\0")[0]:
                return int(pid)
        time.sleep(0.01)
    raise AssertionError("no machine was started")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_machine_ends_with_the_command(number):
    with subprocess.Popen([XEN, "dom0", "--cmdline", "spin", LIFE], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        machine = machine_of(process)
        assert process.stdout.readline() == b"version 0\n"
        os.kill(process.pid, number)
        process.wait(10)
        deadline = time.monotonic() + 10
        while os.path.exists(f"/proc/{machine}"):
            assert time.monotonic() < deadline, "the machine is still there"
            time.sleep(0.01)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)


def test_who_leaves_early_ends_it():
    """As in `lab/xen ... | head -n 1`."""
    with subprocess.Popen([XEN, "dom0", "--cmdline", "lines", LIFE], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE
