# SPDX-License-Identifier: MIT
"""PVH domUs of the real Xen, started by xl: version 1 of the start info, with a memory map.

A boot of dom0 takes long, so the guests share two: small ones, and Linux.
"""
import re
import subprocess

import pytest
from xenlab import (BUILD, HELLOS, LIFE, LINES, ROOT, check_hello, facts, failed_checks, guest_program, hello,
                    life_without_note, needs_qemu, outcomes)

pytestmark = [needs_qemu, pytest.mark.timeout(400)]


class Batch:
    """Guests that are started by one command; the first question for an outcome runs it."""

    def __init__(self, seconds):
        self._argv, self._names, self._seconds, self._outcomes = [], [], seconds, None

    def add(self, name, *argv):
        if self._names:
            self._argv.append("--next")
        self._argv += argv
        self._names.append(name)

    def __getitem__(self, name):
        if self._outcomes is None:
            self._outcomes = outcomes("domu", *self._argv, seconds=self._seconds)
            assert len(self._outcomes) == len(self._names)
        return self._outcomes[self._names.index(name)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """How small guests fared."""
    directory = tmp_path_factory.mktemp("small")
    module, junk = directory / "a, b", directory / "junk"
    module.write_text("first line\nsecond line\n")
    junk.write_bytes(b"no kernel at all\n" * 1000)
    batch = Batch(300)
    for words in ("poweroff", "reboot", "crash", "halt", "triplefault", "lines", "console"):
        batch.add(words, "--memory", "32M", "--cmdline", words, LIFE)
    for words in ("spin", "flood"):
        batch.add(words, "--cmdline", words, "--timeout", "2", LIFE)
    batch.add("no words", LIFE)
    batch.add("quotes", "--cmdline", "a,b 'c' \"d\" \\e =f;g # [h]", "--vcpus", "4", LIFE)
    batch.add("module", "--ramdisk", module, LIFE)
    batch.add("junk", junk)
    batch.add("no note", life_without_note(directory))
    for name in HELLOS:
        batch.add(name, "--memory", "48M", "--cmdline", "a b", "--ramdisk", LIFE, hello(name))
    batch.add("pvh-check", guest_program("guest", "check", "pvh-check.elf"))
    return batch


def test_no_note(small):
    """xl takes it for firmware, and starts it at its ELF entry."""
    assert (small["no note"]["ending"], small["no note"]["port"]) == ("power-off", facts(1))


@pytest.mark.parametrize("words, ending", [
    ("poweroff", "power-off"), ("halt", "power-off"), ("reboot", "reboot"), ("crash", "crash"), ("spin", "timeout")])
def test_ends(small, words, ending):
    result = small[words]
    assert (result["ending"], result["port"], result["console"], result["xen"]) == (ending, facts(1, words), "", "")


def test_who_never_pauses(small):
    assert small["flood"]["ending"] == "timeout"
    assert small["flood"]["port"].startswith(facts(1, "flood") + "more\nmore\n")


def test_triple_fault(small):
    result = small["triplefault"]
    assert (result["ending"], result["port"]) == ("crash", facts(1, "triplefault"))
    assert "Triple fault - invoking HVM shutdown action 1\n" in result["xen"]
    assert "RIP:    0008:[<00000000001" in result["xen"]


def test_long_lines(small):
    assert small["lines"]["port"] == facts(1, "lines") + LINES


def test_a_domu_has_no_console_by_hypercall(small):
    assert (small["console"]["port"], small["console"]["console"]) == (facts(1, "console"), "")


def test_command_lines(small):
    assert small["no words"]["port"] == facts(1)
    assert small["quotes"]["port"] == facts(1, "a,b 'c' \"d\" \\e =f;g # [h]")


def test_module(small):
    assert small["module"]["port"] == facts(1, "(none)", "first line")


def test_refused(small):
    """And why, in the words of Xen's tools."""
    result = small["junk"]
    assert (result["ending"], result["port"]) == ("refused", "")
    assert result["xen"].startswith("xc: error: panic: xg_dom_core.c:")
    assert "no loader found: Invalid kernel\n" in result["xen"]


def test_pvh_check(small):
    result = small["pvh-check"]
    assert result["ending"] == "power-off"
    assert failed_checks(result["port"]) == {"memory map: sorted"}


@pytest.mark.parametrize("name", HELLOS)
def test_hello(small, name):
    """libpvh takes the start info's map, and puts it in order: neighbours are joined."""
    result = small[name]
    assert (result["ending"], result["console"]) == ("power-off", "")
    check_hello(result["port"], 1, 48, 3)


#
# Linux: Debian's kernel by its own entry, to know what is the lab's doing; then without it, by the shim.
#

CMDLINE = "console=hvc0 quiet pronto.do=report"
PRONTO = BUILD / "pronto"


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout.strip()


def why_no_pack():
    done = subprocess.run([PRONTO, "pack", "--help"], capture_output=True, check=False, timeout=20)
    return None if done.returncode == 0 else "this pronto has no command `pack`"


@pytest.fixture(scope="module")
def linux(tmp_path_factory):
    """How Debian's cloud kernel fared, in the forms in which it can be handed to xl."""
    directory = tmp_path_factory.mktemp("linux")
    vmlinuz = output(ROOT / "lab" / "fetch", "--vmlinuz", "cloud").split(" ", 1)[1]
    vmlinux = output(ROOT / "lab" / "fetch", "--vmlinux", "cloud").split(" ", 1)[1]
    initramfs = output(ROOT / "lab" / "guest" / "mkinitramfs", "cloud")
    common = ("--memory", "256M", "--vcpus", "2", "--timeout", "120", "--cmdline", CMDLINE)
    batch = Batch(560)
    batch.add("bzImage", *common, "--ramdisk", initramfs, vmlinuz)
    batch.add("vmlinux", *common, "--ramdisk", initramfs, vmlinux)
    if not why_no_pack():
        stripped = directory / "stripped"
        output("objcopy", "--remove-section", ".notes", vmlinux, stripped)
        for name, kernel in (("packed bzImage", vmlinuz), ("packed vmlinux without notes", stripped)):
            packed = directory / f"{name}.elf"
            output(PRONTO, "pack", kernel, "--initrd", initramfs, "-o", packed)
            batch.add(name, *common, packed)
    return batch


def check_linux(result):
    out = result["console"].replace("\r", "")
    facts_seen = dict(re.findall(r"^@@ (\S+) ?(.*)$", out, re.M))
    assert result["ending"] == "power-off", out[-3000:] + result["xen"]
    assert facts_seen.get("report_ends") == "here", out[-3000:]
    assert (facts_seen["hypervisor"], facts_seen["clocksource"]) == ("Xen HVM", "xen")
    assert (facts_seen["cpus_online"], facts_seen["consoles"]) == ("2", "hvc0")
    assert facts_seen["cmdline"] == CMDLINE
    assert "initrd" in facts_seen


@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", ["bzImage", "vmlinux"])
def test_debian(linux, form):
    check_linux(linux[form])


@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(why_no_pack()), reason=str(why_no_pack()))
@pytest.mark.parametrize("form", ["packed bzImage", "packed vmlinux without notes"])
def test_debian_by_the_shim(linux, form):
    check_linux(linux[form])
