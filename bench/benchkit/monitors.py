# SPDX-License-Identifier: MIT
"""The monitors that are compared: how each is told to boot a kernel with the console on standard output.

Pronto, the floor and Debian's QEMU are always asked; the others take part when they are found on PATH.
"""
import hashlib
import json
import os
import shutil
import subprocess
import tempfile

# Without this KVM's owner may offer what it then refuses to set, and QEMU ends.
QEMU_CPU = 'host,-arch-capabilities'
MICROVM = 'qemu-system-x86_64-microvm'
QEMU = 'qemu-system-x86_64'


class Monitor:
    """A program that boots ELF kernels through the PVH entry, unless it says otherwise."""

    program = None  # its name on PATH, or a path
    bzimage_only = False
    tiny = '.elf'   # the form in which it takes the tiny guest: the end of the file's name
    ends = (0,)     # what its process may end with when the guest has powered off
    asked_version = '--version'

    def __init__(self, name):
        self.name = name

    def why_not(self):
        """Why it cannot take part, or None."""
        return None if shutil.which(self.program) else 'not on PATH'

    def at(self, where):  # pylint: disable=unused-argument
        """Itself, as it has to be told to run at a place: the host, or a lab."""
        return self

    def argv(self, kernel, memory_mib, cpus, initrd=None, cmdline=''):
        raise NotImplementedError

    def files(self):
        """What it reads from disk when it starts: to be in memory before the clock runs."""
        path = shutil.which(self.program)
        done = subprocess.run(['ldd', path], capture_output=True, text=True, check=False)
        return [path] + [word for word in done.stdout.split() if word.startswith('/')]

    def version(self):
        done = subprocess.run([self.program, self.asked_version], capture_output=True, text=True, check=False)
        return (done.stdout.splitlines() or ['unknown'])[0]


class Pronto(Monitor):
    def __init__(self, name, program, *options):
        super().__init__(name)
        self.program, self.options = program, options

    def why_not(self):
        return None if os.access(self.program, os.X_OK) else f'{self.program} is not built'

    def argv(self, kernel, memory_mib, cpus, initrd=None, cmdline=''):
        argv = [self.program, 'run', '-m', f'{memory_mib}M', '-c', str(cpus), *self.options]
        argv += ['-i', initrd] if initrd else []
        argv += ['--cmdline', cmdline] if cmdline else []
        return [*argv, kernel]


class Floor(Monitor):
    """Has its guest built in: it takes the tiny guest's name for what to do, and no other kernel."""

    def __init__(self, build):
        super().__init__('floor')
        self.program = os.path.join(build, 'bench', 'floor')

    def why_not(self):
        return None if os.access(self.program, os.X_OK) else f'{self.program} is not built'

    def argv(self, kernel, memory_mib, cpus, initrd=None, cmdline=''):
        return [self.program, str(memory_mib), str(cpus), 'off' if 'off' in os.path.basename(kernel) else 'halt']

    def version(self):
        return ''


class Qemu(Monitor):
    ROMS = ('qboot.rom', 'bios-microvm.bin', 'bios-256k.bin', 'kvmvapic.bin', 'linuxboot_dma.bin', 'pvh.bin')
    DIRS = ('/usr/share/qemu', '/usr/share/seabios')

    def __init__(self, name, program, machine):
        super().__init__(name)
        self.program, self.machine = program, machine

    def argv(self, kernel, memory_mib, cpus, initrd=None, cmdline=''):
        argv = [self.program, '-M', self.machine, '-accel', 'kvm', '-cpu', QEMU_CPU, '-nodefaults',
                '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio',
                '-m', f'{memory_mib}M', '-smp', str(cpus), '-kernel', kernel]
        argv += ['-initrd', initrd] if initrd else []
        return argv + (['-append', cmdline] if cmdline else [])

    def files(self):
        roms = [os.path.join(directory, name) for directory in self.DIRS for name in self.ROMS]
        return super().files() + [path for path in roms if os.path.exists(path)]


class CloudHypervisor(Monitor):
    program = 'cloud-hypervisor'

    def argv(self, kernel, memory_mib, cpus, initrd=None, cmdline=''):
        argv = [self.program, '--kernel', kernel, '--memory', f'size={memory_mib}M', '--cpus', f'boot={cpus}',
                '--serial', 'tty', '--console', 'off']
        argv += ['--initramfs', initrd] if initrd else []
        return argv + (['--cmdline', cmdline] if cmdline else [])


class Crosvm(Monitor):
    program = 'crosvm'
    tiny = '-2m.elf'  # it refuses what is to lie below
    asked_version = 'version'

    def argv(self, kernel, memory_mib, cpus, initrd=None, cmdline=''):
        argv = [self.program, 'run', '--disable-sandbox', '--mem', str(memory_mib), '--cpus', str(cpus),
                '--serial', 'type=stdout,hardware=serial,num=1']
        argv += ['--initrd', initrd] if initrd else []
        argv += ['--params', cmdline] if cmdline else []
        return [*argv, kernel]


class Firecracker(Monitor):
    """Takes its machine from a file; that is written before the clock runs."""

    program = 'firecracker'
    # The tiny guest knocks at the keyboard controller's door, to which it ends with 0, and then falls over its third
    # fault, to which it ends with 1: one thread hears of the first while another runs into the second.
    ends = (0, 1)
    # It asks for KVM_CAP_XCRS, which it does not need and the lab's KVM does not have.
    LAB_CPU = {'kvm_capabilities': ['!56']}

    def __init__(self, name, scratch, where=None):
        super().__init__(name)
        self.scratch, self.where = scratch, where

    def at(self, where):
        return Firecracker(self.name, self.scratch, where)

    def argv(self, kernel, memory_mib, cpus, initrd=None, cmdline=''):
        source = {'kernel_image_path': kernel, 'boot_args': cmdline or 'console=ttyS0'}
        if initrd:
            source['initrd_path'] = initrd
        config = {'boot-source': source, 'drives': [],
                  'machine-config': {'vcpu_count': cpus, 'mem_size_mib': memory_mib}}
        if self.where and self.where.emulated:
            # The path of a template: the template itself is taken only from 1.13 on.
            config['cpu-config'] = self._written('firecracker-cpu', self.LAB_CPU)
        return [self.program, '--no-api', '--config-file', self._written('firecracker', config)]

    def _written(self, stem, value):
        """The path of a file that holds VALUE.  It is named by that: who has read a file in the lab may not see
        that it was written anew, and two calls may be asked for before the first is started."""
        text = json.dumps(value)
        path = os.path.join(self.scratch, f'{stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json')
        if not os.path.exists(path):
            with tempfile.NamedTemporaryFile('w', dir=self.scratch, encoding='ascii', delete=False) as file:
                file.write(text)
            os.rename(file.name, path)
        if self.where:
            self.where.warm([path])
        return path


class Kvmtool(Monitor):
    """Boots bzImages by Linux's own protocol; it has no way in for an ELF file.  What is neither it takes for code,
    and enters that in real mode."""

    program = 'lkvm'
    bzimage_only = True
    tiny = '.bin'

    def argv(self, kernel, memory_mib, cpus, initrd=None, cmdline=''):
        # Without --nodefaults it shares a directory of its own with a guest that has no initrd, and puts words of its
        # own before the command line.
        argv = [self.program, 'run', '--nodefaults', '--kernel', kernel, '--mem', str(memory_mib),
                '--cpus', str(cpus), '--console', 'serial', '--network', 'mode=none']
        argv += ['--initrd', initrd] if initrd else []
        return argv + (['--params', cmdline] if cmdline else [])


def all_of(build, scratch):
    """Every monitor, in the order to print them."""
    return [
        Floor(build),
        Pronto('pronto', os.path.join(build, 'pronto')),
        Qemu('qemu-microvm', QEMU, 'microvm'),
        # What a person who knows QEMU well would write: no legacy chips, no option ROM, an RTC.
        Qemu('qemu-microvm-best', MICROVM, 'microvm,pit=off,pic=off,rtc=on,x-option-roms=off,auto-kernel-cmdline=off'),
        Qemu('qemu-q35', QEMU, 'q35'),
        Firecracker('firecracker', scratch),
        CloudHypervisor('cloud-hypervisor'),
        Crosvm('crosvm'),
        Kvmtool('kvmtool'),
    ]
