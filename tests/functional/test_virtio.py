# SPDX-License-Identifier: MIT
"""Virtio devices and their drivers: one that keeps the rules, and one that breaks each of them at every device."""

import os
import pathlib
import re

import pytest

import vm
from test_net import NO_PI, TAP, VNET_HDR, attached, needs_namespace

pytestmark = pytest.mark.kvm

ASAN = pathlib.Path(os.environ.get("PRONTO_ASAN", vm.ROOT / "build-asan" / "pronto"))

# What is told of a driver that broke the rules, once a second for each device.
BROKEN = re.compile(r"pronto: warn: (\w+): the guest's driver broke the rules of virtio: [^;\n]+; "
                    "the device rests until the guest resets it\n")

# Devices that rings.c knows, in the order of their slots, by how they are asked for.
DEVICES = {
    "disk": ["--disk", "disk.img"],
    "vsock": ["--vsock", "vsock"],
    "balloon": ["--balloon", "on"],
    "rng": ["--rng", "on"],
}
ALL = [option for device in DEVICES.values() for option in device]


@pytest.fixture
def disks(box):
    """The files that are left."""
    for name in ("disk.img", "other.img"):
        with open(box.path / "cwd" / name, "wb") as image:
            image.truncate(1 << 20)
    return ["cwd/disk.img", "cwd/other.img"]


def check_rings(result, names):
    assert result.status == vm.POWEROFF
    assert vm.tap(result.out)["devices"] == [[str(len(names))]]
    assert BROKEN.sub("", result.err) == ""
    assert set(BROKEN.findall(result.err)) <= set(names)


def test_random_bytes(run):
    result = [run("rng", "-m", "32M", "--rng", "on") for _ in range(2)]
    assert [(r.status, r.err) for r in result] == [(vm.POWEROFF, "")] * 2
    first, second = (vm.tap(r.out)["bytes"] for r in result)
    assert first != second


def test_no_device_unless_asked(run):
    result = run("rng", "-m", "32M")
    assert (result.status, result.err) == (vm.POWEROFF, "")
    assert result.out == "not ok 1 - there is a source of random bytes\n"


def test_device_after_a_reset_in_place(start):
    """The driver leaves it running, with interrupts on and a request under way, and finds it as nobody had driven it."""
    guest = start("rng", "-m", "32M", "--rng", "on", "--on-reboot", "restart", words=["reset"], stdin=vm.subprocess.PIPE)
    for n in range(1, 4):
        vm.wait_until(lambda n=n: guest.out.count(b"# bytes") == n, vm.TIMEOUT, "life")
        guest.send(b"q" if n == 3 else b"r")
    result = guest.wait()
    assert result.status == vm.POWEROFF
    lives = re.findall(r"(?:(?:not )?ok.*\n)+1\.\.\d+\n# bytes \w+\n", result.out)
    assert len(lives) == 3 and "".join(lives) == result.out
    assert len({vm.tap(life)["bytes"][0][0] for life in lives}) == 3


@pytest.mark.parametrize("name", DEVICES)
def test_every_rule_broken(run, disks, name):
    alone = [] if name == "rng" else ["--rng", "off"]
    check_rings(run("rings", "-m", "32M", *DEVICES[name], *alone, left=disks, timeout=60), [name])


@needs_namespace
def test_every_rule_broken_at_a_network_interface(box):
    """A tap, not passt: ThreadSanitizer's runtime does not bear how a program is started (clone with CLONE_VM)."""
    result = attached(box, TAP | NO_PI | VNET_HDR, "-m", "32M", "--net", "fd=5", "--rng", "off", guest="rings", timeout=60)
    check_rings(result, ["net"])


def test_every_rule_broken_beside_others(run, disks):
    """While one is broken the others go on."""
    result = run("rings", "-m", "32M", "-c", 2, *ALL, "--disk", "other.img,ro,engine=sync", left=disks, timeout=120)
    check_rings(result, ["disk", *DEVICES])


@pytest.mark.skipif(not ASAN.exists(), reason=f"{ASAN} is not built: scripts/check builds it")
def test_every_rule_broken_under_address_sanitizer(box, disks):
    result = vm.Vm(box, [ASAN, "run", "-m", "32M", *ALL, vm.guest("rings")],
                   env={"UBSAN_OPTIONS": "halt_on_error=1"}).wait(120)
    check_rings(result, DEVICES)
    assert box.files() == disks
