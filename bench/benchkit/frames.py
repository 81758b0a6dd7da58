# SPDX-License-Identifier: MIT
"""Which page frames of the host are behind the RAM of guests, and so what guests share: from /proc/PID/pagemap.

Run as a program, by root and where the guests are, it prints "frames" and one JSON object; pages are counted from guest-physical 0:
    frames.py RAM_MIB FIRST-END[,FIRST-END...] PID...
"""
import array
import json
import sys

PAGE = 4096
PRESENT, FRAME = 1 << 63, (1 << 55) - 1  # of an entry of pagemap: Documentation/admin-guide/mm/pagemap.rst


def frames(entries):
    """{page: frame} of those that are present.  ValueError: the kernel does not tell us which."""
    result = {page: entry & FRAME for page, entry in enumerate(entries) if entry & PRESENT}
    if result and not any(result.values()):
        raise ValueError('pagemap tells its frames only to root')
    return result


def growth(guests, ranges):
    """(frames of the first guest, frames that each further one adds) for these pages of its RAM; of the second,
    None if there is no further one.

    GUESTS: what frames() said of each.  A frame that several guests have counts once.
    """
    sets = [{guest[page] for first, end in ranges for page in range(first, end) if page in guest} for guest in guests]
    more = (len(set.union(*sets)) - len(sets[0])) / (len(sets) - 1) if len(sets) > 1 else None
    return len(sets[0]), more


def read(pid, start, n_pages):
    """The entries of a process's pages from address START on."""
    with open(f'/proc/{pid}/pagemap', 'rb') as file:
        file.seek(start // PAGE * 8)
        entries = array.array('Q', file.read(n_pages * 8))
    if len(entries) != n_pages:
        raise ValueError(f'pagemap of {pid} ends early')
    return entries


def main(ram_mib, ranges, *pids):
    # By its place on disk: this is a program, too, and then its neighbours are no package.
    import smaps  # pylint: disable=import-outside-toplevel,import-error
    n_pages = int(ram_mib) * (1 << 20) // PAGE
    sums, guests = [], []
    for pid in pids:
        with open(f'/proc/{pid}/smaps', encoding='ascii') as file:
            mappings = smaps.parse(file)
        sums.append(smaps.split(mappings, int(ram_mib)))
        guests.append(frames(read(pid, smaps.ram(mappings, int(ram_mib))[0][0], n_pages)))
    ranges = [tuple(int(page) for page in pair.split('-')) for pair in ranges.split(',')]
    print('frames', json.dumps({'sums': sums, 'constant': growth(guests, ranges), 'ram': growth(guests, [(0, n_pages)])}))


if __name__ == '__main__':
    main(*sys.argv[1:])
