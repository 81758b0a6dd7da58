# SPDX-License-Identifier: MIT
"""The compressions of kernels, those that Python lacks written out: as few bytes as a test needs."""

import bz2
import gzip
import lzma
import struct

MIB = 1 << 20


def u32(*values):
    return struct.pack(f"<{len(values)}I", *values)


def rotl(value, n, bits):
    return (value << n | value >> bits - n) & (1 << bits) - 1


def xxh32(data):
    """The checksum of LZ4 frames, seed 0."""
    p1, p2, p3, p4, p5 = 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1
    mask, at = 0xffffffff, 0
    if len(data) >= 16:
        lanes = [(p1 + p2) & mask, p2, 0, -p1 & mask]
        while at + 16 <= len(data):
            for i, word in enumerate(struct.unpack_from("<4I", data, at)):
                lanes[i] = rotl((lanes[i] + word * p2) & mask, 13, 32) * p1 & mask
            at += 16
        acc = sum(rotl(lane, n, 32) for lane, n in zip(lanes, (1, 7, 12, 18))) & mask
    else:
        acc = p5
    acc = acc + len(data) & mask
    while at + 4 <= len(data):
        acc = rotl(acc + int.from_bytes(data[at:at + 4], "little") * p3 & mask, 17, 32) * p4 & mask
        at += 4
    for byte in data[at:]:
        acc = rotl(acc + byte * p5 & mask, 11, 32) * p1 & mask
    for shift, prime in ((15, p2), (13, p3), (16, 1)):
        acc = (acc ^ acc >> shift) * prime & mask
    return acc


def xxh64(data):
    """The checksum of zstd frames, seed 0."""
    p1, p2, p3 = 0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
    p4, p5 = 0x85ebca77c2b2ae63, 0x27d4eb2f165667c5
    mask, at = (1 << 64) - 1, 0

    def mix(lane, word):
        return rotl(lane + word * p2 & mask, 31, 64) * p1 & mask

    if len(data) >= 32:
        lanes = [(p1 + p2) & mask, p2, 0, -p1 & mask]
        while at + 32 <= len(data):
            lanes = [mix(lane, word) for lane, word in zip(lanes, struct.unpack_from("<4Q", data, at))]
            at += 32
        acc = sum(rotl(lane, n, 64) for lane, n in zip(lanes, (1, 7, 12, 18))) & mask
        for lane in lanes:
            acc = ((acc ^ mix(0, lane)) * p1 + p4) & mask
    else:
        acc = p5
    acc = acc + len(data) & mask
    while at + 8 <= len(data):
        acc = (rotl(acc ^ mix(0, int.from_bytes(data[at:at + 8], "little")), 27, 64) * p1 + p4) & mask
        at += 8
    if at + 4 <= len(data):
        acc = (rotl(acc ^ int.from_bytes(data[at:at + 4], "little") * p1 & mask, 23, 64) * p2 + p3) & mask
        at += 4
    for byte in data[at:]:
        acc = rotl(acc ^ byte * p5 & mask, 11, 64) * p1 & mask
    for shift, prime in ((33, p2), (29, p3), (32, 1)):
        acc = (acc ^ acc >> shift) * prime & mask
    return acc


def lz4_length(n):
    """What follows a token whose four bits of length are full."""
    return b"" if n < 15 else b"\xff" * ((n - 15) // 255) + bytes([(n - 15) % 255])


def lz4_block(literals):
    return bytes([min(len(literals), 15) << 4]) + lz4_length(len(literals)) + literals


def lz4_run(literals, n):
    """literals, then n times the last byte, then five zeros: a block of length len(literals) + n + 5."""
    return (bytes([min(len(literals), 15) << 4 | 15]) + lz4_length(len(literals)) + literals + b"\1\0"
            + lz4_length(n - 4) + b"\x50" + bytes(5))


def pieces(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)] or [b""]


def lz4_legacy(*blocks):
    return u32(0x184c2102) + b"".join(u32(len(block)) + block for block in blocks)


def lz4_frame(blocks, checksum):
    # Version 1, independent blocks, a checksum of the contents; blocks of up to 4 MiB.
    descriptor = b"\x64\x70"
    return (u32(0x184d2204) + descriptor + bytes([xxh32(descriptor) >> 8 & 0xff])
            + b"".join(u32(len(block)) + block for block in blocks) + u32(0, checksum))


ZSTD_RAW, ZSTD_RUN = 0, 1


def zstd_block(kind, contents, size, last=False):
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + contents


def zstd_frame(blocks, checksum=None):
    # Of unknown size, a window of 128 KiB.
    head = u32(0xfd2fb528) + bytes([0 if checksum is None else 4, 7 << 3])
    tail = zstd_block(ZSTD_RAW, b"", 0, last=True)
    return head + b"".join(blocks) + tail + (b"" if checksum is None else u32(checksum & 0xffffffff))


def zstd(data):
    return zstd_frame([zstd_block(ZSTD_RAW, piece, len(piece)) for piece in pieces(data, 0x20000)], xxh64(data))


COMPRESS = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    # As the kernel's build does it: the filter for x86, and a checksum that it can check.
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=[
        {"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE, filters=[
        {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 20}]),
    "bzip2": bz2.compress,
    "lz4": lambda data: lz4_legacy(*map(lz4_block, pieces(data, 8 * MIB))),
    "lz4-frame": lambda data: lz4_frame([*map(lz4_block, pieces(data, 1 << 16))], xxh32(data)),
    "zstd": zstd,
}
