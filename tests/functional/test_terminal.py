# SPDX-License-Identifier: MIT
"""pronto on a terminal: raw while the guest has it, and as it was on every way out."""

import fcntl
import os
import pathlib
import pty
import signal
import termios
import threading
import time

import pytest

import vm

pytestmark = pytest.mark.kvm

LFLAG = 3


class Terminal:
    """A shell that owns a pseudo-terminal and starts one command on it.

    The shell outlives the command: when a terminal's owner ends, the terminal is hung up, and nobody
    could look at its settings.
    """

    def __init__(self, box, script, *argv):
        self.master, self.slave = pty.openpty()
        self.out = b""
        self.before = termios.tcgetattr(self.slave)
        self.status_read, status = os.pipe()
        shell = script + '\necho $? >&3; exec 3>&-; read x <&4'
        hold, self.release = os.pipe()

        def prepare():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            os.dup2(status, 103)
            os.dup2(hold, 104)
            os.dup2(103, 3)
            os.dup2(104, 4)
            os.closerange(5, 200)

        self.shell = vm.Vm(box, ["sh", "-c", shell, "sh", *argv], stdin=self.slave, stdout=self.slave,
                           stderr=self.slave, preexec_fn=prepare, close_fds=False)
        os.close(status)
        os.close(hold)
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()

    def collect(self):
        try:
            while data := os.read(self.master, 65536):
                self.out += data
        except OSError:
            pass

    def expect(self, text, timeout=vm.TIMEOUT):
        vm.wait_until(lambda: text.encode() in self.out, timeout, f"{text!r} (so far: {self.out!r})")

    def type(self, data):
        os.write(self.master, data)

    def settings(self):
        return termios.tcgetattr(self.slave)

    def is_raw(self):
        return not self.settings()[LFLAG] & (termios.ICANON | termios.ECHO | termios.ISIG)

    @property
    def pronto(self):
        """The process id of the command."""
        children = f"/proc/{self.shell.pid}/task/{self.shell.pid}/children"
        vm.wait_until(lambda: pathlib.Path(children).read_text(encoding="ascii").split(), what="the command")
        return int(pathlib.Path(children).read_text(encoding="ascii").split()[0])

    def wait(self, timeout=vm.TIMEOUT):
        """The command's exit status, as the shell has it."""
        os.set_blocking(self.status_read, False)
        said = b""
        end = time.monotonic() + timeout
        while not said.endswith(b"\n"):
            assert time.monotonic() < end, f"still runs: {self.out!r}"
            try:
                said += os.read(self.status_read, 16)
            except BlockingIOError:
                time.sleep(0.005)
        return int(said)

    def close(self):
        self.shell.kill()
        for fd in (self.master, self.slave, self.status_read, self.release):
            os.close(fd)


@pytest.fixture
def terminal(box):
    opened = []

    def open_terminal(kernel, *options, script='"$@"'):
        opened.append(Terminal(box, script, vm.PRONTO, "run", *options, vm.guest(kernel)))
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
    start = time.monotonic()
    assert one.wait() == vm.KILLED
    assert time.monotonic() - start < 1
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
    for _ in range(40):
        one.type(b"k" * 32)  # much more than is kept for the guest
    one.type(b"\x01x")
    assert one.wait() == vm.KILLED
    assert_restored(one)


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
    time.sleep(0.4)
    assert_restored(one)
    one.type(b"\x03")  # the terminal's own: SIGINT, which presses the power button
    assert one.wait() == vm.POWEROFF


def test_bad_option_leaves_the_terminal_alone(terminal):
    one = terminal("halt", "--cpus", "0")
    assert one.wait() == vm.OPERATOR
    assert_restored(one)


def test_background_job_neither_stops_nor_reads(terminal):
    """A shell with job control puts it in a process group of its own, not the terminal's."""
    one = terminal("button", "--grace", "30",
                   script='set -m; "$@" & sleep 1; kill -TERM $!; wait $!')
    one.expect("ready")
    assert not one.is_raw()
    one.type(b"typed for the shell\n")
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
    os.kill(one.shell.pid, signal.SIGKILL)
    vm.wait_until(lambda: not vm.has_status(pronto, "RSD"), what="the end")
