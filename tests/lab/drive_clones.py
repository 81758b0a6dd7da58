# SPDX-License-Identifier: MIT
"""Run in the lab: a machine that waits, and many that go on from it at once, each told its name when it is there.

usage: drive_clones.py PRONTO PLAN    where PLAN is JSON: config (of the machine), n, source ("snapshot", "server" or "fork"), setup

Prints for each clone what its guest says, as "@@ clone I KEY VALUE", and "@@ pss I KIB" when all of them are done, "@@ free KIB",
what the first machine says, "@@ stood US" for a fork, and "@@ status N" of all clones.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

SOCKET, PLACE, SERVED = "/run/api.sock", "/run/kept", "/run/served.sock"
OPTIONS = ["--console", "socket:/run/console-%n", "--net", "tap=tap%n,mac=02:00:00:00:00:%2n", "--vsock", "path=/run/v-%n,cid=9%n"]


def until(what, condition, seconds=600):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            sys.exit(f"@@ fault {what} did not come")
        if Console.clones and Console.clones.poll() is not None:
            sys.exit(f"@@ fault the clones have ended with status {Console.clones.returncode} before {what}")
        time.sleep(0.02)
    return found


class Console:
    """A clone's, which listens where we connect."""
    clones = None  # the process that has begun them

    def __init__(self, number):
        self.number, self.text = number, ""
        self.socket = socket.socket(socket.AF_UNIX)
        until(f"console {number}", self.connect)
        threading.Thread(target=self.read, daemon=True).start()

    def connect(self):
        try:
            self.socket.connect(f"/run/console-{self.number}")
        except OSError:
            return False
        return True

    def read(self):
        while data := self.socket.recv(4096):
            self.text += data.decode(errors="replace").replace("\r", "")

    def type(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def tell(self):
        for line in re.findall(r"^@@ (.*)$", self.text, re.M):
            print("@@ clone", self.number, line, flush=True)


class First:
    """The machine that all begin as."""

    def __init__(self, pronto, config):
        pathlib.Path("/run/config").write_text(json.dumps(config), encoding="ascii")
        self.pronto, self.err = pronto, pathlib.Path("/run/first")
        with self.err.open("w", encoding="ascii") as err:
            self.process = subprocess.Popen([pronto, "api", "--socket", SOCKET, "--config", "/run/config", "--start", "-v"],
                                            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=err, text=True)
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()
        until("the first machine", lambda: any("@@ ready clone" in line for line in self.lines))

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            print(line, end="", flush=True)

    def ctl(self, *words):
        subprocess.run([self.pronto, "ctl", SOCKET, *words], check=True, stdout=subprocess.DEVNULL)

    def end(self):
        self.process.kill()
        self.process.wait()


def prepare(pronto, first, source):
    """What clones are to begin with, and who is to be ended."""
    if source == "fork":
        first.ctl("serve", SERVED)
        print("@@ stood", re.findall(r"the guest stood still for (\d+) us", first.err.read_text(encoding="utf-8"))[-1], flush=True)
        return SERVED, None
    first.ctl("snapshot", PLACE)
    first.end()
    if source == "snapshot":
        return PLACE, None
    server = subprocess.Popen([pronto, "serve", PLACE, "--socket", SERVED])
    until("the server", lambda: os.path.exists(SERVED))
    return SERVED, server


def machines():
    """Their processes' numbers."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe") == sys.argv[1] and len(os.listdir(entry / "task")) > 1:
                found.append(entry)
        except OSError:
            continue
    return found


def tell_memory():
    for i, process in enumerate(machines()):
        text = (process / "smaps_rollup").read_text(encoding="ascii")
        print("@@ pss", i, *(re.search(rf"^{key}: +(\d+) kB", text, re.M)[1] for key in ("Pss", "Private_Dirty")), flush=True)
    print("@@ free", re.search(r"MemAvailable: +(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="ascii"))[1], flush=True)


def is_done(console):
    return "@@ told all" in console.text


def until_all(consoles, seconds):
    """As long as any of them has said something of late."""
    before, since = None, time.monotonic()
    while not all(map(is_done, consoles)) and time.monotonic() < since + seconds:
        time.sleep(0.2)
        now = sum(len(console.text) for console in consoles)
        if now != before:
            before, since = now, time.monotonic()
    return all(map(is_done, consoles))


def explain(consoles):
    """How far they are, and whether those that stand still hear what is typed."""
    for console in consoles:
        if not is_done(console):
            before = console.text
            console.type("")
            time.sleep(10)
            print(f"@@ stands {console.number} after", repr(before[-300:]), "typed to", repr(console.text[len(before):]), flush=True)
    for process in machines():
        stat = (process / "stat").read_text(encoding="ascii").split()
        print("@@ used", process.name, stat[13:15], [(task / "wchan").read_text(encoding="ascii") for task in (process / "task").iterdir()],
              flush=True)


def main(pronto, plan):
    plan = json.loads(plan)
    subprocess.run(plan["setup"], shell=True, check=True)
    first = First(pronto, plan["config"])
    source, server = prepare(pronto, first, plan["source"])
    began = time.monotonic()
    clones = Console.clones = subprocess.Popen([pronto, "clone", source, "--count", str(plan["n"]), *OPTIONS], stdin=subprocess.DEVNULL)
    print("@@ asked", flush=True)
    consoles = [Console(i) for i in range(plan["n"])]
    print("@@ begun", f"{time.monotonic() - began:.1f}", flush=True)
    for console in consoles:
        console.type(f"clone-{console.number}")
    if not until_all(consoles, 300):
        explain(consoles)
        sys.exit("@@ fault some clones did not come to their end")
    print("@@ done", f"{time.monotonic() - began:.1f}", flush=True)
    tell_memory()
    for console in consoles:
        console.type("")
    print("@@ status", clones.wait(), flush=True)
    for console in consoles:
        console.tell()
    for process in [first.process, server]:
        if process and process.poll() is None:
            process.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
