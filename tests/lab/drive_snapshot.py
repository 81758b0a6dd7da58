# SPDX-License-Identifier: MIT
"""Run in the lab: a machine that is saved in the middle of its work, killed, and gone on with by another process, again and again.

usage: drive_snapshot.py PRONTO PLAN    where PLAN is JSON: setup (a script), config (settings of the first process, if there are any),
requests (of the same), n_trips, from_text (what is said before the first), pauses (seconds between two, at most), load (fields for
/snapshot/load), handler (a program that brings memory by userfaultfd: its arguments are a socket and a file)

Prints what the guest says, and "@@ trips N", "@@ stood MS" for each, "@@ status N" of the last process.
"""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
from drive_api import SOCKET, Blob, api, ask  # noqa: E402

PLACE, CONFIG, HANDLER = "/run/snapshot", "/run/config.json", "/run/handler"
ANSWERS = 300  # seconds after which it does not; a handler in Python brings a few hundred pages a second here


class Host(Blob):
    """Tells a guest that works until it is told, too, whether it is enough."""
    is_enough = False

    def do_GET(self):
        if self.path != "/enough":
            super().do_GET()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"yes" if Host.is_enough else b"no")


class Said:
    """By the guest, whoever it is at that time."""

    def __init__(self):
        self.lines, self.begun = [], ""


class Machine:
    """One process, and what its guest says."""

    def __init__(self, pronto, said, *options):
        self.said = said
        with contextlib.suppress(FileNotFoundError):  # who saw the one before end may have removed it
            os.unlink(SOCKET)
        self.process = subprocess.Popen([pronto, "api", "--socket", SOCKET, *options], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.connection = api.Connection(SOCKET, ANSWERS)
        while self.is_running() and not self.is_served():
            time.sleep(0.01)

    def read(self):
        """Whole lines: one may be begun by this process, and ended by the next."""
        for text in self.process.stdout:
            self.said.begun += text
            if self.said.begun.endswith("\n"):
                self.said.lines.append(self.said.begun)
                print(self.said.begun, end="", flush=True)
                self.said.begun = ""

    def is_served(self):
        try:
            self.connection.connect()
        except OSError:
            return False
        return True

    def ask(self, method, path, body):
        ask(self.connection, method, path, body)

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        status = self.process.wait()
        self.reader.join()
        return status

    def is_running(self):
        return self.process.poll() is None


def start_handler(program):
    """What it says is nobody's business but that it listens."""
    memory, = pathlib.Path(PLACE).glob("memory-*")
    said = pathlib.Path(HANDLER + ".log")
    with said.open("wb") as log:
        subprocess.Popen(["/usr/bin/python3", program, HANDLER, memory], stdout=log, stderr=log)  # pylint: disable=consider-using-with
    while b"listens" not in said.read_bytes():
        time.sleep(0.05)
    return {"mem_backend": {"backend_type": "Uffd", "backend_path": HANDLER}}


def save_and_go_on(machine, pronto, said, load, handler):
    """The machine stands still from the one process to the other.  The same one: it has ended by itself
    meanwhile."""
    try:
        began = time.monotonic()
        machine.ask("PATCH", "/vm", {"state": "Paused"})
        machine.ask("PUT", "/snapshot/create", {"snapshot_path": PLACE})
    except (OSError, http.client.HTTPException):
        machine.process.wait(ANSWERS)
        return machine
    saved = time.monotonic()
    machine.kill()
    machine = Machine(pronto, said)
    if handler:
        load = {**load, **start_handler(handler)}
    machine.ask("PUT", "/snapshot/load", {"snapshot_path": PLACE, "resume_vm": True, **load})
    print(f"@@ stood {(saved - began) * 1000:.0f} {(time.monotonic() - began) * 1000:.0f}", flush=True)
    return machine


def main(pronto, plan):
    plan = json.loads(plan)
    random.seed(plan.get("seed", 1))
    subprocess.run(plan["setup"], shell=True, check=True)
    threading.Thread(target=http.server.ThreadingHTTPServer(("10.9.0.1", 8000), Host).serve_forever, daemon=True).start()
    said = Said()
    pathlib.Path(CONFIG).write_text(json.dumps(plan.get("config", {})), encoding="utf-8")
    machine = Machine(pronto, said, "--config", CONFIG)
    for method, path, body in plan["requests"]:
        machine.ask(method, path, body)
    while machine.is_running() and not any(plan["from_text"] in line for line in said.lines):
        time.sleep(0.05)
    trips = 0
    while trips < plan["n_trips"] and machine.is_running():
        time.sleep(random.uniform(0, plan["pauses"]))
        before = machine
        machine = save_and_go_on(machine, pronto, said, plan.get("load", {}), plan.get("handler"))
        trips += machine is not before
    Host.is_enough = True
    print("@@ trips", trips, flush=True)
    print("@@ status", machine.end(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
