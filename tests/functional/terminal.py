# SPDX-License-Identifier: MIT
"""A pseudo-terminal with a program on it, and whoever sits at it."""

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import termios
import threading

import vm

LFLAG = 3
RAW = termios.ICANON | termios.ECHO | termios.ISIG
MARK = b"\x1f so far \x1f"


class Terminal:
    """What a session's leader, with its children, sees as its controlling terminal.

    The leader outlives what it starts: when a terminal's owner ends, the terminal is hung up, and nobody could look at its
    settings.
    """

    def __init__(self, box, argv, answers=None, **popen):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", 50, 1000, 0, 0))  # no line is wrapped
        self.out = b""
        self.answers = answers or {}
        self.leader = vm.Vm(box, argv, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **popen)
        self.stop_read, self.stop = os.pipe()
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()

    def collect(self):
        """Read, and answer as a terminal does, until close()."""
        while self.stop_read not in (ready := select.select([self.master, self.stop_read], [], [])[0]) and ready:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the last of those on it has left
                return
            self.out += data
            for question in re.findall(b"|".join(map(re.escape, self.answers)) or b"(?!)", data):
                os.write(self.master, self.answers[question])

    def expect(self, text, timeout=vm.TIMEOUT):
        vm.wait_until(lambda: text.encode() in self.out, timeout, f"{text!r} (so far: {self.out!r})")

    def catch_up(self):
        """Until all that was written to the terminal is in `out`: what is written now comes behind it."""
        if self.reader.is_alive():
            os.write(self.slave, MARK)
            self.expect(MARK.decode())
            self.out = self.out.replace(MARK, b"")

    def type(self, data):
        """All of it, however slowly it is taken."""
        while data:
            data = data[os.write(self.master, data):]

    def settings(self):
        return termios.tcgetattr(self.slave)

    def is_raw(self):
        return not self.settings()[LFLAG] & RAW

    def unread(self):
        """What was typed and nobody has read, in any mode."""
        settings = self.settings()
        raw = [*settings[:LFLAG], settings[LFLAG] & ~RAW, *settings[LFLAG + 1:]]
        termios.tcsetattr(self.slave, termios.TCSANOW, raw)
        found = os.read(self.slave, 4096) if select.select([self.slave], [], [], 0)[0] else b""
        termios.tcsetattr(self.slave, termios.TCSANOW, settings)
        return found

    def foreground(self):
        return os.tcgetpgrp(self.master)

    def children(self, pid=None):
        pid = pid or self.leader.pid
        return [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]

    def box_processes(self, name):
        """Those of this name that were started here, or by what was."""
        return [pid for pid in self.leader.box.processes()
                if pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == name]

    def stop_reading(self):
        if self.reader.is_alive():
            os.write(self.stop, b"x")
        self.reader.join(vm.TIMEOUT)
        assert not self.reader.is_alive()

    def close(self):
        self.stop_reading()
        self.leader.kill()
        for pid in self.leader.box.processes():  # jobs, which have groups of their own
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for fd in (self.master, self.slave, self.stop_read, self.stop):
            os.close(fd)


class Script(Terminal):
    """A shell that runs a script and tells its exit status, then waits."""

    def __init__(self, box, script, *argv, **kwargs):
        self.status_read, status = os.pipe()
        hold, self.hold = os.pipe()
        shell = f'{script}\necho $? >&{status}; exec {status}>&-; read x <&{hold}'
        # dash has descriptors of one digit only.
        super().__init__(box, ["bash", "-c", shell, "sh", *argv], pass_fds=(status, hold), **kwargs)
        os.close(status)
        os.close(hold)

    @property
    def pronto(self):
        """The process id of the command."""
        vm.wait_until(self.children, what="the command")
        return self.children()[0]

    def wait(self, timeout=vm.TIMEOUT):
        """The script's exit status, as the shell has it."""
        os.set_blocking(self.status_read, False)
        said = b""

        def has_said():
            nonlocal said
            try:
                said += os.read(self.status_read, 16)
            except BlockingIOError:
                pass
            return said.endswith(b"\n")
        vm.wait_until(has_said, timeout, f"the end (so far: {self.out!r})")
        self.catch_up()
        return int(said)

    def close(self):
        super().close()
        os.close(self.status_read)
        os.close(self.hold)


class Shell(Terminal):
    """An interactive bash, with job control, as a person has it."""

    PROMPT = "$> "

    def __init__(self, box, **kwargs):
        super().__init__(box, ["bash", "--norc", "--noprofile", "-i"], env={"PS1": self.PROMPT, "TERM": "dumb"}, **kwargs)
        self.at = 0
        self.prompt()

    def until(self, text, timeout=vm.TIMEOUT):
        """Wait for `text` after what was waited for before; what stands between them."""
        vm.wait_until(lambda: text.encode() in self.out[self.at:], timeout, f"{text!r} (so far: {self.out!r})")
        begin, self.at = self.at, self.out.index(text.encode(), self.at) + len(text)
        return self.out[begin:self.at - len(text)].decode()

    def prompt(self):
        """It prompts, and listens: readline has set the terminal."""
        said = self.until(self.PROMPT)
        vm.wait_until(lambda: not self.settings()[LFLAG] & termios.ICANON, what="readline")
        return said

    def command(self, line):
        """What it says, up to the next prompt."""
        self.type(line.encode() + b"\n")
        self.until(line + "\r\n")
        return self.prompt()

    def begin(self, line):
        self.type(line.encode() + b"\n")
        self.until(line + "\r\n")
