# SPDX-License-Identifier: MIT
"""libpvh as others use it: every combination of its options, its installation, and hello on QEMU and Pronto."""

import itertools
import os
import re
import shutil
import subprocess

import pytest

import vm

BUILD = vm.PRONTO.parent
PVH = BUILD / "guest" / "pvh"
HELLO = BUILD / "guest" / "hello"
SOURCES = sorted((vm.ROOT / "guest" / "pvh").glob("*.[cS]"))
QEMU = shutil.which("qemu-system-x86_64")
LIBS = {"64": "libpvh", "32": "libpvh32"}
HELLOS = ["hello", "hello-reloc", "hello32", "hello32-reloc"]
HIGH = "-Wl,--defsym=pvh_base=0xd0000000"  # where no guest of these tests has RAM


def output(*command, **kwargs):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False, timeout=120, text=True, **kwargs)
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    return done.stdout


def symbols(path):
    """Name to type, as nm has them; those of the compiler's own (.LC0) are left out."""
    lines = output("nm", "--no-sort", path).splitlines()
    fields = (line.split() for line in lines if not line.startswith(str(path)) and not line.endswith("no symbols"))
    return {words[-1]: words[-2] for words in fields if len(words) > 1 and not words[-1].startswith(".L")}


def inspect(path, pvh, xen, kvm, page=False):
    """That the object has what it was built with, and nothing else."""
    names = symbols(path)
    notes = output("readelf", "-SW", path).count(".note.Xen")
    if not pvh:
        assert (names, notes) == ({}, 0)
        sizes = output("size", "-A", path)
        assert not re.search(r"^\.(text|data|rodata|bss)\S*\s+[1-9]", sizes, re.MULTILINE), sizes
        return
    assert notes >= 2
    assert {names[name] for name in ("pvh_entry", "pvh_entry_reloc", "pvh_start", "pvh_info_read")} == {"T"}
    # What a program must bring: itself, and the marks of the linker script.
    marks = {f"pvh_{what}_{end}" for what in ("image", "bss") for end in ("start", "end")}
    assert {name for name, kind in names.items() if kind == "U"} - {"_GLOBAL_OFFSET_TABLE_"} == {"pvh_main"} | marks
    of_xen = {name: kind for name, kind in names.items() if re.search("xen|hyperc|vmmcall", name)}
    kind = "T" if xen else "W"
    want = {"pvh_xen_init": kind, "pvh_xen_memmap": kind}
    if xen:
        want |= {f"pvh_xen_{name}": "T" for name in ("hypercall", "console_write", "shutdown")}
        want |= {"hypercall_page": "b"} if page else {"use_vmmcall": "b"}
    assert of_xen == want
    code = output("objdump", "-d", path)
    assert bool(re.search(r"\bvm(m?)call\b", code)) == (xen and not page)
    # The first letters of KVM's signature, as an operand: of "KVMKVMKVM".
    assert ("0x4b4d564b" in code) == kvm


@pytest.fixture(scope="module", name="tree")
def fixture_tree(tmp_path_factory):
    path = tmp_path_factory.mktemp("libpvh") / "build"
    output("meson", "setup", "-Dtests=false", "-Dstatic=false", path, cwd=vm.ROOT)
    return path


@pytest.mark.parametrize("pvh, xen, kvm", itertools.product([False, True], repeat=3))
def test_options(tree, pvh, xen, kvm):
    page = xen and not kvm
    values = {"pvh": pvh, "xen_pvh": xen, "kvm_guest_pvh": kvm, "xen_hypercall_page": page}
    output("meson", "configure", tree, *(f"-D{name}={str(value).lower()}" for name, value in values.items()))
    output("ninja", "-j2", "-C", tree, *(f"guest/pvh/{lib}.a" for lib in LIBS.values()), "guest/hello/hello.elf")
    for lib in LIBS.values():
        inspect(tree / "guest" / "pvh" / f"{lib}.o", pvh or xen or kvm, xen, kvm, page)
    assert symbols(tree / "guest" / "hello" / "hello.elf")["pvh_xen_init"] == "T"


def cflags(bits):
    """The flags for a program, without the macros of the options."""
    text = (PVH / f"{LIBS[bits]}.pc").read_text(encoding="utf-8")
    words = re.search(r"^Cflags: -I\S+ (.*)$", text, re.MULTILINE)[1].split()
    return [word for word in words if not word.startswith("-D")]


@pytest.mark.parametrize("bits", LIBS)
@pytest.mark.parametrize("options", ["", "PVH", "PVH XEN_PVH", "PVH KVM_GUEST_PVH", "PVH XEN_PVH KVM_GUEST_PVH"])
def test_clang(tmp_path, bits, options):
    words = options.split()
    headers = ["-idirafter", "/usr/include/x86_64-linux-gnu", "-I", vm.ROOT / "include"]
    output("clang", *cflags(bits), "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-command-line-argument", *headers,
           *(f"-DCONFIG_{word}" for word in words), "-nostdlib", "-r", "-o", tmp_path / "pvh.o", *SOURCES)
    inspect(tmp_path / "pvh.o", *(word in words for word in ("PVH", "XEN_PVH", "KVM_GUEST_PVH")))


@pytest.mark.parametrize("program", ["libpvh", "libpvh32"])
def test_nothing_needs_relocation(program):
    """What an image that moves has of the linker is distances; addresses stand in the notes, and in the entry
    of the image that does not move."""
    section, absolute = None, set()
    for line in output("readelf", "-rW", PVH / f"{program}.o").splitlines():
        section = line.split("'")[1] if line.startswith("Relocation section") else section
        if re.search(r"\bR_X86_64_(64|32|32S|16|8)\b|\bR_386_(32|16|8)\b", line) and ".debug" not in section:
            absolute.add(re.sub(r"^\.rela?", "", section))
    assert absolute == {".note.Xen", ".note.Xen.reloc", ".text.pvh_entry"}


class Installed:
    """A DESTDIR, and a pkg-config that knows it."""

    def __init__(self, place):
        prefix = re.search(r"^prefix=(.*)$", (PVH / "libpvh.pc").read_text(encoding="utf-8"), re.MULTILINE)[1]
        self.root = place / "dest"
        self.files = self.root / prefix.lstrip("/")
        output("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", self.root)
        tool = place / "bin" / "pkg-config"
        tool.parent.mkdir()
        tool.write_text(f"#!/bin/sh\nexec {shutil.which('pkg-config')} --define-variable=prefix={self.files} \"$@\"\n",
                        encoding="utf-8")
        tool.chmod(0o755)
        pc_dir = next(self.files.rglob("libpvh.pc")).parent
        self.env = {"PATH": f"{tool.parent}:{os.environ['PATH']}", "PKG_CONFIG_LIBDIR": str(pc_dir), "HOME": str(place)}

    def build(self, place, command):
        """In a directory in which nothing of this tree is to be found."""
        output("sh", "-euc", command, cwd=place, env=self.env)


@pytest.fixture(scope="module", name="installed")
def fixture_installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("installed"))


def test_installed_files(installed):
    found = {path.name for path in installed.files.rglob("*") if path.is_file()}
    headers = {path.name for path in (installed.files / "include" / "pvh").iterdir()}
    assert headers == {"pvh.h", "pvh_xen.h", "start_info.h", "elfnote.h", "xen.h"}
    assert found >= {"libpvh.a", "libpvh32.a", "libpvh.pc", "libpvh32.pc", "pvh.ld", "pvh-reloc.ld", "hello.elf"}


def blocks(language):
    text = (vm.ROOT / "docs" / "libpvh.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.kvm
@pytest.mark.parametrize("lib", LIBS.values())
@pytest.mark.parametrize("script", ["ldscript", "ldscript_reloc"])
def test_the_page(installed, run, tmp_path, lib, script):
    """docs/libpvh.md: its program, built by its command, does what it says."""
    (source,), (command,) = blocks("c"), blocks("sh")
    (tmp_path / "kernel.c").write_text(source, encoding="utf-8")
    installed.build(tmp_path, command.replace("libpvh", lib).replace("=ldscript", f"={script}"))
    result = run(str(tmp_path / "kernel.elf"), words=["some", "words"])
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "not on Xen: some words\n", "")


def hello_installed(installed, place, lib, script, *options):
    shutil.copy(vm.ROOT / "guest" / "hello" / "hello.c", place)
    command = blocks("sh")[0].replace("libpvh", lib).replace("=ldscript", f"={script}").replace("kernel", "hello")
    installed.build(place, command.rstrip() + " " + " ".join(options))
    return place / "hello.elf"


GREETING = (r"hello from a guest of (KVM|nobody known), start info version 1\nmemory (\d+) KiB in \d+ regions\n"
            r"command line a b\n((?:module 0: \d+ bytes\n)?)"
            r"entered [1-9]\d* cycles of the time stamp counter ago(?:, which is \d+ us)?\n")


def greeted(text, hypervisor, mebibytes, module=""):
    match = re.fullmatch(GREETING, text)
    assert match, text
    assert (match[1], match[3]) == (hypervisor, module)
    assert mebibytes * 1024 - 1024 <= int(match[2]) <= mebibytes * 1024


@pytest.mark.kvm
@pytest.mark.parametrize("name", HELLOS)
def test_hello_on_pronto(run, tmp_path, name):
    (tmp_path / "module").write_bytes(bytes(12345))
    result = run(str(HELLO / f"{name}.elf"), "-m", "48M", "-i", tmp_path / "module", words=["a", "b"])
    assert (result.status, result.err) == (vm.POWEROFF, "")
    greeted(result.out, "KVM", 48, "module 0: 12345 bytes\n")


@pytest.mark.kvm
@pytest.mark.parametrize("lib", LIBS.values())
def test_hello_elsewhere(installed, run, tmp_path, lib):
    """Linked for where there is no RAM: the image that may be moved runs, the other is refused."""
    moves = hello_installed(installed, tmp_path, lib, "ldscript_reloc", HIGH)
    result = run(str(moves), "-m", "48M", words=["a", "b"])
    assert (result.status, result.err) == (vm.POWEROFF, "")
    greeted(result.out, "KVM", 48)
    stays = hello_installed(installed, tmp_path, lib, "ldscript", HIGH)
    result = run(str(stays), "-m", "48M")
    assert (result.status, result.out) == (vm.OPERATOR, "")


DIRTY = r"""
#include <pvh/pvh.h>

static volatile uint32_t words[1000];

void pvh_main(const struct pvh_info *info)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < 1000; i++)
		n += words[i] == 0;
	pvh_puts(n == 1000 && info->n_modules == 0 ? "clear\n" : "dirty\n");
	__asm__ volatile("outb %0, %1" : : "a"((uint8_t)0x34), "d"((uint16_t)0x600));
}
"""


@pytest.mark.kvm
@pytest.mark.parametrize("lib", LIBS.values())
def test_bss_is_cleared(installed, run, tmp_path, lib):
    """Nobody else clears it: here it is in the file, and full of ones."""
    script = (PVH / "pvh.ld").read_text(encoding="utf-8")
    start = "pvh_bss_start = .;\n"
    assert script.count(start) == 1
    (tmp_path / "dirty.ld").write_text(script.replace(start, start + "LONG(0)\n"), encoding="utf-8")
    (tmp_path / "kernel.c").write_text(DIRTY, encoding="utf-8")
    command = blocks("sh")[0].replace("libpvh", lib)
    installed.build(tmp_path, re.sub(r"-T \$\(.*?\)", "-T dirty.ld", command))
    program = tmp_path / "kernel.elf"
    places = {name: int(place, 16) for place, _, name in map(str.split, output("nm", program).splitlines())}
    offset, address = re.search(r"^  LOAD +(\S+) (\S+)", output("readelf", "-lW", program), re.MULTILINE).groups()
    data = bytearray(program.read_bytes())
    first, end = (places[f"pvh_bss_{name}"] - int(address, 16) + int(offset, 16) for name in ("start", "end"))
    assert end - first > 16384 and not any(data[first:end])
    data[first:end] = b"\xff" * (end - first)
    program.write_bytes(data)
    result = run(str(program))
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "clear\n", "")


@pytest.mark.lab
@pytest.mark.skipif(not QEMU, reason="there is no QEMU: install qemu-system-x86")
@pytest.mark.parametrize("machine", ["microvm", "pc", "q35"])
@pytest.mark.parametrize("name", HELLOS)
def test_hello_on_qemu(machine, name):
    done = subprocess.run([QEMU, "-M", machine, "-accel", "tcg", "-m", "48", "-nodefaults", "-display", "none",
                           "-no-reboot", "-serial", "stdio", "-kernel", HELLO / f"{name}.elf", "-append", "a b"],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode("latin-1").replace("\r", "")
    greeted(text[text.index("hello"):] if "hello" in text else text, "nobody known", 48)
