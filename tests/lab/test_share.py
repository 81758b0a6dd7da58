# SPDX-License-Identifier: MIT
"""Directories of the host, and disks that others serve, in the lab: by Debian's own daemons."""

import os
import re
import shutil
import struct

import pytest

from machines import ROOT, in_lab
from test_linux import BASE, PRONTO, kernel, output

pytestmark = [pytest.mark.timeout(600), pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                                                reason="there is no QEMU: install qemu-system-x86")]

VIRTIOFSD = any(os.access(path, os.X_OK) for path in ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd"))
WITH_VIRTIOFSD = pytest.mark.skipif(not VIRTIOFSD, reason="there is no virtiofsd: install qemu-system-common or virtiofsd")
WITH_STORAGE = pytest.mark.skipif(not shutil.which("qemu-storage-daemon"),
                                  reason="there is no qemu-storage-daemon: install qemu-system-common")

FILES = """
mkdir -p /tmp/share/rw /tmp/share/ro
for name in rw ro; do
    echo "host $name" > /tmp/share/$name/from-host
    echo other > /tmp/share/$name/other
    head -c 3000000 /dev/urandom > /tmp/share/$name/large
done
"""


def lab(script, name, *options, do, words=""):
    """Run SCRIPT in the lab, where "$@" is pronto with a kernel of this name; what it printed."""
    guest = kernel(name)
    initramfs = output(str(ROOT / "lab" / "guest" / "mkinitramfs"), "--devices", name)
    done = in_lab("sh", "-c", FILES + script, "sh", PRONTO, "run", "--rng", "off", *options, "-i", initramfs, guest.vmlinux,
                  "--", f"{BASE} {words} pronto.do={do}", seconds=400)
    return done.stdout.decode(errors="replace").replace("\r", "") + done.stderr.decode(errors="replace")


@WITH_VIRTIOFSD
@pytest.mark.parametrize("name, transport", [
    pytest.param("cloud", "mmio", marks=pytest.mark.long), ("cloud-newer", "pci")])
def test_both_ways(name, transport):
    out = lab("""
        "$@"; echo "@@ status $?"
        cd /tmp/share
        echo "@@ sums $(md5sum < rw/large) $(md5sum < ro/large) $(md5sum < rw/copy)"
        echo "@@ left $(cat rw/dir/from-guest) $(ls ro | tr '\\n' ' ')"
        sleep 1
        echo "@@ daemons $(pgrep -c virtiofsd)"
        """, name, "--share", "/tmp/share/rw:data", "--share", "/tmp/share/ro:fixed,ro", "--transport", transport,
              do="devices,share", words="pronto.tags=data,fixed" + (" pci=off" if transport == "mmio" else ""))
    assert "@@ status 0\n" in out, out
    assert "@@ virtio virtio0 0x001a virtiofs 0x0000000f\n@@ virtio virtio1 0x001a virtiofs 0x0000000f\n" in out
    assert "@@ share data host rw\n" in out and "@@ share fixed host ro\n" in out
    rw, ro, copy = re.search(r"@@ sums (\w+)  - (\w+)  - (\w+)", out).groups()
    assert f"@@ large data {rw} " in out and f"@@ large fixed {ro} " in out and copy == rw
    assert "@@ wrote data\n" in out and "@@ wrote fixed" not in out and "Read-only file system" in out
    assert "@@ left data from-host large other \n" in out
    assert "@@ daemons 0\n" in out
    assert "pronto: " not in out and "kernel_problem" not in out


@WITH_VIRTIOFSD
@pytest.mark.long
def test_daemon_dies():
    """The device fails, the log says so once, the guest goes on and ends as it likes."""
    out = lab("""
        "$@" > /run/out 2>&1 &
        until grep -q "@@ ready share" /run/out; do kill -0 $! || break; sleep 0.5; done
        pkill -KILL virtiofsd
        wait $!
        echo "@@ status $?"
        cat /run/out
        """, "cloud", "--share", "/tmp/share/rw:data", do="devices,share,share-lost", words="pronto.tags=data")
    assert "@@ status 0\n" in out, out
    assert re.search(r"@@ lost 0x0000004f .*Transport endpoint is not connected", out), out
    assert re.findall("pronto: (.*)", out) == [
        "error: share data: " + re.search("share data: (.*virtiofsd)", out)[1] +
        " was ended by signal 9 (Killed); what the guest asks of the device now fails"]


@WITH_VIRTIOFSD
@pytest.mark.long
def test_lives():
    """A guest that is reset in place finds the share again, by the same daemon, with memory that was emptied."""
    out = lab("""
        "$@" > /run/out 2>&1 &
        until [ "$(grep -c "@@ wrote" /run/out)" -ge 3 ]; do kill -0 $! || break; sleep 0.5; done
        kill -KILL $!
        wait $!
        cat /run/out
        echo "@@ sums $(md5sum < /tmp/share/rw/large)"
        """, "cloud", "--on-reboot", "restart", "--share", "/tmp/share/rw:data", do="devices,share,reboot",
              words="pronto.tags=data")
    large = re.search(r"@@ sums (\w+)", out)[1]
    assert out.count(f"@@ large data {large} ") >= 3, out
    assert "pronto: " not in out


def qcow2(size):
    """An empty image (docs/interop/qcow2.txt of QEMU): header, table and block of reference counts, table of clusters."""
    cluster = 1 << 16
    image = bytearray(4 * cluster)
    struct.pack_into(">4sIQIIQIIQQIIQ", image, 0, b"QFI\xfb", 2, 0, 0, 16, size, 0, -(-size // (512 << 20)), 3 * cluster,
                     cluster, 1, 0, 0)
    struct.pack_into(">Q", image, cluster, 2 * cluster)
    struct.pack_into(">4H", image, 2 * cluster, 1, 1, 1, 1)
    return bytes(image)


SERVE = """
cp "$IMAGE" /tmp/disk.qcow2
qemu-storage-daemon --blockdev driver=file,node-name=file,filename=/tmp/disk.qcow2 \\
    --blockdev driver=qcow2,node-name=disk,file=file \\
    --export type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=/tmp/disk.sock,writable=on &
daemon=$!
until [ -S /tmp/disk.sock ]; do sleep 0.1; done
"""


@pytest.fixture
def image(tmp_path, monkeypatch):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(qcow2(24 << 20))
    monkeypatch.setenv("IMAGE", str(path))
    return path


@WITH_STORAGE
@pytest.mark.usefixtures("image")
@pytest.mark.long
def test_qcow2():
    """What one life writes another reads, from an image that has grown by it."""
    out = lab(SERVE + """
        "$@"; echo "@@ status $?"
        kill $daemon; wait $daemon
        echo "@@ size $(stat -c %s /tmp/disk.qcow2)"
        """, "cloud", "--disk", "vhost-user=/tmp/disk.sock", do="devices,fill,disks")
    assert "@@ status 0\n" in out, out
    assert "@@ disk vda 49152 0 " in out
    wrote, read = re.search(r"@@ filled (\w+)  - (\w+)  -", out).groups()
    assert wrote == read
    assert int(re.search(r"@@ size (\d+)", out)[1]) > 2 << 20
    assert "pronto: " not in out and "kernel_problem" not in out


@WITH_STORAGE
@pytest.mark.usefixtures("image")
@pytest.mark.long
def test_storage_daemon_dies():
    out = lab(SERVE + """
        "$@" > /run/out 2>&1 &
        until grep -q "@@ ready disk" /run/out; do kill -0 $! || break; sleep 0.5; done
        kill -KILL $daemon
        wait $!
        echo "@@ status $?"
        cat /run/out
        """, "cloud-newer", "--disk", "vhost-user=/tmp/disk.sock", do="devices,disk-lost")
    assert "@@ status 0\n" in out, out
    assert "@@ lost 0x0000004f 1\n" in out, out
    assert re.findall("pronto: (.*)", out) == [
        "error: /tmp/disk.sock: the back end: it has closed its connection; what the guest asks of the device now fails"]
