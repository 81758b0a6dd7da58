# SPDX-License-Identifier: MIT
"""Fixtures of the functional tests.

PRONTO names the binary (default: build/pronto); the guest programs are found beside it.
"""

import os

import pytest

import api
import vm


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Where tests run side by side, those that use the lab do so one after the other: some look at what it leaves."""
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.xdist_group("lab"))


@pytest.fixture
def box(tmp_path):
    place = tmp_path / "box"
    place.mkdir()
    result = vm.Box(place)
    yield result
    result.finish()


@pytest.fixture
def start(box):
    """Start `pronto run` with a guest program's name or a path and options."""
    def start_vm(kernel, *options, words=(), **kwargs):
        path = kernel if os.sep in str(kernel) else vm.guest(kernel)
        return vm.Vm(box, [vm.PRONTO, "run", *options, path, *(["--", *words] if words else [])], **kwargs)
    return start_vm


@pytest.fixture
def run(box, start):
    """Run it to its end.  Nothing may stay behind: no process, no file but the cache's."""
    def run_vm(kernel, *options, stdin=b"", timeout=vm.TIMEOUT, left=(), **kwargs):
        if isinstance(stdin, bytes):
            process = start(kernel, *options, stdin=vm.subprocess.PIPE, **kwargs)
            try:
                process.send(stdin)
            except BrokenPipeError:
                pass
        else:
            process = start(kernel, *options, stdin=stdin, **kwargs)
        result = process.wait(timeout)
        assert box.processes() == []
        assert box.files() == sorted(left)
        return result
    return run_vm


@pytest.fixture
def firecracker(box):
    """The program by that name."""
    name = box.path / "cwd" / "firecracker"
    name.symlink_to(vm.PRONTO)
    yield name
    name.unlink()


@pytest.fixture
def serve(box):
    """Start the API's process; what it leaves is looked at when the test is over."""
    def start(*options, **kwargs):
        return api.Api(box, *options, **kwargs)
    yield start
    box.finish()
    assert [f for f in box.files() if not f.startswith("tmp/")] == []
