# SPDX-License-Identifier: MIT
"""A Linux that is configured, started and paused by the API, as Firecracker's clients do it."""

import collections
import hashlib
import json
import os
import pathlib
import random
import re
import shutil

import pytest

from machines import ROOT, in_lab, kernel_with_devices

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
ARGS = "console=ttyS0 reboot=k panic=-1 cryptomgr.notests quiet"
NET = """
ip link set lo up
ip tuntap add tap7 mode tap
ip address add 10.9.0.1/24 dev tap7
ip link set tap7 up
truncate -s 32M /run/image && PATH=$PATH:/usr/sbin:/sbin mkfs.ext4 -q -F /run/image
truncate -s 16M /run/raw
: > /run/place
"""

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")


@pytest.fixture(scope="session")
def guest():
    return kernel_with_devices("cloud-newer")


def drive(guest, do, *objects, changes=(), n_pauses=0, echo=None, seconds=400):
    kernel, initrd = guest
    requests = [
        ["PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 256}],
        ["PUT", "/boot-source", {"kernel_image_path": kernel, "initrd_path": initrd, "boot_args":
                                 f"{ARGS} pronto.ip=10.9.0.2/24 pronto.url=http://10.9.0.1:8000/blob pronto.do={do}"}],
        ["PUT", "/network-interfaces/eth0", {"iface_id": "eth0", "host_dev_name": "tap7"}],
        *objects, ["PUT", "/actions", {"action_type": "InstanceStart"}]]
    plan = {"setup": NET, "requests": requests, "changes": list(changes), "n_pauses": n_pauses, "echo": echo}
    done = in_lab("/usr/bin/python3", ROOT / "tests" / "lab" / "drive_api.py", PRONTO, json.dumps(plan), seconds=seconds)
    out, err = (text.decode(errors="replace").replace("\r", "") for text in (done.stdout, done.stderr))
    facts = collections.defaultdict(list)
    for key, value in re.findall(r"^@@ (\S+) ?(.*)$", out, re.M):
        facts[key].append(value)
    assert facts["status"] == ["0"] and facts["fault"] == [] and facts["kernel_problem"] == [], out[-4000:] + err[-3000:]
    return facts


@pytest.mark.long
def test_pauses_lose_nothing(guest):
    """Disks, network, vsock and clock, under load, while the machine is paused and resumed all the time, a thousand times."""
    n = 5
    facts = drive(guest, ",".join(["devices,net", *["fetch,write,streams"] * n, *["patterns"] * n, "time"]),
                  ["PUT", "/drives/a", {"drive_id": "a", "is_root_device": False, "path_on_host": "/run/raw"}],
                  ["PUT", "/drives/b", {"drive_id": "b", "is_root_device": False, "path_on_host": "/run/image", "io_engine": "Sync"}],
                  ["PUT", "/vsock", {"guest_cid": 3, "uds_path": "/run/v"}], n_pauses=1000, echo="/run/v_2000", seconds=800)
    blob = random.Random(7).randbytes(3_000_000)
    assert facts["fetched"] == [f"0 {hashlib.sha256(blob).hexdigest()} {len(blob)}"] * n
    assert len(facts["written"]) == n
    for name, *sums in (line.split() for line in facts["written"]):
        assert name == "vdb" and sums[0] == sums[2]
    assert len(facts["stream"]) == 3 * n
    for there, _, back, _ in (line.split() for line in facts["stream"]):
        assert there == back
    assert abs(int(facts["time"][0]) - int(facts["host_time"][0])) <= 5
    assert facts["pattern"] and all(line.endswith("wrote 0, same") for line in facts["pattern"])
    assert facts["pauses"] == ["1000"]


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.long
def test_metadata(guest, version):
    """The guest's side of the metadata service, and what the operator changes meanwhile."""
    facts = drive(guest, "devices,net,metadata", ["PUT", "/mmds/config", {"network_interfaces": ["eth0"], "version": version}],
                  ["PUT", "/mmds", {"latest": {"meta-data": {"name": "first", "inner": {"a": "b"}}}}],
                  changes=[["@@ metadata", ["PATCH", "/mmds", {"latest": {"meta-data": {"name": "second"}}}]]])
    assert facts["metadata"] == ["inner/ name first", "second"]
    assert facts["untold"] == (["first"] if version == "V1" else [""])


@pytest.mark.long
def test_a_disk_that_comes_later(guest):
    """Its drive has an empty file until then."""
    facts = drive(guest, "devices,exchange,write",
                  ["PUT", "/drives/a", {"drive_id": "a", "is_root_device": False, "path_on_host": "/run/raw"}],
                  ["PUT", "/drives/b", {"drive_id": "b", "is_root_device": False, "path_on_host": "/run/place"}],
                  changes=[["@@ exchange", ["PATCH", "/drives/b", {"drive_id": "b", "path_on_host": "/run/image"}]]])
    assert facts["exchange"] == ["0", str((32 << 20) // 512)]
    (name, *sums), = (line.split() for line in facts["written"])
    assert name == "vdb" and sums[0] == sums[2]
