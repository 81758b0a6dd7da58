# SPDX-License-Identifier: MIT
"""A machine with much memory is saved while it runs; what has changed since the last snapshot is known if it is asked for."""

import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

import breach
import vm
from api import Api
from saving import Copy, has_two_files, make_disk, memory_of, press
from saving import machine, place, restore  # noqa: F401  pylint: disable=unused-import

pytestmark = pytest.mark.kvm

TOLD = tuple(int(n) for n in re.match(r"(\d+)\.(\d+)", os.uname().release).groups()) >= (6, 7)
needs_kernel = pytest.mark.skipif(not TOLD, reason="this kernel does not tell which pages are written: it is older than 6.7")

RAN = re.compile(r"the guest stood still for \d+ us, with (\d+) KiB of its memory still to be written\n")
STOOD = re.compile(r"the guest stood still for \d+ us\n")


def sweeps(machine, words="96 0", **config):
    """A machine that writes so many MiB again and again, or as often as the second word says."""
    first = machine("sweep", words, memory=f"{int(words.split()[0]) + 32}M", **{"log-level": "info", **config})
    first.vm.expect("." * int(words.split()[1]) + "done" if not words.endswith(" 0") else "..")
    return first


def goes_on(process):
    """From the moment at which it was saved: each page is looked at twice before it ends."""
    process.expect("a copy")
    process.expect("." * (process.out.count(b".") + 2))
    done = press(process)
    assert (done.status, done.err) == (vm.POWEROFF, ""), done


def on_disk(path):
    return path.stat().st_blocks * 512


def test_at_any_moment(machine, place, restore):
    """It writes faster than it is saved, so that the rest is left to a child; each snapshot is of one moment."""
    first = sweeps(machine)
    for i in range(3):
        time.sleep(0.07 * i)
        first.save(place)
        assert has_two_files(place)
        goes_on(restore())
    assert first.ctl("button").returncode == 0
    done = first.vm.wait()
    assert done.status == vm.POWEROFF
    assert len(RAN.findall(done.err)) == (3 if TOLD else 0) and len(STOOD.findall(done.err)) == (0 if TOLD else 3), done.err


def test_at_rest_nothing_is_left(machine, place, restore):
    first = sweeps(machine, "96 2")
    first.save(place)
    assert on_disk(memory_of(place)) >= 96 << 20
    assert first.ctl("button").returncode == 0
    err = first.vm.wait().err
    if TOLD:
        left, = RAN.findall(err)
        assert int(left) < 256
    assert press(restore()).status == vm.POWEROFF


def test_moves_on_and_on(machine, box, place, restore):
    """From process to process, each time while it runs."""
    current = sweeps(machine)
    for n in range(3):
        current.save(place)
        current.kill()
        current = Copy(box, place, f"copy{n}")
        current.vm.expect("..")
    assert current.ctl("button").returncode == 0
    assert current.vm.wait().status == vm.POWEROFF


@pytest.mark.parametrize("config", [{"disk": [{"path": None, "direct": True}]}, {"cpu": {"nested": True}}], ids=["direct", "nested"])
def test_what_writes_unseen(machine, place, restore, box, config):
    """The kernel does not see all that is written: such a machine is paused, and then copied."""
    for disk in config.get("disk", []):
        disk["path"] = str(make_disk(box.path / "tmp" / "disk"))
    first = sweeps(machine, **config)
    first.save(place)
    assert first.ctl("button").returncode == 0
    err = first.vm.wait().err
    assert STOOD.search(err) and not RAN.search(err), err
    goes_on(restore())


# ---- what happens meanwhile ----


def save_meanwhile(first, place, act):
    """What `act` does as soon as it is being saved; what the one who saves hears.  Who writes the memory waits until that is done, or
    for the second after which it is known to wait for who writes.
    """
    heard = []
    asker = threading.Thread(target=lambda: heard.append(first.ctl("snapshot", place)))
    actor = threading.Thread(target=act)
    writer, = breach.threads(first.vmm_pid())["pronto-writer"]
    with breach.held(writer):
        asker.start()
        vm.wait_until(place.exists, what="the snapshot's beginning")
        actor.start()
        actor.join(1)
    actor.join()
    asker.join()
    return heard[0]


@needs_kernel
def test_reset_meanwhile(machine, place):
    first = sweeps(machine, **{"on-reboot": "restart"})
    done = save_meanwhile(first, place, lambda: first.ctl("reset"))
    assert (done.returncode, done.stderr) == (
        1, "pronto: error: refused (400): Create snapshot error: the guest was reset before it could be saved\n"), done
    assert not place.exists()
    # Its next life is like the first.
    first.vm.expect("." * (first.vm.out.count(b".") + 2))


@needs_kernel
def test_end_meanwhile(machine, place):
    first = sweeps(machine)

    def end():
        first.vm.signal(signal.SIGTERM)
        first.state()
        first.vm.signal(signal.SIGTERM)
        first.vm.wait()
    done = save_meanwhile(first, place, end)
    assert done.returncode == 1 and not place.exists(), done


@needs_kernel
def test_pause_meanwhile(machine, place, restore):
    """It is saved as it stands then, and goes on to stand."""
    first = sweeps(machine)
    done = save_meanwhile(first, place, first.pause)
    assert done.returncode == 0, done
    assert first.must("GET", "/")["state"] == "Paused"
    goes_on(restore())
    first.must("PATCH", "/vm", {"state": "Resumed"})
    first.vm.expect("." * (first.vm.out.count(b".") + 3))


def test_one_at_a_time(machine, place):
    first = sweeps(machine)
    done = save_meanwhile(first, place, lambda: first.save_not(place, "a snapshot is being made: wait for it"))
    assert done.returncode == 0, done


# ---- what has changed since the last ----

def merge(base, changes):
    done = subprocess.run([vm.PRONTO, "merge", base, changes], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done


def inspect(path):
    return json.loads(subprocess.run([vm.PRONTO, "inspect", "--json", path], capture_output=True, text=True, check=True).stdout)


TRACKED = {"track-dirty-pages": True}


@needs_kernel
def test_changes_since_the_last(machine, place, restore):
    """The machine was not restored from anything: without tracking, all of it would have changed."""
    first = sweeps(machine, "96 2", **TRACKED)
    base, small, whole = place / "base", place / "small", place / "whole"
    place.mkdir()
    first.save(base)
    first.save(small, "--diff")
    first.save(whole)
    assert on_disk(memory_of(base)) >= 96 << 20 and on_disk(memory_of(whole)) >= 96 << 20
    assert on_disk(memory_of(small)) < 1 << 20
    merge(base, small)
    assert press(restore(path=small)).status == vm.POWEROFF


@needs_kernel
@pytest.mark.parametrize("pauses", [False, True], ids=["runs", "paused"])
def test_one_change_upon_another(machine, place, restore, pauses):
    first = sweeps(machine, **TRACKED)
    place.mkdir()
    last = place / "0"
    first.save(last)
    for n in range(1, 3):
        if pauses:
            first.pause()
        first.save(place / f"{n}", "--diff")
        if pauses:
            first.must("PATCH", "/vm", {"state": "Resumed"})
        merge(last, place / f"{n}")
        last = place / f"{n}"
        goes_on(restore(path=last))


@needs_kernel
def test_changes_of_a_restored_machine(machine, box, place, restore):
    """The first diff is what is no more the file's, the second what has changed since that."""
    sweeps(machine, "96 1").save(place)
    copy = Api(box)
    copy.must("PUT", "/snapshot/load", {"snapshot_path": str(place), "resume_vm": True, "track_dirty_pages": True})
    one, two = box.path / "tmp" / "one", box.path / "tmp" / "two"
    for where in one, two:
        copy.must("PUT", "/snapshot/create", {"snapshot_type": "Diff", "snapshot_path": str(where)})
    assert on_disk(memory_of(two)) < 1 << 20
    merge(place, one)
    merge(one, two)
    assert press(restore(path=two)).status == vm.POWEROFF


@needs_kernel
def test_a_life_is_no_base_of_the_next(machine, place):
    first = sweeps(machine, **TRACKED, **{"on-reboot": "restart"})
    place.mkdir()
    first.save(place / "one")
    assert first.ctl("reset").returncode == 0
    first.vm.expect("." * (first.vm.out.count(b".") + 2))
    first.save(place / "two", "--diff")
    assert inspect(place / "two")["memory"]["whole"]


@needs_kernel
def test_by_the_api(box):
    """As Firecracker's clients have it: the machine is paused by them."""
    api, place = Api(box), box.path / "tmp"
    api.start(vm.guest("sweep"), "96 2", track_dirty_pages=True)
    api.vm.expect("..done")
    api.must("PATCH", "/vm", {"state": "Paused"})
    for kind, name in ("Full", "one"), ("Diff", "two"):
        api.must("PUT", "/snapshot/create", {"snapshot_type": kind, "snapshot_path": str(place / name), "mem_file_path": str(place / f"{name}.mem")})
    assert on_disk(place / "one.mem") >= 96 << 20 and on_disk(place / "two.mem") < 1 << 20
