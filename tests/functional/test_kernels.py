# SPDX-License-Identifier: MIT
"""Every kernel file of kernels.py, and what is no kernel file at all, given to the binary.

A refusal is one line that names the file, exit status 2, and nothing left behind.  Needs no /dev/kvm.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

import kernels

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))
GOOD = [name for name, case in kernels.CASES.items() if case.boots]
BAD = [name for name, case in kernels.CASES.items() if not case.boots]


@pytest.fixture(name="home")
def fixture_home(tmp_path, monkeypatch):
    """A place of the test's own, cache included."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("PRONTO_CACHE_SIZE", raising=False)
    return tmp_path


def pronto(*argv, **kwargs):
    return subprocess.run([PRONTO, *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, check=False, **kwargs)


def dry_run(path, *options):
    return pronto("run", "--dry-run", *options, path)


def inspect(path):
    done = pronto("inspect", "--json", path)
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout)


def refused(path, pattern):
    """Both commands refuse the file, each for the same reason."""
    done = dry_run(path)
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (2, b""), text
    assert re.fullmatch(r"pronto: error: .*\n", text), text
    assert re.search(pattern, text), text
    status, found = inspect(path)
    assert (status, found["boots"]) == (2, False)
    assert re.search(pattern, found["reason"]), found["reason"]
    return text


def cache(home):
    return sorted(p.name for p in home.glob("xdg/pronto/*"))


def make(home, name):
    path = home / name
    path.write_bytes(kernels.CASES[name].make())
    return path


@pytest.mark.parametrize("name", GOOD)
def test_good(home, name):
    path = make(home, name)
    done = dry_run(path)
    assert (done.returncode, done.stderr) == (0, b"")
    status, found = inspect(path)
    assert (status, found["boots"], found["reason"]) == (0, True, None)
    packed = found["container"] != "ELF"
    assert len(cache(home)) == packed
    text = pronto("inspect", path)
    assert text.returncode == 0 and b"boots here:  yes" in text.stdout
    # inspect neither uses nor fills the cache; the second run finds what the first one left there.
    assert b"from the cache" not in done.stdout
    assert (b"from the cache" in dry_run(path).stdout) == packed


@pytest.mark.parametrize("name", BAD)
def test_bad(home, name):
    refused(make(home, name), kernels.CASES[name].says)
    # Cached is what unpacks to an ELF, whether that has a PVH entry or not.
    assert len(cache(home)) == name.endswith("-no-note") * (not name.startswith("elf"))


def test_no_regular_file(home):
    path = home / "kernel"
    assert str(path) in refused(path, "No such file")
    path.mkdir()
    assert str(path) in refused(path, "is a directory")
    path.rmdir()
    os.mkfifo(path)
    assert str(path) in refused(path, "is a FIFO")
    assert "/dev/null" in refused("/dev/null", "is a device")


def test_unreadable(home):
    if not os.geteuid():
        pytest.skip("root reads everything")
    path = make(home, "elf64-entry-8")
    path.chmod(0)
    assert str(path) in refused(path, "Permission denied")


def test_sparse(home):
    path = home / "kernel"
    start = time.monotonic()
    with open(path, "wb") as file:
        file.write(kernels.elf())
        file.truncate(20 << 30)
    assert str(path) in refused(path, "20480 MiB")
    assert time.monotonic() - start < 5


def test_cache_cannot_be_written(home, monkeypatch):
    path = make(home, "bzimage-xz")
    (home / "xdg").write_text("in the way")
    done = dry_run(path)
    assert done.returncode == 2
    text = done.stderr.decode()
    assert str(path) in text and str(home / "xdg" / "pronto") in text and "--no-cache" in text
    assert dry_run(path, "--no-cache").returncode == 0
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    assert dry_run(path).returncode == 0


def test_disk_full(home):
    """The cache on a file system of 64 KiB, in a mount namespace of its own."""
    path = make(home, "bare-gzip-big")
    mine = ["unshare", "-m"] if not os.geteuid() else ["unshare", "-rm"]
    (home / "xdg").mkdir()
    script = ('mount -t tmpfs -o size=64k none "$1/xdg" || exit 77; "$2" run --dry-run "$3"; status=$?; '
              'ls -A "$1/xdg/pronto"; exit $status')
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    done = subprocess.run([*mine, "sh", "-c", script, "-", home, PRONTO, path], capture_output=True,
                          timeout=60, check=False)
    if done.returncode in (1, 77):
        pytest.skip("may not mount here")
    assert (done.returncode, done.stdout) == (2, b"")
    text = done.stderr.decode()
    assert text.count("\n") == 1
    assert "No space left on device" in text and "--no-cache" in text and str(path) in text


def test_kernel_rewritten(home):
    """A new kernel in the old one's place is what boots, not what was unpacked before."""
    path = make(home, "bzimage-xz")
    dry_run(path)
    path.write_bytes(kernels.bzimage(kernels.COMPRESS["xz"](kernels.elf(notes=[]))))
    assert b"CONFIG_PVH=y" in dry_run(path).stderr


def test_whole_output(home):
    """A report that could not be written was not given."""
    path = make(home, "elf64-entry-8")
    for options in [], ["--json"]:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PRONTO, "inspect", *options, path], stdout=full, stderr=subprocess.PIPE,
                                  timeout=60, check=False)
        assert done.returncode == 1
        assert done.stderr.count(b"\n") == 1


def test_inspect_of_a_name_that_is_no_text(home):
    path = os.fsencode(home) + b"/kern\xffel"
    pathlib.Path(os.fsdecode(path)).write_bytes(kernels.elf())
    done = subprocess.run([PRONTO, "inspect", "--json", path], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["file"].endswith("/kern?el")
