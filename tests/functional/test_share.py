# SPDX-License-Identifier: MIT
"""Shares, and disks that others serve: what cannot be is refused, by one line.  What is in them is tests/lab/test_share.py's."""

import os
import signal
import socket
import threading

import pytest

import vm

PLACES = "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd"
VIRTIOFSD = [path for path in PLACES if os.access(path, os.X_OK)]


def with_daemon(test):
    why = "there is no virtiofsd" if not VIRTIOFSD else "virtiofsd wants root"
    return pytest.mark.kvm(pytest.mark.skipif(not VIRTIOFSD or os.geteuid() != 0, reason=why)(test))


def refused(result, says):
    assert (result.status, result.out, result.err) == (vm.OPERATOR, "", f"pronto: error: {says}\n")


@pytest.mark.parametrize("share, says", [
    ("{0}", "{0}: has no tag, by which the guest mounts it: give DIR:TAG, or tag=TAG"),
    ("{0}:", "{0}:: has no tag, by which the guest mounts it: give DIR:TAG, or tag=TAG"),
    (":tag", ":tag: names no directory: give DIR:TAG"),
    ("tag=tag", "tag=tag: names no directory: give DIR:TAG"),
    ("{0}:" + "t" * 37, "{0}:" + "t" * 37 + ": the tag " + "t" * 37 + " is longer than 36 bytes"),
    ("{0},tag=tag,vhost-user=/s", "{0},tag=tag,vhost-user=/s: `dir` and `vhost-user` exclude each other"),
    ("vhost-user=/s,tag=tag,ro",
     "vhost-user=/s,tag=tag,ro: `ro` is the business of what serves `vhost-user`: say it there"),
])
def test_bad_options(run, tmp_path, share, says):
    result = run("poweroff", "--share", share.format(tmp_path))
    assert result.status == vm.OPERATOR
    assert says.format(tmp_path).split(": ", 1)[1] in result.err, result.err


@pytest.mark.parametrize("disk", ["vhost-user=/s,ro", "/d,vhost-user=/s", "vhost-user=/s,engine=sync", "vhost-user=/s,overlay"])
def test_bad_disk_options(run, disk):
    result = run("poweroff", "--disk", disk)
    assert result.status == vm.OPERATOR
    assert "with `vhost-user` only `queues` can be said here" in result.err


def test_no_directory(run, tmp_path):
    refused(run("poweroff", "--share", f"{tmp_path}/none:tag"), f"--share: {tmp_path}/none: No such file or directory")
    (tmp_path / "file").write_text("")
    refused(run("poweroff", "--share", f"{tmp_path}/file:tag"), f"--share: {tmp_path}/file: it is not a directory")


@pytest.mark.parametrize("option, more", [("--share", ",tag=tag"), ("--disk", "")])
def test_no_socket(run, tmp_path, option, more):
    path = tmp_path / "socket"
    advice = "start what serves it first"
    refused(run("poweroff", option, f"vhost-user={path}{more}"),
            f"{option}: {path}: cannot connect: No such file or directory; {advice}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    refused(run("poweroff", option, f"vhost-user={path}{more}"),
            f"{option}: {path}: cannot connect: Connection refused; {advice}")


def answers(path, data):
    """Accept one connection at PATH, say DATA to the first message, and close it; the thread that does."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def serve():
        with listening, listening.accept()[0] as link:
            if link.recv(12):
                link.sendall(data)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("data, says", [
    (b"", "it has closed its connection"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not keep to the protocol (vhost-user)"),
])
def test_other_service(run, tmp_path, data, says):
    """What listens there is something else."""
    path = tmp_path / "socket"
    thread = answers(path, data)
    refused(run("poweroff", "--disk", f"vhost-user={path}"), f"--disk: {path}: the back end: {says}")
    thread.join()


def test_no_answer(run, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        refused(run("poweroff", "--disk", f"vhost-user={path}"), f"--disk: {path}: the back end: it does not answer")


def test_dry_run_starts_nothing(run, tmp_path):
    result = run("poweroff", "--dry-run", "--share", f"{tmp_path}/none:tag")
    assert result.status == 0, result


def instead(box, hide, *options):
    """Run pronto where a shell's HIDE has changed what is mounted, for it alone."""
    return vm.Vm(box, ["unshare", "-m", "sh", "-e", "-c", f'{hide}\nexec "$@"', "sh", vm.PRONTO, "run", *options,
                       vm.guest("poweroff")]).wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_no_virtiofsd(box, tmp_path):
    hide = "\n".join(f"mount -t tmpfs none {os.path.dirname(path)}" for path in VIRTIOFSD)
    refused(instead(box, hide, "--share", f"{tmp_path}:tag"),
            f"--share: {tmp_path}: there is no virtiofsd on this host; install it (Debian 12: the package qemu-system-common; later: "
            "virtiofsd)")


@with_daemon
@pytest.mark.parametrize("script, says", [
    ("echo Something >&2; echo There is no way in >&2; exit 1", "has ended with status 1: There is no way in"),
    ("kill -TERM $$", "was ended by signal 15 (Terminated)"),
])
def test_daemon_that_fails(box, tmp_path, script, says):
    """Before it has served: nothing is started for it."""
    fake = tmp_path / "fake"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    hide = "\n".join(f"mount --bind {fake} {path}" for path in VIRTIOFSD)
    refused(instead(box, hide, "--share", f"{tmp_path}:tag"), f"--share: {tmp_path}: {VIRTIOFSD[0]} {says}")


@with_daemon
def test_daemon_ends_with_the_vm(run, tmp_path):
    """However that ends: the box sees that none is left."""
    result = run("poweroff", "--share", f"{tmp_path}:tag", "--share", f"{tmp_path}:other,ro")
    assert (result.status, result.err) == (vm.POWEROFF, "")


@with_daemon
def test_daemon_ends_with_a_killed_vm(start, box, tmp_path):
    process = start("spin", "--share", f"{tmp_path}:tag")
    vm.wait_until(lambda: vm.takes_signals(process.pid), vm.TIMEOUT, "the guest")
    assert len(box.processes()) >= 2
    process.signal(signal.SIGKILL)
    process.wait()
    vm.wait_until(lambda: box.processes() == [], vm.TIMEOUT, "the daemon's end")
