# SPDX-License-Identifier: MIT
"""Every kernel file of kernels.py, and what is no kernel file at all, given to the binary.

A refusal is one line that names the file, exit status 2, and nothing left behind.  Needs no /dev/kvm.
"""

import json
import os
import pathlib
import re
import resource
import shutil
import subprocess

import pytest

import kernels

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))
GOOD = [name for name, case in kernels.CASES.items() if case.boots]
BAD = [name for name, case in kernels.CASES.items() if not case.boots and not case.shim]
SHIM = [name for name, case in kernels.CASES.items() if case.shim]


@pytest.fixture(name="home")
def fixture_home(tmp_path, monkeypatch):
    """A place of the test's own, cache included."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("PRONTO_CACHE_SIZE", raising=False)
    return tmp_path


def pronto(*argv, **kwargs):
    return subprocess.run([PRONTO, *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, check=False, **kwargs)


def dry_run(path, *options, **kwargs):
    return pronto("run", "--dry-run", *options, path, **kwargs)


def inspect(path):
    done = pronto("inspect", "--json", path)
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("words, named", [(["acpi=off"], "acpi=off"), (["quiet", "nolapic"], "nolapic"),
                                          (["noapic"], "noapic"), (["acpi=offline", "--", "acpi=off"], None)])
def test_words_that_linux_does_not_survive(home, words, named):
    """Told before the start; other kernels may have a word of that name."""
    linux, other = home / "linux", home / "other"
    linux.write_bytes(kernels.elf(
        loads=[kernels.Load(kernels.MIB, kernels.CODE + b"Linux version 6.6.6-test")]))
    other.write_bytes(kernels.elf())
    for path, warns in (linux, named), (other, None):
        done = pronto("run", "--dry-run", path, "--", *words)
        assert done.returncode == 0
        assert done.stderr.decode().startswith(f"pronto: warn: the command line says {warns}: ") == bool(warns)


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


@pytest.mark.parametrize("name", SHIM)
def test_through_shim(home, name):
    """Boots through pvh-shim, and by --no-shim not at all."""
    path = make(home, name)
    for _ in range(2):
        done = dry_run(path)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"\nthrough: pvh-shim\n" in done.stdout
    status, found = inspect(path)
    assert (status, found["boots"], found["through_shim"], found["reason"]) == (0, True, True, None)
    assert b"boots here:  yes, through pvh-shim" in pronto("inspect", path).stdout
    done = dry_run(path, "--no-shim")
    assert (done.returncode, done.stdout) == (2, b"")
    text = done.stderr.decode()
    assert re.search(kernels.CASES[name].says + ".*; or leave out --no-shim\n$", text), text


def test_no_entry_is_remembered(home):
    """That a bzImage has no PVH entry is known the second time, at the price of a few bytes."""
    path = make(home, "shim-bzimage-zstd")
    first = dry_run(path)
    entry, = (home / "xdg" / "pronto").iterdir()
    assert entry.stat().st_size < 100
    # It is read, not made again.
    inode = entry.stat().st_ino
    assert dry_run(path).stdout == first.stdout
    assert entry.stat().st_ino == inode
    assert dry_run(path, "--no-cache").stdout == first.stdout
    # Nobody else's file of that name is believed.
    entry.chmod(0o600)
    entry.write_bytes(b"pronto: this kernel has no PVH entry?")
    assert dry_run(path).stdout == first.stdout


@pytest.mark.parametrize("name", [*SHIM, "bzimage-xz", "elf64-entry-8", "elf32-entry-4"])
def test_shim_always(home, name):
    """A bzImage goes in whole, PVH entry or not, and is not unpacked; what is no Linux is refused."""
    path = make(home, name)
    done = dry_run(path, "--shim=always")
    if name in SHIM:
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"\nthrough: pvh-shim\n" in done.stdout
        assert len(cache(home)) == ("bare" in name)
    else:
        assert (done.returncode, done.stdout) == (2, b"")
        assert re.search(b"64-bit entry, which pvh-shim needs|no 64-bit Linux, and pvh-shim boots nothing else",
                         done.stderr)


def test_shim_is_handed_the_whole_kernel(home):
    """Byte for byte a bzImage; of an ELF, no more than is to be loaded."""
    path = make(home, "shim-bzimage-gzip")
    assert re.search(rf"\n  0x\S+  kernel, {path.stat().st_size} bytes\n", dry_run(path).stdout.decode())
    sizes = {name: re.search(r"kernel, (\d+) bytes", dry_run(make(home, name)).stdout.decode()).group(1)
             for name in ("shim-elf", "shim-elf-debug")}
    assert sizes["shim-elf"] == sizes["shim-elf-debug"]


def test_shim_needs_room(home):
    path = make(home, "shim-bzimage-gzip")
    path.write_bytes(kernels.bzimage_64(kernels.COMPRESS["gzip"](kernels.elf(notes=[])), init_size=32 * kernels.MIB))
    done = dry_run(path, "-m", "47M")
    assert done.returncode == 2
    assert (b"the kernel unpacks itself to 32M from 0x1000000 on, and not all of that is RAM: "
            b"give the guest 48M of memory or more\n") in done.stderr
    assert dry_run(path, "-m", "48M").returncode == 0


def test_more_than_1_gib(home):
    """What unpacks to so much, and needs it, boots as it would uncompressed."""
    path, size = home / "kernel", 1100 * kernels.MIB
    path.write_bytes(kernels.bomb("zstd", 1101, kernels.elf(loads=[
        kernels.Load(kernels.BASE, memsz=size, lies={"p_filesz": size})])))
    assert path.stat().st_size < 100000
    assert inspect(path)[1]["memory"] == 2048 * kernels.MIB
    done = dry_run(path, "-m", "2G")
    assert (done.returncode, done.stderr) == (0, b"")


def test_source_that_others_can_write(home):
    """It is unpacked each time, and who wonders why is told."""
    path = make(home, "bzimage-xz")
    path.chmod(0o664)
    for _ in range(2):
        done = dry_run(path, "-v")
        assert done.returncode == 0 and b", not cached as others can write to it" in done.stderr
    assert not cache(home)
    path.chmod(0o644)
    assert b"not cached" not in dry_run(path, "-v").stderr
    assert len(cache(home)) == 1


@pytest.mark.parametrize("name, owner", [("elf64-entry-8", "Xen"), ("elf-other-owner", "NuttX"),
                                         ("elf-owner-without-nul", "Xen"), ("elf-no-owner", "(none)")])
def test_owner_of_the_entry(home, name, owner):
    path = make(home, name)
    assert inspect(path)[1]["pvh_entry_owner"] == owner
    text = pronto("inspect", path).stdout.decode()
    assert (f", by a note of {owner}, not of Xen: Xen refuses it\n" in text) == (name != "elf64-entry-8")


def test_kernel_for_initrd(home):
    """Linux can do nothing with it; Xen could."""
    linux, other, initrd = make(home, "bzimage-xz"), make(home, "elf64-entry-8"), make(home, "bare-gzip-initrd")
    for kernel, given, name in (linux, other, "an ELF"), (linux, linux, "a bzImage"):
        done = dry_run(kernel, "-i", given)
        assert (done.returncode, done.stderr.decode()) == (
            0, f"pronto: warn: {given}: it is {name} and no initrd: are kernel and initrd swapped?\n")
    for kernel, given in (linux, initrd), (other, other), (other, linux):
        done = dry_run(kernel, "-i", given)
        assert (done.returncode, done.stderr) == (0, b"")


def test_no_regular_file(home):
    """A directory is looked at as a snapshot: test_inspect_snapshot.py."""
    path = home / "kernel"
    assert str(path) in refused(path, "No such file")
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
    with open(path, "wb") as file:
        file.write(kernels.elf())
        file.truncate(20 << 30)
    assert str(path) in refused(path, "20480 MiB")


def goes_without_cache(home, done, cause="Not a directory"):
    """One warning, and the kernel boots."""
    text = done.stderr.decode()
    assert done.returncode == 0, text
    assert re.fullmatch(rf"pronto: warn: .*{re.escape(str(home / 'xdg' / 'pronto'))}.*{cause}.*--no-cache.*\n", text)
    assert b"from the cache" not in done.stdout


@pytest.mark.parametrize("name", ["bare-gzip-big", "shim-bare-gzip"])
def test_file_size_limit(home, name):
    """What the cache may not write goes to memory, if the limit may be lifted for that."""
    path = make(home, name)
    if name == "bare-gzip-big":
        goes_without_cache(home, dry_run(path, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (100000, resource.RLIM_INFINITY))), "File too large")
    else:
        # Looked at twice, warned once.
        (home / "xdg").write_text("in the way")
        goes_without_cache(home, dry_run(path))


def test_cache_cannot_be_written(home, monkeypatch):
    path = make(home, "bzimage-xz")
    (home / "xdg").write_text("in the way")
    goes_without_cache(home, dry_run(path))
    done = dry_run(path, "--no-cache")
    assert (done.returncode, done.stderr) == (0, b"")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    assert dry_run(path).returncode == 0


def test_disk_full(home):
    """The cache on a file system of 64 KiB, in a mount namespace of its own."""
    path = make(home, "bare-gzip-big")
    mine = ["unshare", "-m"] if not os.geteuid() else ["unshare", "-rm"]
    (home / "xdg").mkdir()
    script = ('mount -t tmpfs -o size=64k none "$1/xdg" || exit 77; "$2" run --dry-run "$3"; status=$?; '
              'test -z "$(ls -A "$1/xdg/pronto")" && exit $status')
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    done = subprocess.run([*mine, "sh", "-c", script, "-", home, PRONTO, path], capture_output=True,
                          timeout=60, check=False)
    if done.returncode == 77 or b"unshare" in done.stderr:
        pytest.skip("may not mount here")
    goes_without_cache(home, done, "No space left on device")


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
