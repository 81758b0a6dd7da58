# SPDX-License-Identifier: MIT
"""Debian's kernels under pronto in the lab: what the guest itself sees, and how each life ends."""

import collections
import os
import re
import shlex
import shutil
import subprocess
import time

import pytest

from machines import ROOT, in_lab, packages

PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))
PRONTO_ASAN = os.environ.get("PRONTO_ASAN", str(ROOT / "build-asan" / "pronto"))

# quiet, or most of a boot's time in the lab is spent on the console.
BASE = "console=ttyS0 reboot=a panic=-1 cryptomgr.notests quiet"

POWEROFF, REBOOT, KILLED = 0, 3, 5

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

# "began" and "ended" are the times of day around it.
Boot = collections.namedtuple("Boot", "status out err facts began ended")


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=600).stdout.strip()


class Guest:
    """A Debian kernel in both its forms, and the initramfs that goes with it."""

    def __init__(self, name):
        fetch = str(ROOT / "lab" / "fetch")
        self.vmlinuz = output(fetch, "--vmlinuz", name).split(" ", 1)[1]
        self.vmlinux = output(fetch, "--vmlinux", name).split(" ", 1)[1]
        self.initramfs = output(str(ROOT / "lab" / "guest" / "mkinitramfs"), name)


class Lazy(dict):
    """What MAKE makes of a kernel's name, once, when it is first asked for."""

    def __init__(self, make):
        super().__init__()
        self._make = make

    def __missing__(self, name):
        self[name] = self._make(name)
        return self[name]


def kernel(name):
    if packages.why_not(name):
        pytest.skip(packages.why_not(name))
    return Guest(name)


@pytest.fixture(scope="session")
def guests():
    return Lazy(kernel)


def command(kernel, *options, initrd=None, do=None, base=BASE, pronto=PRONTO):
    argv = [pronto, "run", *options]
    if initrd:
        argv += ["-i", initrd]
    return [*argv, kernel, "--", base + (f" pronto.do={do}" if do else "")]


def boot(*args, stdin=b"", env=None, **kwargs):
    began = time.time()
    done = in_lab(*command(*args, **kwargs), stdin=stdin, env=env)
    ended = time.time()
    facts = collections.defaultdict(list)
    out = done.stdout.decode(errors="replace").replace("\r", "")
    for key, value in re.findall(r"^@@ (\S+) ?(.*)$", out, re.M):
        facts[key].append(value)
    return Boot(done.returncode, out, done.stderr.decode(errors="replace"), facts, began, ended)


def explain(done):
    return f"status {done.status}\n{done.out[-3000:]}\n{done.err[-3000:]}"


# Where a kernel lies, in its own address space and in the guest's memory, unless it has chosen another place.
AS_LINKED = "ffffffff81000000", "01000000"


def place_of(done):
    code, = [line for line in done.facts["iomem"] if line.endswith("Kernel code")]
    return done.facts["kernel_text"][0].split()[0], code.split("-")[0]


def ram_of(iomem):
    """Bytes of RAM that the guest was told, and the end of the last of it."""
    ranges = [(int(a, 16), int(b, 16)) for a, b in
              (re.match(r"([0-9a-f]+)-([0-9a-f]+) : System RAM", line).groups()
               for line in iomem if "System RAM" in line)]
    return sum(b - a + 1 for a, b in ranges), ranges[-1][1] + 1


def check_report(done, cpus, mib):
    facts = done.facts
    assert done.status == POWEROFF, explain(done)
    assert facts["report_ends"] == ["here"], explain(done)
    assert facts["cpus_online"] == [str(cpus)]
    assert facts["apicid"] == [str(i) for i in range(cpus)]
    siblings = {f for f in facts["cpuinfo"] if f.startswith("siblings")}
    assert siblings == {f"siblings: {cpus}"}
    assert {f for f in facts["cpuinfo"] if f.startswith("physical id")} == {"physical id: 0"}
    assert facts["hypervisor"] == ["KVM"]
    assert facts["clocksource"] == ["kvm-clock"]
    assert int(done.began) <= int(facts["wall_clock"][0]) <= done.ended
    assert facts["acpi_problem"] == []
    assert facts["kernel_problem"] == []
    assert facts["initrd"], "the guest did not find its initrd"
    ram, end = ram_of(facts["iomem"])
    # Linux keeps page 0, and what lies between 640 KiB and 1 MiB, for itself.
    assert 0 <= (mib << 20) - ram <= 1 << 20
    assert end == (mib << 20) + (1 << 30 if mib > 3072 else 0)
    assert done.err == ""


def vmgenid_driver(guest, name):
    """The driver of the generation ID, if the kernel is built with one: Debian's for clouds of 6.1 is not."""
    with open(guest.vmlinuz.replace("/vmlinuz-", "/config-"), encoding="ascii") as file:
        has_one = "\nCONFIG_VMGENID=y\n" in file.read()
    assert has_one or name == "cloud"
    return "vmgenid" if has_one else ""


@pytest.mark.parametrize("form", ["vmlinuz", pytest.param("vmlinux", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", ["cloud", "generic", "cloud-newer", pytest.param("rt", marks=pytest.mark.long)])
def test_kernel(guests, name, form):
    guest = guests[name]
    done = boot(getattr(guest, form), "-c", "2", initrd=guest.initramfs, do="report")
    check_report(done, 2, 256)
    assert done.facts["release"][0] in guest.vmlinuz
    assert place_of(done) == AS_LINKED
    assert done.facts["vmgenid"] == [vmgenid_driver(guest, name)]


@pytest.mark.parametrize("name, cpus, memory, mib", [
    ("cloud", 1, "128M", 128), pytest.param("cloud", 4, "5G", 5120, marks=pytest.mark.long), ("cloud-newer", 1, "3G", 3072),
    pytest.param("cloud-newer", 4, "256M", 256, marks=pytest.mark.long)])
def test_machine(guests, name, cpus, memory, mib):
    guest = guests[name]
    check_report(boot(guest.vmlinux, "-c", str(cpus), "-m", memory, initrd=guest.initramfs, do="report"), cpus, mib)


def test_default_command_line(guests):
    """What --dry-run prints is what the guest reads; it suffices for console, panic and reboot."""
    guest = guests["cloud"]
    text = output(PRONTO, "run", "--dry-run", guest.vmlinux)
    default = re.search(r"command line: \d+ bytes\n\s+(.*)", text).group(1)
    assert "console=ttyS0" in default
    done = boot(guest.vmlinux, initrd=guest.initramfs, do="report", base=default)
    check_report(done, 1, 256)
    assert done.facts["cmdline"] == [default + " pronto.do=report"]
    assert done.out.startswith("[    0.000000] Linux version ")


@pytest.mark.parametrize("name", ["cloud", "cloud-newer"])
def test_no_initrd(guests, name):
    """Without a root file system the kernel panics, and panic=-1 resets at once, by ACPI."""
    done = boot(guests[name].vmlinuz, "-c", "2")
    assert done.status == REBOOT, explain(done)
    assert "Unable to mount root fs" in done.out


@pytest.mark.parametrize("do, how", [("reboot", "reboot=a"), ("reboot", ""), ("panic", "")],
                         ids=["by-acpi", "by-reset-vector", "panic-by-reset-vector"])
def test_reset(guests, do, how):
    """Without reboot=a Linux goes by real mode and the reset vector."""
    guest = guests["cloud"]
    done = boot(guest.vmlinux, "-c", "2", initrd=guest.initramfs, do=do,
                base=BASE.replace("reboot=a", how))
    assert done.status == REBOOT, explain(done)


def test_console_input_and_timeline(guests):
    guest = guests["cloud"]
    done = boot(guest.vmlinux, "--timeline", initrd=guest.initramfs, do="echo", stdin=b"typed before the guest was up\n")
    assert done.status == POWEROFF, explain(done)
    assert done.facts["echo"] == ["typed before the guest was up"]
    assert done.out.count("Hello from user space") == 1
    rows = re.findall(r"^(\S.*?) +([\d.]+) +([\d.]+)$", done.err, re.M)
    names = [row[0] for row in rows]
    # The kernel is loaded while the VM is made.
    assert sorted(names[2:7]) == ["KVM open", "VM created", "console open", "kernel loaded", "vCPUs created"]
    assert names[:2] + names[7:] == ["VMM start", "kernel file open", "first guest instruction",
                                     "first console byte", "user space", "guest's end", "machine released"]
    at = [float(row[1]) for row in rows]
    assert at == sorted(at) and at[0] == 0


def test_power_button(guests):
    """SIGTERM presses the button; the guest's driver sees it and user space powers off."""
    guest = guests["cloud"]
    argv = shlex.join(command(guest.vmlinux, "--console", "file:/tmp/console", "--grace", "60",
                              initrd=guest.initramfs, do="wait-button"))
    done = in_lab("sh", "-c", f"""
        {argv} &
        until grep -q '^@@ ready button' /tmp/console; do sleep 0.1; done
        kill -TERM $!
        wait $!
        echo status $?
        cat /tmp/console""")
    assert done.returncode == 0, done
    assert done.stdout.startswith(b"status 0\n"), done
    assert b"@@ button pressed" in done.stdout


@pytest.mark.long
@pytest.mark.timeout(600)
def test_twenty_in_a_row(guests):
    """Not one of twenty hangs, crashes or says less than the others."""
    guest = guests["cloud"]
    for i in range(20):
        done = boot(guest.vmlinux, "-c", str(1 + i % 2), initrd=guest.initramfs)
        assert done.status == POWEROFF, explain(done)
        assert done.out.count("Hello from user space") == 1, explain(done)


def test_sanitized_vmm(guests):
    """A whole boot with the VMM under AddressSanitizer and UndefinedBehaviorSanitizer."""
    if not os.path.exists(PRONTO_ASAN):
        pytest.skip(f"{PRONTO_ASAN} is not built: scripts/check builds it")
    guest = guests["cloud"]
    env = {**os.environ, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
           "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99"}
    done = boot(guest.vmlinuz, "-c", "2", initrd=guest.initramfs, do="report", env=env, pronto=PRONTO_ASAN)
    check_report(done, 2, 256)


@pytest.mark.parametrize("what, share", [("constants", (0.1, 0.5)), ("all", (0.99, 1)), ("none", (0, 0))])
def test_map_kernel(guests, what, share):
    """However a kernel comes in, it boots; and the option decides how it does.  By constants, as without the option."""
    guest = guests["cloud"]
    told = subprocess.run([PRONTO, "run", "--dry-run", "--map-kernel", what, guest.vmlinuz], capture_output=True,
                          timeout=60, check=True).stdout
    mapped, read = (sum(map(int, re.findall(rb"%s (\d+)" % word, told))) for word in (b"mapped", b"read"))
    assert share[0] <= mapped / (mapped + read) <= share[1]
    if what != "constants":
        check_report(boot(guest.vmlinuz, "--map-kernel", what, initrd=guest.initramfs, do="report"), 1, 256)


@pytest.mark.parametrize("what,low,high", [("kernel", 2400, 6200), pytest.param("all", 9000, 24576, marks=pytest.mark.long)])
def test_merge(guests, what, low, high):
    """Pages that are saved when the host merges two guests' of the same kernel: at least those that each boot writes
    in the same way into code; with all memory, most of the others that are alike, and the empty ones."""
    guest = guests["cloud"]
    started = "".join(shlex.join(command(guest.vmlinuz, "-m", "96M", "--merge", what, "--console",
                                         f"file:/tmp/console{i}", initrd=guest.initramfs, do="idle")) + " &\n"
                      for i in (1, 2))
    done = in_lab("sh", "-c", started + """
        for i in 1 2; do until grep -q '^@@ ready idle' /tmp/console$i; do sleep 0.1; done; done
        cd /sys/kernel/mm/ksm
        echo 20000 > pages_to_scan
        echo 1 > run
        until [ $(cat full_scans) -gt 5 ]; do sleep 0.1; done
        echo "merged $(cat pages_sharing)"
        kill -KILL $(jobs -p)""", seconds=120)
    merged = re.findall(rb"^merged (\d+)$", done.stdout, re.M)
    assert len(merged) == 1, done
    assert low <= int(merged[0]) <= high


LIVES = """
"$@" >/run/out 2>/run/err & pid=$!
until [ "$(grep -c '^@@ report_ends' /run/out)" -ge 3 ]; do
	kill -0 $pid || break
	sleep 0.1
done
kill $pid
wait $pid
status=$?
cat /run/out
cat /run/err >&2
exit $status
"""

# What differs from one life to the next.
OF_ITS_LIFE = {"wall_clock", "uptime", "interrupt"}


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.long
def test_another_life_in_place(guests, cpus):
    """Linux that reboots finds the same machine again: nothing of the last life is left, and nothing is missing."""
    guest = guests["cloud"]
    argv = command(guest.vmlinux, "-m", "256M", "-c", cpus, "--on-reboot", "restart", "--grace", "0",
                   initrd=guest.initramfs, do="report,reboot")
    done = in_lab("sh", "-c", LIVES, "sh", *argv)
    out, err = (text.decode(errors="replace").replace("\r", "") for text in (done.stdout, done.stderr))
    assert (done.returncode, err) == (KILLED, ""), out[-3000:] + err
    lives = [collections.defaultdict(list) for _ in range(3)]
    for life, text in zip(lives, out.split("@@ report_ends here")):
        for key, value in re.findall(r"^@@ (\S+) ?(.*)$", text, re.M):
            life[key].append(value)
    assert lives[0]["cpus_online"] == [str(cpus)]
    for life in lives:
        assert OF_ITS_LIFE <= life.keys()
        assert {**life, **dict.fromkeys(OF_ITS_LIFE)} == {**lives[0], **dict.fromkeys(OF_ITS_LIFE)}
        assert float(life["uptime"][0]) < 60, "its clock goes on from the last life"
