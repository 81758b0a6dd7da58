# SPDX-License-Identifier: MIT
"""The guest programs in the lab: on a KVM that runs them on a processor, an emulated AMD machine's.

The local /dev/kvm may interpret the guest's kernel mode, or be missing; this one is the same everywhere.
"""

import os
import re
import shutil
import subprocess

import pytest

import vm

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86"),
    pytest.mark.skipif("PRONTO_LAB" in os.environ, reason="a lab in the lab would be too slow"),
]


def run(kernel, *options, stdin=b""):
    done = subprocess.run([vm.ROOT / "lab" / "lab", "-q", "--timeout=150", vm.PRONTO, "run", *map(str, options),
                           vm.guest(kernel)], input=stdin, capture_output=True, timeout=180, check=False)
    return vm.Result(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1"), 0)


@pytest.mark.parametrize("kernel, options", [
    ("entry", []), ("entry-elf64", []), ("startinfo", ["-m", "128M"]), ("startinfo", ["-m", "5G"]), ("cpu", []),
    ("bus", []), ("early", []), ("mptable", ["-c", 2]), ("smp", ["-c", 1]), ("smp", ["-c", 2]), ("smp", ["-c", 4])])
def test_property(kernel, options):
    result = run(kernel, *options)
    assert (result.status, result.err) == (vm.POWEROFF, "")
    vm.tap(result.out)


def test_serial_by_interrupts():
    result = run("serial_irq", stdin=b"a line that is longer than a FIFO\n")
    assert (result.status, result.err) == (vm.POWEROFF, "")
    remarks = vm.tap(result.out)
    assert remarks["line"] == [["33", hex(vm.checksum(b"a line that is longer than a FIFO"))]]


@pytest.mark.parametrize("kernel, status", [("poweroff", vm.POWEROFF), ("reset", vm.REBOOT), ("vector", vm.REBOOT)])
def test_end(kernel, status):
    result = run(kernel)
    assert (result.status, result.err) == (status, "")


def test_triple_fault():
    result = run("triplefault", "-c", 2)
    assert (result.status, result.out) == (vm.CRASH, "ready\n")
    assert "triple fault on vCPU 0" in result.err
    # An AMD processor keeps nothing, and the dump says so.
    assert re.search(r"vCPU 0 registers \(of a CPU just reset", result.err)


def test_unfetchable_instruction():
    result = run("nowhere")
    assert (result.status, result.out) == (vm.CRASH, "ready\n")
    assert "KVM cannot go on" in result.err
    assert "rip 00000000d8000000" in result.err and "rsi 000000000badcafe" in result.err


def test_power_button_and_grace_period():
    """SIGTERM to a guest that listens, and to one that does not."""
    script = '"$1" run --grace "$3" "$2" & until sleep 0.5; do :; done; kill -TERM $!; wait $!'
    for kernel, grace, status in ("button", 20, vm.POWEROFF), ("spin", 1, vm.KILLED):
        done = subprocess.run([vm.ROOT / "lab" / "lab", "-q", "--timeout=150", "sh", "-c", script, "sh", vm.PRONTO,
                               vm.guest(kernel), str(grace)], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=180, check=False)
        assert done.returncode == status, done
        assert b"ready" in done.stdout
