# SPDX-License-Identifier: MIT
"""Drive a machine by firecracker-python's class Api.  What it is told goes to the file FACTS, as JSON.

usage: by_firecracker_python.py FACTS KERNEL DISK TAP    with the package on PYTHONPATH, and the console as standard output
"""

import importlib.util
import json
import subprocess
import sys
import types

import machine

# Its __init__ wants Docker and more, for all that is not Api: a package of the same place, without it.
package = types.ModuleType("firecracker")
package.__path__ = importlib.util.find_spec("firecracker").submodule_search_locations
sys.modules["firecracker"] = package
# pylint: disable=wrong-import-position
from firecracker.api import Api  # noqa: E402
from firecracker.exceptions import APIError  # noqa: E402


def refused(call, **body):
    try:
        call(**body)
    except APIError as err:
        return str(err)
    raise AssertionError(f"{body} was not refused")


def configure(api, kernel, disk, tap):
    api.machine_config.put(vcpu_count=1, mem_size_mib=128)
    api.boot.put(kernel_image_path=kernel, boot_args="console=ttyS0", initrd_path=None)
    api.drive.put(drive_id="rootfs", path_on_host=disk, is_root_device=True, is_read_only=False)
    api.network.put(iface_id="eth0", guest_mac="06:00:c0:a8:00:02", host_dev_name=tap)
    api.vsock.put(guest_cid=3, uds_path="vsock.sock", vsock_id="vsock0")
    api.mmds_config.put(version="V2", network_interfaces=["eth0"])
    api.mmds.put(latest={"name": "first"})


def again(saved):
    """Another process goes on from there; what it says of itself, and how it ends."""
    process = subprocess.Popen(["firecracker", "--api-sock", "other.sock", "--id", "by-python"], stdin=subprocess.DEVNULL)
    machine.wait_for_socket("other.sock", process)
    api = Api("other.sock")
    told = {"wrong": refused(api.load_snapshot.put, snapshot_path="state")}
    api.load_snapshot.put(snapshot_path="state", mem_backend={"backend_type": "File", "backend_path": "memory"}, resume_vm=False)
    told["state"] = api.describe.get().json()["state"]
    told["same"] = api.vm_config.get().json() == saved
    api.mmds.put(latest={"name": "third"})
    api.drive.patch(drive_id="rootfs", path_on_host="other")
    api.vm.patch(state="Resumed")
    api.actions.put(action_type="SendCtrlAltDel")
    told["status"] = process.wait(machine.PATIENCE)
    api.close()
    return told


def main(facts, kernel, disk, tap):
    told = {}
    process = subprocess.Popen(["firecracker", "--api-sock", "api.sock", "--id", "by-python"], stdin=subprocess.DEVNULL)
    machine.wait_for_socket("api.sock", process)
    api = Api("api.sock")
    told["before"] = api.describe.get().json()
    told["no kernel"] = refused(api.actions.put, action_type="InstanceStart")
    configure(api, kernel, disk, tap)
    api.machine_config.patch(mem_size_mib=256)
    api.actions.put(action_type="InstanceStart")
    machine.wait_for_guest("ready")

    told["running"] = api.describe.get().json()["state"]
    told["version"] = api.version.get().json()["firecracker_version"]
    told["machine"] = api.machine_config.get().json()
    told["configuration"] = api.vm_config.get().json()
    api.mmds.patch(latest={"more": "second"})
    told["metadata"] = api.mmds.get().json()
    api.vm.patch(state="Paused")
    told["paused"] = api.describe.get().json()["state"]
    api.create_snapshot.put(mem_file_path="memory", snapshot_path="state", snapshot_type="Full")
    saved = api.vm_config.get().json()
    api.vm.patch(state="Resumed")
    with open("other", "wb") as other:
        other.write(bytes(4096))
    api.drive.patch(drive_id="rootfs", path_on_host="other")
    told["other disk"] = api.vm_config.get().json()["drives"][0]["path_on_host"]
    told["no disk"] = refused(api.drive.patch, drive_id="rootfs", path_on_host="nowhere")
    told["late"] = refused(api.drive.put, drive_id="more", path_on_host=disk, is_root_device=False, is_read_only=False)
    api.actions.put(action_type="SendCtrlAltDel")
    told["status"] = process.wait(machine.PATIENCE)
    api.close()
    told["again"] = again(saved)
    with open(facts, "w", encoding="utf-8") as file:
        json.dump(told, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
