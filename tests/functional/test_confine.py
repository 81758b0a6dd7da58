# SPDX-License-Identifier: MIT
"""What a process gives up before its guest runs, as others see it."""

import contextlib
import gzip
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess

import pytest

import breach
import test_net
import test_share
import vm
from jails import limit_of, status_of
from saving import machine  # noqa: F401

pytestmark = pytest.mark.kvm

NOBODY = 65534
# A user who is not root, and may open /dev/kvm all the same.
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=+dac_override",
             "--ambient-caps=+dac_override"]


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
@pytest.mark.parametrize("option, owner", [("on", 0), ("basic", 0), ("off", NOBODY)])
def test_who_may_look_into_it(box, option, owner):
    """The files in /proc of a process that its user may not look into are root's."""
    process = vm.Vm(box, [*AS_NOBODY, vm.PRONTO, "run", "--no-cache", "--confine", option, vm.guest("echo")],
                    stdin=subprocess.PIPE)
    process.expect("ready")
    assert os.stat(f"/proc/{process.pid}/environ").st_uid == owner


@pytest.mark.parametrize("option", ["basic", "on"])
@pytest.mark.parametrize("how", ["restore", "clone", "served"])
def test_from_a_snapshot(box, machine, secret, how, option):
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
    copy = vm.Vm(box, [vm.PRONTO, "restore" if how == "restore" else "clone", door if how == "served" else place,
                       *(["--confine", option] if option != "on" else [])], stdin=subprocess.PIPE, pass_fds=fds)
    copy.send(b"a")
    copy.expect("byte 0x61")
    parent = server.pid if how == "served" else copy.pid
    pid = copy.pid if how == "restore" else children_of(parent)[0]
    check_entered(pid, path)
    assert "/dev/kvm" in files_of(pid).values()
    assert status_of(pid, "Seccomp") == ("2" if option == "on" else "0")
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
    check_entered(a.vmm_pid(), path)
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


# ---- filters ----

SOURCE = vm.ROOT / "vmm" / "filter" / "calls.h"
DOCUMENT = vm.ROOT / "docs" / "confinement.md"
DOCUMENTED = {"VCPU": "a vCPU", "IO": "I/O", "CONTROL": "control", "AGAIN": "control, besides, with `--on-reboot restart`",
              "SAVED": "control, besides, if it may be saved", "WRITER": "who writes memory", "PAGER": "pager", "OUTSIDE": "the process outside",
              "JOB": "the same, besides, with a template to keep", "API": "the API's process", "FILES": "who opens files for it",
              "MMDS": "the metadata service", "UNPACK": "who unpacks a kernel"}


def calls_of(who):
    """Those that a role may make, and its requests, as the table has them."""
    calls, requests = set(), set()
    for kind, what, roles in re.findall(r'^([A-Z_]+)\((\w+), (?:\d, \w+, )?([A-Z |]+), "', SOURCE.read_text(encoding="ascii"), re.M):
        if who in roles.split(" | ") and kind != "FAILS":
            calls.add("ioctl" if kind == "IOCTL" else what)
            requests |= {what} if kind == "IOCTL" else set()
    return calls, requests


@pytest.mark.parametrize("who", DOCUMENTED)
def test_document(who):
    """It has the table as it is, and the table is short."""
    calls, requests = calls_of(who)
    cells = next(line for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
                 if line.startswith(f"| {DOCUMENTED[who]} |")).strip("| ").split(" | ")
    assert int(cells[1]) == len(calls)
    assert set(re.findall(r"`(\w+)`", cells[2])) == calls
    assert set(re.findall(r"`(\w+)`", cells[3])) == requests


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace to see what is asked of the host")
def test_a_kernel_is_unpacked_apart(box, tmp_path):
    """By a child that keeps to its part, the first time; the next start finds it unpacked, and has no child."""
    kernel, log = tmp_path / "kernel.gz", tmp_path / "calls"
    kernel.write_bytes(gzip.compress(pathlib.Path(vm.guest("poweroff")).read_bytes()))
    for is_new in True, False:
        assert vm.Vm(box, ["strace", "-f", "-o", log, vm.PRONTO, "run", "--dry-run", kernel]).wait(60).status == 0
        lines = [line.split(maxsplit=1) for line in log.read_text(encoding="latin-1").splitlines()]
        children = {pid for pid, _ in lines} - {lines[0][0]}
        assert len(children) == is_new
        for child in children:
            said = [text for pid, text in lines if pid == child]
            begins = next(i for i, text in enumerate(said) if "SECCOMP_SET_MODE_FILTER" in text) + 1
            calls = {re.match(r"\w+", text)[0] for text in said[begins:] if not text.startswith("+++")}
            assert {"pread64", "pwrite64"} < calls <= calls_of("UNPACK")[0]
            assert said[-1] == "+++ exited with 0 +++"


def test_few():
    """No thread of a machine has more."""
    assert len(calls_of("VCPU")[0]) <= 26
    assert len(calls_of("IO")[0]) <= 49
    assert len(calls_of("WRITER")[0]) <= 27
    assert len(calls_of("API")[0]) <= 30
    assert len(set.union(*(calls_of(who)[0] for who in ("CONTROL", "AGAIN", "SAVED")))) <= 49


PROT_READ, PRIVATE_ANONYMOUS = 1, 0x22

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into such a process")
ROLES = ["pronto-vcpu", "pronto-io", "pronto"]


@pytest.fixture
def confined(start, tmp_path):
    """A machine with a thread of each role, which wait in their calls."""
    def make(*options):
        disk = tmp_path / "disk"
        disk.write_bytes(bytes(1 << 20))
        process = start("echo", "--disk", disk, *options, stdin=subprocess.PIPE)
        process.expect("ready")
        vm.wait_until(lambda: breach.filtered(process.pid) >= set(ROLES), what="the roles")
        return process
    return make


@needs_root
@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_has_it_has(confined, role):
    """That a call was put into a thread is no harm to it, and of memory only that which could be run is refused."""
    process = confined("--confine", "on")
    tid = breach.threads(process.pid)[role][0]
    assert breach.make_call(tid, breach.SYS["getpid"]) == process.pid
    assert breach.make_call(tid, breach.SYS["tgkill"], process.pid, tid, 0) == 0
    assert breach.make_call(tid, breach.SYS["mmap"], 0, 4096, PROT_READ, PRIVATE_ANONYMOUS, (1 << 64) - 1, 0) > 0
    process.send(b"q")
    assert process.wait().status == vm.POWEROFF


@needs_root
@pytest.mark.parametrize("role", ROLES)
def test_tell(confined, role):
    process = confined("--confine", "tell")
    assert breach.make_call(breach.threads(process.pid)[role][0], breach.SYS["socket"], 1, 2, 3) is None
    result = process.wait()
    name = {"pronto": "control"}.get(role, role.removeprefix("pronto-"))
    assert result.status == -signal.SIGSYS
    assert result.err == f"pronto: error: confinement: the role '{name}' has no system call 41 (0x1, 0x2, 0x3)\n"


@needs_root
def test_outside(start, tmp_path):
    """It has its calls and one end of a socket; and the machine goes on without it."""
    door = tmp_path / "door"
    process = start("echo", "--confine", "on", "--port", f"to=socket:{door},name=n", stdin=subprocess.PIPE)
    process.expect("ready")
    outside, = children_of(process.pid)
    assert list(breach.threads(outside)) == ["pronto-outside"]
    assert (status_of(outside, "Seccomp"), status_of(outside, "NoNewPrivs")) == ("2", "1")
    assert sorted({name.split(":")[0] for name in files_of(outside).values()}) == ["/dev/null", "socket"]
    assert breach.make_call(outside, breach.SYS["openat"], 0, 0, 0, 0) is None
    vm.wait_until(lambda: vm.has_status(outside, "Z"), what="its end")
    assert int(pathlib.Path(f"/proc/{outside}/stat").read_text(encoding="ascii").split()[-1]) == signal.SIGSYS
    process.send(b"q")
    assert process.wait().status == vm.POWEROFF
    door.unlink()


def helper(a):
    """The process that opens files for the API's."""
    def look():
        return [pid for pid in children_of(a.vm.pid) if list(breach.threads(pid)) == ["pronto-files"] and status_of(pid, "Seccomp") == "2"]
    vm.wait_until(look, what="who opens files")
    return look()[0]


def served(serve, tmp_path):
    """A machine with a drive, driven by the API, which has gone on to be asked since it runs."""
    for name in "disk", "other":
        (tmp_path / name).write_bytes(bytes(1 << 20))
    a = serve("--confine", "on", stdin=subprocess.PIPE)
    a.must("PUT", "/drives/disk", {"drive_id": "disk", "path_on_host": str(tmp_path / "disk"), "is_root_device": False})
    assert status_of(a.vm.pid, "Seccomp") == "0"
    a.start(vm.guest("echo"))
    a.vm.expect("ready")
    vm.wait_until(lambda: status_of(a.vm.pid, "Seccomp") == "2", what="the API's filter")
    return a


@needs_root
@pytest.mark.parametrize("call, args", [("openat", (-100, 0, 0)), ("socket", (1, 1)), ("clone", (17,)), ("execve", ()), ("kill", (1,)),
                                        ("ptrace", (16, 1)), ("fcntl", (0, 8, 1)), ("ioctl", (0, 0x5412))])
def test_the_api_has_its_calls(serve, tmp_path, call, args):
    """Another is its end, and the machine's; what it would have removed itself is removed."""
    a = served(serve, tmp_path)
    assert (status_of(a.vm.pid, "NoNewPrivs"), int(status_of(a.vm.pid, "CapEff"), 16)) == ("1", 1 << 5)  # CAP_KILL
    assert breach.make_call(a.vm.pid, breach.SYS[call], *args) is None
    assert a.vm.wait().status == -signal.SIGSYS
    vm.wait_until(lambda: not a.vm.box.processes(), what="the end of all")
    assert not a.socket.exists()


@needs_root
def test_who_opens_files(serve, tmp_path):
    """It has its calls and one end of a socket; without it the machine goes on, and what takes files is refused in words."""
    a = served(serve, tmp_path)
    pid = helper(a)
    assert sorted({name.split(":")[0] for name in files_of(pid).values()}) == ["/dev/null", "socket"]
    assert status_of(pid, "NoNewPrivs") == "1"
    a.must("PATCH", "/drives/disk", {"drive_id": "disk", "path_on_host": str(tmp_path / "other")})
    assert "there is no such file" in a.fault("PATCH", "/drives/disk", {"drive_id": "disk", "path_on_host": str(tmp_path / "none")})
    assert breach.make_call(pid, breach.SYS["socket"], 1, 1, 0) is None
    for asked in ("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "snapshot")}), \
            ("PATCH", "/drives/disk", {"drive_id": "disk", "path_on_host": str(tmp_path / "disk")}):
        assert "the process that opens files has ended" in a.fault(*asked)
    assert not (tmp_path / "snapshot").exists()
    a.vm.send(b"q")
    assert a.vm.wait().status == vm.POWEROFF


@pytest.mark.parametrize("option", ["on", "strict"])
def test_confined(confined, option):
    process = confined("--confine", option)
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        assert re.search(r"^Seccomp:\s*2$", (task / "status").read_text(encoding="ascii"), re.M)
        assert re.search(r"^CapEff:\s*0+$", (task / "status").read_text(encoding="ascii"), re.M)
        assert re.search(r"^CapPrm:\s*0+$", (task / "status").read_text(encoding="ascii"), re.M)
    process.send(b"q")
    result = process.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")


@pytest.mark.parametrize("ends", ["power-off", "SIGTERM", "SIGKILL"])
def test_sockets_are_removed(start, tmp_path, ends):
    """By a process that outlives the machine's."""
    door, streams = tmp_path / "console", tmp_path / "streams"
    process = start("echo", "--confine", "on", "--grace", 0, "--port", f"to=socket:{door},name=n", "--vsock", f"{streams},cid=3",
                    stdin=subprocess.PIPE)
    process.expect("ready")
    assert door.is_socket() and streams.is_socket()
    if ends == "power-off":
        process.send(b"q")
        assert process.wait().status == vm.POWEROFF
    else:
        process.signal(getattr(signal, ends))
        assert process.wait().status == (vm.KILLED if ends == "SIGTERM" else -signal.SIGKILL)
    vm.wait_until(lambda: not door.exists() and not streams.exists() and not process.box.processes(), what="their removal")


def test_socket_of_another(start, tmp_path):
    """What has come to be there since is left."""
    door = tmp_path / "console"
    process = start("echo", "--confine", "on", "--port", f"to=socket:{door},name=n", stdin=subprocess.PIPE)
    process.expect("ready")
    door.unlink()
    door.write_text("another's")
    process.send(b"q")
    assert process.wait().status == vm.POWEROFF
    assert door.read_text() == "another's"


@pytest.mark.parametrize("how", ["on", "basic"])
def test_what_takes_files(serve, tmp_path, how):
    """A confined machine opens none, and makes no process: others open them, and what cannot be is refused in words."""
    for name in "disk", "other":
        (tmp_path / name).write_bytes(bytes(1 << 20))
    a = serve("--confine", how, stdin=subprocess.PIPE)
    a.must("PUT", "/drives/disk", {"drive_id": "disk", "path_on_host": str(tmp_path / "disk"), "is_root_device": False})
    a.start(vm.guest("echo"))
    a.vm.expect("ready")
    vmm = a.vmm_pid()
    assert status_of(vmm, "Seccomp") == ("2" if how == "on" else "0")
    a.must("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "snapshot")})
    a.must("PATCH", "/drives/disk", {"drive_id": "disk", "path_on_host": str(tmp_path / "other")})
    assert has(vmm, tmp_path / "other") and not has(vmm, tmp_path / "disk")
    status, answer = a.ask("PUT", "/fork", {"socket_path": str(tmp_path / "fork")})
    if how == "on":
        assert (status, answer["fault_message"]) == (400, "Fork error: a machine that is confined makes no processes; "
                                                          "have it run with --confine basic for this")
    else:
        assert status == 200
        os.kill(answer["process_id"], signal.SIGTERM)
    a.vm.send(b"q")
    assert a.vm.wait().status == vm.POWEROFF


def test_firecracker_without_filters(serve, firecracker):
    a = serve("--no-seccomp", program=str(firecracker), stdin=subprocess.PIPE)
    a.start(vm.guest("echo"))
    a.vm.expect("ready")
    assert status_of(children_of(a.vm.pid)[0], "Seccomp") == "0"
    a.vm.send(b"q")
    a.vm.wait()


def test_doctor(run):
    """It shows what there is here; the lines are in its text, too."""
    found = json.loads(subprocess.run([vm.PRONTO, "doctor", "--json"], capture_output=True, check=False).stdout)["confinement"]
    text = subprocess.run([vm.PRONTO, "doctor"], capture_output=True, check=False, text=True).stdout
    assert found["seccomp"] is True
    assert re.search(r"^ok +seccomp filters ", text, re.M)
    assert re.search(rf"^ok +Landlock +version {found['landlock']}$" if found["landlock"] else r"^absent +Landlock ", text, re.M)
    result = run("poweroff", "--confine", "strict")
    assert result.status == (vm.POWEROFF if found["landlock"] else vm.OPERATOR), result.err


def test_side_channels(run):
    """What the host's kernel says of each, and how many it has closed."""
    place = pathlib.Path("/sys/devices/system/cpu/vulnerabilities")
    says = {file.name: file.read_text(encoding="ascii").strip() for file in place.iterdir()} if place.exists() else {}
    found = json.loads(subprocess.run([vm.PRONTO, "doctor", "--json"], capture_output=True, check=False).stdout)
    text = subprocess.run([vm.PRONTO, "doctor"], capture_output=True, check=False, text=True).stdout
    assert found["side_channels"] == says
    is_open = {name for name, said in says.items() if said.startswith("Vulnerable")}
    assert set(re.findall(r"^OPEN +(\w+) ", text, re.M)) == is_open
    beside = set(re.findall(r"^SMT +(\w+) ", text, re.M))
    assert beside == {name for name in set(says) - is_open if "SMT vulnerable" in says[name]}
    if says:
        assert f" {len(says) - len(is_open) - len(beside)} closed" in text


def test_core_scheduling(run):
    """Where the kernel has it; else it is refused, with or without the rest of confinement."""
    result = run("poweroff", "--core-scheduling", "--confine", "off")
    found = json.loads(subprocess.run([vm.PRONTO, "doctor", "--json"], capture_output=True, check=False).stdout)
    if found["core_scheduling"]:
        assert result.status == vm.POWEROFF, result.err
    else:
        assert (result.status, result.err) == (vm.OPERATOR, "pronto: error: --core-scheduling: this kernel has no core scheduling "
                                                            "(Linux 5.14, CONFIG_SCHED_CORE)\n")


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace to see what is asked of the host")
def test_core_scheduling_comes_before_all_threads(box, tmp_path):
    """As a kernel has it that says so: none here need have it."""
    log = tmp_path / "calls"
    done = vm.Vm(box, ["strace", "-f", "-X", "raw", "-e", "trace=prctl,clone,clone3", "-e", "inject=prctl:retval=0", "-o", log, vm.PRONTO, "run",
                       "--confine", "off", "--core-scheduling", vm.guest("poweroff")]).wait(60)
    assert done.status == vm.POWEROFF, done.err
    calls = re.findall(r"(prctl\(0x3e, 0x1, 0, 0x1, |clone3?\()", log.read_text(encoding="latin-1"))
    assert calls[0].startswith("prctl") and len(calls) > 1 and not any(call.startswith("prctl") for call in calls[1:]), calls


def test_random_bytes_for_a_copy(start):
    """By a file: a vCPU has no call for them."""
    process = start("template", "--confine", "on", stdin=subprocess.PIPE)
    process.expect("begins ")
    process.send(b"q")
    result = process.wait()
    found = re.search(r"begins (\S+)", result.out)
    assert result.status == vm.POWEROFF and len(set(found[1].split("0x")[1:])) > 2, result
