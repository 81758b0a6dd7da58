# SPDX-License-Identifier: MIT
"""What is told of a snapshot, to people and to programs."""

import datetime
import json
import os

import pytest

import vm
from state import State

pytestmark = pytest.mark.kvm


@pytest.fixture
def kept(serve, tmp_path):
    """Of a machine with two vCPUs and a disk, which waits for the button."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    a = serve()
    a.must("PUT", "/drives/root", {"drive_id": "root", "is_root_device": False, "path_on_host": str(disk)})
    a.start(vm.guest("button"), vcpu_count=2)
    a.vm.expect("ready")
    a.must("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "kept")})
    a.vm.kill()
    vm.wait_until(lambda: not a.vm.box.processes(), what="the end of the VMM")
    vm.wait_until(lambda: not a.socket.exists(), what="its socket's removal")
    return tmp_path / "kept"


@pytest.fixture
def inspect(box):
    def ask(*options):
        return vm.Vm(box, [vm.PRONTO, "inspect", *options]).wait()
    return ask


def test_to_programs(kept, inspect):
    done = inspect("--json", kept)
    assert (done.status, done.err) == (0, "")
    told = json.loads(done.out)
    assert inspect("--json", kept / "state").out == done.out.replace(f'"file": "{kept}"', f'"file": "{kept}/state"')
    assert (told["form"], told["usable"], told["reason"]) == (1, True, None)
    assert told["machine"] == {"cpus": 2, "memory": 128 << 20, "devices": 2, "pci": False, "linux": False}
    memory = kept / f"memory-{told['id']}"
    assert told["memory"] == {"path": str(memory), "size": os.path.getsize(memory), "on_disk": os.stat(memory).st_blocks * 512, "whole": True}
    assert told["memory"]["size"] > 128 << 20 > 1 << 20 > told["memory"]["on_disk"]
    saved = datetime.datetime.fromisoformat(told["saved"].replace("Z", "+00:00")).timestamp()
    assert os.stat(kept / "state").st_mtime - 60 < saved <= os.stat(kept / "state").st_mtime + 1
    boot, other = told["vcpus"]
    assert not boot["runs"] and boot["cr0"] & 1 and boot["rflags"] & 0x200 and 1 << 20 <= boot["rip"] < 2 << 20
    assert not other["runs"] and other["rip"] == 0xfff0  # it was never started
    assert told["settings"]["disk"][0]["path"] == told["note"]["drives"][0]["path_on_host"]
    sections = State(kept / "state").sections
    assert [[s["name"], s["instance"], s["version"], s["size"]] for s in told["sections"]] == [[*s[:3], len(s[3])] for s in sections]
    fields = {s["name"]: s["fields"] for s in told["sections"]}
    assert fields["machine"]["memory"] == 128 << 20 and fields["machine"]["has_pci"] is False
    assert fields["vcpu"]["lapic"] == {"bytes": 1024} and fields["config"] is None
    assert len(fields["ioapic"]["redirection"]) == 24


def test_to_people(kept, inspect):
    done = inspect(kept)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"file:        {kept}" and lines[-1] == "usable:      yes"
    assert "machine:     2 vCPUs, 128 MiB of memory, 2 devices on MMIO" in lines
    assert [line.split(",")[0].split() for line in lines if line.startswith("vCPU")] == [["vCPU", "0", "waits"], ["vCPU", "1", "waits"]]
    at = next(i for i, line in enumerate(lines) if line.startswith("  rtc 0, version 1, "))
    assert lines[at + 1].startswith("    ")


def changed(kept, change):
    state = State(kept / "state")
    change(state)
    state.write()


@pytest.mark.parametrize("change, words", [
    (lambda k: changed(k, lambda s: s.sections.append(["future", 7, 3, b"xyz"])),
     "it has a future 7 of version 3, which this pronto does not know: a newer one reads it"),
    (lambda k: changed(k, lambda s: s.find("rtc").__setitem__(2, 9)), "it has a rtc 0 of version 9, which this pronto does not know: a newer one reads it"),
    (lambda k: changed(k, lambda s: s.find("vcpu").__setitem__(3, b"short")), "its vcpu 0 is not as it should be"),
    (lambda k: changed(k, lambda s: s.find("config").__setitem__(3, b"{}")), "its settings are not the machine's"),
    (lambda k: changed(k, lambda s: s.find("memory").__setitem__(3, b"../x")), "does not say where its memory is"),
    (lambda k: [os.unlink(k / n) for n in os.listdir(k) if n != "state"], "cannot open: No such file or directory"),
], ids=range(6))
def test_what_is_not_usable_is_told_of_all_the_same(kept, inspect, change, words):
    change(kept)
    done = inspect(kept)
    assert done.status == vm.OPERATOR
    last = done.out.splitlines()[-1]
    assert last.startswith("usable:      no: ") and words in last, last
    told = json.loads(inspect("--json", kept).out)
    assert told["usable"] is False and words in told["reason"] and told["machine"]["cpus"] == 2


@pytest.mark.parametrize("change, words", [
    (lambda k: os.truncate(k / "state", 100), "it was cut"),
    (lambda k: os.unlink(k / "state"), "state: cannot open: No such file or directory"),
    (lambda k: changed(k, lambda s: s.sections.remove(s.find("machine"))), "says nothing of machine 0: it is damaged"),
], ids=range(3))
def test_what_is_none(kept, inspect, change, words):
    change(kept)
    done = inspect(kept)
    assert done.status == vm.OPERATOR and done.out == "" and words in done.err


def test_nothing_reaches_a_terminal_that_it_would_act_on(kept, inspect):
    changed(kept, lambda s: s.sections.append(["\x1b[31m", 0, 1, b""]))
    changed(kept, lambda s: s.find("note").__setitem__(3, json.dumps({"a": "\x1b]0;x\x07\u202e"}, ensure_ascii=False).encode()))
    changed(kept, lambda s: s.find("machine").__setitem__(3, s.find("machine")[3][:-5] + b"\x1b[2J\n"))
    for options in ([], ["--json"]):
        out = inspect(*options, kept).out
        assert not [c for c in out if ord(c) > 0x7e or (ord(c) < 0x20 and c != "\n")]


def test_firecracker_describes_it(kept, box, firecracker):
    done = vm.Vm(box, [firecracker, "--describe-snapshot", kept / "state"]).wait()
    assert (done.status, done.out, done.err) == (0, "v1.0.0\n", "")


def test_what_has_changed_alone(kept, serve, inspect, tmp_path):
    """It names the snapshot that it goes with."""
    a = serve()
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(kept)})
    a.must("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "changes"), "snapshot_type": "Diff"})
    told = json.loads(inspect("--json", tmp_path / "changes").out)
    base = json.loads(inspect("--json", kept).out)["id"]
    assert told["memory"]["whole"] is False
    assert told["reason"] == f"its memory has only what had changed since the snapshot {base}; `pronto merge` makes it whole"
    assert vm.Vm(a.vm.box, [vm.PRONTO, "merge", kept, tmp_path / "changes"]).wait().status == 0
    assert json.loads(inspect("--json", tmp_path / "changes").out)["usable"] is True


def test_of_two_files(kept, serve, inspect, tmp_path):
    a = serve()
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(kept)})
    a.must("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "state"), "mem_file_path": str(tmp_path / "memory")})
    done = inspect(tmp_path / "state")
    assert done.status == 0 and "memory:      in a file that is to be named when it is restored\n" in done.out
    assert json.loads(inspect("--json", tmp_path / "state").out)["memory"] is None
