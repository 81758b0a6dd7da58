# SPDX-License-Identifier: MIT
"""What the API tells of a machine that runs: when the moments of its boot came."""

import time

import pytest

import vm

pytestmark = pytest.mark.kvm


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
