# SPDX-License-Identifier: MIT
"""How the project's Python programs begin and end: one sentence for whoever is at the keyboard, never a traceback.

Import it before anything that takes time: from then on Ctrl-C ends the program in silence.
"""
import signal
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
# pylint: disable=wrong-import-position
import os
import subprocess
import sys

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Problem(Exception):
    """What is wrong and what to do about it, in one sentence for the person at the keyboard."""


def ask(command, cwd=None):
    """What one of Debian's programs comes to, which reads nothing: a CompletedProcess with its text, in plain words."""
    try:
        return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True,
                              errors='replace', env={**os.environ, 'LC_ALL': 'C.UTF-8'})
    except FileNotFoundError as err:
        raise Problem(f'{command[0]} is not here: this needs Debian or a relative of it') from err


def run(main, name, failed=1):
    """Call MAIN with the arguments, and end the process with the status it returns (None: 0), or with FAILED
    after saying what was wrong, as NAME.  A signal ends it by way of every `finally`, a reader who has left
    without a word."""
    _fill_standard_fds()
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end_by)
    # A file's name may be any bytes.
    sys.stdout.reconfigure(errors='surrogateescape')
    status, words = _outcome(main, failed)
    try:
        if words:
            print(f'{name}: {words}', file=sys.stderr, flush=True)
        sys.stdout.flush()
    except OSError as err:
        status, _ = _judge(err, failed)
    _forget_unwritten()
    sys.exit(status)


def _outcome(main, failed):
    """The status to end with, and what is to be said."""
    try:
        try:
            end = main(sys.argv[1:]) or 0
        except SystemExit as ended:
            end = ended.code or 0
        # What is printed waits in a buffer: that it cannot be written is known only now.
        sys.stdout.flush()
        return (end, None) if isinstance(end, int) else (failed, end)
    except (Problem, OSError, subprocess.SubprocessError, MemoryError) as err:
        return _judge(err, failed)


def _judge(err, failed):
    if isinstance(err, BrokenPipeError):
        return 128 + signal.SIGPIPE, None
    if isinstance(err, OSError):
        what = f'{os.fsdecode(err.filename)}: ' if isinstance(err.filename, (str, bytes)) else ''
        return failed, what + (err.strerror or str(err))
    if isinstance(err, subprocess.CalledProcessError):
        how = f'ended with status {err.returncode}' if err.returncode >= 0 else f'was ended by signal {-err.returncode}'
        return failed, f'{os.path.basename(err.cmd[0])} {how}'
    if isinstance(err, subprocess.TimeoutExpired):
        return failed, f'{os.path.basename(err.cmd[0])} was not done within {err.timeout:.3g} s'
    if isinstance(err, MemoryError):
        return failed, 'there is not enough memory'
    return failed, str(err)


def _end_by(number, _frame):
    sys.exit(128 + number)


def _fill_standard_fds():
    """A closed standard descriptor must not become one of ours."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            break
        os.set_inheritable(fd, True)
    for name, fd in (('stdout', 1), ('stderr', 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, 'w', encoding='utf-8', closefd=False))


def _forget_unwritten():
    """What could not be written must not be tried again when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
