# SPDX-License-Identifier: MIT
"""Machines that are saved, and what is told of that: pronto's, and Firecracker's."""
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from . import place

PR_SET_THP_DISABLE = 41
WAIT_SECONDS = 120


def without_huge_pages():
    """In a child, before the program: it and its children have small pages only."""
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)


def config(given, pronto, memory_mib, cpus, guest, devices=None):
    """Of a machine with a tiny guest."""
    return {'kernel': given.tiny(guest, pronto), 'memory': f'{memory_mib}M', 'cpus': cpus, **(devices or {})}


class Machine:
    """A guest that writes its byte again and again, under `pronto api`, once the first has come."""

    def __init__(self, where, pronto, scratch, config, huge=True):
        self.pronto, self.dir = pronto, scratch
        os.makedirs(scratch, exist_ok=True)
        self.socket, self.log = os.path.join(scratch, 'api.sock'), os.path.join(scratch, 'log')
        path = os.path.join(scratch, 'config.json')
        with open(path, 'w', encoding='ascii') as file:
            json.dump(config, file)
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn
                [*where.enter, pronto, 'api', '-v', '--socket', self.socket, '--config', path], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, start_new_session=True, preexec_fn=None if huge else without_huge_pages)
        try:
            self._await(lambda: os.path.exists(self.socket))
            self.ask('start')
            if os.read(self.process.stdout.fileno(), 1) != b'!':
                raise place.Failed('the guest said nothing: ' + self._said())
        except BaseException:
            self.end()
            raise
        threading.Thread(target=self._drain, daemon=True).start()

    def _await(self, what):
        end = time.monotonic() + WAIT_SECONDS
        while not what():
            if time.monotonic() > end or self.process.poll() is not None:
                raise place.Failed('the machine did not start: ' + self._said())
            time.sleep(0.01)

    def _said(self):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return file.read()[-300:]

    def _drain(self):
        """Slowly: its bytes come faster than anybody needs them."""
        try:
            while os.read(self.process.stdout.fileno(), 1 << 16):
                time.sleep(0.005)
        except (OSError, ValueError):
            pass  # closed at the end

    def ask(self, *words):
        done = subprocess.run([self.pronto, 'ctl', self.socket, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=WAIT_SECONDS, check=False)
        if done.returncode:
            raise place.Failed(f'{words[0]}: {done.stdout}{done.stderr}'.strip())

    def snapshot(self, path):
        """Save it; for how long it stood still, in us by its own clock."""
        self.ask('snapshot', path)
        with open(self.log, encoding='utf-8', errors='replace') as file:
            return int(re.findall(r'the guest stood still for (\d+) us', file.read())[-1])

    def end(self):
        """With all that it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)


class Firecracker:
    """Takes a snapshot by requests, and goes on from one by a request: once it has a socket, it is asked to."""

    def __init__(self, monitor, scratch, kernel, memory_mib, cpus):
        self.monitor, self.dir = monitor, scratch
        os.makedirs(scratch, exist_ok=True)
        self.state, self.memory = os.path.join(scratch, 'state'), os.path.join(scratch, 'memory')
        config = monitor.argv(kernel, memory_mib, cpus)[-1]
        path = os.path.join(scratch, 'made.sock')
        with subprocess.Popen([monitor.program, '--api-sock', path, '--config-file', config], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            try:
                if os.read(process.stdout.fileno(), 1) == b'':
                    raise place.Failed('the guest said nothing')
                request(path, 'PATCH', '/vm', {'state': 'Paused'})
                request(path, 'PUT', '/snapshot/create', {'snapshot_path': self.state, 'mem_file_path': self.memory})
            finally:
                process.kill()

    def argv(self, path):
        return [self.monitor.program, '--api-sock', path]

    def load(self, path):
        request(path, 'PUT', '/snapshot/load', {
            'snapshot_path': self.state, 'mem_backend': {'backend_type': 'File', 'backend_path': self.memory},
            'resume_vm': True})

    def watch(self, build, end):
        """As place.watch() has it; END: a number that no call before had."""
        path = os.path.join(self.dir, f'{end}.sock')
        thread = threading.Thread(target=self._load_when_there, args=(path,), daemon=True)
        thread.start()
        try:
            return place.watch(place.Host(), build, self.argv(path), until='!', kill=True)
        finally:
            thread.join()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _load_when_there(self, path):
        try:
            self.load(path)
        except (OSError, place.Failed):
            pass  # it shows: the guest says nothing


def request(path, method, what, body):
    """Ask at a socket, as soon as it takes connections."""
    data, end = json.dumps(body), time.monotonic() + 10
    with socket.socket(socket.AF_UNIX) as sock:
        while sock.connect_ex(path):
            if time.monotonic() > end:
                raise place.Failed('there is no socket of the API')
            time.sleep(0.0001)
        sock.sendall(f'{method} {what} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n{data}'.encode())
        answer = sock.recv(1 << 16).decode(errors='replace')
    if not answer.startswith('HTTP/1.1 204'):
        raise place.Failed(f'{method} {what}: {(answer.splitlines() or ["no answer"])[-1]}')
