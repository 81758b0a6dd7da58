# SPDX-License-Identifier: MIT
"""The builds of libpvh that are not the usual one, on the real Xen."""

import subprocess

import pytest

from xenlab import BUILD, LIFE, POWEROFF, ROOT, TIMEOUT, check_hello, needs_qemu, xen

pytestmark = needs_qemu
MODES = {"64": ["-m64", "-mno-red-zone"], "32": ["-m32", "-march=i686", "-idirafter", "/usr/include/x86_64-linux-gnu"]}


def hello(directory, bits, *options):
    """guest/hello with all of libpvh compiled anew."""
    program = directory / "hello.elf"
    sources = [*(ROOT / "guest" / "pvh").glob("*.[cS]"), ROOT / "guest" / "hello" / "hello.c"]
    subprocess.run(["gcc", *MODES[bits], "-O2", "-std=gnu11", "-ffreestanding", "-fpie", "-fvisibility=hidden",
                    "-mgeneral-regs-only", "-fno-stack-protector", "-fcf-protection=none", "-fno-jump-tables",
                    "-I", ROOT / "include", "-I", ROOT / "guest", *options, "-nostdlib", "-static", "-no-pie",
                    "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments", "-Wl,-z,noexecstack",
                    "-T", BUILD / "guest" / "pvh" / "pvh.ld", "-o", program, *sources], check=True, timeout=60)
    return program


@pytest.mark.parametrize("bits", MODES)
def test_hypercall_page(tmp_path, bits):
    """Start info version 0 has no map: it can only have come by a hypercall."""
    program = hello(tmp_path, bits, "-DCONFIG_PVH", "-DCONFIG_XEN_PVH", "-DPVH_XEN_HYPERCALL_PAGE")
    done = xen("dom0", "-q", "--memory", "96M", "--cmdline", "a b", program, LIFE)
    assert (done.status, done.err) == (POWEROFF, "")
    check_hello(done.out, 0, 96, 11)


@pytest.mark.parametrize("bits", MODES)
def test_without_xen(tmp_path, bits):
    program = hello(tmp_path, bits, "-DCONFIG_PVH", "-DCONFIG_KVM_GUEST_PVH")
    done = xen("dom0", "-q", "--memory", "96M", "--timeout", "8", program)
    assert done.out == ("pvh: on Xen a program needs XEN_PVH, which this one was built without\n"
                        "pvh: this is Xen, which this program was built without\n")
    assert done.status in (POWEROFF, TIMEOUT)  # it halts for good
