# SPDX-License-Identifier: MIT
"""libpvh as others see it: what each set of options builds, what is installed, and hello on top of it."""

import itertools
import os
import re
import shutil
import subprocess

import pytest

import vm

BUILD = vm.PRONTO.parent
SOURCES = vm.ROOT / "guest" / "pvh"
PARTS = ("entry.S", "start.c", "info.c", "memmap.c", "guest.c", "boot_params.c", "cpu.c", "console.c", "xen.c")
HELLO = vm.ROOT / "guest" / "hello" / "hello.c"
OPTIONS = ("CONFIG_PVH", "CONFIG_XEN_PVH", "CONFIG_KVM_GUEST_PVH")
KVM_SIGNATURE = b"KVMK"  # what ebx is compared with

GREETING = re.compile(r"hello from a guest of (\w[\w ]*), start info version (\d)\n"
                      r"memory (\d+) KiB in \d+ regions\n"
                      r"command line ([^\n]*)\n"
                      r"((?:module \d+: \d+ bytes\n)*)"
                      r"entered \d+ cycles of the time stamp counter ago\n")


def text(*argv):
    return subprocess.run([str(a) for a in argv], check=True, capture_output=True, text=True, timeout=60).stdout


def flags(bits):
    """The compiler's options as libpvh.pc has them, but for those that choose the parts."""
    with open(BUILD / "guest" / "pvh" / f"libpvh{'' if bits == 64 else '32'}.pc", encoding="utf-8") as file:
        line = next(line for line in file if line.startswith("Cflags:"))
    return [word for word in line.split()[1:] if not word.startswith(("-I", "-DCONFIG_"))]


def build(directory, bits, options, *, compiler="gcc", extra=()):
    """One object of all parts."""
    objects = []
    for part in PARTS:
        objects.append(directory / (part + ".o"))
        subprocess.run([compiler, *flags(bits), "-O2", "-Wall", "-Wextra", "-Werror", *extra,
                        *(f"-D{option}" for option in options), "-I", vm.ROOT / "include", "-c",
                        "-o", objects[-1], SOURCES / part], check=True, timeout=60)
    whole = directory / "whole.o"
    subprocess.run(["ld", "-m", "elf_x86_64" if bits == 64 else "elf_i386", "-r", "-o", whole, *objects],
                   check=True, timeout=60)
    return whole


def symbols(path):
    """Symbols that are defined, and the kind nm has for each."""
    return {line.split()[2]: line.split()[1] for line in text("nm", "--defined-only", path).splitlines()}


SETS = [frozenset(chosen) for n in range(4) for chosen in itertools.combinations(OPTIONS, n)]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("options", SETS, ids=lambda chosen: "+".join(sorted(chosen)).replace("CONFIG_", "") or "none")
def test_options(tmp_path, options, bits, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    whole = build(tmp_path, bits, options, compiler=compiler)
    found = symbols(whole)
    notes = text("readelf", "-nW", whole)
    if "CONFIG_PVH" not in options:
        assert not found and "Xen" not in notes
        return
    assert {"pvh_entry", "pvh_entry_reloc", "pvh_start", "pvh_info_read"} <= found.keys()
    assert notes.count("0x00000012") == 2 and notes.count("0x00000013") == 1
    xen = {name for name in found if "xen" in name}
    if "CONFIG_XEN_PVH" in options:
        assert found["pvh_xen_init"] == found["pvh_xen_memmap"] == "T"
        assert {"pvh_xen_hypercall", "pvh_xen_shutdown", "pvh_xen_console_write"} <= xen
    else:
        assert xen == {"pvh_xen_init", "pvh_xen_memmap"}
        assert found["pvh_xen_init"] == found["pvh_xen_memmap"] == "W"
    assert (KVM_SIGNATURE in whole.read_bytes()) == ("CONFIG_KVM_GUEST_PVH" in options)
    undefined = {line.split()[-1] for line in text("nm", "-u", whole).splitlines()}
    assert undefined - {"_GLOBAL_OFFSET_TABLE_"} == {
        "pvh_main", "pvh_image_start", "pvh_image_end", "pvh_bss_start", "pvh_bss_end"}


@pytest.mark.parametrize("bits", [64, 32])
def test_hypercall_page(tmp_path, bits):
    (tmp_path / "page").mkdir()
    page = symbols(build(tmp_path / "page", bits, OPTIONS, extra=["-DPVH_XEN_HYPERCALL_PAGE"]))
    assert "hypercall_page" in page and "use_vmmcall" not in page
    assert "hypercall_page" not in symbols(build(tmp_path, bits, OPTIONS))


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """`make install` of the tree, elsewhere."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", place], check=True,
                   capture_output=True, timeout=120)
    return place


def pkg_config(place, *argv):
    """What pkg-config says of what lies below `place`."""
    found = [root for root, _, files in os.walk(place) if "libpvh.pc" in files]
    assert len(found) == 1
    return text("env", f"PKG_CONFIG_LIBDIR={found[0]}", f"PKG_CONFIG_SYSROOT_DIR={place}", "pkg-config", *argv).split()


def outside(place, directory, source, *, package="libpvh", script="ldscript", extra=()):
    """A program over what is installed, by pkg-config alone."""
    script = "".join(pkg_config(place, f"--variable={script}", package))
    script = script if script.startswith(str(place)) else f"{place}{script}"
    program = directory / "program.elf"
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", *extra, "-o", program, source, "-T", script,
                    *pkg_config(place, "--cflags", "--libs", package)], check=True, timeout=60)
    return program


def greeting(result):
    assert (result.status, result.err) == (vm.POWEROFF, "")
    match = GREETING.fullmatch(result.out)
    assert match, result.out
    return match


@pytest.mark.kvm
@pytest.mark.parametrize("package", ["libpvh", "libpvh32"])
@pytest.mark.parametrize("script", ["ldscript", "ldscript_reloc"])
def test_hello_from_what_is_installed(run, installed, tmp_path, package, script):
    hello = outside(installed, tmp_path, HELLO, package=package, script=script)
    assert "no relocations" in text("readelf", "-rW", hello)
    assert greeting(run(hello, "-m", "64M", words=["a", "b"]))[4] == "a b"


def sample():
    """The program that docs/libpvh.md shows."""
    with open(vm.ROOT / "docs" / "libpvh.md", encoding="utf-8") as file:
        return re.search(r"```c\n(.*?)```", file.read(), re.S)[1]


@pytest.mark.kvm
def test_sample_of_the_documentation(run, installed, tmp_path):
    (tmp_path / "kernel.c").write_text(sample(), encoding="utf-8")
    kernel = outside(installed, tmp_path, tmp_path / "kernel.c")
    result = run(kernel, "-m", "64M")
    assert (result.status, result.out) == (vm.POWEROFF, "64 MiB, less what is reserved\n")


@pytest.mark.kvm
@pytest.mark.parametrize("package", ["libpvh", "libpvh32"])
def test_moved(run, installed, tmp_path, package):
    """Linked for where there is no RAM, each byte of it is used where the VMM put it."""
    place = "-Wl,--defsym=pvh_base=0xc0000000"
    hello = outside(installed, tmp_path, HELLO, package=package, script="ldscript_reloc", extra=[place])
    assert greeting(run(hello, "-m", "64M"))[1] == "KVM"
    fixed = outside(installed, tmp_path, HELLO, package=package, extra=[place])
    assert run(fixed, "-m", "64M").status == vm.OPERATOR


@pytest.mark.kvm
@pytest.mark.parametrize("program", ["hello", "hello32", "hello-reloc", "hello32-reloc"])
def test_hello(run, tmp_path, program):
    initrd = tmp_path / "initrd"
    initrd.write_bytes(bytes(4321))
    match = greeting(run(str(BUILD / "guest" / "hello" / f"{program}.elf"), "-m", "96M", "-i", initrd))
    assert match[1] == "KVM" and match[2] == "1" and match[5] == "module 0: 4321 bytes\n"
    assert 95 * 1024 < int(match[3]) < 96 * 1024


@pytest.mark.lab
@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")
@pytest.mark.parametrize("machine", ["microvm", "pc", "q35"])
@pytest.mark.parametrize("program", ["hello", "hello32"])
def test_hello_under_qemu(program, machine):
    done = subprocess.run(["qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-m", "96", "-nodefaults",
                           "-display", "none", "-no-reboot", "-serial", "stdio", "-append", "a b",
                           "-kernel", BUILD / "guest" / "hello" / f"{program}.elf"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    match = GREETING.search(done.stdout.decode())
    assert match and match[1] == "nobody known" and match[4] == "a b", done.stdout
