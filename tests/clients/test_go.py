# SPDX-License-Identifier: MIT
"""Firecracker's own SDK for Go drives a machine; go/drive.go is what we have it do."""

import json

import pytest

import vm
from driven import TAP, drive, needs_tap
from fetched import go_program

pytestmark = [pytest.mark.kvm, pytest.mark.timeout(1200)]  # the first time it is fetched and built


def by_sdk(box, what, kernel, *more, **kwargs):
    facts = box.path / "facts"
    said = drive(box, go_program(), what, facts, kernel, *more, **kwargs)
    told = {}
    for line in facts.read_text(encoding="utf-8").splitlines():
        told.update(json.loads(line))
    assert told.pop("done")
    return told, said


@needs_tap
def test_life(box, tmp_path):
    """From its start to the power-off, with every device; what is asked of it meanwhile is answered in the SDK's own types."""
    root, data = tmp_path / "root", tmp_path / "data"
    for disk in root, data:
        disk.write_bytes(bytes(1 << 20))
    told, said = by_sdk(box, "life", vm.guest("button"), root, data, TAP, with_tap=True)
    first, second = said.split("1..")[0:2]
    assert first.replace("\r", "").splitlines()[0] == "ready" and said.count("1..") == 2
    assert second.count("ok ") == first.count("ok ")  # the second goes on after its first word
    assert told.pop("version") == "1.17.0"
    for name, state in [("running", "Running"), ("paused", "Paused"), ("resumed", "Running"), ("restored", "Paused")]:
        assert told.pop(name) == {"app_name": "Firecracker", "id": "by-go", "state": state, "vmm_version": "1.17.0"}
    machine = {"vcpu_count": 1, "mem_size_mib": 128, "smt": False}
    assert told.pop("machine") == machine
    bucket = {"size": 1 << 20, "refill_time": 1000}
    limiter = {"bandwidth": bucket, "ops": bucket}
    balloon = {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1}
    configuration = told.pop("configuration")
    assert configuration == {
        "boot-source": {"kernel_image_path": vm.guest("button"), "boot_args": "console=ttyS0 reboot=k"},
        "machine-config": machine, "balloon": balloon,
        "drives": [{"drive_id": "root_drive", "is_root_device": True, "is_read_only": False, "path_on_host": str(root),
                    "cache_type": "Unsafe"},
                   {"drive_id": "data", "is_root_device": False, "is_read_only": True, "path_on_host": str(data),
                    "cache_type": "Writeback", "io_engine": "Sync", "rate_limiter": limiter}],
        "network-interfaces": [{"iface_id": "1", "guest_mac": "02:00:00:00:00:07", "host_dev_name": TAP,
                                "rx_rate_limiter": limiter, "tx_rate_limiter": limiter}],
        "vsock": {"guest_cid": 3, "uds_path": "vsock.sock", "vsock_id": "stream"},
        "logger": {"log_path": "log.fifo", "level": "Info", "show_level": True, "show_log_origin": False},
        "mmds-config": {"network_interfaces": ["1"], "version": "V2", "ipv4_address": "169.254.169.254"}}
    assert told.pop("metadata") == {"latest": {"name": "first", "more": "second"}}
    assert told.pop("balloon") == balloon
    assert told.pop("larger balloon") == {**balloon, "amount_mib": 16, "stats_polling_interval_s": 2}
    statistics = told.pop("statistics")
    assert (statistics["target_mib"], statistics["target_pages"]) == (16, 4096)
    assert told.pop("other disk") == "other"
    # All has its name again, and is as it was when it was saved: but for the log, which is the other process's.
    again = told.pop("restored configuration")
    assert again == {**{key: value for key, value in configuration.items() if key != "logger"},
                     "balloon": {**balloon, "amount_mib": 16, "stats_polling_interval_s": 2}}
    # What is not done is refused in words that reach who asked.
    assert "log: is shorter than the machine's memory: it was cut" in told.pop("no snapshot")
    assert "exit status 1" in told.pop("its end")
    assert f"{root}: another program writes to it, or another disk" in told.pop("busy disk")
    assert "not supported after starting the microVM" in told.pop("second start")
    assert told == {}


def test_stop(box):
    """A signal ends it, and the SDK is told that this was no power-off."""
    told, _ = by_sdk(box, "stop", vm.guest("button"))
    assert told.keys() == {"ended"} and f"exit status {vm.KILLED}" in told["ended"]


def test_a_start_that_fails(box, tmp_path):
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"no kernel")
    told, _ = by_sdk(box, "fail", kernel)
    assert told.keys() == {"start"} and str(kernel) in told["start"]
