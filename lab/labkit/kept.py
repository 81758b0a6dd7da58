# SPDX-License-Identifier: MIT
"""The lab that --up keeps running: QEMU in the background with a socket that clients take in turn.

.cache/lab/kept/ holds the socket, the process's number and the snapshot it was restored from.  QEMU
belongs to nobody; it ends by --down, or by itself half an hour after the last command.
"""
import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import time

from . import cache, machine, session
from .program import Problem

CONNECT_SECONDS = 30


def _path(name):
    return cache.path('lab', 'kept', name)


@contextlib.contextmanager
def _address():
    """The socket's address: the path itself may be longer than an address can be."""
    fd = os.open(os.path.dirname(_path('socket')), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f'/proc/self/fd/{fd}/socket'
    finally:
        os.close(fd)


def up(shape, tell):
    """Keep a lab of SHAPE running; one that runs already is taken if it fits."""
    with cache.lock('kept'):
        if _running() and _read('snapshot') == shape.snapshot:
            tell('a lab is up already')
            return
        _end()
        with _address() as address, socket.socket(socket.AF_UNIX) as listen:
            listen.bind(address)
            listen.listen()
            kept = machine.restore(shape, listen=listen, tell=tell)
        cache.write_file(_path('pid'), str(kept.process.pid).encode())
        cache.write_file(_path('snapshot'), shape.snapshot.encode())
        try:
            _connect(kept).close()
        except BaseException:
            _end()
            raise
        tell('the lab is up; lab/lab --down ends it, and so does half an hour without a command')


def down(tell):
    """End the kept lab, if there is one."""
    with cache.lock('kept'):
        tell('the lab is down' if _end() else 'no lab was up')


@contextlib.contextmanager
def take(shape):
    """The kept lab's control port, ready for a session; None if no lab of this shape is kept and idle."""
    if not os.path.exists(_path('pid')):
        yield None
        return
    with open(_path('turn'), 'a', encoding='ascii') as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        if not _running() or _read('snapshot') != shape.snapshot:
            yield None
            return
        with contextlib.closing(_connect()) as sock:
            yield sock


def _connect(kept=None):
    """A connection on which pid 1 has said hello.

    pid 1 can overlook that one client has left if the next comes at once; then it says nothing, and
    leaving again helps.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    while time.monotonic() < deadline:
        sock = socket.socket(socket.AF_UNIX)
        try:
            with _address() as address:
                sock.connect(address)
            session.await_hello(sock, 1)
            return sock
        except (OSError, session.Gone):
            sock.close()
            if kept and kept.process.poll() is not None:
                raise Problem(f'the lab did not start\n{kept.explain()}') from None
            time.sleep(0.05)
    raise Problem('the lab that is up does not answer: end it with lab/lab --down')


def _read(name):
    try:
        with open(_path(name), encoding='utf-8') as file:
            return file.read()
    except FileNotFoundError:
        return ''


def _running():
    """The kept QEMU's process number, or None: numbers are used again, so see what it runs."""
    pid = _read('pid')
    with contextlib.suppress(OSError):
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            if pid and machine.LISTENING.encode() in file.read():
                return int(pid)
    return None


def _end():
    """End the kept QEMU and forget it; its number if there was one."""
    pid = _running()
    if pid:
        with contextlib.suppress(ProcessLookupError), _pidfd(pid) as process:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [])
    shutil.rmtree(os.path.dirname(_path('pid')), ignore_errors=True)
    return pid


@contextlib.contextmanager
def _pidfd(pid):
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)
