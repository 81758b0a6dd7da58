# SPDX-License-Identifier: MIT
"""Machines that go on from one that runs, which goes on itself: pronto ctl fork, pronto ctl serve."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

import api
import vm
from saving import Machine

pytestmark = pytest.mark.kvm


@pytest.fixture
def machine(box):
    """One that is configured by a file and driven by `pronto ctl`, when its guest has said that."""
    def start(guest, text="ready", **config):
        m = Machine(box, guest, confine="basic", **config)
        m.vm.expect(text)
        return m
    return start


@pytest.fixture
def fork(box):
    def start(m, *options, **kwargs):
        return vm.Vm(box, [vm.PRONTO, "ctl", m.socket, "fork", *options], **kwargs)
    return start


@pytest.fixture
def clone(box):
    def start(*options, **kwargs):
        return vm.Vm(box, [vm.PRONTO, "clone", *options], **kwargs)
    return start


def threads(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def machines(box):
    """The processes in which a vCPU's thread is."""
    return [pid for pid in box.processes() if threads(pid) > 1]


def await_machines(box, n):
    vm.wait_until(lambda: len(machines(box)) == n, what=f"{n} machines")
    for pid in machines(box):
        vm.wait_until(lambda pid=pid: vm.takes_signals(pid))
    return machines(box)


def press(box, pids):
    for pid in pids:
        os.kill(pid, signal.SIGTERM)


def vmm_of(box, n=1):
    """The process of the first machine, which there is alone."""
    pid, = await_machines(box, n)
    return pid


def serve(m, path):
    done = m.ctl("serve", path)
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)["process_id"]


def finish(m, text=None):
    """It has gone on, to its end."""
    done = m.ctl("poweroff")
    assert done.returncode == 0, done
    result = m.vm.wait()
    assert result.status == vm.POWEROFF, result
    assert text is None or text in result.out
    return result


def test_both_go_on(machine, fork, box):
    """The fork hears that it is a copy; the machine does not."""
    m = machine("button")
    first = vmm_of(box)
    process = fork(m)
    second, = set(await_machines(box, 2)) - {first}
    process.signal(signal.SIGTERM)  # which is passed on
    result = process.wait()
    assert result.status == vm.POWEROFF and result.out.startswith("a copy"), result
    assert "ok 2 - reading the events clears them" in result.out and result.err == ""
    vm.wait_until(lambda: second not in box.processes())
    result = finish(m)
    vm.tap(result.out)
    assert "a copy" not in result.out
    assert box.processes() == [] and [f for f in box.files() if "fork" in f] == []


def test_what_is_typed_is_each_ones_own(machine, fork):
    m = machine("template", text="begins", stdin=subprocess.PIPE)
    vm.wait_until(lambda: m.vm.out.endswith(b"\n"), what="all of the line")
    for text in b"one", b"two":
        process = fork(m, stdin=subprocess.PIPE)
        process.send(text + b"q")
        result = process.wait()
        assert result.status == vm.POWEROFF and result.out.replace("\r", "") == text.decode() + "q\n", result
    m.vm.send(b"threeq")
    result = m.vm.wait()
    assert result.status == vm.POWEROFF and result.out.replace("\r", "").endswith("threeq\n")


def test_a_fork_is_no_place_to_fork_from_later(machine, fork, box):
    """It is of the moment of its own."""
    m = machine("template", text="begins", stdin=subprocess.PIPE)
    vm.wait_until(lambda: m.vm.out.endswith(b"\n"), what="all of the line")
    m.vm.send(b"abc")
    m.vm.expect("abc")
    process = fork(m, stdin=subprocess.PIPE)
    await_machines(box, 2)
    m.vm.send(b"defq")
    assert m.vm.wait().status == vm.POWEROFF
    process.send(b"xyzq")  # it goes on when the machine has ended
    result = process.wait()
    assert result.status == vm.POWEROFF and result.out.replace("\r", "") == "xyzq\n", result


@pytest.mark.parametrize("config", [{"cpus": 3}, {"transport": "pci"}, {"memory": "6G"}, {"on-reboot": "restart"}])
def test_of_every_kind(machine, fork, box, config):
    m = machine("button", **config)
    process = fork(m)
    await_machines(box, 2)
    process.signal(signal.SIGTERM)
    result = process.wait()
    assert result.status == vm.POWEROFF and "a copy" in result.out, result
    vm.tap(finish(m).out)


def test_while_it_is_paused(machine, fork, box):
    """It stays so, and the fork runs."""
    m = machine("button")
    m.pause()
    process = fork(m)
    await_machines(box, 2)
    process.signal(signal.SIGTERM)
    assert process.wait().status == vm.POWEROFF
    assert m.state() == "Paused"
    m.must("PATCH", "/vm", {"state": "Resumed"})
    vm.tap(finish(m).out)


def test_of_one_that_was_restored(machine, fork, box, tmp_path):
    """Its memory is a map of a file, and stays one."""
    m = machine("button")
    m.save(tmp_path / "kept")
    m.kill()
    a = api.Api(box, "--confine", "basic", name="second")
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(tmp_path / "kept"), "resume_vm": True})
    a.vm.expect("a copy")
    process = vm.Vm(box, [vm.PRONTO, "ctl", a.socket, "fork"])
    pids = await_machines(box, 2)
    for pid in pids:
        assert str(tmp_path / "kept") in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="ascii")
    press(box, pids)
    for result in process.wait(), a.vm.wait():
        assert result.status == vm.POWEROFF and "a copy" in result.out, result


def test_a_fork_of_a_fork_by_a_server(machine, clone, box, tmp_path):
    """It has the machine ready as it was, also when that has ended."""
    m = machine("template", text="begins", stdin=subprocess.PIPE)
    vm.wait_until(lambda: m.vm.out.endswith(b"\n"), what="all of the line")
    path = tmp_path / "serve.sock"
    server = serve(m, path)
    assert server in box.processes() and path.stat().st_mode & 0o777 == 0o600
    m.vm.send(b"q")
    assert m.vm.wait().status == vm.POWEROFF
    assert box.processes() == [server]
    for i in range(3):
        process = clone(path, stdin=subprocess.PIPE)
        process.send(b"%dq" % i)
        result = process.wait()
        assert result.status == vm.POWEROFF and result.out.replace("\r", "") == f"{i}q\n", result
    os.kill(server, signal.SIGTERM)
    vm.wait_until(lambda: box.processes() == [])
    assert not path.exists()


def test_many_of_a_server(machine, clone, box, tmp_path):
    m = machine("button")
    path = tmp_path / "serve.sock"
    server = serve(m, path)
    finish(m)
    process = clone(path, "--count", "20", "--console", "null")
    pids = await_machines(box, 20)
    sizes = []
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        sizes.append(int(re.search(r"^Pss: +(\d+) kB", text, re.M)[1]))
    assert sum(sizes) / len(sizes) < 400, sizes
    press(box, pids)
    assert process.wait().status == vm.POWEROFF
    os.kill(server, signal.SIGTERM)
    vm.wait_until(lambda: box.processes() == [])


def test_the_copy_has_nothing_of_the_machine(machine, box, tmp_path):
    """But its memory: neither descriptors nor KVM's pages, which would keep what has ended from going."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    m = machine("button", disk={"path": str(disk), "overlay": "on"}, vsock=str(tmp_path / "vsock"), rng=True)
    server = serve(m, tmp_path / "serve.sock")
    vm.wait_until(lambda: os.readlink(f"/proc/{server}/fd/1") == "/dev/null")
    time.sleep(0.1)
    links = sorted(os.readlink(f"/proc/{server}/fd/{fd}") for fd in os.listdir(f"/proc/{server}/fd"))
    assert links[:4] == ["/dev/kvm"] + ["/dev/null"] * 3 and len(links) == 5 and links[4].startswith("socket:"), links
    maps = pathlib.Path(f"/proc/{server}/maps").read_text(encoding="ascii")
    assert "kvm" not in maps and "io_uring" not in maps, maps
    finish(m)
    os.kill(server, signal.SIGTERM)
    vm.wait_until(lambda: box.processes() == [])


def test_it_ends_with_its_client(machine, fork, box):
    m = machine("button")
    process = fork(m)
    await_machines(box, 2)
    process.process.kill()
    process.wait()
    vm.wait_until(lambda: len(machines(box)) == 1)
    finish(m)


def test_it_is_killed_alone(machine, fork, box):
    m = machine("button")
    first = vmm_of(box)
    process = fork(m)
    second, = set(await_machines(box, 2)) - {first}
    os.kill(second, signal.SIGKILL)
    result = process.wait()
    assert result.status == vm.HOST_ERROR and "ended without a word" in result.err
    process = fork(m)
    await_machines(box, 2)
    m.vm.kill()  # and the other way round
    vm.wait_until(lambda: len(box.processes()) == 2)  # the fork and its client
    process.signal(signal.SIGTERM)
    assert process.wait().status == vm.POWEROFF


# ---- disks ----

@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(1 << 20))
    return path


def busy_ones_end(box, m, process):
    time.sleep(0.3)
    press(box, await_machines(box, 2))
    for result in process.wait(), m.vm.wait():
        assert result.status == vm.POWEROFF, result


@pytest.mark.parametrize("engine", ["uring", "sync"])
def test_an_overlay_is_copied(machine, fork, box, disk, engine):
    """The guest goes on to read what it has written; the disk is as it was."""
    m = machine("busy", text="...", disk={"path": str(disk), "overlay": "on", "engine": engine}, rng=True)
    process = fork(m, "--console", "null")
    busy_ones_end(box, m, process)
    assert disk.read_bytes() == bytes(1 << 20)


def test_an_overlay_is_copied_for_each_of_a_server(machine, clone, box, disk, tmp_path):
    m = machine("busy", text="...", disk={"path": str(disk), "overlay": "on"}, rng=True)
    server = serve(m, tmp_path / "serve.sock")
    for _ in range(2):
        process = clone(tmp_path / "serve.sock", "--count", "3", "--console", "null")
        pids = set(await_machines(box, 4))
        time.sleep(0.3)
        first, = [pid for pid in pids if os.getpgid(pid) == m.vm.pid]
        press(box, pids - {first})
        result = process.wait()
        assert result.status == vm.POWEROFF, result
    press(box, machines(box))
    assert m.vm.wait().status == vm.POWEROFF
    os.kill(server, signal.SIGTERM)
    vm.wait_until(lambda: box.processes() == [])


def test_a_disk_that_is_written_to_is_refused(machine, fork, box, disk):
    m = machine("busy", text="...", disk=str(disk), rng=True)
    result = fork(m, "--console", "null").wait()
    assert result.status == vm.OPERATOR
    assert result.err == (f"pronto: error: --disk: {disk}: the machine that was forked writes to it; pause that one, copy the file, fork, "
                          "and give the copy: --disk path=COPY\n")
    m.pause()
    copy = disk.with_name("copy")
    copy.write_bytes(disk.read_bytes())
    process = fork(m, "--console", "null", "--disk", f"path={copy}")
    await_machines(box, 2)
    m.must("PATCH", "/vm", {"state": "Resumed"})
    busy_ones_end(box, m, process)


def test_an_overlay_that_is_kept_is_refused(machine, fork, box, disk, tmp_path):
    m = machine("busy", text="...", disk={"path": str(disk), "overlay": str(tmp_path / "layer")}, rng=True)
    result = fork(m, "--console", "null").wait()
    assert result.status == vm.OPERATOR and f"--disk: {tmp_path}/layer: is the overlay of the machine that was forked" in result.err
    press(box, machines(box))
    assert m.vm.wait().status == vm.POWEROFF


def test_what_is_in_an_overlay_is_not_left_out(machine, fork, box, disk, tmp_path):
    m = machine("busy", text="...", disk={"path": str(disk), "overlay": "on"}, rng=True)
    result = fork(m, "--console", "null", "--disk", f"overlay={tmp_path}/other").wait()
    assert result.status == vm.HOST_ERROR and "leave `overlay` as it is" in result.err, result
    press(box, machines(box))
    assert m.vm.wait().status == vm.POWEROFF


# ---- what is refused ----

def test_options_are_those_of_a_restore(machine, fork, box):
    m = machine("button")
    for options, words in ((("--memory", "1G"), "--memory is as the snapshot has it"), (("--disk", "x"), "0 such devices"),
                           (("--nothing",), "unknown")):
        result = fork(m, *options).wait()
        assert result.status == vm.OPERATOR and words in result.err, result
    assert fork(m, "--help").wait().status == 0
    finish(m)
    assert box.processes() == []


def test_there_has_to_be_a_machine(serve_api, tmp_path):
    a = serve_api()
    assert "not supported before starting" in a.fault("PUT", "/fork", {"socket_path": str(tmp_path / "s")})
    a.vm.signal(signal.SIGTERM)
    a.vm.wait()


@pytest.fixture
def serve_api(box):
    return lambda *options: api.Api(box, *options)


def test_requests_are_read_with_care(machine, box, tmp_path):
    m = machine("button")
    (tmp_path / "file").write_text("mine", encoding="ascii")
    for body, words in (({}, "missing field"), ({"socket_path": 1}, "invalid type"), ({"socket_path": "x", "more": 1}, "unknown field"),
                        ({"socket_path": "/no/where"}, "Fork error: /no/where: cannot listen there"),
                        ({"socket_path": "x" * 200}, "cannot listen there"), ({"socket_path": "\1" * 4000}, "too long"),
                        ({"socket_path": str(tmp_path / "file")}, "cannot listen there")):
        assert words in m.fault("PUT", "/fork", body)
    assert (tmp_path / "file").read_text(encoding="ascii") == "mine"
    server = serve(m, tmp_path / "taken")
    assert "cannot listen there" in m.fault("PUT", "/fork", {"socket_path": str(tmp_path / "taken")})
    os.kill(server, signal.SIGTERM)
    vm.tap(finish(m).out)


@pytest.mark.parametrize("data", [None, b"", b"x", b"\xff" * 8])
def test_who_does_not_come_or_speak(machine, box, tmp_path, data):
    """Nothing of it is left, and the machine goes on."""
    m = machine("button")
    path = tmp_path / "once"
    m.must("PUT", "/fork", {"socket_path": str(path), "once": True})
    before = box.processes()
    if data is not None:
        with api.connect(path) as rude:
            rude.sendall(data)
    vm.wait_until(lambda: len(box.processes()) == len(before) - 1, timeout=15)
    assert not path.exists()
    vm.tap(finish(m).out)


def test_its_messages_are_its_own(firecracker, box, tmp_path):
    """Neither by the machine's level nor in its form, nor those that nobody has read of it."""
    a = api.Api(box, "--id", "x", "--level", "Debug", "--no-seccomp", program=str(firecracker))
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    process = vm.Vm(box, [vm.PRONTO, "ctl", a.socket, "fork", "--net", "tap=x"])
    result = process.wait()
    assert result.status == vm.OPERATOR and result.err == (
        "pronto: error: option --net: the snapshot's machine has 0 such devices, and none can be added\n"), result
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert a.vm.wait().status == vm.POWEROFF


def test_it_tells_how_long_it_stood(box):
    config = box.path / "tmp" / "config.json"
    config.write_text(json.dumps({"kernel": vm.guest("button"), "memory": "64M", "confine": "basic"}), encoding="utf-8")
    a = api.Api(box, "--config", config, "--start", "-v")
    a.vm.expect("ready")
    process = vm.Vm(box, [vm.PRONTO, "ctl", a.socket, "fork"])
    a.vm.expect("the guest stood still for ", where="err")
    press(box, await_machines(box, 2))
    result = process.wait()
    assert result.status == a.vm.wait().status == vm.POWEROFF and result.err == ""
    assert re.search(r"fork\(2\) took \d+ us\n.*resumed\n.*the guest stood still for \d+ us\n", a.vm.err.decode())


def test_of_one_whose_pages_are_tracked(machine, fork, box):
    """The kernel tells the machine's process what is written, and not the fork's."""
    m = machine("sweep", "...", cmdline="16 0", **{"track-dirty-pages": True})
    m.save(box.path / "tmp" / "base")
    child = fork(m)
    child.expect("a copy")
    child.expect("..")
    child.signal(signal.SIGTERM)
    assert child.wait().status == vm.POWEROFF
    m.save(box.path / "tmp" / "diff", "--diff")
    assert m.ctl("button").returncode == 0
    assert m.vm.wait().status == vm.POWEROFF
