# SPDX-License-Identifier: MIT
"""The lab: what a command sees, what it gives back, and that nothing stays behind."""

import contextlib
import fcntl
import importlib.machinery
import importlib.util
import os
import pathlib
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / "lab" / "lab"
MKINITRAMFS = ROOT / "lab" / "guest" / "mkinitramfs"
QEMU = "qemu-system-x86_64"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not shutil.which(QEMU), reason="there is no QEMU: install qemu-system-x86"),
    pytest.mark.skipif("PRONTO_LAB" in os.environ, reason="a lab in the lab would be too slow"),
]


def lab(*argv, stdin=b"", **kwargs):
    return subprocess.run([LAB, *argv], input=stdin, capture_output=True, timeout=120, **kwargs)


def machines():
    """Process numbers of the emulators that run here."""
    found = set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if QEMU.encode() in command.split(b"\0")[0] and bytes(ROOT) in command:
            found.add(int(entry.name))
    return found


def machine_of(process):
    """The emulator that PROCESS has started."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        mine = machines() & {int(pid) for pid in children.read_text().split()}
        if mine:
            return mine.pop()
        time.sleep(0.01)
    raise AssertionError("no machine was started")


def wait_gone(pid):
    deadline = time.monotonic() + 30
    while pid in machines():
        assert time.monotonic() < deadline, f"machine {pid} is still there"
        time.sleep(0.01)


@pytest.fixture(scope="module", autouse=True)
def snapshot():
    """The first use makes the snapshot; let it not be in what is measured."""
    done = lab("true")
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("script, status", [
    ("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)])
def test_passes_the_exit_status_on(script, status):
    assert lab("sh", "-c", script).returncode == status


def test_keeps_output_and_errors_apart():
    done = lab("sh", "-c", "echo one; echo two >&2; echo three")
    assert (done.stdout, done.stderr, done.returncode) == (b"one\nthree\n", b"two\n", 0)


def test_says_when_a_command_is_not_there_or_cannot_be_run():
    missing, unfit = lab("no-such-command"), lab("/etc/passwd")
    assert (missing.returncode, unfit.returncode) == (127, 126)
    assert b"no-such-command: No such file" in missing.stderr
    assert b"/etc/passwd: Permission denied" in unfit.stderr


def test_passes_input_and_output_on_whole():
    data = os.urandom(3_000_000)
    done = lab("cat", stdin=data)
    assert done.returncode == 0 and done.stdout == data


def test_ends_though_input_is_left_over():
    assert lab("head", "-c", "1", stdin=bytes(1_000_000)).stdout == b"\0"


def test_passes_output_on_as_it_comes():
    with subprocess.Popen([LAB, "sh", "-c", "echo first; read line; echo $line"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"first\n"  # though the command waits
        process.stdin.write(b"second\n")
        process.stdin.close()
        assert process.stdout.read() == b"second\n"
    assert process.returncode == 0


def test_works_with_standard_descriptors_closed():
    done = subprocess.run(["sh", "-c", f'"{LAB}" sh -c "cat; echo on" <&- 2>&-'], timeout=60,
                          stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (0, b"on\n")


def test_keeps_directory_arguments_and_environment(tmp_path):
    odd = tmp_path / "a b\n'c"
    odd.mkdir()
    done = lab("sh", "-c", 'pwd; echo "$1|$2|$LAB_TEST|$PRONTO_LAB"', "sh", "", "x  y\n", cwd=odd,
               env={**os.environ, "LAB_TEST": "é\n"})
    assert done.stdout.decode() == f"{odd}\n|x  y\n|é\n|1\n"


def test_has_kvm_and_is_root():
    done = lab("sh", "-c", "id -u; hostname; stat -c %a /dev/kvm; cat /sys/class/net/lo/operstate; nproc")
    assert done.stdout.split() == [b"0", b"lab", b"666", b"unknown", b"1"]


def test_has_the_processors_asked_for():
    assert lab("--smp", "2", "nproc").stdout == b"2\n"


def test_has_the_right_time_and_fresh_random_numbers():
    drawn = set()
    for _ in range(2):
        before = time.time()
        seconds, number = lab("sh", "-c", "date +%s; cat /proc/sys/kernel/random/uuid").stdout.split()
        assert int(before) <= int(seconds) <= time.time()
        drawn.add(number)
    assert len(drawn) == 2, "two labs from one snapshot drew the same number"


def test_writes_stay_in_the_lab(tmp_path):
    (tmp_path / "kept").write_text("host")
    done = lab("sh", "-c", "echo lab > kept; echo new > new; rm -r /etc/passwd; cat kept new; ls /etc/passwd",
               cwd=tmp_path)
    assert done.stdout == b"lab\nnew\n" and done.returncode == 2
    assert (tmp_path / "kept").read_text() == "host" and not (tmp_path / "new").exists()
    assert os.path.exists("/etc/passwd")


def test_out_shares_one_directory_for_writing(tmp_path):
    (tmp_path / "out").mkdir()
    done = lab("--out", tmp_path / "out", "sh", "-c", "echo in > out/file; echo in > other", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "out" / "file").read_text() == "in\n"
    assert not (tmp_path / "other").exists()


def test_is_restored_when_warm():
    """The same boot each time, by when the first lines of its log were written; another one when cold."""
    first, second, cold = [lab(*options, "sh", "-c", "dmesg | head -n 200").stdout for options in ([], [], ["--cold"])]
    assert first.count(b"\n") == 200 and first == second != cold


def test_boots_cold():
    done = lab("--cold", "--smp", "1", "--mem", "512M", "sh", "-c", "nproc; grep MemTotal /proc/meminfo")
    n_cpus, _, kib, _ = done.stdout.split()
    assert n_cpus == b"1" and 400_000 < int(kib) < 524_288


def test_time_out_ends_the_command():
    done = lab("--timeout", "1", "sleep", "1000")
    assert (done.returncode, done.stderr) == (124, b"lab: the command was ended after 1 s\n")


def test_the_time_is_the_command_s(monkeypatch):
    """Not that in which the machine comes up, which on a busy host takes longer than many a command."""
    monkeypatch.syspath_prepend(str(LAB.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("lab_program", str(LAB))
    program = importlib.util.module_from_spec(importlib.util.spec_from_loader("lab_program", loader))
    loader.exec_module(program)
    up, deadlines = [], []

    @contextlib.contextmanager
    def restore(*_, **__):
        time.sleep(0.2)
        up.append(time.monotonic())
        yield types.SimpleNamespace(sock=None, explain=str)

    def session(_sock, _argv, _out, deadline):
        deadlines.append(deadline)
        return types.SimpleNamespace(run=lambda: 0)

    monkeypatch.setattr(program.machine, "restore", restore)
    monkeypatch.setattr(program.kept, "take", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(program.session, "Session", session)
    assert program.run(program.parse(["--timeout", "5", "true"]), print) == 0
    assert deadlines[0] >= up[0] + 5


def test_a_silent_lab_is_knocked_at(monkeypatch):
    """Each two seconds; what has come from it is heard first."""
    monkeypatch.syspath_prepend(str(LAB.parent))
    session = importlib.import_module("labkit.session")
    here, there = socket.socketpair()
    with here, there:
        talk = session.Session(here, ["true"], deadline=time.monotonic() + 5, alone=True)
        assert talk.run() is None
        heard, kinds = there.recv(1 << 20), []
        while heard:
            kind, size = session.HEADER.unpack_from(heard)
            kinds.append(kind)
            heard = heard[session.HEADER.size + size:]
    assert kinds[-4:] == [session.RUN, session.STDIN, session.KNOCK, session.KNOCK]


def test_labs_run_side_by_side():
    running = [subprocess.Popen([LAB, "sh", "-c", f"echo {i}; exit {i}"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE) for i in range(1, 4)]
    for i, process in enumerate(running, 1):
        assert process.communicate(timeout=60)[0] == b"%d\n" % i
        assert process.returncode == i


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_no_machine(number):
    with subprocess.Popen([LAB, "sleep", "60"], stdin=subprocess.DEVNULL) as process:
        machine = machine_of(process)
        process.send_signal(number)
        assert process.wait(10) in (128 + number, -number)
    wait_gone(machine)


def test_up_serves_commands_until_down():
    lab("--down")
    before = machines()
    try:
        assert lab("--up").returncode == 0
        kept = machines() - before
        assert len(kept) == 1
        for _ in range(3):
            assert lab("sh", "-c", "test ! -e /tmp/of-the-last && touch /tmp/of-the-last; exit 3"
                       ).returncode == 3
            assert machines() - before == kept
        left = lab("sh", "-c", "sleep 1000 & echo $!").stdout.strip().decode()
        assert lab("test", "-e", f"/proc/{left}").returncode == 1, "a process outlived its command"
    finally:
        assert lab("--down").returncode == 0
    assert not machines() - before
    assert not (ROOT / ".cache" / "lab" / "kept").exists()


def test_up_survives_a_killed_client():
    lab("--up")
    try:
        for _ in range(3):
            with subprocess.Popen([LAB, "sh", "-c", "echo on; yes"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE) as process:
                process.stdout.read(3)
                process.kill()
            done = lab("echo", "still here")
            assert (done.stdout, done.stderr) == (b"still here\n", b"")
    finally:
        lab("--down")


def test_a_busy_lab_is_not_waited_for():
    lab("--up")
    try:
        with subprocess.Popen([LAB, "sh", "-c", "echo on; sleep 1000"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE) as busy:
            assert busy.stdout.read(3) == b"on\n"
            assert lab("echo", "elsewhere").stdout == b"elsewhere\n"
            assert busy.poll() is None
            busy.kill()
    finally:
        lab("--down")


def test_a_terminal_is_a_terminal():
    child, fd = pty.fork()
    if child == 0:
        time.sleep(0.2)  # until the window has its size
        os.execv(LAB, [LAB, "sh", "-c", "echo ready; read line; stty size; tty; exit 5"])
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    before = termios.tcgetattr(fd)
    seen = read_until(fd, b"ready")
    assert not termios.tcgetattr(fd)[3] & termios.ICANON, "the terminal is not raw"
    os.write(fd, b"go\r")
    seen += read_until(fd, b"/dev/pts/")
    assert b"33 99\r\n" in seen
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 5
    assert termios.tcgetattr(fd) == before
    os.close(fd)


def read_until(fd, text):
    seen = b""
    deadline = time.monotonic() + 30
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([fd], [], [], 0.5)[0]:
            seen += os.read(fd, 4096)
    return seen


@pytest.mark.parametrize("arguments, complaint", [
    ([], "give a command"), (["--up", "true"], "give a command"), (["--mem", "1M", "true"], "256M"),
    (["--smp", "0", "true"], "from 1 to 64"), (["--out", "/nowhere", "true"], "not a directory")])
def test_refuses_nonsense(arguments, complaint):
    done = lab(*arguments)
    assert done.returncode == 2 and complaint in done.stderr.decode()


def test_says_what_to_install_without_qemu(tmp_path):
    for tool in ("python3", "cc"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = lab("true", env={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 125 and b"install the package qemu-system-x86" in done.stderr


def test_guest_initramfs_is_reproducible():
    path = subprocess.run([MKINITRAMFS, "cloud"], capture_output=True, text=True, check=True).stdout.strip()
    first = pathlib.Path(path).read_bytes()
    os.unlink(path)
    again = subprocess.run([MKINITRAMFS, "cloud"], capture_output=True, text=True, check=True).stdout.strip()
    assert again == path and pathlib.Path(path).read_bytes() == first
