# SPDX-License-Identifier: MIT
"""Clients that were written in Python drive a machine; python/by_*.py is what we have them do."""

import json
import sys

import pytest

import vm
from driven import TAP, drive, needs_tap
from fetched import HERE, python_packages

pytestmark = [pytest.mark.kvm, pytest.mark.timeout(1200), needs_tap]  # the first time they are fetched


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(1 << 20))
    return str(path)


def by(client, box, disk):
    facts = box.path / "facts"
    said = drive(box, sys.executable, HERE / "python" / f"by_{client}.py", facts, vm.guest("button"), disk, TAP,
                 env={"PYTHONPATH": str(python_packages()), "PYTHONDONTWRITEBYTECODE": "1"}, with_tap=True)
    return said, json.loads(facts.read_text(encoding="utf-8"))


def test_firecracker_python(box, disk):
    said, told = by("firecracker_python", box, disk)
    assert said.count("ready") == 1 and said.count("1..") == 2 and "not ok" not in said  # the second goes on after that word
    assert told["before"] == {"app_name": "Firecracker", "id": "by-python", "state": "Not started", "vmm_version": "1.17.0"}
    assert told["no kernel"] == "API fault: Start microvm error: no kernel is given"
    assert (told["running"], told["paused"], told["version"]) == ("Running", "Paused", "1.17.0")
    assert (told["machine"]["vcpu_count"], told["machine"]["mem_size_mib"]) == (1, 256)
    configuration = told["configuration"]
    assert configuration["machine-config"] == told["machine"]
    assert configuration["boot-source"] == {"kernel_image_path": vm.guest("button"), "boot_args": "console=ttyS0", "initrd_path": None}
    assert [(d["drive_id"], d["path_on_host"], d["is_root_device"]) for d in configuration["drives"]] == [("rootfs", disk, True)]
    assert [(n["iface_id"], n["guest_mac"]) for n in configuration["network-interfaces"]] == [("eth0", "06:00:c0:a8:00:02")]
    assert configuration["mmds-config"]["network_interfaces"] == ["eth0"]
    assert told["metadata"] == {"latest": {"name": "first", "more": "second"}}
    assert told["again"] == {
        "state": "Paused", "same": True, "status": 0, "wrong": "API fault: An error occurred when deserializing the json body of a "
        "request: missing field: either `mem_backend` or `mem_file_path` is required."}
    assert told["other disk"] == "other"
    assert "nowhere: there is no such file" in told["no disk"]
    assert told["late"] == "API fault: The requested operation is not supported after starting the microVM."
    assert told["status"] == 0


def test_microheart(box, disk):
    """It has Firecracker start from a file, with its devices on PCI, and asks when it runs."""
    said, told = by("microheart", box, disk)
    vm.tap(said)
    assert (told["machine"]["vcpu_count"], told["machine"]["mem_size_mib"]) == (1, 128)
    assert (told["running"], told["Paused"], told["Resumed"]) == ("Running", "Paused", "Running")
    assert [(d["drive_id"], d["path_on_host"], d["is_read_only"]) for d in told["drives"]] == [("rootfs", disk, False)]
    assert told["late"].startswith("PUT /boot-source -> 400: ") and "not supported after starting the microVM" in told["late"]
    assert told["status"] == 0
