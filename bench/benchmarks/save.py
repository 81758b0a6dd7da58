# SPDX-License-Identifier: MIT
"""save: what it is to a machine that runs when a snapshot is made of it."""
import os
import shutil
import time

from benchkit import place, rounds, setup, snapshots

NAME = 'save'
TITLE = 'A running guest that is saved'
MOST_ROUNDS = 5  # of those that write gigabytes
# Memory in MiB, which guest, whether it may have huge pages.
SAVED = (('128M, nearly empty', 128, 'again', True), ('1G, all written, huge pages', 1024, 'touch', True),
         ('1G, all written, small pages', 1024, 'touch', False), ('3G, all written, huge pages', 3072, 'touch', True),
         ('3G, all written, small pages', 3072, 'touch', False))
SAVE = {
    'still_us': ('the guest stood still, by own clock', 'us'),
    'took_ms': ('asked to answered, all on the disk', 'ms'),
}


def why_not(_given):
    return setup.why_no_kvm()


def save(given, name, memory, guest, huge):
    """The same machine again and again: each time all of its memory is written."""
    case, pronto = rounds.Case(f'saved: {name}', SAVE), given.monitor('pronto')
    if pronto.why_not():
        case.absent['pronto'] = pronto.why_not()
        return case
    directory = os.path.join(given.scratch, 'save-pronto')
    try:
        settings = snapshots.config(given, pronto, memory, 1, guest)
        machine = snapshots.Machine(place.Host(), pronto.program, directory, settings, huge)
    except place.Failed as err:
        case.absent['pronto'] = str(err)
        return case

    def turn():
        start = time.monotonic()
        still_us = machine.snapshot(os.path.join(directory, 'snapshot'))
        return {'still_us': still_us, 'took_ms': (time.monotonic() - start) * 1000}
    small = memory < 1024
    n_rounds = given.rounds if small else min(given.rounds, MOST_ROUNDS)
    try:
        return rounds.race(case, {'pronto': turn}, n_rounds, given.tell, warm_up=small)
    finally:
        machine.end()
        shutil.rmtree(directory)


def run(given):
    if not given.monitor('pronto'):
        return []
    return [save(given, *each) for each in (SAVED[:1] if given.quick else SAVED)]
