# SPDX-License-Identifier: MIT
"""density: how fast many VMs come up beside each other, all of them kept."""
import concurrent.futures
import os

from benchkit import linux, place, rounds, setup, stats

NAME = 'density'
TITLE = 'Many VMs, started one after another and kept, on each core at once'
TINY, LINUX = 200, 20
ROUNDS = 3
METRICS = {
    'per_second': ('VMs started per second, on all cores', '1/s'),
    'per_core': ('VMs started per second and core', '1/s'),
    'first_ms': ('latency of the first tenth', 'ms'),
    'last_ms': ('latency of the last tenth', 'ms'),
    'growth': ('the last tenth over the first', 'times'),
}
SLOW = {'qemu-q35': 'goes through a BIOS; see start'}


def why_not(_given):
    return setup.why_no_kvm()


def figures(told, n_cores):
    """From what the stopwatches reported, in the order of starting."""
    ups = sorted((one['up'] for one in told), key=lambda up: up['start_ns'])
    seconds = (max(up['start_ns'] + up['wall_ns'] for up in ups) - ups[0]['start_ns']) / 1e9
    tenth = max(1, len(ups) // 10)
    first, last = (stats.median([up['wall_ns'] / 1e6 for up in part]) for part in (ups[:tenth], ups[-tenth:]))
    return {'per_second': len(ups) / seconds, 'per_core': len(ups) / seconds / n_cores,
            'first_ms': first, 'last_ms': last, 'growth': last / first}


def on_host(given, where, monitor, count):
    n_cores = len(os.sched_getaffinity(0))

    def one(_):
        return place.watch(where, given.build, monitor.argv(given.tiny('halt', monitor), 128, 1), until='!', kill=True,
                           count=count // n_cores)

    def turn():
        with concurrent.futures.ThreadPoolExecutor(n_cores) as pool:
            return figures([up for told in pool.map(one, range(n_cores)) for up in told], n_cores)
    return turn


def in_lab(given, where, monitor, kernel, initrd, count):
    def turn():
        return figures(place.watch(where, given.build, monitor.argv(kernel, 96, 1, initrd, linux.CMDLINE),
                                   until=linux.USER_SPACE, kill=True, count=count,
                                   seconds=linux.BOOT_SECONDS), 1)
    return turn


def run(given):
    host, n_rounds = place.Host(), min(given.rounds, ROUNDS)
    count = 10 if given.quick else TINY
    case = rounds.Case(f'{count} tiny guests, 128M', METRICS)
    case.absent.update(SLOW)
    turns = {m.name: on_host(given, host, m, count) for m in given.able(case, host)}
    cases = [rounds.race(case, turns, n_rounds, given.tell)]
    if given.quick:
        return cases
    case = rounds.Case(f'{LINUX} Linux guests, 96M, in the lab', METRICS)
    why = linux.why_not()
    if why:
        case.absent['everybody'] = why
        return cases + [case]
    guest = linux.debian('cloud')
    with place.Lab(memory='8G', seconds=7200) as where:
        linux.warm(given, where, [guest])
        case.absent.update(SLOW)
        turns = {name: in_lab(given, where, monitor, guest.bzimage if bzimage else guest.elf, guest.initrd, LINUX)
                 for name, monitor, bzimage in linux.contenders(given, case, where)}
        return cases + [rounds.race(case, turns, 1, given.tell, warm_up=False)]
