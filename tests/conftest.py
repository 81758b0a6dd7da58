# SPDX-License-Identifier: MIT
"""What all suites share."""

import pytest

import machines


def pytest_collection_modifyitems(items):
    reason = machines.why_no_kvm()
    for item in items:
        if reason and item.get_closest_marker("kvm"):
            item.add_marker(pytest.mark.skip(reason=reason))
