# SPDX-License-Identifier: MIT
"""Disks: what cannot be one is refused, by one line, before anything is made.  What is on them is tests/lab/test_disk.py's."""

import fcntl
import json
import os
import pathlib
import shutil
import struct
import subprocess

import pytest

import vm

NOBODY = 65534
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
IN_USE = ("is in use, by another program or as another disk; two cannot write to one: end that program, or give the disk "
          "`overlay`")
WRITTEN = "another program writes to it, or another disk; end that program, or copy the file"


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(b"")
    os.truncate(path, 1 << 20)
    return path


def refused(result, says):
    assert (result.status, result.out, result.err) == (vm.OPERATOR, "", f"pronto: error: {says}\n")


# ---- files ----

@pytest.mark.parametrize("make, says", [
    (lambda p: None, "there is no such file; `truncate -s 1G {0}` makes an empty disk"),
    (lambda p: p.mkdir(), "is a directory; a disk is a file or a block device"),
    (os.mkfifo, "is neither a file nor a block device, so it is no disk"),
    (lambda p: p.symlink_to("/dev/null"), "is neither a file nor a block device, so it is no disk"),
    (lambda p: p.symlink_to(p), "cannot open: Too many levels of symbolic links"),
    (lambda p: p.write_bytes(b""), "is empty; `truncate -s 1G {0}` makes it larger"),
    (lambda p: p.write_bytes(b"x" * 511), "is shorter than a block; `truncate -s 1G {0}` makes it larger"),
], ids=["missing", "directory", "fifo", "device", "loop", "empty", "short"])
@pytest.mark.parametrize("flags", ["", ",ro", ",overlay"])
def test_no_disk(run, tmp_path, make, says, flags):
    path = tmp_path / "disk"
    make(path)
    refused(run("poweroff", "--disk", f"{path}{flags}"), f"--disk: {path}: {says.format(path)}")


@pytest.mark.kvm
def test_odd_size(run, image):
    os.truncate(image, (1 << 20) + 100)
    result = run("poweroff", "--disk", image)
    assert result.status == vm.POWEROFF
    assert result.err == f"pronto: warn: {image}: its last 100 bytes are no whole block of 512: the guest does not see them\n"


@pytest.fixture
def as_nobody(box):
    """Run pronto as nobody, who owns the box, with files at a place that it may see."""
    place = pathlib.Path("/tmp") / f"pronto-disk-{os.getpid()}"
    place.mkdir()
    place.chmod(0o755)
    shutil.copy(vm.PRONTO, place / "pronto")
    shutil.copy(vm.guest("poweroff"), place / "poweroff.elf")
    for directory in [box.path, *box.path.iterdir()]:
        os.chown(directory, NOBODY, NOBODY)

    def run_as_nobody(*argv):
        return vm.Vm(box, [place / "pronto", *argv, place / "poweroff.elf"], cwd="/", user=NOBODY, group=NOBODY,
                     extra_groups=[], env={"TMPDIR": "/var/tmp"}).wait()
    run_as_nobody.image = place / "image"
    run_as_nobody.image.write_bytes(bytes(4096))
    yield run_as_nobody
    shutil.rmtree(place)


@ROOT_ONLY
@pytest.mark.parametrize("mode, flags, says", [
    (0o444, "", "cannot open for reading and writing: Permission denied; `ro` leaves it unwritten, and so does `overlay`"),
    (0o000, ",ro", "cannot open for reading: Permission denied"),
    (0o000, ",overlay", "cannot open for reading: Permission denied"),
])
def test_no_permission(as_nobody, mode, flags, says):
    as_nobody.image.chmod(mode)
    refused(as_nobody("run", "--disk", f"{as_nobody.image}{flags}"), f"--disk: {as_nobody.image}: {says}")


@ROOT_ONLY
@pytest.mark.parametrize("flags", [",ro", ",overlay"])
def test_permission_to_read_is_enough(as_nobody, flags):
    """It goes on to what comes next, which is KVM, usually not nobody's."""
    as_nobody.image.chmod(0o444)
    result = as_nobody("run", "--disk", f"{as_nobody.image}{flags}")
    assert "--disk" not in result.err


@ROOT_ONLY
@pytest.mark.kvm
@pytest.mark.parametrize("flags", ["", ",ro", ",overlay"])
def test_read_only_file_system(box, image, flags):
    hide = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    result = vm.Vm(box, ["unshare", "-m", "sh", "-c", hide, "sh", image.parent, vm.PRONTO, "run", "--disk", f"{image}{flags}",
                         vm.guest("poweroff")], env={"TMPDIR": "/var/tmp"}).wait()
    if flags:
        assert (result.status, result.err) == (vm.POWEROFF, "")
    else:
        refused(result, f"--disk: {image}: cannot open for reading and writing: Read-only file system; `ro` leaves it unwritten, and "
                        "so does `overlay`")


# ---- who has it ----

@pytest.mark.kvm
@pytest.mark.parametrize("first, second, says", [
    ("", "", IN_USE), ("", ",ro", WRITTEN), ("", ",overlay", WRITTEN), (",ro", "", IN_USE), (",ro", ",ro", None),
    (",overlay", "", IN_USE), (",overlay", ",overlay", None)])
def test_two_vms(start, run, image, first, second, says):
    other = start("halt", "--disk", f"{image}{first}")
    vm.wait_until(lambda: vm.takes_signals(other.pid), what="the guest")
    mine = start("poweroff", "--disk", f"{image}{second}").wait()
    if says:
        refused(mine, f"--disk: {image}: {says}")
    else:
        assert (mine.status, mine.err) == (vm.POWEROFF, "")
    other.kill()
    # Nothing stays locked.
    assert run("poweroff", "--disk", f"{image}{second}").status == vm.POWEROFF


def lock(file, kind):
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))


@pytest.mark.parametrize("kind, flags, says", [
    (fcntl.F_WRLCK, "", IN_USE), (fcntl.F_WRLCK, ",ro", WRITTEN), (fcntl.F_WRLCK, ",overlay", WRITTEN),
    (fcntl.F_RDLCK, "", IN_USE)])
def test_locked_by_another_program(run, image, kind, flags, says):
    with open(image, "r+b") as file:
        lock(file, kind)
        refused(run("poweroff", "--disk", f"{image}{flags}"), f"--disk: {image}: {says}")


def test_two_disks(run, image, tmp_path):
    refused(run("poweroff", "--disk", image, "--disk", image), f"--disk: {image}: {IN_USE}")
    kept = tmp_path / "kept"
    other = tmp_path / "other"
    other.write_bytes(bytes(4096))
    refused(run("poweroff", "--disk", f"{image},overlay={kept}", "--disk", f"{other},overlay={kept}"),
            f"--disk: {other}: overlay: {kept}: is in use by another program")


def test_two_serials(run, image):
    disks = ["--disk", f"{image},ro,serial=one", "--disk", f"{image},ro", "--disk", f"{image},ro,serial=one"]
    refused(run("poweroff", *disks), "two disks have the serial 'one'; give each its own")


# ---- overlays ----

def test_foreign_overlay(run, image, tmp_path):
    """What somebody has written is not overwritten."""
    notes = tmp_path / "notes"
    notes.write_text("notes\n")
    refused(run("poweroff", "--disk", f"{image},overlay={notes}"),
            f"--disk: {image}: overlay: {notes}: is there, and is no overlay of pronto's")
    assert notes.read_text() == "notes\n"


def test_no_place_for_an_overlay(run, image, tmp_path):
    refused(run("poweroff", "--disk", f"{image},overlay", env={"TMPDIR": str(tmp_path / "missing")}),
            f"--disk: {image}: overlay: {tmp_path}/missing: cannot make a file: No such file or directory; TMPDIR names another "
            "place")


@pytest.mark.kvm
def test_overlay_of_another_size(run, image, tmp_path):
    kept = tmp_path / "kept"
    for _ in range(2):
        assert run("poweroff", "--disk", f"{image},overlay={kept}").status == vm.POWEROFF
    assert kept.stat().st_blocks * 512 <= 16384
    os.truncate(image, 2 << 20)
    refused(run("poweroff", "--disk", f"{image},overlay={kept}"),
            f"--disk: {image}: overlay: {kept}: belongs to a disk of 1048576 bytes, and this one has 2097152")


@pytest.mark.kvm
def test_overlay_of_an_image_that_has_changed(run, image, tmp_path):
    """What it is told to do makes it fit again."""
    kept = tmp_path / "kept"
    assert run("poweroff", "--disk", f"{image},overlay={kept}").status == vm.POWEROFF
    made = image.stat().st_mtime_ns
    image.write_bytes(bytes(1 << 20))
    assert image.stat().st_mtime_ns != made
    advice = f"touch -d @{made // 10**9}.{made % 10**9:09}"
    refused(run("poweroff", "--disk", f"{image},overlay={kept}"),
            f"--disk: {image}: overlay: {kept}: the image has been changed since this was made for it, and the two no longer fit; "
            f"name another file, or, if what the image holds is the same, `{advice}` it")
    subprocess.run([*advice.split(), image], check=True)
    assert run("poweroff", "--disk", f"{image},overlay={kept}").status == vm.POWEROFF


# ---- how it is said ----

def test_too_many(run, image):
    result = run("poweroff", *["--disk", f"{image},ro"] * 18, "--rng", "on", "--rng", "on")
    assert result.status == vm.OPERATOR and result.err.count("\n") == 1
    assert "there are 20 devices, and a machine has 19 slots: leave some out" in result.err


@pytest.fixture
def settings(tmp_path):
    def write(disk):
        path = tmp_path / "vm.json"
        path.write_text(json.dumps({"disk": disk}))
        return path
    return write


@pytest.mark.parametrize("disk, says", [
    ([{"path": "/missing/a", "ro": True}, "/missing/b"], "--disk: /missing/a: there is no such file; `truncate -s 1G /missing/a` "
     "makes an empty disk"),
    (["/missing/b,ro"], "--disk: /missing/b: there is no such file; `truncate -s 1G /missing/b` makes an empty disk"),
    ([{"ro": True}], None),
    ([{"path": "/x", "ro": True, "overlay": True}], None),
    ([{"path": "/x", "size": 3}], None),
    ([{"path": "/x", "queues": 0}], None),
])
def test_json(run, settings, disk, says):
    file = settings(disk)
    result = run("poweroff", "--config", file)
    assert result.status == vm.OPERATOR
    if says:
        refused(result, says)
    else:
        assert result.err.startswith(f"pronto: error: {file}: ") and result.err.count("\n") == 1


@pytest.mark.kvm
def test_json_is_as_the_command_line(run, settings, image):
    """Both forms; and options take the place of what the file names."""
    file = settings([{"path": str(image), "ro": True, "serial": "a"}, f"{image},ro,serial=b"])
    assert run("poweroff", "--config", file).status == vm.POWEROFF
    missing = settings(["/missing/disk"])
    assert run("poweroff", "--config", missing, "--disk", image).status == vm.POWEROFF
    assert run("poweroff", "--config", missing, "--disk", "off").status == vm.POWEROFF
    refused(run("poweroff", "--config", settings([{"path": str(image), "serial": "a"}]), "--disk", f"{image},ro", "--disk", image),
            f"--disk: {image}: {IN_USE}")


@pytest.mark.kvm
def test_path_with_a_comma(run, tmp_path):
    (tmp_path / "a,b").write_bytes(bytes(4096))
    assert run("poweroff", "--disk", f"{tmp_path}/a,,b,ro").status == vm.POWEROFF


# ---- io_uring ----

NO_IO_URING = """
import ctypes, os, struct, sys
code = b"".join(struct.pack("HBBI", *i) for i in
                ((0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7fff0000)))
buffer = ctypes.create_string_buffer(code)
program = struct.pack("H6xP", 4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None)
assert not libc.prctl(38, 1, 0, 0, 0) and not libc.prctl(22, 2, program, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.kvm
@pytest.mark.parametrize("engine", ["auto", "uring", "sync"])
def test_io_uring_forbidden(box, image, engine):
    """As containers have it: who leaves the choice to pronto has a disk."""
    verbose = [] if engine == "uring" else ["-v"]
    result = vm.Vm(box, ["/usr/bin/python3", "-c", NO_IO_URING, vm.PRONTO, "run", *verbose, "--disk", f"{image},engine={engine}",
                         vm.guest("poweroff")]).wait()
    forbidden = f"{image}: io_uring: it is forbidden here (sysctl kernel.io_uring_disabled, or a filter)"
    if engine == "uring":
        refused(result, f"--disk: {forbidden}; leave engine=uring out, which is slower")
    else:
        assert result.status == vm.POWEROFF
        assert (f"{forbidden}; the disk is slower without" in result.err) == (engine == "auto")


# ---- a driver that keeps the rules ----

SECTOR, FIRST, N = 512, 16, 5
WRITTEN_BY_GUEST = b"".join(bytes((sector * 13 + i * 7 + (i >> 8)) & 0xff for i in range(SECTOR)) for sector in range(FIRST, FIRST + N))


@pytest.mark.kvm
@pytest.mark.parametrize("engine", ["uring", "sync"])
@pytest.mark.parametrize("kind", ["plain", "overlay", "kept"])
def test_sectors(run, image, tmp_path, engine, kind):
    before = os.urandom(1 << 20)
    image.write_bytes(before)
    flags = {"plain": "", "overlay": ",overlay", "kept": f",overlay={tmp_path}/kept"}[kind]
    result = run("disk", "-m", "32M", "--disk", f"{image}{flags},engine={engine}")
    assert (result.status, result.err) == (vm.POWEROFF, "")
    vm.tap(result.out)
    start, end = FIRST * SECTOR, (FIRST + N) * SECTOR
    after = before[:start] + WRITTEN_BY_GUEST + before[end:]
    assert image.read_bytes() == (after if kind == "plain" else before)
    if kind == "kept":  # docs/disks.md has its format
        data = (tmp_path / "kept").read_bytes()
        changed_s, changed_ns = divmod(image.stat().st_mtime_ns, 10**9)
        assert data[:16] == b"pronto overlay\n\0"
        assert struct.unpack_from("<IIQq", data, 16) == (2, changed_ns, 1 << 20, changed_s)
        assert data[4096:8192] == bytes((0, 0, 0b11111)) + bytes(4093)
        assert data[(1 << 20) + start:(1 << 20) + end] == WRITTEN_BY_GUEST


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace to see what is asked of the host")
@pytest.mark.kvm
@pytest.mark.parametrize("word, synced, flushed", [("lazy", True, False), ("usual", False, True)])
def test_durability(box, image, tmp_path, word, synced, flushed):
    """A driver that cannot flush has each of its writes on stable storage when it is told that it is done."""
    log = tmp_path / "calls"
    result = vm.Vm(box, ["strace", "-f", "-o", log, "-e", "trace=pwritev2,fdatasync", vm.PRONTO, "run", "-m", "32M", "--disk",
                         f"{image},engine=sync", vm.guest("disk"), "--", word], env={"ASAN_OPTIONS": "detect_leaks=0"}).wait(60)
    assert result.status == vm.POWEROFF
    vm.tap(result.out)
    calls = log.read_text()
    assert calls.count("pwritev2(") == 3 * N
    assert calls.count("RWF_DSYNC") == (3 * N if synced else 0)
    assert calls.count("fdatasync(") == (3 if flushed else 0)
