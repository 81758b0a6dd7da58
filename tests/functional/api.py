# SPDX-License-Identifier: MIT
"""Speak HTTP with a machine's API."""

import http.client
import json
import pathlib
import socket

import vm


class Connection(http.client.HTTPConnection):
    """One that stays, to a unix socket."""

    def __init__(self, path, timeout=vm.TIMEOUT):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = connect(self.path, self.timeout)


def connect(path, timeout=vm.TIMEOUT):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect(str(path))
    return sock


class Api:
    """A process that serves the API, and a connection to it."""

    def __init__(self, box, *options, program="pronto", name="api", around=(), **kwargs):
        self.socket = box.path / "tmp" / f"{name}.sock"
        self.config = {}
        argv = ([vm.PRONTO, "api", "--socket", self.socket] if program == "pronto"
                else [program, "--api-sock", self.socket])
        self.vm = vm.Vm(box, [*around, *argv, *options], **kwargs)
        vm.wait_until(lambda: self.vm.process.poll() is not None or self.is_served(), what="the socket")
        self.connection = Connection(self.socket)

    def is_served(self):
        try:
            connect(self.socket).close()
        except OSError:
            return False
        return True

    def vmm_pid(self):
        """Of the processes that work for it the one that has the machine."""
        def name(pid):
            return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="ascii")
        def look():
            children = pathlib.Path(f"/proc/{self.vm.pid}/task/{self.vm.pid}/children").read_text(encoding="ascii").split()
            return [int(pid) for pid in children if not name(pid).startswith(("pronto-", "mmds"))]
        vm.wait_until(lambda: len(look()) == 1, what="the names of the others")
        return look()[0]

    def ask(self, method, path, body=None):
        """Status, and the JSON or text of the answer."""
        data = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
        self.connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.getheader("Content-Type") == "application/json":
            return answer.status, json.loads(text)
        return answer.status, text.decode()

    def must(self, method, path, body=None):
        """What is done, and answered with nothing or JSON."""
        status, answer = self.ask(method, path, body)
        assert status in (200, 204), (method, path, answer)
        return answer

    def fault(self, method, path, body=None):
        status, answer = self.ask(method, path, body)
        assert status == 400 and list(answer) == ["fault_message"], (method, path, status, answer)
        return answer["fault_message"]

    def start(self, guest, args="", **machine):
        """Configure a machine with this guest, and start it."""
        self.must("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128, **machine})
        self.must("PUT", "/boot-source", {"kernel_image_path": guest, "boot_args": args})
        self.must("PUT", "/actions", {"action_type": "InstanceStart"})

    def drive(self, name):
        return next(d for d in self.must("GET", "/vm/config")["drives"] if d["drive_id"] == name)

    def state(self):
        return self.must("GET", "/")["state"]


def raw(path, data, n=1, half_close=True):
    """Send bytes as they are; all that comes back."""
    with connect(path) as sock:
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass  # it has said all that it has to say
        out = b""
        while piece := sock.recv(65536):
            out += piece
            if not half_close and out.count(b"HTTP/1.1 ") >= n and out.endswith((b"}", b"\r\n\r\n")):
                break
        return out
