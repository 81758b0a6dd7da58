# SPDX-License-Identifier: MIT
"""Drive a Linux by firecracker-python's class Api.  What it is told goes to the file FACTS, a line of JSON each.

usage: linux_by_firecracker_python.py FACTS KERNEL INITRD CMDLINE DISK TAP
"""

import json
import subprocess
import sys

import machine
from by_firecracker_python import Api


def configure(api, kernel, initrd, args, disk, tap):
    api.machine_config.put(vcpu_count=2, mem_size_mib=256)
    api.boot.put(kernel_image_path=kernel, boot_args=args, initrd_path=initrd)
    api.drive.put(drive_id="data", path_on_host=disk, is_root_device=False, is_read_only=False)
    api.network.put(iface_id="eth0", guest_mac="02:00:00:00:00:07", host_dev_name=tap)
    api.vsock.put(guest_cid=3, uds_path="vsock", vsock_id="vsock0")
    api.mmds_config.put(version="V2", network_interfaces=["eth0"])
    api.mmds.put(**machine.named("first"))


def main(facts, *given):
    machine.PATIENCE, machine.INTERVAL = 1000, 0.2  # it runs where all is slow
    process = subprocess.Popen(["firecracker", "--api-sock", "api.sock", "--id", "by-python"], stdin=subprocess.DEVNULL)
    machine.wait_for_socket("api.sock", process)
    api = Api("api.sock")
    configure(api, *given)
    api.actions.put(action_type="InstanceStart")
    machine.wait_for_guest("@@ nic ")
    told = {"pauses": machine.pause_while_it_works(lambda: api.vm.patch(state="Paused"), lambda: api.vm.patch(state="Resumed"))}
    machine.wait_for_guest("@@ metadata inner/ name first")
    api.mmds.patch(**machine.named("second"))
    machine.wait_for_guest("@@ ready button")
    api.actions.put(action_type="SendCtrlAltDel")
    told["status"] = process.wait(machine.PATIENCE)
    with open(facts, "w", encoding="utf-8") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
