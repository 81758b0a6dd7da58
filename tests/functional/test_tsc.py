# SPDX-License-Identifier: MIT
"""What doctor and run say of a KVM that has the rate of the host's TSC wrong.

strace gives KVM's answer.  In tests/lab/test_clock.py it is a real KVM that is wrong.
"""

import collections
import json
import re
import shutil
import signal

import pytest

import vm

pytestmark = [pytest.mark.kvm,
              pytest.mark.skipif(not shutil.which("strace"), reason="no strace to give KVM's answers")]

@pytest.fixture(name="answer")
def fixture_answer(box, tmp_path):
    """answer(VALUE, ARG...) starts pronto, with an answer of KVM's about the TSC of a VM: retval=N, or error=..."""
    log = tmp_path / "strace.log"

    def traced(argv, *options):
        return vm.Vm(box, ["strace", "-D", "-f", "-o", log, "-P", "anon_inode:kvm-vm", "-e", "trace=ioctl", *options,
                           vm.PRONTO, *argv], env={"ASAN_OPTIONS": "detect_leaks=0"})

    def start(value, *argv):
        # strace counts the calls of each thread by itself.
        traced(["run", *argv[1:-1], vm.guest("poweroff")] if argv[0] == "run" else argv).wait()
        threads = collections.defaultdict(list)
        for thread, call in re.findall(r"^(\d+) +ioctl\(\d+, (\w+)", log.read_text(), re.M):
            threads[thread].append(call)
        asked, = [calls.index("KVM_GET_TSC_KHZ") + 1 for calls in threads.values() if "KVM_GET_TSC_KHZ" in calls]
        return traced(argv, "-e", f"inject=ioctl:{value}:when={asked}")

    yield start
    assert log.read_text().count("(INJECTED)") == 1


WRONG = r"KVM takes it for {} kHz, and it is \d{{6,8}}: guests' timers may come late, by minutes; " \
        r"unload KVM's modules and load them again"


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("khz", [0, 12345])
def test_run_warns_once(answer, khz, cpus):
    """When the guest leaves it idle for the first time."""
    guest = answer(f"retval={khz}", "run", "--grace", "0", "-c", cpus, vm.guest("halt"))
    guest.expect("again\n", where="err")
    guest.signal(signal.SIGTERM)
    result = guest.wait()
    assert result.status == vm.KILLED
    assert re.fullmatch(f"pronto: warn: the TSC's rate: {WRONG.format(khz)}\n", result.err)


def test_run_that_is_over_at_once_does_not_look(answer):
    result = answer("retval=12345", "run", vm.guest("poweroff")).wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")


@pytest.mark.parametrize("value, line, state, words", [
    ("retval=0", "WRONG", "wrong", WRONG.format(0)), ("retval=12345", "WRONG", "wrong", WRONG.format(12345)),
    # An old KVM tells it of a vCPU only.
    ("error=ENOTTY", "ok", "ok", r"\d{6,8} kHz")])
def test_doctor_tells(answer, value, line, state, words):
    result = answer(value, "doctor").wait()
    assert re.search(rf"^{line} +TSC's rate +{words}$", result.out, re.M), result.out
    # A KVM that is slow, too, is called that.
    slow = re.search(r"^SLOW ", result.out, re.M)
    assert result.status == (2 if slow else 3 if state == "wrong" else 0)
    assert json.loads(answer(value, "doctor", "--json").wait().out)["tsc_rate"] == state
