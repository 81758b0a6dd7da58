# SPDX-License-Identifier: MIT
"""What is built from the packages and from C sources: kernels as ELF, static programs, initramfs."""
import glob
import os
import shutil
import subprocess

from . import cache, packages
from .program import Problem, ask
from .cpio import Archive
from .kernel import Kernel

LAB = os.path.join(cache.TOP, 'lab')

# Everything the lab offers to who tests a VMM; each brings what it needs, in the right order.
LAB_MODULES = {
    'virtio_pci': '', 'virtio_console': '',
    '9p': '', '9pnet_virtio': '', 'overlay': '',
    'tun': '', 'tap': '', 'veth': '', 'bridge': '', 'vhost_net': '', 'vhost_vsock': '',
    'fuse': '', 'loop': '', 'msr': '',
}
# By itself, as pid 1 waits for the TSC's rate before it (lab/pid1/clock.h).
LAB_KVM = {'kvm_amd': 'npt=1 nested=0 avic=0'}


# Where a program that is not static looks for the rest of itself.
LOADER = 'lib64/ld-linux-x86-64.so.2'
LIBRARIES = 'lib/x86_64-linux-gnu'


def vmlinux(name):
    """The path of the kernel of set NAME as an uncompressed ELF file."""
    kernel = Kernel(packages.get(name))
    result = cache.path('vmlinux', kernel.release)
    if not os.path.exists(result):
        cache.write_file(result, kernel.elf())
    return result


def static_program(name, sources):
    """The content of a static program compiled from C files."""
    inputs = []
    for source in sorted(sources):
        with open(source, 'rb') as file:
            inputs.append(file.read())
    result = cache.path('programs', f'{name}-{cache.digest(*inputs)}')
    if not os.path.exists(result):
        _compile(result, sorted(s for s in sources if s.endswith('.c')))
    with open(result, 'rb') as file:
        return file.read()


def _compile(result, sources):
    compiler = os.environ.get('CC') or 'cc'
    if not shutil.which(compiler.split()[0]):
        raise Problem(f'there is no C compiler ({compiler}): install gcc and libc6-dev')
    new = f'{result}.{os.getpid()}'
    done = subprocess.run([*compiler.split(), '-std=gnu11', '-D_GNU_SOURCE', '-O2', '-static', '-s',
                           '-o', new, *sources], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(f'cannot compile {" ".join(sources)}:\n{done.stderr.rstrip()}')
    os.rename(new, result)


def lab_initramfs():
    """The path of the lab's initramfs: pid 1 and modules."""
    init = static_program('pid1', glob.glob(os.path.join(LAB, 'pid1', '*.[ch]')))
    kernel = Kernel(packages.get('generic'))
    result = cache.path('initramfs', 'lab-' + cache.digest(init, kernel.release, LAB_MODULES, LAB_KVM) + '.cpio')
    if os.path.exists(result):
        return result
    archive = Archive()
    archive.add_file('init', init, 0o755)
    archive.add_dir('modules')
    for order, names in (('order', LAB_MODULES), ('order-kvm', LAB_KVM)):
        lines = ''
        for module, content in kernel.modules(names):
            archive.add_file(f'modules/{module}.ko', content)
            lines += f'{module}.ko {names.get(module, "")}'.rstrip() + '\n'
        archive.add_file(f'modules/{order}', lines.encode())
    cache.write_file(result, archive.finish())
    return result


def _libraries(tree, tool):
    """[path, ...] of all that a program of a package's tree is linked to, in that tree."""
    directory = os.path.dirname(packages.within(tree, f'{LIBRARIES}/libc.so.6'))
    where = ':'.join(os.path.join(tree, part) for part in (LIBRARIES, f'usr/{LIBRARIES}', f'usr/{LIBRARIES}/ceph'))
    done = ask([os.path.join(directory, os.path.basename(LOADER)), '--library-path', where, '--list', tool])
    found = [line.split()[2] for line in done.stdout.splitlines() if '=> /' in line]
    lost = [line.strip() for line in done.stdout.splitlines() if 'not found' in line]
    if done.returncode or lost or not found:
        raise Problem(f'{tool}: {"; ".join(lost) or done.stderr.strip() or "no libraries"}')
    return found


def add_linked_program(archive, tree, name, have):
    """A program of a set's TREE, and its libraries but for those in HAVE, to which they are added; the archive has their directories."""
    path = packages.within(tree, f'bin/{name}')
    with open(path, 'rb') as file:
        archive.add_file(f'bin/{name}', file.read(), 0o755)
    for library in _libraries(tree, path):
        base = os.path.basename(library)
        if base not in have:
            have.add(base)
            target = LOADER if base == os.path.basename(LOADER) else f'{LIBRARIES}/{base}'
            with open(library, 'rb') as file:
                archive.add_file(target, file.read(), 0o755)
