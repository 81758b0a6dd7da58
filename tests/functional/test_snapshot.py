# SPDX-License-Identifier: MIT
"""A machine is saved, and goes on in another process: at any moment, as often as one likes, or it is said why not."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zlib

import pytest

import api
import vm

pytestmark = pytest.mark.kvm

IN_USE = ("is in use, by another program or as another disk; two cannot write to one: end that program, or give the disk "
          "`overlay`")
LOST = "the machine's memory cannot be read any more: the file was cut, or its disk fails"


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


# ---- and goes on ----

def test_goes_on(saved, restore):
    assert has_two_files(saved)
    done = press(restore())
    assert done.status == vm.POWEROFF and done.err == ""
    vm.tap(done.out)


def test_first_goes_on_too(machine, place, restore):
    first = machine("button")
    first.vm.expect("ready")
    first.save(place)
    copy = restore()
    vm.tap(press(copy).out)
    assert first.ctl("button").returncode == 0
    result = first.vm.wait()
    assert result.status == vm.POWEROFF
    vm.tap(result.out)


def test_twenty_times(saved, restore):
    for _ in range(20):
        done = press(restore())
        assert done.status == vm.POWEROFF, done
        vm.tap(done.out)
    assert has_two_files(saved)


def test_many_at_once(saved, restore):
    copies = [restore() for _ in range(8)]
    for done in map(press, copies):
        assert done.status == vm.POWEROFF, done
        vm.tap(done.out)


def test_again_into_the_same_place(machine, place, restore):
    """The other is replaced, and nothing of it is left."""
    first = machine("echo", stdin=subprocess.PIPE)
    first.vm.expect("ready")
    first.save(place)
    memory = memory_of(place)
    for byte in b"abc":
        first.vm.send(bytes([byte]))
        first.vm.expect(f"byte {byte:#x}")
        first.save(place)
        assert has_two_files(place) and not memory.exists()
        memory = memory_of(place)
    first.kill()
    copy = restore(stdin=subprocess.PIPE)
    copy.send(b"q")
    assert copy.wait().out.replace("\r", "") == "byte 0x71\nbytes 4\n"


def test_state_by_its_own_name(saved, restore):
    vm.tap(press(restore(path=saved / "state")).out)


def test_memory_by_name(saved, restore, box):
    elsewhere = box.path / "tmp" / "elsewhere"
    memory_of(saved).rename(elsewhere)
    vm.tap(press(restore("--from-memory", elsewhere)).out)


def test_relative_paths(machine, box, restore):
    """They are those of who asks, not of who answers."""
    first = machine("button")
    first.vm.expect("ready")
    asked = subprocess.run([vm.PRONTO, "ctl", first.socket, "snapshot", "here"], cwd=box.path / "tmp", env=box.environment(),
                           capture_output=True, check=False)
    assert asked.returncode == 0, asked
    first.kill()
    vm.tap(press(restore(path="here", cwd=box.path / "tmp")).out)


class Copy(api.Api):
    """A machine that goes on from a snapshot, and is driven."""

    def __init__(self, box, place, name, **kwargs):
        self.box = box
        super().__init__(box, name=name, **kwargs)
        self.must("PUT", "/snapshot/load", {"snapshot_path": str(place), "resume_vm": True})

    pause, ctl, save, kill = Machine.pause, Machine.ctl, Machine.save, Machine.kill


# What they are at when they are paused is left to chance: what was said before and what is said after are all that they say.
ANY_MOMENT = [("clock", "", {}), ("smp", "", {"cpus": 4}), ("smp", "", {"cpus": 2, "rng": [{}], "transport": "pci"}), ("rng", "", {"rng": [{}]}),
              ("naps", "20 " * 30 + "1", {}), ("rings", "", {"rng": [{}]}), ("serial_irq", "", {})]


@pytest.mark.parametrize("guest, words, config", ANY_MOMENT, ids=[" ".join([g, *map(str, c)]) for g, _, c in ANY_MOMENT])
def test_one_after_another(machine, box, place, guest, words, config):
    """It moves from one process to the next every few milliseconds, and knows nothing of it."""
    current = machine(guest, words, **config, stdin=subprocess.PIPE)
    said, n, is_asked = b"", 0, False
    for n in range(60):
        time.sleep(0.002 * (n % 20))
        if not is_asked and b"ready" in said:
            current.vm.send(b"a line\n")
            is_asked = True
            continue
        try:
            said_here = current.pause()
            current.save(place)
        except (AssertionError, OSError, http.client.HTTPException):
            break  # it is over
        said += said_here
        current.kill()
        current = Copy(box, place, f"copy{n}", stdin=subprocess.PIPE)
    done = current.vm.wait(60)
    assert done.status == vm.POWEROFF, done
    vm.tap(said.decode() + done.out)
    print(f"{n} processes")


@pytest.mark.parametrize("transport", ["mmio", "pci"])
@pytest.mark.parametrize("engine", ["sync", "uring"])
def test_busy_disk(machine, place, restore, box, engine, transport):
    """It never rests; each copy has a disk as it was, and the first goes on with its own."""
    disk = make_disk(box.path / "tmp" / "disk")
    first = machine("busy", disk=[{"path": str(disk), "engine": engine}], transport=transport)
    first.vm.expect("." * 10)
    for i in range(4):
        first.pause()
        copy = shutil.copy(disk, box.path / "tmp" / f"copy{i}")
        first.save(place)
        first.must("PATCH", "/vm", {"state": "Resumed"})
        other = restore("--disk", f"path={copy}")
        other.expect("." * 20)
        done = press(other, ".")
        assert (done.status, done.err) == (vm.POWEROFF, ""), done
        first.vm.expect("." * (first.vm.out.count(b".") + 5))
        assert first.vm.process.poll() is None, first.vm.said()
    assert first.ctl("button").returncode == 0
    assert first.vm.wait().status == vm.POWEROFF


def test_while_it_runs(machine, place, restore):
    """Not paused by anybody: it stands still for a moment and goes on.  Where it was then nobody knows, but the copy does."""
    first = machine("naps", "10 " * 80 + "1")
    for _ in range(10):
        first.save(place)
    vm.tap(first.vm.wait().out)
    done = restore().wait()
    assert done.status == vm.POWEROFF and done.out.replace("\r", "").endswith("1..83\n"), done
    assert "not ok" not in done.out


def test_input_that_waits(machine, place, restore):
    """What the guest has not read is the copy's: each byte is told of once."""
    data = bytes(i % 100 + 1 for i in range(3000))
    first = machine("echo", stdin=subprocess.PIPE)
    first.vm.expect("ready")
    first.vm.send(data)
    first.vm.expect("byte", timeout=5)
    said = first.pause()
    first.save(place)
    first.kill()
    copy = restore(stdin=subprocess.PIPE)
    time.sleep(0.2)
    copy.send(b"q")
    done = copy.wait()
    lines = (said.decode() + done.out).replace("\r", "").splitlines()
    told = bytes(int(line.split()[1], 16) for line in lines if line.startswith("byte "))
    assert told[-1:] == b"q" and data.startswith(told[:-1])
    assert len(told) - 1 - said.count(b"byte ") <= 17  # the FIFO, and a line that was cut
    assert lines[-1] == f"bytes {len(told)}"


def test_consoles_and_ports(machine, place, restore, box):
    """Each has a file of its own, and may have another; sockets are where they were."""
    here = box.path / "tmp"
    first = machine("button", console=f"file:{here}/serial", hvc=[{"to": f"file:{here}/hvc"}],
                    port=[{"to": f"socket:{here}/port", "name": "a"}, {"name": "b"}], vsock=[{"path": f"{here}/vsock"}])
    vm.wait_until(lambda: (here / "serial").read_bytes() == b"ready\n", what="it")
    first.save(place)
    first.kill()
    (here / "port").unlink()
    (here / "vsock").unlink()
    copy = restore("--console", f"file:{here}/other", "--hvc", f"to=file:{here}/hvc2")
    vm.wait_until(lambda: (here / "other").exists() and (here / "other").read_bytes() == b"a copy\n", what="it")
    assert (here / "vsock").is_socket() and (here / "port").is_socket()
    copy.signal(signal.SIGTERM)
    assert copy.wait().status == vm.POWEROFF
    vm.tap((here / "other").read_text())
    assert (here / "hvc2").exists() and (here / "serial").read_bytes() == b"ready\n"
    for left in "port", "vsock":
        assert not (here / left).exists()


def test_another_life(saved, restore, machine, place):
    """One that resets begins anew by the kernel's file, where that is wanted."""
    del saved
    first = machine("rng", "reset", rng=[{}], name="second", stdin=subprocess.PIPE, **{"on-reboot": "restart"})
    first.vm.expect("# bytes")
    first.save(place)
    first.kill()
    copy = restore(stdin=subprocess.PIPE)
    copy.send(b"r")
    copy.expect("# bytes")
    copy.send(b"q")
    done = copy.wait()
    assert done.status == vm.POWEROFF
    vm.tap(done.out)
    # And not otherwise.
    copy = restore("--on-reboot", "exit", stdin=subprocess.PIPE)
    copy.send(b"r")
    assert copy.wait().status == vm.REBOOT


@pytest.mark.parametrize("options, clock", [([], "host"), (["--clock", "stood"], "stood")])
def test_options_that_are_its_own(saved, restore, options, clock):
    done = press(restore("-v", "--timeline", *options))
    assert done.status == vm.POWEROFF and "the guest" in done.err, (done, clock)


# ---- refused ----

def refused(done, says, status=vm.OPERATOR):
    assert (done.status, done.out, done.err) == (status, "", f"pronto: error: {says}\n")


def test_nothing_there(restore, box):
    missing = box.path / "tmp" / "missing"
    refused(restore(path=missing).wait(), f"{missing}: cannot open: No such file or directory")
    missing.mkdir()
    refused(restore(path=missing).wait(), f"{missing}/state: cannot open: No such file or directory")
    (missing / "state").write_bytes(b"")
    refused(restore(path=missing).wait(), f"{missing}/state: is empty")
    (missing / "state").write_bytes(b"x" * 1000)
    refused(restore(path=missing).wait(), f"{missing}/state: is no state of a machine that pronto has saved")
    (missing / "state").unlink()
    os.mkfifo(missing / "state")
    refused(restore(path=missing).wait(), f"{missing}/state: is a FIFO; give a regular file")


def test_no_words(box):
    for words, says in [([], "no snapshot given; see `pronto restore --help`"), (["a", "b"], "'b' would be a second snapshot")]:
        done = vm.Vm(box, [vm.PRONTO, "restore", *words]).wait()
        assert done.status == vm.OPERATOR and done.out == ""
        assert words == ["a", "b"] or done.err == f"pronto: error: {says}\n"


def test_damaged_state(saved, restore):
    whole = (saved / "state").read_bytes()
    name = f"{saved}/state"
    for size in 1, 47, 48, 1000, len(whole) - 1:
        (saved / "state").write_bytes(whole[:size])
        done = restore().wait()
        assert (done.status, done.out) == (vm.OPERATOR, "") and done.err.startswith(f"pronto: error: {name}: "), done
    for at in range(12, len(whole), 97):
        (saved / "state").write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
        done = restore().wait()
        assert (done.status, done.out) == (vm.OPERATOR, "") and done.err.startswith(f"pronto: error: {name}: "), done
    (saved / "state").write_bytes(whole)
    vm.tap(press(restore()).out)


def test_memory(saved, restore, box):
    memory = memory_of(saved)
    size = memory.stat().st_size
    other = box.path / "tmp" / "other"
    for cut in size - 1, 64 << 20, 4096, 1:
        shutil.copy(memory, other)
        os.truncate(other, cut)
        refused(restore("--from-memory", other).wait(), f"{other}: is shorter than the machine's memory: it was cut")
    with memory.open("r+b") as file:
        file.seek(size - 20)
        byte = file.read(1)
        file.seek(size - 20)
        file.write(bytes([byte[0] ^ 1]))
    refused(restore().wait(), f"{memory}: is the memory of another snapshot")
    memory.unlink()
    refused(restore().wait(), f"{memory}: cannot open: No such file or directory")


def test_memory_of_another(machine, saved, place, restore, box):
    del saved
    first = machine("button", name="second")
    first.vm.expect("ready")
    first.save(box.path / "tmp" / "second")
    other = memory_of(box.path / "tmp" / "second")
    refused(restore("--from-memory", other, path=place).wait(), f"{other}: is the memory of another snapshot")


@pytest.mark.parametrize("option, says", [
    ("--memory=1G", "--memory is as the snapshot has it, and cannot be changed"),
    ("--cpus=2", "--cpus is as the snapshot has it, and cannot be changed"),
    ("--transport=pci", "--transport is as the snapshot has it, and cannot be changed"),
    ("--config=x", "--config is as the snapshot has it, and cannot be changed"),
    ("--disk=x", "option --disk: the snapshot's machine has 0 such devices, and none can be added"),
    ("--nonsense", "unknown or ambiguous option --nonsense; see `pronto restore --help`"),
    ("--grace=x", "option --grace: 'x' is not a whole number from 0 to 86400"),
])
def test_options_that_cannot_be(saved, restore, option, says):
    refused(restore(option, path=saved).wait(), says)


def test_words_for_a_kernel(saved, box):
    done = vm.Vm(box, [vm.PRONTO, "restore", saved, "--", "quiet"]).wait()
    refused(done, "words after -- are a kernel's, and none is started")


def test_disks(machine, place, restore, box):
    disk = make_disk(box.path / "tmp" / "disk")
    first = machine("busy", disk=[{"path": str(disk)}])
    first.vm.expect(".")
    first.pause()
    first.save(place)
    refused(restore().wait(), f"--disk: {disk}: {IN_USE}")
    first.kill()
    other = make_disk(box.path / "tmp" / "other")
    os.truncate(other, 1 << 19)
    refused(restore("--disk", f"path={other}").wait(),
            "the snapshot cannot be restored: disk in slot 0: what is behind it has 1024 sectors, and had 2048: it is another disk", vm.HOST_ERROR)
    refused(restore("--disk", "ro").wait(),
            "the snapshot cannot be restored: disk in slot 0: it was to be written to, and is not any more", vm.HOST_ERROR)
    refused(restore("--disk", "path=a", "--disk", "path=b").wait(),
            "option --disk: the snapshot's machine has 1 such devices, and none can be added")
    disk.unlink()
    refused(restore().wait(), f"--disk: {disk}: there is no such file; `truncate -s 1G {disk}` makes an empty disk")


def test_consoles_that_do_not_go_together(machine, place, restore):
    first = machine("button", hvc=[{"to": "null"}])
    first.vm.expect("ready")
    first.save(place)
    refused(restore("--console", "stdio", "--hvc", "to=stdio").wait(),
            "standard input and output are one console's, and --console has them already; give the others a file, a pty or a socket")


def test_hostile_settings(saved, restore):
    """Of a file that is whole: a machine without a kernel, and one with other devices than it says."""
    whole = bytearray((saved / "state").read_bytes())
    for old, new, says in [(b'"kernel"', b'"initrd"', "its settings are not the machine's"), (b'"memory": 67108864', b'"memory": 67112960', "its settings are not the machine's"),
                           (b'"cpus": 1', b'"cpus": 2', "its settings are not the machine's"), (b'"cpus": 1', b'"cpus": x', "")]:
        assert whole.count(old) == 1 and len(old) == len(new)
        data = whole.replace(old, new)
        data[12:16] = (zlib.crc32(data[16:])).to_bytes(4, "little")
        (saved / "state").write_bytes(data)
        done = restore("--on-reboot", "restart").wait()
        assert (done.status, done.out) == (vm.OPERATOR, "") and says in done.err, done


# ---- what cannot be saved ----

@pytest.mark.skipif(not shutil.which("virtiofsd") and not os.path.exists("/usr/libexec/virtiofsd"), reason="no virtiofsd here")
def test_share(machine, place, box):
    first = machine("button", share=[{"dir": str(box.path / "tmp"), "tag": "t"}])
    first.vm.expect("ready")
    first.save_not(place, "share cannot be saved: what its daemon knows of the guest's files stays behind")
    assert not place.exists()
    assert first.ctl("button").returncode == 0
    assert first.vm.wait().status == vm.POWEROFF


def test_overlay_that_vanishes(machine, place, box):
    disk = make_disk(box.path / "tmp" / "disk")
    first = machine("busy", disk=[{"path": str(disk), "overlay": "on"}])
    first.vm.expect(".")
    first.save_not(place, "disk cannot be saved: its overlay, which was written to, is gone with this process: give overlay=FILE")
    assert not place.exists()
    first.vm.expect("." * (first.vm.out.count(b".") + 5))


def test_overlay_that_is_kept(machine, place, restore, box):
    disk = make_disk(box.path / "tmp" / "disk")
    first = machine("busy", disk=[{"path": str(disk), "overlay": str(box.path / "tmp" / "over")}])
    first.vm.expect(".")
    first.pause()
    first.save(place)
    # It is saved with its index when the process ends, which knows that it is to.
    first.vm.signal(signal.SIGTERM)
    first.vm.wait()
    copy = restore()
    assert press(copy, "." * 10).status == vm.POWEROFF


def test_places(machine, place, box):
    first = machine("button")
    first.vm.expect("ready")
    first.save_not(box.path / "tmp" / "no" / "where", "cannot make the directory: No such file or directory")
    place.write_bytes(b"mine")
    first.save_not(place, f"{place}: is no directory; give one, or a file for the memory as well")
    assert place.read_bytes() == b"mine"
    assert first.ctl("snapshot").returncode == vm.OPERATOR
    place.unlink()
    first.save(place)


def test_before_the_start(serve, box):
    a = serve()
    done = subprocess.run([vm.PRONTO, "ctl", a.socket, "snapshot", box.path / "tmp" / "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("pronto: error: "), done
    assert not (box.path / "tmp" / "x").exists()


# ---- in the middle of it ----

def large(machine, box):
    """One whose memory takes a while to be written."""
    initrd = box.path / "tmp" / "initrd"
    if not initrd.exists():
        initrd.write_bytes(os.urandom(24 << 20))
    first = machine("button", initrd=str(initrd))
    first.vm.expect("ready")
    return first


def check_whole(place, restore):
    """What is there can be restored, and nothing else is there but what a killed process had no time to remove."""
    names = {f.name for f in place.iterdir()}
    assert "state" in names
    vm.tap(press(restore()).out)
    return len(names) == 2


def test_killed(machine, place, restore, box):
    """The whole machine goes at a random moment: the snapshot is the old one or the new one."""
    n_clean, n_old = 0, 0
    first = large(machine, box)
    first.save(place)
    first.kill()
    for i in range(12):
        first = large(machine, box)
        before = (place / "state").read_bytes()
        asked = subprocess.Popen([vm.PRONTO, "ctl", first.socket, "snapshot", place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(0.006 * i)
        first.kill()
        asked.communicate()
        n_old += (place / "state").read_bytes() == before
        n_clean += check_whole(place, restore)
    assert n_old > 0 and n_clean > 0
    first = large(machine, box)
    first.save(place)
    assert memory_of(place)


def test_killed_child(machine, place, restore, box):
    """Only who writes the memory is killed: the machine goes on, and says so."""
    first = large(machine, box)
    first.save(place)
    before = (place / "state").read_bytes()
    n_killed = 0
    own = set(children(first.vm.pid))
    for i in range(10):
        asked = subprocess.Popen([vm.PRONTO, "ctl", first.socket, "snapshot", place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True)
        while asked.poll() is None:
            new = set(children(first.vm.pid)) - own
            if new:
                time.sleep(0.002 * i)
                for pid in new:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                break
        said = asked.communicate()[0]
        if asked.returncode:
            assert said == "pronto: error: refused (400): Create snapshot error: the memory cannot be written: Operation canceled\n"
            assert (place / "state").read_bytes() == before
            n_killed += 1
        before = (place / "state").read_bytes()
        assert has_two_files(place)
    assert n_killed > 0
    assert check_whole(place, restore)
    assert first.ctl("button").returncode == 0
    assert first.vm.wait().status == vm.POWEROFF


FULL = """
mount -t tmpfs -o size=4M none "$1" && mkdir "$1/old" && exec "$2" api --socket "$3" --config "$4"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_full_disk(box):
    """A message, nothing beside, and the guest goes on; what was there is there."""
    here = box.path / "tmp"
    (here / "full").mkdir()
    (here / "initrd").write_bytes(os.urandom(8 << 20))
    (here / "config").write_text(json.dumps({"kernel": vm.guest("button"), "memory": "64M", "initrd": str(here / "initrd")}), encoding="utf-8")
    process = vm.Vm(box, ["unshare", "-m", "sh", "-c", FULL, "sh", here / "full", vm.PRONTO, here / "socket", here / "config"])
    vm.wait_until((here / "socket").is_socket, what="the socket")

    def ctl(*words):
        return subprocess.run([vm.PRONTO, "ctl", here / "socket", *words], capture_output=True, text=True, check=False)
    assert ctl("start").returncode == 0
    process.expect("ready")
    inside = f"/proc/{process.pid}/root{here}/full"
    for name in "old", "new":
        done = ctl("snapshot", str(here / "full" / name))
        assert done.returncode == 1
        assert done.stderr == "pronto: error: refused (400): Create snapshot error: the memory cannot be written: No space left on device\n"
    assert os.listdir(inside) == ["old"] and os.listdir(f"{inside}/old") == []
    assert os.statvfs(inside).f_bavail * os.statvfs(inside).f_bsize > 4_000_000
    assert ctl("button").returncode == 0
    assert process.wait().status == vm.POWEROFF


def test_one_at_a_time(machine, place, restore, box):
    first = large(machine, box)
    asked = [subprocess.Popen([vm.PRONTO, "ctl", first.socket, "snapshot", place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
             for _ in range(4)]
    said = [process.communicate()[0] for process in asked]
    done = [process.returncode for process in asked]
    assert 0 in done
    assert set(said) <= {"", "pronto: error: refused (400): Create snapshot error: a snapshot is being made: wait for it\n"}, said
    assert check_whole(place, restore)


def test_end_waits_for_it(machine, place, restore, box):
    """A guest that powers off meanwhile is kept as it was."""
    first = large(machine, box)
    asked = subprocess.Popen([vm.PRONTO, "ctl", first.socket, "snapshot", place], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(0.01)
    first.ctl("button")
    assert first.vm.wait().status == vm.POWEROFF
    asked.communicate()
    if (place / "state").exists():
        assert check_whole(place, restore)


# ---- memory that goes ----

@pytest.mark.parametrize("size", [0, 1 << 20])
def test_memory_is_cut(machine, place, restore, size):
    """Whether a vCPU comes upon it or a device, the file is named."""
    first = machine("busy", disk=[{"path": str(make_disk(place.parent / "disk"))}])
    first.vm.expect("." * 5)
    first.pause()
    first.save(place)
    first.kill()
    copy = restore()
    copy.expect("." * 5)
    os.truncate(memory_of(place), size)
    done = copy.wait()
    assert done.status == vm.HOST_ERROR
    assert f"pronto: error: {memory_of(place)}: {LOST}\n" in done.err


def test_memory_is_replaced(saved, restore):
    """By another file of its name: the machine keeps the one that it has."""
    copy = restore()
    vm.wait_until(lambda: vm.takes_signals(copy.pid), what="it")
    memory = memory_of(saved)
    memory.unlink()
    memory.write_bytes(b"")
    vm.tap(press(copy).out)
