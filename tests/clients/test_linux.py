# SPDX-License-Identifier: MIT
"""Clients that others wrote have Debian's kernel work in the lab, with every device that they know: what goes through them arrives,
though the machine is paused and resumed meanwhile."""

import collections
import hashlib
import json
import os
import random
import re
import shutil
import sys

import pytest

from fetched import HERE, go_program, python_packages, rust_program
from machines import in_lab, kernel_with_devices

SECONDS = 1200  # it runs where all is slow
ARGS = ("console=ttyS0 reboot=k panic=-1 cryptomgr.notests quiet pronto.ip=10.9.0.2/24 pronto.url=http://10.9.0.1:8000/blob "
        "pronto.do=devices,net,fetch,fill,vsock,{}wait-button")

pytestmark = [pytest.mark.timeout(SECONDS + 1200),  # the first time they are fetched
              pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")]


def drive(box, *client, has_metadata=True, env=None):
    """What the client was told, and the facts that the guest and who is around it have said, as lists."""
    kernel, initrd = kernel_with_devices("cloud-newer")
    args = ARGS.format("metadata," if has_metadata else "")
    path = f"{box.path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = in_lab("/usr/bin/python3", HERE / "around.py", *client, "facts", kernel, initrd, args, "disk", "tap7", seconds=SECONDS,
                  env={**os.environ, "PATH": path, **(env or {})})
    out, err = (text.decode(errors="replace").replace("\r", "") for text in (done.stdout, done.stderr))
    facts = collections.defaultdict(list)
    for key, value in re.findall(r"^@@ (\S+) ?(.*)$", out, re.M):
        facts[key].append(value)
    assert facts["status"] == ["0"] and facts["kernel_problem"] == [], out[-4000:] + err[-3000:]
    told = {}
    for line in facts["told"]:
        told.update(json.loads(line))
    return told, facts


def check_guest(facts, has_metadata=True):
    drivers = {line.split()[2] for line in facts["virtio"]}
    assert drivers >= {"virtio_blk", "virtio_net", "vmw_vsock_virtio_transport"}
    blob = random.Random(7).randbytes(3_000_000)
    assert facts["fetched"] == [f"0 {hashlib.sha256(blob).hexdigest()} {len(blob)}"]
    written, read = re.findall(r"[0-9a-f]{32}", facts["filled"][0])
    assert written == read
    assert facts["stream"] == ["True True"] and facts["sent"] == facts["back"]
    if has_metadata:
        assert facts["metadata"] == ["inner/ name first", "second"] and facts["untold"] == [""]
    assert facts["button"] == ["pressed"]


def test_by_the_sdk_for_go(box):
    # What the SDK waits for an answer is half a second, unless told otherwise.
    told, facts = drive(box, go_program(), "linux", env={
        "FIRECRACKER_GO_SDK_INIT_TIMEOUT_SECONDS": "60", "FIRECRACKER_GO_SDK_REQUEST_TIMEOUT_MILLISECONDS": "60000"})
    check_guest(facts)
    assert told["done"] and told["pauses"] >= 1
    statistics = told["statistics"]
    assert (statistics["target_mib"], statistics["actual_mib"]) == (32, 32)
    assert 0 < statistics["free_memory"] < statistics["total_memory"] < 256 << 20


@pytest.mark.parametrize("client", ["firecracker_python", "microheart"])
def test_in_python(box, client):
    told, facts = drive(box, sys.executable, HERE / "python" / f"linux_by_{client}.py",
                        env={"PYTHONPATH": str(python_packages()), "PYTHONDONTWRITEBYTECODE": "1"})
    check_guest(facts)
    assert told["status"] == 0 and told["pauses"] >= 1


def test_by_the_sdk_for_rust(box):
    """Metadata it knows as a text alone, which has no names in it for a guest to ask for."""
    told, facts = drive(box, rust_program(), "linux", has_metadata=False)
    check_guest(facts, has_metadata=False)
    assert told["status"] == "0" and told["pauses"] >= 1
    assert told["balloon"]["amount_mib"] == 32
