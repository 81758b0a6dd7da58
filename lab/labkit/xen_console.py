# SPDX-License-Identifier: MIT
"""Xen's serial console taken apart: what Xen says, what guests write to port 0xe9, what dom0 prints.

Xen puts "(XEN) " before its own lines and "(dN) " before the lines that domain N writes to port 0xe9; what
dom0 prints by the console hypercall comes as it is.
"""
import collections
import re

XEN, PORT, CONSOLE = 'xen', 'port', 'console'

# domain: the number of the one that wrote to the port, or None.
Event = collections.namedtuple('Event', 'kind text domain', defaults=(None,))

# Xen collects so many bytes of a line written to the port; a longer line comes in pieces.
PORT_PIECE = 199
GUEST_STARTS = re.compile(r'Freed \d+kB init memory')
MAX_LINE = 1 << 16  # of dom0's, which Xen does not limit


class Parser:
    """Feed it what the serial port gives, in pieces as they come."""

    def __init__(self):
        self._rest = b''
        self._started = False  # up to there, lines without a prefix are Xen's banner

    def feed(self, data):
        """The events that DATA completes."""
        *lines, self._rest = (self._rest + data).split(b'\n')
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = b''
        return [event for line in lines for event in self._line(line)]

    def end(self):
        """What is left of a line that has no end."""
        rest, self._rest = self._rest, b''
        return self._line(rest) if rest else []

    def _line(self, line):
        text = line.decode('utf-8', 'replace').rstrip('\r')
        match = re.match(r'\(d(\d+)\) (.*)', text, re.S)
        if match:
            end = '' if len(match[2]) == PORT_PIECE else '\n'
            return [Event(PORT, match[2] + end, int(match[1]))]
        # A line of Xen's can begin behind an unfinished one of dom0's.
        before, prefix, said = text.partition('(XEN) ')
        if not prefix:
            return [self._dom0(text, '\n')]
        events = [self._dom0(before, '')] if before else []
        self._started |= bool(GUEST_STARTS.match(said))
        return [*events, Event(XEN, said)]

    def _dom0(self, text, end):
        return Event(CONSOLE, text + end) if self._started else Event(XEN, text)
