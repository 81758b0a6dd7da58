# SPDX-License-Identifier: MIT
"""Linux with the overlay in it: its source tree, and builds of it, one for each of configs/*.config.

All is below .cache/linux: source, and a directory for each configuration, which holds objects and, when
asked for, the whole kernel.  What did not change is not built again.
"""
import argparse
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "lab"))
# pylint: disable=wrong-import-position
from labkit import cache, packages, program

APPLY = ROOT / "guest" / "linux" / "apply"
CONFIGS = HERE / "configs"
SOURCE = pathlib.Path(cache.ROOT, "linux", "source")
PRISTINE = ".pristine"  # in it: files that the overlay changes, as they came

# Four kinds of kernel: no entry; the entry without Xen; Xen, but not its part of the entry; all.
KINDS = ("off", "kvm", "xen", "all")

# A third of the tree is enough: no sources of other architectures, nor of drivers that no kernel here has.
LEAVE_OUT = ["Documentation/*.*", "arch/[!x]*.[chS]", "arch/[!x]*.dts*", "arch/xtensa/*.[chS]",
             "tools/perf/*", "tools/testing/*", "samples/*.[chS]", "sound/*.[chS]"]
LEAVE_OUT += [f"drivers/{name}/*.[chS]" for name in (
    "clk", "crypto", "gpu", "hwmon", "iio", "infiniband", "media", "misc", "mtd", "net", "pinctrl", "scsi",
    "staging", "usb")]


def run(command, **kwargs):
    """Run a command; what it printed.  Raises with all that it said when it fails."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **kwargs)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


def unpack(directory, only=()):
    """Linux's source as Debian has it, below an empty directory; or some files of it only."""
    archive = pathlib.Path(packages.within(packages.get("linux-source"), "usr/src/linux-source-*.tar.xz"))
    top = archive.name.removesuffix(".tar.xz")
    excluded = [f"--exclude={top}/{pattern}" for pattern in LEAVE_OUT]
    chosen = [f"{top}/{name}" for name in only]
    run(["tar", "-xf", archive, "-C", directory, "--strip-components=1", "--anchored", *excluded, *chosen])


def _load_overlay():
    """The script as a module."""
    loader = importlib.machinery.SourceFileLoader("overlay", str(APPLY))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("overlay", loader))
    loader.exec_module(module)
    return module


overlay = _load_overlay()


def _touched():
    """The files of Debian's tree that the script looks at: they decide what it does."""
    return sorted({"Makefile", overlay.PLATFORM, overlay.XEN_C, *(name for name, _, _ in overlay.EDITS)})


def _update(tree):
    """Apply the overlay as it is now to a tree that may have it in another version.  What stays the same keeps
    its time, so that only what depends on the rest is compiled again."""
    with tempfile.TemporaryDirectory() as new:
        shutil.copytree(tree / PRISTINE, new, dirs_exist_ok=True)
        run([APPLY, new])
        files = {path.relative_to(new): path.read_bytes() for path in pathlib.Path(new).rglob("*") if path.is_file()}
    for name in (overlay.PLATFORM, overlay.HEADERS):
        for old in (tree / name).glob("*"):
            if old.relative_to(tree) not in files:
                old.unlink()
    for name, content in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def source():
    """The tree with the overlay applied.  The caller holds the lock."""
    cache.path("linux", "source")
    inputs = cache.digest(packages.get("linux-source"), *LEAVE_OUT, *_touched())
    stamp = SOURCE / PRISTINE / "stamp"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != inputs:
        cache.sweep(SOURCE.parent)
        with cache.new_dir(str(SOURCE)) as new:
            unpack(new)
            for name in _touched():
                old, kept = pathlib.Path(new, name), pathlib.Path(new, PRISTINE, name)
                kept.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if old.is_dir() else shutil.copy2)(old, kept)
            pathlib.Path(new, PRISTINE, "stamp").write_text(inputs, encoding="utf-8")
    _update(SOURCE)
    return SOURCE


def make(directory, *targets, arch="x86_64"):
    """make in the tree, for a build directory; what it said."""
    jobs = len(os.sched_getaffinity(0))
    with cache.lock("linux"):
        return run(["make", "-C", source(), "-s", f"-j{jobs}", f"O={directory}", f"ARCH={arch}", *targets])


def wanted(fragments):
    """What the fragments that exist ask for: as text, and each setting's value, None for off."""
    paths = [CONFIGS / f"{name}.config" for name in fragments]
    text = "".join(path.read_text(encoding="utf-8") for path in paths if path.exists())
    found = re.findall(r"^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set)$", text, re.M)
    return text, {name or off: value or None for name, value, off in found}


def settings(directory):
    text = (directory / ".config").read_text(encoding="utf-8")
    return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.M))


def configure(kind, arch="x86_64"):
    """The build directory of a kind of kernel, configured as its fragments say and ready to compile in.
    The first of an architecture is made from nothing, the others from a copy of it."""
    name = kind if arch == "x86_64" else f"{kind}-{arch}"
    directory = pathlib.Path(cache.path("linux", name))
    base = "base" if arch == "x86_64" else f"base-{arch}"
    text, asked = wanted([base, kind, f"{kind}-{arch}"])
    stamp = directory / "asked"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == text:
        return directory
    if not directory.exists():
        first = directory.with_name(directory.name.replace(kind, "kvm", 1))
        with cache.new_dir(str(directory)) as new:
            if (first / "asked").exists():
                shutil.copytree(first, new, symlinks=True, dirs_exist_ok=True)
    make(directory, "tinyconfig", arch=arch)
    with open(directory / ".config", "a", encoding="utf-8") as file:
        file.write(text)
    make(directory, "olddefconfig", arch=arch)
    got = settings(directory)
    unmet = {name: value for name, value in asked.items() if got.get(name) != value}
    assert not unmet, f"{name}: the tree does not take {unmet}"
    stamp.write_text(text, encoding="utf-8")
    return directory


def objects(kind, arch="x86_64"):
    """Compile what the overlay touches; the build directory, and what make said."""
    directory = configure(kind, arch)
    head = "arch/x86/kernel/head_64.o" if arch == "x86_64" else "arch/x86/kernel/head_32.o"
    targets = [head]
    if "CONFIG_PVH" in settings(directory):
        targets.append("arch/x86/platform/pvh/")
    if "CONFIG_XEN" in settings(directory):
        targets.append("arch/x86/xen/")
    said = make(directory, "prepare", arch=arch)
    return directory, said + make(directory, *targets, arch=arch)


def vmlinux(kind):
    """The whole kernel, as an uncompressed ELF."""
    directory = configure(kind)
    make(directory, "vmlinux")
    return directory / "vmlinux"


def bzimage(kind):
    """The same kernel packed, as boot loaders take it."""
    directory = configure(kind)
    make(directory, "bzImage")
    return directory / "arch" / "x86" / "boot" / "bzImage"


def main(argv):
    parser = argparse.ArgumentParser(prog="kernels.py", description="Build Linux with the overlay, and print the kernel's path.")
    parser.add_argument("--bzimage", action="store_true", help="packed, as boot loaders take it; else an ELF")
    parser.add_argument("kind", nargs="*", help=f"some of: {', '.join(KINDS)} (default: all)")
    args = parser.parse_args(argv)
    unknown = set(args.kind) - set(KINDS)
    if unknown:
        parser.error(f"no kind {unknown.pop()}; there are {', '.join(KINDS)}")
    for kind in args.kind or KINDS:
        try:
            print((bzimage if args.bzimage else vmlinux)(kind))
        except AssertionError as err:
            raise program.Problem(str(err)) from err


if __name__ == '__main__':
    program.run(main, 'kernels.py')
