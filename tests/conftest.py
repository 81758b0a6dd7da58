# SPDX-License-Identifier: MIT
"""What all suites share."""

import signal

import pytest

import machines


def pytest_configure():
    # Whoever runs us (nohup, a shell's background) may have us ignore them; the programs under test would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in signal.SIGHUP, signal.SIGQUIT:
        signal.signal(number, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    reason = machines.why_no_kvm()
    for item in items:
        if reason and item.get_closest_marker("kvm"):
            item.add_marker(pytest.mark.skip(reason=reason))
