# SPDX-License-Identifier: MIT
"""Save a machine whose guest waits for the button, by the API, and see another go on from there."""

import pathlib

import vm

PAUSED, RESUMED = {"state": "Paused"}, {"state": "Resumed"}
BUTTON = {"action_type": "SendCtrlAltDel"}
LIMITER = {"bandwidth": {"size": 1 << 20, "refill_time": 1000}}


def load(files, **more):
    """The body by which a machine is made of these files."""
    return {"snapshot_path": files["snapshot_path"],
            "mem_backend": {"backend_type": "File", "backend_path": files["mem_file_path"]}, **more}


def save(a, files):
    a.must("PATCH", "/vm", PAUSED)
    a.must("PUT", "/snapshot/create", files)


def kill(a):
    """All of its processes; of the machine's there is no telling whether it had the time to tidy up."""
    left = a.must("GET", "/vm/config")["vsock"]
    a.vm.kill()
    vm.wait_until(lambda: not a.vm.box.processes(), what="the end of the VMM")
    assert not a.socket.exists()
    if left:
        pathlib.Path(left["uds_path"]).unlink(missing_ok=True)


def goes_on(a, may_say=""):
    """The guest is where it was: it hears that it is a copy, and has no more to do than to hear of the button.  Only when it has
    ended all that the VMM said has arrived: nothing, or one line with what it may say."""
    a.vm.expect("a copy")  # or the two events are one
    a.must("PUT", "/actions", BUTTON)
    result = a.vm.wait()
    said = result.err.splitlines()
    assert result.status == vm.POWEROFF and (not said or may_say and len(said) == 1 and may_say in said[0]), result.err
    first, *rest = result.out.replace("\r", "").splitlines()
    assert first == "a copy" and rest == [
        "ok 1 - the event is the power button", "ok 2 - reading the events clears them", "1..2"], result.out


def goes_on_first(a):
    a.must("PUT", "/actions", BUTTON)
    result = a.vm.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")
    vm.tap(result.out)
