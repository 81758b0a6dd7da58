# SPDX-License-Identifier: MIT
"""The API under load: all is answered, nothing grows, and the guest does not notice."""

import collections
import json
import os
import pathlib
import re
import statistics
import subprocess
import threading
import time

import pytest

import api
import load
import vm

N_CONNECTIONS = 64  # as many as there may be
MOST_OF_ONE = 80  # KiB that one may take: its body of 50, path and headers, what was read, an answer
ROUNDS, WINDOW = 30, 0.4  # windows of so many seconds

pytestmark = pytest.mark.kvm

Usage = collections.namedtuple("Usage", "rss own n_fds")  # memory in KiB; what is its own has no file
Reads = collections.namedtuple("Reads", "us cpu")  # microseconds that each took; seconds of CPU that all took


class Machine(api.Api):
    """One that load.kinds() can be asked of.  The guest `latency` tells how long its reads of the disk take."""

    def __init__(self, box, name, guest="latency"):
        self.console, self.heard = box.path / "tmp" / f"{name}.console", 0
        with open(self.console, "wb") as out:
            super().__init__(box, name=name, stdin=subprocess.PIPE, stdout=out)
        disk = box.path / "tmp" / f"{name}.disk"
        disk.write_bytes(bytes(1 << 20))
        for drive in "root", "other":
            self.must("PUT", f"/drives/{drive}", {"drive_id": drive, "is_root_device": drive == "root", "path_on_host": str(disk),
                                                  "is_read_only": True})
        self.must("PUT", "/balloon", load.BALLOON)
        self.must("PUT", "/mmds", {"latest": {"name": name}})
        self.must("PUT", "/metrics", {"metrics_path": "/dev/null"})
        self.start(vm.guest(guest))
        self.machine = self.vmm_pid()
        self.connection.close()  # or there would be one more

    def hear(self, pattern):
        """Wait until the guest says this; what it has said until then, from where it was heard last."""
        def look():
            nonlocal said, found
            with open(self.console, "rb") as file:
                file.seek(self.heard)
                said = file.read().replace(b"\r", b"").decode("ascii")
            found = re.search(pattern, said)
            return found or self.vm.process.poll() is not None

        said = found = None
        vm.wait_until(look, vm.TIMEOUT, repr(pattern))
        assert found, self.vm.said()
        self.heard = self.console.stat().st_size
        return said[:found.end()]

    def watch(self, do, seconds):
        """Do this for so long; what the guest's reads took meanwhile."""
        start, before = time.monotonic(), self.guest_cpu()
        self.vm.send(b"a")
        do(seconds)
        self.vm.send(b"b")
        seconds, cpu = time.monotonic() - start, self.guest_cpu() - before
        *ticks, whole = self.hear(r"b 0x[0-9a-f]+\n").splitlines()
        ticks_a_us = int(whole.split()[1], 16) / seconds / 1e6
        return Reads([int(n) / ticks_a_us for n in ticks], cpu)

    def guest_cpu(self):
        """Seconds that all threads of the VMM have run but the control thread, which is the one that the API asks."""
        ticks = 0
        for task in pathlib.Path(f"/proc/{self.machine}/task").iterdir():
            if int(task.name) != self.machine:
                ticks += sum(map(int, (task / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


def usage(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    memory = [int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) for name in ("Rss", "Anonymous")]
    return Usage(*memory, len(os.listdir(f"/proc/{pid}/fd")))


def check_flat(usages, slack):
    """The least of its own memory that is taken grows by no more than SLACK KiB; the most depends on what just then is asked.  How
    much of the program's file is in memory, and whose, is not for it to say: others run the same one, and end."""
    early, late = usages[:len(usages) // 3], usages[-(len(usages) // 3):]
    least = [min(u.own for u in some) for some in (early, late)]
    assert least[1] - least[0] <= slack, usages


# In a few seconds not each connection has had its largest request yet.
@pytest.mark.parametrize("seconds, slack", [(6, 1024), pytest.param(60, 64, marks=pytest.mark.long)])
def test_all_is_answered_and_nothing_grows(box, seconds, slack):
    a = Machine(box, "api")
    events = api.Connection(a.socket)
    events.request("GET", "/events")
    stream, told = events.getresponse(), []
    reader = threading.Thread(target=lambda: told.extend(json.loads(line)["event"] for line in stream))
    reader.start()
    pids, seen = (a.vm.pid, a.machine), []
    before = usage(a.vm.pid)

    a.hear("ready\n")
    a.vm.send(b"a")
    clients = load.Load(a.socket, load.kinds(pauses=True), N_CONNECTIONS - 1)
    took = clients.run(seconds, lambda: seen.append([usage(pid) for pid in pids]))
    of_api, of_vmm = zip(*seen[1 + seconds // 6:])  # from the tenth of a minute's seconds on
    print(f"{clients.n_answered} answered in {took:.1f} s; before {before}, then {of_api} {of_vmm}")
    assert clients.faults == []
    assert clients.n_answered >= seconds * load.RATE
    check_flat(of_api, slack)
    check_flat(of_vmm, 32)  # a page of a stack may come late
    assert max(u.rss for u in of_api) <= before.rss + N_CONNECTIONS * MOST_OF_ONE
    assert max(u.n_fds for u in of_api) <= before.n_fds + N_CONNECTIONS - 1
    assert len({u.n_fds for u in of_vmm}) == 1

    clients.close()
    vm.wait_until(lambda: usage(a.vm.pid).n_fds == before.n_fds, what="the clients' end")
    a.vm.send(b"b")
    a.hear(r"b 0x[0-9a-f]+\n")
    a.vm.send(b"ae")
    assert a.vm.wait().status == vm.POWEROFF
    reader.join(vm.TIMEOUT)
    assert told[-1] == "ended" and len(told) > seconds and told[:-1] == ["paused", "resumed"] * (len(told) // 2)


def usual(reads):
    return statistics.median(reads.us)


def most(reads):
    return statistics.quantiles(reads.us, n=10)[8]


def cpu(reads):
    return 1e6 * reads.cpu / len(reads.us)


def of_all(windows, what):
    """The median of all windows' own, so that a moment in which the machine was at something else has no weight."""
    return statistics.median(map(what, windows))


@pytest.mark.long
def test_the_guest_does_not_notice(box):
    """Client and API's process take the processor's time from a guest, whoever it is whom they ask.  So a guest is watched by
    turns while nobody asks, while all that is asked goes to a machine beside it, and while it goes to its own: the last two are to
    be the same to it.  (The first says what the client takes.)  Only the VMM can be felt, so only it is asked."""
    a, beside = Machine(box, "api"), Machine(box, "beside", "halt")
    a.hear("ready\n")
    kinds = list(load.asked())
    to = {"nobody": time.sleep, "the one beside": load.Load(beside.socket, kinds, N_CONNECTIONS).run,
          "its own": load.Load(a.socket, kinds, N_CONNECTIONS).run}
    seen, order = collections.defaultdict(list), list(to)
    for _ in range(ROUNDS):
        for name in order:
            seen[name].append(a.watch(to[name], WINDOW))
        order = order[1:] + order[:1]
    for name, windows in seen.items():
        print(f"{name:15} a read: median {of_all(windows, usual):.0f} us, of 9 in 10 at most {of_all(windows, most):.0f} us; "
              f"CPU {of_all(windows, cpu):.0f} us")
    for what, times in (usual, 1.25), (cpu, 1.25), (most, 1.5):
        assert of_all(zip(seen["its own"], seen["the one beside"]), lambda pair, what=what: what(pair[0]) / what(pair[1])) < times, what
