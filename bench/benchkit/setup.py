# SPDX-License-Identifier: MIT
"""What a run of the benchmarks is given: the build, the monitors, how many rounds, where."""
import os
import sys

from . import monitors, place

LAB = os.path.join(place.TOP, 'lab')
sys.path.insert(0, LAB)
# pylint: disable=wrong-import-position
from labkit.program import Problem  # noqa: E402


class Setup:
    def __init__(self, args, scratch):
        """ARGS: as bench/bench parsed them.  SCRATCH: a directory for what is of no use afterwards."""
        self.build, self.out, self.scratch = os.path.abspath(args.build), os.path.abspath(args.out), scratch
        self.rounds, self.quick = args.rounds, args.quick
        self.monitors = [m for m in monitors.all_of(self.build, scratch) if not args.only or m.name in args.only]

    def tell(self, text):
        """Progress, for a person who watches."""
        if sys.stderr.isatty():
            print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)

    def monitor(self, name):
        return next((m for m in self.monitors if m.name == name), None)

    def tiny(self, end, monitor):
        """The tiny guest as this monitor takes it: END is halt or off."""
        return os.path.join(self.build, 'bench', f'first-{end}{monitor.tiny}')

    def able(self, case, where, elf_only=False):
        """The monitors that can take part there, told so; the others are noted in CASE, where the caller may have
        noted some.  ELF_ONLY: there is no other form of the kernel."""
        result = []
        for monitor in self.monitors:
            if monitor.name in case.absent:
                continue
            why = monitor.why_not()
            if not why and elf_only and monitor.bzimage_only:
                why = 'boots no ELF file, only bzImages'
            if why:
                case.absent[monitor.name] = why
            else:
                result.append(monitor.at(where))
        return result


def why_no_kvm():
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR))
    except OSError as err:
        return f'/dev/kvm: {err.strerror}'
    return None


def why_no_lab():
    from labkit import machine  # pylint: disable=import-outside-toplevel
    try:
        machine.Shape(1, 2 << 30)
    except Problem as err:
        return f'the lab: {err}'
    return None
