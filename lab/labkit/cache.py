# SPDX-License-Identifier: MIT
"""The cache: .cache/ at the top of the source tree, spared by `make clean`.

Everything in it is made under a temporary name and renamed into place, under a lock, so a reader sees
a whole entry or none, and an interrupted run leaves nothing that a later one would trust.
"""
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time

from .program import Problem

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOT = os.path.join(TOP, '.cache')
MAX_DAYS = 30  # of what comes from an archive that moves on, and whose keys expire


def path(*parts):
    """The path of an entry; its directory exists afterwards."""
    result = os.path.join(ROOT, *parts)
    try:
        os.makedirs(os.path.dirname(result), exist_ok=True)
    except OSError as err:
        raise Problem(f'cannot make {err.filename}: {err.strerror}; '
                      'the source tree must be writable for its cache') from err
    return result


def is_recent(entry):
    """Whether an entry is there, and young enough to stand for what its archive has today."""
    return os.path.exists(entry) and time.time() - os.stat(entry).st_mtime < MAX_DAYS * 86400


@contextlib.contextmanager
def lock(name, shared=False):
    """Hold the cache's lock NAME; the kernel drops it when the process ends, however it ends."""
    try:
        fd = os.open(path(name + '.lock'), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise Problem(f'cannot open {err.filename}: {err.strerror}; use a source tree of your own') \
            from err
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def new_dir(final):
    """A fresh directory that becomes FINAL when the block ends well and vanishes when it does not."""
    tmp = tempfile.mkdtemp(prefix='.new-', dir=os.path.dirname(final))
    try:
        os.chmod(tmp, 0o755)
        yield tmp
        if os.path.isdir(final):
            shutil.rmtree(final)
        os.rename(tmp, final)
    except BaseException:
        shutil.rmtree(tmp, ignore_errors=True)
        raise


def write_file(final, data):
    """Write DATA to FINAL, whole or not at all."""
    fd, tmp = tempfile.mkstemp(prefix='.new-', dir=os.path.dirname(final))
    try:
        with os.fdopen(fd, 'wb') as out:
            out.write(data)
            os.fchmod(out.fileno(), 0o644)
        os.rename(tmp, final)
    except BaseException:
        os.unlink(tmp)
        raise


def sweep(directory, prefix='.new-'):
    """Remove what killed runs left half-made; the caller holds the directory's lock."""
    for entry in os.scandir(directory):
        if entry.name.startswith(prefix):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def digest(*parts):
    """A short name for a set of inputs: each a string, or bytes."""
    result = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        result.update(b'%d:' % len(data) + data)
    return result.hexdigest()[:16]
