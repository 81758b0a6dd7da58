# SPDX-License-Identifier: MIT
"""Where a command is measured: on this machine, or inside the lab."""
import json
import os
import queue
import shlex
import subprocess
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


DAY = 86400


class Failed(Exception):
    """A measurement that came to nothing, and why."""


class Host:
    """This machine."""

    name = 'host'
    emulated = False
    counts = False  # instructions, by its clock
    enter = ()  # what goes before a command

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, argv, seconds=60, env=None):
        """Standard output of a command; Failed unless it ends well within SECONDS."""
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=seconds, check=False, errors='replace',
                                  env={**os.environ, **(env or {})})
        except subprocess.TimeoutExpired as err:
            raise Failed(f'not done within {seconds} s') from err
        except OSError as err:
            raise Failed(f'{argv[0]}: {err.strerror}') from err
        if done.returncode:
            raise Failed(explain(done.returncode, done.stderr))
        return done.stdout

    def warm(self, files):
        """Have these files in memory."""
        for name in files:
            with open(name, 'rb') as file:
                while file.read(1 << 20):
                    pass


class Network(Host):
    """This machine, with a network of its own in which there is a tap interface."""

    TAP = 'tap7'
    enter = ['unshare', '--user', '--map-root-user', '--net', 'sh', '-c', f'ip tuntap add {TAP} mode tap && exec "$@"', 'sh']

    def run(self, argv, seconds=60, env=None):
        return super().run([*self.enter, *argv], seconds, env)


class Lab:
    """A shell in the lab that is kept for many measurements; ICOUNT: its time is a count of
    instructions."""

    emulated = True
    PREPARE = ('echo 1 > /proc/sys/vm/overcommit_memory; '
               "echo 'hist:keys=reason' > /sys/kernel/tracing/events/kvm/kvm_userspace_exit/trigger")

    def __init__(self, icount=False, cpus=1, memory='2G', seconds=1800):
        self.name, self.counts = 'lab, counted' if icount else 'lab', icount
        options = ['--icount'] if icount else []
        self._argv = [os.path.join(TOP, 'lab', 'lab'), '-q', *options, '--smp', str(cpus), '--mem', memory,
                      '--timeout', str(seconds), 'sh']
        self._process = None
        self._lines = None

    def __enter__(self):
        self._process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, errors='replace')
        self._lines = queue.Queue()
        threading.Thread(target=self._collect, args=(self._process.stdout, self._lines), daemon=True).start()
        self.run(['sh', '-c', self.PREPARE], seconds=300)  # a lab of this shape may have to be made first
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            pipe.close()

    @staticmethod
    def _collect(pipe, lines):
        try:
            for line in pipe:
                lines.put(line)
        except ValueError:
            pass  # closed at the end
        lines.put(None)

    def run(self, argv, seconds=60, env=None):
        setting = ' '.join(f'{key}={shlex.quote(value)}' for key, value in (env or {}).items())
        command = f'{setting} {shlex.join(argv)} 2>/run/bench-err </dev/null'
        out = self._converse(f'{command}; s=$?; [ $s = 0 ] || cat /run/bench-err; echo; echo "@@bench $s"\n', seconds)
        status = int(out.pop().split()[1])
        if status:
            raise Failed(explain(status, ''.join(out)))
        return ''.join(out)

    def _converse(self, command, seconds):
        """Send a line; all that comes back up to and with the closing one."""
        deadline = time.monotonic() + seconds
        try:
            self._process.stdin.write(command)
            self._process.stdin.flush()
        except BrokenPipeError as err:
            raise Failed('the lab ended') from err
        out = []
        while not (out and out[-1].startswith('@@bench ')):
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty as err:
                raise Failed(f'not done within {seconds} s in the lab') from err
            if line is None:
                raise Failed('the lab ended: ' + self._process.stderr.read()[-300:])
            out.append(line)
        return out

    def warm(self, files):
        """To change a file's times copies it into the lab's memory, where all else comes through
        the emulated machine's file sharing."""
        self.run(['touch', '-c', *files], seconds=300)


def explain(status, text):
    lines = [line for line in text.strip().splitlines() if line.strip() and not line.startswith('{')]
    return f'status {status}' + (f': {"; ".join(line.strip() for line in lines[-2:])[:300]}' if lines else '')


def watch(place, build, argv, *, until='', kill=False, count=1, stats=None, command=None, seconds=60,
          env=None):
    """Start ARGV under the stopwatch; what it reported, as [{'up': ..., 'end': ...}, ...], and the lines that
    COMMAND printed when all were up, in the first one's 'said'."""
    # A clock that counts jumps over waiting, for a file say, by any number of seconds: ours is the limit then.
    options = ['-t', str(DAY if place.counts else seconds), '-n', str(count)]
    options += ['-u', until] if until else []
    options += ['-k'] if kill else []
    options += ['-s', stats] if stats else []
    options += ['-x', command] if command else []
    text = place.run([os.path.join(build, 'bench', 'stopwatch'), *options, *argv],
                     seconds=seconds * (count + 1) + 10, env=env)
    result = [{} for _ in range(count)]
    result[0]['said'] = [line for line in text.splitlines() if not line.startswith('{"')]
    for line in text.splitlines():
        if line.startswith('{"'):
            entry = json.loads(line)
            kind = 'up' if 'up' in entry else 'end'
            result[entry.pop(kind)][kind] = entry
    if not all('up' in entry and 'end' in entry for entry in result):
        raise Failed('the stopwatch did not report')
    return result
