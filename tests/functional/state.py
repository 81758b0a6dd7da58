# SPDX-License-Identifier: MIT
"""The file of a machine's state, as docs/snapshot.md has it: read, changed, and written again."""

import json
import struct
import zlib


class State:
    """A state's file: the sections in it, which may be changed."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            data = file.read()
        self.head, at = data[:48], 48
        self.sections = []
        while at < len(data):
            name, instance, version, size, _ = struct.unpack_from("<16sIIII", data, at)
            self.sections.append([name.rstrip(b"\0").decode(), instance, version, data[at + 32:at + 32 + size]])
            at += 32 + (size + 7) // 8 * 8

    def find(self, name):
        return next(s for s in self.sections if s[0] == name)

    def note(self):
        return json.loads(self.find("note")[3])

    def write(self):
        body = b"".join(struct.pack("<16sIIII", name.encode(), instance, version, len(data), 0) + data + bytes(-len(data) % 8)
                        for name, instance, version, data in self.sections)
        rest = struct.pack("<Q", 48 + len(body)) + self.head[24:40] + struct.pack("<II", len(self.sections), 0) + body
        with open(self.path, "wb") as file:
            file.write(self.head[:12] + struct.pack("<I", zlib.crc32(rest)) + rest)
