# SPDX-License-Identifier: MIT
"""A client that was written in Rust drives a machine; rust/drive.rs is what we have it do."""

import json
import shutil

import pytest

import vm
from driven import TAP, drive, needs_tap
from fetched import rust_program

pytestmark = [pytest.mark.kvm, pytest.mark.timeout(1200), needs_tap]  # the first time it is fetched and built


def test_life(box):
    """It speaks HTTP/1.0, on one connection."""
    # Paths are the same everywhere: it waits for ever for what follows an answer of a multiple of 64 bytes.
    shutil.copy(vm.guest("button"), box.path / "cwd" / "kernel")
    (box.path / "cwd" / "disk").write_bytes(bytes(1 << 20))
    program = rust_program()
    vm.tap(drive(box, program, "life", box.path / "facts", "kernel", "disk", TAP, with_tap=True))
    facts = json.loads((box.path / "facts").read_text(encoding="utf-8"))
    assert facts.pop("status") == "0"
    told = facts.pop("told")
    assert told.pop("before") == {"app_name": "Firecracker", "id": "by-rust", "state": "Not started", "vmm_version": "1.17.0"}
    assert (told.pop("running"), told.pop("paused"), told.pop("resumed")) == ("Running", "Paused", "Running")
    assert told.pop("version") == {"firecracker_version": "1.17.0"}
    machine = {"vcpu_count": 1, "mem_size_mib": 128, "smt": False, "track_dirty_pages": False, "huge_pages": "None"}
    assert told.pop("machine") == machine
    configuration = told.pop("configuration")
    assert configuration["machine-config"] == machine
    assert configuration["boot-source"] == {"kernel_image_path": "kernel", "boot_args": "console=ttyS0", "initrd_path": None}
    assert configuration["vsock"]["guest_cid"] == 3
    assert [(n["iface_id"], n["guest_mac"], n["host_dev_name"]) for n in configuration["network-interfaces"]] == [
        ("eth0", "02:00:00:00:00:07", TAP)]
    assert configuration["mmds-config"]["network_interfaces"] == ["eth0"]
    assert told.pop("balloon") == {"amount_mib": 16, "deflate_on_oom": True, "stats_polling_interval_s": 2}
    statistics = told.pop("statistics")
    assert (statistics["target_mib"], statistics["target_pages"]) == (16, 4096)
    assert told.pop("metadata") == "second"
    # It shows that it was refused, not why.
    for name in "no kernel", "second start":
        assert told.pop(name).startswith("Event: ")
    assert told == {}
