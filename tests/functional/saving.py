# SPDX-License-Identifier: MIT
"""Machines that are saved, and those that go on from there."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

import api
import vm


class Machine(api.Api):
    """One that is configured by a file and driven by `pronto ctl`."""

    def __init__(self, box, guest, words="", *, name="first", stdin=subprocess.DEVNULL, **config):
        self.box = box
        file = box.path / "tmp" / f"{name}.json"
        file.write_text(json.dumps({"kernel": vm.guest(guest), "memory": "64M", "cmdline": words, **config}), encoding="utf-8")
        super().__init__(box, "--config", file, name=name, stdin=stdin)
        assert self.ctl("start").returncode == 0
        file.unlink()

    def ctl(self, *words):
        return subprocess.run([vm.PRONTO, "ctl", self.socket, *words], env=self.box.environment(), capture_output=True, text=True,
                              timeout=vm.TIMEOUT, check=False)

    def save(self, place, *words):
        done = self.ctl("snapshot", place, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done

    def save_not(self, place, says, *words):
        done = self.ctl("snapshot", place, *words)
        assert (done.returncode, done.stdout) == (1, "") and says in done.stderr, done

    def pause(self):
        """What it has said until then is all that it has."""
        self.must("PATCH", "/vm", {"state": "Paused"})
        time.sleep(0.05)
        return self.vm.out

    def kill(self):
        """All of its processes, with no time to do anything."""
        for pid in [*children(self.vm.pid), self.vm.pid]:
            with contextlib.suppress(ProcessLookupError):  # one ends with another
                os.kill(pid, signal.SIGKILL)
        self.vm.wait()
        self.socket.unlink(missing_ok=True)


def children(pid):
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        found = [int(child) for task in tasks for child in open(f"/proc/{pid}/task/{task}/children", encoding="ascii").read().split()]
    except OSError:
        return []
    return [*found, *(grandchild for child in found for grandchild in children(child))]


class Copy(api.Api):
    """A machine that goes on from a snapshot, and is driven."""

    def __init__(self, box, place, name, **kwargs):
        self.box = box
        super().__init__(box, name=name, **kwargs)
        self.must("PUT", "/snapshot/load", {"snapshot_path": str(place), "resume_vm": True})

    pause, ctl, kill = Machine.pause, Machine.ctl, Machine.kill
    save, save_not = Machine.save, Machine.save_not


@pytest.fixture
def machine(box):
    def make(*args, **kwargs):
        return Machine(box, *args, **kwargs)
    return make


@pytest.fixture
def place(box):
    return box.path / "tmp" / "snapshot"


@pytest.fixture
def restore(box, place):
    def start(*options, path=place, **kwargs):
        return vm.Vm(box, [vm.PRONTO, "restore", *options, path], **kwargs)
    return start


@pytest.fixture
def saved(machine, place):
    """A snapshot of a machine that waits for its power button."""
    first = machine("button")
    first.vm.expect("ready")
    first.save(place)
    first.kill()
    return place


def press(process, says="a copy"):
    """Its power button, when it has noticed that it is a copy; it powers off and says what it has seen."""
    process.expect(says)
    process.signal(signal.SIGTERM)
    return process.wait()


def memory_of(place):
    found = [f for f in place.iterdir() if f.name != "state"]
    assert len(found) == 1 and re.fullmatch("memory-[0-9a-f]{32}", found[0].name), found
    return found[0]


def has_two_files(place):
    assert (place / "state").stat().st_mode & 0o777 == 0o600
    return memory_of(place).stat().st_mode & 0o777 == 0o600


def make_disk(path):
    path.write_bytes(bytes(1 << 20))
    return path
