# SPDX-License-Identifier: MIT
"""A kernel package's tree: its image, its modules and what each of those needs."""
import lzma
import os
import re
import shutil
import struct
import subprocess
import zlib

from . import packages
from .program import Problem


class Kernel:
    """The kernel in a package's unpacked tree."""

    def __init__(self, tree):
        self.vmlinuz = packages.within(tree, 'boot/vmlinuz-*')
        self.release = os.path.basename(self.vmlinuz)[len('vmlinuz-'):]
        self._modules_dir = packages.within(tree, os.path.join('lib', 'modules', self.release))
        self._files = None

    def elf(self):
        """The ELF inside vmlinuz, unpacked."""
        with open(self.vmlinuz, 'rb') as image:
            return unpack_bzimage(image.read(), self.vmlinuz)

    def modules(self, names):
        """(name, content) of the modules NAMES and all they need, in the order to load them.

        A name that is built in, or that this kernel does not have, is passed over.
        """
        done = {}
        for name in names:
            self._visit(name, done)
        return list(done.items())

    def install(self, names, root):
        """Put the modules NAMES and all they need into ROOT/lib/modules, as packed as they are, and the lists that
        depmod and the package have of them."""
        found, lines = {}, []
        for name in names:
            self._visit(name, found)
        to = os.path.join(root, 'lib', 'modules', self.release)
        for name in found:
            path = os.path.relpath(self._index()[name], self._modules_dir)
            os.makedirs(os.path.dirname(os.path.join(to, path)), exist_ok=True)
            shutil.copy(self._index()[name], os.path.join(to, path))
            needs = {}
            self._visit(name, needs)
            # What is to be loaded first comes last.
            needed = [os.path.relpath(self._index()[n], self._modules_dir) for n in reversed(needs) if n != name]
            lines.append(' '.join([path + ':', *needed]) + '\n')
        shutil.copy(os.path.join(self._modules_dir, 'modules.builtin'), to)
        with open(os.path.join(to, 'modules.dep'), 'w', encoding='ascii') as file:
            file.writelines(lines)

    def _visit(self, name, done):
        name = name.replace('-', '_')
        path = self._index().get(name)
        if path is None or name in done:
            return
        with open(path, 'rb') as file:
            content = file.read()
        if path.endswith('.xz'):
            content = lzma.decompress(content)
        depends = re.search(rb'\0depends=([^\0]*)\0', content)
        for needed in depends[1].decode().split(',') if depends else []:
            self._visit(needed, done)
        done[name] = content

    def _index(self):
        if self._files is None:
            self._files = {}
            for directory, _, files in os.walk(self._modules_dir):
                for file in files:
                    match = re.fullmatch(r'(.*)\.ko(\.xz)?', file)
                    if match:
                        self._files[match[1].replace('-', '_')] = os.path.join(directory, file)
        return self._files


def unpack_bzimage(image, name):
    """The ELF in a bzImage.  Linux's x86 boot protocol: setup_sects, payload_offset, payload_length."""
    if image[0x202:0x206] != b'HdrS':
        raise Problem(f'{name} is not a bzImage: remove it from the cache and run again')
    offset, length = struct.unpack_from('<II', image, 0x248)
    start = ((image[0x1f1] or 4) + 1) * 512 + offset
    payload = image[start:start + length]
    # The last four bytes are the unpacked size, appended for the kernel's own decompressor.
    size, = struct.unpack('<I', payload[-4:])
    elf = _decompress(payload, name)[:size]
    if elf[:4] != b'\x7fELF':
        raise Problem(f'{name} holds no ELF image: remove it from the cache and run again')
    return elf


def _decompress(payload, name):
    if payload[:6] == b'\xfd7zXZ\0':
        return lzma.LZMADecompressor().decompress(payload)
    if payload[:2] == b'\x1f\x8b':
        return zlib.decompressobj(31).decompress(payload)
    for magic, tool in ((b'\x02\x21\x4c\x18', 'lz4'), (b'\x28\xb5\x2f\xfd', 'zstd')):
        if payload[:4] == magic:
            return _pipe(payload[:-4], tool)
    raise Problem(f'{name} is compressed in a way this script does not know')


def _pipe(payload, tool):
    if not shutil.which(tool):
        raise Problem(f'this kernel is packed with {tool}, which is not here: install the package {tool}')
    return subprocess.run([tool, '-dc'], input=payload, stdout=subprocess.PIPE, check=True).stdout
