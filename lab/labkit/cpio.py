# SPDX-License-Identifier: MIT
"""An initramfs: a cpio archive in the "newc" format, written without being root.

The same entries give the same bytes: no times, no inode numbers of the host, owner root throughout.
Documentation/driver-api/early-userspace/buffer-format.rst in Linux's source describes the format.
"""
import os
import stat


class Archive:
    """Entries are added in the order in which the kernel is to make them."""

    def __init__(self):
        self._data = bytearray()
        self._n_entries = 0

    def add_dir(self, name, mode=0o755):
        self._add(name, stat.S_IFDIR | mode)

    def add_file(self, name, content, mode=0o644):
        self._add(name, stat.S_IFREG | mode, content)

    def add_link(self, name, target):
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def add_char_device(self, name, major, minor, mode=0o600):
        self._add(name, stat.S_IFCHR | mode, device=os.makedev(major, minor))

    def finish(self):
        """The archive's bytes."""
        self._add('TRAILER!!!', 0)
        self._data += b'\0' * (-len(self._data) % 512)
        return bytes(self._data)

    def _add(self, name, mode, content=b'', device=0):
        self._n_entries += 1
        encoded = name.encode() + b'\0'
        fields = (self._n_entries, mode, 0, 0, 1, 0, len(content), 0, 0,
                  os.major(device), os.minor(device), len(encoded), 0)
        self._data += b'070701' + b''.join(b'%08X' % field for field in fields) + encoded
        self._pad()
        self._data += content
        self._pad()

    def _pad(self):
        self._data += b'\0' * (-len(self._data) % 4)
