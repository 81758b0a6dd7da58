# SPDX-License-Identifier: MIT
"""Wait for a machine that a client has started, and what a Linux that has drivers for all is told meanwhile."""

import os
import pathlib
import time

PATIENCE, INTERVAL = 60, 0.02  # seconds


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {PATIENCE} s"
        time.sleep(INTERVAL)


def wait_for_socket(path, process):
    wait_until(lambda: os.path.exists(path) or process.poll() is not None, "the socket")
    assert process.poll() is None, f"it has ended with status {process.returncode}"


def guest_said(text):
    """Our standard output is a file, and the guest's console."""
    return text in pathlib.Path("/proc/self/fd/1").read_text(encoding="latin-1")


def wait_for_guest(text):
    wait_until(lambda: guest_said(text), repr(text))


def named(name):
    """Metadata that the guest of test_linux.py looks for."""
    return {"latest": {"meta-data": {"name": name, "inner": {"a": "b"}}}}


def pause_while_it_works(pause, resume):
    """Again and again, while the guest is at its network and its disk.  How often."""
    n = 0
    while not n or not guest_said("@@ filled "):
        pause()
        resume()
        time.sleep(1)  # in which it is to get on
        n += 1
    return n
