# SPDX-License-Identifier: MIT
"""load: the same as start, with a kernel of a distribution's size in place of the tiny one.

The kernel is Debian's, whole, but for the few bytes at its PVH entry: there the tiny guest's code stands,
so that the moment of its first instruction can be seen from outside.
"""
import os
import struct
import subprocess

from benchkit.elf import PT_LOAD, PT_NOTE, program_headers
from benchkit import linux, monitors, place, rounds, setup
from labkit import images, packages
from labkit.kernel import Kernel

NAME = 'load'
TITLE = "Debian's kernel loaded: process start to its first instruction"
PHYS32_ENTRY = 18
METRICS = {
    'up_ms': ('start to first byte', 'ms'),
    'up_cpu_ms': ('start to first byte', 'ms of CPU'),
    'beyond_cpu_ms': ('beyond the tiny guest', 'ms of CPU'),
    'minflt': ('page faults of the process', 'faults'),
}
SLOW = {'qemu-q35': 'goes through a BIOS; see start'}


def why_not(given):
    return setup.why_no_kvm() or linux.why_not()


def entry_offset(elf):
    """Where in the ELF file the code at its PVH entry lies."""
    headers = program_headers(elf)
    entry = None
    for header in headers:
        if header.kind == PT_NOTE:
            entry = entry or _find_note(elf[header.offset:header.offset + header.filesz])
    for header in headers:
        if header.kind == PT_LOAD and entry and header.paddr <= entry < header.paddr + header.filesz:
            return header.offset + entry - header.paddr
    raise place.Failed('the kernel has no PVH entry')


def _find_note(notes):
    at = 0
    while at + 12 <= len(notes):
        namesz, descsz, kind = struct.unpack_from('<III', notes, at)
        desc = at + 12 + (namesz + 3 & ~3)
        if kind == PHYS32_ENTRY and notes[at + 12:at + 12 + namesz] == b'Xen\0':
            return int.from_bytes(notes[desc:desc + descsz], 'little')
        at = desc + (descsz + 3 & ~3)
    return None


def make_kernels(given, end='halt'):
    """The two forms of the kernel with the tiny guest's code in it, which halts or powers off: paths of the ELF
    file and the bzImage."""
    with open(images.vmlinux('cloud'), 'rb') as file:
        elf = bytearray(file.read())
    with open(os.path.join(given.build, 'bench', f'first-{end}.bin'), 'rb') as file:
        code = file.read()
    at = entry_offset(elf)
    elf[at:at + len(code)] = code
    with open(Kernel(packages.get('cloud')).vmlinuz, 'rb') as file:
        image = file.read()
    names = [os.path.join(given.scratch, name) for name in ('vmlinux-first', 'vmlinuz-first')]
    for name, data in zip(names, (elf, repack(image, elf))):
        with open(name, 'wb') as file:
            file.write(data)
    return names


def repack(image, elf):
    """The bzImage with another payload, packed as Debian's 6.1 is; what it is followed by is of no use."""
    offset, _ = struct.unpack_from('<II', image, 0x248)
    start = ((image[0x1f1] or 4) + 1) * 512 + offset
    packed = subprocess.run(['lz4', '-l', '-c'], input=elf, capture_output=True, check=True).stdout
    payload = packed + struct.pack('<I', len(elf))
    result = bytearray(image[:start] + payload)
    struct.pack_into('<I', result, 0x24c, len(payload))
    struct.pack_into('<I', result, 0x1f4, (len(result) - ((image[0x1f1] or 4) + 1) * 512 + 15) // 16)
    result += bytes(-len(result) % 16)
    return result


def run(given):
    where = place.Host()
    elf, bzimage = make_kernels(given)
    case = rounds.Case('256M, 1 CPU', METRICS, 'floor: without a kernel, for comparison')
    turns = {}
    case.absent.update(SLOW)
    for monitor in given.able(case, where, elf_only=True):
        if monitor.name == 'floor':
            turns['floor'] = measure(given, where, monitor, given.tiny('halt', monitor))
        else:
            turns[monitor.name] = measure(given, where, monitor, elf)
        if monitor.name == 'pronto':
            cache = os.path.join(given.scratch, 'cache')
            turns['pronto, bzImage cached'] = measure(given, where, monitor, bzimage,
                                                      {'XDG_CACHE_HOME': cache})
            turns['pronto, bzImage mapped'] = measure(
                given, where, monitors.Pronto(monitor.name, monitor.program, '--map-kernel', 'all'), bzimage,
                {'XDG_CACHE_HOME': cache})
            turns['pronto, bzImage unpacked'] = first_time(given, where, monitor, bzimage)
    return [rounds.race(case, turns, given.rounds, given.tell)]


def measure(given, where, monitor, kernel, env=None):
    """The kernel, and the tiny guest right after it, for what the kernel adds."""
    def turn():
        tiny, = place.watch(where, given.build, monitor.argv(given.tiny('halt', monitor), 256, 1), until='!', kill=True)
        told, = place.watch(where, given.build, monitor.argv(kernel, 256, 1), until='!', kill=True, env=env)
        result = {'up_ms': told['up']['wall_ns'] / 1e6, 'up_cpu_ms': told['up']['cpu_ns'] / 1e6,
                  'minflt': told['end']['minflt']}
        if monitor.name != 'floor':
            result['beyond_cpu_ms'] = (told['up']['cpu_ns'] - tiny['up']['cpu_ns']) / 1e6
        return result
    return turn


def first_time(given, where, monitor, kernel):
    """With an empty cache each time."""
    n = iter(range(1 << 30))

    def turn():
        cache = os.path.join(given.scratch, f'cache-{next(n)}')
        try:
            return measure(given, where, monitor, kernel, {'XDG_CACHE_HOME': cache})()
        finally:
            subprocess.run(['rm', '-rf', cache], check=True)
    return turn
