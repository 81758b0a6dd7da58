# SPDX-License-Identifier: MIT
"""The lab's machine: QEMU's software emulation of an AMD processor with SVM.

A machine is either booted or restored from a snapshot of one that has booted.  The snapshot is a file
with the guest's RAM, mapped copy-on-write by every machine restored from it, and a file with the state
of its devices.  It belongs to one QEMU, one command line, one kernel, one initramfs and one model of this
host's processor, all of which go into its name.
"""
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import cache, images, session
from .program import Problem

QEMU = 'qemu-system-x86_64'

# EPYC is the plainest model with SVM.  TCG cannot do what is switched off, and would warn each time.
# XSAVE and what needs it are off because TCG does not intercept a guest's XSETBV: KVM would run the guest
# with another XCR0 than it set, and the guest would lose the state of its registers.
CPU = ('EPYC,rdseed=off,sha-ni=off,fxsr-opt=off,misalignsse=off,3dnowprefetch=off,osvw=off,'
       'topoext=off,nrip-save=off,xsave=off,xsaveopt=off,xsavec=off,xgetbv1=off,avx=off,avx2=off,'
       'f16c=off,fma=off')
# Without mce=off the lab's kernel has machine checks on in CR4, and in Debian 13's lab a guest that reads its own CR4 is
# shown that bit of the lab's.
CMDLINE = ('console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests random.trust_cpu=on '
           'no_timer_check tsc=reliable mce=off')
# A processor that takes a nanosecond for each instruction, on a clock that stands still otherwise and jumps
# over waiting: time in the machine is a count of instructions, whatever else this host does.
ICOUNT = ('-icount', 'shift=0,sleep=off', '-seed', '7', '-rtc', 'base=2026-01-01T00:00:00,clock=vm')
BOOT_SECONDS = 120
LISTENING = 'server=on,wait=off'  # in the command line of a machine that is kept up


class Shape:
    """What a machine is made of, and so which snapshot it comes from."""

    def __init__(self, n_cpus, memory, icount=False, append=''):
        self.n_cpus, self.memory, self.icount = n_cpus, memory, icount
        self.cmdline = f'{CMDLINE} {append}'.rstrip()
        self.qemu = shutil.which(QEMU)
        if not self.qemu:
            raise Problem(f'{QEMU} is not here: install the package qemu-system-x86')
        self.kernel = images.vmlinux('generic')
        self.initramfs = images.lab_initramfs()
        self.snapshot = cache.path('lab', f'{"icount-" if icount else ""}cpus{n_cpus}-mem{memory >> 20}-{self._identity()}')

    def _identity(self):
        stat = os.stat(self.qemu)
        return cache.digest(self.qemu, stat.st_size, stat.st_mtime_ns, _processor(), self.command('RAM', 'OUT'),
                            os.path.basename(self.kernel), os.stat(self.kernel).st_size)

    def command(self, ram, out, ram_shared=False):
        """QEMU's command line but for where the control port and the console lead."""
        if ram:
            backend = (f'memory-backend-file,id=ram,size={self.memory},mem-path={comma(ram)},'
                       f'share={"on" if ram_shared else "off"}')
        else:
            backend = f'memory-backend-ram,id=ram,size={self.memory}'
        return [
            self.qemu, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
            '-machine', 'q35,memory-backend=ram,graphics=off', '-accel', 'tcg', '-cpu', CPU,
            '-smp', str(self.n_cpus), '-m', f'{self.memory >> 20}M', '-object', backend,
            '-kernel', self.kernel, '-initrd', self.initramfs, '-append', self.cmdline,
            '-fsdev', 'local,id=host,path=/,readonly=on,security_model=none,multidevs=remap',
            '-device', 'virtio-9p-pci,fsdev=host,mount_tag=host',
            '-fsdev', f'local,id=out,path={comma(out)},security_model=none,multidevs=remap',
            '-device', 'virtio-9p-pci,fsdev=out,mount_tag=out',
            '-device', 'virtio-serial-pci,max_ports=2',
            '-device', 'virtserialport,chardev=port,name=pronto.lab',
            '-serial', 'chardev:console',
            *(ICOUNT if self.icount else ()),
        ]


def _processor():
    """What this host's processor is called: the machine's TSC is its TSC, and a snapshot knows the rate."""
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        return next((line for line in file if line.startswith('model name')), '')


def comma(path):
    """PATH as the value of a QEMU option."""
    return path.replace(',', ',,')


class Machine:
    """A running machine: `sock` is the host's end of its control port."""

    def __init__(self, shape, out=None, ram=None, state=None, listen=None):
        """Start QEMU.  RAM and STATE, open files: restore; RAM alone: boot on that file.  LISTEN: a
        listening socket to serve in the background, instead of the one session that we hold."""
        # Neither name nor file is left of this, whichever way we end.
        self._log = tempfile.TemporaryFile()
        self.sock = self._monitor = None
        fds = [self._log.fileno()]
        if ram:
            fds.append(ram.fileno())
        command = shape.command(reopen(ram), out or _nowhere(), ram_shared=not state)
        command += ['-chardev', f'file,id=console,path={reopen(self._log)},append=on']
        if state:
            fds.append(state.fileno())
            command += ['-incoming', 'defer']
        ends = []
        if listen:
            fds.append(listen.fileno())
            command += ['-chardev', f'socket,id=port,fd={listen.fileno()},{LISTENING}']
        else:
            self.sock, end = socket.socketpair()
            ends.append(end)
            command += ['-chardev', f'socket,id=port,fd={end.fileno()}']
        if ram:
            self._monitor, end = socket.socketpair()
            ends.append(end)
            command += ['-chardev', f'socket,id=qmp,fd={end.fileno()}', '-mon', 'qmp,mode=control']
        fds += [end.fileno() for end in ends]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, pass_fds=fds,
            cwd='/', start_new_session=True,
            preexec_fn=None if listen else die_with(os.getpid()))
        for end in ends:
            end.close()
        if state:
            # Answers are not waited for: a machine that cannot be restored ends, and says why.
            self._monitor.sendall(b''.join(_order(*order) for order in (
                *SKIP_RAM, ('migrate-incoming', {'uri': f'fd:{state.fileno()}'}))))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()
        for sock in (self.sock, self._monitor):
            if sock:
                sock.close()
        self._log.close()

    def explain(self):
        """The last lines the machine and QEMU wrote, for a message about its unexpected end."""
        self._log.seek(0)
        lines = self._log.read().decode(errors='replace').strip().splitlines()
        return '\n'.join('  ' + line for line in lines[-15:])

    def save(self, state):
        """Write the state of the devices to the file STATE and stop for good."""
        reader = self._monitor.makefile()
        reader.readline()  # the greeting
        with open(state, 'wb') as file:
            for order in SKIP_RAM:
                self._ask(reader, *order)
            self._ask(reader, 'getfd', {'fdname': 'state'}, fd=file.fileno())
            self._ask(reader, 'migrate', {'uri': 'fd:state'})
            while True:
                status = self._ask(reader, 'query-migrate').get('status')
                if status == 'completed':
                    break
                if status in ('failed', 'cancelled'):
                    raise Problem(f'QEMU could not save the lab\'s state; use --cold\n{self.explain()}')
                time.sleep(0.02)

    def _ask(self, reader, command, arguments=None, fd=None):
        socket.send_fds(self._monitor, [_order(command, arguments)], [] if fd is None else [fd])
        for line in reader:
            answer = json.loads(line)
            if 'return' in answer:
                return answer['return']
            if 'error' in answer:
                raise Problem(f'QEMU refused {command}: {answer["error"]["desc"]}')
        raise Problem(f'QEMU ended at {command}\n{self.explain()}')


# RAM is in the file it is mapped from, so saving and restoring leave it alone.
SKIP_RAM = (
    ('qmp_capabilities', None),
    ('migrate-set-capabilities', {'capabilities': [{'capability': 'x-ignore-shared', 'state': True}]}),
)


def _order(command, arguments=None):
    """A command for QEMU's monitor."""
    return json.dumps({'execute': command, 'arguments': arguments or {}}).encode()


def reopen(file):
    """A path by which QEMU opens FILE anew: nobody can take it away in between."""
    return f'/proc/self/fd/{file.fileno()}' if file else None


def _nowhere():
    """An empty directory to share when nothing is: the device is part of every snapshot."""
    result = cache.path('lab', 'nothing')
    os.makedirs(result, exist_ok=True)
    return result


def die_with(parent):
    """For the new process: end when the parent does, even by a signal it cannot catch."""
    libc = ctypes.CDLL(None)

    def arrange():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
    return arrange


def boot(shape, out=None):
    """A machine from the start, without any snapshot."""
    return Machine(shape, out)


def restore(shape, out=None, listen=None, tell=lambda text: None):
    """A machine from the snapshot, which is made first if need be."""
    with cache.lock('lab', shared=True):
        if os.path.isdir(shape.snapshot):
            return _start(shape, shape.snapshot, out, listen)
    with cache.lock('lab'):
        if not os.path.isdir(shape.snapshot):
            tell('making a snapshot of the booted machine, once')
            _make_snapshot(shape)
        return _start(shape, shape.snapshot, out, listen)


def _start(shape, snapshot, out=None, listen=None):
    ram, state = (os.path.join(snapshot, name) for name in ('ram', 'state'))
    with open(ram, 'rb') as ram_file, open(state, 'rb') as state_file:
        return Machine(shape, out, ram_file, state_file, listen)


def _make_snapshot(shape):
    parent = os.path.dirname(shape.snapshot)
    cache.sweep(parent)
    cache.sweep(parent, os.path.basename(shape.snapshot).rsplit('-', 1)[0] + '-')  # of other inputs
    with cache.new_dir(shape.snapshot) as new, open(os.path.join(new, 'ram'), 'wb') as ram:
        ram.truncate(shape.memory)
        with Machine(shape, ram=ram) as machine:
            session.await_hello(machine.sock, BOOT_SECONDS, machine.explain)
            machine.save(os.path.join(new, 'state'))
