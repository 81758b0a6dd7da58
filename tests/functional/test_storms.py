# SPDX-License-Identifier: MIT
"""A guest that does one thing without an end, as fast as it can, pays for it with its own processor's time: the rest of the process
does next to nothing, and neither memory nor descriptors nor messages grow."""

import os
import pathlib
import signal
import time

import pytest

import vm
from test_virtio import ALL, ASAN, BROKEN, disks  # noqa: F401  pylint: disable=unused-import

pytestmark = pytest.mark.kvm

TICK = os.sysconf("SC_CLK_TCK")
SECONDS = 3
HOUR = 3600

# Of a processor's time, what others may take: a queue that is kicked has a thread that serves it, one; what a console's reader does not
# take at once comes from another, too.
OTHERS = {"exits": 0.05, "interrupts": 0.05, "timer": 0.05, "console": 0.5, "log": 0.6, "kicks": 1.1}


def thread_times(pid):
    """Seconds of processor time, by threads: of vCPUs, and of all others."""
    vcpus = others = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name, rest = (task / "stat").read_text(encoding="ascii").split("(", 1)[1].rsplit(")", 1)
        seconds = sum(int(word) for word in rest.split()[11:13]) / TICK
        if name == "pronto-vcpu":
            vcpus += seconds
        else:
            others += seconds
    return vcpus, others


def held(pid):
    """Descriptors, and KiB of memory."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return len(os.listdir(f"/proc/{pid}/fd")), int(status.split("VmRSS:")[1].split()[0])


def end(process):
    """At once: the guest does not listen to its button."""
    process.signal(signal.SIGTERM)
    time.sleep(0.1)
    process.signal(signal.SIGTERM)
    return process.wait()


@pytest.mark.parametrize("storm", OTHERS)
def test_storm(start, storm):
    process = start("storm", "-m", "32M", "--rng", "on", "--confine", "on", words=[storm])
    process.expect("ready")
    time.sleep(0.5)
    before, had, since = thread_times(process.pid), held(process.pid), time.monotonic()
    time.sleep(SECONDS)
    seconds = time.monotonic() - since
    vcpus, others = (now - then for now, then in zip(thread_times(process.pid), before))
    has = held(process.pid)
    result = end(process)
    print(f"{storm}: in {seconds:.1f} s {vcpus:.2f} s of the vCPU's and {others:.2f} s of all others'")
    assert result.status == vm.KILLED and "not ok" not in result.out
    assert vcpus > 0.02 * seconds and others < OTHERS[storm] * seconds, (vcpus, others)
    assert has[0] == had[0] and has[1] < had[1] + 512, (had, has)
    assert BROKEN.sub("", result.err) == "" and len(BROKEN.findall(result.err)) <= SECONDS + 3, result.err


@pytest.mark.long
@pytest.mark.timeout(HOUR + 600)
@pytest.mark.parametrize("how", ["address sanitizer", "confined"])
def test_an_hour_of_broken_rules(box, disks, how):  # noqa: F811
    """By every device's driver, each of them again and again."""
    program, options = (vm.PRONTO, ["--confine", "on"]) if how == "confined" else (ASAN, [])
    process = vm.Vm(box, [program, "run", "-m", "32M", *ALL, *options, vm.guest("rings"), "--", "again"], env={"UBSAN_OPTIONS": "halt_on_error=1"})
    process.expect(".", 120)
    had, since = held(process.pid), time.monotonic()
    while time.monotonic() < since + HOUR and process.process.poll() is None:
        time.sleep(1)
    has = held(process.pid)
    result = end(process)
    n_rounds = result.out.count(".")
    print(f"{how}: {n_rounds} times all of it in {HOUR} s; {had} descriptors and KiB after the first, {has} at the end")
    assert result.status == vm.KILLED and "not ok" not in result.out and n_rounds > 10, result.out[-2000:]
    assert BROKEN.sub("", result.err) == "", result.err[-2000:]
    assert len(BROKEN.findall(result.err)) < 4 * (HOUR + 60)
    assert has[0] == had[0] and has[1] < had[1] + 4096, (had, has)
