# SPDX-License-Identifier: MIT
"""timeline: what `pronto run --timeline` costs, and two pictures by it, in the directory of the report."""
import os

from benchkit import linux, place, rounds, setup

NAME = 'timeline'
TITLE = 'The cost of pronto run --timeline'
METRICS = {'gone_ms': ('start to end of a guest that powers off', 'ms'),
           'gone_cpu_ms': ('start to end of a guest that powers off', 'ms of CPU')}


def why_not(_given):
    return setup.why_no_kvm()


def measure(given, where, argv):
    def turn():
        told, = place.watch(where, given.build, argv, until='!')
        return {'gone_ms': told['end']['wall_ns'] / 1e6, 'gone_cpu_ms': told['end']['cpu_ns'] / 1e6}
    return turn


def draw_linux(given, path):
    """A Debian boot in the lab."""
    guest = linux.debian('cloud')
    argv = given.monitor('pronto').argv(guest.bzimage, 256, 1, guest.initrd, linux.CMDLINE + ' bench=off')
    argv.insert(2, '--timeline=/run/timeline.svg')
    with place.Lab(seconds=300) as where:
        linux.warm(given, where, [guest])
        where.run(argv, seconds=120)  # fills the cache of unpacked kernels
        where.run(argv, seconds=120)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(where.run(['cat', '/run/timeline.svg']))


def run(given):
    where, pronto = place.Host(), given.monitor('pronto')
    case = rounds.Case('a tiny guest, 128M', METRICS, 'off is the option not given')
    if not pronto or pronto.why_not():
        raise place.Failed('pronto does not take part')
    argv = pronto.argv(given.tiny('off', pronto), 128, 1)
    tiny, debian = (os.path.join(given.out, f'timeline-{name}.svg') for name in ('tiny', 'debian'))
    turns = {'pronto': argv, 'pronto, printed': [*argv[:2], '--timeline', *argv[2:]],
             'pronto, drawn': [*argv[:2], f'--timeline={tiny}', *argv[2:]],
             'pronto, JSON': [*argv[:2], f'--timeline={os.path.join(given.scratch, "tiny.json")}', *argv[2:]]}
    rounds.race(case, {who: measure(given, where, words) for who, words in turns.items()}, given.rounds, given.tell)
    case.note += f'; pictures: {tiny}'
    if not given.quick and not linux.why_not():
        draw_linux(given, debian)
        case.note += f', {debian}'
    return [case]
