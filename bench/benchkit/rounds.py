# SPDX-License-Identifier: MIT
"""A race: contenders measured in turn, round after round, so that all see the same machine."""
from . import stats
from .place import Failed

REFERENCES = ('floor', 'pronto')  # what ratios are taken to
TOLERATED = 0.1                   # the share of its rounds that a contender may fail


class Case:
    """One question, the contenders' answers, and who could not be asked."""

    def __init__(self, name, metrics, note=''):
        """METRICS: {name: (what it is, unit)}."""
        self.name, self.metrics, self.note = name, metrics, note
        self.samples = {}  # contender: metric: round: value
        self.absent = {}   # contender: why
        self.failures = {}  # contender: [why, ...] of single rounds

    def as_json(self):
        contenders = {}
        for who, metrics in self.samples.items():
            contenders[who] = {metric: self._entry(metric, rounds) for metric, rounds in metrics.items()}
        return {'name': self.name, 'note': self.note, 'metrics': self.metrics, 'contenders': contenders,
                'absent': self.absent, 'failures': self.failures}

    def _entry(self, metric, rounds):
        values = [rounds[i] for i in sorted(rounds)]
        over = {}
        for reference in REFERENCES:
            theirs = self.samples.get(reference, {}).get(metric)
            if theirs:
                over[reference] = stats.ratio(rounds, theirs)
        return {**stats.summary(values), 'samples': values, 'over': over}


def race(case, contenders, n_rounds, tell=lambda text: None, warm_up=True):
    """Measure each contender once without counting it (unless WARM_UP is off), then N_ROUNDS times; fills CASE.

    CONTENDERS: {name: function that returns {metric: value}}.  One that fails its first try is absent,
    with the reason; one that fails more than a tenth of its rounds likewise.
    """
    able = {} if warm_up else dict(contenders)
    for who, measure in contenders.items() if warm_up else ():
        try:
            measure()
            able[who] = measure
        except Failed as err:
            case.absent[who] = str(err)
    order = list(able)
    for i in range(n_rounds):
        tell(f'{case.name}: round {i + 1} of {n_rounds}')
        for who in order:
            try:
                for metric, value in able[who]().items():
                    case.samples.setdefault(who, {}).setdefault(metric, {})[i] = value
            except Failed as err:
                case.failures.setdefault(who, []).append(str(err))
        order = order[1:] + order[:1]  # nobody always comes first
    for who, reasons in case.failures.items():
        if len(reasons) > TOLERATED * n_rounds:
            case.samples.pop(who, None)
            case.absent[who] = f'failed {len(reasons)} of {n_rounds} rounds: {reasons[0]}'
    return case
