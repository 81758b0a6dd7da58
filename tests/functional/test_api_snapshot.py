# SPDX-License-Identifier: MIT
"""Snapshots by the API: a machine is saved, and goes on in another process."""

import json
import os
import signal
import stat

import pytest

import api
import vm
from api_saving import BUTTON, LIMITER, PAUSED, RESUMED, goes_on, goes_on_first, kill, load, save
from state import State

pytestmark = pytest.mark.kvm

DISKS = 19  # that a machine has slots for


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(1 << 20))
    return str(path)


@pytest.fixture
def configured(serve, disk, tmp_path):
    """A machine of which clients know a disk, a vsock and a balloon; it waits for the button."""
    def start(*options, guest="button", **kwargs):
        a = serve(*options, **kwargs)
        a.must("PUT", "/drives/root", {"drive_id": "root", "is_root_device": False, "path_on_host": disk, "rate_limiter": LIMITER})
        a.must("PUT", "/vsock", {"guest_cid": 3, "uds_path": str(tmp_path / "vsock")})
        a.must("PUT", "/balloon", {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1})
        a.start(vm.guest(guest))
        if guest == "button":
            a.vm.expect("ready")
        return a
    return start


@pytest.fixture
def files(tmp_path):
    return {"snapshot_path": str(tmp_path / "state"), "mem_file_path": str(tmp_path / "memory")}


@pytest.fixture
def saved(configured, files):
    """The files of such a machine, which is gone, and how it was shown."""
    a = configured()
    save(a, files)
    shown = a.must("GET", "/vm/config")
    kill(a)
    return files, shown


def test_it_goes_on_in_another_process(saved, serve):
    files, shown = saved
    for file in files.values():
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    a = serve()
    a.must("PUT", "/snapshot/load", load(files))
    assert a.state() == "Paused"
    assert a.must("GET", "/vm/config") == shown
    assert a.must("GET", "/machine-config") == shown["machine-config"]
    assert "Load" not in a.fault("PUT", "/snapshot/load", load(files))
    a.must("PATCH", "/vm", RESUMED)
    assert a.state() == "Running"
    goes_on(a)


def test_it_is_resumed_at_once(saved, serve):
    a = serve()
    a.must("PUT", "/snapshot/load", {**saved[0], "resume_vm": True, "clock_realtime": True, "huge_pages": "None"})
    assert a.state() == "Running"
    goes_on(a)


def test_many_devices(serve, files, tmp_path):
    """As many disks as there can be, with all that can be said of one."""
    bucket = {"size": (1 << 63) - 1, "refill_time": (1 << 31) - 1, "one_time_burst": (1 << 63) - 1}
    a = serve()
    for i in range(DISKS):
        path = tmp_path / ("d" * 200) / f"{'f' * 150}{i}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(512))
        a.must("PUT", f"/drives/{'n' * 40}{i}", {
            "drive_id": f"{'n' * 40}{i}", "is_root_device": False, "path_on_host": str(path), "is_read_only": True,
            "cache_type": "Writeback", "io_engine": "Sync", "rate_limiter": {"bandwidth": bucket, "ops": bucket}})
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    save(a, files)
    shown = a.must("GET", "/vm/config")
    kill(a)
    a = serve()
    a.must("PUT", "/snapshot/load", load(files, resume_vm=True))
    assert a.must("GET", "/vm/config") == shown
    goes_on(a)


def test_firecracker_goes_on(configured, serve, files, firecracker):
    """By its own name, with its devices on PCI, which need not be said again."""
    a = configured("--enable-pci", program=firecracker)
    save(a, files)
    kill(a)
    b = serve(program=firecracker)
    b.must("PUT", "/snapshot/load", load(files))
    b.must("PATCH", "/vm", RESUMED)
    b.must("PUT", "/actions", BUTTON)
    assert b.vm.wait().status == 0
    assert b.vm.out.decode().splitlines()[-1].strip() == "1..2"


def test_devices_are_who_they_were(saved, serve, tmp_path):
    a = serve()
    a.must("PUT", "/snapshot/load", load(saved[0], track_dirty_pages=True))
    assert a.must("GET", "/machine-config")["track_dirty_pages"] is True
    other = tmp_path / "other"
    other.write_bytes(bytes(1 << 20))
    a.must("PATCH", "/drives/root", {"drive_id": "root", "path_on_host": str(other)})
    assert a.drive("root")["path_on_host"] == str(other)
    a.must("PATCH", "/drives/root", {"drive_id": "root", "rate_limiter": {"ops": {"size": 10, "refill_time": 100}}})
    assert a.drive("root")["rate_limiter"]["bandwidth"]["size"] == 1 << 20
    a.must("PATCH", "/balloon", {"amount_mib": 16})
    assert a.must("GET", "/balloon/statistics")["target_mib"] == 16
    assert "more than the machine's memory" in a.fault("PATCH", "/balloon", {"amount_mib": 129})
    assert "Device not found" in a.fault("PATCH", "/drives/other", {"drive_id": "other"})
    a.must("PATCH", "/vm", RESUMED)
    goes_on(a)


def test_saved_once_more(saved, serve):
    """Into the very files that it goes on from, which others may use meanwhile."""
    files, shown = saved
    for _ in range(2):
        a = serve()
        a.must("PUT", "/snapshot/load", load(files))
        a.must("PUT", "/snapshot/create", files)
        kill(a)
    a = serve()
    a.must("PUT", "/snapshot/load", load(files, resume_vm=True))
    assert a.must("GET", "/vm/config") == shown
    goes_on(a)


def test_while_it_runs_and_many_from_one(configured, serve, disk, tmp_path, box):
    """It need not be paused; a directory has all, and one may be begun with again and again."""
    os.chmod(disk, 0o400)
    a = configured()
    directory = tmp_path / "kept"
    done = vm.Vm(box, [vm.PRONTO, "ctl", a.socket, "snapshot", directory]).wait()
    assert (done.status, done.err) == (0, "")
    assert a.state() == "Running"
    goes_on_first(a)
    clones = [serve(name=f"clone{i}") for i in range(2)]
    for i, clone in enumerate(clones):
        clone.must("PUT", "/snapshot/load", {"snapshot_path": str(directory), "resume_vm": not i,
                                             "vsock_override": {"uds_path": str(tmp_path / f"a,,b{i}")}})
        assert (tmp_path / f"a,,b{i}").is_socket()
        assert clone.must("GET", "/vm/config")["vsock"]["uds_path"] == str(tmp_path / f"a,,b{i}")
        if i:
            clone.must("PATCH", "/vm", RESUMED)
        goes_on(clone)


def test_settings_of_ones_own(serve, tmp_path, disk):
    """Devices that no client has named are there, and have no names."""
    config = tmp_path / "config"
    config.write_text(json.dumps({"kernel": vm.guest("button"), "disk": [{"path": disk}], "vsock": {"path": str(tmp_path / "v")},
                                  "cpus": 2, "memory": "96M"}))
    a = serve("--config", config, "--start")
    a.vm.expect("ready")
    a.must("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "kept"), "mem_file_path": None})
    kill(a)
    (tmp_path / "v").unlink(missing_ok=True)
    a = serve()
    a.must("PUT", "/snapshot/load", {"snapshot_path": str(tmp_path / "kept"), "vsock_override": {"uds_path": str(tmp_path / "w")}})
    assert (tmp_path / "w").is_socket()
    shown = a.must("GET", "/vm/config")
    assert (shown["machine-config"]["vcpu_count"], shown["machine-config"]["mem_size_mib"]) == (2, 96)
    assert shown["drives"] == [] and shown["vsock"] is None
    a.must("PATCH", "/vm", RESUMED)
    goes_on(a)


def test_what_is_the_hosts_is_said_before(saved, serve, tmp_path):
    """Log, metrics and console are the new process's; what is counted begins anew."""
    console, metrics = tmp_path / "console", tmp_path / "metrics"
    metrics.touch()
    a = serve()
    events = api.Connection(a.socket)
    events.request("GET", "/events")
    stream = events.getresponse()
    a.must("PUT", "/logger", {"level": "Warn"})
    a.must("PUT", "/metrics", {"metrics_path": str(metrics)})
    a.must("PUT", "/serial", {"serial_out_path": str(console)})
    a.must("PUT", "/mmds", {"a": 1})
    a.must("PUT", "/cpu-config", {})
    a.must("PUT", "/snapshot/load", load(saved[0]))
    a.must("PATCH", "/vm", RESUMED)
    a.must("PATCH", "/vm", PAUSED)
    a.must("PUT", "/snapshot/create", load_files(tmp_path, "more"))
    a.must("PUT", "/snapshot/create", {**load_files(tmp_path, "changes"), "snapshot_type": "Diff"})
    a.must("PUT", "/actions", {"action_type": "FlushMetrics"})
    a.must("PATCH", "/vm", RESUMED)
    a.must("PUT", "/actions", BUTTON)
    assert a.vm.wait().status == vm.POWEROFF
    assert console.read_text().splitlines()[-1] == "1..2"
    latencies = json.loads(metrics.read_text().splitlines()[-1])["latencies_us"]
    for name in "load_snapshot", "full_create_snapshot", "diff_create_snapshot":
        assert latencies[name] > 0, name
    told = [json.loads(line)["event"] for line in stream.read().splitlines()]
    assert told == ["restored", "resumed", "paused", "snapshot", "snapshot", "resumed", "ended"]


def load_files(directory, name):
    return {"snapshot_path": str(directory / f"{name}.state"), "mem_file_path": str(directory / f"{name}.memory")}


# ---- what is refused ----

NOT_ALLOWED = "Load snapshot error: Loading a microVM snapshot not allowed after configuring boot-specific resources."


@pytest.mark.parametrize("path, body", [
    ("/machine-config", {"vcpu_count": 1, "mem_size_mib": 128}),
    ("/boot-source", {"kernel_image_path": "/dev/null"}),
    ("/drives/a", {"drive_id": "a", "is_root_device": False, "path_on_host": "/dev/null"}),
    ("/network-interfaces/a", {"iface_id": "a", "host_dev_name": "tap0"}),
    ("/vsock", {"guest_cid": 3, "uds_path": "/x"}),
    ("/balloon", {"amount_mib": 1, "deflate_on_oom": True}),
    ("/entropy", {}),
    ("/shares/a", {"share_id": "a", "path_on_host": "/"}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_nothing_of_the_machine_may_be_set_before(serve, saved, path, body):
    a = serve()
    a.must("PUT", path, body)
    assert a.fault("PUT", "/snapshot/load", load(saved[0])) == NOT_ALLOWED
    assert a.state() == "Not started"


def test_nor_by_a_file(serve, saved, tmp_path):
    config = tmp_path / "config"
    config.write_text(json.dumps({"cpus": 2}))
    assert serve("--config", config).fault("PUT", "/snapshot/load", load(saved[0])) == NOT_ALLOWED


IN_BODY = "An error occurred when deserializing the json body of a request: "


@pytest.mark.parametrize("change, words", [
    ({"mem_backend": None}, IN_BODY + "missing field: either `mem_backend` or `mem_file_path` is required."),
    ({"mem_file_path": "/x"}, IN_BODY + "too many fields: either `mem_backend` or `mem_file_path` exclusively is required."),
    ({"snapshot_path": None}, IN_BODY + "missing field `snapshot_path`."),
    ({"mem_backend": {"backend_type": "Shm", "backend_path": "x"}},
     IN_BODY + "unknown variant `Shm`, expected one of `File`, `Uffd`, in `backend_type`."),
    ({"mem_backend": {"backend_type": "File"}}, IN_BODY + "missing field `backend_path`."),
    ({"network_overrides": {}}, IN_BODY + "invalid type: map, expected a sequence, in `network_overrides`."),
    ({"network_overrides": [1]}, IN_BODY + "invalid type: the body is not a JSON object."),
    ({"network_overrides": [{"iface_id": "a"}]}, IN_BODY + "missing field `host_dev_name`."),
    ({"network_overrides": [{"iface_id": "a", "host_dev_name": "b"}] * 65}, IN_BODY + "`network_overrides`: more than 64 items."),
    ({"network_overrides": [{"iface_id": "a", "host_dev_name": "b" * 16}]},
     IN_BODY + "`host_dev_name`: 16 bytes are more than the 15 it may have."),
    ({"network_overrides": [{"iface_id": "a", "host_dev_name": "b"}]},
     "Load snapshot error: network_overrides: the machine has no network interface `a`"),
    ({"vsock_override": {"uds_path": ""}}, "Load snapshot error: vsock_override: path: the path is empty; name a file"),
    ({"huge_pages": "1G"}, IN_BODY + "unknown variant `1G`, expected one of `Snapshot`, `None`, `Transparent`, `2M`, in `huge_pages`."),
    ({"huge_pages": "2M"}, "Load snapshot error: huge_pages: pages of 2M cannot be those of a file; leave it out"),
    ({"more": 1}, IN_BODY + "unknown field `more`, expected one of "),
])
def test_refused(serve, saved, change, words):
    a = serve()
    fault = a.fault("PUT", "/snapshot/load", {**load(saved[0]), **change})
    assert fault == words or (words.endswith(" of ") and fault.startswith(words)), fault
    # And may be tried again.
    a.must("PUT", "/snapshot/load", load(saved[0], resume_vm=True))
    goes_on(a)


def test_the_form_is_known(saved):
    """What is written anew without a change is the same."""
    with open(saved[0]["snapshot_path"], "rb") as file:
        before = file.read()
    State(saved[0]["snapshot_path"]).write()
    with open(saved[0]["snapshot_path"], "rb") as file:
        assert file.read() == before


def shorter(path, n=1):
    os.truncate(path, os.path.getsize(path) - n)


def flipped(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


DAMAGED = [
    (lambda s, m: os.unlink(s), "state: cannot open: No such file or directory"),
    (lambda s, m: os.unlink(m), "memory: cannot open: No such file or directory"),
    (lambda s, m: shorter(s), "state: has "),
    (lambda s, m: os.truncate(s, 0), "state: is empty"),
    (lambda s, m: flipped(s, 0), "state: is no state of a machine that pronto has saved"),
    (lambda s, m: flipped(s, 8), "state: is of form 0, and this pronto knows form 1: another version reads it"),
    (lambda s, m: flipped(s, 1000), "state: is damaged: its checksum is not that of its bytes"),
    (lambda s, m: os.replace(m, s), "state: is larger than any state of a machine"),
    (lambda s, m: shorter(m, 100), "memory: is shorter than the machine's memory: it was cut"),
    (lambda s, m: flipped(m, (128 << 20) + 20), "memory: is the memory of another snapshot"),
    (lambda s, m: (os.unlink(s), os.mkfifo(s)), "state: "),
    (lambda s, m: (os.unlink(s), os.mkdir(s)), "state/state: cannot open: No such file or directory"),
    (lambda s, m: os.truncate(s, 1 << 40), "state: is larger than any state of a machine"),
]


@pytest.mark.parametrize("damage, words", DAMAGED, ids=range(len(DAMAGED)))
@pytest.mark.parametrize("name", ["pronto", "firecracker"])
def test_damaged_files(serve, saved, firecracker, damage, words, name):
    """Under its own name it may be asked for another; Firecracker is over."""
    files = saved[0]
    damage(files["snapshot_path"], files["mem_file_path"])
    a = serve(program=name if name == "pronto" else firecracker)
    fault = a.fault("PUT", "/snapshot/load", load(files))
    assert fault.startswith("Load snapshot error: ") and words in fault, fault
    if name == "firecracker":
        assert a.vm.wait().status == vm.HOST_ERROR
        return
    assert a.must("GET", "/vm/config")["drives"] == [] and a.state() == "Not started"
    a.start(vm.guest("poweroff"))
    assert a.vm.wait().status == vm.POWEROFF


def changed(name, change):
    """A state whose note, or settings, are not as they were."""
    def damage(state):
        section = state.find(name)
        value = json.loads(section[3])
        value = change(value) or value
        section[3] = value if isinstance(value, bytes) else json.dumps(value).encode()
    return damage


def note(change):
    return changed("note", change)


DRIVE = {"drive_id": "root", "is_root_device": False, "path_on_host": "/dev/null"}
HOSTILE = [
    (lambda s: s.sections.remove(s.find("note")), "it does not say how its machine was configured by an API, so no API can show it"),
    (note(lambda n: b"{"), "its note is not JSON: line 1: "),
    (note(lambda n: b"[" * 100000), "its note is not JSON: line 1: maximum parsing depth reached"),
    (note(lambda n: b"[]"), "its note: it is not a JSON object"),
    (note(lambda n: b'{"drives": [], "drives": []}'), "its note is not JSON: line 1: duplicate object key"),
    (note(lambda n: n.update(more=1)), "its note: unknown field `more`"),
    (note(lambda n: n.update(drives={})), "its note: `drives` is not an array of objects"),
    (note(lambda n: n["drives"].append({**DRIVE, "drive_id": "b"})), "its settings have 1 of `--disk`, and its note 2: it is damaged"),
    (note(lambda n: n["drives"].append(1)), "its note: An error occurred when deserializing the json body of a request: invalid type"),
    (note(lambda n: n["drives"][0].update(path_on_host=1)), "invalid type: integer `1`, expected a string, in `path_on_host`"),
    (note(lambda n: n["drives"][0].update(path_on_host="/nowhere")), "its note: Drive config error: "),
    (note(lambda n: n["drives"][0].update(drive_id="a" * 5000)), "`drive_id`: 5000 bytes are more"),
    (note(lambda n: n.update({"network-interfaces": [{"iface_id": "a", "host_dev_name": "tap5"}]})),
     "its settings have 0 of `--net`, and its note 1: it is damaged"),
    (note(lambda n: n.update({"shares": [{"share_id": "a", "path_on_host": "/"}]})),
     "its settings have 0 of `--share`, and its note 1: it is damaged"),
    (note(lambda n: n.update({"mmds-config": {"network_interfaces": ["a"]}})), "does not correspond to any existing network interface: a"),
    (note(lambda n: n["vsock"].update(guest_cid=2)), "its note: Vsock config error: The guest CID 2 is not 3"),
    (note(lambda n: n["machine-config"].update(vcpu_count=0)), "its note: Machine config error: The number of vCPUs"),
    (changed("config", lambda c: c.update(memory=1 << 28)), "state.hostile: its settings are not the machine's"),
    (changed("config", lambda c: c.update(cpus=2)), "state.hostile: its settings are not the machine's"),
    (changed("config", lambda c: c.update(disk=[])), "state.hostile: its settings are not the machine's"),
    (changed("config", lambda c: c.pop("kernel") and c.update({"on-reboot": "restart"})), "state.hostile: its settings are not the machine's"),
    (changed("config", lambda c: c.update(nonsense=1)), "unknown key"),
    (changed("config", lambda c: c["disk"][0].update(path="/nowhere")), "/nowhere: there is no such file"),
    (lambda s: s.sections.append(["future", 0, 1, b""]), "has a future 0, of which this pronto knows nothing: a newer one reads it"),
    (lambda s: s.sections.remove(s.find("vcpu")), "says nothing of vcpu 0: it is damaged"),
]


@pytest.mark.parametrize("damage, words", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_states(serve, saved, damage, words):
    """What they say is judged as what a client says is; nothing of it stays, and the next may be right."""
    files = saved[0]
    state = State(files["snapshot_path"])
    state.path += ".hostile"
    damage(state)
    state.write()
    a = serve()
    fault = a.fault("PUT", "/snapshot/load", load({**files, "snapshot_path": state.path}))
    assert fault.startswith("Load snapshot error: ") and words in fault, fault
    a.must("PUT", "/snapshot/load", load(files, resume_vm=True))
    assert a.must("GET", "/vm/config") == saved[1]
    goes_on(a, words)  # which the VMM has said, too, if it was that far


def test_what_a_note_says_of_the_machine_does_not_count(serve, saved):
    """Its kernel need not be there any more; how large the machine is its memory says."""
    state = State(saved[0]["snapshot_path"])
    note(lambda n: n["machine-config"].update(mem_size_mib=1 << 20, vcpu_count=32))(state)
    note(lambda n: n["boot-source"].update(kernel_image_path="/nowhere"))(state)
    state.write()
    a = serve()
    a.must("PUT", "/snapshot/load", load(saved[0], resume_vm=True))
    assert a.must("GET", "/machine-config")["mem_size_mib"] == 128
    assert "more than the machine's memory" in a.fault("PATCH", "/balloon", {"amount_mib": 1000})
    goes_on(a)


def test_firecracker_stays_if_it_was_too_early_to_tell(serve, saved, firecracker):
    """A request that is wrong by itself ends nothing."""
    a = serve(program=firecracker)
    assert "too many fields" in a.fault("PUT", "/snapshot/load", load(saved[0], mem_file_path="x"))
    a.must("PUT", "/entropy", {})
    assert a.fault("PUT", "/snapshot/load", load(saved[0])) == NOT_ALLOWED
    assert a.state() == "Not started"


# ---- while one is being made ----

LARGE = 256 << 10  # MiB of memory, to look at which takes a while even if it has never been touched


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


class Saving:
    """A snapshot that is begun, and whose writer is held: a process, as a machine that is not confined has it."""

    def __init__(self, serve, tmp_path):
        self.directory = tmp_path / "kept"
        self.api = serve("--confine", "basic")
        self.api.start(vm.guest("button"), mem_size_mib=LARGE)
        self.api.vm.expect("ready")
        self.vmm = self.api.vmm_pid()
        self.client = api.Connection(self.api.socket)
        self.client.request("PUT", "/snapshot/create", json.dumps({"snapshot_path": str(self.directory)}))
        vm.wait_until(lambda: children(self.vmm), what="the writer")
        self.writer, = children(self.vmm)
        # By then it ends with the VMM, and keeps open only its file and what it looks at.
        vm.wait_until(lambda: len(os.listdir(f"/proc/{self.writer}/fd")) <= 2, what="the writer's beginning")
        os.kill(self.writer, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.writer, signal.SIGCONT)

    def answer(self):
        answer = self.client.getresponse()
        text = answer.read()
        return answer.status, json.loads(text)["fault_message"] if text else ""

    def left(self):
        return sorted(os.listdir(self.directory)) if self.directory.exists() else []


@pytest.fixture
def saving(serve, tmp_path):
    return Saving(serve, tmp_path)


def test_one_at_a_time(saving):
    a = saving.api
    assert a.fault("PUT", "/snapshot/create", {"snapshot_path": str(saving.directory)}) == (
        "Create snapshot error: a snapshot is being made: wait for it")
    assert a.state() == "Running" and saving.left() == []
    saving.go_on()
    assert saving.answer() == (204, "")
    a.must("PUT", "/snapshot/create", {"snapshot_path": str(saving.directory)})
    names = saving.left()
    assert len(names) == 2 and names[1] == "state"  # the memory of the first is gone
    goes_on_first(a)


def test_its_client_leaves(saving):
    saving.client.close()
    saving.go_on()
    vm.wait_until(lambda: "state" in saving.left(), what="the snapshot")
    goes_on_first(saving.api)


def test_its_machine_ends(saving, serve):
    """Who has asked is answered first."""
    saving.api.must("PUT", "/actions", BUTTON)
    vm.wait_until(lambda: saving.api.vm.out.endswith(b"1..2\r\n") or saving.api.vm.out.endswith(b"1..2\n"), what="the guest's last words")
    saving.go_on()
    assert saving.answer() == (204, "")
    assert saving.api.vm.wait().status == vm.POWEROFF
    other = serve()
    other.must("PUT", "/snapshot/load", {"snapshot_path": str(saving.directory), "resume_vm": True})
    goes_on(other)


def test_its_vmm_is_killed(saving):
    """Nothing is left of it, nor of its writer."""
    os.kill(saving.vmm, signal.SIGKILL)
    assert saving.answer() == (400, "The microVM has ended.")
    assert saving.api.vm.wait().status == 128 + signal.SIGKILL
    vm.wait_until(lambda: not saving.api.vm.box.processes(), what="the writer's end")
    assert saving.left() == []


def test_its_writer_is_killed(saving):
    os.kill(saving.writer, signal.SIGKILL)
    assert saving.answer() == (400, "Create snapshot error: the memory cannot be written: Operation canceled")
    assert saving.left() == []
    saving.api.must("PUT", "/snapshot/create", {"snapshot_path": str(saving.directory)})
    goes_on_first(saving.api)
