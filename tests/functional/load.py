# SPDX-License-Identifier: MIT
"""Requests of every kind to the API of a machine that runs, good ones and bad ones, at a steady rate over many connections at once."""

import collections
import json
import random
import re
import select
import socket
import time

import api

RATE = 1000  # requests a second
MAX_BODY = 51200
BALLOON = {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1}
LIMITER = {"bandwidth": {"size": 1000000, "refill_time": 100}, "ops": {"size": 1000, "refill_time": 100}}

# What is sent, in pieces of so many bytes with so many seconds between; whether the client says that this was all; what it is
# to be answered with, a status or several; and whether the server is to close the connection then.
Kind = collections.namedtuple("Kind", "name data answers ends half_closed piece gap", defaults=(False, False, 1 << 20, 0))


def request(method, path, body=None, *headers, version="1.1"):
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    size = [] if data is None else [f"Content-Length: {len(data)}"]
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: localhost", *headers, *size, "", ""]).encode() + (data or b"")


def done():
    """What a machine that runs does."""
    for path in "/", "/version", "/vm/config", "/machine-config", "/balloon":
        yield Kind(f"GET {path}", request("GET", path), [200])
    for method, body in [("PUT", {"latest": {"name": "a", "more": ["b", {"c": 1.5}]}}), ("PUT", {"large": "x" * 40000}),
                         ("PATCH", {"latest": {"name": None, "other": "d"}})]:
        yield Kind(f"{method} /mmds", request(method, "/mmds", body), [204])


def asked():
    """The same, by asking the VMM."""
    for path in "/balloon/statistics", "/metrics":
        yield Kind(f"GET {path}", request("GET", path), [200])
    for method, path, body in [
            ("PATCH", "/balloon", {"amount_mib": 8}), ("PATCH", "/balloon", {"amount_mib": 16}),
            ("PATCH", "/balloon/statistics", {"stats_polling_interval_s": 1}),
            ("PATCH", "/drives/other", {"drive_id": "other", "rate_limiter": LIMITER}),
            ("PATCH", "/drives/other", {"drive_id": "other", "rate_limiter": {}}), ("PATCH", "/vm", {"state": "Resumed"}),
            ("PUT", "/actions", {"action_type": "FlushMetrics"})]:
        yield Kind(f"{method} {path}", request(method, path, body), [204])
    # A guest that is paused just then cannot be asked.
    yield Kind("the power button", request("PUT", "/actions", {"action_type": "SendCtrlAltDel"}), [(204, 400)])


def refused():
    """What is wrong, and lets the connection go on."""
    for name, method, path, body in [
            ("no such path", "GET", "/nothing", None), ("no such method there", "PATCH", "/boot-source", {"a": 1}),
            ("too late", "PUT", "/boot-source", {"kernel_image_path": "/dev/null"}),
            ("a second start", "PUT", "/actions", {"action_type": "InstanceStart"}), ("no service", "GET", "/mmds", None),
            ("GET with a body", "GET", "/", {"a": 1}), ("PUT without one", "PUT", "/mmds", None),
            ("a path with ..", "GET", "/../../etc/passwd", None), ("a path of ..", "GET", "/" + "../" * 1000, None),
            ("an id of ..", "PATCH", "/drives/..", {"drive_id": ".."}), ("an id in code", "PATCH", "/drives/%2e%2e", {"drive_id": "a"}),
            ("an id of 7 KiB", "PATCH", "/drives/" + "a" * 7168, {"drive_id": "a"}),
            ("another id", "PATCH", "/drives/other", {"drive_id": "root"}),
            ("an id that is not there", "PATCH", "/drives/none", {"drive_id": "none", "rate_limiter": LIMITER})]:
        yield Kind(name, request(method, path, body), [400])
    for name, body in [
            ("a string", b'{"amount_mib": "1"}'), ("a fraction", b'{"amount_mib": 1.5}'), ("below 0", b'{"amount_mib": -1}'),
            ("too much", b'{"amount_mib": 99999999}'), ("null", b'{"amount_mib": null}'), ("a field more", b'{"amount_mib": 1, "x": 1}'),
            ("a list", b"[1]"), ("NaN", b'{"amount_mib": NaN}'), ("Infinity", b'{"amount_mib": -Infinity}'),
            ("1e999", b'{"amount_mib": 1e999}'), ("no integer", b'{"amount_mib": 99999999999999999999}'),
            ("twice the same key", b'{"amount_mib": 1, "amount_mib": 2}'), ("deep lists", b"[" * 20000 + b"]" * 20000),
            ("deep objects", b'{"a":' * 5000 + b"1" + b"}" * 5000), ("half of it", b'{"amount_mib": '),
            ("no UTF-8", b'{"amount_mib": "\xff\xfe"}'), ("NUL", b'{"amount_mib": "\\u0000"}'), ("zeros", bytes(1000))]:
        yield Kind(f"JSON: {name}", request("PATCH", "/balloon", body), [400])
    for name, body in [("NaN", b"NaN"), ("deep lists", b"[" * 20000 + b"]" * 20000), ("twice the same key", b'{"a": {"b": 1, "b": 2}}')]:
        yield Kind(f"metadata: {name}", request("PUT", "/mmds", body), [400])
    yield Kind("metadata: too large", request("PATCH", "/mmds", {"e": "x" * (MAX_BODY - 13)}), [413])


def spoken():
    """The ways of HTTP that are taken."""
    balloon = json.dumps({"amount_mib": 12}).encode()
    get = request("GET", "/")
    yield Kind("chunks", request("PATCH", "/balloon", None, "Transfer-Encoding: chunked") +
               b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (balloon[:7], balloon[7:], b"")), [204])
    yield Kind("asks first", request("PATCH", "/balloon", balloon, "Expect: 100-continue"), [100, 204])
    yield Kind("HTTP/1.0", request("GET", "/version", version="1.0"), [200])
    yield Kind("a whole URI", request("GET", "http://localhost/version?a=b"), [200])
    yield Kind("ten at once", get * 10, [200] * 10)
    yield Kind("three at once", get + request("GET", "/nothing") + request("PATCH", "/balloon", balloon), [200, 400, 204])
    yield Kind("a method of HTTP's", request("POST", "/", b""), [400])
    yield Kind("the last", request("GET", "/", None, "Connection: close"), [200], ends=True)
    yield Kind("half-closed", get, [200], ends=True, half_closed=True)
    yield Kind("half-closed, of the VMM", request("PATCH", "/balloon", balloon), [204], ends=True, half_closed=True)
    yield Kind("half of one, half-closed", get[:-7], [], ends=True, half_closed=True)
    yield Kind("slow", get, [200], piece=1, gap=0.02)
    yield Kind("slow, of the VMM", request("PATCH", "/balloon", balloon), [204], piece=3, gap=0.02)


def not_spoken():
    """What is no HTTP, or too large: refused, and closed."""
    for name, data in [
            ("an id of 10 KiB", request("PUT", "/drives/" + "a" * 10240, {"drive_id": "a"})),
            ("a header of 9 KiB", request("GET", "/", None, "A: " + "b" * 9216)),
            ("a body too large", request("PATCH", "/balloon", b" " * (MAX_BODY + 1))),
            ("a size beyond all", b"PUT /mmds HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"),
            ("two sizes", b"PUT /mmds HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"),
            ("no chunk", request("PUT", "/mmds", None, "Transfer-Encoding: chunked") + b"xyz\r\n"),
            ("no method", request("HELLO", "/")), ("TLS", b"\x16\x03\x01\x02\x00\x01\x00"), ("a word", b"hello\r\n\r\n")]:
        yield Kind(name, data, [400], ends=True)
    yield Kind("one, then no HTTP", request("GET", "/") + b"\x00\x01\r\n\r\n", [200, 400], ends=True)


def kinds(pauses=False):
    """Those that there are; with PAUSES also one that has the guest stand still for a moment."""
    yield from [*done(), *asked(), *refused(), *spoken(), *not_spoken()]
    if pauses:
        both = [request("PATCH", "/vm", {"state": state}) for state in ("Paused", "Resumed")]
        yield Kind("paused and resumed", b"".join(both), [204, 204])


class Connection:
    """One of the client's: what it has asked last, and what of the answers has come."""

    def __init__(self, path):
        self.sock = api.connect(path)
        self.sock.setblocking(False)
        self.ask(Kind("", b"", []), 0)

    def ask(self, kind, now):
        self.kind, self.left, self.next_send = kind, kind.data, now
        self.seen, self.answers, self.is_closed = b"", [], False

    def send(self, now):
        try:
            n = self.sock.send(self.left[:self.kind.piece])
        except (BlockingIOError, BrokenPipeError):  # it is answered before all of it was said
            n = 0
        self.left = self.left[n:]
        self.next_send = now + self.kind.gap
        if not self.left and self.kind.half_closed:
            self.sock.shutdown(socket.SHUT_WR)

    def receive(self):
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:  # of what was sent something has not been read
            data = b""
        self.is_closed = not data
        self.seen += data
        while (end := self.seen.find(b"\r\n\r\n") + 4) > 3:
            size = re.search(rb"\r\nContent-Length: (\d+)", self.seen[:end])
            whole = end + (int(size[1]) if size else 0)
            if len(self.seen) < whole:
                break
            self.answers.append((int(self.seen[9:12]), self.seen[end:whole]))
            self.seen = self.seen[whole:]

    def is_done(self):
        """All has come: as many answers as are owed, then the end if there is to be one; or an end too early."""
        return self.is_closed or (len(self.answers) >= len(self.kind.answers) and not self.kind.ends and not self.left)

    def fault(self):
        """What was wrong with the answers; None: nothing."""
        statuses = [status for status, _ in self.answers]
        wanted = [want if isinstance(want, tuple) else (want,) for want in self.kind.answers]
        if (self.is_closed != self.kind.ends or self.seen or len(statuses) != len(wanted)
                or not all(status in want for status, want in zip(statuses, wanted))):
            return self.kind.name, statuses, self.is_closed, self.seen
        for status, body in self.answers:
            if status >= 400 and not any(json.loads(body).get(name) for name in ("fault_message", "error")):
                return self.kind.name, status, body
        return None


class Load:
    """N connections, and what is asked by them: each kind as often as the others, in an order that is always the same; the slow ones
    less often, lest they have all connections."""

    def __init__(self, path, of_kinds, n):
        self.path, self.faults, self.n_answered = path, [], 0
        self.deck = [kind for kind in of_kinds for _ in range(1 if kind.gap else 4)]
        self.order, self.hand = random.Random(12), []
        self.poll, self.of_fd = select.epoll(), {}
        self.idle = collections.deque()
        for _ in range(n):
            self.connect()

    def connect(self):
        connection = Connection(self.path)
        self.of_fd[connection.sock.fileno()] = connection
        self.poll.register(connection.sock, select.EPOLLIN)
        self.idle.append(connection)

    def close(self):
        for connection in self.of_fd.values():
            connection.sock.close()
        self.poll.close()

    def draw(self):
        if not self.hand:
            self.hand = self.deck[:]
            self.order.shuffle(self.hand)
        return self.hand.pop()

    def finish(self, connection):
        """It is answered: the connection is free, or another takes its place."""
        self.n_answered += max(1, len(connection.kind.answers))
        fault = connection.fault()
        if fault:
            self.faults.append(fault)
        if connection.is_closed:
            if connection in self.idle:  # nobody had asked for that
                self.idle.remove(connection)
            del self.of_fd[connection.sock.fileno()]
            self.poll.unregister(connection.sock)
            connection.sock.close()
            self.connect()
        else:
            self.idle.append(connection)

    def run(self, seconds, each_second=lambda: None):
        """RATE requests a second for so long, or as fast as they are answered if that is slower; until all are answered."""
        begin = now = time.monotonic()
        n_asked, n_seconds, sending = 0, 0, set()
        while n_asked < seconds * RATE or len(self.idle) < len(self.of_fd):
            while n_asked < min(seconds, now - begin) * RATE and self.idle:
                connection = self.idle.popleft()
                connection.ask(self.draw(), now)
                n_asked += max(1, len(connection.kind.answers))
                sending.add(connection)
            for connection in [c for c in sending if c.next_send <= now]:
                connection.send(now)
            for fd, _ in self.poll.poll(0.001):
                connection = self.of_fd[fd]
                connection.receive()
                if connection.is_done():
                    sending.discard(connection)
                    self.finish(connection)
            sending = {c for c in sending if c.left}
            now = time.monotonic()
            if now - begin > n_seconds:
                n_seconds += 1
                each_second()
            assert now - begin < 10 * seconds + 60, f"{len(self.of_fd) - len(self.idle)} are not answered"
        return now - begin
