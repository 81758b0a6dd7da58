# SPDX-License-Identifier: MIT
"""What the API tells of a machine that runs: when the moments of its boot came, what of the host it has lost, hints."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

import api
import vm
from test_net import needs_passt
from test_share import with_daemon

pytestmark = pytest.mark.kvm


@pytest.fixture
def heard(serve):
    """The API, and what is said of events until the machine's end."""
    a = serve()
    events = api.Connection(a.socket)
    events.request("GET", "/events")
    stream = events.getresponse()

    def rest():
        return [json.loads(line) for line in stream.read().splitlines()]
    return a, rest


# ---- the timeline ----

def test_timeline(serve):
    a = serve()
    assert "not supported before starting" in a.fault("GET", "/timeline")
    time.sleep(0.2)
    asked = time.monotonic_ns()
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    timeline = a.must("GET", "/timeline")
    now = time.monotonic_ns()
    names = [moment["name"] for moment in timeline["moments"]]
    assert names[:3] == ["VMM start", "start asked for", "kernel file open"]
    assert {"kernel loaded", "KVM open", "VM created", "vCPUs created", "console open", "first guest instruction",
            "first console byte"} <= set(names)
    at = [timeline["start_ns"] + moment["ns"] for moment in timeline["moments"]]
    assert at == sorted(at) and at[0] < asked < at[1] and at[-1] < now
    # What has come stays; so does the rest, while the machine is paused.
    a.must("PATCH", "/vm", {"state": "Paused"})
    assert a.must("GET", "/timeline") == timeline


def test_timeline_of_all_marks(serve):
    """As long as it can be."""
    a = serve()
    a.start(vm.guest("all_marks"))
    a.vm.expect("ready")
    names = [moment["name"] for moment in a.must("GET", "/timeline")["moments"]]
    assert len([name for name in names if name.startswith("guest's mark ")]) == 255 and "user space" in names


# ---- devices that fail ----

def failure(a, rest):
    """Of the one device that has failed; the machine has been told to end."""
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert a.vm.wait().status == vm.POWEROFF
    event, = [e for e in rest() if e["event"] == "device-failed"]
    assert event.pop("monotonic_ns") > 0
    return event


def named(box, name):
    return [pid for pid in box.processes() if os.readlink(f"/proc/{pid}/exe").rsplit("/", 1)[1].startswith(name)]


def end(a, box, name):
    """Kill who has that name, and wait until the VMM has said so.  The guest does not wait for it to be all there: passt begins by
    becoming the program that suits the processor, and has no environment at that moment."""
    vm.wait_until(lambda: named(box, name), what=name)
    for pid in named(box, name):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it ends with the other
            pass
    vm.wait_until(lambda: b"error: " in a.vm.err, what="the VMM's word")


@needs_passt
def test_passt_ends(heard, box):
    a, rest = heard
    a.must("PUT", "/network-interfaces/eth0", {"iface_id": "eth0", "user": True})
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    end(a, box, "passt")
    assert failure(a, rest) == {"event": "device-failed", "device": "net", "index": 0, "id": "eth0",
                                "why": "passt was ended by signal 9 (Killed)"}


@with_daemon
def test_virtiofsd_ends(heard, box, tmp_path):
    a, rest = heard
    a.must("PUT", "/shares/s", {"share_id": "s", "path_on_host": str(tmp_path)})
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    end(a, box, "virtiofsd")
    event = failure(a, rest)
    assert (event["device"], event["index"], event["id"]) == ("share", 0, "s")
    assert "virtiofsd was ended by signal 9 (Killed)" in event["why"]


@pytest.mark.skipif(not shutil.which("qemu-storage-daemon"), reason="there is no qemu-storage-daemon")
@pytest.mark.parametrize("how", ["objects", "settings"])
def test_back_end_of_a_disk_ends(serve, tmp_path, how):
    plain, path = tmp_path / "plain", tmp_path / "socket"
    for file in plain, tmp_path / "image":
        file.write_bytes(bytes(1 << 20))
    config = tmp_path / "config"
    config.write_text(json.dumps({"kernel": vm.guest("button"), "disk": [str(plain), {"vhost-user": str(path)}]}))
    with subprocess.Popen([
            "qemu-storage-daemon", "--blockdev", f"driver=file,node-name=f,filename={tmp_path / 'image'}", "--export",
            f"type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={path},writable=on"]) as daemon:
        vm.wait_until(path.exists, what="the back end")
        a = serve(*(["--config", config] if how == "settings" else []))
        events = api.Connection(a.socket)
        events.request("GET", "/events")
        stream = events.getresponse()
        if how == "objects":
            a.must("PUT", "/drives/plain", {"drive_id": "plain", "is_root_device": False, "path_on_host": str(plain)})
            a.must("PUT", "/drives/served", {"drive_id": "served", "is_root_device": False, "socket": str(path)})
            a.start(vm.guest("button"))
        else:
            a.must("PUT", "/actions", {"action_type": "InstanceStart"})
        a.vm.expect("ready")
        daemon.kill()
    vm.wait_until(lambda: b"error: " in a.vm.err, what="the VMM's word")
    event = failure(a, lambda: [json.loads(line) for line in stream.read().splitlines()])
    assert event == {"event": "device-failed", "device": "disk", "index": 1, **({"id": "served"} if how == "objects" else {}),
                     "why": "the back end: it has closed its connection"}


# ---- hints ----

@pytest.fixture
def hinted(serve):
    a = serve()
    a.must("PUT", "/balloon", {"amount_mib": 0, "deflate_on_oom": True, "free_page_hinting": True})
    return a


def test_hints_before_the_start(hinted):
    for method, path in ("PATCH", "start"), ("PATCH", "stop"), ("GET", "status"):
        assert "not supported before starting" in hinted.fault(method, f"/balloon/hinting/{path}")
    assert hinted.must("GET", "/balloon")["free_page_hinting"] is True


def test_hints_of_a_guest_that_has_no_driver(hinted):
    hinted.start(vm.guest("button"))
    hinted.vm.expect("ready")
    assert "the guest has no driver that hints at free pages, or not yet" in hinted.fault("PATCH", "/balloon/hinting/start")
    hinted.must("PATCH", "/balloon/hinting/stop")
    assert hinted.must("GET", "/balloon/hinting/status") == {"host_cmd": 0, "guest_cmd": None}
    for body, words in [({"acknowledge_on_stop": 1}, "expected a boolean"), ([], "not a JSON object"), ("{", "deserializing")]:
        assert words in hinted.fault("PATCH", "/balloon/hinting/start", body)


def test_hints_without_a_balloon(serve):
    a = serve()
    a.start(vm.guest("button"))
    for method, path in ("PATCH", "start"), ("PATCH", "stop"), ("GET", "status"):
        assert a.fault(method, f"/balloon/hinting/{path}") == "No balloon device found."
