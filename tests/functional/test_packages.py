# SPDX-License-Identifier: MIT
"""What Debian packages with a PVH entry is said to boot, and GRUB does as far as it comes without Xen.

The packages are fetched into the cache; what this Debian has not is skipped.  tests/lab boots the kernels.
"""

import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from machines import ROOT, packages, why_no_kvm

PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))
LIMIT = 60


def fetch(name):
    if packages.why_not(name):
        pytest.skip(packages.why_not(name))
    return pathlib.Path(packages.get(name))


def inspect(path):
    done = subprocess.run([PRONTO, "inspect", "--json", path], capture_output=True, timeout=LIMIT, check=False)
    found = json.loads(done.stdout)
    assert (done.returncode, found["boots"], found["through_shim"], found["reason"]) == (0, True, False, None)
    return found


def said(path, words):
    """Run it, until it has said this on port 0xe9."""
    with subprocess.Popen([PRONTO, "run", "--debug-console", "stderr", "--console", "null", path],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            text, start = b"", time.monotonic()
            os.set_blocking(process.stderr.fileno(), False)
            while words not in text and process.poll() is None and time.monotonic() - start < LIMIT:
                text += process.stderr.read() or b""
        finally:
            process.kill()
    return text


@pytest.mark.parametrize("name", ["cloud", "generic", "cloud-newer"])
def test_kernel(tmp_path, monkeypatch, name):
    """Every flavour: Linux's own version string, and a hand-over that loads all of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tree = fetch(name)
    vmlinuz, = tree.glob("**/vmlinuz-*")
    found = inspect(vmlinuz)
    assert found["container"] == "bzImage" and found["elf_class"] == 64
    assert found["linux_version"].split()[0] == vmlinuz.name.removeprefix("vmlinuz-")
    for come in "unpacked", "found":
        done = subprocess.run([PRONTO, "run", "--dry-run", vmlinuz], capture_output=True, timeout=LIMIT, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert (b", from the cache\n" in done.stdout) == (come == "found")
        assert f"\nentry: {found['pvh_entry']:#x}\n".encode() in done.stdout
        loaded = sum(map(int, re.findall(rb"(?:mapped|read|zero) (\d+)", done.stdout)))
        assert loaded == sum(segment["memory_size"] for segment in found["segments"])


def test_grub():
    """A 32-bit ELF whose entry has 4 bytes.  It wants Xen, and says so where Xen listens."""
    image, = fetch("grub-xen").glob("**/grub-i386-xen_pvh.bin")
    assert inspect(image)["elf_class"] == 32
    if why_no_kvm():
        pytest.skip(why_no_kvm())
    assert b"Found no Xen signature!" in said(image, b"Found no Xen signature!")


def test_cloudhv():
    """EDK2 as an ELF64 that says it is for i386.  What it boots from is on PCI, so it is not awaited."""
    image, = fetch("cloudhv").glob("**/CLOUDHV.fd")
    assert inspect(image)["elf_class"] == 64
