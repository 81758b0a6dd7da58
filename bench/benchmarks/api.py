# SPDX-License-Identifier: MIT
"""api: a request to a machine that runs, from its sending to its answer, on a connection that is there."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import time

from benchkit import place, rounds, setup, stats

NAME = 'api'
TITLE = 'A request to the control API of a machine that runs'
N_REQUESTS = 200  # each round
METRICS = {
    'wall_us': ('request to answer, median', 'us'),
    'most_us': ('request to answer, of 99 in 100 at most', 'us'),
    'cpu_us': ('both processes', 'us of CPU'),
}
DRIVE = {'drive_id': 'disk', 'rate_limiter': {'ops': {'size': 1000, 'refill_time': 100}}}

# What is asked, and in which requests: where there are several, they take turns, and each counts.
REQUESTS = {
    'GET /': [('GET', '/', None)],
    'GET /vm/config': [('GET', '/vm/config', None)],
    'PUT /mmds, 100 bytes': [('PUT', '/mmds', {'latest': 'x' * 80})],
    'PUT /mmds, 40 KB': [('PUT', '/mmds', {'latest': 'x' * 40000})],
    'refused: no such path': [('GET', '/nothing', None)],
    'refused: no JSON': [('PATCH', '/balloon', '[' * 1000)],
    'PATCH /balloon': [('PATCH', '/balloon', {'amount_mib': 8}), ('PATCH', '/balloon', {'amount_mib': 16})],
    'GET /balloon/statistics': [('GET', '/balloon/statistics', None)],
    'PATCH /drives/ID': [('PATCH', '/drives/disk', DRIVE), ('PATCH', '/drives/disk', {'drive_id': 'disk', 'rate_limiter': {}})],
    'SendCtrlAltDel': [('PUT', '/actions', {'action_type': 'SendCtrlAltDel'})],
    'Paused, Resumed': [('PATCH', '/vm', {'state': 'Paused'}), ('PATCH', '/vm', {'state': 'Resumed'})],
}


def why_not(_given):
    return setup.why_no_kvm()


def as_bytes(method, path, body):
    data = '' if body is None else body if isinstance(body, str) else json.dumps(body)
    size = '' if body is None else f'Content-Length: {len(data)}\r\n'
    return f'{method} {path} HTTP/1.1\r\nHost: localhost\r\n{size}\r\n{data}'.encode()


class Machine:
    """A guest that has halted, under an API."""

    def __init__(self, given, monitor):
        self.path = os.path.join(given.scratch, 'api.sock')
        self.disk = os.path.join(given.scratch, 'api.disk')
        with open(self.disk, 'wb') as file:
            file.truncate(1 << 20)
        self.process = subprocess.Popen([monitor.program, 'api', '--socket', self.path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.connect()
            self.start(given.tiny('halt', monitor))
        except BaseException:
            self.end()
            raise

    def connect(self):
        end = time.monotonic() + 10
        while self.sock.connect_ex(self.path):
            if time.monotonic() > end or self.process.poll() is not None:
                raise place.Failed('there is no socket of the API')
            time.sleep(0.001)

    def start(self, kernel):
        for request in [
                ('PUT', '/boot-source', {'kernel_image_path': kernel}),
                ('PUT', '/drives/disk', {'drive_id': 'disk', 'is_root_device': False, 'path_on_host': self.disk}),
                ('PUT', '/balloon', {'amount_mib': 8, 'deflate_on_oom': True, 'stats_polling_interval_s': 1}),
                ('PUT', '/actions', {'action_type': 'InstanceStart'})]:
            answer = self.ask(as_bytes(*request))
            if not answer.startswith(b'HTTP/1.1 204'):
                raise place.Failed(answer.decode(errors='replace').splitlines()[-1])

    def ask(self, data):
        self.sock.sendall(data)
        return self.sock.recv(1 << 18)

    def cpu_us(self):
        """Of the API's process and its child, the VMM."""
        with open(f'/proc/{self.process.pid}/task/{self.process.pid}/children', encoding='ascii') as file:
            pids = [self.process.pid, *map(int, file.read().split())]
        return sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in pids) / 1000  # clock_getcpuclockid(3)

    def end(self):
        self.sock.close()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(FileNotFoundError):  # who saw it end may have removed it
            os.unlink(self.path)


def measure(machine, name, requests):
    def turn():
        data, took, cpu = [as_bytes(*request) for request in requests], [], machine.cpu_us()
        for i in range(N_REQUESTS):
            start = time.monotonic_ns()
            answer = machine.ask(data[i % len(data)])
            took.append((time.monotonic_ns() - start) / 1000)
            if answer.startswith(b'HTTP/1.1 4') != name.startswith('refused'):
                raise place.Failed(f'{name}: {answer}')
        cpu = machine.cpu_us() - cpu
        return {'wall_us': stats.median(took), 'most_us': stats.quantile(took, 0.99), 'cpu_us': cpu / N_REQUESTS}
    return turn


def run(given):
    case, monitor = rounds.Case('one after the other', METRICS, f'{N_REQUESTS} of each in a round'), given.monitor('pronto')
    if not monitor or monitor.why_not():
        case.absent['pronto'] = monitor.why_not() if monitor else 'not asked for'
        return [case]
    machine = Machine(given, monitor)
    try:
        turns = {name: measure(machine, name, requests) for name, requests in REQUESTS.items()}
        return [rounds.race(case, turns, given.rounds, given.tell)]
    finally:
        machine.end()
