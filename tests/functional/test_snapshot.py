# SPDX-License-Identifier: MIT
"""A machine is saved, and goes on in another process: at any moment, and as often as one likes."""

import http.client
import shutil
import signal
import subprocess
import time

import pytest

import vm
from saving import Copy, has_two_files, make_disk, memory_of, press
from saving import machine, place, restore, saved  # noqa: F401  pylint: disable=unused-import

pytestmark = pytest.mark.kvm


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


def test_busy_overlay(machine, place, box):
    """What it has written and never flushed is in its overlay's file when it is saved, for who goes on once it was killed."""
    disk = {"path": str(make_disk(box.path / "tmp" / "disk")), "overlay": str(box.path / "tmp" / "layer")}
    current = machine("busy", disk=[disk])
    for i in range(6):
        current.vm.expect("." * 10)
        current.pause()
        current.save(place)
        current.kill()
        current = Copy(box, place, f"copy{i}")
    assert current.ctl("button").returncode == 0
    assert current.vm.wait().status == vm.POWEROFF


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
