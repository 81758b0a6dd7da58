# SPDX-License-Identifier: MIT
"""Drive a Linux by microheart: its settings with what it leaves out, for a --config-file, and its module api.  What it is told goes to
the file FACTS, a line of JSON each.

usage: linux_by_microheart.py FACTS KERNEL INITRD CMDLINE DISK TAP
"""

import json
import pathlib
import subprocess
import sys

import by_microheart
import machine


def settings(kernel, initrd, args, disk, tap):
    given = by_microheart.settings(by_microheart.MicroVM("clients", vcpu=2, mem_mib=256), kernel, disk, tap)
    given["boot-source"].update(initrd_path=initrd, boot_args=args)
    given["drives"][0]["is_root_device"] = False
    interface = given["network-interfaces"][0]
    interface["guest_mac"] = "02:00:00:00:00:07"
    given["vsock"] = {"guest_cid": 3, "uds_path": "vsock"}
    given["mmds-config"] = {"version": "V2", "network_interfaces": [interface["iface_id"]]}
    return given


def ask(method, path, body=None):
    return by_microheart.api.request("api.sock", method, path, body)


def main(facts, *given):
    machine.PATIENCE, machine.INTERVAL = 1000, 0.2  # it runs where all is slow
    pathlib.Path("settings").write_text(json.dumps(settings(*given)), encoding="utf-8")
    pathlib.Path("metadata").write_text(json.dumps(machine.named("first")), encoding="utf-8")
    process = subprocess.Popen(["firecracker", "--api-sock", "api.sock", "--config-file", "settings", "--metadata", "metadata",
                                "--enable-pci"], stdin=subprocess.DEVNULL)
    machine.wait_for_socket("api.sock", process)
    machine.wait_for_guest("@@ nic ")
    told = {"pauses": machine.pause_while_it_works(lambda: ask("PATCH", "/vm", {"state": "Paused"}),
                                                   lambda: ask("PATCH", "/vm", {"state": "Resumed"}))}
    machine.wait_for_guest("@@ metadata inner/ name first")
    ask("PATCH", "/mmds", machine.named("second"))
    machine.wait_for_guest("@@ ready button")
    told["state"] = ask("GET", "/")["state"]
    ask("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    told["status"] = process.wait(machine.PATIENCE)
    with open(facts, "w", encoding="utf-8") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
