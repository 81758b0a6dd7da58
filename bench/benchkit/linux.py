# SPDX-License-Identifier: MIT
"""Linux guests: Debian's kernels and a minimal one, an initramfs with one program, and how a boot to it is measured."""
import os
import re

from . import place, rounds, setup  # setup knows where labkit is
from labkit import cache, images, packages
from labkit.cpio import Archive
from labkit.kernel import Kernel

USER_SPACE = '@@user'
STATS = '/sys/kernel/debug/kvm'
# Quiet, and without the self-tests of the kernel's ciphers, which are half of such a boot.
CMDLINE = 'console=ttyS0 quiet panic=-1 cryptomgr.notests'
PLAIN = 'console=ttyS0 panic=-1'
# What pronto says by default, and not a word on the console.
SILENT = 'console=ttyS0 reboot=a panic=-1 cryptomgr.notests pci=off 8250.nr_uarts=1 quiet loglevel=3'
BOOT_SECONDS = 120
MINIMAL = 'minimal'
BUILD_MINIMAL = '/usr/bin/python3 tests/linux/kernels.py --bzimage kvm'

METRICS = {
    'user_ms': ('start to first user instruction', 'ms'),
    'user_cpu_ms': ('start to first user instruction', 'ms of host CPU'),
    'exits': ('exits of the guest', 'exits'),
    'user_exits': ('exits to user space', 'exits'),
    'user_io': ('of these: port accesses', 'exits'),
    'user_mmio': ('of these: MMIO accesses', 'exits'),
    'halt_exits': ('halts', 'exits'),
    'irq_exits': ('exits by host interrupts', 'exits'),
    'npf': ('guest page faults fixed by KVM', 'faults'),
    'minflt': ("page faults of the monitor's process", 'faults'),
}
# KVM's name of each count.
KVM_COUNTS = {'exits': 'exits', 'halt_exits': 'halt_exits', 'irq_exits': 'irq_exits', 'npf': 'pf_fixed'}
# KVM itself has no count of exits to user space; its tracepoint has, by reason, without a buffer.
EVENT = '/sys/kernel/tracing/events/kvm/kvm_userspace_exit'
USER_EXITS = {'2': 'user_io', '6': 'user_mmio'}  # KVM_EXIT_IO, KVM_EXIT_MMIO


class Guest:
    """A kernel in the forms it comes in, and an initramfs; or why it is not here."""

    def __init__(self, name, elf=None, bzimage=None, initrd=None, why_not=None):
        self.name, self.elf, self.bzimage, self.initrd, self.why_not = name, elf, bzimage, initrd, why_not

    def files(self):
        return [] if self.why_not else [self.elf, self.bzimage, self.initrd]


def initramfs():
    """The path of an initramfs with pid 1 alone."""
    init = images.static_program('bench-init', [os.path.join(place.TOP, 'bench', 'init.c')])
    result = cache.path('initramfs', f'bench-{cache.digest(init)}.cpio')
    if not os.path.exists(result):
        archive = Archive()
        archive.add_dir('dev')
        archive.add_char_device('dev/console', 5, 1)
        archive.add_file('init', init, 0o755)
        cache.write_file(result, archive.finish())
    return result


def padded(initrd, directory, mib):
    """INITRD, with a file of MIB in it that has no regularity; made in DIRECTORY."""
    path = os.path.join(directory, f'padded-{mib}.cpio')
    if mib and not os.path.exists(path):
        archive = Archive()
        archive.add_file('pad', os.urandom(1 << 20) * mib)
        with open(initrd, 'rb') as first, open(path, 'wb') as file:
            file.write(first.read())  # Linux takes several archives, one behind the other
            file.write(archive.finish())
    return path if mib else initrd


def debian(name):
    """Debian's kernel of that set; fetched if need be."""
    if packages.why_not(name):
        return Guest(name, why_not=packages.why_not(name))
    return Guest(name, images.vmlinux(name), Kernel(packages.get(name)).vmlinuz, initramfs())


def minimal():
    """The least kernel that boots everywhere, as tests/linux/kernels.py builds it of Debian's source.  That takes
    minutes, so asking for a figure does not start it."""
    built = os.path.join(cache.ROOT, 'linux', 'kvm')
    elf, bzimage = os.path.join(built, 'vmlinux'), os.path.join(built, 'arch', 'x86', 'boot', 'bzImage')
    if not (os.path.exists(elf) and os.path.exists(bzimage)):
        return Guest(MINIMAL, why_not=f'the kernel is not built: {BUILD_MINIMAL}')
    return Guest(MINIMAL, elf, bzimage, initramfs())


def guests(names):
    return {name: minimal() if name == MINIMAL else debian(name) for name in sorted(set(names))}


def contenders(given, case, where):
    """(name, monitor, takes a bzImage): pronto takes part twice, by an ELF file and by its cache."""
    result = []
    for monitor in given.able(case, where):
        if monitor.name != 'floor':
            result.append((monitor.name, monitor, monitor.bzimage_only))
        if monitor.name == 'pronto':
            result.append(('pronto-cached', monitor, True))
    return result


def measure(given, where, monitor, kernel, initrd, memory, cpus, cmdline):
    """One boot to user space."""
    return measure_argv(given, where, monitor.argv(kernel, memory, cpus, initrd, cmdline))


def measure_argv(given, where, argv, env=None):
    """The same, by a command and its environment."""
    def turn():
        # The counts of all VMs together: there is no other in the lab.
        where.run(['sh', '-c', f"echo 'hist:keys=reason:clear' >> {EVENT}/trigger"])
        told, = place.watch(where, given.build, argv, until=USER_SPACE, kill=True, seconds=BOOT_SECONDS,
                            stats=STATS, command=f'cat {EVENT}/hist', env=env)
        up, stats = told['up'], told['up']['stats']
        result = {'user_ms': up['wall_ns'] / 1e6, 'user_cpu_ms': up['cpu_ns'] / 1e6,
                  'minflt': told['end']['minflt']}
        result.update({name: stats[key] for name, key in KVM_COUNTS.items() if key in stats})
        result.update(user_exits(told['said']))
        return result
    return turn


def user_exits(lines):
    """The tracepoint's histogram: {metric: count}."""
    counts = dict(re.findall(r'reason: +(\d+) } hitcount: +(\d+)', '\n'.join(lines)))
    result = {name: int(counts.get(reason, 0)) for reason, name in USER_EXITS.items()}
    return {'user_exits': sum(map(int, counts.values())), **result}


def race(given, where, guest, memory, cpus, cmdline, n_rounds, title=''):
    """All monitors boot the same kernel with the same command line."""
    case = rounds.Case(title or f'{guest.name}, {memory}M, {cpus} CPU{"s" if cpus > 1 else ""}', METRICS,
                       f'in the {where.name}; command line: {cmdline or "each its own default"}')
    if guest.why_not:
        case.absent['all'] = guest.why_not
        return case
    turns = {}
    for name, monitor, bzimage in contenders(given, case, where):
        text = cmdline if cmdline or monitor.name == 'pronto' else PLAIN
        turns[name] = measure(given, where, monitor, guest.bzimage if bzimage else guest.elf, guest.initrd,
                              memory, cpus, text)
    return rounds.race(case, turns, n_rounds, given.tell)


def warm(given, where, guests):
    """All that a boot reads is in the lab's memory before the clock runs."""
    files = {path for guest in guests for path in guest.files()}
    for monitor in given.monitors:
        if not monitor.why_not():
            files.update(monitor.files(), (given.tiny(end, monitor) for end in ('halt', 'off')))
    files.add(os.path.join(given.build, 'bench', 'stopwatch'))
    where.warm(sorted(files))


why_not = setup.why_no_lab
