# SPDX-License-Identifier: MIT
"""Medians with their spread, ratios and slopes: what a few dozen noisy samples can honestly say."""


def quantile(samples, share):
    """The value below which SHARE of the samples lie, between two samples in proportion."""
    if not samples:
        raise ValueError('no samples')
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(samples):
    return quantile(samples, 0.5)


def summary(samples):
    return {'n': len(samples), 'median': median(samples), 'q1': quantile(samples, 0.25),
            'q3': quantile(samples, 0.75), 'min': min(samples), 'max': max(samples)}


def ratio(ours, theirs):
    """How many times theirs ours is, from rounds in which both took part: the median of the rounds' own
    ratios, so that a machine that slows down for a while slows both.  None where nothing is shared.

    OURS and THEIRS: {round: value}.
    """
    shared = [ours[i] / theirs[i] for i in sorted(ours.keys() & theirs.keys())
              if theirs[i] > 0]
    if not shared:
        return None
    return {'n': len(shared), 'median': median(shared), 'q1': quantile(shared, 0.25),
            'q3': quantile(shared, 0.75)}


def slope(points):
    """Theil and Sen's line through (x, y): the median of the slopes between all pairs, and the median
    height left.  A few wild points do not move it.  (slope, height at x = 0), or None for fewer than two
    different x."""
    slopes = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points)
              for x2, y2 in points[i + 1:] if x1 != x2]
    if not slopes:
        return None
    steep = median(slopes)
    return steep, median([y - steep * x for x, y in points])
