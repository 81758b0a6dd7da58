# SPDX-License-Identifier: MIT
"""The real Xen in an emulated machine, and an ELF file as its PVH dom0."""
import gzip
import os
import re
import selectors
import shutil
import socket
import subprocess
import tempfile
import time

from . import cache, machine, packages, xen_console
from .cache import Problem

# SMAP, MONITOR and RDTSCP as TCG has them do not go together with Xen and a PV dom0.
CPU = machine.CPU + ',rdtscp=off,smap=off,monitor=off'
XEN_CMDLINE = 'console=com1 com1=115200,8n1 guest_loglvl=all'
XEN_MIB = 384  # what Xen wants beside its domains
BOOT_SECONDS = 120

POWER_OFF, REBOOT, CRASH, TIMEOUT, REFUSED = 'power-off', 'reboot', 'crash', 'timeout', 'refused'


class Guest:
    """A domain to start: files, and what it is given.  The time is in seconds, memory in MiB."""

    def __init__(self, kernel, ramdisk=None, cmdline=None, memory=128, n_cpus=1, timeout=60.0):
        self.kernel, self.ramdisk, self.cmdline = kernel, ramdisk, cmdline
        self.memory, self.n_cpus, self.timeout = memory, n_cpus, timeout


class Outcome:
    """How a domain fared: how it ended, and what was said: by it, to port 0xe9 and on its console; by Xen,
    or Xen's tools, meanwhile."""

    def __init__(self, guest):
        self.guest = guest
        self.ending = None
        self.said = {xen_console.PORT: '', xen_console.CONSOLE: '', xen_console.XEN: ''}
        self.seconds = 0.0


def hypervisor():
    """The path of Xen as an ELF file."""
    tree = packages.get('xen')
    result = cache.path('vmlinux', 'xen-' + os.path.basename(tree).split('_', 1)[1])
    if not os.path.exists(result):
        with gzip.open(os.path.join(tree, 'boot', 'xen-4.17-amd64.gz')) as image:
            cache.write_file(result, image.read())
    return result


class Machine:
    """A machine in which Xen boots.  `ports` are the host's ends of its serial ports."""

    def __init__(self, mib, append, modules, devices=(), n_ports=1):
        """MODULES: (open file, command line) of what is loaded beside Xen, dom0's kernel first."""
        qemu = shutil.which(machine.QEMU)
        if not qemu:
            raise Problem(f'{machine.QEMU} is not here: install the package qemu-system-x86')
        # The file's name is for QEMU alone: Xen drops the first word of a module's command line.
        initrd = ','.join(machine.comma(f'{machine.reopen(file)} {words}'.rstrip()) for file, words in modules)
        command = [
            qemu, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-machine', 'q35',
            '-accel', 'tcg', '-cpu', CPU, '-smp', '1', '-m', f'{mib}M', *devices,
            '-kernel', hypervisor(), '-append', f'{XEN_CMDLINE} {append}', '-initrd', initrd]
        pairs = [socket.socketpair() for _ in range(n_ports)]
        for number, (_, end) in enumerate(pairs):
            command += ['-chardev', f'socket,id=port{number},fd={end.fileno()}', '-serial', f'chardev:port{number}']
        self.ports = [host for host, _ in pairs]
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, cwd='/',
            pass_fds=[file.fileno() for file, _ in modules] + [end.fileno() for _, end in pairs],
            start_new_session=True, preexec_fn=machine.die_with(os.getpid()))
        for _, end in pairs:
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for port in self.ports:
            port.close()
        self._log.close()

    def read(self, deadline):
        """(number of the port, bytes) as they come, until QEMU ends; None when the deadline passes."""
        with selectors.DefaultSelector() as selector:
            for number, port in enumerate(self.ports):
                selector.register(port, selectors.EVENT_READ, number)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    yield None
                for key, _ in ready:
                    try:
                        data = key.fileobj.recv(65536)
                    except ConnectionResetError:
                        data = b''
                    if data:
                        yield key.data, data
                    else:
                        selector.unregister(key.fileobj)

    def explain(self):
        """The last lines that QEMU itself wrote."""
        self._log.seek(0)
        lines = self._log.read().decode(errors='replace').strip().splitlines()
        return '\n'.join('  ' + line for line in lines[-5:])


# What Xen says, and what that means for dom0.  A triple fault is a reboot for Xen, which says so later.
DOM0_ENDINGS = (
    (r'd0v\d+ Triple fault', CRASH, False),
    (r'Hardware Dom0 halted', POWER_OFF, True),
    (r'Hardware Dom0 shutdown: rebooting', REBOOT, True),
    (r'Hardware Dom0 (crashed|shutdown: watchdog)', CRASH, True),
)
COMPLAINTS = ('ERROR', 'Unable', 'Failed')  # about dom0's image, before it starts
REFUSAL = 'Could not construct domain 0'
AFTER_PANIC = 'Reboot in'  # five seconds, which nobody waits for here


class Dom0:
    """Follows the console while an ELF file runs as dom0."""

    def __init__(self, guest, show):
        self._show, self._parser = show, xen_console.Parser()
        self.outcome = Outcome(guest)
        self._panic = self._starting = False
        self._over = False

    def take(self, data):
        """Whether it is over."""
        for event in self._parser.feed(data):
            self._event(event)
        return self._over

    def finish(self):
        for event in self._parser.end():
            self._event(event)

    def _event(self, event):
        if self._over:
            return
        if event.kind != xen_console.XEN:
            self.outcome.said[event.kind] += event.text
        elif self._starting or self._panic or event.text.startswith(COMPLAINTS):
            if event.text.strip('*') and not event.text.startswith(AFTER_PANIC):
                self.outcome.said[xen_console.XEN] += event.text + '\n'
        self._show(event)
        if event.kind == xen_console.XEN:
            self._judge(event.text)

    def _judge(self, text):
        self._starting |= bool(xen_console.GUEST_STARTS.match(text))
        self._panic |= text.startswith('Panic on CPU')
        if self._panic:
            if text.startswith(REFUSAL):
                self.outcome.ending = REFUSED
            self._over |= text.startswith(AFTER_PANIC)
            return
        for pattern, ending, last in DOM0_ENDINGS:
            if re.match(pattern, text):
                self.outcome.ending = self.outcome.ending or ending
                self._over |= last


def run_dom0(guest, show):
    """Boot GUEST as Xen's PVH dom0; SHOW is called with each event.  The outcome."""
    files = [open(path, 'rb') for path in (guest.kernel, guest.ramdisk) if path]
    try:
        modules = [(files[0], guest.cmdline or ''), *((file, '') for file in files[1:])]
        append = f'dom0=pvh dom0_mem={guest.memory}M,max:{guest.memory}M dom0_max_vcpus={guest.n_cpus}'
        start = time.monotonic()
        dom0 = Dom0(guest, show)
        with Machine(guest.memory + XEN_MIB, append, modules, devices=('-device', 'amd-iommu')) as xen:
            for piece in xen.read(start + guest.timeout):
                if piece is None:
                    dom0.outcome.ending = TIMEOUT
                if piece is None or dom0.take(piece[1]):
                    break
            dom0.finish()
            dom0.outcome.seconds = time.monotonic() - start
            if not dom0.outcome.ending:
                said = dom0.outcome.said[xen_console.XEN]
                raise Problem(f'the machine ended, and Xen did not say why\n{said}{xen.explain()}'.rstrip())
        return dom0.outcome
    finally:
        for file in files:
            file.close()
