# SPDX-License-Identifier: MIT
"""start: from the start of the process to the guest's first instruction, and to the process gone."""
import json
import os

from benchkit import monitors, place, rounds, setup

NAME = 'start'
TITLE = 'Process start to first guest instruction, and to the end of the process'
SHAPES = ((128, 1), (1024, 2), (8192, 2))
METRICS = {
    'up_ms': ('start to first byte', 'ms'),
    'up_cpu_ms': ('start to first byte', 'ms of CPU'),
    'gone_ms': ('start to end of a guest that powers off', 'ms'),
    'gone_cpu_ms': ('start to end of a guest that powers off', 'ms of CPU'),
    'entry_ms': ('start to entering the guest, by own clock', 'ms'),
    'teardown_ms': ('entering to end, by own clock', 'ms'),
}
SLOW = ('qemu-q35',)  # goes through a BIOS: in the first shape only, it takes seconds where KVM is slow
FIRST_BYTE = '!'


def why_not(_given):
    return setup.why_no_kvm()


def own_entry(given, where, monitor, memory, cpus):
    """When it entered the guest, by its own clock, of those who tell: ms from its start, and to its end."""
    path = os.path.join(given.scratch if where.name == 'host' else '/run', 'entry.json')
    argv, env = monitor.argv(given.tiny('off', monitor), memory, cpus), {}
    if monitor.name == 'floor':
        env['FLOOR_ENTRY'] = path
    elif monitor.name == 'pronto':
        argv.insert(2, f'--timeline={path}')
    else:
        return {}
    told, = place.watch(where, given.build, argv, until=FIRST_BYTE, env=env)
    text = where.run(['cat', path])
    if monitor.name == 'floor':
        entered_ns = int(text)
    else:
        timeline = json.loads(text)
        entered_ns = timeline['start_ns'] + next(moment['ns'] for moment in timeline['moments']
                                                 if moment['name'] == 'first guest instruction')
    entry_ns = entered_ns - told['up']['start_ns']
    return {'entry_ms': entry_ns / 1e6, 'teardown_ms': (told['end']['wall_ns'] - entry_ns) / 1e6}


def measure(given, where, monitor, memory, cpus):
    """One contender's turn: a guest that stays, one that powers off, and one whose monitor tells when."""
    def turn():
        stays, = place.watch(where, given.build, monitor.argv(given.tiny('halt', monitor), memory, cpus),
                             until=FIRST_BYTE, kill=True)
        ends, = place.watch(where, given.build, monitor.argv(given.tiny('off', monitor), memory, cpus),
                            until=FIRST_BYTE)
        if ends['end']['status'] not in monitor.ends:
            raise place.Failed(f'ended with status {ends["end"]["status"]}')
        return {'up_ms': stays['up']['wall_ns'] / 1e6, 'up_cpu_ms': stays['up']['cpu_ns'] / 1e6,
                'gone_ms': ends['end']['wall_ns'] / 1e6, 'gone_cpu_ms': ends['end']['cpu_ns'] / 1e6,
                **own_entry(given, where, monitor, memory, cpus)}
    return turn


def compete(given, where, memory, cpus, n_rounds, without=()):
    case = rounds.Case(f'{memory}M, {cpus} CPU{"s" if cpus > 1 else ""}', METRICS)
    case.absent.update(dict.fromkeys(without, 'measured with the smallest machine only'))
    return rounds.race(case, {m.name: measure(given, where, m, memory, cpus) for m in given.able(case, where)}, n_rounds,
                       given.tell)


def compete_devices(given, memory, cpus, n_rounds):
    """What devices cost a start: pronto without, and with one or two that a guest finds if it looks."""
    case, where = rounds.Case(f'{memory}M, {cpus} CPU, with devices', METRICS, 'in a network of its own'), place.Network()
    plain = given.monitor('pronto')
    if plain.why_not():
        case.absent['pronto'] = plain.why_not()
        return case
    image = os.path.join(given.scratch, 'disk')
    with open(image, 'wb') as file:
        file.truncate(64 << 20)
    devices = {'pronto': [], 'pronto-disk': ['--disk', image],
               'pronto-disk-net': ['--disk', image, '--net', f'tap={where.TAP}']}
    turns = {name: measure(given, where, monitors.Pronto('pronto', plain.program, *options), memory, cpus)
             for name, options in devices.items()}
    return rounds.race(case, turns, n_rounds, given.tell)


def compete_confined(given, memory, cpus, n_rounds):
    """What each stage of confinement costs a start."""
    case, where = rounds.Case(f'{memory}M, {cpus} CPU, confined', METRICS), place.Host()
    plain = given.monitor('pronto')
    if plain.why_not():
        case.absent['pronto'] = plain.why_not()
        return case
    turns = {f'pronto-{how}': measure(given, where, monitors.Pronto('pronto', plain.program, '--confine', how), memory, cpus)
             for how in ('off', 'basic', 'on')}
    return rounds.race(case, turns, n_rounds, given.tell)


def run(given):
    where = place.Host()
    shapes = SHAPES[:1] if given.quick else SHAPES
    cases = [compete(given, where, memory, cpus, given.rounds, SLOW if (memory, cpus) != SHAPES[0] else ())
             for memory, cpus in shapes]
    if given.monitor('pronto'):
        cases += [race(given, *SHAPES[0], given.rounds) for race in (compete_devices, compete_confined)]
    return cases
