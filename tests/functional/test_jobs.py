# SPDX-License-Identifier: MIT
"""pronto among others on a terminal: shells with job control, timeout(1), terminals that are nobody's."""

import os
import pty
import signal
import termios

import pytest

from terminal import LFLAG, RAW, Script, Shell
import vm

pytestmark = pytest.mark.kvm


@pytest.fixture
def shell(box):
    one = Shell(box)
    yield one
    one.close()


def run(kernel, *options):
    return " ".join([str(vm.PRONTO), "run", *options, vm.guest(kernel)])


def pronto_of(one):
    """The process id of the shell's only job."""
    vm.wait_until(one.children, what="the job")
    return one.children()[0]


def raw(one):
    vm.wait_until(one.is_raw, what="raw mode")


def key_is_the_guests(one, key=b"k"):
    one.type(key)
    one.until(f"byte {hex(key[0])}\n")


def quit_guest(one):
    one.type(b"q")
    one.until("bytes ")
    one.prompt()
    assert one.command("echo $?").strip() == "0"


def bring_to_the_foreground(shell):
    """A job, which then has the terminal."""
    shell.begin("fg")
    raw(shell)
    key_is_the_guests(shell)
    quit_guest(shell)


def test_in_the_foreground(shell):
    shell.begin(run("echo"))
    shell.until("ready\n")
    key_is_the_guests(shell, b"\x03")
    key_is_the_guests(shell, b"\x1a")
    quit_guest(shell)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP])
def test_stopped_and_continued(shell, number):
    """The shell has its terminal meanwhile, the guest has it again after."""
    shell.begin(run("echo"))
    shell.until("ready\n")
    for _ in range(2):
        key_is_the_guests(shell)
        os.kill(pronto_of(shell), number)
        shell.until("Stopped")
        shell.prompt()
        assert shell.command("echo mine").strip() == "mine"
        assert vm.has_status(pronto_of(shell), "T")
        shell.begin("fg")
        raw(shell)
    key_is_the_guests(shell, b"\x1a")
    quit_guest(shell)


def test_stopped_and_continued_in_the_background(shell):
    shell.begin(run("echo"))
    shell.until("ready\n")
    os.kill(pronto_of(shell), signal.SIGTSTP)
    shell.until("Stopped")
    shell.prompt()
    shell.command("bg")
    vm.wait_until(lambda: vm.has_status(pronto_of(shell), "SR"), what="the job")
    assert shell.command("echo mine").strip() == "mine"  # and nobody else's
    bring_to_the_foreground(shell)


def test_started_in_the_background(shell):
    """Bash tells a running job nothing when it brings it into the foreground."""
    shell.command(run("echo") + " &")
    shell.expect("ready")
    assert shell.command("echo mine").strip() == "mine"
    bring_to_the_foreground(shell)


def test_killed_in_the_background(shell):
    """It leaves the terminal alone, also when it ends."""
    shell.command(run("button") + " &")
    shell.expect("ready")
    shell.command("kill %1; wait %1")
    assert shell.command("echo mine").strip() == "mine"


def test_stop_key_of_a_terminal_that_is_not_ours(shell, tmp_path):
    """Where keys are nobody's, Ctrl-Z is the terminal's own."""
    shell.begin(run("button", "--console", f"file:{tmp_path / 'out'}"))
    vm.wait_until(lambda: (tmp_path / "out").exists() and "ready" in (tmp_path / "out").read_text(), what="ready")
    shell.type(b"\x1a")
    shell.until("Stopped")
    shell.prompt()
    shell.begin("fg")
    shell.until(run("button", "--console", f"file:{tmp_path / 'out'}"))
    shell.type(b"\x03")
    shell.prompt()
    assert shell.command("echo $?").strip() == "0"


# ---- timeout(1) ----

def test_timeout_at_the_prompt(shell):
    shell.begin("timeout 60 " + run("echo"))
    shell.until("ready\n")
    key_is_the_guests(shell)
    quit_guest(shell)


def test_timeout_in_the_background(shell):
    shell.command("timeout 60 " + run("echo") + " &")
    shell.expect("ready")
    assert shell.command("echo mine").strip() == "mine"
    bring_to_the_foreground(shell)


def test_timeout_in_a_script_in_the_background(shell, tmp_path):
    """The shell keeps the terminal, until it brings the script back."""
    (tmp_path / "script").write_text(f"timeout 60 {run('echo')}\nexit 7\n")
    shell.command(f"sh {tmp_path / 'script'} &")
    shell.expect("ready")
    assert shell.foreground() == shell.leader.pid
    assert shell.command("echo mine").strip() == "mine"
    shell.begin("fg")
    raw(shell)
    key_is_the_guests(shell)
    shell.type(b"q")
    shell.until("bytes ")
    shell.prompt()
    assert shell.command("echo $?").strip() == "7"


@pytest.fixture
def script(box):
    opened = []

    def open_script(text, kernel="echo"):
        opened.append(Script(box, text, vm.PRONTO, "run", vm.guest(kernel)))
        return opened[-1]
    yield open_script
    for one in opened:
        one.close()


def test_timeout_in_a_script(script):
    """It makes a background of its own, from which nobody would bring it back; the script has the terminal after."""
    one = script('timeout 60 "$@"')
    one.expect("ready")
    raw(one)
    assert one.foreground() != one.leader.pid
    one.type(b"\x03q")
    one.expect("bytes 2\n")
    assert one.wait() == vm.POWEROFF
    assert one.foreground() == one.leader.pid
    assert one.settings() == one.before


def test_timeout_within_timeout(script):
    one = script('timeout 60 sh -c \'timeout 60 "$@"; exit $?\' sh "$@"')
    one.expect("ready")
    raw(one)
    one.type(b"q")
    assert one.wait() == vm.POWEROFF
    assert one.foreground() == one.leader.pid


def test_timeout_ends_it(script):
    one = script('timeout 1 "$@"', kernel="button")
    one.expect("ready")
    assert one.wait() == 124
    assert one.foreground() == one.leader.pid
    assert one.settings() == one.before


def test_foreground_is_given_back_after_a_fatal_signal(script):
    one = script('timeout 60 "$@"')
    one.expect("ready")
    raw(one)
    pronto = one.children(one.pronto)[0]
    os.kill(pronto, signal.SIGSEGV)
    assert one.wait() == 128 + signal.SIGSEGV
    assert one.foreground() == one.leader.pid
    assert one.settings() == one.before


@pytest.mark.parametrize("text", ['set -m; "$@" & wait $!', 'set -m; ("$@"; exit) & wait $!'])
def test_background_of_a_script_is_one(script, text):
    one = script(text, kernel="button")
    one.expect("ready")
    assert one.foreground() == one.leader.pid
    assert one.settings() == one.before
    vm.wait_until(lambda: one.box_processes("pronto"), what="pronto")
    os.kill(one.box_processes("pronto")[0], signal.SIGTERM)
    assert one.wait() == vm.POWEROFF
    assert one.foreground() == one.leader.pid


# ---- terminals that are not the controlling one ----

def test_terminal_that_is_nobodys(start):
    """As socat's EXEC:...,pty, or a supervisor: a terminal for standard files, in a session without one."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    guest = start("echo", stdin=slave, stdout=slave, stderr=slave)
    said = b""
    while b"ready\n" not in said:
        said += os.read(master, 4096)
    vm.wait_until(lambda: not termios.tcgetattr(slave)[LFLAG] & RAW, what="raw mode")
    os.write(master, b"\x03\x1aq")
    while b"bytes 3\n" not in said:
        said += os.read(master, 4096)
    assert guest.wait().status == vm.POWEROFF
    assert said == b"ready\nbyte 0x3\nbyte 0x1a\nbyte 0x71\nbytes 3\n"
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_terminal_that_goes_away(start):
    """Whoever was there has left: the guest has no input any more, and lives."""
    master, slave = pty.openpty()
    guest = start("button", stdin=slave)
    os.close(slave)
    guest.expect("ready")
    os.close(master)
    guest.signal(signal.SIGTERM)
    assert guest.wait().status == vm.POWEROFF
