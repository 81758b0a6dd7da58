# SPDX-License-Identifier: MIT
"""Start pronto in a place of its own, talk to its guest, and see what it leaves behind."""

import collections
import os
import pathlib
import re
import resource
import signal
import subprocess
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
GUESTS = PRONTO.parent / "tests" / "guest"

POWEROFF, HOST_ERROR, OPERATOR, REBOOT, CRASH, KILLED = range(6)
TIMEOUT = 20

Result = collections.namedtuple("Result", "status out err seconds")


def guest(name):
    path = GUESTS / f"{name}.elf"
    assert path.exists(), f"{path} is not built"
    return str(path)


def checksum(data):
    """FNV-1a, 32 bits: what the guest programs compute."""
    value = 0x811c9dc5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xffffffff
    return value


def tap(text):
    """All checks passed, and as many as planned; the remarks, by their first word."""
    lines = text.replace("\r", "").splitlines()
    plan = [line for line in lines if line.startswith("1..")]
    passed = [line for line in lines if line.startswith("ok ")]
    assert not [line for line in lines if line.startswith(("not ok", "Bail out"))], text
    assert plan == [f"1..{len(passed)}"] and passed, text
    remarks = collections.defaultdict(list)
    for line in lines:
        if line.startswith("# "):
            word, *rest = line[2:].split()
            remarks[word].append(rest)
    return remarks


def has_status(pid, states):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] in states


def takes_signals(pid):
    """Whether a guest runs: then signals are blocked, and read like other events.  While a thread is made all of them are blocked
    for a moment, by the C library: SIGPWR, which nobody reads, tells the two apart."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    blocked = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)
    return blocked >> (signal.SIGTERM - 1) & 1 and not blocked >> (signal.SIGPWR - 1) & 1


def wait_until(condition, timeout=10, what="it"):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {timeout} s"
        time.sleep(0.005)


class Box:
    """Directories of its own for every process that is started in it, and a mark in their environment."""

    def __init__(self, path):
        self.path = path
        self.mark = f"PRONTO_BOX={uuid.uuid4()}"
        for name in ("home", "cache", "tmp", "cwd"):
            (path / name).mkdir()
        self.started = []

    def environment(self, extra=None):
        name, value = self.mark.split("=")
        return {**os.environ, "HOME": str(self.path / "home"), "TMPDIR": str(self.path / "tmp"),
                "XDG_CACHE_HOME": str(self.path / "cache"), "LC_ALL": "C", name: value, **(extra or {})}

    def processes(self):
        """Those that carry the mark and are not merely waiting to be waited for."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if (entry.name.isdigit() and self.mark.encode() in (entry / "environ").read_bytes().split(b"\0")
                        and not has_status(entry.name, "ZX")):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def files(self):
        """What was left, but for the cache's directory with what is known of the host, and for what the runtime of
        ThreadSanitizer makes before main and removes at once: a signal may come between the two."""
        known = "cache/pronto", "cache/pronto/cpuid"
        return sorted(str(f.relative_to(self.path)) for f in self.path.rglob("*")
                      if f.parent != self.path and str(f.relative_to(self.path)) not in known
                      and not f.name.startswith("tsan.rodata."))

    def finish(self):
        """Whatever the test left running ends, and those who see that; what a process left by itself is a failure."""
        for vm in self.started:
            vm.kill()
        end = time.monotonic() + TIMEOUT
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.005)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"processes left behind: {left}"


def to_be_seen(argv):
    """Only root may look into a process that has confined itself (docs/confinement.md); the tests look."""
    words = [str(a) for a in argv]
    if os.geteuid() and words[0] == str(PRONTO) and words[1:2] in (["run"], ["restore"]) and "--confine" not in words:
        words[2:2] = ["--confine", "off"]
    return words


class Vm:
    """One process.  stdin, stdout and stderr as for Popen; what is not given is collected."""

    def __init__(self, box, argv, *, env=None, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, **popen):
        self.box, self.out, self.err = box, b"", b""
        self.start = time.monotonic()
        self.status = self.end = None
        setup = popen.pop("preexec_fn", None)

        def prepare():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if setup:
                setup()

        self.process = subprocess.Popen(
            to_be_seen(argv), stdin=stdin, stdout=stdout, stderr=stderr, env=box.environment(env),
            cwd=popen.pop("cwd", box.path / "cwd"), start_new_session=popen.pop("start_new_session", True),
            preexec_fn=prepare, **popen)
        box.started.append(self)
        self.threads = [threading.Thread(target=self.collect, args=(pipe, name), daemon=True)
                        for pipe, name in ((self.process.stdout, "out"), (self.process.stderr, "err")) if pipe]
        for thread in self.threads:
            thread.start()

    def collect(self, pipe, name):
        while data := os.read(pipe.fileno(), 65536):
            setattr(self, name, getattr(self, name) + data)

    def collect_all(self):
        for thread in self.threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), "somebody still holds its output"

    @property
    def pid(self):
        return self.process.pid

    def expect(self, text, timeout=TIMEOUT, where="out"):
        """Wait until the output holds `text`."""
        end = time.monotonic() + timeout
        while text.encode() not in getattr(self, where):
            assert self.process.poll() is None or time.monotonic() < end - timeout + 1, self.said()
            assert time.monotonic() < end, f"no {text!r} within {timeout} s: {self.said()}"
            time.sleep(0.002)

    def said(self):
        return f"status {self.process.poll()}, out {self.out[-2000:]!r}, err {self.err[-2000:]!r}"

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def signal(self, number):
        """Send it; the clock of `wait` starts anew."""
        self.start = time.monotonic()
        os.kill(self.pid, number)

    def wait(self, timeout=TIMEOUT):
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass  # it never read all of it
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still runs after {timeout} s: {self.said()}") from None
        seconds = time.monotonic() - self.start
        self.collect_all()
        return Result(self.process.returncode, self.out.decode("latin-1"), self.err.decode("latin-1"), seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.collect_all()  # a pipe closed under its reader may be another test's by the time it is read
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
