# SPDX-License-Identifier: MIT
"""pronto on a terminal: raw while the guest has it, and as it was on every way out."""

import os
import signal

import pytest

from terminal import Script
import vm

pytestmark = pytest.mark.kvm


@pytest.fixture
def terminal(box):
    opened = []

    def open_terminal(kernel, *options, script='"$@"', words=(), **kwargs):
        opened.append(Script(box, script, vm.PRONTO, "run", *options, vm.guest(kernel),
                             *(["--", *words] if words else []), **kwargs))
        return opened[-1]
    yield open_terminal
    for one in opened:
        one.close()


def assert_restored(one):
    assert one.settings() == one.before


def test_keys_reach_the_guest_as_they_are(terminal):
    one = terminal("echo")
    one.expect("ready")
    assert one.is_raw()
    one.type(b"\x03")  # Ctrl-C
    one.expect("byte 0x3")
    one.type(b"\x1a\x1c\x13\x04\r\x7f")  # Ctrl-Z, Ctrl-\, Ctrl-S, Ctrl-D, return, backspace
    for key in "0x1a", "0x1c", "0x13", "0x4", "0xd", "0x7f":
        one.expect(f"byte {key}\n")
    one.type(b"q")
    assert one.wait() == vm.POWEROFF
    assert_restored(one)


def test_escape_key_quits(terminal):
    one = terminal("spin")
    one.expect("ready")
    one.type(b"\x01x")
    assert one.wait() == vm.KILLED
    assert_restored(one)


def test_escape_key_twice_is_itself(terminal):
    one = terminal("echo")
    one.expect("ready")
    one.type(b"\x01\x01\x01bxq")
    assert one.wait() == vm.POWEROFF
    for key in "0x1\nbyte 0x1\nbyte 0x62\nbyte 0x78\nbyte 0x71":
        one.expect(key)
    one.expect("bytes 5")


def test_quit_while_the_guest_takes_nothing(terminal):
    one = terminal("halt")
    one.expect("ready")
    one.type(b"k" * 10000 + b"\x01x")
    assert one.wait() == vm.KILLED
    assert_restored(one)


@pytest.mark.parametrize("n", [3000, 20000])
def test_paste_arrives_whole(terminal, n):
    """More than the kernel keeps of a terminal's keys, to a guest that is slower than whoever pastes."""
    one = terminal("echo")
    one.expect("ready")
    pasted = bytes(ord("a") + i % 16 for i in range(n))
    one.type(pasted + b"q")
    assert one.wait(120) == vm.POWEROFF
    one.expect(f"bytes {n + 1}\n")
    assert one.out.decode() == "ready\n" + "".join(f"byte {hex(key)}\n" for key in pasted + b"q") + f"bytes {n + 1}\n"


@pytest.mark.parametrize("option, quit_keys, guests", [
    ("^B", b"\x02x", b"\x01x\x02\x02"), ("^]", b"\x1dX", b"\x01x\x1db"), ("none", b"q", b"\x01x\x01\x01\x1dx")])
def test_another_escape_key(terminal, option, quit_keys, guests):
    one = terminal("echo", "--escape-key", option)
    one.expect("ready")
    one.type(guests)
    reach = guests.replace(b"\x02\x02", b"\x02")
    for key in reach:
        one.expect(f"byte {hex(key)}\n")
    one.type(quit_keys)
    assert one.wait() == (vm.POWEROFF if option == "none" else vm.KILLED)
    assert one.out.decode().startswith("ready\n" + "".join(f"byte {hex(key)}\n" for key in reach))
    assert_restored(one)


# ---- what the guest leaves ----

ANSWERS = {b"\x1b[6n": b"\x1b[5;7R", b"\x1b[5n": b"\x1b[0n", b"\x1b[c": b"\x1b[?62;22c"}


@pytest.mark.parametrize("questions", ["\x1b[6n", "\x1b[5n", "\x1b[c\x1b[6n\x1b[5n"])
@pytest.mark.parametrize("confine", [[], ["--confine", "basic"]], ids=["usual", "basic"])
def test_no_answer_is_left_for_the_shell(terminal, questions, confine):
    one = terminal("say", *confine, words=["hello " + questions], answers=ANSWERS)
    assert one.wait() == vm.POWEROFF
    assert one.unread() == b""
    assert one.out.decode() == f"hello {questions}\x1b[5n"  # a question of our own, after which all are answered
    assert_restored(one)


def test_terminal_that_answers_nothing(terminal):
    one = terminal("say", words=["hello \x1b[6n"])
    assert one.wait() == vm.POWEROFF
    assert_restored(one)


def test_nothing_is_asked_where_the_guest_asked_nothing(terminal):
    one = terminal("say", words=["hello"])
    assert one.wait() == vm.POWEROFF
    assert one.out == b"hello"


def test_modes_are_reset(terminal):
    said = "\x1b[?1000;1006h\x1b[?2004h\x1b[?25l\x1b[?1h\x1b[?1l\x1b[?1049h"
    one = terminal("say", words=[said])
    assert one.wait() == vm.POWEROFF
    assert one.out.decode() == said + "\x1b[?25h\x1b[?1000l\x1b[?1006l\x1b[?1049l\x1b[?2004l"


def test_file_gets_what_the_guest_says_alone(terminal, tmp_path):
    one = terminal("say", script=f'"$@" >{tmp_path / "out"}', words=["\x1b[?2004h\x1b[6n"])
    assert one.wait() == vm.POWEROFF
    assert ((tmp_path / "out").read_bytes(), one.out) == (b"\x1b[?2004h\x1b[6n", b"")


@pytest.mark.parametrize("kernel, status", [
    ("poweroff", vm.POWEROFF), ("reset", vm.REBOOT), ("triplefault", vm.CRASH)])
def test_restored_after_the_guests_end(terminal, kernel, status):
    one = terminal(kernel)
    assert one.wait() == status
    assert_restored(one)


def test_messages_look_right_on_a_raw_terminal(terminal):
    one = terminal("triplefault")
    assert one.wait() == vm.CRASH
    one.expect("gdt")
    lines = [line for line in one.out.split(b"\n") if b"pronto: error" in line]
    assert len(lines) > 10 and all(line.endswith(b"\r") for line in lines)


def test_restored_after_a_signal_to_end(terminal):
    one = terminal("button")
    one.expect("ready")
    os.kill(one.pronto, signal.SIGTERM)
    assert one.wait() == vm.POWEROFF
    assert_restored(one)


def test_restored_after_the_grace_period(terminal):
    one = terminal("deaf", "--grace", "1")
    one.expect("ready")
    os.kill(one.pronto, signal.SIGTERM)
    assert one.wait() == vm.KILLED
    assert_restored(one)


# What a bug of ours would raise, and what anybody may send.
@pytest.mark.parametrize("name", ["SEGV", "ABRT", "BUS", "ILL", "FPE", "SYS", "TRAP", "USR1", "USR2", "ALRM",
                                  "VTALRM", "PROF", "XCPU", "IO", "PWR", "STKFLT"])
def test_restored_after_a_fatal_signal(terminal, name):
    number = getattr(signal, f"SIG{name}")
    one = terminal("spin")
    one.expect("ready")
    assert one.is_raw()
    os.kill(one.pronto, number)
    assert one.wait() == 128 + number
    assert_restored(one)


def test_interrupt_signal_is_a_key(terminal):
    """On a terminal SIGINT is for the guest; SIGTERM is for us."""
    one = terminal("echo")
    one.expect("ready")
    os.kill(one.pronto, signal.SIGINT)
    one.expect("byte 0x3")
    one.type(b"q")
    assert one.wait() == vm.POWEROFF


def test_another_life_on_the_terminal(terminal):
    one = terminal("lives", "--on-reboot", "restart")
    for n_lives in range(1, 4):
        vm.wait_until(lambda n=n_lives: one.out.count(b"life:") == n, what="the next life")
        assert one.is_raw()
        one.type(b"q" if n_lives == 3 else b"a")
    assert one.wait() == vm.POWEROFF
    assert_restored(one)


@pytest.mark.parametrize("console", ["null", "file:/dev/null", "pty"])
def test_terminal_is_left_alone_by_other_consoles(terminal, console):
    one = terminal("button", "--console", console, script='trap : INT; "$@"')
    vm.wait_until(lambda: any(map(vm.takes_signals, one.box_processes("pronto"))), what="the run")
    assert_restored(one)
    one.type(b"\x03")  # the terminal's own: SIGINT, which presses the power button
    assert one.wait() == vm.POWEROFF


def test_bad_option_leaves_the_terminal_alone(terminal):
    one = terminal("halt", "--cpus", "0")
    assert one.wait() == vm.OPERATOR
    assert_restored(one)


def test_background_job_neither_stops_nor_reads(terminal, tmp_path):
    """A shell with job control puts it in a process group of its own, not the terminal's."""
    one = terminal("button", "--grace", "30",
                   script=f'set -m; "$@" & until [ -e {tmp_path / "seen"} ]; do sleep 0.1; done; kill -TERM $!; wait $!')
    one.expect("ready")
    assert not one.is_raw()
    one.type(b"typed for the shell\n")
    (tmp_path / "seen").touch()
    assert one.wait() == vm.POWEROFF
    assert_restored(one)


def test_output_to_a_file_input_from_the_terminal(terminal, tmp_path):
    one = terminal("echo", script=f'"$@" >{tmp_path / "out"}')
    vm.wait_until(lambda: (tmp_path / "out").exists() and "ready" in (tmp_path / "out").read_text(), what="ready")
    assert one.is_raw()
    one.type(b"\x03q")
    assert one.wait() == vm.POWEROFF
    assert (tmp_path / "out").read_text() == "ready\nbyte 0x3\nbyte 0x71\nbytes 2\n"
    assert_restored(one)


def test_hang_up(terminal):
    """The window is closed: the guest may power off, and nobody stays behind."""
    one = terminal("button")
    one.expect("ready")
    pronto = one.pronto
    os.kill(one.leader.pid, signal.SIGKILL)
    vm.wait_until(lambda: not vm.has_status(pronto, "RSD"), what="the end")
