# SPDX-License-Identifier: MIT
"""What the benchmarks ask of an ELF64 kernel."""
import struct
from collections import namedtuple

PT_LOAD, PT_NOTE = 1, 4
PF_W = 2

Header = namedtuple('Header', 'kind flags offset vaddr paddr filesz memsz align')


def program_headers(elf):
    """ELF: the file's bytes."""
    at, = struct.unpack_from('<Q', elf, 0x20)
    size, count = struct.unpack_from('<HH', elf, 0x36)
    return [Header(*struct.unpack_from('<IIQQQQQQ', elf, at + i * size)) for i in range(count)]


def constant_ranges(elf, page):
    """[(first page, end), ...] of what an ELF64 kernel says it will not write: its code and constants.

    Pages are counted from guest-physical address 0; those at the edges, which hold other things too, are left out.
    """
    ranges = [(-(-header.paddr // page), (header.paddr + header.memsz) // page) for header in program_headers(elf)
              if header.kind == PT_LOAD and not header.flags & PF_W]
    return [(first, end) for first, end in ranges if first < end]
