# SPDX-License-Identifier: MIT
"""Snapshots that something happens to: who makes them is killed, a disk is full, memory is cut."""

import json
import os
import signal
import subprocess
import time

import pytest

import vm
from saving import children, has_two_files, make_disk, memory_of, press
from saving import machine, place, restore, saved  # noqa: F401  pylint: disable=unused-import

pytestmark = pytest.mark.kvm

LOST = "the machine's memory cannot be read any more: the file was cut, or its disk fails"


# ---- in the middle of it ----

def large(machine, box, **config):
    """One whose memory takes a while to be written."""
    initrd = box.path / "tmp" / "initrd"
    if not initrd.exists():
        initrd.write_bytes(os.urandom(24 << 20))
    first = machine("button", initrd=str(initrd), **config)
    first.vm.expect("ready")
    return first


def check_whole(place, restore):
    """What is there can be restored, and nothing else is there but what a killed process had no time to remove."""
    names = {f.name for f in place.iterdir()}
    assert "state" in names
    vm.tap(press(restore()).out)
    return len(names) == 2


def test_killed(machine, place, restore, box):
    """The whole machine goes at a random moment: the snapshot is the old one or the new one."""
    n_clean, n_old = 0, 0
    first = large(machine, box)
    first.save(place)
    first.kill()
    for i in range(12):
        first = large(machine, box)
        before = (place / "state").read_bytes()
        asked = subprocess.Popen([vm.PRONTO, "ctl", first.socket, "snapshot", place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(0.006 * i)
        first.kill()
        asked.communicate()
        n_old += (place / "state").read_bytes() == before
        n_clean += check_whole(place, restore)
    assert n_old > 0 and n_clean > 0
    first = large(machine, box)
    first.save(place)
    assert memory_of(place)


def test_killed_child(machine, place, restore, box):
    """Only who writes the memory is killed, a process where the machine is not confined: it goes on, and says so."""
    first = large(machine, box, confine="basic")
    first.save(place)
    before = (place / "state").read_bytes()
    n_killed = 0
    own = set(children(first.vm.pid))
    for i in range(10):
        asked = subprocess.Popen([vm.PRONTO, "ctl", first.socket, "snapshot", place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True)
        while asked.poll() is None:
            new = set(children(first.vm.pid)) - own
            if new:
                time.sleep(0.002 * i)
                for pid in new:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                break
        said = asked.communicate()[0]
        if asked.returncode:
            assert said == "pronto: error: refused (400): Create snapshot error: the memory cannot be written: Operation canceled\n"
            assert (place / "state").read_bytes() == before
            n_killed += 1
        before = (place / "state").read_bytes()
        assert has_two_files(place)
    assert n_killed > 0
    assert check_whole(place, restore)
    assert first.ctl("button").returncode == 0
    assert first.vm.wait().status == vm.POWEROFF


FULL = """
mount -t tmpfs -o size=4M none "$1" && mkdir "$1/old" && exec "$2" api --socket "$3" --config "$4"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_full_disk(box):
    """A message, nothing beside, and the guest goes on; what was there is there."""
    here = box.path / "tmp"
    (here / "full").mkdir()
    (here / "initrd").write_bytes(os.urandom(8 << 20))
    (here / "config").write_text(json.dumps({"kernel": vm.guest("button"), "memory": "64M", "initrd": str(here / "initrd")}), encoding="utf-8")
    process = vm.Vm(box, ["unshare", "-m", "sh", "-c", FULL, "sh", here / "full", vm.PRONTO, here / "socket", here / "config"])
    vm.wait_until((here / "socket").is_socket, what="the socket")

    def ctl(*words):
        return subprocess.run([vm.PRONTO, "ctl", here / "socket", *words], capture_output=True, text=True, check=False)
    assert ctl("start").returncode == 0
    process.expect("ready")
    inside = f"/proc/{process.pid}/root{here}/full"
    for name in "old", "new":
        done = ctl("snapshot", str(here / "full" / name))
        assert done.returncode == 1
        assert done.stderr == "pronto: error: refused (400): Create snapshot error: the memory cannot be written: No space left on device\n"
    assert os.listdir(inside) == ["old"] and os.listdir(f"{inside}/old") == []
    assert os.statvfs(inside).f_bavail * os.statvfs(inside).f_bsize > 4_000_000
    assert ctl("button").returncode == 0
    assert process.wait().status == vm.POWEROFF


def test_one_at_a_time(machine, place, restore, box):
    first = large(machine, box)
    asked = [subprocess.Popen([vm.PRONTO, "ctl", first.socket, "snapshot", place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
             for _ in range(4)]
    said = [process.communicate()[0] for process in asked]
    done = [process.returncode for process in asked]
    assert 0 in done
    assert set(said) <= {"", "pronto: error: refused (400): Create snapshot error: a snapshot is being made: wait for it\n"}, said
    assert check_whole(place, restore)


def test_end_waits_for_it(machine, place, restore, box):
    """A guest that powers off meanwhile is kept as it was."""
    first = large(machine, box)
    asked = subprocess.Popen([vm.PRONTO, "ctl", first.socket, "snapshot", place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(0.01)
    first.ctl("button")
    assert first.vm.wait().status == vm.POWEROFF
    asked.communicate()
    if (place / "state").exists():
        assert check_whole(place, restore)


# ---- memory that goes ----

@pytest.mark.parametrize("size", [0, 1 << 20])
def test_memory_is_cut(machine, place, restore, size):
    """Whether a vCPU comes upon it or a device, the file is named."""
    first = machine("busy", disk=[{"path": str(make_disk(place.parent / "disk"))}])
    first.vm.expect("." * 5)
    first.pause()
    first.save(place)
    first.kill()
    copy = restore()
    copy.expect("." * 5)
    os.truncate(memory_of(place), size)
    done = copy.wait()
    assert done.status == vm.HOST_ERROR
    assert f"pronto: error: {memory_of(place)}: {LOST}\n" in done.err


def test_memory_is_replaced(saved, restore):
    """By another file of its name: the machine keeps the one that it has."""
    copy = restore()
    vm.wait_until(lambda: vm.takes_signals(copy.pid), what="it")
    memory = memory_of(saved)
    memory.unlink()
    memory.write_bytes(b"")
    vm.tap(press(copy).out)
