# SPDX-License-Identifier: MIT
"""What a machine and its API have counted: lines of JSON, and Prometheus's text."""

import json
import os
import re
import signal
import subprocess

import pytest

import vm

pytestmark = pytest.mark.kvm


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "metrics"
    path.touch()
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def total(told, group, name):
    return sum(line[group][name] for line in told)


def scrape(a):
    """By name and labels, each of which has a type, and stands with those of its name."""
    status, text = a.ask("GET", "/metrics")
    assert status == 200
    values, typed = {}, None
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, typed, kind = line.split(" ")
            assert kind in ("counter", "gauge")
            continue
        name, value = re.fullmatch(r'(\w+(?:\{\w+="[^"]*"\})?) (\d+)', line).groups()
        assert name.partition("{")[0] == typed and name not in values
        values[name] = int(value)
    return values


def with_disk(a, tmp_path, name="data"):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    a.must("PUT", f"/drives/{name}", {"drive_id": name, "is_root_device": False, "path_on_host": str(disk)})


def test_lines_add_up(serve, tmp_path, file):
    """One when it starts, one when it is asked for, one at its end; each tells what came since the one before."""
    a = serve()
    with_disk(a, tmp_path)
    a.must("PUT", "/metrics", {"metrics_path": str(file)})
    a.must("PUT", "/entropy", {})
    a.start(vm.guest("disk"))
    result = a.vm.wait()
    assert result.status == vm.POWEROFF
    told = lines(file)
    assert len(told) >= 2 and [line["utc_timestamp_ms"] for line in told] == sorted(line["utc_timestamp_ms"] for line in told)
    assert all(line["block"] == line["block_data"] for line in told if "block_data" in line)
    writes, reads = total(told, "block", "write_count"), total(told, "block", "read_count")
    assert writes >= 5 and total(told, "block", "write_bytes") == 512 * writes
    assert reads >= 5 and total(told, "block", "read_bytes") == 512 * reads
    assert total(told, "uart", "write_count") == len(a.vm.out)
    assert total(told, "vcpu", "exit_mmio_write") > 0 and total(told, "vcpu", "exit_io_out") > 0
    assert total(told, "net", "rx_bytes_count") == 0  # it has none, and they are told of
    assert total(told, "put_api_requests", "drive_count") == 1 and total(told, "put_api_requests", "actions_count") == 1
    assert total(told, "put_api_requests", "drive_fails") == 0
    assert told[0]["api_server"]["process_startup_time_us"] > 0


def test_flush(serve, file):
    a = serve()
    a.must("PUT", "/metrics", {"metrics_path": str(file)})
    a.fault("PUT", "/drives/a", {"drive_id": "b"})
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    a.must("PUT", "/actions", {"action_type": "FlushMetrics"})
    vm.wait_until(lambda: len(lines(file)) >= 2, what="the line of its start")
    a.must("PATCH", "/vm", {"state": "Paused"})
    before = lines(file)
    a.must("PUT", "/actions", {"action_type": "FlushMetrics"})
    line, = lines(file)[len(before):]
    assert line["uart"]["write_count"] == line["vcpu"]["exit_io_out"] == 0  # it stands still
    assert line["patch_api_requests"]["vm_count"] == 1 and line["latencies_us"]["pause_vm"] > 0
    assert total(before, "put_api_requests", "drive_fails") == 1
    assert a.must("GET", "/vm/config")["metrics"] == {"metrics_path": str(file)}


def test_metrics_go_to_one_place(serve, tmp_path, file):
    a = serve()
    assert "cannot open" in a.fault("PUT", "/metrics", {"metrics_path": str(tmp_path / "nowhere")})
    assert a.must("GET", "/vm/config")["metrics"] is None
    a.must("PUT", "/metrics", {"metrics_path": str(file)})
    assert "Reinitialization of metrics not allowed." in a.fault("PUT", "/metrics", {"metrics_path": str(file)})
    a.start(vm.guest("button"))
    assert "not supported after starting" in a.fault("PUT", "/metrics", {"metrics_path": str(file)})


def test_nowhere(serve):
    a = serve()
    a.start(vm.guest("button"))
    a.must("PUT", "/actions", {"action_type": "FlushMetrics"})


def test_a_fifo_takes_whole_lines_or_none(serve, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    a = serve()
    a.must("PUT", "/metrics", {"metrics_path": str(fifo)})
    a.start(vm.guest("button"))
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    missed = 0
    while not missed:
        status, answer = a.ask("PUT", "/actions", {"action_type": "FlushMetrics"})
        missed = status == 400
    assert "Metrics error: the line found no room: Resource temporarily unavailable" in answer["fault_message"]
    text = b""
    while piece := read_some(reader):
        text += piece
    assert len(text) > 16384 and text.endswith(b"\n") and all(json.loads(line) for line in text.splitlines())
    a.must("PUT", "/actions", {"action_type": "FlushMetrics"})
    assert json.loads(read_some(reader).splitlines()[-1])["logger"]["missed_metrics_count"] == 1
    os.close(reader)


def read_some(fd):
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


def test_scraped(serve, tmp_path):
    a = serve(stdin=subprocess.PIPE)
    with_disk(a, tmp_path)
    assert scrape(a)['pronto_state{state="Not started"}'] == 1
    a.start(vm.guest("echo"))
    a.vm.expect("ready")
    first = scrape(a)
    assert first['pronto_state{state="Running"}'] == 1
    assert first["pronto_uart_read_count"] == 0 and first["pronto_uart_write_count"] > 0
    assert first['pronto_block_read_bytes{id="data"}'] == 0
    assert first["pronto_put_api_requests_drive_count"] == 1
    a.vm.send(b"abc")
    a.vm.expect("byte 0x63")
    second = scrape(a)
    assert second["pronto_uart_read_count"] == 3
    assert second["pronto_vcpu_exit_io_in"] > first["pronto_vcpu_exit_io_in"]
    assert second["pronto_uart_write_count"] > first["pronto_uart_write_count"]


def test_ctl(serve, box):
    a = serve()
    assert "pronto_state{" in vm.Vm(box, [vm.PRONTO, "ctl", a.socket, "metrics"]).wait().out


def test_the_last_line_of_one_that_is_killed(serve, file, box):
    """What it had told last is what is known of it."""
    a = serve()
    a.must("PUT", "/metrics", {"metrics_path": str(file)})
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    a.must("PUT", "/actions", {"action_type": "FlushMetrics"})
    n = len(lines(file))
    os.kill(a.vmm_pid(), signal.SIGKILL)
    a.vm.wait()
    assert len(lines(file)) > n and total(lines(file), "uart", "write_count") == len(a.vm.out)


def test_what_the_serial_line_drops(serve, tmp_path, file):
    a = serve()
    console = tmp_path / "console"
    a.must("PUT", "/metrics", {"metrics_path": str(file)})
    a.must("PUT", "/serial", {"serial_out_path": str(console), "rate_limiter": {"size": 10, "refill_time": 1000000, "one_time_burst": 2}})
    a.start(vm.guest("poweroff"))
    assert a.vm.wait().status == vm.POWEROFF
    assert len(console.read_bytes()) == 12
    assert total(lines(file), "uart", "rate_limiter_dropped_bytes") == total(lines(file), "uart", "write_count") - 12 > 0


# ---- by the name of firecracker ----

def test_by_its_options(serve, firecracker, file):
    a = serve("--metrics-path", file, "--start-time-us", "1", "--start-time-cpu-us", "0", "--parent-cpu-time-us", "1000000",
              program=firecracker)
    a.start(vm.guest("reset"))
    assert a.vm.wait().status == 0
    last = lines(file)[-1]
    assert last["api_server"]["process_startup_time_cpu_us"] >= 1000000
    assert last["api_server"]["process_startup_time_us"] > 1000000  # since this computer began


def test_by_a_file(box, firecracker, tmp_path, file):
    """Messages go where it says, too."""
    log = tmp_path / "log"
    log.touch()
    config = tmp_path / "config"
    config.write_text(json.dumps({"boot-source": {"kernel_image_path": vm.guest("triplefault")},
                                  "metrics": {"metrics_path": str(file)}, "logger": {"log_path": str(log)}}))
    result = vm.Vm(box, [firecracker, "--no-api", "--config-file", config]).wait()
    assert (result.status, result.err) == (vm.CRASH, "")
    assert lines(file) and "guest crashed" in log.read_text()


def test_a_files_ids_may_be_anything(serve, firecracker, tmp_path, file):
    """And longer than what is told of them, which is cut in the midst of a character."""
    disk, config = tmp_path / "disk", tmp_path / "config"
    disk.write_bytes(bytes(4096))
    config.write_text(json.dumps({
        "boot-source": {"kernel_image_path": vm.guest("button")}, "metrics": {"metrics_path": str(file)},
        "drives": [{"drive_id": 'a"\n' + "\u00e4" * 300, "is_root_device": False, "path_on_host": str(disk)}]}))
    a = serve("--config-file", config, program=firecracker)
    a.vm.expect("ready")
    told, = [name for name in scrape(a) if name.startswith("pronto_block_read_bytes{")]
    assert re.fullmatch(r'pronto_block_read_bytes\{id="a__+"\}', told)
    a.must("PUT", "/actions", {"action_type": "FlushMetrics"})
    assert [name for name in lines(file)[-1] if re.fullmatch("block_a__+", name)]
