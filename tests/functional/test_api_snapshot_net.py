# SPDX-License-Identifier: MIT
"""A machine with a network, saved in one and made again in another."""

import subprocess
import sys

import pytest

import vm
from api_saving import LIMITER, RESUMED, goes_on, kill, load, save

pytestmark = pytest.mark.kvm

# Make a tap of this name, which stays, and exec the rest.
ADD = """
import fcntl, os, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", sys.argv[1].encode(), 0x5002))
fcntl.ioctl(fd, 0x400454cb, 1)
os.close(fd)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def with_tap(name):
    return ["unshare", "-Urn", sys.executable, "-c", ADD, name]


def why_no_tap():
    done = subprocess.run([*with_tap("tap5"), "true"], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1:] if done.returncode else None


@pytest.mark.skipif(bool(why_no_tap()), reason=f"no tap in a network of one's own: {why_no_tap()}")
def test_another_tap(serve, tmp_path):
    """Each in a network of its own.  The metadata service is there again; what it tells is for the client to say."""
    files = {"snapshot_path": str(tmp_path / "state"), "mem_file_path": str(tmp_path / "memory")}
    a = serve(around=with_tap("tap5"))
    a.must("PUT", "/network-interfaces/eth0", {"iface_id": "eth0", "host_dev_name": "tap5", "guest_mac": "02:00:00:00:00:07"})
    a.must("PUT", "/mmds/config", {"version": "V2", "network_interfaces": ["eth0"]})
    a.must("PUT", "/mmds", {"latest": {"a": "b"}})
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    n_processes = len(a.vm.box.processes())
    save(a, files)
    shown = a.must("GET", "/vm/config")
    kill(a)

    b = serve(around=with_tap("tap,6"))
    fault = b.fault("PUT", "/snapshot/load", load(files))
    assert fault.startswith("Load snapshot error: --net: there is no interface tap5"), fault
    b.must("PUT", "/snapshot/load", load(files, network_overrides=[{"iface_id": "eth0", "host_dev_name": "tap,6", "more": 1}]))
    shown["network-interfaces"][0]["host_dev_name"] = "tap,6"
    assert b.must("GET", "/vm/config") == shown
    assert b.must("GET", "/mmds") == {}
    b.must("PUT", "/mmds", {"latest": {"c": "d"}})
    assert len(b.vm.box.processes()) == n_processes
    b.must("PATCH", "/network-interfaces/eth0", {"iface_id": "eth0", "tx_rate_limiter": LIMITER})
    b.must("PATCH", "/vm", RESUMED)
    goes_on(b, "there is no interface tap5")
