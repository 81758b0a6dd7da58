# SPDX-License-Identifier: MIT
"""Where the benchmarks and the build are."""
import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
BUILD = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve().parent


def pytest_configure(config):
    config.addinivalue_line("markers", "kvm: needs a /dev/kvm that this user may open")


def pytest_collection_modifyitems(items):
    from benchkit import setup
    reason = setup.why_no_kvm()
    for item in items:
        if reason and item.get_closest_marker("kvm"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def build():
    return BUILD
