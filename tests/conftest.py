# SPDX-License-Identifier: MIT
"""What all suites share."""

import os
import signal

import pytest

import machines


def pytest_configure():
    # Whoever runs us (nohup, a shell's background) may have us ignore them; the programs under test would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in signal.SIGHUP, signal.SIGQUIT:
        signal.signal(number, signal.SIG_DFL)
    # Nor do a shell's settings of Python (PYTHONUNBUFFERED, for one) decide how the programs under test behave.
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]


def pytest_collection_modifyitems(items):
    reason = machines.why_no_kvm()
    for item in items:
        if reason and item.get_closest_marker("kvm"):
            item.add_marker(pytest.mark.skip(reason=reason))
