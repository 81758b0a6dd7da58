# SPDX-License-Identifier: MIT
"""Debian's kernel is saved in the middle of its work, and goes on in another process as if nothing had been."""

import collections
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess

import pytest

from labkit import packages
from machines import ROOT, in_lab, kernel_with_devices

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
ARGS = "console=ttyS0 reboot=k panic=-1 cryptomgr.notests quiet"
PLACE = """
ip link set lo up
ip tuntap add tap7 mode tap
ip address add 10.9.0.1/24 dev tap7
ip link set tap7 up
truncate -s 32M /run/image && PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q -F /run/image
truncate -s 16M /run/raw
"""
DEVICES = [
    ["PUT", "/network-interfaces/eth0", {"iface_id": "eth0", "host_dev_name": "tap7"}],
    ["PUT", "/drives/a", {"drive_id": "a", "is_root_device": False, "path_on_host": "/run/raw"}],
    ["PUT", "/drives/b", {"drive_id": "b", "is_root_device": False, "path_on_host": "/run/image", "io_engine": "Sync"}],
    ["PUT", "/vsock", {"guest_cid": 3, "uds_path": "/run/v"}],
    ["PUT", "/entropy", {}],
    ["PUT", "/balloon", {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1}],
]

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")


def long(*values):
    return pytest.param(*values, marks=pytest.mark.long)


def trips(do, n, *objects, cpus=2, kernel="cloud-newer", pauses=1.0, from_text="@@ nic ", load=None, setup=PLACE, config=None,
          handler=None, memory=256, seconds=600):
    """What the guest said, as lists, when it has been through so many."""
    vmlinux, initrd = kernel_with_devices(kernel)
    requests = [
        ["PUT", "/machine-config", {"vcpu_count": cpus, "mem_size_mib": memory}],
        ["PUT", "/boot-source", {"kernel_image_path": vmlinux, "initrd_path": initrd, "boot_args":
                                 f"{ARGS} pronto.ip=10.9.0.2/24 pronto.url=http://10.9.0.1:8000/blob pronto.do={do}"}],
        *objects, ["PUT", "/actions", {"action_type": "InstanceStart"}]]
    plan = {"setup": setup, "config": config or {}, "requests": requests, "n_trips": n, "from_text": from_text, "pauses": pauses,
            "load": load or {}, "handler": handler and str(handler)}
    done = in_lab("/usr/bin/python3", ROOT / "tests" / "lab" / "drive_snapshot.py", PRONTO, json.dumps(plan), seconds=seconds)
    out, err = (text.decode(errors="replace").replace("\r", "") for text in (done.stdout, done.stderr))
    facts = collections.defaultdict(list)
    for key, value in re.findall(r"^@@ (\S+) ?(.*)$", out, re.M):
        facts[key].append(value)
    assert facts["status"] == ["0"] and facts["fault"] == [] and facts["kernel_problem"] == [], out[-4000:] + err[-3000:]
    print(f"{facts['trips'][0]} trips, at least {n} were asked for; ms that it stood: {facts['stood']}")
    return facts


def tools_disk(scratch):
    """A file system with programs that work, each with its libraries; and the command of iperf3's server."""
    programs = "fio", "iperf3", "tcc"
    for name in programs:
        if packages.why_not(name):
            pytest.skip(packages.why_not(name))
        shutil.copytree(packages.get(name), scratch / "tree" / name, symlinks=True, ignore=shutil.ignore_patterns("doc", "man", "locale"))
        for directory in "dev", "tmp":
            (scratch / "tree" / name / directory).mkdir()
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", scratch / "tree", scratch / "tools", "512M"], check=True,
                   env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
    return scratch / "tools", f"mount --bind /dev {scratch}/tree/iperf3/dev && chroot {scratch}/tree/iperf3 /usr/bin/iperf3 -s > /dev/null 2>&1 &\n"


def check_ticks(facts, n):
    """Each once, in order, by clocks that never go back."""
    ticks = [line.split() for line in facts["tick"]]
    assert [int(tick[0]) for tick in ticks] == list(range(1, 41)) * n
    for clock in 1, 2:
        read = [float(tick[clock]) for tick in ticks]
        assert read == sorted(read)
    # One has gone as far as the other: the time that it was asleep is in both.
    gone = [float(ticks[-1][clock]) - float(ticks[0][clock]) for clock in (1, 2)]
    assert abs(gone[0] - gone[1]) <= 1.5


@pytest.mark.parametrize("cpus", [1, long(2), long(4)])
def test_timers(cpus):
    facts = trips("modules,ticks", 6, cpus=cpus, from_text="@@ tick 2 ")
    check_ticks(facts, 1)
    assert int(facts["trips"][0]) >= 5


@pytest.mark.long
@pytest.mark.parametrize("kernel", ["cloud-newer", "cloud"])
def test_in_the_middle_of_everything(kernel):
    """What comes by TCP arrives, what was written to a disk is read again, though neither the network nor the disks ever rested."""
    n = 3
    facts = trips(",".join(["devices,net,rng", *["fetch,write"] * n, *["patterns"] * n, "ticks,time"]), 40, *DEVICES, kernel=kernel)
    blob = random.Random(7).randbytes(3_000_000)
    assert facts["fetched"] == [f"0 {hashlib.sha256(blob).hexdigest()} {len(blob)}"] * n
    assert len(facts["written"]) == n
    for name, *sums in (line.split() for line in facts["written"]):
        assert name == "vdb" and sums[0] == sums[2]
    assert facts["pattern"] and all(line.endswith("wrote 0, same") for line in facts["pattern"])
    assert len(set(facts["random"])) == len(facts["random"])
    check_ticks(facts, 1)
    assert int(facts["trips"][0]) >= 10


@pytest.mark.long
def test_what_the_kernel_serves():
    """The host's kernel gives the queues back as far as it has come, and the next process's has them go on."""
    n = 3
    facts = trips(",".join(["devices,net", *["fetch"] * n, "ticks,time"]), 20,
                  config={"net": [{"tap": "tap7", "vhost": True}], "vsock": {"cid": 3}, "rng": "off"})
    blob = random.Random(7).randbytes(3_000_000)
    assert facts["fetched"] == [f"0 {hashlib.sha256(blob).hexdigest()} {len(blob)}"] * n
    check_ticks(facts, 1)
    assert int(facts["trips"][0]) >= 5


@pytest.mark.long
def test_memory_that_a_handler_brings():
    """And that is saved again before all of it has come: what is missing comes then."""
    facts = trips("modules,ticks", 3, memory=128, pauses=3.0, from_text="@@ tick 2 ",
                  handler=ROOT / "tests" / "functional" / "pager.py")
    check_ticks(facts, 1)
    assert int(facts["trips"][0]) >= 2


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cpus, n", [(2, 200), (1, 40), (4, 40)])
def test_two_hundred_in_a_row(tmp_path, cpus, n):
    """It verifies what it writes, talks by TCP, and compiles, all the time."""
    tools, server = tools_disk(tmp_path)
    disks = [["PUT", f"/drives/{name}", {"drive_id": name, "is_root_device": False, "path_on_host": path, "is_read_only": path == str(tools)}]
             for name, path in (("a", "/run/raw"), ("b", "/run/image"), ("c", str(tools)))]
    facts = trips("devices,net,write,work,write,time", n, DEVICES[0], *disks, *DEVICES[3:], cpus=cpus, from_text="@@ working",
                  setup=PLACE + server, pauses=2.0, seconds=3000)
    assert int(facts["trips"][0]) == n
    worked = {line.split()[0]: line.split()[1:] for line in facts["worked"]}
    assert set(worked) == {"verify", "talk", "compile"} and all(status == "0" and int(times) > 0 for times, status in worked.values()), (
        worked, facts["talk"], facts["verify"], facts["compile"])
    for name, *sums in (line.split() for line in facts["written"]):
        assert name == "vdb" and sums[0] == sums[2]
    print(worked)
