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
from .program import Problem

# With TCG's SMAP a PV dom0 dies before its first line; its MWAIT now and then faults in Xen's idle loop.
# RDTSCP has done no harm that was seen, but is not wanted either.
CPU = machine.CPU + ',smap=off,monitor=off,rdtscp=off'
XEN_CMDLINE = 'console=com1 com1=115200,8n1 guest_loglvl=all'
XEN_MIB = 384  # what Xen wants beside its domains
BOOT_SECONDS = 120
MAX_SAID = 64 << 20  # characters kept of what is said about and by one domain

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
        self.seconds = 0.0
        self._said = {xen_console.PORT: [], xen_console.CONSOLE: [], xen_console.XEN: []}
        self._room = MAX_SAID

    def say(self, kind, text):
        """Note that TEXT was said.  A guest that does not stop talking is not listened to for ever."""
        if len(text) <= self._room:
            self._said[kind].append(text)
            self._room -= len(text)

    def said(self, kind):
        return ''.join(self._said[kind])


def hypervisor():
    """The path of Xen as an ELF file."""
    tree = packages.get('xen')
    result = cache.path('vmlinux', 'xen-' + os.path.basename(tree).split('_', 1)[1])
    if not os.path.exists(result):
        with gzip.open(packages.within(tree, 'boot/xen-*-amd64.gz')) as image:
            cache.write_file(result, image.read())
    return result


class Machine:
    """A machine in which Xen boots.  `ports` are the host's ends of its serial ports; `deadline` is the time
    until which read() waits."""

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
        self.deadline = time.monotonic() + BOOT_SECONDS
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

    def read(self):
        """(number of the port, bytes) as they come, until QEMU ends; None when the deadline passes."""
        with selectors.DefaultSelector() as selector:
            for number, port in enumerate(self.ports):
                selector.register(port, selectors.EVENT_READ, number)
            while selector.get_map():
                left = self.deadline - time.monotonic()
                ready = selector.select(left) if left > 0 else []
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
# About dom0's image, before it starts; what Xen thinks of the machine's own map is no news.
COMPLAINTS = re.compile(r'ERROR|Unable|Failed(?! to convert E820)')
REFUSAL = 'Could not construct domain 0'
AFTER_PANIC = 'Reboot in'  # five seconds, which nobody waits for here
ASIDES = (AFTER_PANIC, 'uart interrupt taking more than')  # this machine is busy: no word about a guest


class Dom0:
    """Follows the console while an ELF file runs as dom0."""

    def __init__(self, guest, show):
        self._show, self._parser = show, xen_console.Parser()
        self.outcome = Outcome(guest)
        self._start = time.monotonic()
        self._panic = self._over = False
        self.running = False  # Xen has come up, and lets dom0 run

    def take(self, data):
        """Whether it is over."""
        for event in self._parser.feed(data):
            self._event(event)
        return self._over

    def finish(self):
        for event in self._parser.end():
            self._event(event)
        self.outcome.seconds = time.monotonic() - self._start

    def _event(self, event):
        if self._over:
            return
        if event.kind != xen_console.XEN:
            self.outcome.say(event.kind, event.text)
        elif self.running or self._panic or COMPLAINTS.match(event.text):
            if event.text.strip('*') and not event.text.startswith(ASIDES):
                self.outcome.say(event.kind, event.text + '\n')
        self._show(event)
        if event.kind == xen_console.XEN:
            self._judge(event.text)

    def _judge(self, text):
        if xen_console.GUEST_STARTS.match(text):
            self.running, self._start = True, time.monotonic()
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
        dom0 = Dom0(guest, show)
        with Machine(guest.memory + XEN_MIB, append, modules, devices=('-device', 'amd-iommu')) as xen:
            _follow(xen, dom0)
        return dom0.outcome
    finally:
        for file in files:
            file.close()


def _follow(xen, dom0):
    for piece in xen.read():
        was_running = dom0.running
        if piece is None or dom0.take(piece[1]):
            break
        if dom0.running and not was_running:
            xen.deadline = time.monotonic() + dom0.outcome.guest.timeout
    else:
        piece = b''  # the machine ended
    dom0.finish()
    if piece is None and dom0.running:
        dom0.outcome.ending = TIMEOUT
    if not dom0.outcome.ending:
        what = 'Xen did not come up' if piece is None else 'the machine ended, and Xen did not say why'
        raise Problem(f'{what}\n{dom0.outcome.said(xen_console.XEN)}{xen.explain()}'.rstrip())
