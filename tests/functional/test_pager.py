# SPDX-License-Identifier: MIT
"""A machine whose memory another process brings, page by page, as it is touched."""

import contextlib
import http.client
import json
import os
import signal
import socket as sockets
import subprocess
import time

import pytest

import breach
import pager
import vm
from saving import Copy, make_disk, memory_of, press
from saving import machine, place, restore, saved  # noqa: F401  pylint: disable=unused-import
from state import State

pytestmark = pytest.mark.kvm

GONE = "who brings the machine's memory has gone, and it cannot go on without"


@pytest.fixture
def socket(box):
    path = box.path / "tmp" / "pager"
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def handler(box, socket, place):
    """Start one for the snapshot's memory."""
    def start(*how):
        return pager.start(box, socket, memory_of(place), *how)
    return start


@pytest.fixture
def served(restore, socket):
    def start(*options, **kwargs):
        return restore("--from-memory", f"uffd:{socket}", *options, **kwargs)
    return start


def ended(done, says, status=vm.HOST_ERROR):
    assert (done.status, done.err) == (status, f"pronto: error: {says}\n"), done


# ---- it is brought ----

def test_each_page_once_and_no_other(saved, handler, served):
    of_it = handler()
    done = press(served())
    assert (done.status, done.err) == (vm.POWEROFF, "")
    vm.tap(done.out)
    assert of_it.wait().out.splitlines()[-1] == "gone"
    brought = pager.pages(of_it)
    assert 2 <= len(brought) < 100 and len(set(brought)) == len(brought)


def message(of_it):
    return [json.loads(line.split(" ", 1)[1]) for line in of_it.out.decode().splitlines() if line.startswith("message")]


@pytest.mark.parametrize("mib, regions", [(64, [(64 << 20, 0)]), (3200, [(3 << 30, 0), (128 << 20, 3 << 30)])])
def test_the_message(machine, place, handler, served, mib, regions):
    first = machine("button", memory=f"{mib}M")
    first.vm.expect("ready")
    first.save(place)
    first.kill()
    of_it = handler()
    vm.tap(press(served()).out)
    of_it.wait()
    (said,) = message(of_it)
    assert [(region["size"], region["offset"]) for region in said] == regions
    for region in said:
        assert region["base_host_virt_addr"] % (2 << 20) == 0


GUESTS = [("clock", {}), ("smp", {"cpus": 4}), ("rng", {"rng": [{}]}),
          ("smp", {"cpus": 2, "rng": [{}], "transport": "pci"}), ("rings", {"rng": [{}]})]


@pytest.mark.parametrize("guest, config", GUESTS, ids=str)
def test_at_any_moment(machine, place, handler, served, guest, config):
    """What was said before and what is said after are all that they say."""
    for delay in range(4):
        first = machine(guest, stdin=subprocess.PIPE, **config)
        time.sleep(0.005 * delay)
        try:
            said = first.pause()
            first.save(place)
        except (AssertionError, OSError, http.client.HTTPException):
            break  # it is over
        first.kill()
        of_it = handler()
        copy = served(stdin=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):  # who has done all by then reads nothing
            copy.send(b"a line\n")
        done = copy.wait(60)
        assert done.status == vm.POWEROFF, done
        vm.tap(said.decode() + done.out)
        assert of_it.wait().status == 0


@pytest.mark.parametrize("engine", ["sync", "uring"])
def test_busy_disk(machine, place, box, handler, served, engine):
    """System calls, and the kernel's own threads, wait for pages as a vCPU does."""
    disk = make_disk(box.path / "tmp" / "disk")
    first = machine("busy", disk=[{"path": str(disk), "engine": engine}])
    first.vm.expect("." * 10)
    first.pause()
    first.save(place)
    first.kill()
    of_it = handler()
    copy = served()
    copy.expect("." * 50)
    assert press(copy, ".").status == vm.POWEROFF
    assert of_it.wait().status == 0


@pytest.mark.parametrize("how", ["closes", "babbles"])
def test_who_needs_no_connection(saved, handler, served, how):
    of_it = handler(how)
    done = press(served())
    assert (done.status, done.err) == (vm.POWEROFF, "")
    vm.tap(done.out)
    if how == "closes":
        of_it.expect("closed")
        of_it.kill()
    else:
        of_it.wait()


def test_what_is_given_back(machine, place, box, handler, served, copy, restore):
    """Who brings pages hears of it, and the guest finds zeros there; so does one that goes on from what is saved then."""
    first = machine("balloon", balloon=[{}], stdin=subprocess.PIPE)
    first.vm.expect("ready")
    first.save(place)
    first.kill()
    of_it = handler()
    one = copy(stdin=subprocess.PIPE).load()
    one.vm.send(b"x")
    one.vm.expect("given")
    heard = [line.split() for line in of_it.out.decode().splitlines()]
    given = {f"{0x1000000 + 2 * i * 4096:#x}" for i in range(8)}
    assert {line[1] for line in heard if line[0] == "removed"} == given
    assert {line[1] for line in heard if line[0] == "zero"} == given
    again = box.path / "tmp" / "again"
    one.save(again)
    one.kill()
    of_it.wait()
    last = restore(path=again, stdin=subprocess.PIPE)
    last.send(b"x")
    done = last.wait()
    assert (done.status, done.err) == (vm.POWEROFF, "")
    vm.tap(first.vm.out.decode() + one.vm.out.decode() + done.out)


def test_another_life(machine, place, handler, served):
    """Its memory is its own then, and nobody need bring it."""
    first = machine("rng", "reset", rng=[{}], stdin=subprocess.PIPE, **{"on-reboot": "restart"})
    first.vm.expect("# bytes")
    first.save(place)
    first.kill()
    of_it = handler()
    copy = served(stdin=subprocess.PIPE)
    copy.send(b"r")
    copy.expect("# bytes")
    of_it.kill()
    time.sleep(0.1)
    copy.send(b"q")
    done = copy.wait()
    assert done.status == vm.POWEROFF and GONE not in done.err
    vm.tap(done.out)


# ---- it is not ----

@pytest.mark.parametrize("how", [("dies", 0), ("dies", 1), ("dies", 2)], ids=str)
def test_handler_dies_at_the_start(saved, handler, served, socket, how):
    handler(*how)
    done = served().wait()
    ended(done, f"{socket}: {GONE}")
    assert done.out == ""


def test_handler_leaves_at_once(saved, handler, served, socket):
    """Before it is told anything, or just after."""
    handler("leaves")
    done = served().wait()
    assert (done.status, done.out, done.err) in [
        (vm.HOST_ERROR, "", f"pronto: error: {socket}: {GONE}\n"),
        (vm.OPERATOR, "", f"pronto: error: {socket}: does not take where memory is: Broken pipe\n")], done


def test_handler_dies_later(machine, place, handler, served, socket):
    first = machine("naps", "20 " * 200 + "1")
    first.vm.expect("ok 3")
    first.save(place)
    first.kill()
    of_it = handler()
    copy = served()
    copy.expect("ok 10")
    assert copy.process.poll() is None
    of_it.kill()
    ended(copy.wait(), f"{socket}: {GONE}")


def test_confined(machine, place, handler, served, socket):
    """The thread that looks has a role, too, in which it can tell of the end."""
    first = machine("naps", "20 " * 200 + "1")
    first.vm.expect("ok 3")
    first.save(place)
    first.kill()
    of_it = handler()
    copy = served("--confine", "on")
    copy.expect("ok 10")
    names = {name for name in breach.threads(copy.pid) if name.startswith("pronto")}
    assert names >= {"pronto", "pronto-vcpu", "pronto-pager"} and names <= breach.filtered(copy.pid)
    of_it.kill()
    ended(copy.wait(), f"{socket}: {GONE}")


def test_a_connection_is_no_handler(machine, place, handler, served, socket):
    """One that has gone on without it is not gone before its process is."""
    first = machine("naps", "20 " * 50 + "1")
    first.vm.expect("ok 3")
    first.save(place)
    first.kill()
    of_it = handler("hangs-up", 20)
    copy = served("--grace", "0")
    time.sleep(0.5)
    assert copy.process.poll() is None
    of_it.kill()
    ended(copy.wait(), f"{socket}: {GONE}")


def test_ends_at_the_start(saved, handler, served):
    """While nothing is brought it can be ended by any signal."""
    of_it = handler("stops", 0)
    copy = served()
    of_it.expect("stops")
    time.sleep(0.1)
    copy.signal(signal.SIGTERM)
    done = copy.wait()
    assert (done.status, done.out) == (vm.KILLED, "") and done.seconds < 5
    of_it.kill()


@pytest.mark.parametrize("config", [{}, {"disk": "uring"}, {"disk": "sync"}], ids=str)
def test_ends_when_nothing_comes(machine, place, box, handler, served, config):
    """A vCPU or a device waits for what does not come.  The operator's signals do not."""
    if config:
        config = {"disk": [{"path": str(make_disk(box.path / "tmp" / "disk")), "engine": config["disk"]}]}
    first = machine("busy" if config else "naps", "" if config else "20 " * 200 + "1", **config)
    first.vm.expect("." if config else "ok 3")
    first.pause()
    first.save(place)
    first.kill()
    everything = pages_of_a_run(handler, served)
    assert everything > 3
    for n in {1, 2, everything // 3, everything // 2, everything - 2}:
        of_it = handler("stops", n)
        copy = served("--grace", "1")
        of_it.expect("stops")
        time.sleep(0.05)
        copy.signal(signal.SIGTERM)
        done = copy.wait()
        assert done.status == vm.KILLED, done
        assert done.seconds < 10
        of_it.kill()


def pages_of_a_run(handler, served):
    of_it = handler()
    copy = served("--grace", "0")
    time.sleep(0.5)
    copy.signal(signal.SIGTERM)
    copy.wait()
    of_it.wait()
    return len(pager.pages(of_it))


@pytest.mark.long
@pytest.mark.parametrize("how", ["never-accepts", "never-reads"])
def test_nothing_ever_comes(saved, handler, served, socket, how):
    of_it = handler(how)
    ended(served().wait(60), f"{socket}: memory that the machine waits for has not come for 30 seconds")
    of_it.kill()


@pytest.mark.long
def test_no_room_for_one_more(saved, served, socket):
    """At a socket that others wait at, and nobody accepts."""
    with sockets.socket(sockets.AF_UNIX) as listener, sockets.socket(sockets.AF_UNIX) as other:
        listener.bind(str(socket))
        listener.listen(0)
        other.connect(str(socket))
        ended(served().wait(60), f"{socket}: cannot connect to who is to bring the machine's memory: Connection timed out", vm.OPERATOR)


# ---- nobody to bring it ----

def test_no_such_socket(saved, served, socket, restore):
    says = f"{socket}: cannot connect to who is to bring the machine's memory: "
    ended(served().wait(), f"{says}No such file or directory", vm.OPERATOR)
    socket.write_bytes(b"")
    ended(served().wait(), f"{says}Connection refused", vm.OPERATOR)
    done = restore("--from-memory", "uffd:" + "x" * 200).wait()
    assert done.status == vm.OPERATOR and "File name too long" in done.err
    done = restore("--from-memory", "uffd:").wait()
    assert done.status == vm.OPERATOR and "--from-memory" in done.err


WITHOUT = """
[ ! -e /dev/userfaultfd ] || mount --bind /dev/null /dev/userfaultfd || exit
exec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace "$@"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_not_permitted(saved, handler, box, socket):
    with open("/proc/sys/vm/unprivileged_userfaultfd", encoding="ascii") as file:
        if file.read().strip() != "0":
            pytest.skip("everybody may, here")
    of_it = handler()
    done = vm.Vm(box, ["unshare", "-m", "sh", "-c", WITHOUT, "sh", vm.PRONTO, "restore", "--from-memory", f"uffd:{socket}", saved]).wait()
    ended(done, f"{socket}: this process may not have page faults of the kernel's served (userfaultfd): let it open "
          "/dev/userfaultfd, or give it CAP_SYS_PTRACE, or set the sysctl vm.unprivileged_userfaultfd to 1", vm.OPERATOR)
    of_it.kill()


def test_served_devices(machine, place, served, socket, box):
    """Who serves one cannot ask for a page that is not there."""
    first = machine("button", disk=[{"path": str(make_disk(box.path / "tmp" / "disk"))}])
    first.vm.expect("ready")
    first.save(place)
    first.kill()
    state = State(place / "state")
    config = state.find("config")
    config[3] = json.dumps({**json.loads(config[3]), "disk": [{"vhost-user": "/nowhere"}]}).encode()
    state.write()
    ended(served().wait(), f"{socket}: memory from which another process serves a device cannot be brought by a handler: "
          "restore it from its file", vm.OPERATOR)


def test_clones_have_theirs(saved, box):
    done = vm.Vm(box, [vm.PRONTO, "clone", saved, "--count", "1", "--from-memory", "uffd:x"]).wait()
    assert done.status != 0 and "option --from-memory: it is open already" in done.err, done


# ---- it is saved again ----

class Served(Copy):
    """One that is driven by the API."""

    def __init__(self, box, place, socket, stdin, **body):  # pylint: disable=super-init-not-called
        self.box = box
        super(Copy, self).__init__(box, name="copy", stdin=stdin)
        self.body = {"snapshot_path": str(place / "state"), "mem_backend": {"backend_type": "Uffd", "backend_path": str(socket)}, **body}

    def load(self):
        self.must("PUT", "/snapshot/load", self.body)
        return self


@pytest.fixture
def copy(box, place, socket):
    def make(stdin=subprocess.DEVNULL, **body):
        return Served(box, place, socket, stdin, **{"resume_vm": True, **body})
    return make


@pytest.mark.parametrize("words", [[], ["--diff"]], ids=str)
def test_saved_again(saved, handler, copy, box, restore, words):
    """All of it, whatever was asked for, and so it needs nobody any more."""
    again = box.path / "tmp" / "again"
    of_it = handler()
    one = copy().load()
    one.vm.expect("a copy")
    one.save(again, *words)
    assert one.ctl("button").returncode == 0
    assert one.vm.wait().status == vm.POWEROFF
    of_it.wait()
    brought = pager.pages(of_it)
    assert len(brought) == len(set(brought)) == (64 << 20) // 4096
    was, is_now = memory_of(saved).read_bytes(), memory_of(again).read_bytes()
    differ = [at for at in range(0, 64 << 20, 4096) if was[at:at + 4096] != is_now[at:at + 4096]]
    assert 0 < len(differ) < 20
    vm.tap(press(restore(path=again)).out)


def test_saved_while_it_stands(saved, handler, copy, box, restore):
    again = box.path / "tmp" / "again"
    of_it = handler()
    one = copy(resume_vm=False).load()
    one.save(again)
    one.kill()
    of_it.wait()
    vm.tap(press(restore(path=again)).out)


def test_saved_while_nothing_comes(saved, handler, copy, box):
    """The machine goes on meanwhile; when it ends there is no snapshot, and nothing of one."""
    again = box.path / "tmp" / "again"
    of_it = handler("stops", 3000)
    one = copy().load()
    one.vm.expect("a copy")
    asked = subprocess.Popen([vm.PRONTO, "ctl", one.socket, "snapshot", again], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    of_it.expect("stops")
    assert one.state() == "Running"
    one.save_not(box.path / "tmp" / "other", "a snapshot is being made: wait for it")
    assert one.ctl("button").returncode == 0
    assert one.vm.wait().status == vm.POWEROFF
    assert asked.communicate(timeout=vm.TIMEOUT)[1] == (
        "pronto: error: refused (400): Create snapshot error: the machine ended before it could be saved\n")
    assert not again.exists()
    of_it.kill()


def test_handler_dies_while_it_is_saved(saved, handler, copy, box, socket):
    again = box.path / "tmp" / "again"
    handler("dies", 3000)
    one = copy().load()
    one.vm.expect("a copy")
    done = one.ctl("snapshot", again)
    assert done.returncode != 0
    result = one.vm.wait()
    assert result.status == vm.HOST_ERROR and f"{socket}: {GONE}" in result.err


# ---- by the API ----

def test_api_refuses_and_goes_on(saved, handler, copy, socket, box):
    """A client may try again, also with the memory's file."""
    one = copy()
    says = f"Load snapshot error: {socket}: cannot connect to who is to bring the machine's memory: No such file or directory"
    assert one.fault("PUT", "/snapshot/load", one.body) == says
    handler("dies", 0)
    assert one.fault("PUT", "/snapshot/load", one.body) == f"Load snapshot error: {socket}: {GONE}"
    socket.unlink()
    assert one.fault("PUT", "/snapshot/load", {**one.body, "huge_pages": "2M"}) == (
        "Load snapshot error: huge_pages: pages of 2M cannot be those of a handler; leave it out")
    of_it = handler()
    one.load()
    one.vm.expect("a copy")
    one.kill()
    of_it.wait()
    del box


def test_api_tells_of_the_end(saved, handler, copy, socket):
    of_it = handler()
    one = copy().load()
    one.vm.expect("a copy")
    of_it.kill()
    result = one.vm.wait()
    assert result.status == vm.HOST_ERROR and f"{socket}: {GONE}" in result.err


def test_no_fork(saved, box, handler, copy):
    """Nobody would bring its memory."""
    handler()
    machine = copy().load()
    assert "a handler brings its memory" in machine.fault("PUT", "/fork", {"socket_path": str(box.path / "tmp" / "fork.sock")})
