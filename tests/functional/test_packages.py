# SPDX-License-Identifier: MIT
"""What others package with a PVH entry is said to boot; GRUB does, as far as it comes without Xen, and a Rust guest.

Debian's packages are fetched into the cache; what this Debian has not is skipped.  tests/lab boots the kernels.
"""

import json
import os
import pathlib
import re
import shutil
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


def dry_run(path, found):
    """What it prints; it enters where inspect FOUND the entry, and loads all of the segments."""
    done = subprocess.run([PRONTO, "run", "--dry-run", path], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\nentry: {found['pvh_entry']:#x}\n" in done.stdout
    loaded = sum(map(int, re.findall(r"(?:mapped|read|zero) (\d+)", done.stdout)))
    assert loaded == sum(segment["memory_size"] for segment in found["segments"])
    return done.stdout


def said(words, *arguments):
    """Run it, until it has said this."""
    with subprocess.Popen([PRONTO, "run", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        try:
            text, start = b"", time.monotonic()
            os.set_blocking(process.stdout.fileno(), False)
            while words not in text and process.poll() is None and time.monotonic() - start < LIMIT:
                text += process.stdout.read() or b""
        finally:
            process.kill()
    return text


@pytest.mark.parametrize("name", ["cloud", pytest.param("generic", marks=pytest.mark.long),
                                  pytest.param("cloud-newer", marks=pytest.mark.long)])
def test_kernel(tmp_path, monkeypatch, name):
    """Every flavour: Linux's own version string, and a hand-over that loads all of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tree = fetch(name)
    vmlinuz, = tree.glob("**/vmlinuz-*")
    found = inspect(vmlinuz)
    assert found["container"] == "bzImage" and found["elf_class"] == 64
    assert found["linux_version"].split()[0] == vmlinuz.name.removeprefix("vmlinuz-")
    for come in "unpacked", "found":
        assert (", from the cache\n" in dry_run(vmlinuz, found)) == (come == "found")


def test_grub():
    """A 32-bit ELF whose entry has 4 bytes.  It wants Xen, and says so where Xen listens."""
    image, = fetch("grub-xen").glob("**/grub-i386-xen_pvh.bin")
    assert inspect(image)["elf_class"] == 32
    if why_no_kvm():
        pytest.skip(why_no_kvm())
    words = b"Found no Xen signature!"
    assert words in said(words, "--debug-console", "stderr", "--console", "null", image)


def test_cloudhv():
    """EDK2 as an ELF64 that says it is for i386.  What it boots from is on PCI, so it is not awaited."""
    image, = fetch("cloudhv").glob("**/CLOUDHV.fd")
    found = inspect(image)
    assert found["elf_class"] == 64
    assert dry_run(image, found).count(f", read {os.path.getsize(image)}, zero 0\n") == 1


def cargo(*arguments, cwd):
    # Who is offline is to know soon.
    return subprocess.run(["cargo", *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "CARGO_NET_RETRY": "0", "CARGO_HTTP_TIMEOUT": "20"},
                          timeout=4 * LIMIT, check=False)


@pytest.fixture(name="rust_guest")
def fixture_rust_guest(tmp_path):
    """The example that the crate `pvh`, rust-osdev's reader of the start info, comes with."""
    target = "x86_64-unknown-none"
    if not shutil.which("cargo") or not shutil.which("rustc"):
        pytest.skip("there is no Rust: install rustup")
    libraries = subprocess.run(["rustc", "--print", "target-libdir", "--target", target], capture_output=True, text=True,
                               timeout=LIMIT, check=False).stdout.strip()
    if not libraries or not os.path.isdir(libraries):
        pytest.skip(f"Rust is not set up for bare machines: rustup target add {target}")
    (tmp_path / "Cargo.toml").write_text("[package]\nname = 'wants-pvh'\nedition = '2021'\n[lib]\npath = 'lib.rs'\n"
                                         "[dependencies]\npvh = '=0.1.0'\n", encoding="ascii")
    (tmp_path / "lib.rs").touch()
    known = cargo("metadata", "--format-version", "1", cwd=tmp_path)
    if known.returncode:
        pytest.skip("the crate pvh cannot be had: its registry does not answer")
    manifest, = (package["manifest_path"] for package in json.loads(known.stdout)["packages"] if package["name"] == "pvh")
    source = tmp_path / "pvh"
    # Without the Rust that it is developed with, which rustup would go and fetch.
    shutil.copytree(os.path.dirname(manifest), source, ignore=shutil.ignore_patterns("rust-toolchain.toml"))
    if cargo("fetch", "--locked", cwd=source).returncode:
        pytest.skip("what the crate pvh needs cannot be had: its registry does not answer")
    done = cargo("rustc", "--offline", "--locked", "--example", "print", "--target", target, "--release",
                 "--", "-C", "relocation-model=static", cwd=source)
    assert done.returncode == 0, done.stderr
    return source / "target" / target / "release" / "examples" / "print"


@pytest.mark.kvm
@pytest.mark.timeout(10 * LIMIT)
def test_the_pvh_crate(tmp_path, rust_guest):
    """Rust's reader finds what was handed over: all of the start info, the same memory map, and the module."""
    initrd = tmp_path / "module"
    initrd.write_text("read by Rust", encoding="ascii")
    options = ["--memory", "64M", "--initrd", initrd, "--cmdline", "hello, crate", rust_guest]
    plan = subprocess.run([PRONTO, "run", "--dry-run", *options], capture_output=True, text=True, timeout=LIMIT,
                          check=True).stdout
    text = said(b"Done!", *options).decode()
    assert "Done!" in text, text
    told, _, rest = text.partition("Alternative start info reader:")
    for field in ("cmdline_paddr", "rsdp_paddr", "memmap_paddr"):
        at = int(re.search(rf"^  {field} +(\S+)$", plan, re.M)[1], 16)
        assert re.search(rf"^    {field}: {at:#x},", told, re.M), field
    ranges = [(int(first, 16), int(last, 16) + 1 - int(first, 16), kind.lower()) for first, last, kind in
              re.findall(r"^  (0x\w+)-(0x\w+)  (RAM|reserved), ", plan, re.M)]
    assert ranges and ranges == [(int(addr, 16), int(size, 16), kind.lower()) for addr, size, kind in re.findall(
        r"addr: (0x\w+),\s+size: (0x\w+),\s+type: (\w+),", rest)]
    assert '"hello, crate"' in rest and 'Module: "read by Rust"' in rest
