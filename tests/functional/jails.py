# SPDX-License-Identifier: MIT
"""Jails, and what there is to see of them."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

import api
import vm

ALICE, BOB, GROUP = 64100, 64101, 64200
CGROUP2 = next((pathlib.Path(line.split()[1]) for line in pathlib.Path("/proc/mounts").read_text(encoding="ascii").splitlines()
                if line.split()[2] == "cgroup2"), None)


def why_no_jails():
    if os.geteuid():
        return "only root can make a jail"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "this root may have no mount namespace"
    return ""


def why_no_cgroups():
    if not CGROUP2:
        return "no cgroup2 is mounted"
    try:
        (CGROUP2 / "pronto-test-probe").mkdir()
        (CGROUP2 / "pronto-test-probe").rmdir()
    except OSError as error:
        return f"cgroup2 takes no cgroup: {error}"
    return ""


needs_cgroups = pytest.mark.skipif(bool(why_no_cgroups()), reason=why_no_cgroups())


def cgroup_of(pid):
    return next(line[3:] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines() if line.startswith("0::/"))


@contextlib.contextmanager
def cgroup(name):
    """One of this name, gone afterwards; whoever was in it has ended."""
    place = CGROUP2 / name
    place.mkdir()
    yield place
    vm.wait_until(lambda: not (place / "cgroup.procs").read_text(encoding="ascii"), what="its end")
    place.rmdir()


@contextlib.contextmanager
def network(commands=""):
    """The path of a network namespace."""
    with subprocess.Popen(["unshare", "--net", "sh", "-c", f"{commands} echo ready && exec sleep 600"], stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout.readline() == b"ready\n"
        yield f"/proc/{keeper.pid}/ns/net"
        keeper.kill()


def as_user(uid, do):
    """What a process of this user's comes to: its status, or an error's number."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            os.setgroups([])
            os.setresgid(GROUP, GROUP, GROUP)
            os.setresuid(uid, uid, uid)
            do()
            status = 0
        except OSError as error:
            status = error.errno
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Jail(api.Api):
    """`jailer`, the `firecracker` that it starts, and a connection to it."""

    def __init__(self, box, base, name, uid, *options, words=(), files=(), **kwargs):
        # pylint: disable=super-init-not-called
        self.root = base / "firecracker" / name / "root"
        self.socket = self.root / "run" / "firecracker.socket"
        if files:
            self.root.mkdir(parents=True)
        for file in files:
            shutil.copy(file, self.root)
            (self.root / pathlib.Path(file).name).chmod(0o644)
        self.vm = vm.Vm(box, [box.path / "cwd" / "jailer", "--id", name, "--exec-file", box.path / "cwd" / "firecracker", "--uid", uid,
                              "--gid", GROUP, "--chroot-base-dir", base, *options, *(["--", *words] if words else [])], **kwargs)
        vm.wait_until(lambda: self.vm.process.poll() or self.is_served(), what="the socket")
        assert not self.vm.process.poll(), self.vm.said()
        self.connection = api.Connection(self.socket)
        self.pid = int((self.root / "firecracker.pid").read_text(encoding="ascii"))

    def machine(self):
        """The process that KVM's machine is of."""
        task = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return int(task.read_text(encoding="ascii").split()[0])

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@pytest.fixture
def base():
    """Where jails are: other users may pass."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="jails-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def jailer(box):
    """The program by that name, and beside it firecracker."""
    for name in ("firecracker", "jailer"):
        (box.path / "cwd" / name).symlink_to(vm.PRONTO)
    return box.path / "cwd" / "jailer"


@pytest.fixture
def jail(box, base, jailer):  # pylint: disable=unused-argument
    started = []

    def start(name, uid, *options, **kwargs):
        started.append(Jail(box, base, name, uid, *options, **kwargs))
        return started[-1]
    yield start
    for one in started:
        one.end()
        vm.wait_until(lambda one=one: not vm.has_status(one.pid, "RSDT"), what="its end")


def status_of(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return re.search(rf"^{name}:[ \t]*(.*)$", text, re.M)[1]


def limit_of(pid, name):
    text = pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    return re.search(rf"^{name}\s+(\S+)\s+(\S+)", text, re.M).groups()


def mounts_of(pid):
    """Where, of which kind, and how, of each."""
    lines = pathlib.Path(f"/proc/{pid}/mounts").read_text(encoding="ascii").splitlines()
    return [(words[1], words[2], set(words[3].split(","))) for words in map(str.split, lines)]


def check_user(pid, uid, gid=GROUP):
    """For good: no way back to root."""
    assert status_of(pid, "Uid").split() == [str(uid)] * 4
    assert status_of(pid, "Gid").split() == [str(gid)] * 4
    assert status_of(pid, "Groups") == ""
    for caps in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status_of(pid, caps), 16) == 0
    assert status_of(pid, "NoNewPrivs") == "1"


def has_other(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
