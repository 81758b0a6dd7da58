# SPDX-License-Identifier: MIT
"""The pages that a machine touched after it went on from a snapshot are told in a file, by which another has them ahead."""

import pathlib
import signal
import struct
import subprocess

import pytest

import vm
from api import Api
from saving import press
from saving import machine, place, restore, saved  # noqa: F401  pylint: disable=unused-import

pytestmark = pytest.mark.kvm

PAGE, MIB = 4096, 1 << 20
HEAD = struct.Struct("<16s16s")
ENTRY = struct.Struct("<QQ")
WRITTEN = 1


def read(path):
    """The snapshot's id, and (offset, size, is written) of each run."""
    data = path.read_bytes()
    magic, number = HEAD.unpack_from(data)
    assert magic == b"pronto's pages\0\0" and (len(data) - HEAD.size) % ENTRY.size == 0
    return number, [(at, size & -PAGE, bool(size & WRITTEN)) for at, size in ENTRY.iter_unpack(data[HEAD.size:])]


def rss(pid):
    return int(pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").split("VmRSS:")[1].split()[0]) * 1024


def end_at_once(process):
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGTERM)
    return process.wait()


@pytest.fixture
def swept(machine, place):  # noqa: F811
    """A snapshot of a machine that writes 96 MiB again and again, where each page has to have what was written to it last."""
    first = machine("sweep", "96 0", memory="128M")
    first.vm.expect("..")
    first.save(place)
    first.kill()
    return place


@pytest.fixture
def recorded(swept, restore, box):  # noqa: F811
    path = box.path / "tmp" / "pages"
    process = restore("--working-set", f"record:{path}")
    process.expect("..")
    process.signal(signal.SIGTERM)
    assert process.wait().status == vm.POWEROFF
    return path


def test_what_was_touched(swept, recorded):
    number, runs = read(recorded)
    assert (swept / f"memory-{number.hex()}").exists()
    assert recorded.stat().st_mode & 0o777 == 0o600
    ends = [at + size for at, size, _ in runs]
    assert all(end <= at for end, (at, _, _) in zip(ends, runs[1:])) and ends[-1] <= 128 * MIB
    assert sum(size for _, size, is_written in runs if is_written) >= 96 * MIB
    assert 96 * MIB <= sum(size for _, size, _ in runs) < 128 * MIB


@pytest.mark.parametrize("confine", ["on", "basic", "off"])
def test_it_is_there_ahead(swept, recorded, box, confine):
    """While the guest still stands; and it finds all as it was."""
    a = Api(box, "--confine", confine)
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(swept), "working_set": str(recorded)})
    vm.wait_until(lambda: rss(a.vmm_pid()) >= 96 * MIB, what="its memory")
    assert not a.vm.out
    a.must("PATCH", "/vm", {"state": "Resumed"})
    a.vm.expect("..")
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    result = a.vm.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")


def test_without_it_nothing_is_read(swept, box):
    a = Api(box)
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(swept)})
    assert rss(a.vmm_pid()) < 16 * MIB
    a.vm.kill()


def test_recorded_by_the_api(saved, box):
    path = box.path / "tmp" / "pages"
    a = Api(box)
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(saved), "working_set": f"record:{path}", "resume_vm": True})
    a.vm.expect("a copy")
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert a.vm.wait().status == vm.POWEROFF
    assert (saved / f"memory-{read(path)[0].hex()}").exists()


def test_a_snapshot_does_not_wait_for_it(swept, recorded, box):
    a = Api(box)
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(swept), "working_set": str(recorded), "resume_vm": True})
    a.must("PUT", "/snapshot/create", {"snapshot_path": str(box.path / "tmp" / "again")})
    a.vm.expect("..")
    assert end_at_once(a.vm).err == ""


def test_of_another_snapshot(saved, restore, box):
    """It is not used, and the guest goes on."""
    path = box.path / "tmp" / "pages"
    path.write_bytes(HEAD.pack(b"pronto's pages", bytes(16)) + ENTRY.pack(0, MIB))
    done = press(restore("--working-set", path))
    assert (done.status, done.err) == (vm.POWEROFF, f"pronto: warn: --working-set: {path} is of another snapshot, and not used\n")


@pytest.mark.parametrize("entries", [[(1 << 63, PAGE)], [(0, -1 % (1 << 64))], [(1, 2)], [(0, 0)], [(128 * MIB, PAGE)], [(PAGE, 128 * MIB | WRITTEN)],
                                     [(64 * MIB, PAGE)] * 1000, []])
def test_what_cannot_be_is_left_out(saved, restore, box, entries):
    path = box.path / "tmp" / "pages"
    number = bytes.fromhex(next(file.name for file in saved.iterdir() if file.name.startswith("memory-"))[7:])
    path.write_bytes(HEAD.pack(b"pronto's pages", number) + b"".join(ENTRY.pack(*entry) for entry in entries))
    done = press(restore("--working-set", path))
    assert (done.status, done.err) == (vm.POWEROFF, "")


@pytest.mark.parametrize("content, words", [
    (b"", "is empty"), (b"pronto's pages", "is no working set"), (bytes(48), "is no working set"), (None, "cannot open: No such file"),
    (b"pronto's pages\0\0" + bytes(16) + bytes(16 * (1 << 20) + 16), "is no working set")], ids=["empty", "cut", "zeros", "none", "endless"])
def test_what_is_none_is_refused(saved, restore, box, content, words):
    path = box.path / "tmp" / "pages"
    if content is not None:
        path.write_bytes(content)
    done = restore("--working-set", path).wait()
    assert done.status == vm.OPERATOR and done.err.startswith(f"pronto: error: --working-set: {path}: {words}"), done.err


def test_where_it_cannot_be_written(saved, restore, box):
    for path, words in (box.path / "none" / "pages", "No such file or directory"), (box.path, "Is a directory"):
        done = restore("--working-set", f"record:{path}").wait()
        assert done.err == f"pronto: error: --working-set: {path}: cannot write: {words}\n" and done.status != 0


def test_not_beside_a_handler(saved, restore, box):
    done = restore("--working-set", "pages", "--from-memory", f"uffd:{box.path / 'none'}").wait()
    assert done.status == vm.OPERATOR
    assert done.err == "pronto: error: --working-set: memory that a handler brings is the handler's to bring ahead\n"


def test_another_life_is_not_recorded(machine, place, restore, box):  # noqa: F811
    path = box.path / "tmp" / "pages"
    first = machine("button", stdin=subprocess.DEVNULL, **{"on-reboot": "restart"})
    first.vm.expect("ready")
    first.save(place)
    first.kill()
    a = Api(box)
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(place), "working_set": f"record:{path}", "resume_vm": True})
    a.must("PUT", "/actions", {"action_type": "Reset"})
    a.vm.expect("ready")
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert f"--working-set: the guest was reset: {path} stays empty" in a.vm.wait().err
    assert path.stat().st_size == 0
