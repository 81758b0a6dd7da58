# SPDX-License-Identifier: MIT
"""Devices that the host's kernel serves (vhost): what cannot be had is refused.  What they do is the lab's to test."""

import os

import pytest

import vm

pytestmark = pytest.mark.kvm


def without(device):
    return pytest.mark.skipif(os.path.exists(device), reason=f"there is {device} here")


def refused(done, says):
    assert (done.status, done.out, done.err) == (vm.OPERATOR, "", f"pronto: error: {says}\n")


@without("/dev/vhost-vsock")
def test_no_vsock(run):
    refused(run("poweroff", "--vsock", "cid=3"),
            "--vsock: there is no /dev/vhost-vsock on this host; as root say `modprobe vhost_vsock`")


@pytest.mark.parametrize("vsock, says", [
    ("cid=2", "cid: '2' is not a whole number from 3 to 4294967294"),
    ("cid=0", "cid: '0' is not a whole number from 3 to 4294967294"),
    ("cid=4294967295", "cid: '4294967295' is not a whole number from 3 to 4294967294"),
])
def test_reserved_numbers(run, vsock, says):
    refused(run("poweroff", "--vsock", vsock), f"option --vsock: {says}")
