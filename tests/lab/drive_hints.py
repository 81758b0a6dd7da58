# SPDX-License-Identifier: MIT
"""Run in the lab: a machine with a balloon, which is asked for its free pages once, when it has left memory, or all the time.

usage: drive_hints.py PRONTO PLAN    where PLAN is JSON: kernel, initrd, args, mib, changes ("once" or "always")
"""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "functional"))
# pylint: disable=wrong-import-position
import api  # noqa: E402

SOCKET = "/run/api.sock"


class Machine:
    def __init__(self, pronto, plan):
        self.process = subprocess.Popen([pronto, "api", "--socket", SOCKET], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        while not os.path.exists(SOCKET):
            time.sleep(0.05)
        self.connection = api.Connection(SOCKET)
        self.ask("PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": plan["mib"]})
        self.ask("PUT", "/boot-source", {"kernel_image_path": plan["kernel"], "initrd_path": plan["initrd"], "boot_args": plan["args"]})
        self.ask("PUT", "/balloon", {"amount_mib": 0, "deflate_on_oom": False, "stats_polling_interval_s": 1, "free_page_hinting": True})
        self.ask("PUT", "/actions", {"action_type": "InstanceStart"})
        self.said = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            print(line, end="", flush=True)
            self.said.append(line.strip())

    def ask(self, method, path, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body))
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status not in (200, 204):
            print("@@ fault", method, path, text, flush=True)
            raise OSError(text)
        return text

    def await_word(self, *words):
        while not any(line.startswith(words) for line in self.said) and self.reader.is_alive():
            time.sleep(0.1)

    def tell_rss(self, when):
        vmm = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii").split()[0]
        rss = next(line.split()[1] for line in pathlib.Path(f"/proc/{vmm}/status").read_text(encoding="ascii").splitlines()
                   if line.startswith("VmRSS"))
        print("@@ rss", when, rss, flush=True)

    def hint_once(self):
        self.await_word("@@ ready left")
        self.tell_rss("left")
        self.ask("PATCH", "/balloon/hinting/start")
        while json.loads(status := self.ask("GET", "/balloon/hinting/status"))["host_cmd"] != 1:
            time.sleep(0.05)
        self.tell_rss("asked")
        print("@@ hints", status, flush=True)
        self.await_word("@@ ready button")
        self.ask("PUT", "/actions", {"action_type": "SendCtrlAltDel"})

    def hint_always(self):
        n = 0
        self.await_word("@@ ready hold")
        while not any(line.startswith("@@ held") for line in self.said) and self.reader.is_alive():
            self.ask("PATCH", "/balloon/hinting/start", {"acknowledge_on_stop": n % 2 == 0})
            n += 1
            time.sleep(0.3)
        print("@@ asked", n, flush=True)


def main(pronto, plan):
    plan = json.loads(plan)
    machine = Machine(pronto, plan)
    (machine.hint_once if plan["changes"] == "once" else machine.hint_always)()
    machine.reader.join()
    print("@@ status", machine.process.wait())


if __name__ == "__main__":
    main(*sys.argv[1:])
