# SPDX-License-Identifier: MIT
"""The program by the name of Firecracker's jailer, and what users of two jails are to each other."""

import ctypes
import errno
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess

import pytest

import kernels
import vm
from jails import (ALICE, BOB, GROUP, CGROUP2, as_user, base, cgroup_of, check_user, has_other, jail, jailer, limit_of,  # noqa: F401
                   mounts_of, needs_cgroups, network, why_no_jails)

# One at a time: they make cgroups of the host, and look whether some are left.
pytestmark = [pytest.mark.kvm, pytest.mark.skipif(bool(why_no_jails()), reason=why_no_jails()), pytest.mark.xdist_group("cgroups")]


def ready(one, n=1):
    vm.wait_until(lambda: one.vm.out.count(b"ready") >= n, what="the guest")


# ---- as clients have it ----

def test_a_machine_by_its_socket(jail):  # noqa: F811
    """Files of the machine are those of the jail, and it is driven from outside."""
    one = jail("a-1", ALICE, files=[vm.guest("echo")], stdin=subprocess.PIPE)
    assert one.pid == one.vm.pid
    assert one.must("GET", "/") == {"id": "a-1", "state": "Not started", "vmm_version": "1.17.0", "app_name": "Firecracker"}
    one.start("/echo.elf")
    ready(one)
    for pid in one.pid, one.machine():
        check_user(pid, ALICE)
        assert limit_of(pid, "Max open files") == ("2048", "2048")
        assert has_other(pid, "mnt") and not has_other(pid, "net") and not has_other(pid, "pid")
        assert [where for where, *_ in mounts_of(pid)] == ["/"]
        assert os.stat(f"/proc/{pid}/root/").st_ino == one.root.stat().st_ino
        assert pathlib.Path(f"/proc/{pid}/environ").read_bytes() == b""
        assert all(not fd.is_dir() for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir())
    one.vm.send(b"q")
    assert one.vm.wait().status == 0


def test_layout(jail, base):  # noqa: F811
    one = jail("a-1", ALICE)
    found = {str(path.relative_to(one.root)): path.lstat() for path in one.root.rglob("*")}
    assert one.root == base / "firecracker" / "a-1" / "root"
    devices = {name: pathlib.Path("/") / name for name in ("dev/kvm", "dev/net/tun", "dev/null", "dev/urandom", "dev/userfaultfd")}
    devices = {name: host.stat().st_rdev for name, host in devices.items() if host.exists()}
    assert "dev/kvm" in devices
    assert set(found) == {"dev", "dev/net", "firecracker", "firecracker.pid", "run", "run/firecracker.socket", *devices}
    for name, number in devices.items():
        entry = found[name]
        assert stat.S_ISCHR(entry.st_mode) and entry.st_rdev == number
        assert (stat.S_IMODE(entry.st_mode), entry.st_uid, entry.st_gid) == (0o600, ALICE, GROUP)
    for entry in one.root.stat(), found["dev"], found["dev/net"], found["run"]:
        assert (stat.S_IMODE(entry.st_mode), entry.st_uid, entry.st_gid) == (0o700, ALICE, GROUP)
    assert (stat.S_IMODE(found["firecracker"].st_mode), found["firecracker"].st_uid) == (0o555, 0)
    assert (one.root / "firecracker").read_bytes() == vm.PRONTO.read_bytes()
    assert [oct(place.stat().st_mode)[-3:] for place in (one.root.parent, one.root.parent.parent)] == ["755", "755"]


def test_options_of_the_program(jail, base):  # noqa: F811
    """Behind --, and their paths are those of the jail."""
    config = base / "machine.json"
    config.write_text('{"boot-source": {"kernel_image_path": "echo.elf"}, "machine-config": {"vcpu_count": 1, "mem_size_mib": 64}}')
    one = jail("a", ALICE, files=[vm.guest("echo"), config], words=["--config-file", "machine.json"], stdin=subprocess.PIPE)
    ready(one)
    assert one.state() == "Running"


def test_in_the_background(jail):  # noqa: F811
    one = jail("a", ALICE, "--daemonize", files=[vm.guest("echo")])
    assert one.vm.wait()[:3] == (0, "", "")
    assert {os.stat(f"/proc/{one.pid}/fd/{fd}").st_rdev for fd in range(3)} == {os.stat("/dev/null").st_rdev}
    assert os.getsid(one.pid) not in (one.pid, os.getsid(0)) and os.getpgid(one.pid) == os.getsid(one.pid)
    one.start("/echo.elf")
    assert one.state() == "Running"


def test_pid_namespace(jail):  # noqa: F811
    one = jail("a", ALICE, "--new-pid-ns", "--daemonize", files=[vm.guest("echo")])
    assert one.vm.wait()[:3] == (0, "", "")
    assert has_other(one.pid, "pid")
    status = pathlib.Path(f"/proc/{one.pid}/status").read_text(encoding="ascii")
    assert f"\nNSpid:\t{one.pid}\t1\n" in status
    one.start("/echo.elf")
    machine = one.machine()
    check_user(machine, ALICE)
    one.end()
    vm.wait_until(lambda: not vm.has_status(machine, "RSD"), what="the machine's end")


def test_limits_and_network(jail):  # noqa: F811
    with network() as path:
        one = jail("a", ALICE, "--netns", path, "--resource-limit", "no-file=300", "--resource-limit", "fsize=1048576")
        assert limit_of(one.pid, "Max open files") == ("300", "300")
        assert limit_of(one.pid, "Max file size") == ("1048576", "1048576")
        assert os.readlink(f"/proc/{one.pid}/ns/net") == os.readlink(path)
        one.end()


def test_snapshot_in_the_jail(jail, base):  # noqa: F811
    """Saved there, taken to another jail, and begun with as another user."""
    one = jail("a", ALICE, files=[vm.guest("echo")], stdin=subprocess.PIPE)
    one.start("/echo.elf")
    ready(one)
    one.must("PATCH", "/vm", {"state": "Paused"})
    one.must("PUT", "/snapshot/create", {"snapshot_path": "/state", "mem_file_path": "/memory"})
    for name in "state", "memory":
        assert (one.root / name).stat().st_uid == ALICE
        shutil.copy(one.root / name, base)
    one.end()
    other = jail("b", BOB, files=[base / "state", base / "memory"], stdin=subprocess.PIPE)
    other.must("PUT", "/snapshot/load", {"snapshot_path": "/state", "mem_backend": {"backend_type": "File", "backend_path": "/memory"},
                                         "resume_vm": True})
    check_user(other.machine(), BOB)
    other.vm.send(b"a")
    other.vm.expect("byte 0x61")
    other.vm.send(b"q")
    assert other.vm.wait().status == 0


# ---- cgroups ----

@pytest.fixture
def parent():
    place = CGROUP2 / "pronto-jails"
    yield place
    for path in (place / "a", place):
        if path.exists():
            vm.wait_until(lambda path=path: not (path / "cgroup.procs").read_text(encoding="ascii"), what="its end")
            path.rmdir()


@needs_cgroups
def test_cgroup(jail, parent):  # noqa: F811
    one = jail("a", ALICE, "--cgroup-version", "2", "--parent-cgroup", "pronto-jails", "--cgroup", "cgroup.max.depth=3", "--cgroup",
               "cgroup.max.descendants=7")
    assert cgroup_of(one.pid) == "/pronto-jails/a"
    assert (parent / "a" / "cgroup.max.depth").read_text() == "3\n"
    assert (parent / "a" / "cgroup.max.descendants").read_text() == "7\n"
    assert (parent / "a" / "cgroup.procs").stat().st_uid == 0
    one.end()


@needs_cgroups
def test_cgroup_that_was_prepared(jail, parent):  # noqa: F811
    """Without values it is the parent itself, if it is there."""
    parent.mkdir()
    one = jail("a", ALICE, "--cgroup-version", "2", "--parent-cgroup", "pronto-jails")
    assert cgroup_of(one.pid) == "/pronto-jails"
    one.end()


@needs_cgroups
@pytest.mark.skipif(bool(CGROUP2) and "memory" not in (CGROUP2 / "cgroup.controllers").read_text().split(),
                    reason="cgroup2 has no controller for memory")
def test_cgroup_with_a_controller(jail, parent):  # noqa: F811
    one = jail("a", ALICE, "--parent-cgroup", "pronto-jails", "--cgroup", "memory.max=536870912")
    assert (parent / "a" / "memory.max").read_text() == "536870912\n"
    one.end()


# ---- what is refused ----

@pytest.fixture
def refused(box, base, jailer):  # noqa: F811
    """Its words; nothing is left of it."""
    def ask(*changes, around=(), status=vm.OPERATOR):
        options = {"--id": "a", "--exec-file": "firecracker", "--uid": ALICE, "--gid": GROUP, "--chroot-base-dir": base}
        options.update(dict(zip(changes[::2], changes[1::2])))
        before = sorted(base.rglob("*")), sorted(CGROUP2.iterdir()) if CGROUP2 else ()
        words = [word for name, value in options.items() if value is not None for word in (name, value)]
        result = vm.Vm(box, [*around, jailer, *words]).wait()
        assert (result.status, result.out) == (status, "")
        assert (sorted(base.rglob("*")), sorted(CGROUP2.iterdir()) if CGROUP2 else ()) == before
        return result.err.removeprefix("pronto: error: ").removesuffix("\n")
    return ask


PARSING = "Arguments parsing error: argument "


@pytest.mark.parametrize("changes, says", [
    (["--id", None], "'--id' is not there, and must be"),
    (["--id", "a_b"], "'--id' has 1 to 64 characters, of A-Z, a-z, 0-9 and -"),
    (["--id", "a" * 65], "'--id' has 1 to 64 characters, of A-Z, a-z, 0-9 and -"),
    (["--id", "../a"], "'--id' has 1 to 64 characters, of A-Z, a-z, 0-9 and -"),
    (["--exec-file", "/usr/"], "'--exec-file' names no program"),
    (["--uid", "nobody"], "'--uid' is a number"),
    (["--gid", "4294967295"], "'--gid' is a number"),
    (["--resource-limit", "cpu=3"], "'cpu=3' is no limit: give no-file=N or fsize=BYTES"),
    (["--resource-limit", "no-file=0"], "'no-file=0' is no limit: give no-file=N or fsize=BYTES"),
    (["--cgroup", "memory.max"], "'memory.max' is no value of a cgroup: give FILE=VALUE, as memory.max=1G"),
    (["--cgroup", "../x.y=1"], "'../x.y=1' is no value of a cgroup: give FILE=VALUE, as memory.max=1G"),
    (["--parent-cgroup", "a/../.."], "'--parent-cgroup' is a path without / at its beginning, . and .."),
    (["--cgroup-version", "3"], "'--cgroup-version' is 1 or 2"),
    (["--cgroup-version", "1", "--cgroup", "cpu.shares=2"], "'--cgroup-version' is 1, of which none are made: give 2, or leave out --cgroup "
                                                            "and start jailer in a cgroup that you have made"),
    (["--node", "0"], "'--node' is not known, or was not expected"),
], ids=str)
def test_words(refused, changes, says):
    assert refused(*changes) == PARSING + says


def test_a_place_that_cannot_be(refused, base):  # noqa: F811
    assert refused("--chroot-base-dir", base / "none") == (
        f"--chroot-base-dir {base}/none: No such file or directory: make it, or name another")
    for how, why in ("nodev", "no device opens there"), ("noexec", "no program starts there"):
        around = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o {how},mode=755 none {base} && exec "$@"', "sh"]
        assert refused(around=around) == (
            f"--chroot-base-dir {base}: its file system is mounted {how}, so {why}: name another")
    assert refused("--exec-file", "/no/such") == "--exec-file /no/such: cannot open: No such file or directory"
    assert refused("--netns", "/no/such") == "/no/such: No such file or directory; `ip netns add NAME` makes /run/netns/NAME"
    assert refused("--netns", "/proc/self/ns/mnt") == "/proc/self/ns/mnt: it is no network namespace"


@needs_cgroups
def test_a_cgroup_that_cannot_be(refused):
    where = f"{CGROUP2}/firecracker/a"
    assert refused("--cgroup", "cgroup.max.depth=x") == f"{where}/cgroup.max.depth: x cannot be written: Invalid argument"
    assert refused("--cgroup", "cgroup.none=1") == f"{where}/cgroup.none: 1 cannot be written: No such file or directory"
    there = " ".join((CGROUP2 / "cgroup.controllers").read_text().split())
    assert refused("--cgroup", "none.max=1") == f"none.max=1: cgroup2 has no controller `none` here, only: {there}"
    # And one that has been joined is left again.
    assert refused("--cgroup", "cgroup.max.depth=3", "--netns", "/no/such").startswith("/no/such: ")


def test_another_user(refused):
    assert refused(around=["setpriv", f"--reuid={ALICE}", f"--regid={GROUP}", "--clear-groups"]) == (
        "only root can make a jail: start this as root")


def test_there_is_one(jail, jailer, base):  # noqa: F811
    """Whether or not it still lives."""
    one = jail("a", ALICE)
    again = subprocess.run([jailer, "--id", "a", "--exec-file", jailer.with_name("firecracker"), "--uid", str(ALICE), "--gid", str(GROUP),
                            "--chroot-base-dir", base], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (
        vm.OPERATOR, f"pronto: error: {one.root}/firecracker: File exists: there is a jail of this id: end it and remove it, or give "
                     "another --id\n")
    assert one.state() == "Not started"


def test_links_of_who_lived_there(refused, base):  # noqa: F811
    """They lead nowhere."""
    root = base / "firecracker" / "a" / "root"
    root.mkdir(parents=True)
    (root / "dev").symlink_to("/dev")
    assert refused() == f"{root}/dev: Not a directory"
    (root / "dev").unlink()
    root.rmdir()
    root.symlink_to("/etc")
    assert refused() == f"{base}/firecracker/a/root: Not a directory"
    assert os.stat("/etc").st_uid == 0


def test_others_may_write(box, base, jailer):  # noqa: F811
    base.chmod(0o777)
    result = vm.Vm(box, [jailer, "--id", "a", "--exec-file", "firecracker", "--uid", ALICE, "--gid", GROUP, "--chroot-base-dir", base,
                         "--", "--version"]).wait()
    assert result.status == 0 and result.out.startswith("Firecracker v1.17.0 ")
    assert result.err == (f"pronto: warn: --chroot-base-dir {base}: others can change what is in it, and so who is in the jail: have it "
                          "root's, and chmod go-w it\n")


def test_version_and_help(box, jailer):  # noqa: F811
    version, usage = (vm.Vm(box, [jailer, word]).wait() for word in ("--version", "--help"))
    assert version.status == usage.status == 0
    assert version.out.startswith("Jailer v1.17.0 (Pronto ")
    for option in ("--id --exec-file --uid --gid --chroot-base-dir --netns --daemonize --new-pid-ns --cgroup --cgroup-version "
                   "--parent-cgroup --resource-limit").split():
        assert f"\n  {option} " in usage.out


# ---- two users ----

libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206


def seize(pid):
    if libc.ptrace(PTRACE_SEIZE, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def connect(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(str(path))


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def test_two_users(jail):  # noqa: F811
    """Neither reaches what is the other's, not even from outside of its own jail; each reaches its own."""
    one, other = (jail(name, uid, files=[vm.guest("echo")], stdin=subprocess.PIPE) for name, uid in (("a", ALICE), ("b", BOB)))
    for each in one, other:
        each.start("/echo.elf")
        ready(each)
        each.must("PATCH", "/vm", {"state": "Paused"})
        each.must("PUT", "/snapshot/create", {"snapshot_path": "/state", "mem_file_path": "/memory"})
    for theirs, owner, stranger in ((one, ALICE, BOB), (other, BOB, ALICE)):
        for do in (lambda t=theirs: connect(t.socket), lambda t=theirs: read(t.root / "memory"), lambda t=theirs: os.listdir(t.root),
                   lambda t=theirs: os.close(os.open(t.root / "dev" / "null", os.O_RDWR))):
            assert as_user(owner, do) == 0
            assert as_user(stranger, do) == errno.EACCES
        for pid in theirs.pid, theirs.machine():
            assert as_user(owner, lambda p=pid: os.kill(p, 0)) == 0
            assert as_user(stranger, lambda p=pid: os.kill(p, signal.SIGKILL)) == errno.EPERM
            assert as_user(stranger, lambda p=pid: seize(p)) == errno.EPERM
            for part in "mem", "maps", "environ":
                assert as_user(stranger, lambda p=pid, part=part: read(f"/proc/{p}/{part}")) in (errno.EACCES, errno.EPERM)
            assert as_user(stranger, lambda p=pid: os.listdir(f"/proc/{p}/root/")) == errno.EACCES
            assert as_user(stranger, lambda p=pid: os.listdir(f"/proc/{p}/fd")) == errno.EACCES
    assert one.state() == other.state() == "Paused"


def test_two_users_caches(box, base):  # noqa: F811
    """What one has had unpacked is no other's, neither to read nor to be given."""
    place = base / "cache"
    place.mkdir()
    os.chown(place, ALICE, GROUP)

    def look(uid):
        return vm.Vm(box, ["setpriv", f"--reuid={uid}", f"--regid={GROUP}", "--clear-groups", vm.PRONTO, "run", "--dry-run",
                           kernel], env={"XDG_CACHE_HOME": str(place)}, cwd="/").wait()
    kernel = base / "kernel"
    kernel.write_bytes(kernels.CASES["bzimage-signed"].make())
    kernel.chmod(0o644)
    assert (look(ALICE).status, look(ALICE).err) == (0, "")
    kept = place / "pronto"
    assert (stat.S_IMODE(kept.stat().st_mode), kept.stat().st_uid) == (0o700, ALICE)
    assert [path for path in kept.rglob("*") if path.is_file()]
    assert as_user(ALICE, lambda: os.listdir(kept)) == 0
    assert as_user(BOB, lambda: os.listdir(kept)) == errno.EACCES
    result = look(BOB)
    assert result.status == 0
    assert f"nothing can be kept in {kept}: Permission denied" in result.err
