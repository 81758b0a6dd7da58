# SPDX-License-Identifier: MIT
"""A boot that is made once: --instant."""

import os
import pathlib
import re
import shutil
import struct
import time

import pytest

import vm
from state import State

pytestmark = pytest.mark.kvm


def seed(result):
    found = re.findall(r"^begins (\S+)", result.out.replace("\r", ""), re.M)
    assert len(found) == 1, result.out
    return found[0]


def booted(result):
    return "boots" in result.out


def template(box):
    """The directory of the only one."""
    found = list((box.path / "cache" / "pronto" / "instant").iterdir())
    assert len(found) == 1
    return found[0]


@pytest.fixture
def boot(start):
    """Run the guest to its end; options may be given, and words for its command line."""
    def boot_it(*options, words=("x",), instant="--instant", **kwargs):
        machine = start("template", instant, "-v", *options, words=words, stdin=vm.subprocess.PIPE, **kwargs)
        machine.expect("begins ")
        machine.send(b"abcq")
        result = machine.wait()
        assert result.status == vm.POWEROFF, result
        assert "abcq" in result.out
        return result
    return boot_it


def test_boots_once(boot, box):
    first = boot()
    assert booted(first) and "instant: saved in" in first.err
    where = template(box)
    assert where.stat().st_mode & 0o777 == 0o700
    assert {f.stat().st_mode & 0o777 for f in where.iterdir()} == {0o600}
    others = [boot() for _ in range(4)]
    assert not any(booted(other) for other in others)
    seeds = [seed(result) for result in [first, *others]]
    assert len(set(seeds)) == len(seeds)
    assert (where / "uses").stat().st_size == 4
    assert box.processes() == []


def test_what_is_not_the_same_boots(boot, box, tmp_path):
    """Each machine that is made of something else has a template of its own; what is only the host's is none of it."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    other = tmp_path / "other"
    other.write_bytes(bytes(2 << 20))
    kinds = [(), ("-m", "64M"), ("-c", "2"), ("--disk", str(disk)), ("--disk", str(disk), "--transport", "pci"),
             ("--disk", f"{disk},ro"), ("--vsock", str(tmp_path / "v"))]
    for options in kinds:
        assert booted(boot(*options)), options
    assert booted(boot(words=("y",)))
    for options in [*kinds, ("--disk", str(other)), ("--vsock", str(tmp_path / "w")), ("--grace", "3"),
                    ("--console", "stdio", "--escape-key", "^B")]:
        assert not booted(boot(*options)), options


def test_another_kernel_boots(boot, start, tmp_path):
    copy = tmp_path / "kernel"
    shutil.copy(vm.guest("template"), copy)
    for again in range(2):
        machine = start(str(copy), "--instant", stdin=vm.subprocess.PIPE)
        machine.expect("begins ")
        machine.send(b"q")
        assert booted(machine.wait()) == (again == 0)
    copy.write_bytes(copy.read_bytes())
    machine = start(str(copy), "--instant", stdin=vm.subprocess.PIPE)
    machine.expect("begins ")
    machine.send(b"q")
    assert booted(machine.wait())


def test_is_renewed(boot, box):
    boot()
    before = (template(box) / "state").read_bytes()
    assert not booted(boot())
    assert booted(boot(instant="--instant=renew"))
    assert (template(box) / "state").read_bytes() != before
    assert not booted(boot())


def test_is_used_so_often(boot):
    assert booted(boot(instant="--instant=on,uses=2"))
    assert [booted(boot(instant="--instant=on,uses=2")) for _ in range(4)] == [False, False, True, False]


def test_becomes_old(boot, box):
    boot()
    state = template(box) / "state"
    os.utime(state, (time.time(), time.time() - 8 * 86400))
    assert not booted(boot(instant="--instant=on,days=9"))
    assert booted(boot())
    assert not booted(boot())


@pytest.mark.parametrize("damage", ["state", "memory", "no memory", "cut", "empty", "link"])
def test_damaged_is_made_anew(boot, box, damage, tmp_path):
    boot()
    where = template(box)
    state, (memory,) = where / "state", where.glob("memory-*")
    if damage == "state":
        data = bytearray(state.read_bytes())
        data[len(data) // 2] ^= 1
        state.write_bytes(data)
    elif damage == "memory":
        os.truncate(memory, memory.stat().st_size - 1)
    elif damage == "no memory":
        memory.unlink()
    elif damage == "cut":
        os.truncate(state, 100)
    elif damage == "empty":
        os.truncate(state, 0)
    else:
        shutil.move(where, tmp_path / "elsewhere")
        where.symlink_to(tmp_path / "elsewhere")
    result = boot()
    assert booted(result), damage
    if damage != "link":
        assert not booted(boot())


def test_refused_by_kvm_boots_as_ever(boot, box):
    """It looked usable until a vCPU was to be as it was: the machine is made anew."""
    boot()
    state = State(template(box) / "state")
    vcpu = state.find("vcpu")
    vcpu[3] = vcpu[3].replace(struct.pack("<IIQ", 0x174, 0, 0), struct.pack("<IIQ", 0x9999, 0, 1))
    state.write()
    result = boot()
    assert booted(result) and "KVM does not take MSR 0x9999" in result.err, result.err


def test_who_does_not_ask_boots_as_ever(boot):
    for _ in range(2):
        assert booted(boot(words=("never",)))


def test_off_by_default(start):
    for options in (), ("--instant=off",):
        machine = start("template", *options, stdin=vm.subprocess.PIPE)
        machine.expect("begins ")
        machine.send(b"q")
        assert booted(machine.wait())


def test_nowhere_to_keep_it(boot):
    """A warning, and a boot."""
    for env in ({"XDG_CACHE_HOME": "", "HOME": ""}, {"XDG_CACHE_HOME": "/proc/nowhere"}):
        result = boot(env=env)
        assert booted(result) and result.err.count("it boots as ever") == 1, result.err


def test_others_may_not_write_there(boot, box):
    boot()
    (box.path / "cache" / "pronto" / "instant").chmod(0o777)
    result = boot()
    assert booted(result) and "can be written by others" in result.err


def test_no_more_than_there_is_room_for(boot, box):
    """Those unused for longest go."""
    env = {"PRONTO_CACHE_SIZE": "200K"}
    sizes = ["64M", "65M", "66M", "67M", "68M", "69M"]
    for size in sizes:
        assert booted(boot("-m", size, env=env))
        time.sleep(1.1)  # as seconds are what counts
    assert booted(boot("-m", sizes[0], env=env))
    assert not booted(boot("-m", sizes[0], env=env))
    kept = list((box.path / "cache" / "pronto" / "instant").iterdir())
    assert 1 <= len(kept) < len(sizes)
    assert sum(f.stat().st_blocks * 512 for where in kept for f in where.iterdir()) <= 200 << 10


def test_refused_with_a_directory_as_root(start, tmp_path):
    result = start("template", "--instant", "--root", str(tmp_path)).wait()
    assert result.status == vm.OPERATOR and "exclude each other" in result.err


def test_killed_while_it_is_made(start, box):
    """There is none then, or a whole one."""
    for delay in 0, 0.001, 0.002, 0.004, 0.008:
        machine = start("template", "--instant=renew", "-m", "2G", stdin=vm.subprocess.PIPE)
        machine.expect("boots")
        time.sleep(delay)
        machine.process.kill()
        machine.wait()
    vm.wait_until(lambda: box.processes() == [])
    for where in pathlib.Path(box.path / "cache" / "pronto" / "instant").iterdir():
        assert {f.name.split("-")[0] for f in where.iterdir()} <= {"state", "memory", "uses"}
    machine = start("template", "--instant", "-m", "2G", stdin=vm.subprocess.PIPE)
    machine.expect("begins ")
    machine.send(b"q")
    assert machine.wait().status == vm.POWEROFF


def test_linux_is_known_by_its_banner(start, tmp_path):
    """A vmlinux may have no note of what it is; without an initrd there is nothing that would ask, and that is said."""
    kernel = tmp_path / "vmlinux"
    kernel.write_bytes(pathlib.Path(vm.guest("poweroff")).read_bytes() + b"Linux version 6.1.0 (root@there) (gcc)\n\0")
    result = start(kernel, "--instant").wait()
    assert result.status == vm.POWEROFF and "no initrd, and so nothing that would ask to be saved" in result.err
