# SPDX-License-Identifier: MIT
"""A command in the lab that takes too long: the test that ran it says why."""

import shutil

import pytest

from machines import in_lab

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")


def test_what_takes_too_long_tells_all():
    """What it has passed on, what it kept, and where its threads are."""
    with pytest.raises(pytest.fail.Exception) as failed:
        in_lab("sh", "-c", "echo passed on; echo kept until the end > /run/out; sleep 600", seconds=40)
    text = str(failed.value)
    assert text.startswith("passed on\n") and "about to be killed after 40 s" in text
    assert "kept in /run/out: kept until the end\n" in text and "(sleep) S" in text
