# SPDX-License-Identifier: MIT
"""Runs in the lab: a whole Debian under pronto, and all that is around it there.  Two networks, a shared directory, streams,
two consoles with somebody at them.  Says what was seen, as lines "@@ KEY VALUE".

usage: debian_host.py KEY how-it-ends PRONTO run OPTIONS... -- CMDLINE
"""

import hashlib
import http.client
import http.server
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PLACE = pathlib.Path("/tmp/debian")
GUEST = "fe80::5eff:fe00:7%tap7"
STOPPED_SECONDS = 30  # more than what Linux calls a soft lockup

# Where passt takes its addresses from, the default route's interface, leads nowhere.
NETWORKS = """
ip link set lo up
ip tuntap add out7 mode tap
ip address add 198.51.100.2/24 dev out7
ip link set out7 up
ip route add default via 198.51.100.1 dev out7
ip tuntap add tap7 mode tap
ip link set tap7 address 02:00:5e:00:00:01 up
"""

DEVICES = ("--net", "user,host,hostfwd=tcp:127.0.0.1:2222:22,hostfwd=tcp:127.0.0.1:8080:80", "--net",
           "tap=tap7,mac=02:00:5e:00:00:07", "--share", f"{PLACE}/share:data", "--vsock", f"{PLACE}/vsock",
           "--console", f"socket:{PLACE}/ttyS0", "--hvc", f"socket:{PLACE}/hvc0")


def say(*words):
    print("@@", *words, flush=True)


def receive_all(stream):
    return b"".join(iter(lambda: stream.recv(65536), b""))


class Console:
    """Somebody at a console of the guest's."""

    def __init__(self, name, vm):
        self.name, self.said, self.at, self.ended = name, b"", 0, False
        self.more = threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX)
        while not (PLACE / name).exists():
            if vm.poll() is not None:
                raise EOFError(f"pronto ended with status {vm.returncode}")
            time.sleep(0.1)
        self.socket.connect(str(PLACE / name))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while data := self.socket.recv(65536):
            with self.more:
                self.said += data
                self.more.notify()
        with self.more:
            self.ended = True
            self.more.notify()

    def until(self, text):
        """Wait for it; what was said before it."""
        with self.more:
            while (found := self.said.find(text.encode(), self.at)) < 0:
                if self.ended:
                    raise EOFError(f"{self.name} ended without {text!r}: {self.said[-2000:]!r}")
                self.more.wait()
            start, self.at = self.at, found + len(text)
            return self.said[start:found].decode(errors="replace")

    def type(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def command(self, line):
        """What it prints."""
        self.type(f"echo BEG''IN; {line}; echo E''ND")
        self.until("BEGIN")
        return " ".join(self.until("END").split())

    def log_in(self):
        self.until("login: ")
        self.type("root")
        self.until(":~#")


def serve_files():
    """A file at port 8000, of any address that this machine has."""
    (PLACE / "www").mkdir()
    (PLACE / "www" / "blob").write_bytes(random.Random(7).randbytes(3_000_000))
    say("served", hashlib.sha256((PLACE / "www" / "blob").read_bytes()).hexdigest())

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(PLACE / "www"))

        def log_message(self, *_):
            pass

    threading.Thread(target=Server(("::", 8000), Handler).serve_forever, daemon=True).start()


def serve_streams():
    """Give back the stream that the guest opens to port 2000."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{PLACE}/vsock_2000")
    listener.listen()

    def give_back():
        stream, _ = listener.accept()
        while data := stream.recv(65536):
            stream.sendall(data)
        stream.close()

    threading.Thread(target=give_back, daemon=True).start()


def fetch(name, host, port):
    connection = http.client.HTTPConnection(host, port, timeout=300)
    connection.request("GET", "/blob")
    say("got", name, hashlib.sha256(connection.getresponse().read()).hexdigest())


def stream_to_guest():
    data = os.urandom(1_000_001)
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(f"{PLACE}/vsock")
    stream.sendall(b"CONNECT 1000\n")
    answer = b""
    while not answer.endswith(b"\n"):
        answer += stream.recv(1)
    writer = threading.Thread(target=lambda: (stream.sendall(data), stream.shutdown(socket.SHUT_WR)), daemon=True)
    writer.start()
    say("stream", answer.startswith(b"OK "), receive_all(stream) == data)
    writer.join()


def ssh(key, host, *command, port=22, **popen):
    return subprocess.Popen(
        ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
         "-o", "LogLevel=ERROR", "-i", key, "-p", str(port), f"root@{host}", *command], stdout=subprocess.PIPE, text=True, **popen)


class Guest:
    """debian_guest.py, by ssh."""

    def __init__(self, key):
        self.process = ssh(key, GUEST, "mount -t virtiofs data /mnt && exec python3 /mnt/debian_guest.py", stdin=subprocess.PIPE)

    def do(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            print(line, end="", flush=True)
            if line == f"@@ done {order}\n":
                return
        raise EOFError(f"the guest ended at {order}")

    def timed(self, order):
        say("time", f"{time.time():.6f}")
        self.do(order)
        say("time", f"{time.time():.6f}")

    def end(self):
        self.process.stdin.close()
        say("ssh_tap", self.process.wait())


def stand_still(vm):
    vm.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    vm.send_signal(signal.SIGCONT)


def check_all(key, vm, hvc, serial):
    hvc.log_in()
    say("hvc", hvc.command("tty"))
    say("running", hvc.command("systemctl is-system-running --wait"))
    serial.log_in()
    say("serial", serial.command("tty"))
    by_passt = ssh(key, "127.0.0.1", "cat /etc/debian_version", port=2222, stdin=subprocess.DEVNULL)
    say("ssh_passt", by_passt.communicate()[0].strip(), by_passt.returncode)
    guest = Guest(key)
    guest.do("state")
    guest.do("clock")
    guest.do("share")
    say("share_back", (PLACE / "share" / "from-guest").read_text().strip())
    guest.do("download")
    guest.do("serve")
    fetch("passt", "127.0.0.1", 8080)
    fetch("tap", GUEST, 80)
    guest.do("echo_to_host")
    guest.do("echo")
    stream_to_guest()
    guest.do("follow")
    guest.timed("now")
    stand_still(vm)
    guest.timed("now")
    guest.do("complaints")
    guest.end()


def main(key, ending, *command):
    PLACE.mkdir()
    (PLACE / "share").mkdir()
    (PLACE / "share" / "from-host").write_text("host\n")
    shutil.copy(HERE / "debian_guest.py", PLACE / "share")
    shutil.copy(key, PLACE / "key")
    (PLACE / "key").chmod(0o600)
    subprocess.run(["sh", "-ec", NETWORKS], check=True)
    serve_files()
    serve_streams()
    say("start", f"{time.time():.6f}")
    vm = subprocess.Popen([*command[:2], *DEVICES, *command[2:]])
    hvc, serial = Console("hvc0", vm), Console("ttyS0", vm)
    try:
        check_all(str(PLACE / "key"), vm, hvc, serial)
        if ending == "button":
            vm.send_signal(signal.SIGTERM)
        else:
            serial.type("poweroff")
        say("status", vm.wait())
    finally:
        print(f"---- ttyS0\n{serial.said.decode(errors='replace')}\n---- hvc0\n{hvc.said.decode(errors='replace')}")
        vm.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
