# SPDX-License-Identifier: MIT
"""What a client of the API may do, and what not; and where it finds the API."""

import os
import signal
import socket
import threading
import time

import pytest

import api
import vm

# ---- clients ----

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_pipelined(serve):
    a = serve()
    out = api.raw(a.socket, GET * 500)
    assert out.count(b"HTTP/1.1 200 ") == 500


def test_one_connection_serves_until_its_client_says_that_this_was_all(serve):
    """By HTTP/1.0, too: Firecracker's clients count on it."""
    a = serve()
    for version, header, n in [(b"1.0", b"", 3), (b"1.1", b"", 3), (b"1.0", b"Connection: close\r\n", 1),
                               (b"1.1", b"Connection: close\r\n", 1)]:
        out = api.raw(a.socket, (b"GET /version HTTP/%s\r\n%s\r\n" % (version, header)) * 3, n=3)
        assert out.count(b"HTTP/1.1 200 ") == n, (version, header)
        assert out.count(b"Connection: close" if header else b"Connection: keep-alive") == n


def test_half_closed_and_cut(serve):
    a = serve()
    assert b"200 OK" in api.raw(a.socket, GET)
    for size in range(1, len(GET)):
        api.raw(a.socket, GET[:size])
    assert a.state() == "Not started"


def test_what_a_client_asked_before_it_left_is_done(serve):
    a = serve()
    for i in range(10, 60):
        body = b'{"amount_mib": %d, "deflate_on_oom": true}' % i
        with api.connect(a.socket) as sock:
            sock.sendall(b"PUT /balloon HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        vm.wait_until(lambda i=i: (a.must("GET", "/vm/config")["balloon"] or {}).get("amount_mib") == i, what="the change")


@pytest.mark.parametrize("request_line, status", [
    (b"GET http://localhost/version HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
    (b"GET //version// HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
    (b"GET /version?a=b HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
    (b"GET /version HTTP/1.0\r\n\r\n", b"200"),
    (b"GET  HTTP/1.1\r\n\r\n", b"400"),
    (b"HELLO / HTTP/1.1\r\n\r\n", b"400"),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"400"),
    (b"\x16\x03\x01\x02\x00\x01\x00", b"400"),
    (b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 9000 + b"\r\n\r\n", b"400"),
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"400"),
    (b"PUT /vsock HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", b"400"),
    (b"PUT /vsock HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    (b"PUT /balloon HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"12\r\n{\"amount_mib\": 1, \r\n18\r\n\"deflate_on_oom\": false}\r\n0\r\n\r\n", b"204"),
    (b"PUT /balloon HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", b"400"),
])
def test_dialect(serve, request_line, status):
    a = serve()
    assert api.raw(a.socket, request_line).split()[1] == status
    assert a.state() == "Not started"


def test_too_large(serve):
    a = serve()
    out = api.raw(a.socket, b"PUT /vsock HTTP/1.1\r\nContent-Length: 51201\r\n\r\n" + b"x" * 51201, half_close=False)
    assert b" 400 " in out and b"Request payload with size 51201 is larger than the limit of 51200" in out
    assert "deserializing" in a.fault("PUT", "/vsock", "x" * 51200)  # as large as it may be


def test_a_client_that_asks_first_is_told_to_go_on(serve):
    a = serve()
    body = b'{"amount_mib": 1, "deflate_on_oom": true}'
    with api.connect(a.socket) as sock:
        sock.sendall(b"PUT /balloon HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(1000).startswith(b"HTTP/1.1 204 ")


def test_quiet_clients_make_room_for_others(serve):
    a = serve()
    quiet = [api.connect(a.socket) for _ in range(300)]
    assert a.state() == "Not started"
    for sock in quiet:
        sock.close()
    assert len(os.listdir(f"/proc/{a.vm.pid}/fd")) < 100


def test_clients_that_send_half_of_it_do_not_keep_others_out_for_ever(serve):
    """Each slot is held by a request that never ends: who comes then hears so at once."""
    a = serve()
    slow = [api.connect(a.socket) for _ in range(64)]
    for sock in slow:
        sock.sendall(b"GET / HTTP/1.1\r\n")
    out = b""
    end = time.monotonic() + vm.TIMEOUT
    while b"503" not in out and time.monotonic() < end:
        try:
            out = api.raw(a.socket, GET)
        except (ConnectionResetError, BrokenPipeError):
            continue
        # One whose bytes had not been read yet may have made room for that.
        slow.append(api.connect(a.socket))
        try:
            slow[-1].sendall(b"GET / HTTP/1.1\r\n")
        except BrokenPipeError:
            pass
    assert out.startswith(b"HTTP/1.1 503 ") and b"Too many open connections" in out
    for sock in slow:
        sock.close()
    vm.wait_until(lambda: api.raw(a.socket, GET).startswith(b"HTTP/1.1 200"), what="room")


@pytest.mark.kvm
def test_memory_stays_under_many_requests(serve):
    """From several sides at once, good and bad, while a guest runs."""
    a = serve()
    a.start(vm.guest("button"))

    def rss():
        return int(open(f"/proc/{a.vm.pid}/statm", encoding="ascii").read().split()[1])

    def many(n):
        connection = api.Connection(a.socket)
        for i in range(n):
            connection.request("PUT" if i % 2 else "GET", "/vm/config", b"{" * (i % 1000) if i % 2 else None)
            connection.getresponse().read()

    def all_at_once(n):
        threads = [threading.Thread(target=many, args=(n,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_at_once(50)
    before = rss()
    all_at_once(500)
    assert rss() - before < 256  # pages
    assert a.state() == "Running"


def test_a_slow_reader_of_events_costs_no_memory(serve):
    a = serve()
    with api.connect(a.socket) as sock:
        sock.sendall(b"GET /events HTTP/1.1\r\n\r\n")
        assert b"200 OK" in sock.recv(1000)
        assert a.state() == "Not started"


# ---- where it listens ----

def test_a_socket_in_use(serve, box):
    a = serve()
    result = vm.Vm(box, [vm.PRONTO, "api", "--socket", a.socket]).wait()
    assert result.status == vm.OPERATOR and "Check that it is not already used" in result.err
    assert a.state() == "Not started"


def test_a_socket_that_was_left(serve):
    a = serve()
    a.vm.process.kill()
    a.vm.wait()
    assert a.socket.exists()
    assert serve().state() == "Not started"


def test_a_descriptor(box, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()
        door.setblocking(False)
        process = vm.Vm(box, [vm.PRONTO, "api", "--fd", door.fileno()], pass_fds=[door.fileno()])
    assert b"200 OK" in api.raw(path, GET)
    process.signal(signal.SIGTERM)
    assert process.wait().status == vm.KILLED
    box.finish()


@pytest.mark.parametrize("options, words", [
    ([], "give either --socket PATH or --fd N"),
    (["--socket", "/nowhere/s"], "/nowhere/s: cannot listen: No such file or directory"),
    (["--socket", "/" + "x" * 200], "File name too long"),
    (["--fd", "x"], "--fd x: not a whole number"),
    (["--socket", "s", "--start"], "--start: nothing to start"),
    (["--socket", "s", "--config", "/nowhere"], "/nowhere"),
    (["--socket", "s", "more"], "'more' is no option"),
])
def test_bad_options(box, options, words):
    result = vm.Vm(box, [vm.PRONTO, "api", *options]).wait()
    assert result.status == vm.OPERATOR and words in result.err
