# SPDX-License-Identifier: MIT
"""The machine that was measured on, as far as it matters to whoever reads the figures."""
import os
import platform
import subprocess
import time


def _first(path, key):
    try:
        with open(path, encoding='ascii', errors='replace') as file:
            return next((line.split(':', 1)[1].strip() for line in file if line.startswith(key)), 'unknown')
    except OSError:
        return 'unknown'


def kvm_kind():
    """Which module stands behind /dev/kvm."""
    loaded = [name for name in ('kvm_intel', 'kvm_amd', 'kvm_pvm') if os.path.isdir(f'/sys/module/{name}')]
    if loaded:
        return ', '.join(loaded)
    return 'of unknown make' if os.path.exists('/dev/kvm') else 'absent'


def doctor(pronto):
    """Pronto's own line on how fast a guest's kernel mode is."""
    try:
        done = subprocess.run([pronto, 'doctor'], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 'unknown'
    return next((' '.join(line.split()) for line in done.stdout.splitlines() if 'guest speed' in line), 'unknown')


def describe(given):
    return {
        'when': time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime()),
        'kernel': platform.release(),
        'processor': _first('/proc/cpuinfo', 'model name'),
        'cpus': len(os.sched_getaffinity(0)),
        'memory': _first('/proc/meminfo', 'MemTotal'),
        'kvm': kvm_kind(),
        'guest_speed': doctor(given.monitor('pronto').program) if given.monitor('pronto') else 'unknown',
        'load_at_start': os.getloadavg()[0],
        'versions': {m.name: m.version() for m in given.monitors if not m.why_not() and m.version()},
    }
