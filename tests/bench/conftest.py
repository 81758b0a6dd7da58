# SPDX-License-Identifier: MIT
"""Where the benchmarks and the build are."""
import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
BUILD = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve().parent


@pytest.fixture
def build():
    return BUILD
