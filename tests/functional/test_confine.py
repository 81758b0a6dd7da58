# SPDX-License-Identifier: MIT
"""What a process gives up before its guest runs, as others see it."""

import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess

import pytest

import test_net
import test_share
import vm
from saving import machine  # noqa: F401

pytestmark = pytest.mark.kvm

NOBODY = 65534
# A user who is not root, and may open /dev/kvm all the same.
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=+dac_override",
             "--ambient-caps=+dac_override"]


def status_of(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return re.search(rf"^{name}:\s*(.*)$", text, re.M)[1]


def limit_of(pid, name):
    text = pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    return re.search(rf"^{name}\s+(\S+)\s+(\S+)", text, re.M).groups()


def files_of(pid):
    """What its descriptors are of, by their numbers."""
    return {int(fd.name): os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()}


def has(pid, path):
    return str(path) in files_of(pid).values()


def children_of(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()]


@pytest.fixture
def secret(tmp_path):
    """A file that whoever starts us has open, by mistake; and as which descriptors."""
    path = tmp_path / "secret"
    path.write_text("nobody's business")
    fds = [os.open(path, os.O_RDONLY) for _ in range(3)]
    fds.append(os.dup2(fds[0], 700, inheritable=True))
    yield path, fds
    for fd in fds:
        os.close(fd)


def check_entered(pid, path):
    assert not has(pid, path), files_of(pid)
    assert limit_of(pid, "Max core file size") == ("0", "0")
    assert status_of(pid, "NoNewPrivs") == "1"


def test_entry(start, secret):
    path, fds = secret
    process = start("echo", stdin=subprocess.PIPE, pass_fds=fds,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 2000)))
    process.expect("ready")
    check_entered(process.pid, path)
    assert limit_of(process.pid, "Max open files") == ("1000", "1000")


def test_off(start, secret):
    path, fds = secret
    process = start("echo", "--confine", "off", stdin=subprocess.PIPE, pass_fds=fds,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 2000)))
    process.expect("ready")
    assert has(process.pid, path)
    assert limit_of(process.pid, "Max open files") == ("1000", "2000")
    assert status_of(process.pid, "NoNewPrivs") == "0"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become another user")
@pytest.mark.parametrize("option, owner", [("basic", 0), ("off", NOBODY)])
def test_who_may_look_into_it(box, option, owner):
    """The files in /proc of a process that its user may not look into are root's."""
    process = vm.Vm(box, [*AS_NOBODY, vm.PRONTO, "run", "--no-cache", "--confine", option, vm.guest("echo")],
                    stdin=subprocess.PIPE)
    process.expect("ready")
    assert os.stat(f"/proc/{process.pid}/environ").st_uid == owner


@pytest.mark.parametrize("how", ["restore", "clone", "served"])
def test_from_a_snapshot(box, machine, secret, how):
    """Of a machine that gave up nothing: that is not for the snapshot to say."""
    path, fds = secret
    place, door = box.path / "tmp" / "snapshot", box.path / "tmp" / "door"
    first = machine("echo", confine="off")
    first.vm.expect("ready")
    first.save(place)
    first.kill()
    if how == "served":
        server = vm.Vm(box, [vm.PRONTO, "serve", place, "--socket", door], pass_fds=fds)
        vm.wait_until(door.exists, what="the socket")
    copy = vm.Vm(box, [vm.PRONTO, "restore" if how == "restore" else "clone", door if how == "served" else place],
                 stdin=subprocess.PIPE, pass_fds=fds)
    copy.send(b"a")
    copy.expect("byte 0x61")
    parent = server.pid if how == "served" else copy.pid
    pid = copy.pid if how == "restore" else children_of(parent)[0]
    check_entered(pid, path)
    assert "/dev/kvm" in files_of(pid).values()
    copy.send(b"q")
    assert copy.wait().status == vm.POWEROFF
    if how == "served":
        assert not has(server.pid, path)
        server.kill()
        door.unlink()
    shutil.rmtree(place)


def test_api(serve, secret):
    path, fds = secret
    a = serve(pass_fds=fds, stdin=subprocess.PIPE)
    a.start(vm.guest("echo"))
    a.vm.expect("ready")
    assert not has(a.vm.pid, path)
    assert limit_of(a.vm.pid, "Max core file size") == ("0", "0")
    vmm, = [pid for pid in a.vm.box.processes() if pid != a.vm.pid]
    check_entered(vmm, path)
    a.vm.signal(signal.SIGKILL)


# ---- what is named stays ----

@pytest.mark.parametrize("how", ["option", "settings"])
def test_named_path(run, tmp_path, how):
    """A file that is there as a descriptor alone."""
    log, config = tmp_path / "log", tmp_path / "config.json"
    fd = os.open(log, os.O_RDWR | os.O_CREAT)
    config.write_text(json.dumps({"console": f"file:/dev/fd/{fd}"}), encoding="utf-8")
    options = ["--console", f"file:/proc/self/fd/{fd}"] if how == "option" else ["--config", config]
    result = run("poweroff", *options, pass_fds=[fd])
    os.close(fd)
    assert (result.status, result.err) == (vm.POWEROFF, "")
    assert "1..1" in log.read_text(encoding="ascii")


@test_net.needs_namespace
@test_net.needs_tun
def test_named_in_settings(box, tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"net": [{"fd": 5}]}), encoding="utf-8")
    done = test_net.attached(box, test_net.TAP | test_net.NO_PI | test_net.VNET_HDR, "--config", config)
    assert (done.status, done.err) == (vm.POWEROFF, "")


# ---- the programs that work for a machine ----

def check_child(pid, monitor, path):
    """It begins with standard files that are nobody's, and a socket; what it opens besides is its own."""
    ours = {name for name in files_of(monitor).values() if name.startswith(("anon_inode:kvm", "anon_inode:[userfault", "/memfd:"))}
    theirs = files_of(pid)
    assert not has(pid, path) and "/dev/kvm" not in theirs.values(), theirs
    assert ours and not ours & set(theirs.values()), theirs
    assert theirs[0] == theirs[1] == "/dev/null"


@test_net.needs_passt
def test_passt(start, secret):
    path, fds = secret
    process = start("echo", "--net", "user", "--console", "stdio", stdin=subprocess.PIPE, pass_fds=fds)
    process.expect("ready")
    child, = children_of(process.pid)
    check_child(child, process.pid, path)
    process.send(b"q")
    assert process.wait().status == vm.POWEROFF


@test_share.with_daemon
@pytest.mark.parametrize("option", [["--confine", "basic"], ["--confine", "off"]], ids=" ".join)
def test_virtiofsd(start, secret, tmp_path, option):
    path, fds = secret
    process = start("echo", "--share", f"{tmp_path}:tag", *option, stdin=subprocess.PIPE, pass_fds=fds)
    process.expect("ready")
    for child in children_of(process.pid):
        with contextlib.suppress(FileNotFoundError):
            assert not has(child, path)
    process.send(b"q")
    assert process.wait().status == vm.POWEROFF
