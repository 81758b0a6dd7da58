# SPDX-License-Identifier: MIT
"""A machine that is configured and driven by HTTP: each operation, its order, its refusals."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

import api
import vm

BOOT = {"kernel_image_path": "", "boot_args": "x"}


# ---- before the start ----

def test_nothing_is_configured(serve):
    a = serve("--id", "one")
    assert a.must("GET", "/") == {"id": "one", "state": "Not started", "vmm_version": "1.17.0", "app_name": "Firecracker"}
    assert a.must("GET", "/version")["firecracker_version"] == "1.17.0"
    assert a.must("GET", "/machine-config") == {
        "vcpu_count": 1, "mem_size_mib": 128, "smt": False, "track_dirty_pages": False, "huge_pages": "None"}
    assert a.must("GET", "/vm/config")["drives"] == []
    assert "no kernel" in a.fault("PUT", "/actions", {"action_type": "InstanceStart"})
    a.vm.signal(signal.SIGTERM)
    assert a.vm.wait().status == vm.KILLED
    assert not a.socket.exists()


def test_objects_are_shown_as_they_were_given(serve, tmp_path):
    a = serve()
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    limiter = {"bandwidth": {"size": 1000, "refill_time": 100}}
    a.must("PUT", "/drives/data", {"drive_id": "data", "is_root_device": False, "path_on_host": str(disk)})
    a.must("PUT", "/drives/root", {"drive_id": "root", "is_root_device": True, "path_on_host": str(disk), "is_read_only": True,
                                   "rate_limiter": limiter})
    a.must("PUT", "/vsock", {"guest_cid": 3, "uds_path": "/x"})
    a.must("PUT", "/balloon", {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1})
    shown = a.must("GET", "/vm/config")
    assert [d["drive_id"] for d in shown["drives"]] == ["root", "data"]  # the root device is the first disk
    assert shown["drives"][0] == {
        "drive_id": "root", "partuuid": None, "is_root_device": True, "cache_type": "Unsafe", "is_read_only": True,
        "path_on_host": str(disk), "io_engine": None, "socket": None,
        "rate_limiter": {"bandwidth": {"size": 1000, "refill_time": 100, "one_time_burst": None}, "ops": None}}
    assert shown["vsock"]["guest_cid"] == 3
    assert a.must("GET", "/balloon")["amount_mib"] == 8
    # The same id again is the same drive.
    a.must("PUT", "/drives/data", {"drive_id": "data", "is_root_device": False, "path_on_host": str(disk), "is_read_only": True})
    assert [d["is_read_only"] for d in a.must("GET", "/vm/config")["drives"]] == [True, True]


def test_machine_config(serve):
    a = serve()
    a.must("PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 256, "smt": True})
    a.must("PATCH", "/machine-config", {"mem_size_mib": 512})
    assert (a.must("GET", "/machine-config")["vcpu_count"], a.must("GET", "/machine-config")["mem_size_mib"]) == (2, 512)
    a.must("PUT", "/machine-config", {"vcpu_count": 4, "mem_size_mib": 64, "cpu_template": None})
    assert a.must("GET", "/machine-config")["smt"] is False  # what is left out has its default again
    # This one is shown if it is there, and not otherwise.
    assert "cpu_template" not in a.must("GET", "/machine-config")
    a.must("PATCH", "/machine-config", {"cpu_template": "None"})
    for shown in a.must("GET", "/machine-config"), a.must("GET", "/vm/config")["machine-config"]:
        assert shown["cpu_template"] == "None"
    before = a.must("GET", "/machine-config")
    for body, words in [
        ({}, "Empty PATCH request."),
        ({"vcpu_count": 0}, "number of vCPUs must be greater than 0"),
        ({"vcpu_count": 33}, "number of vCPUs"),
        ({"vcpu_count": 3, "smt": True}, "even number if SMT"),
        ({"mem_size_mib": 0}, "memory size (MiB) is either 0"),
        ({"mem_size_mib": 1}, "memory size (MiB) must be"),
        ({"cpu_template": "T2"}, "CPU templates are not supported"),
        ({"huge_pages": "1G"}, "unknown variant `1G`, expected one of `None`, `Transparent`, `2M`"),
        ({"vcpu_count": 1.5}, "invalid type: floating point"),
        ({"vcpu_count": -1}, "invalid value: integer `-1`"),
        ({"vcpu_count": "1"}, "invalid type: string"),
        ({"ht_enabled": True}, "unknown field `ht_enabled`"),
    ]:
        assert words in a.fault("PATCH", "/machine-config", body), body
    assert a.must("GET", "/machine-config") == before
    assert "missing field `mem_size_mib`" in a.fault("PUT", "/machine-config", {"vcpu_count": 1})


@pytest.mark.parametrize("method, path, body, words", [
    ("GET", "/nothing", None, "Invalid request method and/or path: GET nothing."),
    ("PATCH", "/boot-source", {"a": 1}, "Invalid request method and/or path: PATCH boot-source."),
    ("PUT", "/drives", {"a": 1}, "Invalid request method and/or path"),
    ("PUT", "/drives/a/b", {"a": 1}, "Invalid request method and/or path"),
    ("PUT", "/drives/..", {"drive_id": ".."}, "alphanumeric characters and underscores"),
    ("PUT", "/drives/a-b", {"drive_id": "a-b"}, "alphanumeric characters and underscores"),
    ("PUT", "/drives/" + "a" * 1000, {"a": 1}, "Invalid request method and/or path"),
    ("PUT", "/boot-source", None, "Empty PUT request."),
    ("PATCH", "/machine-config", None, "Empty PATCH request."),
    ("GET", "/", {"a": 1}, "GET request cannot have a body."),
    ("PUT", "/boot-source", "{", "deserializing the json body"),
    ("PUT", "/boot-source", "[" * 10000, "deserializing the json body"),
    ("PUT", "/boot-source", "[]", "not a JSON object"),
    ("PUT", "/boot-source", '"text"', "not a JSON object"),
    ("PUT", "/boot-source", '{"kernel_image_path": NaN}', "deserializing the json body"),
    ("PUT", "/boot-source", '{"kernel_image_path": "a", "kernel_image_path": "b"}', "duplicate object key"),
    ("PUT", "/boot-source", b'{"kernel_image_path": "\xff"}', "deserializing the json body"),
    ("PUT", "/boot-source", '{"kernel_image_path": "a\\u0000b"}', "deserializing the json body"),
    ("PUT", "/boot-source", {"kernel_image_path": "/nowhere"}, "The kernel file cannot be opened"),
    ("PUT", "/boot-source", {"kernel_image_path": "/dev/null", "boot_args": "x" * 3000}, "`boot_args`: 3000 bytes"),
    ("PUT", "/boot-source", {}, "missing field `kernel_image_path`"),
    ("PUT", "/drives/a", {"drive_id": "b", "is_root_device": True, "path_on_host": "/dev/null"}, "does not match"),
    ("PUT", "/drives/a", {"drive_id": "a", "is_root_device": True}, "give either `path_on_host`"),
    ("PUT", "/drives/a", {"drive_id": "a", "is_root_device": True, "path_on_host": "/nowhere"}, "No such file"),
    ("PUT", "/drives/a", {"drive_id": "a", "is_root_device": 1, "path_on_host": "/dev/null"}, "invalid type: integer `1`"),
    ("PUT", "/network-interfaces/a", {"iface_id": "a"}, "give either `host_dev_name`"),
    ("PUT", "/network-interfaces/a", {"iface_id": "a", "user": True, "mtu": 1}, "Invalid MTU"),
    ("PUT", "/vsock", {"guest_cid": 2, "uds_path": "x"}, "guest CID 2"),
    ("PUT", "/cpu-config", {"kvm_capabilities": ["121"]}, "not supported"),
    ("PUT", "/actions", {"action_type": "Nothing"}, "unknown variant `Nothing`, expected one of `InstanceStart`"),
    ("PUT", "/actions", {}, "missing field `action_type`"),
    ("PUT", "/actions", {"action_type": "SendCtrlAltDel"}, "not supported before starting the microVM"),
    ("PATCH", "/vm", {"state": "Paused"}, "not supported before starting the microVM"),
    ("GET", "/balloon", None, "no such device"),
    ("PUT", "/pmem/a", {"id": "a"}, "not built"),
    ("PUT", "/hotplug/memory", {"total_size_mib": 1}, "not built"),
    ("PUT", "/metrics", {"metrics_path": "/nowhere"}, "Metrics error: /nowhere: cannot open: No such file"),
    ("PUT", "/metrics", {}, "missing field `metrics_path`"),
    ("PUT", "/actions", {"action_type": "FlushMetrics"}, "not supported before starting the microVM"),
])
def test_refused(serve, method, path, body, words):
    a = serve()
    assert words in a.fault(method, path, body)
    assert a.state() == "Not started"  # on the same connection


# ---- a machine ----

@pytest.mark.kvm
def test_life(serve):
    a = serve()
    a.start(vm.guest("button"))
    assert a.state() == "Running"
    a.vm.expect("ready")
    for path, body in [("/machine-config", {"vcpu_count": 1, "mem_size_mib": 128}), ("/boot-source", BOOT),
                       ("/actions", {"action_type": "InstanceStart"})]:
        assert "not supported after starting the microVM" in a.fault("PUT", path, body)
    for _ in range(3):
        a.must("PATCH", "/vm", {"state": "Paused"})
        assert a.state() == "Paused"
    assert "resume it first" in a.fault("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    for _ in range(3):
        a.must("PATCH", "/vm", {"state": "Resumed"})
        assert a.state() == "Running"
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    result = a.vm.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")
    vm.tap(result.out)


@pytest.mark.kvm
def test_a_paused_guest_does_nothing(serve):
    a = serve(stdin=subprocess.PIPE)
    a.start(vm.guest("echo"))
    a.vm.expect("ready")
    a.vm.send(b"a")
    a.vm.expect("byte 0x61")
    a.must("PATCH", "/vm", {"state": "Paused"})
    a.vm.send(b"b")
    time.sleep(0.5)
    assert b"byte 0x62" not in a.vm.out
    a.must("PATCH", "/vm", {"state": "Resumed"})
    a.vm.expect("byte 0x62")


@pytest.mark.kvm
@pytest.mark.parametrize("guest, status, how", [
    ("poweroff", vm.POWEROFF, "power-off"), ("reset", vm.REBOOT, "reboot"), ("triplefault", vm.CRASH, "crash")])
def test_ends(serve, guest, status, how):
    a = serve()
    events = api.Connection(a.socket)
    events.request("GET", "/events")
    stream = events.getresponse()
    a.start(vm.guest(guest))
    assert a.vm.wait().status == status
    seen = [json.loads(line) for line in stream.read().splitlines()]
    assert [e["event"] for e in seen if e["event"] != "mark"] == ["started", "ended"]
    assert (seen[-1]["how"], seen[-1]["status"]) == (how, status)


@pytest.mark.kvm
def test_a_start_that_fails_can_be_tried_again(serve, tmp_path):
    a = serve()
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"no kernel")
    a.must("PUT", "/boot-source", {"kernel_image_path": str(kernel)})
    for _ in range(3):
        assert str(kernel) in a.fault("PUT", "/actions", {"action_type": "InstanceStart"})
        assert a.state() == "Not started"
    a.start(vm.guest("poweroff"))
    assert a.vm.wait().status == vm.POWEROFF


@pytest.mark.kvm
def test_power_off_has_a_deadline(serve, tmp_path):
    config = tmp_path / "config"
    config.write_text(json.dumps({"kernel": vm.guest("spin"), "grace": 1}))
    a = serve("--config", config, "--start")
    a.vm.expect("ready")
    a.must("PUT", "/actions", {"action_type": "GracefulShutdown"})
    result = a.vm.wait()
    assert result.status == vm.KILLED and 1 <= result.seconds < 15 and "did not power off within 1 s" in result.err


@pytest.mark.kvm
def test_reset(serve, tmp_path):
    config = tmp_path / "config"
    config.write_text(json.dumps({"kernel": vm.guest("button"), "on-reboot": "restart"}))
    a = serve("--config", config, "--start")
    a.vm.expect("ready")
    a.must("PUT", "/actions", {"action_type": "Reset"})
    vm.wait_until(lambda: a.vm.out.count(b"ready") == 2, what="its second life")
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert a.vm.wait().status == vm.POWEROFF


@pytest.mark.kvm
def test_reset_of_one_that_ends_then(serve):
    a = serve()
    a.start(vm.guest("button"))
    assert '"on-reboot": "restart"' in a.fault("PUT", "/actions", {"action_type": "Reset"})


@pytest.mark.kvm
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_guest(serve, number):
    a = serve()
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    os.kill(a.vm.pid, number)
    assert a.vm.wait().status == vm.POWEROFF


@pytest.mark.kvm
def test_neither_process_outlives_the_other(serve, box):
    a = serve()
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    api_pid, = [p for p in box.processes() if p == a.vm.pid]
    os.kill(a.vmm_pid(), signal.SIGKILL)
    assert a.vm.wait().status == 128 + signal.SIGKILL
    b = serve()
    b.start(vm.guest("button"))
    b.vm.expect("ready")
    os.kill(b.vm.pid, signal.SIGKILL)
    b.vm.wait()
    vm.wait_until(lambda: box.processes() == [], what="the VMM's end")
    assert api_pid == a.vm.pid


@pytest.mark.kvm
def test_the_vmm_has_nothing_of_the_api(serve, box):
    """Neither clients nor the socket that they come to."""
    a = serve()
    others = [api.connect(a.socket) for _ in range(5)]
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    vmm_pid = a.vmm_pid()
    paths = [os.readlink(f"/proc/{vmm_pid}/fd/{fd}") for fd in os.listdir(f"/proc/{vmm_pid}/fd")]
    assert len([p for p in paths if p.startswith("socket:")]) == 1, paths
    for sock in others:
        sock.close()


@pytest.mark.kvm
def test_marks_are_told_once(serve):
    a = serve()
    events = api.Connection(a.socket)
    events.request("GET", "/events")
    stream = events.getresponse()
    a.start(vm.guest("mark"))
    assert a.vm.wait().status == vm.POWEROFF
    seen = [json.loads(line) for line in stream.read().splitlines()]
    assert [e["mark"] for e in seen if e["event"] == "mark"] == [7, 1, 255]


# ---- what changes while it runs ----

LIMITER = {"bandwidth": {"size": 1000000, "refill_time": 100}, "ops": {"size": 10, "refill_time": 1000}}


@pytest.fixture
def with_devices(serve, tmp_path):
    a = serve()
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    for name in "root", "data":
        a.must("PUT", f"/drives/{name}", {"drive_id": name, "is_root_device": name == "root", "path_on_host": str(disk),
                                          "is_read_only": True})
    a.must("PUT", "/balloon", {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1})
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    return a


@pytest.mark.kvm
@pytest.mark.parametrize("paused", [False, True])
def test_devices_change(with_devices, paused):
    a = with_devices
    if paused:
        a.must("PATCH", "/vm", {"state": "Paused"})
    for _ in range(20):
        for limiter in LIMITER, {"ops": LIMITER["ops"]}, {"bandwidth": {"size": 0, "refill_time": 0}}, {}:
            a.must("PATCH", "/drives/data", {"drive_id": "data", "rate_limiter": limiter})
        a.must("PATCH", "/balloon", {"amount_mib": 16})
    assert a.must("GET", "/balloon/statistics") == {"target_pages": 4096, "actual_pages": 0, "target_mib": 16, "actual_mib": 0}
    assert a.must("GET", "/balloon")["amount_mib"] == 16
    a.must("PATCH", "/balloon/statistics", {"stats_polling_interval_s": 2})
    a.fault("PATCH", "/balloon/statistics", {"stats_polling_interval_s": 0})
    assert a.must("GET", "/balloon")["stats_polling_interval_s"] == 2
    if paused:
        a.must("PATCH", "/vm", {"state": "Resumed"})
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert a.vm.wait().status == vm.POWEROFF


@pytest.mark.kvm
@pytest.mark.parametrize("path, body, words", [
    ("/drives/none", {"rate_limiter": LIMITER}, "Device not found"),
    ("/drives/data", {"drive_id": "root"}, "does not match"),
    ("/drives/data", {"drive_id": "data"}, "Unable to patch the block device: Running method expected different backend. Give "
                                           "`path_on_host` or `rate_limiter`."),
    ("/drives/data", {"path_on_host": None, "rate_limiter": None}, "Running method expected different backend"),
    ("/drives/data", {"is_read_only": True}, "unknown field `is_read_only`"),
    ("/drives/data", [], "not a JSON object"),
    ("/drives/data", {"rate_limiter": 1}, "not a JSON object"),
    ("/drives/data", {"rate_limiter": {"ops": {"size": 1}}}, "missing field `refill_time`"),
    ("/drives/data", {"rate_limiter": {"ops": {"size": -1, "refill_time": 1}}}, "invalid value: integer `-1`"),
    ("/balloon", {"amount_mib": 1000}, "more than the machine's memory"),
    ("/balloon", {"amount_mib": "1"}, 'invalid type: string "1", expected a whole number, in `amount_mib`'),
    ("/balloon", {"amount_mib": None}, "missing field `amount_mib`"),
    ("/balloon", {"amount_mib": 1, "more": 1}, "unknown field `more`"),
    ("/balloon/statistics", {"stats_polling_interval_s": 0}, "cannot be switched on or off"),
    ("/balloon/statistics", {"stats_polling_interval_s": 65536}, "expected 0 to 65535"),
    ("/balloon/hinting/start", {}, "free page hinting is not enabled"),
    ("/balloon/hinting/stop", None, "free page hinting is not enabled"),
    ("/balloon/hinting/on", {}, "Invalid request method and/or path"),
])
def test_devices_do_not_change_so(with_devices, path, body, words):
    assert words in with_devices.fault("PATCH", path, body)
    assert with_devices.state() == "Running"


@pytest.mark.kvm
def test_a_limiter_keeps_what_is_not_named(with_devices):
    a = with_devices
    bandwidth, ops = ({**bucket, "one_time_burst": None} for bucket in LIMITER.values())
    assert a.drive("data")["rate_limiter"] is None
    for change, limiter in [
        ({"ops": LIMITER["ops"]}, {"bandwidth": None, "ops": ops}),
        ({"bandwidth": LIMITER["bandwidth"], "ops": None}, {"bandwidth": bandwidth, "ops": ops}),
        ({"ops": {**ops, "one_time_burst": 5}}, {"bandwidth": bandwidth, "ops": {**ops, "one_time_burst": 5}}),
        ({"bandwidth": {"size": 0, "refill_time": 100}}, {"bandwidth": None, "ops": {**ops, "one_time_burst": 5}}),
        ({}, {"bandwidth": None, "ops": {**ops, "one_time_burst": 5}}),
    ]:
        a.must("PATCH", "/drives/data", {"drive_id": "data", "rate_limiter": change})
        assert a.drive("data")["rate_limiter"] == limiter


@pytest.mark.kvm
def test_no_statistics_are_wanted(serve):
    a = serve()
    a.must("PUT", "/balloon", {"amount_mib": 8, "deflate_on_oom": True})
    a.start(vm.guest("button"))
    assert "not enabled" in a.fault("GET", "/balloon/statistics")


@pytest.mark.kvm
def test_rates_of_each_way(serve):
    a = serve()
    a.must("PUT", "/network-interfaces/e", {"iface_id": "e", "host_dev_name": "nowhere", "rx_rate_limiter": LIMITER,
                                            "tx_rate_limiter": {"ops": LIMITER["ops"]}})
    a.must("PUT", "/boot-source", {"kernel_image_path": vm.guest("button")})
    # The settings are understood, and the interface is what is missing.
    assert "nowhere" in a.fault("PUT", "/actions", {"action_type": "InstanceStart"})


# ---- by the name of firecracker ----

@pytest.mark.kvm
def test_firecracker_by_its_socket(serve, firecracker):
    a = serve("--id", "fc", program=firecracker)
    assert a.must("GET", "/")["id"] == "fc"
    a.start(vm.guest("reset"))
    assert a.vm.wait().status == 0  # a reset is how its guests end


@pytest.mark.kvm
def test_firecracker_by_a_file(box, firecracker, tmp_path):
    config = tmp_path / "config"
    config.write_text(json.dumps({"boot-source": {"kernel_image_path": vm.guest("poweroff")}, "drives": [],
                                  "machine-config": {"vcpu_count": 2, "mem_size_mib": 64}, "vsock": None}))
    result = vm.Vm(box, [firecracker, "--no-api", "--config-file", config]).wait()
    assert result.status == 0
    vm.tap(result.out)


@pytest.mark.kvm
def test_firecracker_ends_at_once(serve, firecracker):
    a = serve(program=firecracker)
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    a.vm.signal(signal.SIGTERM)
    assert a.vm.wait().seconds < 5


@pytest.mark.parametrize("options, status", [
    (["--nonsense"], 153), (["--api-sock"], 153), (["--id"], 153), (["--id", ""], 153), (["--no-api"], 153),
    (["--config-file", "/nowhere"], 152), (["--help"], 0), (["--version"], 0),
    (["--snapshot-version"], 0), (["--describe-snapshot", "/x"], 1), (["--describe-snapshot"], 153)])
def test_firecracker_options(box, firecracker, options, status):
    result = vm.Vm(box, [firecracker, *options]).wait()
    assert result.status == status
    assert bool(result.err) == bool(status)
    if "--version" in options:
        assert result.out.split()[:2] == ["Firecracker", "v1.17.0"]
    if "--snapshot-version" in options:
        assert result.out == "v1.0.0\n"
    if "/x" in options:
        assert result.err == "pronto: error: /x: cannot open: No such file or directory\n"


# ---- pronto ctl ----

@pytest.mark.kvm
def test_ctl(serve, box):
    a = serve()
    a.start(vm.guest("button"))

    def ctl(*words):
        return vm.Vm(box, [vm.PRONTO, "ctl", a.socket, *words]).wait()

    assert json.loads(ctl("status").out)["state"] == "Running"
    assert ctl("pause").status == 0
    assert json.loads(ctl("status").out)["state"] == "Paused"
    refused = ctl("button")
    assert refused.status == vm.HOST_ERROR and "refused (400): " in refused.err and "resume it first" in refused.err
    assert ctl("resume").status == 0
    assert json.loads(ctl("GET", "/version").out)["pronto_version"]
    assert ctl("nonsense").status == vm.OPERATOR
    assert ctl("poweroff").status == 0
    assert a.vm.wait().status == vm.POWEROFF
    gone = ctl("status")
    assert gone.status == vm.HOST_ERROR and "No such file or directory" in gone.err


# ---- messages ----

@pytest.mark.kvm
def test_both_processes_say_what_is_wrong(serve):
    a = serve("-v")
    a.fault("GET", "/nothing")
    a.start(vm.guest("triplefault"))
    result = a.vm.wait()
    assert result.status == vm.CRASH
    assert "info: Received Error. Status code: 400 Bad Request. Message: Invalid request method" in result.err
    assert "error: guest crashed: triple fault" in result.err


@pytest.mark.kvm
@pytest.mark.parametrize("name", ["pronto", "firecracker"])
@pytest.mark.parametrize("show", [False, True])
def test_logger(serve, firecracker, tmp_path, name, show):
    log = tmp_path / "log"
    a = serve("--id", "x", program=firecracker if name == "firecracker" else name)
    assert "cannot open: No such file or directory" in a.fault("PUT", "/logger", {"log_path": str(log)})
    log.touch()
    assert "unknown level" in a.fault("PUT", "/logger", {"log_path": str(log), "level": "Loud"})
    a.must("PUT", "/logger", {"log_path": str(log), "level": "Info", "show_level": show})
    a.fault("GET", "/nothing")
    a.must("PUT", "/mmds", {"secret": 1})
    a.start(vm.guest("triplefault"))
    assert a.vm.wait().status == vm.CRASH
    lines = log.read_text().splitlines()
    level = ":(INFO|ERROR)" if show else ""
    form = {"pronto": r"pronto: (info|error): ",
            "firecracker": rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{9}} \[x:(main|fc_api){level}\] "}[name]
    assert all(re.match(form, line) for line in lines), lines
    said = [re.sub(form, "", line) for line in lines]
    assert said[:4] == ["The request was executed successfully. Status code: 204 No Content.",
                        'The API server received a Get request on "/nothing".',
                        "Received Error. Status code: 400 Bad Request. Message: Invalid request method and/or path: GET nothing.",
                        'The API server received a Put request on "/mmds".']
    assert 'The API server received a Put request on "/actions" with body "{"action_type": "InstanceStart"}".' in said
    assert any("guest crashed" in line for line in said)


def test_logger_at_a_fifo_that_nobody_reads_yet(serve, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    a = serve()
    a.must("PUT", "/logger", {"log_path": str(fifo)})
    for _ in range(2000):  # more than it takes
        a.fault("GET", "/nothing")
    assert a.state() == "Not started"


# ---- metadata ----

def test_metadata(serve):
    a = serve()
    assert a.must("GET", "/mmds") == {}
    assert "MMDS error" in a.fault("PATCH", "/mmds", {"a": "b"})
    a.must("PUT", "/mmds", {"a": {"b": "c"}})
    a.must("PATCH", "/mmds", {"a": {"b": None, "d": 1}})
    assert a.must("GET", "/mmds") == {"a": {"d": 1}}
    status, answer = a.ask("PATCH", "/mmds", {"e": "x" * 51187})
    assert status == 413 and "limit" in answer["fault_message"]
    assert a.must("GET", "/mmds") == {"a": {"d": 1}}
    assert "does not correspond to any existing network interface" in a.fault(
        "PUT", "/mmds/config", {"network_interfaces": ["none"]})
    assert "is empty" in a.fault("PUT", "/mmds/config", {"network_interfaces": []})


def test_metadata_from_a_file(serve, firecracker, tmp_path):
    file = tmp_path / "metadata"
    file.write_text('{"a": "b"}')
    assert serve("--metadata", file, program=firecracker).must("GET", "/mmds") == {"a": "b"}


def test_metadata_of_a_machine_that_does_not_start(serve, box, tmp_path):
    """Nothing of the service is left."""
    a = serve()
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"no kernel")
    a.must("PUT", "/boot-source", {"kernel_image_path": str(kernel)})
    a.must("PUT", "/network-interfaces/e", {"iface_id": "e", "host_dev_name": "nowhere"})
    a.must("PUT", "/mmds/config", {"network_interfaces": ["e"]})
    for _ in range(3):
        a.fault("PUT", "/actions", {"action_type": "InstanceStart"})
    vm.wait_until(lambda: box.processes() == [a.vm.pid], what="the service's end")
