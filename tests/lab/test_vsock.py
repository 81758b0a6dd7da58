# SPDX-License-Identifier: MIT
"""Streams between a guest in the lab and programs beside its VMM, both ways."""

import re
import shutil

import pytest

from machines import ROOT, in_lab
from test_linux import BASE, PRONTO, kernel, output

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

# Runs in the lab: the host's programs at either end, and the VMM.
PEER = r"""
import hashlib, os, socket, subprocess, sys, threading
path = "/tmp/vsock"
guests = socket.socket(socket.AF_UNIX)
guests.bind(path + "_2000")
guests.listen()

def say(*words):
    print("@@", *words, flush=True)

def give_back():
    stream, _ = guests.accept()
    while data := stream.recv(65536):
        stream.sendall(data)
    stream.close()

def call(line):
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(path)
    stream.sendall(line)
    return stream

def hear(stream):
    try:
        return stream.recv(100)
    except ConnectionResetError:  # what was sent has not been read
        return b""

def send_and_hear(stream, data):
    writer = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)), daemon=True)
    writer.start()
    heard = b"".join(iter(lambda: stream.recv(65536), b""))
    writer.join()
    return heard

threading.Thread(target=give_back, daemon=True).start()
vm = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
for line in vm.stdout:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    if line.startswith(b"@@ ready echo"):
        say("refused", hear(call(b"CONNECT 999\n")))
        say("no_line", hear(call(b"HELLO 1000\n")), hear(call(b"CONNECT 1000" + b" " * 40)))
        data = os.urandom(3000001)
        stream = call(b"CONNECT 1000\n" + data[:100])  # what follows the line belongs to the stream
        answer = b""
        while not answer.endswith(b"\n"):
            answer += stream.recv(1)
        say("answer", answer)
        say("echoed", send_and_hear(stream, data[100:]) == data)
say("status", vm.wait())
say("left", os.path.exists(path))
"""


# The same by the kernels' own sockets; and a second VM of the same number, while the first is there.
VHOST_PEER = r"""
import os, socket, subprocess, sys, threading
argv = sys.argv[1:]
guests = socket.socket(socket.AF_VSOCK)
guests.bind((socket.VMADDR_CID_ANY, 2000))
guests.listen()

def say(*words):
    print("@@", *words, flush=True)

def give_back():
    while True:
        stream, peer = guests.accept()
        say("from", peer[0])
        while data := stream.recv(65536):
            stream.sendall(data)
        stream.close()

def call(port):
    stream = socket.socket(socket.AF_VSOCK)
    stream.connect((42, port))
    return stream

threading.Thread(target=give_back, daemon=True).start()
vm = subprocess.Popen(argv, stdout=subprocess.PIPE)
for line in vm.stdout:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    if line.startswith(b"@@ ready echo"):
        second = subprocess.run(argv, stderr=subprocess.PIPE)
        say("second", second.returncode, second.stderr)
        try:
            call(999)
        except ConnectionResetError:
            say("refused")
        data = os.urandom(3000001)
        stream = call(1000)
        writer = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)), daemon=True)
        writer.start()
        say("echoed", b"".join(iter(lambda: stream.recv(65536), b"")) == data)
        writer.join()
say("status", vm.wait())
"""


def boot(name, peer, vsock, *options):
    guest = kernel(name)
    initramfs = output(str(ROOT / "lab" / "guest" / "mkinitramfs"), "--devices", name)
    done = in_lab("python3", "-c", peer, PRONTO, "run", "--vsock", vsock, *options, "-i", initramfs,
                  guest.vmlinux, "--", f"{BASE} pronto.do=vsock,devices", seconds=400)
    return done.stdout.decode(errors="replace").replace("\r", "") + done.stderr.decode(errors="replace")


def check_guest(out):
    """What it sent came back, and nothing else happened."""
    sums = re.findall(r"@@ (?:sent|back) (\w+)", out)
    assert len(sums) == 2 and sums[0] == sums[1], out
    assert "@@ nobody there\n" in out
    assert "@@ virtio virtio0 0x0013 vmw_vsock_virtio_transport 0x0000000f\n" in out or "virtio_vsock" in out
    assert "@@ kernel_problem" not in out
    assert "@@ status 0\n" in out


@pytest.mark.parametrize("name, transport", [("cloud", "pci"), ("cloud-newer", "mmio"), ("cloud-newer", "pci")])
@pytest.mark.long
def test_streams_by_vhost(name, transport):
    out = boot(name, VHOST_PEER, "cid=42", "--transport", transport)
    assert ("@@ second 2 b'pronto: error: --vsock: cid=42: another VM of this host has this number; choose another\\n'\n"
            "@@ refused\n@@ echoed True\n") in out, out
    assert "@@ from 42\n" in out
    check_guest(out)


@pytest.mark.parametrize("name", [pytest.param("cloud", marks=pytest.mark.long), "cloud-newer"])
def test_streams_both_ways(name):
    out = boot(name, PEER, "/tmp/vsock,cid=42")
    assert "@@ refused b''\n@@ no_line b'' b''\n" in out, out
    assert re.search(r"@@ answer b'OK 1\d{9}\\n'\n@@ echoed True\n", out), out
    check_guest(out)
    assert "@@ left False\n" in out
