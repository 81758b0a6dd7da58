# SPDX-License-Identifier: MIT
"""What a process keeps in memory, with the guest's RAM apart: read from /proc/PID/smaps."""
import re


def parse(lines):
    """[(start, end, rss, pss), ...] of the mappings, sizes in KiB."""
    result = []
    for line in lines:
        head = re.match(r'([0-9a-f]+)-([0-9a-f]+) ', line)
        if head:
            result.append([int(head[1], 16), int(head[2], 16), 0, 0])
        elif line.startswith(('Rss:', 'Pss:')):
            result[-1][2 if line[0] == 'R' else 3] = int(line.split()[1])
    return [tuple(mapping) for mapping in result]


def ram(mappings, ram_mib):
    """The mappings that are guest RAM: the smallest run of neighbouring ones that has room for it.  A kernel's
    file mapped into it makes several of one.
    """
    runs = []
    for mapping in sorted(mappings):
        if runs and runs[-1][-1][1] == mapping[0]:
            runs[-1].append(mapping)
        else:
            runs.append([mapping])
    fitting = [run for run in runs if run[-1][1] - run[0][0] >= ram_mib << 20]
    if not fitting:
        raise ValueError(f'no mapping of {ram_mib} MiB')
    # A neighbour that only happens to lie beside it is not RAM.
    return _narrow(min(fitting, key=lambda run: run[-1][1] - run[0][0]), ram_mib << 20)


def split(mappings, ram_mib):
    """(rss beside RAM, pss beside it, rss of RAM, pss of RAM) in KiB."""
    inside = ram(mappings, ram_mib)
    return (*_sums([m for m in mappings if m not in inside]), *_sums(inside))


def _narrow(run, size):
    """The shortest part of a run that is large enough."""
    parts = [run[i:j] for i in range(len(run)) for j in range(i + 1, len(run) + 1)
             if run[j - 1][1] - run[i][0] >= size]
    return min(parts, key=lambda part: part[-1][1] - part[0][0])


def _sums(mappings):
    return sum(m[2] for m in mappings), sum(m[3] for m in mappings)
