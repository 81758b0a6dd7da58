# SPDX-License-Identifier: MIT
"""Every way in which a run ends: the exit status, what is said, and how soon."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

import vm

pytestmark = pytest.mark.kvm

# From the signal or the guest's last instruction to the end of the process; a loaded machine has two CPUs.
PROMPT = 10  # seconds, on a busy machine; what would be waited for takes longer


def test_power_off(run):
    result = run("poweroff")
    assert (result.status, result.err) == (vm.POWEROFF, "")
    vm.tap(result.out)
    assert result.out.endswith("\n1..1\n")  # not one instruction more
    assert result.seconds < PROMPT


def test_reset(run):
    result = run("reset")
    assert (result.status, result.err) == (vm.REBOOT, "")
    vm.tap(result.out)
    assert result.out.endswith("\n1..1\n")
    assert result.seconds < PROMPT


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("kernel, reason", [
    ("triplefault", "triple fault on vCPU 0"),
    ("nowhere", "KVM cannot go on from vCPU 0's instruction"),
])
def test_crash(run, kernel, reason, n):
    result = run(kernel, "-c", n)
    assert (result.status, result.out) == (vm.CRASH, "ready\n")
    lines = result.err.splitlines()
    assert all(line.startswith("pronto: error: ") for line in lines)
    assert "guest crashed: " in lines[0] and reason in lines[0]
    for register in "rip", "rsi 000000000badcafe", "cr0 00000011", "cs 0008", "gdt", "idt", "efer":
        assert re.search(rf"\b{register}\b", result.err), register
    assert result.seconds < PROMPT
    rip = int(re.search(r"rip ([0-9a-f]{16})", result.err)[1], 16)
    assert 0x100000 <= rip < 0x110000 if kernel == "triplefault" else rip == 0xd8000000


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("taken_for, status", [("reset", vm.REBOOT), ("poweroff", vm.POWEROFF)])
def test_wanted_triple_fault(run, taken_for, status, n):
    result = run("triplefault", "--on-triple-fault", taken_for, "-c", n)
    assert (result.status, result.out, result.err) == (status, "ready\n", "")


@pytest.mark.parametrize("options", [[], ["--on-triple-fault", "reset"], ["--on-triple-fault", "poweroff"]])
def test_no_other_crash_is_wanted(run, options):
    assert run("nowhere", *options).status == vm.CRASH


# ---- signals ----

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_signal_presses_the_power_button(start, number):
    guest = start("button")
    guest.expect("ready")
    guest.signal(number)
    result = guest.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")
    vm.tap(result.out)
    assert result.seconds < PROMPT


@pytest.mark.parametrize("kernel", ["deaf", "halt", "spin"])
@pytest.mark.parametrize("n", [1, 2])
def test_grace_period(start, kernel, n):
    guest = start(kernel, "--grace", 2, "-c", n)
    guest.expect("ready")
    guest.signal(signal.SIGTERM)
    result = guest.wait()
    assert result.status == vm.KILLED
    assert result.err == "pronto: warn: the guest did not power off within 2 s; ended\n"
    assert 1.9 < result.seconds < 2 + PROMPT


@pytest.mark.parametrize("kernel", ["halt", "spin"])
@pytest.mark.parametrize("n", [1, 4])
def test_no_grace(start, kernel, n):
    """How soon vCPUs are out of the guest: halted, running, and never started."""
    guest = start(kernel, "--grace", 0, "-c", n)
    guest.expect("ready")
    guest.signal(signal.SIGTERM)
    result = guest.wait()
    assert (result.status, result.err) == (vm.KILLED, "")
    assert result.seconds < PROMPT


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_does_not_wait(start, second):
    guest = start("deaf", "--grace", 60)
    guest.expect("ready")
    guest.signal(signal.SIGTERM)
    guest.expect("pressed")
    guest.signal(second)
    result = guest.wait()
    assert (result.status, result.err) == (vm.KILLED, "")
    assert result.seconds < PROMPT


def test_button_is_pressed_again_for_a_late_driver(start):
    guest = start("late", stdin=subprocess.PIPE)
    guest.expect("ready")
    guest.signal(signal.SIGTERM)
    time.sleep(0.2)
    guest.send(b"l")
    guest.expect("pressed")
    result = guest.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")
    assert result.seconds < 1 + PROMPT


def test_signal_before_the_guest_runs(box, start):
    """Whenever it comes, the run ends, by the default action or by ours; nothing hangs."""
    for delay in range(0, 12):
        guest = start("halt", "--grace", 0)
        time.sleep(delay / 2000)
        guest.signal(signal.SIGTERM)
        assert guest.wait().status in (vm.KILLED, -signal.SIGTERM)
    assert box.processes() == [] and box.files() == []


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace to have a read take long")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_the_initrd_is_loaded(box, tmp_path, number):
    """No guest runs that could be asked, so there is no grace."""
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"initrd" * 1000)
    guest = vm.Vm(box, ["strace", "-P", initrd, "-o", tmp_path / "log", "-e", "trace=pread64",
                        "-e", "inject=pread64:delay_enter=3000000", vm.PRONTO, "run", "--grace", "60",
                        "-i", initrd, vm.guest("halt")], env={"ASAN_OPTIONS": "detect_leaks=0"})

    def loads(pid):
        try:
            return str(initrd) in [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            return False

    vm.wait_until(lambda: any(map(loads, box.processes())), what="the initrd")
    os.kill(next(filter(loads, box.processes())), number)
    result = guest.wait()
    assert (result.status, result.out, result.err) == (vm.KILLED, "", "")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_ignored_signal_stays_ignored(start, number):
    """nohup, and a shell's background jobs."""
    guest = start("deaf", "--grace", 1, preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    guest.expect("ready")
    guest.signal(number)
    time.sleep(0.3)
    assert guest.process.poll() is None
    assert b"pressed" not in guest.out
    guest.signal(signal.SIGQUIT)
    guest.expect("pressed")


def test_kill_leaves_nothing(box, start):
    guest = start("spin", "-c", 2)
    guest.expect("ready")
    guest.signal(signal.SIGKILL)
    assert guest.wait().status == -signal.SIGKILL
    assert box.processes() == [] and box.files() == []


# ---- another life ----

SHORT_LIVES = ("pronto: warn: the guest reset within 1000 ms of its start; "
               "restarts now wait, up to 1000 ms each\n")


def test_restart(start):
    guest = start("lives", "--on-reboot", "restart", stdin=subprocess.PIPE)
    for n_lives in range(1, 7):
        vm.wait_until(lambda n=n_lives: guest.out.count(b"life:") == n, what="the next life")
        guest.send(b"q" if n_lives == 6 else b"a")
    result = guest.wait()
    assert (result.status, result.err) == (vm.POWEROFF, SHORT_LIVES)
    # Each life finds the kernel's data and RAM as the first did.
    assert result.out == "".join(f"life: counter 1, ram 0\n{c}\n" for c in "aaaaaq")


@pytest.mark.parametrize("n", [1, 2])
def test_each_life_begins_as_the_first(start, n):
    """RAM, processor, interrupt controllers, devices: whatever a guest finds, after it has changed all of it."""
    guest = start("again", "-m", "32M", "--on-reboot", "restart", "-c", n, stdin=subprocess.PIPE)
    for n_lives in range(1, 5):
        vm.wait_until(lambda n=n_lives: guest.out.count(b"others=") == n, timeout=60, what="the next life")
        guest.send(b"q" if n_lives == 4 else b"a")
    result = guest.wait()
    assert (result.status, result.err) == (vm.POWEROFF, SHORT_LIVES)
    first, *others = [line for line in result.out.splitlines() if line.startswith("life:")]
    assert others == [first] * 3
    said = dict(word.split("=") for word in first.split()[1:])
    assert int(said["dirty"], 16) == 0
    assert int(said["young"], 16) == 1
    assert int(said["others"], 16) == n - 1


def test_restart_is_not_the_default(run):
    result = run("lives", stdin=b"aaq")
    assert (result.status, result.out) == (vm.REBOOT, "life: counter 1, ram 0\na\n")


@pytest.mark.parametrize("n", [1, 3])
def test_lives_leak_nothing(start, n):
    guest = start("lives", "--on-reboot", "restart", "-c", n, stdin=subprocess.PIPE)
    proc = pathlib.Path(f"/proc/{guest.pid}")

    def holds():
        fds = sorted(re.sub(r"\d+", "N", os.readlink(f)) for f in (proc / "fd").iterdir())
        return fds, len(list((proc / "task").iterdir())), len((proc / "maps").read_text().splitlines())

    def live(lives):
        for _ in range(lives):
            n_lives = guest.out.count(b"life:")
            guest.send(b"a")
            vm.wait_until(lambda: guest.out.count(b"life:") > n_lives, what="the next life")
        time.sleep(0.05)

    live(1)
    fds, threads, maps = holds()
    live(5)
    assert holds()[:2] == (fds, threads)
    # A sanitizer's own memory grows as it likes.
    assert holds()[2] <= maps + 3 or b"__tsan_init" in vm.PRONTO.read_bytes()
    guest.send(b"q")
    assert guest.wait().status == vm.POWEROFF


def test_triple_fault_as_a_reset_begins_another_life(start):
    guest = start("triplefault", "--on-reboot", "restart", "--on-triple-fault", "reset")
    vm.wait_until(lambda: guest.out.count(b"ready") == 4, what="life")
    guest.signal(signal.SIGTERM)
    guest.signal(signal.SIGTERM)
    assert guest.wait().status == vm.KILLED


def test_crash_is_not_restarted(run):
    assert run("triplefault", "--on-reboot", "restart").status == vm.CRASH


def test_signal_ends_a_guest_that_only_resets(start):
    guest = start("looping", "--on-reboot", "restart")
    vm.wait_until(lambda: guest.out.count(b"life") > 5, what="life")
    guest.signal(signal.SIGTERM)
    result = guest.wait()
    assert (result.status, result.err) == (vm.KILLED, SHORT_LIVES)
    assert result.seconds < PROMPT


@pytest.mark.parametrize("policy, status", [("exit", vm.REBOOT), ("restart", vm.KILLED)])
def test_reset_in_answer_to_the_power_button(start, policy, status):
    guest = start("looping", "--on-reboot", policy, words=["button"])
    guest.expect("ready")
    guest.signal(signal.SIGTERM)
    result = guest.wait()
    assert (result.status, result.out) == (status, "life\nready\n")


# ---- what is left ----

@pytest.mark.skipif(os.geteuid() != 0, reason="a private /tmp needs root")
@pytest.mark.parametrize("kernel", ["poweroff", "reset", "triplefault"])
def test_shared_directories_stay_empty(box, kernel):
    script = """
        exec 8<"$0" 9<"$1"  # either may lie where a new directory will be
        for place in /tmp /var/tmp /dev/shm /run; do mount -t tmpfs none $place; done
        /proc/self/fd/8 run --no-cache /proc/self/fd/9 </dev/null >&2
        find /tmp /var/tmp /dev/shm /run -mindepth 1"""
    # ThreadSanitizer's list of what it is not to say may lie there, too, and is not for such guests.
    result = vm.Vm(box, ["unshare", "-m", "sh", "-c", script, vm.PRONTO, vm.guest(kernel)], env={"TSAN_OPTIONS": "exitcode=66"}).wait()
    assert result.out == ""
    said = re.sub("pronto: error:.*\n", "", result.err)  # which may come amid a line of the guest's
    assert "ok 1" in said or "ready" in said
