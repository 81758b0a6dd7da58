# SPDX-License-Identifier: MIT
"""What the API says of itself: all that there is, and nothing that is not so."""

import json

import pytest

import api
import vm

jsonschema = pytest.importorskip("jsonschema", reason="there is no jsonschema: install python3-jsonschema")

# Firecracker's operations and Pronto's own, written down once more.
OPERATIONS = """
GET /  GET /version  GET /vm/config  GET /schema  GET /events  GET /timeline  PATCH /vm  PUT /actions
GET /machine-config  PUT /machine-config  PATCH /machine-config  PUT /boot-source  PUT /cpu-config
PUT /drives/{id}  PATCH /drives/{id}  PUT /network-interfaces/{id}  PATCH /network-interfaces/{id}  PUT /shares/{id}
PUT /vsock  PUT /entropy  PUT /serial  PUT /logger  PUT /metrics  GET /metrics  PUT /mmds/config  PUT /mmds  PATCH /mmds  GET /mmds
PUT /balloon  GET /balloon  PATCH /balloon  GET /balloon/statistics  PATCH /balloon/statistics
PATCH /balloon/hinting/start  PATCH /balloon/hinting/stop  GET /balloon/hinting/status
PUT /pmem/{id}  PATCH /pmem/{id}  DELETE /pmem/{id}  GET /hotplug/memory  PUT /hotplug/memory  PATCH /hotplug/memory
PUT /snapshot/create  PUT /snapshot/load  PUT /fork
"""


@pytest.fixture(scope="module")
def described():
    done = vm.subprocess.run([vm.PRONTO, "api", "--schema"], capture_output=True, check=True, timeout=vm.TIMEOUT)
    assert done.stderr == b""
    return json.loads(done.stdout)


def valid(described, name):
    """Whatever that schema is asked about."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": f"#/components/schemas/{name}",
              "components": described["components"]}
    return jsonschema.Draft202012Validator(schema)


def operations(described):
    return {(method.upper(), path): operation for path, item in described["paths"].items()
            for method, operation in item.items() if method != "parameters"}


def body_name(operation):
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return schema["$ref"].rsplit("/", 1)[1]


def answer_name(operation):
    """Of its schema; None: it is text."""
    content, = operation["responses"]["200"]["content"].values()
    return content["schema"]["$ref"].rsplit("/", 1)[1] if "$ref" in content["schema"] else None


def test_every_operation_is_there(described, serve):
    words = OPERATIONS.split()
    there = operations(described)
    assert sorted(there) == sorted(zip(words[::2], words[1::2]))
    a = serve()
    for method, path in there:
        if path != "/events":
            _, answer = a.ask(method, path.replace("{id}", "x"), None if method in ("GET", "DELETE") else "{")
            assert "Invalid request method" not in str(answer), (method, path)


def test_its_schemas_are_schemas(described):
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = [operation["operationId"] for operation in operations(described).values()]
    assert len(set(names)) == len(names) and "put_drives_id" in names and "get_instance" in names
    assert (described["openapi"], described["info"]["title"]) == ("3.1.0", "Pronto")


def test_everybody_is_told_the_same(described, serve):
    """By the command, the API, and the file that is installed."""
    assert serve().must("GET", "/schema") == described
    with open(vm.PRONTO.parent / "openapi.json", encoding="utf-8") as file:
        assert json.load(file) == described


@pytest.mark.kvm
def test_answers_are_as_described(described, serve, tmp_path):
    a = serve("--confine", "basic")
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    events = api.Connection(a.socket)
    events.request("GET", "/events")
    stream = events.getresponse()
    rate = {"bandwidth": {"size": 1, "refill_time": 1}}
    there = operations(described)
    asked = set()

    def ask(method, path, body=None):
        asked.add((method, path))
        operation = there[method, path]
        answer = a.must(method, path.replace("{id}", "x"), body)
        if "content" in operation["responses"].get("200", {}):
            name = answer_name(operation)
            assert name or isinstance(answer, str)
            if name:
                valid(described, name).validate(answer)
        else:
            assert answer == "" and "204" in operation["responses"]
        if body is not None and (method, path) not in (("PUT", "/mmds"), ("PATCH", "/mmds")):
            valid(described, body_name(operation)).validate(body)

    def look(*paths):
        for path in paths:
            ask("GET", path)

    before = ["/", "/version", "/vm/config", "/schema", "/machine-config", "/metrics"]
    look(*before, "/mmds")
    ask("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128, "cpu_template": None})
    ask("PATCH", "/machine-config", {"smt": False})
    ask("PUT", "/boot-source", {"kernel_image_path": vm.guest("mark"), "boot_args": "x", "initrd_path": None})
    ask("PUT", "/cpu-config", {"msr_modifiers": []})
    ask("PUT", "/drives/{id}", {"drive_id": "x", "is_root_device": True, "path_on_host": str(disk), "rate_limiter": rate})
    ask("PUT", "/vsock", {"guest_cid": 3, "uds_path": str(tmp_path / "vsock")})
    ask("PUT", "/entropy", {})
    ask("PUT", "/balloon", {"amount_mib": 8, "deflate_on_oom": True, "stats_polling_interval_s": 1, "free_page_hinting": True})
    ask("PUT", "/logger", {"level": "Warn"})
    (tmp_path / "metrics").touch()
    ask("PUT", "/metrics", {"metrics_path": str(tmp_path / "metrics")})
    ask("PUT", "/mmds", {"a": 1})
    ask("PATCH", "/mmds", {"b": None})
    look(*before, "/balloon", "/mmds")
    error = a.fault("PUT", "/network-interfaces/x", {"iface_id": "x"})
    valid(described, "Error").validate({"fault_message": error})
    a.must("PUT", "/boot-source", {"kernel_image_path": vm.guest("button")})
    ask("PUT", "/actions", {"action_type": "InstanceStart"})
    a.vm.expect("ready")
    look(*before, "/balloon", "/balloon/statistics", "/balloon/hinting/status", "/timeline")
    ask("PATCH", "/vm", {"state": "Paused"})
    ask("PATCH", "/vm", {"state": "Resumed"})
    ask("PATCH", "/drives/{id}", {"drive_id": "x", "rate_limiter": rate})
    ask("PATCH", "/balloon", {"amount_mib": 9})
    ask("PATCH", "/balloon/statistics", {"stats_polling_interval_s": 2})
    ask("PATCH", "/balloon/hinting/stop")
    look("/vm/config")
    ask("PUT", "/snapshot/create", {"snapshot_path": str(tmp_path / "kept"), "snapshot_type": "Full"})
    ask("PUT", "/fork", {"socket_path": str(tmp_path / "fork"), "once": True})
    api.connect(tmp_path / "fork").close()
    ask("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert a.vm.wait().status == vm.POWEROFF
    lines = [json.loads(line) for line in stream.read().splitlines()]
    assert [line["event"] for line in lines if line["event"] != "mark"] == ["started", "paused", "resumed", "snapshot", "ended"]
    for line in lines:
        valid(described, "Event").validate(line)
    # What has no place in such a machine is what is left.
    refused = {key for key, operation in there.items() if "Always refused" in operation["description"]}
    assert set(there) - asked - refused == {
        ("GET", "/events"), ("PUT", "/serial"), ("PUT", "/mmds/config"), ("PUT", "/shares/{id}"), ("PUT", "/snapshot/load"),
        ("PUT", "/network-interfaces/{id}"), ("PATCH", "/network-interfaces/{id}"), ("PATCH", "/balloon/hinting/start")}


@pytest.mark.kvm
def test_a_restored_machine_is_as_described(described, serve, tmp_path):
    a = serve()
    a.must("PUT", "/vsock", {"guest_cid": 3, "uds_path": str(tmp_path / "vsock")})
    a.start(vm.guest("button"))
    a.vm.expect("ready")
    files = {"snapshot_path": str(tmp_path / "state"), "mem_file_path": str(tmp_path / "memory")}
    valid(described, "SnapshotCreateParams").validate(files)
    a.must("PUT", "/snapshot/create", files)
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert a.vm.wait().status == vm.POWEROFF
    a = serve()
    events = api.Connection(a.socket)
    events.request("GET", "/events")
    stream = events.getresponse()
    body = {"snapshot_path": files["snapshot_path"], "mem_backend": {"backend_type": "File", "backend_path": files["mem_file_path"]},
            "resume_vm": True, "network_overrides": [], "vsock_override": {"uds_path": str(tmp_path / "other")}, "clock_realtime": True}
    valid(described, "SnapshotLoadParams").validate(body)
    a.must("PUT", "/snapshot/load", body)
    valid(described, "FullVmConfiguration").validate(a.must("GET", "/vm/config"))
    a.must("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
    assert a.vm.wait().status == vm.POWEROFF
    lines = [json.loads(line) for line in stream.read().splitlines()]
    assert [line["event"] for line in lines] == ["restored", "resumed", "ended"]
    for line in lines:
        valid(described, "Event").validate(line)


@pytest.mark.parametrize("method, path, body", [
    ("PUT", "/machine-config", {"vcpu_count": 1}),
    ("PUT", "/machine-config", {"vcpu_count": "1", "mem_size_mib": 128}),
    ("PUT", "/machine-config", {"vcpu_count": 256, "mem_size_mib": 128}),
    ("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": 128, "huge_pages": "1G"}),
    ("PATCH", "/machine-config", {"ht_enabled": True}),
    ("PUT", "/boot-source", {}),
    ("PUT", "/boot-source", []),
    ("PUT", "/drives/{id}", {"drive_id": "x", "is_root_device": 1, "path_on_host": "/dev/null"}),
    ("PUT", "/drives/{id}", {"drive_id": "x", "is_root_device": True, "path_on_host": "/dev/null", "rate_limiter": {"ops": {"size": -1, "refill_time": 1}}}),
    ("PUT", "/mmds/config", {"network_interfaces": [1]}),
    ("PUT", "/actions", {"action_type": "Nothing"}),
    ("PUT", "/actions", {}),
    ("PUT", "/actions", {"action_type": "InstanceStart", "payload": "x"}),
    ("PUT", "/snapshot/load", {"mem_file_path": "x"}),
    ("PUT", "/snapshot/load", {"snapshot_path": "x", "mem_backend": {"backend_type": "File"}}),
    ("PUT", "/snapshot/load", {"snapshot_path": "x", "mem_file_path": "x", "network_overrides": [{"iface_id": "x", "host_dev_name": 1}]}),
    ("PUT", "/snapshot/load", {"snapshot_path": "x", "mem_file_path": "x", "network_overrides": {}}),
])
def test_what_is_described_otherwise_is_refused(described, serve, method, path, body):
    errors = list(valid(described, body_name(operations(described)[method, path])).iter_errors(body))
    assert errors
    serve().fault(method, path.replace("{id}", "x"), body)


GOOD = [
    {}, {"kernel": "k"}, {"memory": "512M", "cpus": 64}, {"memory": 1 << 30}, {"cmdline": "a b"}, {"cmdline": ["a", "b"]},
    {"disk": ["a.img", {"path": "b.img", "ro": True, "rate": "1M"}]}, {"disk": {"path": "a"}}, {"disk": "a"}, {"rng": True}, {"rng": "off"},
    {"balloon": {"size": "1M", "hinting": True, "stats": 3}}, {"console": "file:/x"}, {"console": "null"}, {"timeline": True},
    {"timeline": "/dev/null"}, {"cpu": {"pmu": True}}, {"escape-key": "none"}, {"grace": 0}, {"root": {"dir": "/x", "ro": True}},
]
BAD = [
    [], "k", {"nonsense": 1}, {"kernel": 1}, {"kernel": ""}, {"cpus": 0}, {"cpus": 65}, {"cpus": "1"}, {"memory": 1}, {"memory": (1 << 30) + 1},
    {"cmdline": [1]}, {"disk": [{"path": "a", "more": 1}]}, {"disk": 1}, {"balloon": {"stats": -1}}, {"console": "file:"},
    {"console": True}, {"cpu": {"pmu": 1}}, {"cpu": "pmu"}, {"no-cache": "on"}, {"log-level": "loud"}, {"help": True}, {"no-shim": True},
]


@pytest.mark.parametrize("settings, is_good", [(good, True) for good in GOOD] + [(bad, False) for bad in BAD], ids=json.dumps)
def test_settings(described, run, tmp_path, settings, is_good):
    """The same ones are good and bad to the schema and to the program; which of them exist does not matter."""
    file = tmp_path / "config"
    file.write_text(json.dumps(settings))
    result = run("poweroff", "--dry-run", "--config", file)
    is_read = not result.err.startswith(f"pronto: error: {file}")
    is_valid = valid(described, "Settings").is_valid(settings)
    assert (is_read, is_valid) == (is_good, is_good), result.err
