# SPDX-License-Identifier: MIT
"""Whole kernels with the overlay, of each kind, where they are to boot and where they are to refuse.

Not part of `make check`: the kernels take long to build when there are none yet.
"""
import json
import os
import re
import shutil
import struct
import subprocess

import kernels
import machines
import pytest

ROOT = kernels.ROOT
PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))
QEMU = "qemu-system-x86_64"
CMDLINE = "reboot=a panic=-1 quiet pronto.do=report,dmesg"

# What a kernel says that Xen started and that has no code for Xen.
REFUSAL = ("pvh: on Xen a kernel needs CONFIG_XEN_PVH, which this one was built without\n"
           "pvh: cannot boot: this is Xen, which this program was built without\n")

needed = [name for name in ("make", "flex", "bison", "bc", "tar", QEMU) if not shutil.which(name)]
pytestmark = [pytest.mark.skipif(bool(needed), reason=f"not here: {', '.join(needed)}; run scripts/setup"),
              pytest.mark.timeout(400)]


@pytest.fixture(scope="session")
def initramfs():
    return kernels.run([ROOT / "lab/guest/mkinitramfs", "cloud"]).strip()


def entry_of(vmlinux):
    """The address in the PVH note of an ELF, and that of our entry, or None for each that is not there."""
    notes = re.search(r"Xen +0x\S+\s+Unknown note type: \(0x0+12\)\s+description data: ([0-9a-f ]+)",
                      kernels.run(["readelf", "-nW", vmlinux]))
    symbol = re.search(r"^([0-9a-f]+) t pvh_entry$", kernels.run(["nm", vmlinux]), re.M)
    return (struct.unpack("<Q", bytes.fromhex(notes[1]))[0] if notes else None,
            int(symbol[1], 16) - 0xffffffff80000000 if symbol else None)


@pytest.mark.timeout(5000)
@pytest.mark.parametrize("kind", kernels.KINDS)
def test_build(kind):
    """Comes first, as the others want what it builds.  The note names our entry."""
    named, ours = entry_of(kernels.vmlinux(kind))
    assert named == ours
    assert (named is None) == (kind == "off")


def boots(out, seen, cpus=1):
    """Check what the guest reported: all there, nothing wrong, and the hypervisor it saw."""
    out = out.replace("\r", "")
    facts = dict(re.findall(r"^@@ (\S+) ?(.*)$", out, re.M))
    tail = out[-3000:]
    assert facts.get("report_ends") == "here", tail
    assert facts["cpus_online"] == str(cpus), tail
    assert facts["hypervisor"] == seen, tail
    assert "initrd" in facts, tail
    assert "kernel_problem" not in facts, tail
    # Made by the layer: the map is sorted, and no RAM is in the ISA range.
    regions = [(int(start, 16), int(end, 16), kind) for start, end, kind in
               re.findall(r"BIOS-e820: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] (.*)", out)]
    assert regions and regions == sorted(regions), tail
    assert not [r for r in regions if r[2] == "usable" and r[0] < 0x100000 and r[1] >= 0xa0000], tail


def run(*argv, seconds):
    return subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", timeout=seconds, check=False)


def in_lab(*argv):
    return machines.in_lab(*argv, stdin="", seconds=120, text=True, errors="replace")


def pronto(*argv):
    return in_lab(PRONTO, "run", *argv)


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("kind", ["kvm", "xen", "all"])
def test_pronto(kind, cpus, initramfs):
    done = pronto("-c", cpus, "-i", initramfs, kernels.vmlinux(kind), "--", "console=ttyS0 " + CMDLINE)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    boots(done.stdout, "KVM", cpus)
    assert "@@ acpi_problem" not in done.stdout


def qemu(machine, accel, vmlinux, initramfs):
    return [QEMU, "-M", machine, "-accel", accel, "-cpu", "max", "-m", "256M", "-nodefaults", "-display", "none",
            "-no-reboot", "-serial", "stdio", "-kernel", vmlinux, "-initrd", initramfs,
            "-append", "console=ttyS0 " + CMDLINE]


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("kind", ["kvm", "xen", "all"])
def test_qemu(kind, machine, initramfs):
    """Emulated, so neither Xen nor KVM: the entry serves others, too."""
    done = run(*qemu(machine, "tcg", kernels.vmlinux(kind), initramfs), seconds=200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    boots(done.stdout, "")


def test_qemu_microvm(initramfs):
    """On KVM, as its machine has no clock that Linux could calibrate the processor's by when that is emulated."""
    done = in_lab(*qemu("microvm", "kvm", kernels.vmlinux("kvm"), initramfs))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    boots(done.stdout, "KVM")


def test_pronto_without_entry(initramfs):
    """A kernel without an entry is refused when the shim, which has one, is not to be used."""
    vmlinux = kernels.vmlinux("off")
    done = pronto("--no-shim", "-i", initramfs, vmlinux)
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(vmlinux) in done.stderr and "PVH" in done.stderr


def test_pronto_shim(initramfs):
    """By the shim, which has an entry, that kernel boots all the same."""
    done = pronto("-i", initramfs, kernels.vmlinux("off"), "--", "console=ttyS0 " + CMDLINE)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    boots(done.stdout, "KVM")


def test_qemu_without_entry(initramfs):
    done = run(QEMU, "-M", "q35", "-accel", "tcg", "-display", "none", "-kernel", kernels.vmlinux("off"),
               "-initrd", initramfs, seconds=60)
    assert done.returncode == 1
    assert "without PVH ELF Note" in done.stderr


def xen(*argv):
    """What came of each guest of one lab/xen."""
    done = run(ROOT / "lab/xen", *argv, seconds=380)
    assert done.stdout.startswith("["), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def domus(initramfs):
    """One boot of dom0 for all of them."""
    kinds = ("kvm", "xen", "all")
    argv = []
    for kind in kinds:
        argv += ["--next"] * bool(argv) + ["--memory", "256M", "--vcpus", "2", "--timeout", "90", "--ramdisk", initramfs,
                                           "--cmdline", "console=hvc0 " + CMDLINE, kernels.vmlinux(kind)]
    return dict(zip(kinds, xen("domu", "--json", *argv)))


def test_xen_domu(domus):
    """Version 1 of the start info, with a map that is not in order."""
    assert domus["all"]["ending"] == "power-off", domus["all"]
    boots(domus["all"]["console"], "Xen HVM", cpus=2)
    assert "Booting kernel on Xen PVH" in domus["all"]["console"]


@pytest.mark.parametrize("kind", ["kvm", "xen"])
def test_xen_domu_refused(domus, kind):
    """The kernel has no code for Xen: it says so and halts, which Xen takes for a power-off."""
    assert domus[kind]["port"] == REFUSAL, domus[kind]
    assert domus[kind]["ending"] == "power-off", domus[kind]
    assert domus[kind]["console"] == ""


def test_xen_dom0(initramfs):
    """Version 0, no map: Xen is asked for it.  It ends by a reboot, as a power-off would be the machine's."""
    guest, = xen("dom0", "--json", "--timeout", "120", "--memory", "256M",
                 "--cmdline", f"console=hvc0 {CMDLINE},reboot", kernels.vmlinux("all"), initramfs)
    assert guest["ending"] == "reboot", guest
    boots(guest["console"], "Xen HVM")
    assert "Booting kernel on Xen PVH" in guest["console"]


def test_xen_dom0_refused():
    """For want of an entry Xen itself refuses."""
    guest, = xen("dom0", "--json", kernels.vmlinux("off"))
    assert guest["ending"] == "refused", guest
