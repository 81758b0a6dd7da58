# SPDX-License-Identifier: MIT
"""Fixtures of the clients' tests: a place of its own for each, in which Pronto goes by the name of firecracker."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "functional"))
# pylint: disable=wrong-import-position
import vm  # noqa: E402


@pytest.fixture
def box(tmp_path):
    place = tmp_path / "box"
    place.mkdir()
    (place / "bin").mkdir()
    (place / "bin" / "firecracker").symlink_to(vm.PRONTO)
    result = vm.Box(place)
    yield result
    result.finish()
