# SPDX-License-Identifier: MIT
"""The two ports that emulators have beside a PC's: the debug console, and the debug exit."""

import os
import pathlib
import signal
import sys

import pytest

import vm

sys.path.insert(0, str(vm.ROOT / "lab"))
# pylint: disable=wrong-import-position
from labkit import packages  # noqa: E402

pytestmark = pytest.mark.kvm

SAID = "this is all\nthat it says\n"


@pytest.mark.parametrize("words", [["say"], ["ask"]])
def test_debug_console_on_stderr(run, words):
    result = run("debug_port", "--debug-console", "stderr", words=words)
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "", SAID)


def test_grub_says_why_it_does_not_go_on(start):
    """Debian's image of GRUB for Xen's PVH guests, which has no other way to speak."""
    why = packages.why_not("grub-xen")
    if why:
        pytest.skip(why)
    image = pathlib.Path(packages.get("grub-xen"), "usr", "lib", "grub-xen", "grub-i386-xen_pvh.bin")
    guest = start(str(image), "--debug-console", "stderr", "--grace", "0")
    guest.expect("System halted!", where="err")
    guest.signal(signal.SIGTERM)
    assert guest.wait().err.startswith("Found no Xen signature!")


def test_debug_console_in_a_file(run, box):
    result = run("debug_port", "--debug-console", "file:said", left=["cwd/said"])
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "", "")
    assert (box.path / "cwd" / "said").read_text(encoding="ascii") == SAID


def test_debug_console_file_that_cannot_be_opened(run):
    result = run("debug_port", "--debug-console", "file:nowhere/said")
    assert (result.status, result.out) == (vm.OPERATOR, "")
    assert result.err == "pronto: error: --debug-console file:nowhere/said: No such file or directory\n"


def test_debug_console_that_nobody_hears(run):
    """Not a word, but for who asks for more."""
    result = run("debug_port")
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "", "")
    said = run("debug_port", "-v").err
    assert said.count("the guest writes to port 0xe9; --debug-console stderr shows it") == 1
    assert "port 0xe9" not in run("debug_port", "-v", words=["ask"]).err


def test_debug_console_is_first_output(run):
    result = run("debug_port", "--debug-console", "file:/dev/null", "--timeline")
    assert "first console byte" in result.err


def test_debug_console_that_nobody_reads(run, box):
    """A full pipe: what does not fit is dropped, and the guest is not held."""
    os.mkfifo(box.path / "fifo")
    reader = os.open(box.path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    result = run("debug_port", "--debug-console", f"file:{box.path / 'fifo'}")
    assert (result.status, result.err) == (vm.POWEROFF, "")
    assert os.read(reader, 4096).decode() == SAID
    os.close(reader)


@pytest.mark.parametrize("port", ["0xf4", "0x501"])
@pytest.mark.parametrize("value", [0x00, 0x01, 0x02, 0x10, 0x11, 0x7f, 0x80, 0xff])
def test_debug_exit(run, port, value):
    """As QEMU has it.  What is also a status of ours is not taken for it: nothing restarts."""
    result = run("debug_exit", "--debug-exit", port, "--on-reboot", "restart", words=[port, f"{value:02x}"])
    assert (result.status, result.out, result.err) == ((value << 1 | 1) & 0xff, "", "")


@pytest.mark.parametrize("options", [[], ["--debug-exit", "off"], ["--debug-exit", "0x501"]])
def test_no_debug_exit_unless_asked(run, options):
    result = run("debug_exit", *options, words=["0xf4", "10"])
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "still here\n", "")
