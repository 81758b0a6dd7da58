# SPDX-License-Identifier: MIT
"""Results as a picture, by gnuplot: for each metric of each case, a bar and its quartiles."""
import shutil
import subprocess

PANEL_HEIGHT = 26  # pixels for each contender
PANEL_FRAME = 90  # for the title, the axis and its label
WIDTH = 900


def draw(benchmark, path):
    """Write the SVG; why not, or None."""
    if not shutil.which('gnuplot'):
        return 'no picture: install gnuplot-nox'
    panels = [panel for case in benchmark['cases'] for panel in _panels(case)]
    if not panels:
        return 'no picture: nothing was measured'
    heights = [PANEL_FRAME + PANEL_HEIGHT * len(rows) for _, _, rows in panels]
    script = [f'set terminal svg noenhanced size {WIDTH},{sum(heights)} font "sans-serif,11" background "#ffffff"',
              f'set output {_quoted(path)}', 'set multiplot']
    bottom = 1.0
    for panel, height in zip(panels, heights):
        share = height / sum(heights)
        bottom -= share
        script += _plot(*panel, bottom, share)
    script.append('unset multiplot')
    done = subprocess.run(['gnuplot'], input='\n'.join(script) + '\n', capture_output=True, text=True,
                          check=False)
    return f'no picture: {done.stderr.strip()[:200]}' if done.returncode or done.stderr.strip() else None


def _panels(case):
    """(title, unit, [(who, median, q1, q3)]) for each metric that several answered."""
    for metric, (label, unit) in case['metrics'].items():
        rows = [(who, *(answers[metric][key] for key in ('median', 'q1', 'q3')))
                for who, answers in case['contenders'].items() if metric in answers]
        if len(rows) > 1:
            yield f'{case["name"]}: {label}', unit, rows


def _plot(title, unit, rows, bottom, share):
    """Bars lie: names have room on the left, and the first contender is on top."""
    values = [q3 for _, _, _, q3 in rows] + [median for _, median, _, _ in rows]
    wide = min(v for v in values if v > 0) * 20 < max(values) if any(v > 0 for v in values) else False
    low = min(v for v in values if v > 0) / 3 if wide else 0
    script = ['reset', f'set origin 0,{bottom:.6f}', f'set size 1,{share:.6f}', 'set lmargin 24', 'unset key', 'set tmargin 2.5',
              f'set title {_quoted(title)}', 'set style fill solid 0.85 noborder', 'set grid xtics',
              f'set xlabel {_quoted(unit + (", logarithmic" if wide else ""))}', 'set border 3', 'set tics nomirror',
              f'set yrange [-0.6:{len(rows) - 0.4:.1f}]',
              'set logscale x' if wide else 'unset logscale', f'set xrange [{low:g}:{max(values) * 1.15 or 1:g}]']
    ticks = ', '.join(f'{_quoted(who)} {len(rows) - 1 - i}' for i, (who, *_) in enumerate(rows))
    script += [f'set ytics ({ticks})', '$data << EOD']
    for i, (who, median, q1, q3) in enumerate(rows):
        median, q1, q3 = (max(value, low) for value in (median, q1, q3))  # zero has no logarithm
        color = {'pronto': '0x2a6fb0', 'floor': '0x777777'}.get(who, '0xc9a25a')
        script.append(f'{median:g} {len(rows) - 1 - i} {low:g} {q1:g} {q3:g} {color}')
    return script + [
        'EOD', 'plot $data using 1:2:3:1:($2-0.32):($2+0.32):6 with boxxyerror linecolor rgb variable, '
        '$data using 1:2:4:5 with xerrorbars pointtype 0 linecolor rgb "#222222"']


def _quoted(text):
    return "'" + text.replace("'", "''") + "'"
