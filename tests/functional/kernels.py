# SPDX-License-Identifier: MIT
"""Make kernel files, sound ones and every kind of bad one.

CASES names them all, with what is to be said about each.  Run as a program, this writes them into
a directory, with a table of what to expect, for tests that are not written in Python.

The sound ones run: they print "ok" on the first serial port and switch the machine off.
"""

import pathlib
import random
import struct
import sys
from typing import Callable, NamedTuple

from packing import (COMPRESS, MIB, ZSTD_RAW, ZSTD_RUN, lz4_block, lz4_frame, lz4_legacy, lz4_run, u32, zstd_block,
                     zstd_frame)

BASE = 0x100000

# mov dx, 0x3f8; mov al, c; out dx, al; ...; mov dx, 0x600; mov al, 0x34; out dx, al; 1: hlt; jmp 1b
CODE = (b"\x66\xba\xf8\x03" + b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in b"ok\n")
        + b"\x66\xba\x00\x06\xb0\x34\xee\xf4\xeb\xfd")

PT_LOAD, PT_NOTE, SHT_NOTE = 1, 4, 7
PHYS32_ENTRY, PHYS32_RELOC, GUEST_OS = 18, 19, 6


def u64(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def pad(data, align):
    return data + bytes(-len(data) % align)


# ---- ELF ----

FIELDS = {
    ("ehdr", 64): ("<16sHHIQQQIHHHHHH", "e_ident e_type e_machine e_version e_entry e_phoff e_shoff e_flags "
                   "e_ehsize e_phentsize e_phnum e_shentsize e_shnum e_shstrndx"),
    ("phdr", 64): ("<IIQQQQQQ", "p_type p_flags p_offset p_vaddr p_paddr p_filesz p_memsz p_align"),
    ("shdr", 64): ("<IIQQQQIIQQ", "sh_name sh_type sh_flags sh_addr sh_offset sh_size sh_link sh_info "
                   "sh_addralign sh_entsize"),
    ("phdr", 32): ("<IIIIIIII", "p_type p_offset p_vaddr p_paddr p_filesz p_memsz p_flags p_align"),
}
FIELDS["ehdr", 32] = "<16sHHIIIIIHHHHHH", FIELDS["ehdr", 64][1]
FIELDS["shdr", 32] = "<IIIIIIIIII", FIELDS["shdr", 64][1]


def record(kind, bits, **values):
    layout, names = FIELDS[kind, bits]
    return struct.pack(layout, *(values.get(name, 0) for name in names.split()))


def record_size(kind, bits):
    return struct.calcsize(FIELDS[kind, bits][0])


def note(kind, desc, owner=b"Xen\0", align=4, **lies):
    head = u32(lies.get("namesz", len(owner)), lies.get("descsz", len(desc)), kind)
    return pad(pad(head + owner, align) + desc, align)


def entry_note(entry=BASE, size=8, **kwargs):
    return note(PHYS32_ENTRY, u64(entry)[:size], **kwargs)


GNU_NOTE = note(3, bytes(20), owner=b"GNU\0")
GNU_PADDED = note(1, b"text", owner=b"GNU\0", align=8)
DAMAGED_GNU = note(1, b"", owner=b"GNU\0", descsz=0xfffffff0)
GNU_PROPERTY = note(5, u32(0xc0000002, 4, 3, 0), owner=b"GNU\0", align=8)


class Load(NamedTuple):
    """A segment, with its program header's fields where they are to differ from the truth."""
    paddr: int = BASE
    data: bytes = CODE
    memsz: int = None
    lies: dict = {}


def elf(bits=64, loads=(Load(),), notes=(entry_note(),), sections=(), header=None, note_lies=None,
        phdrs=(), tail=b""):
    """notes: contents of PT_NOTE segments; sections: of SHT_NOTE sections; phdrs: more of them."""
    n_phdrs = len(notes) + len(loads) + len(phdrs)
    start = record_size("ehdr", bits)
    body = start + n_phdrs * record_size("phdr", bits)
    table, data = [], b""

    def place(contents):
        nonlocal data
        data += bytes(-(body + len(data)) % 16)
        offset = body + len(data)
        data += contents
        return offset

    for contents in notes:
        fields = {"p_type": PT_NOTE, "p_offset": place(contents), "p_filesz": len(contents), "p_align": 4}
        table.append(fields | (note_lies or {}))
    for load in loads:
        table.append({"p_type": PT_LOAD, "p_flags": 7, "p_offset": place(load.data), "p_paddr": load.paddr,
                      "p_vaddr": load.paddr, "p_filesz": len(load.data),
                      "p_memsz": len(load.data) + 16 if load.memsz is None else load.memsz,
                      "p_align": 0x1000} | load.lies)
    table += phdrs
    shdrs = b"".join(record("shdr", bits, sh_type=SHT_NOTE, sh_offset=place(contents), sh_size=len(contents))
                     for contents in sections)
    fields = {"e_ident": b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9), "e_type": 2,
              "e_machine": 62 if bits == 64 else 3, "e_version": 1, "e_entry": BASE, "e_phoff": start,
              "e_ehsize": start, "e_phentsize": record_size("phdr", bits), "e_phnum": n_phdrs,
              "e_shentsize": record_size("shdr", bits), "e_shnum": len(sections)}
    fields["e_shoff"] = place(shdrs) if shdrs else 0
    fields |= header or {}
    return (record("ehdr", bits, **fields) + b"".join(record("phdr", bits, **p) for p in table)
            + data + tail)


# ---- compression ----

def bomb(name, n_mib, start=None):
    """An ELF's first bytes, then zeros, n_mib MiB or more, in few bytes."""
    start = elf() if start is None else start
    if name == "lz4":
        return lz4_legacy(lz4_run(start, 8 * MIB - len(start) - 5),
                          *[lz4_run(b"\0", 8 * MIB - 6)] * (n_mib // 8))
    if name == "lz4-frame":
        return lz4_frame([lz4_run(start, 4 * MIB - len(start) - 5),
                          *[lz4_run(b"\0", 4 * MIB - 6)] * (n_mib // 4)], 0)
    if name == "zstd":
        return zstd_frame([zstd_block(ZSTD_RAW, start, len(start)),
                           *[zstd_block(ZSTD_RUN, b"\0", 0x20000)] * (n_mib * 8)])
    return COMPRESS[name](start + bytes(n_mib * MIB))


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:]


def damaged(name):
    """A payload with one wrong byte, where the format can notice it."""
    if name == "lz4":
        # A match before the start of the output.
        return lz4_legacy(lz4_block(elf()), b"\x1f" + b"A" + b"\xff\xff" + b"\0" + b"\x50" + bytes(5))
    data = COMPRESS[name](elf())
    return flip(data, len(data) * 2 // 3)


# ---- bzImage ----

KERNEL_VERSION = b"6.6.6-test (pronto@example) #1 SMP"


def bzimage(payload, n_setup=2, gap=64, proper=None, tail=b"", **lies):
    """The header's fields as boot protocol 2.15 has them; `lies` replace them by name.  `proper` is what
    stands in front of the payload, instead of `gap` zeros: the code that unpacks it."""
    proper = bytes(gap) if proper is None else proper
    fields = {"setup_sects": n_setup, "boot_flag": 0xaa55, "header": 0x53726448, "version": 0x20f,
              "kernel_version": 0x300 - 0x200, "payload_offset": len(proper), "payload_length": len(payload),
              "init_size": 16 * MIB} | lies
    layout = {"setup_sects": ("B", 0x1f1), "boot_flag": ("<H", 0x1fe), "header": ("<I", 0x202),
              "version": ("<H", 0x206), "kernel_version": ("<H", 0x20e), "payload_offset": ("<I", 0x248),
              "payload_length": ("<I", 0x24c), "init_size": ("<I", 0x260), "jump": ("<H", 0x200),
              "kernel_alignment": ("<I", 0x230), "relocatable_kernel": ("B", 0x234), "xloadflags": ("<H", 0x236),
              "cmdline_size": ("<I", 0x238), "pref_address": ("<Q", 0x258)}
    setup = bytearray((n_setup + 1) * 512)
    setup[:2] = b"MZ"
    setup[0x300:0x300 + len(KERNEL_VERSION)] = KERNEL_VERSION
    for name, value in fields.items():
        struct.pack_into(layout[name][0], setup, layout[name][1], value)
    return bytes(setup) + proper + payload + tail


def bzimage_64(payload, **lies):
    """With a 64-bit entry, and code there that needs no unpacking."""
    return bzimage(payload, proper=bytes(0x200) + CODE, **{
        "jump": 0x6aeb, "kernel_alignment": 2 * MIB, "relocatable_kernel": 1, "xloadflags": 3,
        "cmdline_size": 2047, "pref_address": 16 * MIB, "init_size": 8 * MIB} | lies)


def linux_payload(name, data):
    """With the size that the kernel's build appends to all but gzip's, which has it already."""
    return COMPRESS[name](data) + (b"" if name == "gzip" else u32(len(data)))


# ---- the cases ----

class Case(NamedTuple):
    make: Callable[[], bytes]
    boots: bool
    says: str  # extended regular expression, found in the reason; "" if it boots
    shim: bool = False  # not by its own PVH entry, but through pvh-shim


CASES = {}


def good(name, make):
    CASES[name] = Case(make, True, "")


def bad(name, says, make):
    CASES[name] = Case(make, False, says)


def through_shim(name, says, make):
    CASES[name] = Case(make, False, says, True)


TRUNCATED = "truncated"
CPIO = b"070701" + b"0" * 104
LINUX_NO_PVH = "no PVH entry .*CONFIG_PVH=y"
NO_PVH = "no PVH entry .*: it is entered in some other way"
DAMAGED_NOTE = "no PVH entry can be found, for "


def elf_good_cases():
    for bits in 32, 64:
        for size in 4, 8:
            good(f"elf{bits}-entry-{size}", lambda b=bits, s=size: elf(b, notes=[entry_note(size=s)]))
        good(f"elf{bits}-section-note", lambda b=bits: elf(b, notes=[], sections=[GNU_NOTE, entry_note()]))
    for bits, machine in (32, 62), (64, 3):
        good(f"elf{bits}-machine-{machine}", lambda b=bits, m=machine: elf(b, header={"e_machine": m}))
    good("elf-headers-below-1m", lambda: elf(loads=[Load(MIB - 0x1000, bytes(0x1000) + CODE)],
                                             notes=[entry_note(MIB)]))
    good("elf-at-0", lambda: elf(loads=[Load(0, CODE)], notes=[entry_note(0)]))
    good("elf-dyn", lambda: elf(header={"e_type": 3}))
    good("elf-note-after-others", lambda: elf(notes=[GNU_NOTE + note(GUEST_OS, b"linux\0") + entry_note()]))
    good("elf-note-in-second-segment", lambda: elf(notes=[GNU_NOTE, entry_note()]))
    # The walk by 4 finds nothing: it goes astray, or comes out right by accident.
    good("elf-note-8-aligned", lambda: elf(notes=[GNU_PADDED + entry_note(size=4, align=8)]))
    good("elf-note-8-aligned-cut", lambda: elf(notes=[GNU_PADDED + entry_note(size=4)]))
    good("elf-note-8-aligned-damaged", lambda: elf(notes=[
        GNU_PADDED + entry_note(size=4, align=8) + DAMAGED_GNU]))
    # It finds something: all, or what comes before it goes astray.
    good("elf-note-8-aligned-late", lambda: elf(notes=[
        note(GUEST_OS, b"linux\0\0\0") + GNU_PADDED + entry_note(size=4, align=8)]))
    good("elf-note-4-aligned-damaged", lambda: elf(notes=[
        entry_note(size=4) + note(GUEST_OS, b"linux\0") + DAMAGED_GNU + bytes(8)]))
    good("elf-note-4-aligned-as-if-8", lambda: elf(notes=[
        GNU_PADDED[:20] + entry_note(size=4) + DAMAGED_GNU + bytes(8)]))
    good("elf-note-8-aligned-p-align", lambda: elf(notes=[
        GNU_PROPERTY + entry_note()], note_lies={"p_align": 8}))
    good("elf-note-at-offset-0", lambda: elf(notes=[GNU_NOTE], note_lies={"p_offset": 0},
                                             sections=[entry_note()]))
    good("elf-first-entry-wins", lambda: elf(notes=[entry_note(), entry_note(0xdead0000)]))
    good("elf-malformed-entry-first", lambda: elf(notes=[
        note(PHYS32_ENTRY, b"\1\2") + note(PHYS32_ENTRY, u64(BASE, 0)) + entry_note()]))
    good("elf-damaged-note-elsewhere", lambda: elf(notes=[DAMAGED_GNU, entry_note()]))
    for n in 0, 1, 2, 3:
        values = u32(0x1000, BASE, 0x3fffffff)[:4 * n]
        good(f"elf-reloc-{n}", lambda v=values: elf(notes=[entry_note() + note(PHYS32_RELOC, v)]))
    # Where it was linked to there is never RAM.
    good("elf-reloc-moves", lambda: elf(loads=[Load(0xd0000000)], notes=[
        entry_note(0xd0000000) + note(PHYS32_RELOC, u32(0x1000, BASE, 0x3fffffff))]))
    good("elf-64-segments", lambda: elf(loads=[
        Load(BASE + 0x1000 * i, CODE if not i else b"x") for i in range(64)]))
    good("elf-unsorted-segments", lambda: elf(loads=[Load(BASE + 0x3000, b"x"), Load()]))
    good("elf-empty-segment", lambda: elf(loads=[Load(), Load(0, b"", 0)]))


def elf_bad_cases():
    bad("empty", "empty", lambda: b"")
    bad("initrd", "no kernel: it looks like an initrd .* swapped", lambda: CPIO)
    bad("efi-firmware", "no kernel: it looks like EFI firmware", lambda: bytes(40) + b"_FVH" + bytes(1000))
    bad("qcow2", "no kernel: it looks like a disk image", lambda: b"QFI\xfb" + bytes(1000))
    bad("boot-sector", "no kernel: it looks like a boot sector", lambda: bytes(510) + b"\x55\xaa")
    bad("text", "no kernel", lambda: b"Not a kernel at all.\n" * 100)
    for bits in 32, 64:
        kernel = elf(bits)
        ehdr, phdr = record_size("ehdr", bits), record_size("phdr", bits)
        for cut in 1, 3:
            bad(f"elf{bits}-cut-{cut}", "no kernel", lambda k=kernel, c=cut: k[:c])
        for cut in 4, 15, 16, 40, ehdr - 1, ehdr, ehdr + 1, ehdr + phdr, ehdr + 2 * phdr - 1:
            bad(f"elf{bits}-cut-{cut}", TRUNCATED, lambda k=kernel, c=cut: k[:c])
        for cut in ehdr + 2 * phdr, len(kernel) - len(CODE), len(kernel) - 1:
            bad(f"elf{bits}-cut-{cut}", TRUNCATED, lambda k=kernel, c=cut: k[:c])
    for name, says, header in (
            ("class-0", "ELF class is 0", {"e_ident": b"\x7fELF\0\1\1" + bytes(9)}),
            ("class-3", "ELF class is 3", {"e_ident": b"\x7fELF\3\1\1" + bytes(9)}),
            ("big-endian", "big-endian", {"e_ident": b"\x7fELF\2\2\1" + bytes(9)}),
            ("no-endian", "byte order is 0", {"e_ident": b"\x7fELF\2\0\1" + bytes(9)}),
            ("version", "ELF version is 9", {"e_ident": b"\x7fELF\2\1\x09" + bytes(9)}),
            ("arm", "machine 183", {"e_machine": 183}),
            ("object", "relocatable object", {"e_type": 1}),
            ("core", "core dump", {"e_type": 4}),
            ("type-0", "unknown type", {"e_type": 0}),
            ("no-phdrs", "no program headers", {"e_phnum": 0}),
            ("phoff-0", "no program headers", {"e_phoff": 0}),
            ("phentsize", "55 bytes each", {"e_phentsize": 55}),
            ("phnum", "65535 program headers", {"e_phnum": 0xffff}),
            ("phnum-truncated", TRUNCATED, {"e_phnum": 500}),
            ("phoff-wraps", TRUNCATED, {"e_phoff": (1 << 64) - 8})):
        bad(f"elf-{name}", says, lambda h=header: elf(header=h))
    bad("elf32-arm", "machine 40", lambda: elf(32, header={"e_machine": 40}))
    bad("elf-no-load", "no segment to load", lambda: elf(loads=[]))
    bad("elf-65-segments", "more than 64", lambda: elf(loads=[Load(BASE + 0x1000 * i) for i in range(65)]))
    bad("elf-overlap", "overlap", lambda: elf(loads=[Load(), Load(BASE + 8)]))
    bad("elf-same-place", "overlap", lambda: elf(loads=[Load(), Load()]))
    bad("elf-overlap-by-memory", "overlap", lambda: elf(loads=[Load(memsz=0x2001), Load(BASE + 0x2000)]))
    bad("elf64-wraps", "wraps", lambda: elf(loads=[Load(), Load((1 << 64) - 8)]))
    bad("elf64-huge", "wraps", lambda: elf(loads=[Load(memsz=(1 << 64) - 1)]))
    bad("elf64-to-the-last-byte", "end of the address space",
        lambda: elf(loads=[Load(), Load((1 << 64) - 64, memsz=64)]))
    bad("elf32-wraps", "wraps", lambda: elf(32, loads=[Load(), Load((1 << 32) - 8)]))
    bad("elf-beyond-file", TRUNCATED, lambda: elf(loads=[Load(memsz=0x2000, lies={"p_filesz": 0x1000})]))
    bad("elf-offset-wraps", TRUNCATED, lambda: elf(loads=[Load(lies={"p_offset": (1 << 64) - 16})]))
    bad("elf-memory-below-file", "only 3 in memory", lambda: elf(loads=[Load(memsz=3)]))
    bad("elf-in-device-hole", "device hole", lambda: elf(loads=[Load(), Load(0xd0000000)]))
    bad("elf-in-low-hole", "hole below 1 MiB", lambda: elf(loads=[Load(), Load(0x9f000, memsz=0x2000)]))
    bad("elf-outside-ram", "outside the guest's RAM",
        lambda: elf(loads=[Load(), Load(1 << 46)]))


def note_bad_cases():
    for bits in 32, 64:
        bad(f"elf{bits}-no-note", NO_PVH, lambda b=bits: elf(b, notes=[]))
    bad("elf-other-notes", NO_PVH, lambda: elf(notes=[GNU_NOTE + note(GUEST_OS, b"netbsd\0")]))
    # Known by its type alone, if nothing in the file is Xen's.
    good("elf-other-owner", lambda: elf(notes=[entry_note(owner=b"NuttX\0", size=4)]))
    good("elf-owner-without-nul", lambda: elf(notes=[GNU_NOTE + entry_note(owner=b"Xen")]))
    good("elf-no-owner", lambda: elf(notes=[GNU_NOTE + entry_note(owner=b"")]))
    bad("elf-other-owner-beside-xen", NO_PVH,
        lambda: elf(notes=[entry_note(owner=b"NuttX\0") + note(GUEST_OS, b"netbsd\0")]))
    # Nothing counts, and one of the two walks comes out right.
    bad("elf-other-notes-8-aligned", NO_PVH, lambda: elf(notes=[2 * GNU_PADDED]))
    bad("elf-other-notes-4-aligned", NO_PVH, lambda: elf(notes=[GNU_PADDED[:20] + GNU_NOTE]))
    bad("elf-other-owner-damaged", NO_PVH, lambda: elf(notes=[note(PHYS32_ENTRY, b"\1\2", owner=b"NuttX\0")]))
    bad("elf-other-owner-far", "lies outside", lambda: elf(notes=[entry_note(0xdead0000, owner=b"NuttX\0")]))
    plain = pad(elf(32, notes=[]), 8) + bytes(2000)
    for name, words in (("1", u32(0x1badb002, 3, 0xe4524ffb)), ("2", u32(0xe85250d6, 0, 16, 0x17adaf1a))):
        bad(f"elf-multiboot-{name}", "no PVH entry .*Multiboot", lambda w=words: plain + w)
        bad(f"elf-multiboot-{name}-wrong-sum", NO_PVH, lambda w=words: plain + w[:-4] + bytes(4))
    bad("elf-u-boot", "no PVH entry .*it is U-Boot", lambda: elf(notes=[], tail=b"U-Boot 2023.01"))
    # A note of Xen's in a segment: sections do not count.
    bad("elf-entry-in-section-only", NO_PVH,
        lambda: elf(notes=[note(GUEST_OS, b"netbsd\0")], sections=[entry_note()]))
    for size in 0, 2, 3, 5, 16:
        bad(f"elf-entry-{size}", "note that names its PVH entry is damaged",
            lambda s=size: elf(notes=[note(PHYS32_ENTRY, bytes(s))]))
    bad("elf-entry-above-4g", "note that names its PVH entry is damaged",
        lambda: elf(notes=[note(PHYS32_ENTRY, u64(BASE | 1 << 32))]))
    bad("elf-note-outside-file", DAMAGED_NOTE + "a note segment or section lies outside the file",
        lambda: elf(note_lies={"p_offset": 0x10000}))
    bad("elf-note-segment-too-long", DAMAGED_NOTE + "a note segment or section lies outside the file",
        lambda: elf(note_lies={"p_filesz": 0x10000}))
    bad("elf-note-segment-wraps", DAMAGED_NOTE + "a note segment or section lies outside the file",
        lambda: elf(note_lies={"p_offset": (1 << 64) - 4}))
    bad("elf-note-segment-too-short", DAMAGED_NOTE + "a note does not fit", lambda: elf(note_lies={"p_filesz": 20}))
    for name, lies in (("namesz", {"namesz": 0x1000}), ("namesz-max", {"namesz": 0xffffffff}),
                       ("descsz", {"descsz": 0x1000}), ("descsz-max", {"descsz": 0xffffffff}),
                       ("both-max", {"namesz": 0xffffffff, "descsz": 0xffffffff})):
        bad(f"elf-note-{name}", DAMAGED_NOTE + "a note does not fit",
            lambda v=lies: elf(notes=[entry_note(**v)]))
    bad("elf-many-notes", DAMAGED_NOTE + "it has more notes",
        lambda: elf(notes=[bytes(12 * 100000) + entry_note()]))
    bad("elf-too-many-sections", DAMAGED_NOTE + "its section headers", lambda: elf(
        notes=[], sections=[GNU_NOTE], header={"e_shnum": 0xffff}))
    bad("elf-sections-outside-file", DAMAGED_NOTE + "its section headers", lambda: elf(
        notes=[], sections=[GNU_NOTE], header={"e_shoff": (1 << 64) - 64}))
    for name, entry in (("below", BASE - 1), ("above", BASE + len(CODE)), ("zero", 0), ("far", 0xfffffff0)):
        bad(f"elf-entry-{name}", "lies outside", lambda e=entry: elf(notes=[entry_note(e)]))


def big_elf(size):
    """Of more than one block or buffer, hard to compress, no two parts alike."""
    return elf(loads=[Load(), Load(2 * MIB, random.Random(1).randbytes(size))])


def packed_cases():
    good("elf-big", lambda: big_elf(MIB))
    good("elf-9m", lambda: big_elf(9 * MIB))
    # Zeros amid data, at places of no special kind, and at the end.
    holes = elf(loads=[Load(), Load(2 * MIB, big_elf(MIB) + bytes(MIB) + b"x" * 12345 + bytes(MIB))])
    good("elf-holes", lambda: holes)
    for name in COMPRESS:
        good(f"bare-{name}-holes", lambda n=name: COMPRESS[n](holes))
    good("bare-lz4-9m", lambda: linux_payload("lz4", big_elf(9 * MIB)))
    for name in COMPRESS:
        good(f"bare-{name}", lambda n=name: COMPRESS[n](elf()))
        good(f"bare-{name}-big", lambda n=name: COMPRESS[n](big_elf(MIB)))
        good(f"bare-{name}-in-pieces", lambda n=name: COMPRESS[n](elf()[:100]) + COMPRESS[n](elf()[100:]))
        good(f"bare-{name}-with-size", lambda n=name: linux_payload(n, elf()))
        good(f"bzimage-{name}", lambda n=name: bzimage(linux_payload(n, elf())))
        bad(f"bzimage-{name}-damaged", "damaged|ends early", lambda n=name: bzimage(damaged(n)))
        bad(f"bare-{name}-damaged", "damaged|ends early", lambda n=name: damaged(n))
        bad(f"bzimage-{name}-short", "ends early|damaged",
            lambda n=name: bzimage(COMPRESS[n](elf()), payload_length=len(COMPRESS[n](elf())) // 2))
        bad(f"bare-{name}-cut", "ends early|damaged", lambda n=name: COMPRESS[n](elf())[:-9])
        bad(f"bare-{name}-magic-only", "ends early|not an ELF|damaged", lambda n=name: COMPRESS[n](elf())[:9])
        bad(f"bzimage-{name}-bomb", "unpacks to more than the 16384 KiB",
            lambda n=name: bzimage(bomb(n, 24)))
        bad(f"bzimage-{name}-wrong-size", "damaged",
            lambda n=name: bzimage(COMPRESS[n](elf()) + u32(len(elf()) + 1)))
        bad(f"bzimage-{name}-not-elf", "not an ELF", lambda n=name: bzimage(COMPRESS[n](bytes(MIB))))
        bad(f"bare-{name}-empty", "not an ELF|damaged|ends early", lambda n=name: COMPRESS[n](b""))
        bad(f"bare-{name}-initrd", "not an ELF kernel, it looks like an initrd .* swapped",
            lambda n=name: COMPRESS[n](CPIO))
        bad(f"bare-{name}-no-note", NO_PVH, lambda n=name: COMPRESS[n](elf(notes=[])))
        bad(f"bzimage-{name}-elf-damaged", TRUNCATED, lambda n=name: bzimage(COMPRESS[n](elf()[:-1])))
    # Of no use, and not unpacked: whether it ends well is not seen.
    good("bare-zstd-bomb", lambda: bomb("zstd", 1025))
    good("bare-lz4-bomb", lambda: bomb("lz4", 1025)[:-5])
    good("bare-bzip2-bomb", lambda: bomb("bzip2", 40)[:-5])
    # Section headers in reach, and out of it, for either class.
    for bits in 32, 64:
        for where, at in ("near", 8 * MIB), ("far", 40 * MIB):
            good(f"bare-zstd-sections-{where}-{bits}", lambda b=bits, a=at: bomb("zstd", 48, elf(
                b, header={"e_shoff": a, "e_shnum": 4, "e_shstrndx": 1})))
    large = elf(loads=[Load(lies={"p_filesz": 5 << 30, "p_memsz": 5 << 30})])
    bad("bare-zstd-over-limit", "5121 MiB to load, and no more than [0-9]+ MiB are unpacked",
        lambda: bomb("zstd", 4, large))
    bad("bare-gzip-pieces", "in more than 4096 pieces", lambda: COMPRESS["gzip"](elf()) + COMPRESS["gzip"](b"") * 4096)
    bad("bare-lz4-pieces", "in more than 4096 pieces", lambda: COMPRESS["lz4"](elf()) + u32(0x184c2102) * 4097)
    bad("bare-lz4-block-of-nothing", "damaged", lambda: lz4_legacy(lz4_block(b"")) + bytes(5))
    bad("bare-zstd-large-window", "more than 256 MiB of memory",
        lambda: u32(0xfd2fb528) + b"\0" + bytes([21 << 3]) + zstd_block(ZSTD_RUN, b"\0", 99, last=True))
    bad("bare-lzma-large-dictionary", "more than 256 MiB of memory",
        lambda: b"\x5d\0\0\0\x40" + COMPRESS["lzma"](elf())[5:])
    bad("bare-gzip-trailing-junk", "damaged", lambda: COMPRESS["gzip"](elf()) + b"junk, and more junk")
    bad("bare-lzo", "lzo", lambda: b"\x89LZO\0\r\n\x1a\n" + bytes(100))
    bad("bare-gzip-of-bzimage", "not an ELF",
        lambda: COMPRESS["gzip"](bzimage(COMPRESS["gzip"](elf()))))


def bzimage_cases():
    payload = COMPRESS["gzip"](elf())
    whole = bzimage(payload)
    # 0 sectors of setup code mean 4, as in the oldest kernels.
    good("bzimage-setup-sects-0", lambda: bzimage(payload, n_setup=4, setup_sects=0))
    good("bzimage-old-protocol", lambda: bzimage(payload, version=0x208, init_size=0))
    good("bzimage-signed", lambda: bzimage(payload, tail=b"signature" * 50))
    good("bzimage-version-outside", lambda: bzimage(payload, kernel_version=0xfff0))
    for cut in 2, 0x1f1, 0x1ff, 0x205:
        bad(f"bzimage-cut-{cut}", "no kernel", lambda c=cut: whole[:c])
    for cut in 0x206, 0x248, 0x24c, 0x250, 0x260, 0x26b:
        bad(f"bzimage-cut-{cut}", TRUNCATED, lambda c=cut: whole[:c])
    for cut in 0x26c, 0x400, 1536 + 64, 1536 + 65, len(whole) - 1:
        bad(f"bzimage-cut-{cut}", TRUNCATED, lambda c=cut: whole[:c])
    for name, says, lies in (
            ("offset-max", TRUNCATED, {"payload_offset": 0xffffffff}),
            ("offset-end", TRUNCATED, {"payload_offset": len(payload) + 64}),
            ("offset-off", "nothing compressed", {"payload_offset": 60}),
            ("length-0", "no kernel to unpack: what calls itself 6.6.6-test .* is entered by Linux's own protocol", {"payload_length": 0}),
            ("length-1", "nothing compressed", {"payload_length": 1, "payload_offset": len(payload) + 63}),
            ("length-max", TRUNCATED, {"payload_length": 0xffffffff}),
            ("length-less", "ends early", {"payload_length": len(payload) - 1}),
            ("protocol-2.07", "protocol 2.07", {"version": 0x207}),
            ("init-size-1", "more than the 1 KiB", {"init_size": 100}),
            ("sects-255", TRUNCATED, {"setup_sects": 255})):
        bad(f"bzimage-{name}", says, lambda v=lies: bzimage(payload, **v))
    bad("bzimage-length-more", "damaged",
        lambda: bzimage(payload, payload_length=len(payload) + 8, tail=b"trailing"))
    bad("bzimage-no-magic", "no kernel", lambda: bzimage(payload, header=0))
    bad("bzimage-no-boot-flag", "no kernel", lambda: bzimage(payload, boot_flag=0))
    bad("bzimage-lzo", "lzo", lambda: bzimage(b"\x89LZO\0\r\n\x1a\n" + bytes(100)))


def linux_elf(**kwargs):
    """Without a note, but by its banner a Linux.  Not where pvh-shim lies."""
    return elf(loads=[Load(16 * MIB, CODE + b"Linux version 6.6.6-test")], notes=[],
               header={"e_entry": 16 * MIB}, **kwargs)


def shim_cases():
    for name in "gzip", "zstd", "lz4":
        through_shim(f"shim-bzimage-{name}", LINUX_NO_PVH, lambda n=name: bzimage_64(linux_payload(n, elf(notes=[]))))
    through_shim("shim-bzimage-signed", LINUX_NO_PVH,
                 lambda: bzimage_64(COMPRESS["gzip"](elf(notes=[])), tail=b"signature" * 50))
    through_shim("shim-bzimage-fixed", LINUX_NO_PVH,
                 lambda: bzimage_64(COMPRESS["gzip"](elf(notes=[])), relocatable_kernel=0))
    # What nobody can unpack here, the kernel itself can.
    through_shim("shim-bzimage-lzo", "lzo", lambda: bzimage_64(b"\x89LZO\0\r\n\x1a\n" + bytes(100)))
    through_shim("shim-elf", LINUX_NO_PVH, linux_elf)
    through_shim("shim-elf-debug", LINUX_NO_PVH, lambda: linux_elf(tail=bytes(MIB)))
    through_shim("shim-elf-note", LINUX_NO_PVH, lambda: elf(
        loads=[Load(16 * MIB)], notes=[note(GUEST_OS, b"linux\0")], header={"e_entry": 16 * MIB}))
    bad("elf-linux-low", "where pvh-shim lies|no PVH entry", lambda: elf(notes=[note(GUEST_OS, b"linux\0")]))
    for name in "gzip", "xz":
        through_shim(f"shim-bare-{name}", LINUX_NO_PVH, lambda n=name: COMPRESS[n](linux_elf()))
    bad("bzimage-32-no-note", LINUX_NO_PVH, lambda: bzimage_64(COMPRESS["gzip"](elf(notes=[])), xloadflags=2))
    bad("bzimage-old-no-note", LINUX_NO_PVH, lambda: bzimage_64(COMPRESS["gzip"](elf(notes=[])), version=0x20b))


for fill in elf_good_cases, elf_bad_cases, note_bad_cases, packed_cases, bzimage_cases, shim_cases:
    fill()


def write(directory, names=()):
    """Each case in a file of its name; `expect` has lines of name, 1 if it boots, and what is said."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "expect", "w", encoding="ascii") as table:
        for name in names or CASES:
            case = CASES[name]
            (directory / name).write_bytes(case.make())
            table.write(f"{name}\t{case.boots:d}\t{case.says}\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: kernels.py DIRECTORY [NAME...]")
    write(sys.argv[1], sys.argv[2:])
