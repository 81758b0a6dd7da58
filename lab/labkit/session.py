# SPDX-License-Identifier: MIT
"""One command in a lab, seen from the host; lab/pid1/frame.h describes what is said on the way."""
import errno
import fcntl
import math
import os
import select
import signal
import socket
import struct
import sys
import termios
import time
import tty

from .program import Problem

(TIME, DIRECTORY, ENV, ARG, OUT, TERMINAL, WINDOW, RUN, STDIN, KNOCK) = range(1, 11)
(HELLO, STDOUT, STDERR, EXIT) = range(64, 68)
HEADER = struct.Struct('<II')
MAX_STRING = 1 << 17  # Linux's own limit for one argument
MAX_STRINGS = 8192
HELLO_FRAME = HEADER.pack(HELLO, 28) + b'pronto lab ready, protocol 1'
CHUNK = 32768
KNOCK_MS = 2000  # without a word from the lab


class Gone(Problem):
    """The machine ended, or never answered."""


def await_hello(sock, seconds, explain=lambda: ''):
    """Wait until pid 1 offers a session; pass over what an interrupted one may have left."""
    seen = b''
    deadline = time.monotonic() + seconds
    while HELLO_FRAME not in seen:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = sock.recv(CHUNK)
        except socket.timeout as err:
            raise Gone(f'the lab did not come up within {seconds} s\n{explain()}') from err
        except ConnectionResetError:
            data = b''
        if not data:
            raise Gone(f'the lab ended while it came up\n{explain()}')
        seen = (seen + data)[-CHUNK:]
    sock.settimeout(None)


def frame(kind, payload=b''):
    return HEADER.pack(kind, len(payload)) + payload


class Session:
    """Runs ARGV on the other end of SOCK, in the caller's directory and environment; ALONE: without any
    input or terminal of the caller's."""

    def __init__(self, sock, argv, out=None, deadline=None, alone=False):
        self._sock = sock
        self._argv, self._out, self._deadline = argv, out, deadline
        self._to_send = bytearray()
        self._received = bytearray()
        # A job in the background gets no input: to ask the terminal for any would stop it.
        self._stdin_open = not alone and not _in_background()
        self._on_terminal = os.isatty(0) and os.isatty(1) and self._stdin_open

    def run(self):
        """The command's exit status as a shell has it, or None if the deadline passed first."""
        self._describe()
        if not self._on_terminal:
            return self._relay()
        saved = termios.tcgetattr(0)
        wake, on_resize = os.pipe()
        os.set_blocking(on_resize, False)
        signal.set_wakeup_fd(on_resize, warn_on_full_buffer=False)
        signal.signal(signal.SIGWINCH, lambda *_: None)
        try:
            tty.setraw(0)
            return self._relay(wake)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            os.close(wake)
            os.close(on_resize)

    def _describe(self):
        strings = [os.fsencode(arg) for arg in self._argv]
        environment = [key + b'=' + value for key, value in os.environb.items()
                       if key != b'PRONTO_LAB'] + [b'PRONTO_LAB=1']
        if max(map(len, strings + environment)) >= MAX_STRING or len(strings) > MAX_STRINGS:
            raise Problem('the command line is too long for the lab: put it in a script')
        try:
            directory = os.getcwd()
        except FileNotFoundError as err:
            raise Problem('the current directory is gone: change to one that exists') from err
        frames = [
            frame(TIME, struct.pack('<Q', time.time_ns()) + os.urandom(32)),
            frame(DIRECTORY, os.fsencode(directory)),
            *(frame(ENV, text) for text in environment), *(frame(ARG, text) for text in strings)]
        if self._out:
            frames.append(frame(OUT, os.fsencode(self._out)))
        if self._on_terminal:
            frames.append(frame(TERMINAL, _window()))
        self._to_send += b''.join(frames) + frame(RUN)
        if not self._stdin_open:
            self._to_send += frame(STDIN)

    def _relay(self, wake=None):
        """Carry bytes until the command's end.  Output blocks us when its reader is slow, and by that
        the command: nothing piles up."""
        self._sock.setblocking(False)
        status = None
        while status is None:
            poll = select.poll()
            poll.register(self._sock, select.POLLIN | (select.POLLOUT if self._to_send else 0))
            if self._stdin_open and len(self._to_send) < 2 * CHUNK:
                poll.register(0, select.POLLIN)
            if wake is not None:
                poll.register(wake, select.POLLIN)
            events = dict(poll.poll(min(self._patience(), KNOCK_MS)))
            if not events and self._patience() == 0:
                return None
            if not events and not self._to_send:
                self._to_send += frame(KNOCK)
            if 0 in events:
                self._take_stdin()
            if wake in events:
                os.read(wake, 64)
                self._to_send += frame(WINDOW, _window())
            if self._to_send:
                self._send()
            if self._sock.fileno() in events:
                status = self._receive()
        return os.waitstatus_to_exitcode(status) % 256 if status & 0x7f == 0 else 128 + (status & 0x7f)

    def _patience(self):
        if self._deadline is None:
            return math.inf
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def _take_stdin(self):
        try:
            data = os.read(0, CHUNK)
        except OSError as err:
            if err.errno in (errno.EAGAIN, errno.EINTR):
                return
            data = b''  # closed, or a terminal that is not ours to read
        self._stdin_open = bool(data)
        self._to_send += frame(STDIN, data)

    def _send(self):
        try:
            del self._to_send[:self._sock.send(self._to_send)]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # reading tells

    def _receive(self):
        """The wait status once it is here."""
        try:
            data = self._sock.recv(4 * CHUNK)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data = b''
        if not data:
            raise Gone('the lab ended before the command did')
        self._received += data
        while len(self._received) >= HEADER.size:
            kind, size = HEADER.unpack_from(self._received)
            end = HEADER.size + size
            if len(self._received) < end:
                break
            payload = bytes(self._received[HEADER.size:end])
            del self._received[:end]
            if kind in (STDOUT, STDERR):
                _write(1 if kind == STDOUT else 2, payload)
            elif kind == EXIT:
                return struct.unpack('<i', payload)[0]
        return None


def _in_background():
    """Whether standard input is a terminal that another job has; one that is not our controlling terminal knows no jobs."""
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:
        return False


def _window():
    rows, columns = struct.unpack('HHHH', fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))[:2]
    return struct.pack('<HH', rows, columns)


def _write(fd, data):
    while data:
        try:
            data = data[os.write(fd, data):]
        except BlockingIOError:
            select.select([], [fd], [])
        except BrokenPipeError:
            sys.exit(128 + signal.SIGPIPE)  # as any command whose reader has left
