# SPDX-License-Identifier: MIT
"""Machines that begin with one snapshot: pronto clone, pronto serve."""

import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import time

import pytest

import api
import vm

pytestmark = pytest.mark.kvm


@pytest.fixture
def saved(box):
    """Save a machine with this guest when it has said that, and kill it as it is; where."""
    def save(guest, text="ready", whole=True, **settings):
        settings = {"kernel": vm.guest(guest), "memory": "64M", **settings}
        config = box.path / "tmp" / "config.json"
        config.write_text(json.dumps(settings), encoding="utf-8")
        a = api.Api(box, "--config", config, "--start", name="saved")
        a.vm.expect(text)
        vm.wait_until(lambda: not whole or a.vm.out.endswith(b"\n"), what="the line's end")
        where = box.path / "tmp" / "snapshot"
        a.must("PATCH", "/vm", {"state": "Paused"})
        a.must("PUT", "/snapshot/create", {"snapshot_path": str(where)})
        a.vm.signal(signal.SIGKILL)
        a.vm.wait()
        vm.wait_until(lambda: box.processes() == [])
        vm.wait_until(lambda: not (box.path / "tmp" / "saved.sock").exists(), what="its removal")
        return where
    return save


@pytest.fixture
def clone(box):
    def start(*options, **kwargs):
        return vm.Vm(box, [vm.PRONTO, "clone", *options], **kwargs)
    return start


def is_served(path):
    try:
        api.connect(path).close()
    except OSError:
        return False
    return True


@pytest.fixture
def serve(box):
    """Its process, and its socket."""
    def start(where, *options, **kwargs):
        path = box.path / "tmp" / "serve.sock"
        server = vm.Vm(box, [vm.PRONTO, "serve", where, "--socket", path, *options], **kwargs)
        vm.wait_until(lambda: is_served(path) or server.process.poll() is not None, what="the socket")
        return server, path
    return start


def machines(box, program="pronto"):
    """Those of the processes in which a vCPU's thread is."""
    found = []
    for pid in box.processes():
        try:
            if len(os.listdir(f"/proc/{pid}/task")) > 1 and program in os.readlink(f"/proc/{pid}/exe"):
                found.append(pid)
        except OSError:
            continue
    return found


def press(box, n):
    """The power button of n machines that run."""
    vm.wait_until(lambda: len(machines(box)) == n, what=f"{n} machines")
    for pid in machines(box):
        vm.wait_until(lambda pid=pid: vm.takes_signals(pid))
        os.kill(pid, signal.SIGTERM)


def test_from_a_directory(saved, clone, box, tmp_path):
    where = saved("button")
    process = clone(where, "--count", "5", "--console", f"file:{tmp_path}/%said-%2n")
    press(box, 5)
    assert process.wait().status == vm.POWEROFF
    for i in range(5):
        said = (tmp_path / f"%said-{i:02d}").read_text(encoding="latin-1")
        vm.tap(said)
        assert "a copy" in said
    assert box.processes() == []


def test_from_a_server(saved, clone, serve, box):
    server, path = serve(saved("button"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for _ in range(3):
        process = clone(path)
        vm.wait_until(lambda: len(machines(box)) == 1)
        pid, = machines(box)
        vm.wait_until(lambda pid=pid: vm.takes_signals(pid))
        process.signal(signal.SIGTERM)  # which is passed on
        result = process.wait()
        assert result.status == vm.POWEROFF, result
        vm.tap(result.out)
    process = clone(path, "--count", "4", "--console", "null")
    press(box, 4)
    assert process.wait().status == vm.POWEROFF
    server.signal(signal.SIGTERM)
    assert server.wait().status == 0
    assert not path.exists() and box.processes() == []


def test_each_is_typed_to(saved, clone, serve, box):
    """Standard input and output are the client's."""
    _, path = serve(saved("template", text="begins"))
    for text in b"hello", b"other":
        process = clone(path, stdin=subprocess.PIPE)
        process.send(text + b"q")
        result = process.wait()
        assert result.status == vm.POWEROFF and result.out.replace("\r", "") == text.decode() + "q\n"


def test_a_machine_ends_with_its_client(saved, clone, serve, box):
    server, path = serve(saved("button"))
    process = clone(path)
    vm.wait_until(lambda: len(machines(box)) == 1)
    process.process.kill()
    process.wait()
    vm.wait_until(lambda: box.processes() == [server.pid])


def test_machines_outlive_the_server(saved, clone, serve, box):
    server, path = serve(saved("button"))
    process = clone(path)
    vm.wait_until(lambda: len(machines(box)) == 1)
    server.signal(signal.SIGTERM)
    server.wait()
    press(box, 1)
    assert process.wait().status == vm.POWEROFF


def test_killed_alone(saved, clone, serve, box):
    _, path = serve(saved("button"))
    processes = [clone(path, "--console", "null") for _ in range(3)]
    vm.wait_until(lambda: len(machines(box)) == 3)
    os.kill(machines(box)[0], signal.SIGKILL)
    vm.wait_until(lambda: len(machines(box)) == 2)
    press(box, 2)
    results = sorted(process.wait().status for process in processes)
    assert results == [vm.POWEROFF, vm.POWEROFF, vm.HOST_ERROR]
    assert any("ended without a word" in process.err.decode() for process in processes)


def test_disks_of_their_own(saved, clone, box, tmp_path):
    """Each goes on with a copy; nobody may have another's."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    where = saved("busy", text="...", whole=False, disk=str(disk))
    for i in range(3):
        (tmp_path / f"disk-{i}").write_bytes(disk.read_bytes())
    process = clone(where, "--count", "3", "--console", "null", "--disk", f"path={tmp_path}/disk-%n")
    vm.wait_until(lambda: len(machines(box)) == 3)
    time.sleep(0.3)
    press(box, 3)
    assert process.wait().status == vm.POWEROFF
    process = clone(where, "--count", "2", "--console", "null")
    vm.wait_until(lambda: "in use" in process.err.decode() or len(machines(box)) == 2)
    press(box, 1)
    result = process.wait()
    assert result.status != vm.POWEROFF and "disk" in result.err


def test_memory_is_shared(saved, clone, serve, box):
    """What one of many takes for itself."""
    _, path = serve(saved("button"))
    process = clone(path, "--count", "50", "--console", "null")
    vm.wait_until(lambda: len(machines(box)) == 50, timeout=30)
    sizes = []
    for pid in machines(box):
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        sizes.append(int(re.search(r"^Pss: +(\d+) kB", text, re.M)[1]))
    assert sum(sizes) / len(sizes) < 300, sizes
    press(box, 50)
    assert process.wait(60).status == vm.POWEROFF


@pytest.mark.parametrize("options,status,words", [
    ((), vm.OPERATOR, "give a snapshot, or a socket"),
    (("{here}", "--count", "0"), vm.OPERATOR, "--count takes a number"),
    (("{here}", "--count", "many"), vm.OPERATOR, "--count takes a number"),
    (("{here}", "--memory", "1G"), vm.OPERATOR, "--memory is as the snapshot has it"),
    (("{here}", "--disk", "x"), vm.OPERATOR, "0 such devices"),
    (("{here}", "--nothing"), vm.OPERATOR, "unknown"),
    (("nowhere",), vm.OPERATOR, "nowhere"),
    (("{here}/state", "--", "word"), vm.OPERATOR, "words after --"),
])
def test_refused(saved, clone, box, options, status, words):
    where = saved("button")
    result = clone(*[option.format(here=where) for option in options]).wait()
    assert result.status == status and words in result.err, result
    assert box.processes() == []


def test_refused_by_a_server(saved, clone, serve, box):
    """In the client's own words, and the server goes on."""
    server, path = serve(saved("button"))
    result = clone(path, "--memory", "1G").wait()
    assert result.status == vm.OPERATOR and "--memory is as the snapshot has it" in result.err
    assert clone(path, "--help").wait().status == 0
    result = clone(path, *["--console", "null"] * 200).wait()
    assert result.status == vm.HOST_ERROR and "too long" in result.err.lower()
    process = clone(path, "--console", "null")
    press(box, 1)
    assert process.wait().status == vm.POWEROFF
    assert server.process.poll() is None and server.err == b""


@pytest.mark.parametrize("data", [b"", b"x", bytes(8), b"\xff" * 8, b"\x05\0\0\0\0\0\0\0abcde"])
def test_who_does_not_speak_as_it_should(saved, serve, clone, box, data):
    """Keeps nobody but a process of its own."""
    server, path = serve(saved("button"))
    with api.connect(path) as rude:
        rude.sendall(data)
        process = clone(path, "--console", "null")
        press(box, 1)
        assert process.wait().status == vm.POWEROFF
    vm.wait_until(lambda: box.processes() == [server.pid])


def test_serve_refuses(saved, serve, box, tmp_path):
    where = saved("button")
    for options, words in (((where,), "--socket"), ((tmp_path, "--socket", "x"), "cannot open"), ((where, "--socket", "/no/where"), "cannot listen"),
                           ((where, "--socket", "x" * 200), "cannot listen"), ((where, "--socket", "x", "--nothing"), "unknown option")):
        result = vm.Vm(box, [vm.PRONTO, "serve", *options]).wait()
        assert result.status == vm.OPERATOR and words in result.err, (options, result)
    (where / "state").write_bytes(b"nothing")
    result = vm.Vm(box, [vm.PRONTO, "serve", where, "--socket", "x"]).wait()
    assert result.status == vm.OPERATOR and "no state of a machine" in result.err
