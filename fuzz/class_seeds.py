# SPDX-License-Identifier: MIT
"""Seeds of the targets that have one virtio device of a class: what its driver does, and who is at its other end."""

import struct

D_NEXT, D_WRITE, D_INDIRECT = 1, 2, 4


# Steps of fuzz_net.c: a buffer for frames or of one, then what happens to it.
def buffer(queue, i, at, length, flags=0, after=0):
    times = 64 if length > 65535 else 1
    return bytes((queue | (2 if times > 1 else 0), i)) + struct.pack("<HHBB", at // 8, length // times, flags, after)


def available(queue, head, n=1):
    return bytes((0x40 | n - 1 << 2 | queue, head))


def frame(length):
    return bytes((0x81,)) + struct.pack("<H", length)


def peer_sends(data):
    data = struct.pack(">I", len(data)) + data
    return b"".join(bytes((0x80 | len(part) << 2,)) + part for part in (data[i:i + 15] for i in range(0, len(data), 15)))


def anew(features, log_size):
    return bytes((0xc0, features, log_size))


RX_BUFFER, TX_BUFFER, PEER_READS = 0, 1, bytes((0x82,))
SMALL_BUFFERS = b"".join(buffer(RX_BUFFER, i, 0x4000 + i * 512, 512, D_WRITE) for i in range(8))

# For 0.0.0.0, the metadata service's address there: TCP, a fragment of it, and ARP.  What the guest has received it sends.
TCP = bytes(12) + bytes.fromhex("0800 45000028 00000000 40060000 0a000002 00000000") + bytes(20)
PIECE = TCP[:20] + b"\x20" + TCP[21:]
ARP = bytes(12) + bytes.fromhex("0806 0001 0800 0604 0001 020102030405 0a000002") + bytes(10)
FRAME_AND_BUFFERS = buffer(RX_BUFFER, 0, 0x4000, 512, D_WRITE) + buffer(RX_BUFFER, 1, 0x5000, 2048, D_WRITE)


def returned(data, parts=b"", features=0):
    return (anew(features, 4) + FRAME_AND_BUFFERS + available(RX_BUFFER, 0) + peer_sends(data) +
            (parts or buffer(TX_BUFFER, 0, 0x4000, 12 + len(data))) + available(RX_BUFFER, 1) + available(TX_BUFFER, 0, 2) + PEER_READS)


FRAMES = {
    "to-mmds": returned(TCP),
    "to-mmds-cut": returned(TCP, buffer(TX_BUFFER, 0, 0x4000, 32, D_NEXT, 1) + buffer(TX_BUFFER, 1, 0x4020, 34, 0)),
    "to-mmds-piece": returned(PIECE),
    "to-mmds-arp": returned(ARP),
    "to-mmds-merged": returned(TCP, features=1) + SMALL_BUFFERS + available(RX_BUFFER, 0, 8),
    "sent": buffer(TX_BUFFER, 0, 0x4000, 100) + available(TX_BUFFER, 0) * 3 + PEER_READS,
    "sent-in-parts": buffer(TX_BUFFER, 0, 0x4000, 60000) + available(TX_BUFFER, 0) * 9 + PEER_READS + available(TX_BUFFER, 0) + PEER_READS,
    "sent-too-short": buffer(TX_BUFFER, 0, 0x4000, 5) + buffer(TX_BUFFER, 1, 0x4000, 25) + available(TX_BUFFER, 0, 2) + PEER_READS,
    "received": SMALL_BUFFERS + frame(100) + available(RX_BUFFER, 0, 8) + frame(60) * 3,
    "merged": SMALL_BUFFERS + available(RX_BUFFER, 0, 8) + frame(3000) + frame(100) + frame(1500) + available(RX_BUFFER, 0, 8),
    "too-long": anew(0, 4) + SMALL_BUFFERS + available(RX_BUFFER, 0, 8) + frame(501) + frame(500) + frame(60),
    "small-ring": anew(1, 1) + SMALL_BUFFERS + available(RX_BUFFER, 0, 2) + frame(2000) + frame(900) + available(RX_BUFFER, 0, 2),
    "segments": anew(9, 8) + buffer(RX_BUFFER, 0, 0x8000, 65536, D_WRITE) + available(RX_BUFFER, 0) + frame(60) +
                buffer(RX_BUFFER, 1, 0x8000, 65536, D_WRITE) + available(RX_BUFFER, 1) + frame(65535),
    "nonsense": SMALL_BUFFERS + available(RX_BUFFER, 0, 8) + bytes((0x80 | 4 << 2, 0, 0, 0, 3)) + frame(60) + anew(1, 4) + frame(60),
    "restarted": SMALL_BUFFERS + available(RX_BUFFER, 0, 8) + frame(5000) + anew(1, 4) + SMALL_BUFFERS + available(RX_BUFFER, 0, 8) + frame(60),
    "wrong-way": buffer(RX_BUFFER, 0, 0x4000, 100) + available(RX_BUFFER, 0) + anew(5, 4) + buffer(TX_BUFFER, 0, 0x4000, 100, D_WRITE) +
                 available(TX_BUFFER, 0),
    "cut-header": anew(0, 4) + buffer(RX_BUFFER, 0, 0x4000, 11, D_WRITE | D_NEXT, 1) + buffer(RX_BUFFER, 1, 0x5000, 1, D_WRITE | D_NEXT, 2) +
                  buffer(RX_BUFFER, 2, 0x6000, 500, D_WRITE) + available(RX_BUFFER, 0) + frame(60),
}


# Steps of fuzz_vconsole.c: descriptors as those of fuzz_net.c, chains, who is at the other end, control.
def class_buffer(queue, i, at, length, flags=0, after=0):
    """As class_machine.h has it; `at` from where such buffers lie."""
    times = 64 if length > 65535 else 1
    return bytes((queue | (4 if times > 1 else 0), i)) + struct.pack("<HHBB", at // 8, length // times, flags, after)


def vc_control(event, value=1, port=0):
    return bytes((0xc1, port, event, value))


VC_RX, VC_TX, VC_CONTROL_RX, VC_CONTROL_TX = range(4)
(VC_COME, VC_SEND, VC_READ, VC_READ_ALL, VC_LEAVE, VC_LAST, VC_RESIZE, VC_CONFIG) = (bytes((0x80 | what,)) for what in range(8))
VC_READY = (class_buffer(VC_CONTROL_RX, 0, 0x2000, 64, D_WRITE) + available(VC_CONTROL_RX, 0, 4) + vc_control(0) + vc_control(3) + vc_control(6))
VC_SAY = class_buffer(VC_TX, 0, 0, 300) + available(VC_TX, 0)
VC_HEAR = class_buffer(VC_RX, 0, 0, 4096, D_WRITE) + available(VC_RX, 0)
CONSOLE, PORT, TO_FILE, TO_NOTHING = 0, 1, 4, 6

TALKERS = {
    "port": (PORT, VC_READY + VC_COME + VC_SAY + VC_READ_ALL + VC_HEAR + VC_SEND + b"\x03" + VC_HEAR + VC_LEAVE),
    "port-nobody": (PORT, VC_READY + VC_SAY + VC_COME + VC_SAY + VC_LEAVE + VC_SAY + VC_COME + VC_READ_ALL),
    "port-slow": (PORT, VC_READY + VC_COME + class_buffer(VC_TX, 1, 0, 0x20000) + available(VC_TX, 1, 8) + VC_READ + b"\xff" +
                  available(VC_TX, 1, 4) + VC_READ_ALL + VC_SAY),
    "port-left-amid": (PORT, VC_READY + VC_COME + class_buffer(VC_TX, 1, 0, 0x30000) + available(VC_TX, 1, 3) + VC_LEAVE + VC_COME + VC_SAY),
    "port-last-words": (PORT, VC_READY + VC_COME + VC_SEND + b"\xff" + VC_LAST + VC_HEAR + VC_LEAVE + VC_HEAR),
    "port-closed": (PORT, VC_READY + VC_COME + VC_HEAR + vc_control(6, 0) + VC_SEND + b"\x09" + vc_control(6) + VC_READ_ALL),
    "port-unknown": (PORT, VC_COME + VC_SEND + b"\x01" + VC_HEAR + vc_control(3, 1, 1) + vc_control(9) + vc_control(6, 1, 1) + VC_READY),
    "port-no-room": (PORT, class_buffer(VC_CONTROL_RX, 0, 0, 9, D_WRITE) + available(VC_CONTROL_RX, 0, 2) + vc_control(0) + vc_control(3)),
    "port-file": (PORT | TO_FILE, VC_READY + VC_SAY + class_buffer(VC_TX, 2, 64, 0x10000) + available(VC_TX, 2, 2)),
    "port-queue-reset": (PORT, VC_READY + VC_COME + class_buffer(VC_TX, 1, 0, 0x30000) + available(VC_TX, 1, 8) + b"\xc6" + VC_SAY +
                         VC_READ_ALL + b"\xc2" + VC_HEAR),
    "console": (CONSOLE, VC_COME + VC_SAY + VC_SEND + b"\x02" + VC_HEAR + VC_READ_ALL + VC_RESIZE + struct.pack("<HH", 80, 25)),
    "console-first": (CONSOLE, VC_SAY * 3 + class_buffer(VC_TX, 3, 0, 0x10000) + available(VC_TX, 3, 2) + VC_COME + VC_READ_ALL),
    "console-emergency": (CONSOLE, VC_CONFIG + b"\x08!" + VC_COME + VC_CONFIG + b"\x08?" + VC_CONFIG + b"\x00x"),
    "console-anew": (CONSOLE, VC_COME + VC_SAY + bytes((0xc0, 7, 5)) + VC_SAY + VC_READ_ALL + VC_SEND + b"\xff" + VC_HEAR * 2),
    "console-nothing": (TO_NOTHING, VC_SAY + class_buffer(VC_TX, 4, 0, 0x30000) + available(VC_TX, 4, 8)),
    "console-file": (TO_FILE, VC_SAY * 2 + class_buffer(VC_TX, 0, 8, 9, D_NEXT, 1) + class_buffer(VC_TX, 1, 800, 3000) + available(VC_TX, 0)),
    "wrong-way": (PORT, VC_READY + VC_COME + class_buffer(VC_RX, 0, 0, 64) + available(VC_RX, 0) + VC_SEND + b"\x01"),
}


# Steps of fuzz_balloon.c.
def bl_buffer(queue, i, at, length, flags=0, after=0, high=False):
    data = class_buffer(queue, i, at, length, flags, after)
    return bytes((data[0] | (8 if high else 0),)) + data[1:]


def bl_pages(*numbers):
    """Small ones are pages of the lower region, those from 68 on of the upper, and larger ones are as they are."""
    return bytes((0x80 | len(numbers),)) + b"".join(
        bytes((n,)) if n < 134 else b"\xff" + struct.pack("<I", n) for n in numbers)


INFLATE, DEFLATE, STATS, REPORT = range(4)
ALL = 3  # reports and statistics
BL_PAGES = 0x6000
BL_DUE = b"\xc1"
HINTS, HINT = 4, 2
BL_HINT, BL_HINT_KEEPING, BL_HINT_STOP = b"\xc5", b"\xc9", b"\xcd"


def bl_sent(queue, *numbers):
    return bl_pages(*numbers) + bl_buffer(queue, 0, BL_PAGES, 4 * len(numbers)) + available(queue, 0)


def bl_says(queue, word):
    return b"\x81\xff" + struct.pack("<I", word) + bl_buffer(queue, 0, BL_PAGES, 4) + available(queue, 0)


BALLOONS = {
    "inflate": (ALL, bl_sent(INFLATE, 8, 9, 10, 20, 63, 70, 8)),
    "deflate": (ALL, bl_sent(DEFLATE, 8, 9)),
    "no-ram": (ALL, bl_sent(INFLATE, 63, 64) + bl_sent(INFLATE, 0xffffffff, 0, 0xc0000, 132) + bl_sent(INFLATE, 68, 69, 67)),
    "its-own-rings": (ALL, bl_sent(INFLATE, 1, 2, 3, 6, 9) + bl_sent(INFLATE, 30)),
    "too-many": (0, bl_buffer(INFLATE, 0, 0x8000, 16384) + available(INFLATE, 0) + bl_buffer(INFLATE, 1, 0x8000, 0x5000) +
                 available(INFLATE, 1)),
    "cut-number": (0, bl_pages(8, 9) + bl_buffer(INFLATE, 0, BL_PAGES, 7) + available(INFLATE, 0)),
    "pieces": (0, bl_pages(8, 9, 10) + bl_buffer(INFLATE, 0, BL_PAGES, 6, D_NEXT, 1) + bl_buffer(INFLATE, 1, BL_PAGES + 8, 4) +
               available(INFLATE, 0)),
    "report": (ALL, bl_buffer(REPORT, 0, 0x10000, 0x8000, D_WRITE | D_NEXT, 1) + bl_buffer(REPORT, 1, 0, 0x4000, D_WRITE, high=True) +
               available(REPORT, 0)),
    "report-parts": (1, bl_buffer(2, 0, 0x10008, 0x1ff0, D_WRITE) + available(2, 0) + bl_buffer(2, 1, 0x10008, 0xff0, D_WRITE) + available(2, 1)),
    "report-poison": (ALL, b"\xc0\x04\x06" + b"\xca" + b"\x0c\xaa\0\0\0" + bl_buffer(REPORT, 0, 0x10000, 0x8000, D_WRITE) +
                      available(REPORT, 0) + b"\xca" + b"\x0c\0\0\0\0" + available(REPORT, 0)),
    "statistics": (ALL, bl_buffer(STATS, 0, 0x7000, 100) + available(STATS, 0) + BL_DUE + available(STATS, 0) + BL_DUE * 2),
    "two-statistics": (ALL, bl_buffer(STATS, 0, 0x7000, 100) + available(STATS, 0, 2) + BL_DUE),
    "statistics-reset": (ALL, bl_buffer(STATS, 0, 0x7000, 1000) + available(STATS, 0) + b"\xcb" + BL_DUE + available(STATS, 0) +
                         b"\xc0\x02\x06" + BL_DUE),
    "hints": (HINTS, bl_says(HINT, 5) + BL_HINT + bl_says(HINT, 2) + bl_buffer(HINT, 1, 0x10000, 0x4000, D_WRITE) + available(HINT, 1) +
              bl_says(HINT, 0) + available(HINT, 1)),
    "hints-kept": (HINTS, BL_HINT_KEEPING + bl_says(HINT, 2) + bl_buffer(HINT, 1, 0x10000, 0x4000, D_WRITE) + available(HINT, 1) +
                   bl_says(HINT, 0) + BL_HINT_STOP + available(HINT, 1)),
    "hints-late": (HINTS, BL_HINT + bl_says(HINT, 2) + BL_HINT + bl_says(HINT, 0) + bl_says(HINT, 3) +
                   bl_buffer(HINT, 1, 0, 0x4000, D_WRITE, high=True) + available(HINT, 1) + BL_HINT_STOP + available(HINT, 1)),
    "hints-word": (HINTS, BL_HINT + bl_buffer(HINT, 0, BL_PAGES, 5) + available(HINT, 0)),
    "hints-of-nobody": (HINTS, BL_HINT + bl_says(HINT, 2) + b"\xc0\x00\x06" + bl_says(HINT, 0) + bl_says(HINT, 0)),
    "hints-both": (HINTS, bl_pages(0x7fffffff, 2) + BL_HINT + bl_buffer(HINT, 0, BL_PAGES + 4, 4, D_NEXT, 1) +
                   bl_buffer(HINT, 1, 0x10000, 0x4000, D_WRITE) + available(HINT, 0)),
    "hints-anew": (HINTS | ALL, BL_HINT + bl_says(3, 2) + b"\xc0\x10\x06" + BL_HINT + BL_HINT_STOP + b"\xc0\x02\x06" + bl_says(2, 3) + BL_HINT +
                   bl_says(2, 3) + bl_buffer(2, 1, 0x10000, 0x4000, D_WRITE) + available(2, 1)),
    "config": (0, b"\xca\x04" + b"\1\2\3\4" + b"\xc6\x04\1\2" + b"\xca\0\1\2\3\4" + b"\xce\x0c" + bytes(8)),
}


# Steps of fuzz_vsock.c: packets of the guest, programs of the host.
REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
VS_FIRST = 128  # the port that the first who calls is given
VS_BUFFERS = b"".join(class_buffer(0, i, 0x2000 * i, 0x1000 + 44, D_WRITE) for i in range(8)) + available(0, 0, 8)


def vs_packet(op, host_port=1, guest_port=7, size=0, flags=0, room=32, passed=None):
    what = bytes((0x80 | op,)) if op < 7 else b"\x87" + struct.pack("<H", op)
    # An operation of two bytes stands before the ports.
    return (what + bytes((host_port, guest_port, size // 256, flags, room)) +
            (b"\0" if passed is None else b"\1" + struct.pack("<I", passed)))


def vs_host(what, who=0, much=0):
    return bytes((0xc0 | who << 3 | what,)) + (bytes((much,)) if what else b"")


(VS_CALL, VS_LINE, VS_SEND, VS_READ, VS_ACCEPT, VS_SHUT, VS_CLOSE, VS_OTHERS) = range(8)
VS_STREAM = VS_BUFFERS + vs_packet(REQUEST) + vs_host(VS_ACCEPT)
VS_CALLED = VS_BUFFERS + vs_host(VS_CALL) + vs_host(VS_LINE) + vs_packet(RESPONSE, VS_FIRST)

STREAMS = {
    "to-host": VS_STREAM + vs_packet(RW, size=512) + vs_host(VS_READ, much=8) + vs_packet(SHUTDOWN, flags=3) + vs_host(VS_READ, much=1),
    "to-host-much": VS_STREAM + vs_packet(RW, size=0xff00) * 4 + vs_host(VS_READ, much=255) * 9 + vs_packet(RW, size=256),
    "to-guest": VS_STREAM + vs_host(VS_SEND, much=40) + vs_packet(CREDIT_UPDATE) + vs_host(VS_CLOSE) + available(0, 0, 8),
    "to-guest-no-credit": VS_BUFFERS + vs_packet(REQUEST, room=0) + vs_host(VS_ACCEPT) + vs_host(VS_SEND, much=9) + vs_packet(CREDIT_UPDATE, room=1) +
                          available(0, 0, 8) + vs_packet(CREDIT_UPDATE, room=1, passed=100) + vs_packet(CREDIT_UPDATE, passed=0xffffffff),
    "called": VS_CALLED + vs_host(VS_SEND, much=3) + vs_packet(RW, VS_FIRST, size=256) + vs_host(VS_READ, much=9) + vs_packet(RST, VS_FIRST),
    "called-refused": VS_BUFFERS + vs_host(VS_CALL) + vs_host(VS_LINE) + vs_packet(RST, VS_FIRST) + vs_host(VS_READ, much=1),
    "called-no-answer": VS_BUFFERS + vs_host(VS_CALL) + vs_host(VS_LINE) + vs_host(VS_OTHERS) + available(0, 0, 8),
    "left-amid-line": VS_BUFFERS + (vs_host(VS_CALL) + vs_host(VS_LINE, much=1) + vs_host(VS_CLOSE)) * 2 + vs_host(VS_CALL) +
                      vs_host(VS_LINE, much=9) + vs_host(VS_SHUT),
    "odd-lines": VS_BUFFERS + b"".join(vs_host(VS_CALL) + vs_host(VS_LINE, much=line) + vs_host(VS_LINE, much=2) + vs_host(VS_CLOSE)
                                       for line in range(11)),
    "no-listener": VS_BUFFERS + vs_packet(REQUEST, 9) + vs_packet(RW, 1, 9, 256) + vs_packet(SHUTDOWN, 1, 9),
    "strays": vs_packet(CREDIT_REQUEST, 1, 9) * 70 + VS_BUFFERS + available(0, 0, 8),
    "backlog": VS_BUFFERS + b"".join(vs_packet(REQUEST, 2, port) for port in range(5)) + vs_host(VS_ACCEPT, much=1),
    "twice": VS_STREAM + vs_packet(REQUEST) + vs_packet(REQUEST) + vs_host(VS_READ, much=1),
    "shut-down-halves": VS_STREAM + vs_packet(SHUTDOWN, flags=2) + vs_packet(RW, size=256) + VS_BUFFERS + vs_packet(REQUEST, 1, 8) +
                        vs_host(VS_ACCEPT, 1) + vs_packet(SHUTDOWN, 1, 8, flags=1) + vs_host(VS_SEND, 1, 1) + vs_host(VS_SHUT, 1),
    "wrong": VS_STREAM + b"\x8c\x09\x02" + vs_packet(RW)[1:] + b"\x95\x02" + vs_packet(RW)[1:] + vs_packet(99) + vs_packet(0),
    "cut": VS_STREAM + b"\xa5" + vs_packet(RW, size=256)[1:] + bytes((0xc7, 130)) + VS_BUFFERS,
    "small-buffers": class_buffer(0, 0, 0, 44, D_WRITE | D_NEXT, 1) + class_buffer(0, 1, 64, 9, D_WRITE) + available(0, 0) + vs_packet(REQUEST) +
                     vs_host(VS_ACCEPT) + vs_host(VS_SEND, much=1) + available(0, 0, 4) + class_buffer(0, 2, 0, 44, D_WRITE) + available(0, 2),
    "resets": VS_STREAM + vs_packet(RW, size=512) + vs_host(VS_OTHERS, much=192) + VS_BUFFERS + vs_host(VS_OTHERS, much=193) +
              vs_packet(RW, size=256) + vs_host(VS_OTHERS, much=133) + VS_CALLED,
    "event-queue": available(2, 0, 3) + VS_STREAM,
}


# Steps of fuzz_vhost_user.c.  Answers stand where they are asked for: at the start, of a share three, of a disk one
# more; then three, as its two queues start.
RIGHT = b"\0"
SHARE, DISK = 0, 1
VU_UP = RIGHT * 6
VU_RINGS, VU_LEAVES = b"\xc0", b"\xc2"


def vu_value(value):
    return b"\x08" + struct.pack("<Q", value)


def vu_bytes(data):
    return bytes((0xc1 | len(data) // 8 << 3,)) + data


VU_OFFER = class_buffer(1, 0, 0x8000, 64, D_NEXT, 1) + class_buffer(1, 1, 0x9000, 64, D_WRITE) + available(1, 0, 2)

BACK_ENDS = {
    "share": bytes((SHARE,)) + VU_UP + VU_RINGS + VU_OFFER + b"\x80\1\5" + RIGHT * 4 + VU_RINGS,
    "share-leaves": bytes((SHARE,)) + VU_UP + VU_OFFER + VU_LEAVES + VU_OFFER + b"\x80\1\5" + VU_OFFER,
    "disk": bytes((DISK,)) + VU_UP + RIGHT + VU_RINGS + b"\x82\x20\1" + RIGHT + b"\x81\0" + RIGHT * 2,
    "disk-leaves": bytes((DISK,)) + VU_UP + RIGHT + VU_OFFER + VU_LEAVES + VU_OFFER,
    "old": bytes((SHARE,)) + vu_value(1 << 32) + VU_OFFER + b"\x80\1\5" + RIGHT * 2,
    "no-acknowledgement": bytes((SHARE,)) + RIGHT + vu_value(1) + RIGHT + VU_OFFER,
    "too-few-queues": bytes((DISK,)) + RIGHT * 2 + vu_value(1),
    "no-virtio-1": bytes((SHARE,)) + vu_value(1 << 30),
    "other-ring": bytes((SHARE,)) + VU_UP + b"\x80\1\5" + RIGHT + vu_value(1),
    "refuses": bytes((SHARE,)) + RIGHT * 3 + vu_value(1) + VU_OFFER,
    "silent": bytes((SHARE,)) + RIGHT * 4 + b"\x30" + VU_OFFER,
    "half": bytes((DISK,)) + RIGHT * 3 + b"\x1f\x2a" + VU_OFFER,
    "leaves-amid": bytes((DISK,)) + RIGHT * 5 + b"\x28" + VU_OFFER,
    "twice": bytes((SHARE,)) + RIGHT * 5 + b"\x80" + VU_OFFER + b"\x80\1\5",
    "descriptors": bytes((DISK,)) + b"\x40" * 7 + VU_OFFER,
    "other-header": bytes((SHARE,)) + RIGHT + b"\x10\x04\x02" + VU_OFFER,
    "other-size": bytes((DISK,)) + RIGHT * 3 + b"\x10\x0b\x7f" + VU_OFFER,
    "unasked": bytes((SHARE,)) + VU_UP + vu_bytes(bytes(16)) + VU_OFFER,
    "used-ring": bytes((SHARE,)) + VU_UP + VU_OFFER + b"\xd3\x22\x22\xff\xff" + VU_LEAVES + VU_OFFER,
}


# Changes of fuzz_state.c, and files as they are.
AT_MMIO, ON_PCI, AS_IT_IS = 0, 1, 2


def st_change(section, at, n, value):
    return bytes((section,)) + struct.pack("<HBB", at, n - 1, value)


def st_file(*sections):
    out = b"PRONTOST" + struct.pack("<IIQ", 1, 0, 0) + bytes(16) + struct.pack("<II", len(sections), 0)
    for name, instance, version, content in sections:
        out += struct.pack("<16sIIII", name.encode(), instance, version, len(content), 0) + content + bytes(-len(content) % 8)
    return out


# Before the devices: the I/O APIC, serial port, power, clock; and on PCI the bus, and its bridge.
IOAPIC, SERIAL, POWER, RTC, FIRST_AT_MMIO, PCI_BUS, BRIDGE, FIRST_ON_PCI = 0, 1, 2, 3, 4, 4, 5, 6
MEMORY = 0xc0

STATES = {
    "as-it-was": (AT_MMIO, b""),
    "as-it-was-pci": (ON_PCI, b""),
    "ioapic": (AT_MMIO, st_change(IOAPIC, 0, 16, 0xff) + st_change(IOAPIC, 16, 16, 0xff)),
    "serial-flags": (AT_MMIO, st_change(SERIAL, 0, 5, 2)),
    "serial-fifo": (AT_MMIO, st_change(SERIAL, 21, 1, 15) + st_change(SERIAL, 25, 1, 16)),
    "serial-registers": (AT_MMIO, st_change(SERIAL, 29, 7, 0xff)),
    "power-clock": (AT_MMIO, st_change(POWER, 0, 1, 0xff) + st_change(RTC, 0, 3, 0xff)),
    "bus": (ON_PCI, st_change(PCI_BUS, 0, 4, 0xff) + st_change(BRIDGE, 4, 2, 0xff)),
    "mmio-registers": (AT_MMIO, st_change(FIRST_AT_MMIO, 0, 16, 0xff)),
    "features": (AT_MMIO, st_change(FIRST_AT_MMIO + 1, 0, 8, 0xff)),
    "no-features": (AT_MMIO, st_change(FIRST_AT_MMIO + 1, 0, 8, 0)),
    "status": (AT_MMIO, st_change(FIRST_AT_MMIO + 1, 8, 1, 0x47)),
    "no-status": (AT_MMIO, st_change(FIRST_AT_MMIO + 1, 8, 1, 0)),
    "ring-size": (AT_MMIO, st_change(FIRST_AT_MMIO + 2, 0, 2, 0x40)),
    "ring-outside": (AT_MMIO, st_change(FIRST_AT_MMIO + 2, 2, 8, 0x7f)),
    "ring-elsewhere": (AT_MMIO, st_change(FIRST_AT_MMIO + 2, 3, 1, 0x20)),
    "ring-in-flight": (AT_MMIO, st_change(FIRST_AT_MMIO + 2, 27, 1, 8)),
    "vectors": (ON_PCI, st_change(FIRST_ON_PCI, 12, 16, 0xff)),
    "bar": (ON_PCI, st_change(FIRST_ON_PCI + 1, 4, 16, 0xff) + st_change(FIRST_ON_PCI + 1, 20, 4, 0xff)),
    "messages": (ON_PCI, st_change(FIRST_ON_PCI + 2, 0, 1, 2)),
    "entries": (ON_PCI, st_change(FIRST_ON_PCI + 2, 4, 16, 0xff)),
    "memory-loops": (AT_MMIO, b"".join(st_change(MEMORY, 0x1000 + 0x800 * ring + 12, 2, 1) for ring in range(8))),
    "memory-many": (ON_PCI, b"".join(st_change(MEMORY | ring // 8, 0x100 + 0x800 * (ring % 8) + 2, 2, 0xff) for ring in range(16))),
    "every-section": (AT_MMIO, b"".join(st_change(section, 0, 1, 1) for section in range(48))),
    "file-empty": (AS_IT_IS, st_file()),
    "file-cut": (AS_IT_IS, st_file(("ioapic", 0, 1, bytes(9)))),
    "file-twice": (AS_IT_IS, st_file(("ioapic", 0, 1, bytes(204)), ("ioapic", 0, 1, bytes(204)), ("serial", 0, 1, bytes(36)))),
    "file-newer": (AS_IT_IS, st_file(("ioapic", 0, 2, bytes(204)))),
    "file-platform": (AS_IT_IS, st_file(("ioapic", 0, 1, bytes(204)), ("serial", 0, 1, bytes(36)), ("power", 0, 1, bytes(10)), ("rtc", 0, 1, bytes(3)),
                                        ("virtio-mmio", 0, 1, bytes(16)), ("virtio", 0, 1, bytes(18)))),
    "file-no-end": (AS_IT_IS, st_file(("x" * 16, 0, 1, b""))),
}


def _begun(seeds):
    return {name: bytes((what,)) + steps for name, (what, steps) in seeds.items()}


CORPORA = {
    "balloon": _begun(BALLOONS),
    "net": FRAMES,
    "state": _begun(STATES),
    "vconsole": _begun(TALKERS),
    "vhost_user": BACK_ENDS,
    "vsock": STREAMS,
}
