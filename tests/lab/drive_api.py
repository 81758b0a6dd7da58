# SPDX-License-Identifier: MIT
"""Run in the lab: configure and start a machine by its API, pause and resume it while its guest works, print what it says.

usage: drive_api.py PRONTO PLAN    where PLAN is JSON: setup (a script), requests, changes (which come later, when a text has been
said), n_pauses, echo (a path: what comes to the socket there goes back)
"""

import http.server
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "functional"))
# pylint: disable=wrong-import-position
import api  # noqa: E402

SOCKET = "/run/api.sock"


class Blob(http.server.BaseHTTPRequestHandler):
    """Gives three megabytes that everybody can make."""

    def do_GET(self):
        data = random.Random(7).randbytes(3_000_000)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def echo_at(path):
    """In a thread for each: what a stream sends goes back to it."""
    def serve(stream):
        with stream:
            while data := stream.recv(65536):
                stream.sendall(data)

    def accept():
        while True:
            threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()

    door = socket.socket(socket.AF_UNIX)
    door.bind(path)
    door.listen()
    threading.Thread(target=accept, daemon=True).start()


def ask(connection, method, path, body):
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status not in (200, 204):
        print("@@ fault", method, path, text, flush=True)
    return text


def said(process, lines):
    for line in process.stdout:
        lines.append(line)
        print(line, end="", flush=True)
    process.wait()


def main(pronto, plan):
    plan = json.loads(plan)
    subprocess.run(plan["setup"], shell=True, check=True)
    server = http.server.ThreadingHTTPServer(("10.9.0.1", 8000), Blob)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if plan["echo"]:
        echo_at(plan["echo"])
    process = subprocess.Popen([pronto, "api", "--socket", SOCKET], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    while not os.path.exists(SOCKET):
        time.sleep(0.05)
    connection = api.Connection(SOCKET)
    for request in plan["requests"]:
        ask(connection, *request)
    lines, n, waits = [], 0, []
    thread = threading.Thread(target=said, args=(process, lines))
    thread.start()
    changes = plan["changes"]
    while thread.is_alive():
        if changes and any(changes[0][0] in line for line in lines):
            ask(connection, *changes.pop(0)[1])
        if n < plan["n_pauses"] and lines:
            try:
                start = time.monotonic()
                ask(connection, "PATCH", "/vm", {"state": "Paused"})
                waits.append(time.monotonic() - start)
                time.sleep(0.01)
                ask(connection, "PATCH", "/vm", {"state": "Resumed"})
                n += 1
            except OSError:
                break
        time.sleep(0.02)
    thread.join()
    print("@@ host_time", int(time.time()))
    print("@@ pauses", n)
    if waits:
        print(f"@@ pause_ms {1000 * sorted(waits)[len(waits) // 2]:.1f} {1000 * max(waits):.1f}")
    print("@@ status", process.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
