# SPDX-License-Identifier: MIT
"""Runs within a guest that is a whole Debian, with debian_host.py at the other end: does what a line of standard input asks
for, and says what it saw, as lines "@@ KEY VALUE".  The directory shared with the host is where this file is."""

import hashlib
import http.client
import http.server
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

SHARE = pathlib.Path(__file__).resolve().parent
HOST_CID, ECHO_PORT, SERVED_PORT = 2, 2000, 1000


def say(*words):
    print("@@", *words, flush=True)


def output(*argv):
    return subprocess.run(argv, check=False, capture_output=True, text=True).stdout.strip()


def state():
    say("kernel", os.uname().release)
    say("state", output("systemctl", "is-system-running"))
    say("failed", output("systemctl", "--failed", "--plain", "--no-legend").replace("\n", "; "))
    say("mount", output("findmnt", "-no", "SOURCE,FSTYPE", "/"))
    for name in sorted(os.listdir("/sys/bus/virtio/devices")):
        driver = os.path.realpath(f"/sys/bus/virtio/devices/{name}/driver")
        say("virtio", os.path.basename(driver), os.path.realpath(f"/sys/bus/virtio/devices/{name}/..").rsplit("/", 1)[1])


def clock():
    """When systemd first read the clock, and by what it goes."""
    say("user_space", output("systemctl", "show", "-P", "UserspaceTimestamp", "--timestamp=unix").lstrip("@"))
    say("source", pathlib.Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip())


def now():
    say("now", f"{time.time():.6f}")


def follow():
    """Until chrony has the host's time, to a hundredth of a second."""
    say("follows", subprocess.run(["chronyc", "waitsync", "100", "0.01", "0", "3"], check=False, stdout=subprocess.DEVNULL).returncode)
    say("reference", output("chronyc", "-c", "tracking").split(",")[1])


def share():
    say("share", (SHARE / "from-host").read_text(encoding="ascii").strip())
    (SHARE / "from-guest").write_text("guest\n", encoding="ascii")


def interface(mac):
    return next(path.parent.name for path in pathlib.Path("/sys/class/net").glob("*/address") if path.read_text().strip() == mac)


def gateway():
    return output("ip", "-4", "route", "show", "default").split()[2]


def fetch(name, host):
    connection = http.client.HTTPConnection(host, 8000, timeout=300)
    connection.request("GET", "/blob")
    say("fetched", name, hashlib.sha256(connection.getresponse().read()).hexdigest())


def download():
    """From the host, by the gateway that passt is, and by the tap."""
    tap = interface("02:00:5e:00:00:07")
    fetch("passt", gateway())
    fetch("tap", f"fe80::5eff:fe00:1%{tap}")


def serve():
    """A file for the host, at port 80."""
    data = os.urandom(3_000_000)
    os.mkdir("/run/www")
    pathlib.Path("/run/www/blob").write_bytes(data)

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory="/run/www")

        def log_message(self, *_):
            pass

    server = Server(("::", 80), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("serving", hashlib.sha256(data).hexdigest())


def echo_to_host():
    """A stream to the host, which gives it back."""
    data = os.urandom(1_000_001)
    stream = socket.socket(socket.AF_VSOCK)
    stream.connect((HOST_CID, ECHO_PORT))
    writer = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)), daemon=True)
    writer.start()
    say("vsock", b"".join(iter(lambda: stream.recv(65536), b"")) == data)
    writer.join()


def echo():
    """One stream from the host is given back."""
    listener = socket.socket(socket.AF_VSOCK)
    listener.bind((socket.VMADDR_CID_ANY, SERVED_PORT))
    listener.listen()

    def give_back():
        stream, _ = listener.accept()
        while data := stream.recv(65536):
            stream.sendall(data)
        stream.close()

    threading.Thread(target=give_back, daemon=True).start()
    say("echoing")


def complaints():
    """What the kernel has said of itself that no kernel should."""
    log = output("dmesg")
    for line in log.splitlines():
        if any(word in line for word in ("BUG:", "WARNING: CPU", "Oops", "Call Trace", "detected stall", "I/O error")):
            say("complaint", line)
    say("end_of_log", len(log.splitlines()))


if __name__ == "__main__":
    for order in sys.stdin:
        globals()[order.strip()]()
        say("done", order.strip())
