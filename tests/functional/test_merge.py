# SPDX-License-Identifier: MIT
"""--merge: which of a guest's pages the host is allowed to merge, and what is said where it will not."""

import pathlib
import re
import subprocess

import pytest

import kernels
import vm

KSM = pathlib.Path("/sys/kernel/mm/ksm/run")
IDLE = "pronto: warn: --merge: the host merges no pages now; echo 1 >/sys/kernel/mm/ksm/run has it do so\n"
THROUGH_SHIM = ("pronto: warn: --merge kernel: nothing will be merged, as through pvh-shim the kernel chooses its "
                "own place; --merge all merges all memory\n")
READ, WRITE, EXECUTE = 4, 2, 1
SPEAK_AND_HALT = b"\x66\xba\xf8\x03\xb0!\xee\xf4\xeb\xfd"

pytestmark = pytest.mark.skipif(not KSM.exists(), reason="this host's kernel has no KSM")


def segments():
    """Code, data, and constants that neither begin nor end with a page."""
    return [kernels.Load(data=SPEAK_AND_HALT, memsz=0x5010, lies={"p_flags": READ | EXECUTE}),
            kernels.Load(0x200000, b"data", memsz=0x8000, lies={"p_flags": READ | WRITE}),
            kernels.Load(0x300800, b"constants", memsz=0x3000, lies={"p_flags": READ})]


def idle():
    return "" if not KSM.exists() or KSM.read_text(encoding="ascii").strip() == "1" else IDLE


def mappings(pid):
    """[(start, end, whether it may be merged), ...], by address."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="ascii")
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*?^VmFlags:([^\n]*)", text, re.M | re.S)
    return sorted((int(start, 16), int(end, 16), " mg" in flags) for start, end, flags in found)


def ram_base(maps, size):
    """RAM begins at a multiple of 2 MiB, and is mapped from there on without a gap."""
    for first, (base, _, _) in enumerate(maps):
        end = base
        for start, stop, _ in maps[first:]:
            if start != end:
                break
            end = stop
        if base % (2 << 20) == 0 and end - base >= size:
            return base
    raise AssertionError(maps)


def sum_up(ranges):
    """Neighbours as one."""
    result = []
    for at, size in ranges:
        if result and sum(result[-1]) == at:
            result[-1] = result[-1][0], result[-1][1] + size
        else:
            result.append((at, size))
    return result


@pytest.mark.kvm
@pytest.mark.parametrize("options, ranges", [
    ((), []),
    (("--merge", "none"), []),
    (("--merge", "kernel"), [(0x100000, 0x5000), (0x301000, 0x2000)]),
    (("--merge", "all"), [(0, 64 << 20)]),
], ids=["default", "none", "kernel", "all"])
def test_what_may_be_merged(start, tmp_path, options, ranges):
    path = tmp_path / "kernel"
    path.write_bytes(kernels.elf(loads=segments()))
    guest = start(path, "-m", "64M", *options)
    guest.expect("!")
    maps = mappings(guest.pid)
    base = ram_base(maps, 64 << 20)
    assert sum_up((start - base, stop - start) for start, stop, merge in maps if merge) == ranges
    guest.expect(idle() if ranges else "", where="err")
    assert guest.err.decode() == (idle() if ranges else "")


@pytest.mark.kvm
def test_each_life_is_merged_and_one_tells(start):
    guest = start("lives", "-m", "64M", "--merge", "all", "--on-reboot", "restart", stdin=subprocess.PIPE)
    for n_lives in range(1, 4):
        vm.wait_until(lambda n=n_lives: guest.out.count(b"life:") == n, what="the next life")
        assert sum(stop - start for start, stop, merge in mappings(guest.pid) if merge) == 64 << 20
        guest.send(b"q" if n_lives == 3 else b"a")
    result = guest.wait()
    assert result.status == vm.POWEROFF
    assert [line for line in result.err.splitlines(True) if "merge" in line] == ([idle()] if idle() else [])


@pytest.mark.kvm
def test_on_both_sides_of_the_hole(start, tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(kernels.elf(loads=segments()))
    guest = start(path, "-m", "5G", "--merge", "all")
    guest.expect("!")
    assert sum(stop - start for start, stop, merge in mappings(guest.pid) if merge) == 5 << 30


@pytest.mark.parametrize("options, err", [(("--merge", "kernel"), THROUGH_SHIM), (("--merge", "all"), idle())])
def test_through_shim(run, tmp_path, options, err):
    path = tmp_path / "kernel"
    path.write_bytes(kernels.CASES["shim-elf"].make())
    done = run(path, "--dry-run", *options)
    assert (done.status, done.err) == (vm.POWEROFF, err)
