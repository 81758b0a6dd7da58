# SPDX-License-Identifier: MIT
"""What is left to a guest that has taken over a thread of a confined machine: what docs/security.md says, and no more."""

import os

import pytest

import escape

pytestmark = pytest.mark.kvm

ROWS = {cells[0]: cells for cells in (
    line.strip("| \n").split(" | ") for line in escape.split(escape.PAGE.read_text(encoding="utf-8"))[1].splitlines()[2:])}

# What the sockets are for: daemons are given memory and eventfds so, and streams come from the process outside.
MAY = {("Pass a descriptor to who is connected", role) for role in escape.ROLES} | {
    ("Take a descriptor from there", "I/O"), ("Take a descriptor from there", "control")}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace such a process")
@pytest.mark.parametrize("role", escape.ROLES)
@pytest.mark.parametrize("subject", escape.SUBJECTS)
def test_attempts(subject, role):
    try:
        found = escape.outcomes(role, subject)
    except escape.Missing as missing:
        pytest.skip(str(missing))
    assert escape.cell(found) == ROWS[subject][2 + list(escape.ROLES).index(role)]
    assert (subject, role) in MAY or "done" not in found.values()


def test_rows():
    assert {subject: cells[1] for subject, cells in ROWS.items()} == {
        subject: escape.names(attempts) for subject, attempts in escape.SUBJECTS.items()}
