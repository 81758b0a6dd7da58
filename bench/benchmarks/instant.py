# SPDX-License-Identifier: MIT
"""instant: a boot that was made once, beside the same boot as ever, to the operator's first user instruction."""
from benchkit import linux, place, rounds

NAME = 'instant'
TITLE = 'A boot that was made once, to the first user instruction, beside the boot as ever'
ROUNDS = 3  # counted: more say the same again
KERNELS = (('cloud', 256), ('cloud-newer', 256), (linux.MINIMAL, 64))
DISK, TAP = '/run/instant-disk', 'tap7'
DEVICES = (('no device', ()), ('a disk and an interface', ('--disk', DISK, '--net', f'tap={TAP}')))
# What is measured ends when the console has it; so nothing but the kernel's own work lies before.
CMDLINE = linux.SILENT
PREPARE = f'truncate -s 64M {DISK}; ip tuntap add {TAP} mode tap; ip link set {TAP} up'
CACHE = {'XDG_CACHE_HOME': '/run/instant-cache'}
# The first run leaves a template; its guest is of no use then.
MAKE = ('"$@" > /run/instant-said 2>&1 & until grep -q "instant: saved in" /run/instant-said; do kill -0 $! || exit 1; sleep 0.1; done; '
        'kill -KILL $!')


def why_not(_given):
    return linux.why_not()


def compete(given, where, guest, memory, options, n_rounds):
    kind, words = options
    case = rounds.Case(f'{guest.name}, {memory}M, 1 CPU, {kind}, in the {where.name}', linux.METRICS, f'command line: {CMDLINE}')
    pronto = given.monitor('pronto')
    if guest.why_not or not pronto:
        case.absent['all'] = guest.why_not or 'not asked for'
        return case
    plain = pronto.argv(guest.elf, memory, 1, guest.initrd, CMDLINE)
    ways = {'pronto': [*plain[:2], *words, *plain[2:]], 'pronto-instant': [*plain[:2], '--instant', *words, *plain[2:]]}
    try:
        where.run(['sh', '-c', MAKE, 'sh', *ways['pronto-instant'][:2], '-v', *ways['pronto-instant'][2:]], linux.BOOT_SECONDS, CACHE)
    except place.Failed as err:
        case.absent['pronto-instant'] = str(err)
        return case
    turns = {who: linux.measure_argv(given, where, argv, CACHE) for who, argv in ways.items()}
    return rounds.race(case, turns, n_rounds, given.tell)


def run(given):
    kernels = KERNELS[:1] if given.quick else KERNELS
    guests = linux.guests(name for name, _ in kernels)
    cases = []
    for counted in (True,) if given.quick else (True, False):
        with place.Lab(icount=counted, seconds=7200) as where:
            linux.warm(given, where, guests.values())
            where.run(['sh', '-c', PREPARE])
            for name, memory in kernels:
                cases += [compete(given, where, guests[name], memory, options, min(given.rounds, ROUNDS) if counted else given.rounds)
                          for options in (DEVICES[:1] if given.quick else DEVICES)]
    return cases
