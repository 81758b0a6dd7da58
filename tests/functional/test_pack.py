# SPDX-License-Identifier: MIT
"""pronto pack: the file appears whole under its name, or not at all.  Needs no /dev/kvm."""

import os
import pathlib
import resource
import signal
import subprocess
import time

import pytest

import kernels

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))
LIMIT = 60


@pytest.fixture(name="kernel")
def fixture_kernel(tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(kernels.CASES["shim-elf"].make())
    return path


def pack(*argv, **kwargs):
    return subprocess.run([PRONTO, "pack", *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=LIMIT, check=False, **kwargs)


def names(path):
    return sorted(p.name for p in path.iterdir())


def boots(path):
    done = subprocess.run([PRONTO, "inspect", path], capture_output=True, timeout=LIMIT, check=False)
    return b"boots here:  yes" in done.stdout


def test_new_and_replaced(tmp_path, kernel):
    """Over an input, too, and over a link to something else, which stays."""
    other = tmp_path / "other"
    other.write_bytes(b"other")
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "dir").mkdir()
    for output in "new", "link", "dir/new", "kernel":
        done = pack(kernel, "-o", tmp_path / output, preexec_fn=lambda: os.umask(0o027))
        assert (done.returncode, done.stderr) == (0, b"")
        assert boots(tmp_path / output)
        assert (tmp_path / output).lstat().st_mode & 0o7777 == 0o640
    assert other.read_bytes() == b"other"
    assert names(tmp_path) == ["dir", "kernel", "link", "new", "other"]
    assert names(tmp_path / "dir") == ["new"]


def test_in_the_current_directory(tmp_path, kernel):
    assert pack(kernel, "-o", "new", cwd=tmp_path).returncode == 0
    assert boots(tmp_path / "new")


def test_kernel_for_initrd(tmp_path, kernel):
    done = pack(kernel, "-i", kernel, "-o", tmp_path / "new")
    assert done.returncode == 0
    assert done.stderr.decode() == (
        f"pronto: warn: {kernel}: it is an ELF and no initrd: are kernel and initrd swapped?\n")


def test_refused(tmp_path, kernel):
    (tmp_path / "dir").mkdir()
    for output, status, words in (("dir", 2, b"is no regular file"), ("nowhere/new", 2, b"No such file"),
                                  ("kernel/new", 2, b"Not a directory"), ("n" * 300, 1, b"File name too long")):
        done = pack(kernel, "-o", tmp_path / output)
        assert done.returncode == status and words in done.stderr, done.stderr
    assert names(tmp_path) == ["dir", "kernel"]


def copied(process, directory):
    """What the process has written so far to a file in the making."""
    for fd in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            name = os.readlink(fd)
            if name.startswith(f"{directory}/") and (name.endswith(" (deleted)") or "/.new-" in name):
                return os.stat(fd).st_size
        except OSError:
            pass
    return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_meanwhile(tmp_path, kernel, number):
    """With an initrd that takes time: nothing is left behind, and what was there stays."""
    with open(tmp_path / "initrd", "wb") as file:
        file.truncate(2 << 30)
    (tmp_path / "new").write_bytes(b"old")
    with subprocess.Popen([PRONTO, "pack", kernel, "-i", tmp_path / "initrd", "-o", tmp_path / "new"]) as process:
        start = time.monotonic()
        while not copied(process, tmp_path):
            assert process.poll() is None and time.monotonic() - start < LIMIT
        process.send_signal(number)
        assert process.wait(LIMIT) == -number
    assert names(tmp_path) == ["initrd", "kernel", "new"]
    assert (tmp_path / "new").read_bytes() == b"old"


def test_disk_full(tmp_path, kernel):
    """Over the limit of a file's size, which is as good as a full disk."""
    with open(tmp_path / "initrd", "wb") as file:
        file.truncate(1 << 20)
    done = pack(kernel, "-i", tmp_path / "initrd", "-o", tmp_path / "new",
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000)))
    assert done.returncode == 1 and b"File too large" in done.stderr
    assert names(tmp_path) == ["initrd", "kernel"]
