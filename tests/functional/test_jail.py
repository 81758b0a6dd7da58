# SPDX-License-Identifier: MIT
"""A machine's process that was root's and is another user's, with nothing in its root."""

import errno
import json
import os
import pathlib
import signal
import stat
import subprocess

import pytest

import api
import breach
import test_net
import test_share
import vm
from jails import (ALICE, GROUP, CGROUP2, cgroup, cgroup_of, check_user, has_other, limit_of, mounts_of, needs_cgroups, network, status_of,
                   why_no_jails)
from saving import machine  # noqa: F401

# One at a time: they make cgroups of the host, and look whether some are left.
pytestmark = [pytest.mark.kvm, pytest.mark.skipif(bool(why_no_jails()), reason=why_no_jails()), pytest.mark.xdist_group("cgroups")]

JAIL = f"uid={ALICE},gid={GROUP}"


def children_of(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()]


def check_empty_root(pid):
    assert has_other(pid, "mnt")
    (where, kind, how), = mounts_of(pid)
    assert (where, kind) == ("/", "tmpfs") and how >= {"ro", "nosuid", "nodev", "noexec"}
    root = os.stat(f"/proc/{pid}/root/")
    assert os.listdir(f"/proc/{pid}/root/") == []
    assert (stat.S_IMODE(root.st_mode), root.st_uid) == (0o555, 0)
    assert os.stat(f"/proc/{pid}/cwd/").st_ino == root.st_ino
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        assert not fd.is_dir(), f"a way out: {fd.readlink()}"


@pytest.fixture
def jailed(start):
    """A machine in a jail, with a guest that echoes."""
    def make(*options, jail=JAIL, **kwargs):
        process = start("echo", "--jail", jail, *options, stdin=subprocess.PIPE, **kwargs)
        process.expect("ready")
        return process
    return make


def finish(process):
    """It works, and says nothing."""
    process.send(b"a")
    process.expect("byte 0x61")
    process.send(b"q")
    result = process.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")


# ---- what it becomes ----

@pytest.mark.parametrize("confine", ["off", "basic", "on"])
def test_user_and_root(jailed, confine):
    process = jailed("--confine", confine)
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        check_user(f"{process.pid}/task/{task.name}", ALICE)
    check_empty_root(process.pid)
    assert not has_other(process.pid, "net") and not has_other(process.pid, "pid")
    finish(process)


def test_what_is_not_said_stays(jailed):
    process = jailed()
    for name in "Max file size", "Max processes":
        assert limit_of(process.pid, name) == limit_of("self", name)
    finish(process)


def test_limits(jailed):
    process = jailed(jail=f"{JAIL},no-file=100,fsize=1M")
    assert limit_of(process.pid, "Max open files") == ("100", "100")
    assert limit_of(process.pid, "Max file size") == (str(1 << 20), str(1 << 20))
    finish(process)


def test_limit_of_files_that_are_written(start, tmp_path):
    """The console's file grows to there, and no signal ends the machine."""
    log = tmp_path / "log"
    process = start("flood", "--jail", f"{JAIL},fsize=4k", "--console", f"file:{log}", words=["100"])
    result = process.wait()
    assert result.status == vm.POWEROFF
    assert "File too large; further output is dropped" in result.err
    assert log.stat().st_size == 4096


# ---- no way back ----

OPENAT, MKDIR, CHROOT, MOUNT, SETRESUID, KILL, UNSHARE, MMAP, CHDIR, PTRACE = 257, 83, 161, 165, 117, 62, 272, 9, 80, 101
NEW_MOUNTS, MAP, READ_WRITE = 0x20000, 0x22, 3
HERE = (1 << 64) - 100


def test_no_way_back(jailed):
    """What an attacker would try who has taken the process over, and whom no filter holds."""
    process = jailed("--confine", "basic")
    tid = breach.threads(process.pid)["pronto"][0]
    at = breach.make_call(tid, MMAP, 0, 4096, READ_WRITE, MAP, (1 << 64) - 1, 0)

    def call(number, *args, path=None):
        if path:
            with open(f"/proc/{process.pid}/mem", "r+b", buffering=0) as memory:
                memory.seek(at)
                memory.write(path.encode() + b"\0")
        return -breach.make_call(tid, number, *(at if arg is None else arg for arg in args))

    for path in "/proc/1/status", "/dev/kvm", "/../../etc/passwd", "/../proc/self/root/etc/passwd", str(vm.PRONTO):
        assert call(OPENAT, HERE, None, 0, path=path) == errno.ENOENT
    assert call(MKDIR, None, 0o700, path="/x") == errno.EROFS
    assert call(CHROOT, None, path="/") == errno.EPERM
    assert call(MOUNT, None, None, None, 0, 0, path="/") == errno.EPERM
    assert call(UNSHARE, NEW_MOUNTS) == errno.EPERM
    assert call(SETRESUID, 0, 0, 0) == errno.EPERM
    assert call(KILL, os.getpid(), 0) == errno.EPERM
    assert call(PTRACE, 16, os.getpid(), 0, 0) == errno.EPERM
    assert call(CHDIR, None, path="..") == 0
    check_empty_root(process.pid)
    finish(process)


# ---- what its settings name is opened before ----

def test_files_of_root(run, tmp_path):
    """None of them has a right of the user's, and none is in its root."""
    disk, log, out, line = (tmp_path / name for name in ("disk", "log", "console", "timeline"))
    disk.write_bytes(bytes(1 << 20))
    log.touch()
    for path in disk, log, tmp_path:
        path.chmod(0o700)
    result = run("poweroff", "--jail", JAIL, "--disk", disk, "--debug-console", f"file:{log}", "--console", f"file:{out}",
                 f"--timeline={line}")
    assert (result.status, result.err) == (vm.POWEROFF, "")
    assert "1..1" in out.read_text(encoding="ascii") and "first guest instruction" in line.read_text(encoding="utf-8")
    assert out.stat().st_uid == line.stat().st_uid == 0


@pytest.mark.parametrize("how", ["power-off", "SIGKILL"])
def test_sockets(start, tmp_path, how):
    """They are there for whoever may come to them, and go with the machine."""
    door, streams = tmp_path / "console", tmp_path / "streams"
    process = start("echo", "--jail", JAIL, "--port", f"to=socket:{door},name=n", "--vsock", f"{streams},cid=3", stdin=subprocess.PIPE)
    process.expect("ready")
    check_empty_root(process.pid)
    api.connect(door).close()
    api.connect(streams).close()
    if how == "power-off":
        finish(process)
    else:
        process.signal(signal.SIGKILL)
        process.wait()
    vm.wait_until(lambda: not door.exists() and not streams.exists() and not process.box.processes(), what="their removal")


def test_reset_in_place(start):
    """The kernel's file is one that is open already."""
    process = start("lives", "--jail", JAIL, "--on-reboot", "restart", stdin=subprocess.PIPE)
    for n in 1, 2, 3:
        vm.wait_until(lambda n=n: process.out.count(b"life:") == n, what="the next life")
        process.send(b"q" if n == 3 else b"a")
    result = process.wait()
    assert (result.status, result.out) == (vm.POWEROFF, "".join(f"life: counter 1, ram 0\n{c}\n" for c in "aaq"))


@test_net.needs_passt
def test_passt(jailed):
    """It has confined itself as ever."""
    process = jailed("--net", "user", "--console", "stdio")
    child, = children_of(process.pid)
    vm.wait_until(lambda: status_of(child, "Uid").split()[0] not in ("0", str(ALICE)) and has_other(child, "user"), what="its own user")
    finish(process)
    vm.wait_until(lambda: not vm.has_status(child, "RSD"), what="its end")


@test_share.with_daemon
def test_share(jailed, tmp_path):
    process = jailed("--share", f"{tmp_path}:tag")
    check_user(process.pid, ALICE)
    finish(process)
    assert process.box.processes() == []


@pytest.mark.parametrize("how", ["restore", "clone"])
def test_from_a_snapshot(box, machine, tmp_path, how):  # noqa: F811
    first = machine("echo")
    first.vm.expect("ready")
    first.save(tmp_path / "snapshot")
    first.kill()
    copy = vm.Vm(box, [vm.PRONTO, how, "--jail", JAIL, tmp_path / "snapshot"] if how == "restore"
                 else [vm.PRONTO, how, tmp_path / "snapshot", "--jail", JAIL], stdin=subprocess.PIPE)
    copy.send(b"b")
    copy.expect("byte 0x62")
    pid = copy.pid if how == "restore" else children_of(copy.pid)[0]
    check_user(pid, ALICE)
    check_empty_root(pid)
    finish(copy)


# ---- namespaces and cgroups ----

@test_net.needs_tun
def test_network(run, start):
    with network("ip tuntap add jail0 mode tap && ip link set jail0 up &&") as path:
        process = start("echo", "--jail", f"{JAIL},netns={path}", "--net", "tap=jail0", "--console", "stdio", stdin=subprocess.PIPE)
        process.expect("ready")
        assert os.readlink(f"/proc/{process.pid}/ns/net") == os.readlink(path)
        check_user(process.pid, ALICE)
        finish(process)
    result = run("poweroff", "--net", "tap=jail0")
    assert result.err == ("pronto: error: --net: there is no interface jail0; make it: `ip tuntap add jail0 mode tap user USER; "
                          "ip link set jail0 up`\n")


@needs_cgroups
def test_cgroup(jailed):
    with cgroup("pronto-test") as place, cgroup("pronto-test/one"):
        (place / "one" / "cgroup.max.depth").write_text("3")
        process = jailed(jail=f"{JAIL},cgroup=pronto-test/one")
        assert cgroup_of(process.pid) == "/pronto-test/one"
        assert os.stat(place / "one" / "cgroup.procs").st_uid == 0
        finish(process)


# ---- by the API ----

@pytest.fixture
def settings(tmp_path):
    def write(**more):
        path = tmp_path / "settings.json"
        path.write_text(json.dumps({"kernel": vm.guest("echo"), "memory": "64M", "jail": {"uid": ALICE, "gid": GROUP}, **more}),
                        encoding="utf-8")
        return path
    return write


def test_api(serve, settings, tmp_path):
    """The machine's process is in a jail, and the API's is not."""
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    a = serve("--config", settings(disk=[str(tmp_path / "disk")]), "--start", stdin=subprocess.PIPE)
    a.vm.expect("ready")
    pid = a.vmm_pid()
    check_user(pid, ALICE)
    check_empty_root(pid)
    assert status_of(a.vm.pid, "Uid").split()[0] == "0"
    a.must("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "snapshot")})
    assert sorted(f.name.split("-")[0] for f in (tmp_path / "snapshot").iterdir()) == ["memory", "state"]
    assert a.fault("PUT", "/fork", {"socket_path": str(tmp_path / "fork")}) == (
        "Fork error: a machine that runs with --jail makes no processes; have all of the API in a jail for this (the program jailer)")
    a.must("PATCH", "/vm", {"state": "Paused"})
    a.must("PATCH", "/vm", {"state": "Resumed"})
    a.vm.send(b"q")
    assert a.vm.wait().status == vm.POWEROFF


def test_end_of_the_api(serve, settings):
    """Its machine ends with it, though it is another user's."""
    a = serve("--config", settings(), "--start", stdin=subprocess.PIPE)
    vm.wait_until(lambda: a.state() == "Running", what="its start")
    pid = a.vmm_pid()
    os.kill(pid, signal.SIGSTOP)
    a.vm.signal(signal.SIGKILL)
    a.vm.wait()
    vm.wait_until(lambda: not vm.has_status(pid, "RSDT"), what="its end")
    vm.wait_until(lambda: not a.socket.exists(), what="its socket's removal")


def test_signals_reach_it(serve, settings):
    """Though it is another user's, and the API's process has of root's rights nothing else."""
    a = serve("--config", settings(kernel=vm.guest("button")), "--start")
    a.vm.expect("ready")
    vm.wait_until(lambda: int(status_of(a.vm.pid, "CapEff"), 16) == 1 << 5, what="what the API's process gives up")
    a.vm.signal(signal.SIGTERM)
    assert a.vm.wait().status == vm.POWEROFF


def test_start_that_fails(serve, settings):
    a = serve("--config", settings(jail={"uid": ALICE, "gid": GROUP, "netns": "/no/such"}))
    assert a.fault("PUT", "/actions", {"action_type": "InstanceStart"}) == (
        "Start microvm error: --jail: /no/such: No such file or directory; `ip netns add NAME` makes /run/netns/NAME")
    a.vm.signal(signal.SIGTERM)
    assert a.vm.wait().status == vm.KILLED


# ---- what is refused ----

def test_refusals(run):
    for options, says in [
        (["--jail", "uid=1"], "option --jail: does not say who to become: give both uid=N and gid=N"),
        (["--jail", "uid=x,gid=1"], "option --jail: uid: 'x' is not a whole number from 0 to 4294967294"),
        (["--jail", f"{JAIL},netns=/proc/self/ns/mnt"], "--jail: /proc/self/ns/mnt: it is no network namespace"),
        (["--jail", JAIL, "--instant"], "--instant and --jail exclude each other: a machine in a jail saves nothing"),
    ]:
        result = run("poweroff", *options)
        assert (result.status, result.out, result.err) == (vm.OPERATOR, "", f"pronto: error: {says}\n")


@pytest.mark.skipif(not CGROUP2, reason="no cgroup2 is mounted")
@pytest.mark.parametrize("path, says", [
    ("no/such", f"no/such: there is no such cgroup: mkdir {CGROUP2}/no/such"),
    ("../x", f"../x: give the cgroup's path below {CGROUP2}, without /, . and .. at its beginning or in it"),
])
def test_no_cgroup(run, path, says):
    result = run("poweroff", "--jail", f"{JAIL},cgroup={path}")
    assert (result.status, result.out, result.err) == (vm.OPERATOR, "", f"pronto: error: --jail: {says}\n")


def test_another_user(box):
    result = vm.Vm(box, ["setpriv", f"--reuid={ALICE}", f"--regid={GROUP}", "--clear-groups", vm.PRONTO, "run", "--no-cache", "--jail",
                         JAIL, vm.guest("poweroff")]).wait()
    assert (result.status, result.err) == (vm.OPERATOR, "pronto: error: --jail: only root can make a jail: start this as root\n")


def test_still_root(run):
    result = run("poweroff", "--jail", "uid=0,gid=0")
    assert (result.status, result.err) == (
        vm.POWEROFF, "pronto: warn: uid=0: it stays root, if one without rights: whatever is root's it can open; give another uid\n")


def test_dry_run(run):
    """Nothing is started, so nobody goes anywhere."""
    assert run("poweroff", "--dry-run", "--jail", f"{JAIL},netns=/no/such").status == 0
