# SPDX-License-Identifier: MIT
"""Many go on from one Debian kernel at once, and what each has for itself is no other's."""

import collections
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess

import pytest

from machines import ROOT, in_lab, kernel_with_devices, packages

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
ARGS = "console=ttyS0 reboot=k panic=-1 cryptomgr.notests quiet pronto.do=modules,clone"
MAC = "02:5e:00:00:00:01"
KERNEL = "cloud-newer"  # which has a driver for the generation ID

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")


def place(n):
    taps = "\n".join(f"ip tuntap add tap{i} mode tap && ip link set tap{i} up" for i in [*range(n), "99"])
    return f"ip link set lo up\n{taps}"


def clones(source, n, seconds):
    """What each has said, by its number: key -> value; and what was said of all."""
    vmlinux, _ = kernel_with_devices(KERNEL)
    if packages.why_not("dropbear"):
        pytest.skip(packages.why_not("dropbear"))
    initrd = subprocess.run([ROOT / "lab" / "guest" / "mkinitramfs", "--devices", "--keys", KERNEL], check=True, capture_output=True,
                            text=True, timeout=600).stdout.strip()
    config = {"kernel": vmlinux, "initrd": initrd, "cmdline": ARGS, "memory": "128M", "net": {"tap": "tap99", "mac": MAC},
              "vsock": {"path": "/run/v", "cid": 3}, "confine": "basic" if source == "fork" else "on"}
    plan = {"setup": place(n), "config": config, "n": n, "source": source}
    done = in_lab("/usr/bin/python3", ROOT / "tests" / "lab" / "drive_clones.py", PRONTO, json.dumps(plan), seconds=seconds)
    out, err = (text.decode(errors="replace").replace("\r", "") for text in (done.stdout, done.stderr))
    assert done.returncode == 0 and "@@ fault" not in out and re.search(r"^@@ status 0$", out, re.M), out[-3000:] + err[-3000:]
    each, common = [{} for _ in range(n)], collections.defaultdict(list)
    for key, value in re.findall(r"^@@ (\S+) ?(.*)$", out, re.M):
        if key == "clone":
            i, own, value = (value + " ").split(" ", 2)
            each[int(i)][own] = value.strip()
        else:
            common[key].append(value)
    return each, common


def differ(each, key):
    values = [facts[key] for facts in each]
    assert all(values) and len(set(values)) == len(values), (key, values)


def long(*values):
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize("source,n", [("fork", 4), long("snapshot", 50), long("server", 50), long("fork", 50)])
def test_each_is_its_own(source, n):
    each, common = clones(source, n, seconds=200 if n < 10 else 1500)
    pss, dirty = zip(*(map(int, line.split()[1:]) for line in common["pss"]))
    print(f"{len(each)} of a {source}: {statistics.median(pss)} KiB each (PSS, median), {statistics.median(dirty)} of them written; "
          f"stood {common['stood']} us; begun after {common['begun'][0]} s, done after {common['done'][0]}; {common['free'][0]} KiB free")
    assert len(pss) == n + (source == "fork")
    assert common["template"] == [f"{MAC} 3 guest"]
    # What programs of it draw, and where the kernel puts a new one.
    for key in "random", "uuid", "key", "mmap", "vdso", "stack":
        differ(each, key)
    for i, facts in enumerate(each):
        assert "kernel_problem" not in facts
        assert facts["key"].startswith("SHA256:")
        assert facts["copy"] == "crng reseeded due to virtual machine fork", facts
        # By what its host has given it: at once, when the driver looks anew, and when somebody in it says so.
        assert facts["cid"] == f"9{i}"
        assert facts["mac_kept"] == MAC and facts["mac"] == f"02:00:00:00:00:{i:02d}", facts
        assert facts["hostname"] == f"clone-{i}"
