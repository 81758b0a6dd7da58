# SPDX-License-Identifier: MIT
"""Drive a machine by microheart: it writes the settings for a --config-file, and asks by its module api.

usage: by_microheart.py FACTS KERNEL DISK TAP    with the package on PYTHONPATH, and the console as standard output
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import machine

os.environ["MICROHEART_HOME"] = str(pathlib.Path("microheart").absolute())
# pylint: disable=wrong-import-position
from microheart import MicroVM, api, assets  # noqa: E402


def refused(method, path, body):
    try:
        api.request("api.sock", method, path, body)
    except RuntimeError as err:
        return str(err)
    raise AssertionError(f"{method} {path} was not refused")


def settings(vm, kernel, disk, tap):
    """Those that it writes, but for the tap, which is not one that it makes."""
    shutil.copy(kernel, assets.cache_dir() / "vmlinux-1")  # where it looks for one, before it would fetch it
    vm.registry.create("clients")
    given = vm.config(pathlib.Path(disk))
    given["network-interfaces"][0]["host_dev_name"] = tap
    return given


def main(facts, kernel, disk, tap):
    told = {}
    vm = MicroVM("clients", mem_mib=128)
    pathlib.Path("vm_config.json").write_text(json.dumps(settings(vm, kernel, disk, tap)), encoding="utf-8")
    process = subprocess.Popen(["firecracker", "--api-sock", "api.sock", "--config-file", "vm_config.json", "--enable-pci"],
                               stdin=subprocess.DEVNULL)
    machine.wait_for_socket("api.sock", process)
    vm.sock = "api.sock"
    machine.wait_for_guest("ready")

    told["machine"] = vm.machine_config()
    told["running"] = api.request("api.sock", "GET", "/")["state"]
    told["drives"] = api.request("api.sock", "GET", "/vm/config")["drives"]
    told["late"] = refused("PUT", "/boot-source", {"kernel_image_path": kernel})
    for state in "Paused", "Resumed":
        assert api.request("api.sock", "PATCH", "/vm", {"state": state}) is None
        told[state] = api.request("api.sock", "GET", "/")["state"]
    api.request("api.sock", "PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    told["status"] = process.wait(machine.PATIENCE)
    with open(facts, "w", encoding="utf-8") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
