# SPDX-License-Identifier: MIT
"""Frames of Debian's virtio_net, over a tap and over passt, in the lab: both ways, and what arrives is what was sent.

All traffic stays within the lab, which has no way out: its loopback, taps, and an address of its own.
"""

import collections
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from machines import ROOT, in_lab, kernel_with_devices

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
BASE = "console=ttyS0 reboot=a panic=-1 cryptomgr.notests quiet"
SIZE = 3_000_000

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

# The host's side.  $1 is where it listens, $2 where it finds the guest; the rest is the guest's command.  It
# serves a file, waits until the guest does, fetches the guest's, tells it so, and prints what it saw.
HOST = r"""
served=$1 guest=$2
shift 2
dir=$(mktemp -d)
mkdir $dir/www
python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(7).randbytes(int(sys.argv[1])))' %d > $dir/www/blob
(cd $dir/www && exec python3 -c 'import http.server as h, sys
server = h.ThreadingHTTPServer((sys.argv[1], 8000), h.SimpleHTTPRequestHandler)
open("../listening", "w").close()
server.serve_forever()' "$served" > /dev/null 2>&1) &
until [ -e $dir/listening ]; do kill -0 $! || exit 1; sleep 0.2; done
"$@" > $dir/out &
pid=$!
i=0
until grep -q 'serving\|link' $dir/out || [ $((i += 1)) -gt 600 ]; do
    kill -0 $pid 2> /dev/null || break
    sleep 0.2
done
[ -z "$WHEN_READY" ] || eval "$WHEN_READY"
if grep -q serving $dir/out; then
    echo "@@ got $(python3 -c 'import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=60).read())' \
        "http://$guest/blob" | sha256sum)"
    python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=60)' "http://$guest/cgi-bin/done" 2> /dev/null
fi
wait $pid
echo "@@ status $?"
cat $dir/out
""" % SIZE

TAP = r"""
ip link set lo up
ip tuntap add tap7 mode tap
ip address add 10.9.0.1/24 dev tap7
ip link set tap7 up
"""

SEVERAL = TAP.replace("mode tap", "mode tap multi_queue")

# passt takes its addresses from where the default route leads, and be it nowhere.
PASST = r"""
ip link set lo up
ip tuntap add out7 mode tap
ip address add 198.51.100.2/24 dev out7
ip link set out7 up
ip route add default via 198.51.100.1 dev out7
"""


def output(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=600).stdout.strip()


@pytest.fixture(scope="session")
def guest():
    return kernel_with_devices("cloud-newer")


def boot(guest, net, do, *words, host=TAP, served="10.9.0.1", listens=None, at="10.9.0.2", ready="", options=()):
    kernel, initramfs = guest
    cmdline = " ".join([BASE, f"pronto.do=devices,{do}", f"pronto.url=http://{served}:8000/blob", *words])
    done = in_lab("sh", "-c", host + HOST, "sh", listens or served, at, PRONTO, "run", "--net", net, *options, "-i", initramfs,
                  kernel, "--", cmdline, seconds=400, env={**os.environ, "WHEN_READY": ready})
    facts = collections.defaultdict(list)
    out = done.stdout.decode(errors="replace").replace("\r", "")
    for key, value in re.findall(r"^@@ (\S+) ?(.*)$", out, re.M):
        facts[key].append(value)
    err = done.stderr.decode(errors="replace")
    assert facts["status"] == ["0"], out[-3000:] + err[-3000:]
    assert facts["kernel_problem"] == [], out[-3000:]
    return facts, err


def check_both_ways(facts, times=1):
    """What each side fetched from the other."""
    python = "import random; print(__import__('hashlib').sha256(random.Random(7).randbytes(%d)).hexdigest())" % SIZE
    there = output("/usr/bin/python3", "-c", python)
    assert facts["fetched"] == [f"0 {there} {SIZE}"] * times
    assert facts["got"] == [facts["serving"][0] + "  -"]
    assert facts["serving"][0] != hashlib.sha256(b"").hexdigest()


def features(facts):
    """Numbers of those that the driver took."""
    return {i for i, bit in enumerate(facts["features"][0]) if bit == "1"}


CSUM, GUEST_CSUM, MTU, MAC, GUEST_TSO4, HOST_TSO4, MRG_RXBUF, STATUS, CTRL_VQ, MQ = 0, 1, 3, 5, 7, 11, 15, 16, 17, 22


@pytest.mark.long
def test_tap(guest):
    facts, err = boot(guest, "tap=tap7,mac=02:00:5e:00:00:07", "net,ping,fetch,serve", "pronto.ip=10.9.0.2/24",
                      "pronto.peer=10.9.0.1")
    check_both_ways(facts)
    assert err == ""
    assert facts["nic"] == ["02:00:5e:00:00:07 1500 1 virtio_net"]
    assert facts["ping"] == ["3 packets transmitted, 3 packets received, 0% packet loss"]
    assert {CSUM, GUEST_CSUM, MTU, MAC, GUEST_TSO4, HOST_TSO4, MRG_RXBUF, STATUS} <= features(facts)


@pytest.mark.long
def test_tap_again_after_reset(guest):
    """The driver goes and comes back: offloads are set anew, and nothing of the first is in the second's way."""
    facts, err = boot(guest, "tap=tap7", "net,fetch,rebind,net,fetch,serve", "pronto.ip=10.9.0.2/24")
    check_both_ways(facts, times=2)
    assert err == ""


@pytest.mark.long
def test_tap_on_pci(guest):
    facts, err = boot(guest, "tap=tap7", "net,fetch,serve", "pronto.ip=10.9.0.2/24", options=("--transport", "pci"))
    check_both_ways(facts)
    assert err == ""


@pytest.mark.long
def test_tap_with_a_rate(guest):
    """3 MB each way, at a million bytes a second."""
    facts, err = boot(guest, "tap=tap7,rate=1000000", "net,uptime,fetch,uptime,serve", "pronto.ip=10.9.0.2/24")
    check_both_ways(facts)
    before, after = (float(value) for value in facts["uptime"])
    assert 2.5 < after - before < 12
    assert err == ""


@pytest.mark.long
def test_tap_is_removed(guest):
    facts, err = boot(guest, "tap=tap7", "net,link_down", "pronto.ip=10.9.0.2/24", ready="ip link delete tap7")
    assert [nic.split()[2] for nic in facts["nic"]] == ["1", "0"]
    assert err == "pronto: error: net: tap7 is gone from the host; the guest's link is down\n"


# ---- by the host's kernel, and by several queues ----

@pytest.mark.parametrize("transport", ["mmio", "pci"])
@pytest.mark.long
def test_vhost(guest, transport):
    facts, err = boot(guest, "tap=tap7,vhost", "net,ping,fetch,rebind,net,fetch,serve", "pronto.ip=10.9.0.2/24",
                      "pronto.peer=10.9.0.1", options=("--transport", transport))
    check_both_ways(facts, times=2)
    assert err == ""
    assert facts["ping"] == ["3 packets transmitted, 3 packets received, 0% packet loss"]
    assert {CSUM, GUEST_CSUM, MTU, MAC, GUEST_TSO4, HOST_TSO4, MRG_RXBUF, STATUS} <= features(facts)
    assert not features(facts) & {CTRL_VQ, MQ}


def interrupts(facts, key, name):
    """How many came for it until then; on PCI each queue has its own."""
    return sum(int(n) for line in facts[key] if line.endswith(name) for n in line.split()[1:3])


@pytest.mark.parametrize("net, transport", [("tap=tap7,queues=3,vhost", "pci"), ("tap=tap7,queues=2", "pci"),
                                            ("tap=tap7,queues=2,vhost", "mmio"), ("tap=tap7,queues=3", "mmio")])
@pytest.mark.long
def test_queues(guest, net, transport):
    """As many as there are processors are in use, and each of them carries something."""
    facts, err = boot(guest, net, "net,queues,rebind,net,queues,serve", "pronto.ip=10.9.0.2/24", host=SEVERAL,
                      options=("-c", "2", "--transport", transport))
    check_both_ways(facts, times=4)
    assert err == ""
    assert {CTRL_VQ, MQ} <= features(facts)
    assert [sorted(said.split()) for said in facts["queues"]] == [["rx-0", "rx-1", "tx-0", "tx-1"]] * 2
    if transport == "pci":
        assert all(interrupts(facts, "after", f"-input.{i}") for i in range(2)), facts["after"]


@pytest.mark.parametrize("net", ["tap=tap7,vhost"])
@pytest.mark.long
def test_vhost_tap_is_removed(guest, net):
    """It shows when the guest sends."""
    facts, err = boot(guest, net, "net,chatter,link_down", "pronto.ip=10.9.0.2/24", "pronto.peer=10.9.0.1",
                      ready="ip link delete tap7")
    assert [nic.split()[2] for nic in facts["nic"]] == ["1", "0"]
    assert err == ("pronto: error: net tap7: the interface is gone from the host, and the guest's link is down; "
                   "what the guest asks of the device now fails\n")


needs_passt = pytest.mark.skipif(not shutil.which("passt"), reason="there is no passt: run scripts/setup")


THROUGH_PASST = {"host": PASST, "served": "198.51.100.1", "listens": "127.0.0.1", "at": "127.0.0.1:2222"}


@needs_passt
def test_passt(guest):
    """The gateway stands for the host's loopback, as asked for."""
    facts, err = boot(guest, "user,host,hostfwd=tcp:127.0.0.1:2222:80", "net,fetch,serve", **THROUGH_PASST)
    check_both_ways(facts)
    assert err == ""
    assert facts["dhcp"] == ["198.51.100.2/24 198.51.100.1 65520"]
    assert features(facts) & {CSUM, GUEST_CSUM, MTU, MAC, GUEST_TSO4, HOST_TSO4, MRG_RXBUF, STATUS} \
        == {MTU, MAC, MRG_RXBUF, STATUS}


@needs_passt
@pytest.mark.long
def test_passt_keeps_the_loopback_and_ends(guest):
    """Not asked for, it does not.  And when passt is killed the link is down."""
    facts, err = boot(guest, "user", "net,fetch,link_down", ready="kill -9 $(pgrep passt)", **THROUGH_PASST)
    assert not facts["fetched"][0].startswith("0 ")
    assert [nic.split()[2] for nic in facts["nic"]] == ["1", "0"]
    assert err == "pronto: error: net: passt was ended by signal 9 (Killed); the guest's link is down\n"
