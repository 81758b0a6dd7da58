# SPDX-License-Identifier: MIT
"""A handler of page faults, as people write them for Firecracker: it brings a machine's memory from a file, page by page.

    pager.py SOCKET FILE [what it does otherwise]

It says what it does: the message, each page by its place in the file, what was given back.
"""

import ctypes
import fcntl
import json
import mmap
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import time

UFFDIO_COPY, UFFDIO_ZEROPAGE = 0xc028aa03, 0xc020aa04
PAGEFAULT, REMOVE = 0x12, 0x15
AGAIN, EXISTS = 11, 17
PAGE = 4096


def start(box, path, memory, *how):
    """Start one in a process of its own, and see that it listens."""
    import vm  # pylint: disable=import-outside-toplevel
    handler = vm.Vm(box, [sys.executable, __file__, path, memory, *how], stdin=subprocess.DEVNULL)
    handler.expect("listens")
    return handler


def pages(handler):
    """Those that it has brought from the file, by their places; its last line may be half said yet."""
    return [int(line.split()[1], 16) for line in handler.out.decode().split("\n")[:-1] if line.startswith("page ")]


def say(*words):
    print(*words, flush=True)


class Pager:
    def __init__(self, path, memory):
        self.path = path
        self.size = os.path.getsize(memory)
        with open(memory, "rb") as file:
            self.memory = mmap.mmap(file.fileno(), self.size, prot=mmap.PROT_READ)
        self.buffer = ctypes.create_string_buffer(2 * PAGE)
        self.page = (ctypes.addressof(self.buffer) + PAGE - 1) & -PAGE
        self.removed, self.waiting = set(), []
        self.connection = self.uffd = self.regions = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(1)
        say("listens")

    def accept(self):
        self.connection = self.listener.accept()[0]

    def receive(self):
        """All of it in one message, as others would read it."""
        text, fds, _, _ = socket.recv_fds(self.connection, 1024, 4)
        assert len(fds) == 1, fds
        self.uffd = fds[0]
        self.regions = json.loads(text)
        say("message", text.decode())
        for region in self.regions:
            assert set(region) == {"base_host_virt_addr", "size", "offset", "page_size", "page_size_kib"}, region
            assert region["page_size"] == region["page_size_kib"] == PAGE and region["base_host_virt_addr"] % PAGE == 0, region

    def place(self, address):
        for region in self.regions:
            if 0 <= address - region["base_host_virt_addr"] < region["size"]:
                return address - region["base_host_virt_addr"] + region["offset"]
        raise AssertionError(f"{address:#x} is in none of {self.regions}")

    def bring(self, address):
        """False: what was given back is to be heard of first."""
        place = self.place(address)
        if address in self.removed:
            kind, request = UFFDIO_ZEROPAGE, bytearray(struct.pack("QQQq", address, PAGE, 0, 0))
        else:
            ctypes.memmove(self.page, self.memory[place:place + PAGE], PAGE)
            kind, request = UFFDIO_COPY, bytearray(struct.pack("QQQQq", address, self.page, PAGE, 0, 0))
        try:
            fcntl.ioctl(self.uffd, kind, request)
        except OSError as error:
            if error.errno == AGAIN:
                return False
            assert error.errno == EXISTS, error
        say("zero" if address in self.removed else "page", f"{place:#x}")
        return True

    def hear(self):
        """All that has come."""
        while True:
            try:
                message = os.read(self.uffd, 32)
            except BlockingIOError:
                return
            if message[0] == PAGEFAULT:
                self.waiting.append(struct.unpack_from("Q", message, 16)[0] & -PAGE)
            elif message[0] == REMOVE:
                first, end = struct.unpack_from("QQ", message, 8)
                say("removed", f"{self.place(first):#x}", (end - first) // PAGE)
                self.removed.update(range(first, end, PAGE))
            else:
                raise AssertionError(message)

    def serve(self, limit=None):
        """Until the machine is gone, or so many pages have been brought."""
        n, poll = 0, select.poll()
        poll.register(self.uffd, select.POLLIN)
        if self.connection:
            poll.register(self.connection, 0)
        while limit is None or n < limit:
            if any(fd != self.uffd for fd, _ in poll.poll()):
                say("gone")
                return
            self.hear()
            for address in self.waiting[:]:
                if limit is not None and n >= limit:
                    break
                if self.bring(address):
                    self.waiting.remove(address)
                    n += 1


def main(path, memory, how="serve", number="0"):
    pager = Pager(path, memory)
    if how == "never-accepts":
        time.sleep(1000)
    pager.accept()
    if how == "leaves":
        return
    if how == "never-reads":
        time.sleep(1000)
    pager.receive()
    if how == "closes":
        # As handlers do that need no more of the connection: they go on all the same, and hear of the end by a signal.
        pager.connection.close()
        pager.connection = None
        say("closed")
    elif how == "babbles":
        pager.connection.sendall(b'{"what": "is this"}' * 1000)
    elif how == "dies":
        pager.serve(int(number))
        say("dies")
        return
    elif how == "stops":
        pager.serve(int(number))
        say("stops")
        time.sleep(1000)
    elif how == "hangs-up":
        pager.serve(int(number))
        pager.connection.close()
        say("hangs up")
        time.sleep(1000)
    pager.serve()


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).unlink(missing_ok=True)
    main(*sys.argv[1:])
