# SPDX-License-Identifier: MIT
"""The demo: what `make demo` shows once everything is built."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto"))

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                       reason="there may be need of a lab and there is no QEMU: install qemu-system-x86"),
]


def demo(*argv, **env):
    return subprocess.run([ROOT / "scripts" / "demo", *argv], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=250, env={**os.environ, "BUILD": str(PRONTO.parent), **env})


@pytest.mark.long
def test_boots_debians_kernel_to_user_space_and_ends():
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^demo: running (on this machine's /dev/kvm|in the lab).*: .+", done.stdout, re.M)
    release = re.search(r"^\[ +0\.000000\] Linux version (\S+-cloud-amd64) ", done.stdout, re.M)[1]
    for name, value in [("kernel", re.escape(release)), ("processors", "2 online"),
                        ("memory", r"2\d\d MiB"), ("hypervisor", "KVM"), ("clocksource", "kvm-clock")]:
        assert re.search(rf"^  {name} +{value}$", done.stdout, re.M), done.stdout
    assert "Power down" in done.stdout
    for moment in ["VMM start", "first guest instruction", "first console byte", "user space"]:
        assert re.search(rf"^{moment} +\d+\.\d+ ", done.stderr, re.M), done.stderr


def test_passes_a_failure_on(tmp_path):
    fake = tmp_path / "pronto"
    fake.write_text('#!/bin/sh\n[ "$1" = doctor ] && exit 0\nexit 4\n')
    fake.chmod(0o755)
    assert demo(BUILD=str(tmp_path)).returncode == 4


def test_says_why_it_goes_to_the_lab(tmp_path):
    fake = tmp_path / "pronto"
    fake.write_text('#!/bin/sh\n[ "$1" = doctor ] && echo "MISSING  /dev/kvm  no such file" && exit 1\n'
                    'echo "lab=$PRONTO_LAB"\nexit 4\n')
    fake.chmod(0o755)
    done = demo(BUILD=str(tmp_path), PRONTO_LAB="")
    assert done.returncode == 4 and "lab=1" in done.stdout
    assert "MISSING  /dev/kvm" in done.stdout and "no usable /dev/kvm" in done.stdout


@pytest.mark.parametrize("argv, complaint", [(["--shell"], "needs a terminal"), (["now"], "usage:")])
def test_refuses(argv, complaint):
    done = demo(*argv)
    assert done.returncode == 2 and complaint in done.stderr


def test_says_what_to_do_when_nothing_is_built(tmp_path):
    done = demo(BUILD=str(tmp_path))
    assert done.returncode == 2 and "run make" in done.stderr
