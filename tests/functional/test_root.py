# SPDX-License-Identifier: MIT
"""A directory as root file system: what cannot be is refused before the boot, and what the kernel is handed.

That it boots is tests/lab/test_root.py's.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest

import kernels
import vm
from test_share import VIRTIOFSD, refused, with_daemon

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a program, or become somebody else")
DEBIAN = "6.1.0-9-amd64 (debian-kernel@lists.debian.org) (gcc-12)"
OWN = "6.6.6-own (me@here)"


@pytest.fixture
def kernel(tmp_path):
    """A program that powers off, and says that it is Linux of a version."""
    def make(version):
        path = tmp_path / "kernel"
        banner = b"" if version is None else b"Linux version " + version.encode() + b"\0"
        path.write_bytes(kernels.elf(loads=[kernels.Load(data=kernels.CODE + banner)]))
        return path
    return make


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "root"
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "sh").write_text("")
    return path


def install(root, release, dep="", builtin=""):
    where = root / "lib" / "modules" / release
    where.mkdir(parents=True)
    if dep is not None:
        (where / "modules.dep").write_text(dep)
    (where / "modules.builtin").write_text(builtin)
    return where


ALL_BUILT_IN = "".join(f"kernel/x/{name}.ko\n" for name in ("virtio_mmio", "virtio_pci", "virtiofs", "overlay"))


def initrd_size(result):
    assert result.status == 0, result
    return int(re.search(r"initrd, (\d+) bytes", result.out)[1])


def test_bad_directory(run, tmp_path, kernel, root):
    refused(run(kernel(OWN), "--root", tmp_path / "none"), f"--root: {tmp_path}/none: No such file or directory")
    refused(run(kernel(OWN), "--root", root / "bin" / "sh"), f"--root: {root}/bin/sh: Not a directory")
    (root / "bin" / "sh").unlink()
    refused(run(kernel(OWN), "--root", root), f"--root: {root}: /bin/sh in it: No such file or directory; "
            "a root file system has a shell, or say `init=PROGRAM`")
    refused(run(kernel(OWN), "--root", f"{root},init=/sbin/init"),
            f"--root: {root}: /sbin/init in it: No such file or directory")


def test_shell_outside(run, kernel, root):
    """A link is what it is in the guest."""
    (root / "bin" / "sh").unlink()
    (root / "bin" / "sh").symlink_to("/usr/bin/env")
    assert "/bin/sh in it: No such file or directory" in run(kernel(OWN), "--root", root).err
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "env").write_text("")
    assert run(kernel(OWN), "--root", root, "--dry-run").status == 0


def test_no_linux(run, tmp_path, kernel, root):
    assert run(kernel(None), "--root", root, "--dry-run").err == (
        f"pronto: error: --root: {tmp_path}/kernel: it is no Linux that tells its version, and no other kernel has a directory of "
        "the host for its root\n")
    assert run(kernel("6/../../etc"), "--root", root, "--dry-run").err == (
        "pronto: error: --root: the kernel's version is '6/../../etc'\n")


@with_daemon
def test_no_modules(run, tmp_path, kernel, root):
    """Debian's kernels have none of it built in; of another it may be."""
    why = ("has no lib/modules/{}, and the kernel needs modules to mount its root: install them there, or say `modules=PATH`, "
           "below which that is")
    refused(run(kernel(DEBIAN), "--root", root), f"--root: {root} {why.format('6.1.0-9-amd64')}")
    refused(run(kernel(OWN), "--root", f"{root},modules={tmp_path}"), f"--root: {tmp_path} {why.format('6.6.6-own')}")
    refused(run(kernel(OWN), "--root", f"{root},modules={tmp_path}/none"),
            f"--root: {tmp_path}/none: No such file or directory")
    result = run(kernel(OWN), "--root", root, "--dry-run", "-v")
    assert f"--root: {root} has no lib/modules/6.6.6-own: the kernel is to have all built in\n" in result.err
    assert initrd_size(result) < 20000


@with_daemon
@pytest.mark.parametrize("options, name, symbol", [
    ((), "virtio_mmio", "CONFIG_VIRTIO_MMIO"), (("--transport", "pci"), "virtio_pci", "CONFIG_VIRTIO_PCI"),
    ((), "virtiofs", "CONFIG_VIRTIO_FS"), ((), "overlay", "CONFIG_OVERLAY_FS")])
def test_missing_module(run, kernel, root, options, name, symbol):
    install(root, "6.6.6-own", builtin=ALL_BUILT_IN.replace(name, "other"))
    refused(run(kernel(OWN), "--root", root, *options),
            f"--root: {root}: the kernel has no {name}, built in or in lib/modules/6.6.6-own: build it with {symbol}=y, or m")
    if name == "overlay":
        assert run(kernel(OWN), "--root", f"{root},ro", "--dry-run").status == 0


@with_daemon
def test_damaged_modules(run, kernel, root):
    where = install(root, "6.6.6-own", dep=None)
    place = f"--root: {root}: lib/modules/6.6.6-own"
    refused(run(kernel(OWN), "--root", root), f"{place}/modules.dep: No such file or directory; `depmod` makes it")
    (where / "modules.dep").write_text("a/virtiofs.ko: a/none.ko\n")
    (where / "modules.builtin").write_text(ALL_BUILT_IN)
    refused(run(kernel(OWN), "--root", root), f"{place}/a/none.ko: No such file or directory")
    (where / "modules.dep").write_text("a/virtiofs.ko:" + " ".join(f" {i}.ko" for i in range(100)))
    refused(run(kernel(OWN), "--root", root),
            f"{place}/modules.dep has the drivers need more than 64 modules: run `depmod`")
    (where / "modules.dep").write_text("virtiofs.ko:\n")
    (where / "virtiofs.ko").symlink_to("/dev/zero")
    refused(run(kernel(OWN), "--root", root), f"{place}/virtiofs.ko: No such file or directory")


def test_company(run, tmp_path, kernel, root):
    refused(run(kernel(OWN), "--root", root, "-i", tmp_path / "kernel"),
            "--initrd and --root exclude each other: the initrd of --root is one that mounts it")
    refused(run(kernel(OWN), "--exec", "true"), "--exec is for the shell of --root: give that, too")
    result = run(kernel(OWN), "--root", root, "--exec", "x" * 40000)
    assert (result.status, result.err) == (vm.OPERATOR, f"pronto: error: option --exec: '{'x' * 40}' has 40000 bytes; give 1 to 32768\n")


def test_json(run, tmp_path, kernel, root):
    config = tmp_path / "vm.json"
    config.write_text(json.dumps({"root": {"dir": str(root), "ro": True}, "exec": "true"}))
    result = run(kernel(OWN), "--dry-run", "--config", config)
    assert initrd_size(result) > 1000
    assert "loglevel=3\n" in result.out


def test_large_modules_are_handed_over(run, kernel, root):
    """The archive is as large as what is in it, unpacked."""
    where = install(root, "6.6.6-own", dep="a/virtiofs.ko: b/fuse.ko\nb/fuse.ko:\n", builtin=ALL_BUILT_IN)
    (where / "a").mkdir()
    (where / "b").mkdir()
    (where / "a" / "virtiofs.ko").write_bytes(os.urandom(3000000))
    (where / "b" / "fuse.ko").write_bytes(os.urandom(1000000))
    assert 4000000 < initrd_size(run(kernel(OWN), "--root", root, "--dry-run")) < 4020000


@ROOT_ONLY
def test_no_daemon(box, kernel, root):
    """Before the boot, and with what to do."""
    hide = "".join(f"mount -t tmpfs none {os.path.dirname(path)} && " for path in VIRTIOFSD)
    done = vm.Vm(box, ["unshare", "-m", "sh", "-c", hide + 'exec "$@"', "sh", vm.PRONTO, "run", "--root", root, kernel(OWN)])
    refused(done.wait(), "--root: there is no virtiofsd on this host; install it (Debian 12: the package qemu-system-common; "
            "later: virtiofsd)")


@ROOT_ONLY
@pytest.mark.skipif(VIRTIOFSD != ["/usr/lib/qemu/virtiofsd"], reason="QEMU's virtiofsd, which wants root, is not the one here")
def test_daemon_wants_root(box, kernel):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        pronto, copy = shutil.copy(vm.PRONTO, place), shutil.copy(kernel(OWN), place)
        done = vm.Vm(box, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", pronto, "run", "--root", "/", copy],
                     cwd="/").wait()
    refused(done, "--root: /usr/lib/qemu/virtiofsd, of QEMU, serves directories for root alone: run as root, or install the "
            "other virtiofsd (Debian 13's package of that name)")


@with_daemon
@pytest.mark.parametrize("access", ["", ",ro", ",rw"])
def test_ends_with_the_vm(run, kernel, root, access):
    """A guest that does not care for it: nothing is left, in the box or in the directory."""
    install(root, "6.6.6-own", builtin=ALL_BUILT_IN)
    before = subprocess.run(["find", root, "-printf", "%p %T@ %C@ %s\n"], capture_output=True, check=True).stdout
    result = run(kernel(OWN), f"--root={root}{access}")
    assert (result.status, result.err) == (vm.POWEROFF, "")
    assert subprocess.run(["find", root, "-printf", "%p %T@ %C@ %s\n"], capture_output=True, check=True).stdout == before
