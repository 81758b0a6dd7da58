# SPDX-License-Identifier: MIT
"""Wait for a machine that a client has started."""

import os
import pathlib
import time

PATIENCE = 60


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {PATIENCE} s"
        time.sleep(0.005)


def wait_for_socket(path, process):
    wait_until(lambda: os.path.exists(path) or process.poll() is not None, "the socket")
    assert process.poll() is None, f"it has ended with status {process.returncode}"


def wait_for_guest(text):
    """Our standard output is a file, and the guest's console."""
    wait_until(lambda: text in pathlib.Path("/proc/self/fd/1").read_text(encoding="latin-1"), "the guest")
