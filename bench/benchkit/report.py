# SPDX-License-Identifier: MIT
"""Results as a table for a terminal, and as JSON."""
import json


def number(value):
    """Three figures: nobody measured more."""
    if value == 0:
        return '0'
    digits = max(0, 2 - _magnitude(abs(value)))
    return f'{value:.{digits}f}'


def _magnitude(value):
    exponent = 0
    while value >= 10:
        value, exponent = value / 10, exponent + 1
    while value < 1:
        value, exponent = value * 10, exponent - 1
    return exponent


def table(benchmark):
    """The lines of one benchmark, as as_json() has it."""
    lines = [f'## {benchmark["name"]}: {benchmark["title"]}', '']
    if benchmark['skipped']:
        return lines + [f'skipped: {benchmark["skipped"]}', '']
    for case in benchmark['cases']:
        lines += _case(case) + ['']
    return lines


def _case(case):
    lines = [f'### {case["name"]}']
    lines += [case['note']] if case['note'] else []
    for metric, (label, unit) in case['metrics'].items():
        rows = [(who, answers[metric]) for who, answers in case['contenders'].items() if metric in answers]
        if rows:
            lines.append(f'{label + ", " + unit:44} {"median":>8} {"q1":>8} {"q3":>8} {"n":>3} {"/floor":>7} '
                         f'{"/pronto":>8}')
        lines += [_row(who, entry) for who, entry in rows]
    lines += [f'  {who}: absent, {why}' for who, why in case['absent'].items()]
    lines += [f'  {who}: {len(why)} rounds failed, {why[0]}' for who, why in case['failures'].items()
              if who in case['contenders']]
    return lines


def _row(who, entry):
    def over(reference):
        ratio = entry['over'].get(reference)
        return number(ratio['median']) if ratio else '-'
    return (f'  {who:42} {number(entry["median"]):>8} {number(entry["q1"]):>8} {number(entry["q3"]):>8}'
            f' {entry["n"]:>3} {over("floor"):>7} {over("pronto"):>8}')


def write_json(path, result):
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(result, file, indent=1)
        file.write('\n')
