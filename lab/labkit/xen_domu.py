# SPDX-License-Identifier: MIT
"""PVH domUs of the real Xen: a Debian kernel as PV dom0 starts them with xl, one after another."""
import glob
import math
import os
import re
import subprocess
import time

from . import cache, images, packages, xen, xen_console
from .program import Problem
from .cpio import Archive
from .kernel import Kernel

INIT = os.path.join(images.LAB, 'xen-dom0', 'init.sh')
LIBRARIES = 'lib/x86_64-linux-gnu'
MODULES = ('xen_privcmd', 'xenfs', 'xen_evtchn', 'xen_gntdev', 'xen_gntalloc')
PROGRAMS = ('xl', 'xenstored', 'xenconsoled', 'xen-init-dom0')
DIRS = ('bin', 'dev', 'etc', 'etc/xen', 'guests', 'lib', 'lib64', 'lib/x86_64-linux-gnu', 'modules', 'proc', 'run',
        'run/xen', 'run/xenstored', 'sys', 'tmp', 'usr', 'usr/lib', 'usr/lib/x86_64-linux-gnu',
        'var', 'var/lib', 'var/lib/xen', 'var/lib/xenstored', 'var/log', 'var/log/xen',
        'var/log/xen/console')
DOM0_MIB = 384  # beside its initramfs, which is there twice while it is unpacked
DOM0_CMDLINE = 'console=hvc0 quiet mitigations=off cryptomgr.notests random.trust_cpu=on'
GRACE_SECONDS = 120  # for xl, beside the time a guest has; dom0 itself is content with half of it

# Xen's reason codes (public/sched.h).
REASONS = {'0': xen.POWER_OFF, '1': xen.REBOOT, '3': xen.CRASH, '4': xen.CRASH,
           'timeout': xen.TIMEOUT, 'refused': xen.REFUSED}


def initramfs():
    """The path of dom0's initramfs, without any guest."""
    tools, busybox = packages.get('xen-tools'), packages.get('busybox')
    kernel = Kernel(packages.get('generic'))
    with open(INIT, 'rb') as file:
        init = file.read()
    with open(os.path.abspath(__file__), 'rb') as file:
        recipe = file.read()
    result = cache.path('initramfs', f'dom0-{cache.digest(tools, busybox, kernel.release, init, recipe)}.cpio')
    if not os.path.exists(result):
        cache.write_file(result, _build(tools, packages.within(busybox, 'bin/busybox'), kernel, init))
    return result


def _build(tools, busybox, kernel, init):
    archive = Archive()
    for directory in DIRS:
        archive.add_dir(directory)
    archive.add_link('var/run', '/run')
    archive.add_link('var/lock', '/run')
    archive.add_char_device('dev/console', 5, 1)
    archive.add_file('etc/xen/xl.conf', b'')
    archive.add_file('init', init, 0o755)
    _copy(archive, busybox, 'bin/busybox')
    applets = subprocess.run([busybox, '--list'], capture_output=True, text=True, check=True).stdout.split()
    for name in applets:
        if name not in ('busybox', 'init'):
            archive.add_link(f'bin/{name}', 'busybox')
    # Their directory is named after Xen's version, and compiled into them.
    programs = packages.within(tools, 'lib/xen-*/bin')
    within = os.path.relpath(programs, tools)
    archive.add_dir(os.path.dirname(within))
    archive.add_dir(within)
    archive.add_link('xen-bin', within)
    for name in PROGRAMS:
        _copy(archive, os.path.join(programs, name), f'{within}/{name}')
    _copy(archive, packages.within(tools, f'{LIBRARIES}/ld-linux-x86-64.so.2'), 'lib64/ld-linux-x86-64.so.2')
    for directory in (LIBRARIES, f'usr/{LIBRARIES}'):
        for path in sorted(glob.glob(os.path.join(tools, directory, '*.so.*'))):
            _copy(archive, path, f'{directory}/{os.path.basename(path)}')
    order = []
    for module, content in kernel.modules(MODULES):
        archive.add_file(f'modules/{module}.ko', content)
        order.append(f'{module}.ko\n')
    archive.add_file('modules/order', ''.join(order).encode())
    return archive.finish()


def _copy(archive, path, name):
    if os.path.islink(path):
        archive.add_link(name, os.readlink(path))
    else:
        with open(path, 'rb') as file:
            archive.add_file(name, file.read(), 0o755)


def _quoted(text):
    """TEXT as a string in xl's configuration."""
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'


def _config(number, guest, files):
    lines = [
        f'name = "g{number}"', 'type = "pvh"', f'kernel = "{files[guest.kernel]}"',
        f'memory = {guest.memory}', f'vcpus = {guest.n_cpus}',
        'tsc_mode = "native"',  # Xen's own would cost an exit at each reading
        *(f'on_{event} = "preserve"' for event in ('poweroff', 'reboot', 'watchdog', 'crash', 'soft_reset'))]
    if guest.cmdline is not None:
        lines.append(f'cmdline = {_quoted(guest.cmdline)}')
    if guest.ramdisk:
        lines.append(f'ramdisk = "{files[guest.ramdisk]}"')
    return '\n'.join(lines) + '\n'


def _guest_archive(guests):
    """What is unpacked over the initramfs: each file once, and a directory for each guest."""
    archive, files = Archive(), {}
    archive.add_dir('files')
    for path in (path for guest in guests for path in (guest.kernel, guest.ramdisk) if path):
        if path not in files:
            files[path] = f'/files/{len(files)}'
            with open(path, 'rb') as file:
                archive.add_file(files[path][1:], file.read())
    for number, guest in enumerate(guests):
        directory = f'guests/{number:04}'
        archive.add_dir(directory)
        archive.add_file(f'{directory}/config', _config(f'{number:04}', guest, files).encode())
        archive.add_file(f'{directory}/limit', f'{math.ceil(guest.timeout)}\n'.encode())
    return archive.finish()


class Agent:
    """What dom0's pid 1 reports (lab/xen-dom0/init.sh), taken apart."""

    HEADERS = re.compile(rb'@(ready|done|start \d+|end \d+ \w+|data \d+|log \d+)')

    def __init__(self):
        self._received = b''
        self.stray = b''  # what is no report: complaints of the programs in dom0

    def feed(self, data):
        """The reports that DATA completes: (word, [argument...], payload)."""
        self._received += data
        while b'\n' in self._received:
            line, rest = self._received.split(b'\n', 1)
            if not self.HEADERS.fullmatch(line.rstrip(b'\r')):
                self.stray += line + b'\n'
                self._received = rest
                continue
            word, *arguments = line.decode().split()
            size = int(arguments[0]) if word in ('@data', '@log') else 0
            if len(rest) < size:
                return
            self._received = rest[size:]
            yield word[1:], arguments, rest[:size]


class Domus:
    """Follows both serial ports while domUs run."""

    def __init__(self, guests, show, ended):
        self._show, self._ended = show, ended
        self._console, self.agent = xen_console.Parser(), Agent()
        self._outcomes = [xen.Outcome(guest) for guest in guests]
        self._current = None
        self._marker_seen = self._triple_fault = False
        self._started = 0.0
        self._reason = None
        self.ready = self.done = False
        self.last_words = ''  # Xen's, for a message about an unexpected end

    def take(self, port, data):
        """Whether all are over."""
        if port == 0:
            for event in self._console.feed(data):
                self._hear(event)
        else:
            for report in self.agent.feed(data):
                self._report(*report)
        return self.done

    def _hear(self, event):
        outcome = self._current
        if event.kind == xen_console.CONSOLE:  # dom0's
            if outcome and re.match(r'@end \d+\n', event.text):
                self._marker_seen = True
                self._conclude()
            self._show(xen_console.Event(xen_console.XEN, event.text.rstrip('\n')))
            return
        if event.kind == xen_console.XEN:
            self.last_words = (self.last_words + event.text + '\n')[-1000:]
            self._triple_fault |= bool(re.match(r'd[1-9]\d*v\d+ Triple fault', event.text))
        if outcome and (event.kind == xen_console.PORT or self._triple_fault):
            outcome.say(event.kind, event.text + ('\n' if event.kind == xen_console.XEN else ''))
        self._show(event)

    def _report(self, word, arguments, payload):
        text = payload.decode('utf-8', 'replace')
        if word == 'ready':
            self.ready = True
        elif word == 'start':
            self._current = self._outcomes[int(arguments[0])]
            self._marker_seen = self._triple_fault = False
            self._reason, self._started = None, time.monotonic()
        elif word == 'data':
            self._current.say(xen_console.CONSOLE, text)
            self._show(xen_console.Event(xen_console.CONSOLE, text))
        elif word == 'log':
            self._current.say(xen_console.XEN, text)
            for line in text.splitlines():
                self._show(xen_console.Event(xen_console.XEN, line))
        elif word == 'end':
            self._reason = arguments[1]
            self._conclude()
        elif word == 'done':
            self.done = True

    def _conclude(self):
        """A domain is over when dom0 has said so on both ports."""
        if not self._marker_seen or self._reason is None:
            return
        outcome, self._current = self._current, None
        outcome.seconds = time.monotonic() - self._started
        ending = REASONS.get(self._reason, xen.CRASH)
        # For Xen a triple fault is a reboot.
        outcome.ending = xen.CRASH if self._triple_fault and ending == xen.REBOOT else ending
        self._ended(outcome)

    def outcomes(self):
        return self._outcomes


def run(guests, show, ended):
    """Start GUESTS as domUs, one after another.  SHOW is called with each event, ENDED with the outcome of
    each.  All outcomes."""
    with open(initramfs(), 'rb') as file:
        base = file.read()
    archive = base + _guest_archive(guests)
    dom0_mib = DOM0_MIB + 2 * (len(archive) >> 20)
    mib = dom0_mib + max(guest.memory for guest in guests) + xen.XEN_MIB
    append = f'dom0_mem={dom0_mib}M,max:{dom0_mib}M dom0_max_vcpus=1'
    deadline = time.monotonic() + xen.BOOT_SECONDS + sum(guest.timeout + GRACE_SECONDS for guest in guests)
    with os.fdopen(os.memfd_create('initramfs'), 'wb') as initrd, open(images.vmlinux('generic'), 'rb') as kernel:
        initrd.write(archive)
        initrd.flush()
        del base, archive
        domus = Domus(guests, show, ended)
        with xen.Machine(mib, append, [(kernel, DOM0_CMDLINE), (initrd, '')], n_ports=2) as machine:
            machine.deadline = deadline
            state = 'ended'
            for piece in machine.read():
                if piece is None:
                    state = 'stood still'
                    break
                if domus.take(*piece):
                    return domus.outcomes()
            when = 'while domains were running' if domus.ready else 'before a domain could be started'
            said = domus.last_words + domus.agent.stray.decode(errors='replace')
            raise Problem(f'the machine {state} {when}\n{said}{machine.explain()}'.rstrip())
