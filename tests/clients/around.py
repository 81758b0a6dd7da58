# SPDX-License-Identifier: MIT
"""Run in the lab: what is around a Linux that a client drives, the other ends of its network and of its streams; and the client,
whose standard output is the guest's console.  Prints that, and what was seen here, as lines "@@ KEY VALUE".

usage: around.py CLIENT...    which is given, besides, a file for what it is told; it finds a disk and a tap beside it
"""

import http.server
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))
# pylint: disable=wrong-import-position
from drive_api import Blob  # noqa: E402

PLACE = pathlib.Path("/run/around")  # where the client is
SETUP = """
ip link set lo up
ip tuntap add tap7 mode tap
ip address add 10.9.0.1/24 dev tap7
ip link set tap7 up
truncate -s 16M disk
"""


def say(*words):
    print("@@", *words, flush=True)


def receive_all(stream):
    return b"".join(iter(lambda: stream.recv(65536), b""))


def give_back():
    """One stream of the guest's to port 2000."""
    door = socket.socket(socket.AF_UNIX)
    door.bind("vsock_2000")
    door.listen()
    threading.Thread(target=lambda: echo(door.accept()[0]), daemon=True).start()


def echo(stream):
    with stream:
        while data := stream.recv(65536):
            stream.sendall(data)


def stream_to_guest():
    data = os.urandom(1_000_001)
    stream = socket.socket(socket.AF_UNIX)
    stream.connect("vsock")
    stream.sendall(b"CONNECT 1000\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += stream.recv(1)
    writer = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)), daemon=True)
    writer.start()
    say("stream", answer.startswith(b"OK "), receive_all(stream) == data)
    writer.join()


def pass_on(console):
    more = console.read()
    print(more, end="", flush=True)
    return more


def main(*client):
    PLACE.mkdir()
    os.chdir(PLACE)
    subprocess.run(["sh", "-ec", SETUP], check=True)
    server = http.server.ThreadingHTTPServer(("10.9.0.1", 8000), Blob)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    give_back()
    with open("console", "wb") as console:
        process = subprocess.Popen(client, stdout=console)
    said = ""
    with open("console", encoding="latin-1", newline="") as console:
        while process.poll() is None:
            said += pass_on(console)
            if "@@ ready echo" in said:
                said = ""
                stream_to_guest()
            time.sleep(0.2)
        pass_on(console)
    say("status", process.returncode)
    for line in pathlib.Path("facts").read_text(encoding="utf-8").splitlines():
        say("told", line)


if __name__ == "__main__":
    main(*sys.argv[1:])
