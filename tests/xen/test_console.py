# SPDX-License-Identifier: MIT
"""Xen's serial console taken apart: text that stands for what Xen 4.17 wrote, in pieces of any size."""
import sys

import pytest
from xenlab import PIECE, ROOT

sys.path.insert(0, str(ROOT / "lab"))
# pylint: disable=wrong-import-position
from labkit.xen_console import CONSOLE, PORT, XEN, Event, Parser
from labkit.xen_domu import Agent

BOOT = " Xen 4.17.7\r\n(XEN) Brought up 1 CPUs\r\n(XEN) Freed 656kB init memory\r\n"
BOOTED = [Event(XEN, " Xen 4.17.7"), Event(XEN, "Brought up 1 CPUs"), Event(XEN, "Freed 656kB init memory")]


@pytest.mark.parametrize("text, events", [
    ("(d0) hello\r\n", [Event(PORT, "hello\n", 0)]),
    ("(d12) hello\r\n(d3) \r\n", [Event(PORT, "hello\n", 12), Event(PORT, "\n", 3)]),
    ("(d0) (d1) x\r\n", [Event(PORT, "(d1) x\n", 0)]),
    ("(d1) (XEN) Hardware Dom0 halted\r\n", [Event(PORT, "(XEN) Hardware Dom0 halted\n", 1)]),
    ("(dx) hello\r\n", [Event(CONSOLE, "(dx) hello\n")]),
    ("by dom0\r\n\r\n", [Event(CONSOLE, "by dom0\n"), Event(CONSOLE, "\n")]),
    ("twice ended\r\r\n", [Event(CONSOLE, "twice ended\n")]),
    ("half a line(XEN) Xen speaks\r\n", [Event(CONSOLE, "half a line"), Event(XEN, "Xen speaks")]),
    ("(XEN) (d1) x\r\n", [Event(XEN, "(d1) x")]),
    ("no end", [Event(CONSOLE, "no end\n")]),
    (f"(d0) {'x' * PIECE}\r\n(d0) y\r\n", [Event(PORT, "x" * PIECE, 0), Event(PORT, "y\n", 0)]),
    (f"(d0) {'x' * (PIECE - 1)}\r\n", [Event(PORT, "x" * (PIECE - 1) + "\n", 0)]),
    ("\x80\xff\r\n", [Event(CONSOLE, "\ufffd\ufffd\n")]),
])
@pytest.mark.parametrize("size", [1, 7, 10000])
def test_events(text, events, size):
    data = (BOOT + text).encode("latin-1")
    parser = Parser()
    found = [e for at in range(0, len(data), size) for e in parser.feed(data[at:at + size])]
    assert found + parser.end() == BOOTED + events
    assert parser.end() == []


def test_what_comes_before_dom0_is_xens():
    assert Parser().feed(b"(d0) x\n Xen 4.17.7\n") == [Event(PORT, "x\n", 0), Event(XEN, " Xen 4.17.7")]


def test_a_line_without_end_is_not_kept_for_ever():
    parser = Parser()
    parser.feed(BOOT.encode())
    n = sum(len(e.text) for _ in range(100) for e in parser.feed(b"x" * 4096))
    assert n > 300000


REPORTS = (b"noise\n@ready\r\n@start 0001\n@data 5\na\n@e\n@log 0\n@data x\n@end 0001 timeout\n@nonsense\n@done\n")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_dom0_reports(size):
    agent = Agent()
    found = [r for at in range(0, len(REPORTS), size) for r in agent.feed(REPORTS[at:at + size])]
    assert found == [("ready", [], b""), ("start", ["0001"], b""), ("data", ["5"], b"a\n@e\n"), ("log", ["0"], b""),
                     ("end", ["0001", "timeout"], b""), ("done", [], b"")]
    assert agent.stray == b"noise\n@data x\n@nonsense\n"
