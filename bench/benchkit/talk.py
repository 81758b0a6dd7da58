# SPDX-License-Identifier: MIT
"""Boot a guest whose console takes commands, and note what each costs while it runs.

Run as a program, by root in the lab, it prints one JSON object:
    talk.py '{"argv": MONITOR, "beside": [SERVER, ...], "commands": [COMMAND, ...]}'

Servers are what the monitor needs: their CPU time and system calls are counted with its own.  The guest says with
"@@begin NAME" and "@@end NAME" which part is measured, and with "@@took NAME NS" how long that was by its own clock.
Each part runs twice: first exits and calls are counted, and then, without that burden, the time.
"""
import json
import os
import re
import subprocess
import sys
import time

CGROUP = '/sys/fs/cgroup/measured'
LOG, ERRORS = '/run/bench-console', '/run/bench-errors'
EXITS = '/sys/kernel/debug/kvm/exits'
EVENTS = '/sys/kernel/tracing/events'
USER_EXITS, CALLS = f'{EVENTS}/kvm/kvm_userspace_exit', f'{EVENTS}/raw_syscalls/sys_enter'
COUNT_CALLS, COUNT_USER_EXITS = 'hist:keys=common_pid,id.syscall', 'hist:keys=reason'
POLL_SECONDS = 0.02
# Counted, as a clock that counts instructions jumps over waiting by any number of seconds.
MOST_POLLS = 5000


class Silent(Exception):
    """The guest did not say what was expected, or its monitor ended."""


def read(path):
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read()


def add(path, text):
    """To open one of these files anew would remove all triggers."""
    with open(path, 'a', encoding='ascii') as file:
        file.write(text)


def start(argv, **kwargs):
    """In a control group of its own with the others, whose kernel threads (vhost's) are in it, too."""
    return subprocess.Popen(['sh', '-c', f'echo $$ > {CGROUP}/cgroup.procs; exec "$@"', 'sh', *argv], **kwargs)


class Guest:
    def __init__(self, argv):
        with open(LOG, 'wb') as out, open(ERRORS, 'wb') as err:
            self.process = start(argv, stdin=subprocess.PIPE, stdout=out, stderr=err)
        self.at = 0

    def ask(self, line):
        self.process.stdin.write(line.encode() + b'\n')
        self.process.stdin.flush()

    def words(self):
        """Whole lines that have come since and are meant for us."""
        with open(LOG, 'rb') as file:
            file.seek(self.at)
            text = file.read()
        end = text.rfind(b'\n') + 1
        self.at += end
        return re.findall(r'@@(\w+) ?(.*?)\r?$', text[:end].decode(errors='replace'), re.M)

    def await_words(self):
        """The next (word, value), one or a few."""
        for _ in range(MOST_POLLS):
            time.sleep(POLL_SECONDS)
            result = self.words()
            if result:
                return result
            if self.process.poll() is not None:
                break
        raise Silent(f'the guest is silent: {read(LOG)[-500:]} {read(ERRORS)[-300:]}')


class Counted:
    """What tracing sees: the exits of all guests, and the calls of the processes that are measured."""

    def begin(self):
        add(f'{CALLS}/trigger', COUNT_CALLS)
        add(f'{USER_EXITS}/trigger', COUNT_USER_EXITS + ':clear')
        self.exits = int(read(EXITS))

    def end(self):
        exits = int(read(EXITS)) - self.exits
        user = sum(int(n) for n in re.findall(r'hitcount: +(\d+)', read(f'{USER_EXITS}/hist')))
        threads = set(read(f'{CGROUP}/cgroup.threads').split())
        calls = {}
        for pid, name, n in re.findall(r'common_pid: +(\d+), id: (\S+) +\[.*?hitcount: +(\d+)', read(f'{CALLS}/hist')):
            if pid in threads:
                calls[name] = calls.get(name, 0) + int(n)
        add(f'{CALLS}/trigger', '!' + COUNT_CALLS)
        return {'exits': exits, 'user_exits': user, 'calls': sum(calls.values()), 'by_name': calls}


class Timed:
    """Nothing but the CPU time of all."""

    @staticmethod
    def _cpu_ns():
        return int(re.search(r'usage_usec (\d+)', read(f'{CGROUP}/cpu.stat'))[1]) * 1000

    def begin(self):
        self.before = self._cpu_ns()

    def end(self):
        return {'cpu_ns': self._cpu_ns() - self.before}


class Bookkeeper:
    """What each part came to: {name: counts and times}."""

    def __init__(self):
        self.result, self.now = {}, None

    def hear(self, word, value):
        """Whether the guest waits for leave to go on."""
        if word == 'begin':
            self.now = Timed() if value in self.result else Counted()
            self.now.begin()
        elif word == 'end':
            self.result.setdefault(value, {}).update(self.now.end())
        elif word == 'took':
            name, ns = value.split()
            self.result[name]['took_ns'] = int(ns)  # the second time counts
        return word in ('begin', 'end')


def obey(guest, command, book):
    guest.ask(command)
    word = None
    while word != 'done':
        for word, value in guest.await_words():
            if book.hear(word, value):
                guest.ask('')
            if word == 'done' and value != '0':
                raise Silent(f'{command}: status {value}: {read(LOG)[-500:]}')


def run(plan):
    os.makedirs(CGROUP, exist_ok=True)
    servers = [start(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for argv in plan['beside']]
    guest, book = None, Bookkeeper()
    try:
        guest = Guest(plan['argv'])
        while ('ready', '') not in guest.await_words():
            pass
        for command in plan['commands']:
            obey(guest, command, book)
        return book.result
    finally:
        for process in [guest.process] * bool(guest) + servers:
            process.kill()
            process.wait()


def main(text):
    print(json.dumps(run(json.loads(text))))


if __name__ == '__main__':
    main(sys.argv[1])
