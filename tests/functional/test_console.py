# SPDX-License-Identifier: MIT
"""The guest's serial line at the host's end: files, pipes, pseudo-terminals, nothing at all."""

import fcntl
import os
import pathlib
import re
import select
import signal
import subprocess
import threading
import time

import pytest

import vm

pytestmark = pytest.mark.kvm

LINE = "{:08} abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr\n"


# What the guest can send before it sees a busy line: the ring, and a pipe of the least size.
HELD = 65536 + 4096


def narrow_pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


def wait_until_full(writer):
    vm.wait_until(lambda: not select.select([], [writer], [], 0)[1], what="a full pipe")


def flood(n):
    return "".join(LINE.format(i) for i in range(n))


# ---- where it goes ----

def test_standard_output_is_exact(run):
    result = run("flood", words=["300"])
    assert (result.status, result.out, result.err) == (vm.POWEROFF, flood(300), "")


def test_heedless_output_is_exact(run):
    """String output that never looks whether the line is free, to a reader that keeps up."""
    result = run("flood", words=["!300"])
    assert (result.status, result.out) == (vm.POWEROFF, flood(300))


def test_file(run, tmp_path):
    log = tmp_path / "log"
    log.write_text("old contents, longer than the new\n" * 100)
    result = run("flood", "--console", f"file:{log}", words=["3"])
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "", "")
    assert log.read_text() == flood(3)


def test_null(run):
    result = run("flood", "--console", "null", stdin=b"no one reads this", words=["3"])
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "", "")


def test_pty(start):
    guest = start("echo", "--console", "pty")
    guest.expect("\n", where="err")
    name = re.fullmatch(r"pronto: the guest's console is (/dev/pts/\d+)\n", guest.err.decode())[1]
    user = os.open(name, os.O_RDWR | os.O_NOCTTY)
    said = b""
    while b"ready\n" not in said:
        said += os.read(user, 4096)
    os.close(user)  # whoever leaves may come back
    user = os.open(name, os.O_RDWR | os.O_NOCTTY)
    os.write(user, b"\x03\x01xq")  # no signal, no escape key
    time.sleep(0.1)  # the guest has ended; what it said waits for its reader
    while b"bytes 4\n" not in said:
        said += os.read(user, 4096)
    result = guest.wait()
    os.close(user)
    assert (result.status, result.out) == (vm.POWEROFF, "")
    assert said == b"ready\nbyte 0x3\nbyte 0x1\nbyte 0x78\nbyte 0x71\nbytes 4\n"


def test_pty_that_nobody_opens(run):
    result = run("flood", "--console", "pty", words=["10"])
    assert result.status == vm.POWEROFF
    assert re.fullmatch(r"pronto: the guest's console is \S+\n", result.err)  # nobody was waited for, nothing was dropped


def test_fifo(run, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    result = run("flood", "--console", f"file:{tmp_path / 'fifo'}", words=["600"])
    assert result.status == vm.POWEROFF
    with open(reader, encoding="latin-1") as fifo:
        assert fifo.read() == flood(600)


# ---- when it cannot go there ----

def test_full_disk_ends_the_output_not_the_guest(run):
    result = run("flood", "--console", "file:/dev/full", words=["300"])
    assert result.status == vm.POWEROFF
    assert result.err == "pronto: warn: console: cannot write: No space left on device; further output is dropped\n"


def test_file_size_limit(run, tmp_path):
    def limit():
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    result = run("flood", "--console", f"file:{tmp_path / 'log'}", words=["300"], preexec_fn=limit)
    assert result.status == vm.POWEROFF
    assert "File too large; further output is dropped" in result.err
    assert (tmp_path / "log").read_text() == flood(300)[:4096]


def test_reader_that_leaves(start):
    reader, writer = os.pipe()
    guest = start("flood", stdout=writer, words=["600"])
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    result = guest.wait()
    assert result.status == vm.POWEROFF
    assert result.err == "pronto: warn: console: cannot write: Broken pipe; further output is dropped\n"


def test_reader_that_sleeps(start):
    """It holds the guest for a while, then its output is dropped."""
    n = HELD // 64 + 400
    reader, writer = narrow_pipe()
    guest = start("flood", "--timeline", stdout=writer, words=[str(n)])
    os.close(writer)
    result = guest.wait()
    assert result.status == vm.POWEROFF
    dropped = int(re.search(r"nobody read the guest's output; (\d+) bytes were dropped\n", result.err)[1])
    with open(reader, encoding="latin-1") as pipe:
        kept = pipe.read()
    assert flood(n).startswith(kept)
    assert len(kept) + dropped == n * 64
    marks = dict(line.rsplit(None, 2)[:2] for line in result.err.splitlines() if "guest's" in line)
    assert "guest's mark 9" in marks  # the vCPU went on


def test_reader_that_wakes_up_in_time(start):
    n = HELD // 64 + 400
    reader, writer = narrow_pipe()
    guest = start("flood", stdout=writer, words=[str(n)])
    wait_until_full(writer)
    os.close(writer)
    time.sleep(0.5)  # the guest fills the ring, too
    with open(reader, encoding="latin-1") as pipe:
        assert pipe.read() == flood(n)
    result = guest.wait()
    assert (result.status, result.err) == (vm.POWEROFF, "")


def test_signals_work_while_nobody_reads(start):
    reader, writer = narrow_pipe()
    guest = start("flood", "--grace", 0, stdout=writer, words=["1000000"])
    wait_until_full(writer)
    os.close(writer)
    guest.signal(signal.SIGTERM)
    assert guest.wait().status == vm.KILLED
    os.close(reader)


def full_pipe():
    """Nothing more goes into it."""
    reader, writer = narrow_pipe()
    os.set_blocking(writer, False)
    assert os.write(writer, b"-" * 4096) == 4096
    os.set_blocking(writer, True)
    return reader, writer


def test_one_pipe_for_all_that_nobody_reads(start):
    """Output is dropped, then so are messages, and signals are heard."""
    reader, writer = narrow_pipe()
    guest = start("flood", "--grace", 0, "-v", stdout=writer, stderr=writer, words=["1000000"])
    wait_until_full(writer)
    guest.signal(signal.SIGTERM)
    assert guest.wait().status == vm.KILLED
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize("options", [[], ["-v", "-v"]], ids=["", "debug"])
def test_crash_that_nobody_reads(start, options):
    """Sixteen lines of registers and more for a standard error that takes none."""
    reader, writer = full_pipe()
    guest = start("triplefault", *options, stdout=writer, stderr=writer)
    os.close(writer)
    assert guest.wait().status == vm.CRASH
    os.close(reader)


def test_timeline_that_nobody_reads(start):
    """What was asked for is waited for, and a signal ends that."""
    reader, writer = full_pipe()
    guest = start("poweroff", "--timeline", stderr=writer)
    os.close(writer)
    guest.expect("1..1\n")
    vm.wait_until(lambda: not vm.takes_signals(guest.pid), what="the end")
    guest.signal(signal.SIGTERM)
    assert guest.wait().status == vm.KILLED
    os.close(reader)


def test_messages_that_are_read_late_are_whole(start):
    reader, writer = full_pipe()
    guest = start("triplefault", stderr=writer)
    os.close(writer)
    guest.expect("ready\n")
    with open(reader, encoding="latin-1") as pipe:
        said = pipe.read()
    assert guest.wait().status == vm.CRASH
    lines = said[4096:].splitlines()
    assert said[:4096] == "-" * 4096
    assert lines[0] == "pronto: error: guest crashed: triple fault on vCPU 0"
    assert len(lines) > 10 and all(line.startswith("pronto: error: ") for line in lines)


def test_finished_vm_obeys_a_signal(start):
    """Its reader is slow, and alive: it would take 15 s.  Whoever does not want to wait for that says so."""
    reader, writer = narrow_pipe()
    guest = start("flood", "-v", stdout=writer, words=["480"])
    os.close(writer)
    done = threading.Event()

    def read_slowly():
        while not done.wait(2) and os.read(reader, 4096):
            pass
    thread = threading.Thread(target=read_slowly, daemon=True)
    thread.start()
    guest.expect("exits to user space", where="err")
    guest.signal(signal.SIGTERM)
    result = guest.wait()
    done.set()
    thread.join()
    os.close(reader)
    assert result.status == vm.POWEROFF
    assert re.search(r"nobody read the guest's output; \d+ bytes were dropped\n", result.err)
    assert result.seconds < 4


def test_two_at_one_input(start):
    """Each byte goes to one of them, and neither waits for what the other has taken."""
    reader, writer = os.pipe()
    guests = [start("echo", "--grace", 0, stdin=reader) for _ in range(2)]
    os.close(reader)
    for guest in guests:
        guest.expect("ready\n")
    os.write(writer, b"a" * 500)
    vm.wait_until(lambda: sum(guest.out.count(b"byte 0x61\n") for guest in guests) == 500, what="all of it")
    for guest in guests:
        guest.signal(signal.SIGTERM)
        assert guest.wait().status == vm.KILLED
    os.close(writer)


def test_standard_output_is_not_made_non_blocking(run, tmp_path):
    """It is shared with whoever gave it to us."""
    reader, writer = os.pipe()
    result = run("poweroff", stdout=writer)
    assert result.status == vm.POWEROFF
    assert os.get_blocking(writer)
    os.close(writer)
    os.close(reader)


# ---- where input comes from ----

def test_input_waits_for_the_guest(run):
    """All of it is there before the guest has cleared its FIFO and enabled the interrupt."""
    result = run("serial_irq", stdin=b"early\n")
    assert vm.tap(result.out)["line"] == [["5", hex(vm.checksum(b"early"))]]


def test_regular_file(run, tmp_path):
    (tmp_path / "in").write_bytes(b"ab" * 500 + b"q")
    with open(tmp_path / "in", "rb") as file:
        result = run("echo", stdin=file)
    assert (result.status, result.out[-11:]) == (vm.POWEROFF, "bytes 1001\n")


def test_input_is_left_for_the_next(run, tmp_path):
    """What the guest does not take is not read: the next reader of the same file gets it."""
    (tmp_path / "in").write_bytes(b"rest of the file")
    with open(tmp_path / "in", "rb") as file:
        assert run("poweroff", stdin=file).status == vm.POWEROFF
        assert os.read(file.fileno(), 100) == b"rest of the file"


def test_input_ends_and_the_guest_does_not(start):
    guest = start("echo", stdin=subprocess.PIPE)
    guest.send(b"a")
    guest.expect("byte 0x61")
    guest.process.stdin.close()
    guest.process.stdin = None
    cpu = loop_cpu_seconds(guest.pid)
    time.sleep(0.5)
    assert guest.process.poll() is None
    assert loop_cpu_seconds(guest.pid) - cpu < 0.1  # it does not turn on the closed pipe


def loop_cpu_seconds(pid):
    """Of the main thread: not of the vCPU, which polls."""
    with open(f"/proc/{pid}/task/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def closing(*fds):
    def close():
        for fd in fds:
            os.close(fd)
    return close


@pytest.mark.parametrize("fds", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_closed_standard_files(box, start, fds):
    """Whatever we open must not be taken for them, least of all the kernel's file for the guest's input."""
    guest = start("serial_irq", "--grace", 0, preexec_fn=closing(*fds))
    vm.wait_until(lambda: vm.takes_signals(guest.pid), what="the run")
    time.sleep(0.2)
    assert guest.process.poll() is None  # it waits for input that does not come
    held = {fd: os.readlink(f"/proc/{guest.pid}/fd/{fd}") for fd in range(3)}
    assert all(held[fd] == "/dev/null" for fd in fds), held
    guest.signal(signal.SIGTERM)
    result = guest.wait()
    assert result.status == vm.KILLED
    assert ("ready" in result.out) == (1 not in fds)


def test_process_closes_what_it_need_not_hold(start):
    """Inherited descriptors are left alone, ours are few."""
    guest = start("halt")
    guest.expect("ready")
    kinds = [os.readlink(f"/proc/{guest.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{guest.pid}/fd")]
    assert sum("kvm-vcpu" in kind for kind in kinds) == 1
    assert sum("kvm-vm" in kind for kind in kinds) == 1
    assert len(kinds) <= 18, kinds


# ---- who says too much ----

@pytest.mark.kvm
@pytest.mark.parametrize("rate, said", [("10/1000s", 10), ("10/1000s+5", 15), ("0", None)])
def test_what_is_too_much_is_dropped(run, tmp_path, rate, said):
    """The guest is not held: it comes to its end."""
    file = tmp_path / "console"
    whole = run("poweroff").out
    assert run("poweroff", "--console", f"file:{file}", "--console-rate", rate).status == vm.POWEROFF
    assert file.read_text() == whole[:said]
