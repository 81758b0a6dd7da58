# SPDX-License-Identifier: MIT
"""A disk that UEFI boots from: a FAT file system with one program, which is built here."""

import struct
import subprocess

SECTOR = 512
N_SECTORS = 16384  # of one cluster each: enough for FAT16
FAT_SECTORS, ROOT_SECTORS = 64, 32
DATA = 1 + 2 * FAT_SECTORS + ROOT_SECTORS
CODE_AT = 0x1000


def program(source, tmp):
    """A PE32+ program for x86-64 of a freestanding C file, whose efi_main() runs wherever it is loaded."""
    flat = tmp / "flat.bin"
    subprocess.run(["gcc", "-m64", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fpie", "-fshort-wchar",
                    "-mno-red-zone", "-fno-stack-protector", "-fcf-protection=none", "-fno-asynchronous-unwind-tables",
                    "-Wall", "-Werror", "-Wl,--oformat=binary", f"-Wl,-Ttext={CODE_AT:#x}", "-Wl,-e,efi_main",
                    "-Wl,--build-id=none", "-o", flat, source], check=True, timeout=60)
    code = flat.read_bytes()
    code += bytes(-len(code) % SECTOR)
    end = CODE_AT + (len(code) + 0xfff & ~0xfff)
    header = b"MZ".ljust(0x3c, b"\0") + struct.pack("<I", 0x40)
    header += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 112 + 16 * 8, 0x22e)
    header += struct.pack("<HBBIIIII", 0x20b, 0, 0, len(code), 0, 0, CODE_AT, CODE_AT)
    header += struct.pack("<QIIHHHHHHIIIIHHQQQQII", 0, 0x1000, SECTOR, 0, 0, 0, 0, 0, 0, 0, end, SECTOR, 0,
                          10, 0, 0x10000, 0x1000, 0, 0, 0, 16)
    header += bytes(16 * 8)
    header += b".text".ljust(8, b"\0") + struct.pack("<IIIIIIHHI", len(code), CODE_AT, len(code), SECTOR, 0, 0, 0, 0,
                                                     0xe0000020)
    return header.ljust(SECTOR, b"\0") + code


def _entry(name, is_dir, cluster, size=0):
    base, _, extension = name.partition(".")
    short = (base.ljust(8) + extension.ljust(3)).encode() if name.strip(".") else name.ljust(11).encode()
    return struct.pack("<11sB14xHI", short, 0x10 if is_dir else 0x20, cluster, size)


def disk(content):
    """An image of a disk without partitions, with CONTENT as its \\EFI\\BOOT\\BOOTX64.EFI."""
    n = (len(content) + SECTOR - 1) // SECTOR
    boot = struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x3c\x90", b"pronto", SECTOR, 1, 1, 2, ROOT_SECTORS * 16, N_SECTORS,
                       0xf8, FAT_SECTORS, 32, 8, 0, 0)
    boot += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 1, b"PRONTO".ljust(11), b"FAT16".ljust(8))
    boot = boot.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
    # Clusters 2 and 3 are the directories, the rest is the program.
    chain = [0xfff8, 0xffff, 0xffff, 0xffff, *range(5, 4 + n), 0xffff]
    fat = struct.pack(f"<{len(chain)}H", *chain).ljust(FAT_SECTORS * SECTOR, b"\0")
    root = _entry("EFI", True, 2).ljust(ROOT_SECTORS * SECTOR, b"\0")
    efi = (_entry(".", True, 2) + _entry("..", True, 0) + _entry("BOOT", True, 3)).ljust(SECTOR, b"\0")
    boot_dir = (_entry(".", True, 3) + _entry("..", True, 2) +
                _entry("BOOTX64.EFI", False, 4, len(content))).ljust(SECTOR, b"\0")
    image = boot + 2 * fat + root + efi + boot_dir + content
    return image.ljust(N_SECTORS * SECTOR, b"\0")
