# SPDX-License-Identifier: MIT
"""How each monitor is told what to boot.  None is run here, and none needs to be installed."""
import json
import pathlib
import types

import pytest

from benchkit import elf, linux, monitors, place, rounds, setup


class Somewhere:
    """A place that notes what was to be in its memory."""

    def __init__(self, kind):
        self.emulated, self.warmed = kind.emulated, []

    def warm(self, files):
        self.warmed += files


def config(argv):
    assert argv[:3] == ["firecracker", "--no-api", "--config-file"] and len(argv) == 4
    return json.loads(pathlib.Path(argv[3]).read_text())


def test_firecracker_has_a_file_for_each_machine(tmp_path):
    """What was asked for first is still what it says when another was asked for, and no file changes under a reader."""
    monitor = monitors.Firecracker("firecracker", str(tmp_path))
    small = monitor.argv("/k", 128, 1)
    before = pathlib.Path(small[3]).stat()
    large = monitor.argv("/k", 1024, 2, "/i", "quiet")
    again = monitor.argv("/k", 128, 1)
    assert small == again and pathlib.Path(small[3]).stat() == before
    assert config(small) == {"boot-source": {"kernel_image_path": "/k", "boot_args": "console=ttyS0"}, "drives": [],
                             "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}}
    assert config(large) == {"boot-source": {"kernel_image_path": "/k", "boot_args": "quiet", "initrd_path": "/i"},
                             "drives": [], "machine-config": {"vcpu_count": 2, "mem_size_mib": 1024}}
    assert {path.name for path in tmp_path.iterdir()} == {pathlib.Path(argv[3]).name for argv in (small, large)}


def test_firecracker_asks_less_of_the_lab(tmp_path):
    """KVM_CAP_XCRS, which its KVM lacks; on this machine it starts as it would by itself."""
    monitor = monitors.Firecracker("firecracker", str(tmp_path))
    lab, host = Somewhere(place.Lab), Somewhere(place.Host)
    in_lab, here = monitor.at(lab).argv("/k", 128, 1), monitor.at(host).argv("/k", 128, 1)
    template = config(in_lab)["cpu-config"]
    assert json.loads(pathlib.Path(template).read_text()) == {"kvm_capabilities": ["!56"]}
    assert "cpu-config" not in config(here)
    assert (lab.warmed, host.warmed) == ([template, in_lab[3]], [here[3]])


def test_kvmtool_adds_nothing_of_its_own():
    argv = monitors.Kvmtool("kvmtool").argv("/k", 128, 1, "/i", "quiet")
    assert argv == ["lkvm", "run", "--nodefaults", "--kernel", "/k", "--mem", "128", "--cpus", "1", "--console", "serial",
                    "--network", "mode=none", "--initrd", "/i", "--params", "quiet"]


@pytest.fixture
def given(build, tmp_path, monkeypatch):
    """A setup in which everybody is here."""
    monkeypatch.setattr(monitors.Monitor, "why_not", lambda self: None)
    return setup.Setup(types.SimpleNamespace(build=build, out=tmp_path, rounds=1, quick=True, only=[]), str(tmp_path))


def test_each_takes_the_tiny_guest_in_its_own_form(given, build):
    names = {name: pathlib.Path(given.tiny("halt", given.monitor(name))).name
             for name in ("floor", "pronto", "qemu-q35", "firecracker", "cloud-hypervisor", "crosvm", "kvmtool")}
    assert names.pop("crosvm") == "first-halt-2m.elf"
    assert names.pop("kvmtool") == "first-halt.bin"
    assert set(names.values()) == {"first-halt.elf"}


@pytest.mark.parametrize("end", ["halt", "off"])
def test_the_forms_of_the_tiny_guest(build, end):
    """The same code at 1 MiB, at 2 MiB, and bare."""
    code = (build / "bench" / f"first-{end}.bin").read_bytes()
    for name, base in ((f"first-{end}.elf", 1 << 20), (f"first-{end}-2m.elf", 2 << 20)):
        data = (build / "bench" / name).read_bytes()
        load, = (header for header in elf.program_headers(data) if header.kind == elf.PT_LOAD)
        entry = int.from_bytes(data[0x18:0x20], "little")
        assert load.paddr == base <= entry
        assert data[load.offset + entry - base:load.offset + load.filesz] == code


def test_kvmtool_takes_part_but_where_there_is_only_an_elf_file(given):
    case, where = rounds.Case("a kernel of each form", {}), Somewhere(place.Host)
    assert "kvmtool" in [monitor.name for monitor in given.able(case, where)]
    assert "kvmtool" not in [monitor.name for monitor in given.able(case, where, elf_only=True)]
    assert case.absent == {"kvmtool": "boots no ELF file, only bzImages"}


def test_who_takes_part_is_told_where(given):
    where = Somewhere(place.Lab)
    firecracker, = (monitor for name, monitor, _ in linux.contenders(given, rounds.Case("a boot", {}), where)
                    if name == "firecracker")
    assert "cpu-config" in config(firecracker.argv("/k", 256, 1))
