# SPDX-License-Identifier: MIT
"""Another file behind a drive, while the machine runs."""

import fcntl
import json
import os
import struct
import subprocess

import pytest

import vm

LIMITER = {"ops": {"size": 1000000, "refill_time": 1000, "one_time_burst": 5}}


def sectors(path, n, first):
    path.write_bytes(first * 512 * n)
    return str(path)


@pytest.fixture
def watching(serve, tmp_path):
    """A guest that tells of its disk, which is empty at first."""
    def begin(*options, **more):
        a = serve(*options)
        a.must("PUT", "/drives/place", {"drive_id": "place", "is_root_device": False, "path_on_host": sectors(tmp_path / "place", 0, b""),
                                        **more})
        a.start(vm.guest("disk"), args="watch")
        a.vm.expect("sectors 0, first byte 0x0\n")
        return a
    return begin


def ends(a, tmp_path):
    a.must("PATCH", "/drives/place", {"drive_id": "place", "path_on_host": sectors(tmp_path / "last", 1, b"q")})
    result = a.vm.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")
    vm.tap("\n".join(line for line in result.out.splitlines() if not line.startswith("sectors")))


@pytest.mark.kvm
@pytest.mark.parametrize("more", [{}, {"is_read_only": True}, {"io_engine": "Sync"}], ids=["usual", "ro", "sync"])
def test_a_drive_has_another_file(watching, tmp_path, more):
    """As who has a place for disks that come later does it."""
    a = watching(**more)
    first, second = sectors(tmp_path / "a,,b", 3, b"a"), sectors(tmp_path / "second", 2000, b"b")
    a.must("PATCH", "/drives/place", {"drive_id": "place", "path_on_host": first})
    a.vm.expect("sectors 3, first byte 0x61\n")
    assert a.drive("place")["path_on_host"] == first
    a.must("PATCH", "/drives/place", {"path_on_host": second, "rate_limiter": LIMITER})
    a.vm.expect("sectors 2000, first byte 0x62\n")
    os.truncate(second, 512 * 4000)
    a.must("PATCH", "/drives/place", {"drive_id": "place", "path_on_host": second})  # it has grown
    a.vm.expect("sectors 4000, first byte 0x62\n")
    assert a.drive("place")["path_on_host"] == second
    ends(a, tmp_path)


@pytest.fixture
def device(tmp_path):
    """A block device, and how it is made as large as that."""
    image = sectors(tmp_path / "image", 8, b"d")
    made = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no block device can be made: {made.stderr.strip()}")
    path = made.stdout.strip()

    def resize(n):
        os.truncate(image, 512 * n)
        subprocess.run(["losetup", "-c", path], check=True)
    yield path, resize
    subprocess.run(["losetup", "-d", path], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes block devices")
@pytest.mark.kvm
def test_a_drive_has_a_device(watching, device, tmp_path):
    """Which is the drive's alone, and is not when it has been let go."""
    path, resize = device
    a = watching()
    for n in 8, 16, 24:
        resize(n)
        a.must("PATCH", "/drives/place", {"path_on_host": path})
        a.vm.expect(f"sectors {n}, first byte 0x64\n")
        with pytest.raises(OSError, match="busy"):
            os.open(path, os.O_RDONLY | os.O_EXCL)
    a.must("PATCH", "/drives/place", {"path_on_host": sectors(tmp_path / "first", 3, b"a")})
    os.close(os.open(path, os.O_RDONLY | os.O_EXCL))
    ends(a, tmp_path)


@pytest.mark.kvm
def test_a_drive_has_another_file_while_paused(watching, tmp_path):
    a = watching()
    a.must("PATCH", "/vm", {"state": "Paused"})
    a.must("PATCH", "/drives/place", {"path_on_host": sectors(tmp_path / "first", 3, b"a")})
    a.must("PATCH", "/drives/place", {"path_on_host": sectors(tmp_path / "second", 4, b"b")})
    assert b"0x62" not in a.vm.out
    a.must("PATCH", "/vm", {"state": "Resumed"})
    a.vm.expect("sectors 4, first byte 0x62\n")
    assert b"0x61" not in a.vm.out
    ends(a, tmp_path)


@pytest.mark.kvm
def test_a_drive_keeps_its_file(watching, tmp_path):
    """After each refusal all is as it was, and said to be so."""
    a = watching()
    first = sectors(tmp_path / "first", 3, b"a")
    a.must("PATCH", "/drives/place", {"path_on_host": first})
    before = a.drive("place")
    with open(sectors(tmp_path / "locked", 1, b"q"), "r+b") as locked:
        fcntl.fcntl(locked, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        for path, words in [
            (locked.name, f"Device update error: {locked.name}: is in use"), ("/nowhere", "/nowhere: there is no such file"),
            (str(tmp_path), "is a directory"), ("/dev/null", "is neither a file nor a block device"), ("", "the path is empty"),
            (1, "invalid type: integer `1`"), ("/" * 5000, "5000 bytes are more than"), ("/" + "," * 4000, "File name too long"),
        ]:
            body = {"drive_id": "place", "path_on_host": path, "rate_limiter": LIMITER}
            assert words in a.fault("PATCH", "/drives/place", body), path
            assert a.drive("place") == before
    os.truncate(first, 512 * 5)
    a.must("PATCH", "/drives/place", {"path_on_host": first})
    a.vm.expect("sectors 5, first byte 0x61\n")
    ends(a, tmp_path)


@pytest.mark.kvm
def test_a_drive_has_another_file_by_ctl(watching, box, tmp_path):
    a = watching()
    body = json.dumps({"path_on_host": sectors(tmp_path / "first", 3, b"a")})
    assert vm.Vm(box, [vm.PRONTO, "ctl", a.socket, "PATCH", "/drives/place", body]).wait().status == 0
    a.vm.expect("sectors 3, first byte 0x61\n")
    ends(a, tmp_path)
