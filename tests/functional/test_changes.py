# SPDX-License-Identifier: MIT
"""Snapshots of what has changed, and pronto merge."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import api
import vm

pytestmark = pytest.mark.kvm


class Chain:
    """Machines of which each goes on from what the one before was saved as."""

    def __init__(self, box, guest, **settings):
        self.box, self.n = box, 0
        config = box.path / "tmp" / "config.json"
        config.write_text(json.dumps({"kernel": vm.guest(guest), "memory": "64M", **settings}), encoding="utf-8")
        self.a = self.process("--config", config, "--start")

    def process(self, *options):
        self.n += 1
        return api.Api(self.box, *options, name=f"api-{self.n}", stdin=subprocess.PIPE)

    def save(self, name, kind="Full"):
        where = self.box.path / "tmp" / name
        self.a.must("PUT", "/snapshot/create", {"snapshot_path": str(where), "snapshot_type": kind})
        return where

    def end(self):
        if self.a.vm.process.poll() is None:
            self.a.vm.signal(signal.SIGKILL)
            self.a.vm.wait()

    def load(self, where):
        self.end()
        self.a = self.process()
        self.a.must("PUT", "/snapshot/load", {"snapshot_path": str(where), "resume_vm": True})


@pytest.fixture
def chain(box):
    chains = []

    def begin(*args, **settings):
        chains.append(Chain(box, *args, **settings))
        return chains[-1]
    yield begin
    for one in chains:
        one.end()


def merge(box, *paths):
    return vm.Vm(box, [vm.PRONTO, "merge", *paths]).wait()


def restore(box, where, text=b"q"):
    process = vm.Vm(box, [vm.PRONTO, "restore", where], stdin=subprocess.PIPE)
    with contextlib.suppress(BrokenPipeError):  # it is refused
        process.send(text)
    return process.wait()


def memory(where):
    file, = where.glob("memory-*")
    return file


def on_disk(path):
    return path.stat().st_blocks * 512


def test_made_whole(chain, box):
    """What two machines have typed, the one after the other, is all there in the third."""
    one = chain("template")
    one.a.vm.expect("begins ")
    one.a.vm.send(b"first ")
    one.a.vm.expect("first ")
    base = one.save("base")
    one.load(base)
    one.a.vm.send(b"second ")
    one.a.vm.expect("second ")
    changes = one.save("changes", "Diff")
    assert on_disk(memory(changes)) < on_disk(memory(base)) or on_disk(memory(base)) < 100 << 10
    result = restore(box, changes)
    assert result.status == vm.OPERATOR and "pronto merge" in result.err
    before = memory(base).read_bytes()
    assert merge(box, base, changes).status == 0
    assert memory(base).read_bytes() == before
    one.end()
    for _ in range(2):
        result = restore(box, changes, b"third q")
        assert result.status == vm.POWEROFF and "third q" in result.out
    assert sorted(f.name for f in changes.iterdir()) == sorted([memory(changes).name, "state"])


def test_a_whole_guest_of_memory(chain, box, tmp_path):
    """A disk that is written to all the time, and checked: in the merged snapshot every page is the right one."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    one = chain("busy", disk=str(disk))
    one.a.vm.expect("...")
    one.a.must("PATCH", "/vm", {"state": "Paused"})
    one.load(one.save("base"))
    for i in range(3):
        one.a.vm.expect("...")
        one.a.must("PATCH", "/vm", {"state": "Paused"})
        changes = one.save(f"changes-{i}", "Diff")
        one.end()
        assert merge(box, one.box.path / "tmp" / "base", changes).status == 0
        one.load(changes)
        shutil.rmtree(one.box.path / "tmp" / "base")
        changes.rename(one.box.path / "tmp" / "base")
    one.a.vm.expect("...")
    one.a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert one.a.vm.wait().status == vm.POWEROFF


def test_of_a_machine_from_its_entry(chain, box):
    """All has changed since then: it is whole."""
    one = chain("template")
    one.a.vm.expect("begins ")
    where = one.save("one", "Diff")
    one.end()
    assert restore(box, where).status == vm.POWEROFF
    result = merge(box, where, where)
    assert result.status == vm.OPERATOR and "is whole already" in result.err


def test_refused(chain, box, tmp_path):
    one = chain("template")
    one.a.vm.expect("begins ")
    base = one.save("base")
    other = one.save("other")
    one.load(base)
    one.a.vm.send(b"x")
    one.a.vm.expect("x")
    changes = one.save("changes", "Diff")
    one.end()
    size = memory(changes).stat().st_size
    for paths, words in (((other, changes), "changes of another snapshot"), ((base, base), "is whole already"), ((changes, changes), "pronto merge"),
                         ((base, tmp_path), "cannot open"), ((tmp_path / "none", changes), "none"), ((base,), "give two"), ((), "give two"),
                         ((base, changes, "-x"), "give two")):
        result = merge(box, *paths)
        assert result.status == vm.OPERATOR and words in result.err, (paths, result)
    os.truncate(memory(changes), size - 1)
    result = merge(box, base, changes)
    assert result.status == vm.OPERATOR and "was cut" in result.err
    assert sorted(f.name.split("-")[0] for f in changes.iterdir()) == ["memory", "state"]


def test_killed(chain, box):
    """It is whole then, or as it was."""
    one = chain("template", memory="1G")
    one.a.vm.expect("begins ")
    one.load(one.save("base"))
    one.a.vm.send(b"x")
    one.a.vm.expect("x")
    saved = one.save("changes", "Diff")
    one.end()
    base = pathlib.Path(box.path / "tmp" / "base")
    for delay in 0.1, 1, 2, 4, 8, 16:  # ms
        changes = saved.with_name(f"changes-{delay}")
        subprocess.run(["cp", "-a", "--sparse=always", saved, changes], check=True)
        vm.Vm(box, ["timeout", "-s", "KILL", f"{delay / 1000:.4f}", vm.PRONTO, "merge", base, changes]).wait()
        if restore(box, changes).status != vm.POWEROFF:
            assert merge(box, base, changes).status == 0
        assert restore(box, changes).status == vm.POWEROFF
        assert len(list(changes.iterdir())) == 2
