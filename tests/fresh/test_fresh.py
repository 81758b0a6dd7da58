# SPDX-License-Identifier: MIT
"""The first command of the README, on a machine that has nothing but what a clone needs."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))
# pylint: disable=wrong-import-position
from labkit import fresh  # noqa: E402


def in_fresh(release, *options_and_command):
    if fresh.why_not(release):
        pytest.skip(fresh.why_not(release))
    done = subprocess.run([ROOT / "lab" / "fresh", *options_and_command[:-1], release, *options_and_command[-1]],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace").replace("\r", "")


def long(*values):
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("release,options", [
    ("bookworm", ()), ("trixie", ("--sudo",)), long("bookworm", ("--sudo",)), long("trixie", ())])
def test_demo(release, options):
    status, out = in_fresh(release, *options, ("make", "demo"))
    assert status == 0, out[-6000:]
    assert "Traceback" not in out
    greeting = re.search(r"^Hello from user space\.\n((?:  \S+ +.*\n)+)", out, re.M)
    told = dict(re.findall(r"^  (\S+) +(.*)$", greeting[1], re.M))
    assert told.keys() == {"kernel", "processors", "memory", "hypervisor", "clocksource"}, out[-6000:]
    assert told["kernel"].startswith({"bookworm": "6.1.", "trixie": "6.12."}[release])
    assert (told["processors"], told["hypervisor"], told["clocksource"]) == ("2 online", "KVM", "kvm-clock")
    assert re.search(r"reboot: Power down\n(.*\n)*machine released ", out), out[-6000:]


@pytest.mark.long
@pytest.mark.timeout(4500)
@pytest.mark.parametrize("release", fresh.RELEASES)
def test_demo_debian(release):
    """As root: in a chroot nobody else may make the namespaces that a user needs to make a disk."""
    status, out = in_fresh(release, ("make", "demo-debian"))
    assert status == 0, out[-6000:]
    assert "Traceback" not in out
    assert re.search(r"reboot: Power down\n(.*\n)*demo: Debian's login came; systemd calls the system running; .* status 0 ", out), out[-6000:]


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("release", fresh.RELEASES)
def test_check(release):
    """The other command, on the release that this machine is not."""
    here = pathlib.Path("/etc/os-release").read_text(encoding="utf-8")
    if f"VERSION_CODENAME={release}\n" in here:
        pytest.skip(f"this machine is {release} itself")
    status, out = in_fresh(release, ("make", "check"))
    print(out)
    assert re.search(r"^\d+ passed, 0 failed, \d+ skipped\n\Z", out, re.M)
    assert status == 0
