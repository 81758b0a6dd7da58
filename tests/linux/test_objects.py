# SPDX-License-Identifier: MIT
"""The overlay in Linux's tree: it fits or says why not, it is in the kernel's style, and each configuration
compiles to what it should consist of and to nothing else."""
import os
import re
import shutil
import struct
import subprocess

import kernels
import pytest

PVH = "arch/x86/platform/pvh"
XEN_O = "arch/x86/xen/enlighten_pvh.o"
CORE = {f"{name}.init.o" for name in ("boot_params", "guest", "info", "memmap")}
PHYS32_ENTRY = 18

# What Xen's part defines, and the common code has weak.
HOOKS = {"pvh_xen_init", "pvh_xen_memmap", "pvh_xen_boot_params"}

needed = [name for name in ("make", "flex", "bison", "bc", "tar") if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(needed), reason=f"not here: {', '.join(needed)}; run scripts/setup")


@pytest.fixture(scope="session")
def objects():
    """Compiled once for all that look at them."""
    made = {}

    def of(kind, arch):
        if (kind, arch) not in made:
            made[kind, arch] = kernels.objects(kind, arch)
        return made[kind, arch]
    return of


def symbols(path):
    """Names in an object file, each with nm's letter."""
    return {line.split()[-1]: line.split()[-2] for line in kernels.run(["nm", path]).splitlines() if line.strip()}


def note(path):
    """The descriptor of the PVH note, or None."""
    out = path.with_suffix(".note")
    out.unlink(missing_ok=True)
    kernels.run(["objcopy", "-O", "binary", "--only-section=.note.Xen", path, out])
    data = out.read_bytes() if out.exists() else b""
    out.unlink(missing_ok=True)
    while len(data) >= 12:
        namesz, descsz, kind = struct.unpack_from("<III", data)
        name, desc = data[12:12 + namesz], data[12 + (namesz + 3 & ~3):][:descsz]
        if (name, kind) == (b"Xen\0", PHYS32_ENTRY):
            return desc
        data = data[12 + (namesz + 3 & ~3) + (descsz + 3 & ~3):]
    return None


def members(archive):
    """Names of the objects in an archive, which keeps what is compiled now apart from what once was."""
    return {os.path.basename(name) for name in kernels.run(["ar", "t", archive]).split()}


def linked(directory):
    """All objects of the two directories linked to one, so that strong symbols take the place of weak ones."""
    archives = [directory / name / "built-in.a" for name in (PVH, "arch/x86/xen")]
    out = directory / "pvh-and-xen.o"
    out.unlink(missing_ok=True)
    emulation = "elf_i386" if "CONFIG_X86_32" in kernels.settings(directory) else "elf_x86_64"
    kernels.run(["ld", "-m", emulation, "-r", "-o", out, "--no-warn-execstack", "--whole-archive",
                 *[path for path in archives if path.exists()]])
    return symbols(out)


ARCHES = ("x86_64", "i386")


@pytest.mark.parametrize("arch", ARCHES)
def test_off(objects, arch):
    """Nothing of ours is compiled, and the kernel's own entry knows of nothing."""
    directory, said = objects("off", arch)
    assert said == ""
    assert "CONFIG_PVH" not in kernels.settings(directory)
    # What is there may be of the configuration that this one was copied from.
    shutil.rmtree(directory / PVH, ignore_errors=True)
    kernels.make(directory, PVH + "/", arch=arch)
    assert list(directory.glob(PVH + "/*.o")) == []


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("kind", ["kvm", "xen", "all"])
def test_on(objects, kind, arch):
    """The entry with its note, all of the core, and nothing that would outlive the boot or lie in .bss."""
    directory, said = objects(kind, arch)
    assert said == ""
    assert members(directory / PVH / "built-in.a") == {"head.o", "enlighten.o", *CORE}
    assert len(note(directory / PVH / "head.o")) == (8 if arch == "x86_64" else 4)
    for name in ["head.o", "enlighten.o", *CORE]:
        sizes = dict(re.findall(r"^(\.\S+) +(\d+)", kernels.run(["size", "-A", directory / PVH / name]), re.M))
        assert {key: value for key, value in sizes.items() if value != "0" and
                re.match(r"\.(text|data|bss)", key)} == {}, name


@pytest.mark.parametrize("arch", ARCHES)
def test_without_xen(objects, arch):
    """No symbol of Xen's, used or defined, but the weak routines."""
    directory, _ = objects("kvm", arch)
    assert not (directory / "arch/x86/xen").exists() or not list((directory / "arch/x86/xen").glob("*.o"))
    found = linked(directory)
    assert {name for name in found if "xen" in name.lower()} - {"no_xen"} == HOOKS
    assert {found[name] for name in HOOKS} == {"W"}


@pytest.mark.parametrize("arch", ARCHES)
def test_xen_without_its_entry(objects, arch):
    directory, _ = objects("xen", arch)
    xen = members(directory / "arch/x86/xen/built-in.a")
    assert "enlighten_hvm.o" in xen and "enlighten_pvh.o" not in xen
    found = linked(directory)
    assert {found[name] for name in HOOKS} == {"W"}
    assert "xen_pvh" not in found


@pytest.mark.parametrize("arch", ARCHES)
def test_xen_with_its_entry(objects, arch):
    """The strong routines win; what they leave for later is not in .bss."""
    directory, _ = objects("all", arch)
    found = linked(directory)
    assert {found[name] for name in HOOKS} == {"T"}
    assert {name: symbols(directory / XEN_O)[name] for name in ("xen_pvh",)} == {"xen_pvh": "D"}
    assert found["xen_start_flags"] == found["xen_domain_type"] == "D"


def test_style():
    """checkpatch, as the kernel has it, on each file where it lies in the tree."""
    with kernels.cache.lock("linux"):
        tree = kernels.source()
    said = []
    for name in kernels.overlay.added():
        done = subprocess.run(["perl", "scripts/checkpatch.pl", "--no-tree", "-q", "--no-summary", "-f", name],
                              cwd=tree, capture_output=True, text=True, check=False)
        if done.returncode or done.stdout or done.stderr:
            said.append(done.stdout + done.stderr)
    assert said == []


EDITED = ["Makefile", "arch/x86/Kconfig", "arch/x86/Kbuild", "arch/x86/xen/Kconfig", "arch/x86/xen/Makefile",
          "arch/x86/kernel/head_64.S", "arch/x86/include/asm/xen/hypervisor.h",
          "arch/x86/include/asm/xen/hypercall.h", "include/xen/xen.h"]


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """What the script looks at, as Debian has it."""
    directory = tmp_path_factory.mktemp("linux")
    kernels.unpack(directory, [*EDITED, PVH, "arch/x86/xen/enlighten_pvh.c"])
    return directory


@pytest.fixture
def pristine(unpacked, tmp_path):
    shutil.copytree(unpacked, tmp_path, dirs_exist_ok=True)
    return tmp_path


def apply(tree):
    return subprocess.run([kernels.APPLY, tree], capture_output=True, text=True, check=False)


def test_takes_the_old_code_out(pristine):
    assert apply(pristine).returncode == 0
    assert {path.name for path in (pristine / PVH).iterdir()} == {
        "Kconfig", "Makefile", "head.S", "enlighten.c", "boot_params.c", "guest.c", "info.c", "memmap.c"}
    texts = "".join((pristine / name).read_text(encoding="utf-8") for name in [*EDITED, *kernels.overlay.added()])
    for gone in ("pvh_start_info", "mem_map_via_hcall", "xen_prepare_pvh", "pvh_start_xen"):
        assert gone not in texts
    assert len(re.findall(r"^config (?:XEN_|KVM_GUEST_)?PVH$", texts, re.M)) == 3


def test_not_twice(pristine):
    assert apply(pristine).returncode == 0
    done = apply(pristine)
    assert done.returncode == 1
    assert done.stderr == (f"apply: {pristine} has the overlay already; unpack a new tree to have another version "
                           "of it\n")


@pytest.mark.parametrize("name", [name for name in EDITED if name != "Makefile"])
def test_tree_that_does_not_fit(pristine, name):
    """A tree in which a place is not as it should be is left as it was."""
    path = pristine / name
    path.write_text(path.read_text(encoding="utf-8").replace("PVH", "PVHX").replace("pvh", "pvhx")
                    .replace("DECLARE_STATIC_CALL", "STATIC_CALL"), encoding="utf-8")
    before = {file: file.read_bytes() for file in pristine.rglob("*") if file.is_file()}
    done = apply(pristine)
    assert done.returncode == 1
    assert re.fullmatch(rf"apply: {re.escape(name)}: '.*' was found 0 times, not once; this tree is too old or too "
                        r"new: linux-source-6\.1 of Debian 12 and linux-source-6\.12 of 13 are known to fit\n", done.stderr)
    assert {file: file.read_bytes() for file in pristine.rglob("*") if file.is_file()} == before


def test_no_tree(tmp_path):
    done = apply(tmp_path)
    assert done.returncode == 1
    assert done.stderr == (f"apply: {tmp_path}/Makefile: No such file or directory; give the top of a Linux source "
                           "tree\n")
