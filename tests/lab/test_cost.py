# SPDX-License-Identifier: MIT
"""What a start and a boot cost in counts that no load on the machine changes: exits, system calls, page faults.

Each has a ceiling a little above what it is.  Who goes through one has made something dearer: what, is printed.
"""

import collections
import os
import pathlib
import re
import shutil
import sys
import types

import pytest

from machines import ROOT, in_lab

sys.path.insert(0, str(ROOT / "bench"))
# pylint: disable=wrong-import-position
from benchkit import linux  # noqa: E402
from benchmarks import load  # noqa: E402

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
BENCH = PRONTO.parent / "bench"

# To the first user instruction, of a boot that says nothing: alone, or with one disk.
MOST_USER_EXITS = 149
MOST_WITH_A_DISK = {"mmio": 149, "pci": 692}

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

# Every exit to user space is written down until the guest's pid 1 marks its start.
TRACE = f"""
cd /sys/kernel/tracing/events/kvm
echo 'traceoff if port == {0x60c}' > kvm_pio/trigger
echo 'gpa < {0xfee00000}' > kvm_mmio/filter
echo 1 > kvm_userspace_exit/enable
echo 1 > kvm_pio/enable
echo 1 > kvm_mmio/enable
"$@" || exit
echo @@ on $(cat ../../tracing_on)
sed 's/^.*: kvm_/@@ kvm_/; s/ count 0x1$//' ../../trace
"""


def shell(script, *argv):
    """What the lab's shell prints, for a script and its arguments."""
    done = in_lab("sh", "-c", script, "sh", *argv)
    out = done.stdout.decode(errors="replace")
    assert done.returncode == 0, out[-3000:] + done.stderr.decode(errors="replace")
    return out


def exits_of_a_boot(name, most, *options, cmdline=linux.SILENT):
    guest = linux.debian(name)
    if guest.why_not:
        pytest.skip(guest.why_not)
    out = shell(TRACE, PRONTO, "run", *options, "-i", guest.initrd, guest.elf, "--", cmdline + " bench=off")
    assert re.search(r"^@@ on 0$", out, re.M), "the guest did not come to its mark\n" + out[-3000:]
    exits = re.findall(r"^@@ kvm_userspace_exit: (.*)$", out, re.M)
    what = collections.Counter(re.findall(r"^@@ kvm_(pio: .* at 0x\w+|mmio: .* gpa 0x\w+)", out, re.M))
    print("\n".join(f"{count:5} {access}" for access, count in what.most_common()))
    assert exits.count("reason KVM_EXIT_MMIO (6)") >= 10, "this is no trace of a boot: the I/O APIC is not in it"
    assert len(exits) <= most


@pytest.mark.parametrize("name", ["cloud", "cloud-newer"])
def test_exits_of_a_boot(name):
    exits_of_a_boot(name, MOST_USER_EXITS)


@pytest.mark.parametrize("transport", MOST_WITH_A_DISK)
def test_exits_of_a_boot_with_a_disk(transport, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    exits_of_a_boot("cloud-newer", MOST_WITH_A_DISK[transport], "--rng", "off", "--disk", disk, "--transport", transport,
                    cmdline=linux.SILENT if transport == "mmio" else linux.SILENT.replace("pci=off ", ""))


class Start(types.SimpleNamespace):
    """A start's system calls by name, and page faults of its process."""

    def __str__(self):
        return f"{self.faults} page faults, {sum(self.calls.values())} system calls: {self.calls.most_common()}"


def start(kernel, *options):
    """A start of a kernel that powers off at once, when all is kept that is kept.  Of the page faults the least of five: where the
    loader puts what, by chance, is worth up to three."""
    out = shell("""
        truncate -s 64M /run/disk
        stopwatch=$1
        shift
        "$@" >/dev/null
        strace -f -c -U calls,name -o /run/calls "$@" >/dev/null || exit
        for i in 1 2 3 4 5; do
            "$stopwatch" "$@" || exit
        done
        cat /run/calls""", BENCH / "stopwatch", PRONTO, "run", *options, kernel)
    calls = collections.Counter({name: int(count) for count, name in re.findall(r"^ +(\d+) (\w+)$", out, re.M)})
    del calls["total"]
    return Start(calls=calls, faults=min(int(n) for n in re.findall(r'"end".*"minflt": (\d+)', out)))


def check(found, calls, faults, ioctls):
    """Threads that wait for each other call futex() as often as chance has it: a few times."""
    print(found)
    assert found.calls["execve"] == 1 and found.faults > 10, "this is no start"
    assert found.calls.pop("futex", 0) < 40
    assert found.calls["ioctl"] <= ioctls
    assert sum(found.calls.values()) <= calls
    assert found.faults <= faults


needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="no strace to count system calls")


@needs_strace
def test_start_of_a_tiny_guest():
    check(start(BENCH / "first-off.elf"), calls=191, faults=106, ioctls=33)


@needs_strace
def test_start_with_a_disk():
    """What its requests need is not touched before there are any."""
    check(start(BENCH / "first-off.elf", "--disk", "/run/disk"), calls=239, faults=113, ioctls=34)


@needs_strace
def test_start_of_a_cached_kernel(tmp_path):
    """Debian's, of 53 MB, with the tiny guest's code at its entry: neither read whole nor touched page by page."""
    given = types.SimpleNamespace(build=str(PRONTO.parent), scratch=str(tmp_path))
    _, vmlinuz = load.make_kernels(given, "off")
    check(start(vmlinuz), calls=234, faults=120, ioctls=33)
