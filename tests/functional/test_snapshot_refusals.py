# SPDX-License-Identifier: MIT
"""What no machine can go on from, and what cannot be saved: it is said why, and nothing is lost."""

import os
import shutil
import signal
import struct
import subprocess
import zlib

import pytest

import vm
from saving import Copy, has_two_files, make_disk, memory_of, press
from saving import machine, place, restore, saved  # noqa: F401  pylint: disable=unused-import
from state import State

pytestmark = pytest.mark.kvm

IN_USE = ("is in use, by another program or as another disk; two cannot write to one: end that program, or give the disk "
          "`overlay`")


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


def test_a_register_that_kvm_has_not(saved, restore):
    """One that was 0 is not missed: newer ones of Linux do without some that others save."""
    def entry(index, value):
        return struct.pack("<IIQ", index, 0, value)
    state, there = State(saved / "state"), entry(0x174, 0)
    vcpu = state.find("vcpu")
    whole = vcpu[3]
    assert whole.count(there) == 1
    vcpu[3] = whole.replace(there, entry(0x9999, 1))
    state.write()
    refused(restore().wait(), "the snapshot cannot be restored: vCPU 0: KVM does not take MSR 0x9999", vm.HOST_ERROR)
    vcpu[3] = whole.replace(there, entry(0x9999, 0))
    state.write()
    done = press(restore())
    assert (done.status, done.err) == (vm.POWEROFF, "")


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


# ---- changes alone ----

def test_changes_need_their_base(saved, restore, box):
    """They are saved elsewhere, and are whole when they are merged; the base stays as it was."""
    changes = box.path / "tmp" / "changes"
    before = (saved / "state").read_bytes()
    copy = Copy(box, saved, "copy")
    copy.vm.expect("a copy")
    copy.save_not(saved, f"{saved}: has the snapshot that these would be the changes of: save them elsewhere", "--diff")
    assert (saved / "state").read_bytes() == before and has_two_files(saved)
    copy.save(changes, "--diff")
    copy.kill()
    assert has_two_files(changes)
    assert memory_of(changes).stat().st_blocks < memory_of(saved).stat().st_blocks
    refused(restore(path=changes).wait(),
            f"{memory_of(changes)}: has only what had changed since another snapshot; `pronto merge` makes it whole")
    done = vm.Vm(box, [vm.PRONTO, "merge", saved, changes]).wait()
    assert (done.status, done.err) == (0, "")
    vm.tap(press(restore(path=changes)).out)
    vm.tap(press(restore(path=saved)).out)


def test_changes_of_another(saved, machine, restore, box):
    del restore
    other, changes = box.path / "tmp" / "other", box.path / "tmp" / "changes"
    first = machine("button", name="second")
    first.vm.expect("ready")
    first.save(other)
    copy = Copy(box, saved, "copy")
    copy.vm.expect("a copy")
    copy.save(changes, "--diff")
    for base, what in (other, changes), (saved, other):
        done = vm.Vm(box, [vm.PRONTO, "merge", base, what]).wait()
        assert done.status == vm.OPERATOR and done.err.startswith(f"pronto: error: {memory_of(what)}: "), done
