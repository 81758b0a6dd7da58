# SPDX-License-Identifier: MIT
"""The stopwatch, and whole runs of a few rounds."""
import json
import os
import pathlib
import re
import subprocess
import xml.etree.ElementTree

import pytest

from benchkit import smaps, stats
from conftest import ROOT

ABSENT = "firecracker", "crosvm", "kvmtool"


def stopwatch(build, *argv, status=0):
    """Its lines of JSON, by kind; and what else there is."""
    done = subprocess.run([build / "bench" / "stopwatch", *argv], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == status, done
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return ([line for line in lines if "up" in line], [line for line in lines if "end" in line],
            [line for line in done.stdout.splitlines() if not line.startswith("{")])


def test_stopwatch_waits_for_the_end(build):
    (up,), (end,), _ = stopwatch(build, "sh", "-c", "echo hello; sleep 0.3; exit 3")
    assert 0 < up["wall_ns"] < end["wall_ns"]
    assert end["wall_ns"] > 300e6
    assert end["status"] == 3
    # In whole ticks on some kernels.
    assert 0 <= up["cpu_ns"] < 250e6 and 0 <= end["cpu_ns"] < 250e6


def test_stopwatch_counts_cpu_time(build):
    """Work before the word is in it, work after the word is not."""
    work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done;"
    (idle,), _, _ = stopwatch(build, "-k", "sh", "-c", f"echo up; {work}")
    (busy,), (end,), _ = stopwatch(build, "-k", "sh", "-c", f"{work} echo up; exec sleep 9")
    assert busy["cpu_ns"] > 3 * idle["cpu_ns"]
    assert end["status"] == 128 + 9
    assert end["cpu_ns"] >= busy["cpu_ns"] * 0.9


def test_stopwatch_finds_a_text_in_parts(build):
    (up,), _, _ = stopwatch(build, "-u", "@@user", "sh", "-c", "printf noise@@us; sleep 0.2; echo er; sleep 0.1")
    assert up["wall_ns"] > 180e6


@pytest.mark.parametrize("script", ["true", "echo something else", "exec sleep 60"])
def test_stopwatch_says_when_it_never_came_up(build, script):
    ups, ends, _ = stopwatch(build, "-t", "1", "-u", "@@user", "sh", "-c", script, status=1)
    assert (len(ups), len(ends)) == (0, 1)


def test_stopwatch_keeps_many(build, tmp_path):
    (tmp_path / "one").write_text("41\n")
    (tmp_path / "none").write_text("text\n")
    ups, ends, said = stopwatch(build, "-n", "3", "-s", tmp_path, "-x", "for p in $PIDS; do kill -0 $p && echo alive $p; done",
                                "sh", "-c", "echo up; exec sleep 60")
    assert said == [f"alive {up['pid']}" for up in ups]
    assert [up["up"] for up in ups] == [end["end"] for end in ends] == [0, 1, 2]
    assert all(up["stats"] == {"one": 41} for up in ups)
    assert [up["start_ns"] for up in ups] == sorted({up["start_ns"] for up in ups})


def test_stopwatch_refuses_nonsense(build):
    stopwatch(build, "-n", "0", "true", status=2)
    stopwatch(build, status=2)


@pytest.mark.kvm
@pytest.mark.parametrize("memory, cpus", [("128", "1"), ("8192", "2")])
def test_floor(build, tmp_path, memory, cpus):
    entry = tmp_path / "entry"
    done = subprocess.run([build / "bench" / "floor", memory, cpus, "off"], capture_output=True, text=True, timeout=60,
                          check=False, env={**os.environ, "FLOOR_ENTRY": str(entry)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "!", "")
    assert int(entry.read_text()) > 0


@pytest.mark.kvm
def test_floor_zeroes_no_huge_page(build):
    """Whether 2 MiB are zeroed for its one page is not left to where its memory happens to lie."""
    if not os.path.exists("/sys/kernel/mm/transparent_hugepage"):
        pytest.skip("this kernel has no transparent huge pages")
    with subprocess.Popen([build / "bench" / "floor", "128", "1", "halt"], stdout=subprocess.PIPE) as floor:
        assert floor.stdout.read(1) == b"!"
        lines = pathlib.Path(f"/proc/{floor.pid}/smaps").read_text().splitlines()
        floor.kill()
    ram, = smaps.ram(smaps.parse(lines), 128)
    at = next(i for i, line in enumerate(lines) if line.startswith(f"{ram[0]:x}-"))
    assert "nh" in next(line for line in lines[at:] if line.startswith("VmFlags:")).split()


def bench(build, out, *argv, env=None):
    return subprocess.run([ROOT / "bench" / "bench", "--build", build, "--out", out, *argv],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, **(env or {})})


def check_case(case, n_rounds):
    """What is derived is derived from the samples that stand beside it."""
    for answers in case["contenders"].values():
        for metric, entry in answers.items():
            assert metric in case["metrics"]
            assert len(entry["samples"]) == entry["n"] == n_rounds
            assert entry["median"] == stats.median(entry["samples"])
            for reference, over in entry["over"].items():
                theirs = case["contenders"][reference][metric]["samples"]
                ours = [a / b for a, b in zip(entry["samples"], theirs) if b > 0]
                assert over is None or over["median"] == pytest.approx(stats.median(ours))


@pytest.fixture
def peer(tmp_path):
    """A monitor that somebody has on PATH, and that needs half a second."""
    place = tmp_path / "bin"
    place.mkdir()
    script = place / "cloud-hypervisor"
    script.write_text("#!/bin/sh\nsleep 0.5\nprintf '!'\n[ \"$2\" != \"${2#*halt}\" ] && exec sleep 60\nexit 0\n")
    script.chmod(0o755)
    return f"{place}:{os.environ['PATH']}"


@pytest.mark.kvm
def test_start(build, tmp_path, peer):
    done = bench(build, tmp_path, "--rounds", "2", "--quick", "start", *(
        word for name in ("floor", "pronto", "cloud-hypervisor", *ABSENT) for word in ("--only", name)),
        env={"PATH": peer})
    assert done.returncode == 0, done
    assert done.stderr == ""
    result = json.loads((tmp_path / "start.json").read_text())
    assert result["rounds"] == 2
    assert {"kernel", "processor", "kvm", "versions", "load_at_start"} <= result["machine"].keys()
    case, devices, confined = result["benchmark"]["cases"]
    check_case(confined, 2)
    assert list(confined["contenders"]) == ["pronto-off", "pronto-basic", "pronto-on"]
    assert case["absent"] == dict.fromkeys(ABSENT, "not on PATH")
    assert list(case["contenders"]) == ["floor", "pronto", "cloud-hypervisor"]
    check_case(case, 2)
    check_case(devices, 2)
    if not devices["absent"]:  # where nobody but root may have a tap, it says so
        cost = {who: answers["up_cpu_ms"]["median"] for who, answers in devices["contenders"].items()}
        assert list(cost) == ["pronto", "pronto-disk", "pronto-disk-net"]
        assert cost["pronto"] < cost["pronto-disk-net"] < 5 * cost["pronto"]
    answers = case["contenders"]
    assert answers["cloud-hypervisor"]["up_ms"]["median"] > 500
    for who in ("floor", "pronto"):
        assert 0 < answers[who]["entry_ms"]["min"] and 0 < answers[who]["up_cpu_ms"]["min"]
    assert answers["cloud-hypervisor"]["up_ms"]["over"]["pronto"]["median"] > 1
    assert "start to first byte, ms of CPU" in done.stdout
    xml.etree.ElementTree.parse(tmp_path / "start.svg")


# Others' monitors as far as it matters to who starts them: what each insists on, how it ends, how it tells its version.
PEERS = {
    "firecracker": """
if sys.argv[1:] == ["--version"]:
    sys.exit(print("Firecracker v1.2.3"))
config = json.load(open(sys.argv[sys.argv.index("--config-file") + 1]))
kernel, status = config["boot-source"]["kernel_image_path"], config["machine-config"]["vcpu_count"]
""",
    "crosvm": """
if sys.argv[1:] == ["version"]:
    sys.exit(print("crosvm 0.1.0"))
kernel, status = sys.argv[-1], 0
at, = struct.unpack_from("<Q", open(kernel, "rb").read(), 0x20)
lowest = min(struct.unpack_from("<Q", open(kernel, "rb").read(), at + 56 * i + 24)[0] for i in range(2))
if sys.argv[1] != "run" or lowest < 2 << 20:
    sys.exit("program header address out of allowed address range")
""",
    "lkvm": """
if sys.argv[1:] == ["--version"]:
    sys.exit(print("kvm tool 3.18.0"))
kernel, status = sys.argv[sys.argv.index("--kernel") + 1], 0
if open(kernel, "rb").read(4) == b"\\x7fELF" or "--nodefaults" not in sys.argv:
    sys.exit("neither a bzImage nor code")
""",
}
END = """
print("!", end="", flush=True)
if "halt" in kernel:
    time.sleep(60)
sys.exit(status)
"""


@pytest.mark.kvm
def test_peers_are_given_what_they_take(build, tmp_path):
    place = tmp_path / "bin"
    place.mkdir()
    for name, text in PEERS.items():
        (place / name).write_text(f"#!/usr/bin/python3\nimport json, struct, sys, time\n{text}{END}")
        (place / name).chmod(0o755)
    done = bench(build, tmp_path, "--rounds", "1", "--quick", "start", *(
        word for name in ABSENT for word in ("--only", name)), env={"PATH": f"{place}:{os.environ['PATH']}"})
    assert done.returncode == 0, done
    result = json.loads((tmp_path / "start.json").read_text())
    case, = result["benchmark"]["cases"]
    assert (case["absent"], list(case["contenders"])) == ({}, list(ABSENT))
    assert result["machine"]["versions"] == {"firecracker": "Firecracker v1.2.3", "crosvm": "crosvm 0.1.0",
                                             "kvmtool": "kvm tool 3.18.0"}


@pytest.mark.kvm
def test_density_and_timeline(build, tmp_path):
    done = bench(build, tmp_path, "--rounds", "1", "--quick", "--only", "floor", "--only", "pronto",
                 "density", "timeline")
    assert done.returncode == 0, done
    cases = {}
    for name in ("density", "timeline"):
        cases[name], = json.loads((tmp_path / f"{name}.json").read_text())["benchmark"]["cases"]
        check_case(cases[name], 1)
        assert "pronto" in cases[name]["contenders"]
    density = cases["density"]["contenders"]["floor"]
    assert density["per_second"]["median"] > density["per_core"]["median"] * 0.99 > 0
    assert "first guest instruction" in (tmp_path / "timeline-tiny.svg").read_text()


@pytest.mark.kvm
@pytest.mark.parametrize("memory, cpus", [("128", "1"), ("8192", "4")])
def test_floor_restores(build, tmp_path, memory, cpus):
    """What it saved it goes on with, as often as it is asked, and its files stay what they are."""
    floor = build / "bench" / "floor_restore"
    subprocess.run([floor, "save", tmp_path, memory, cpus], timeout=60, check=True)
    ram = (tmp_path / "ram").stat()
    assert ram.st_size == int(memory) << 20 and ram.st_blocks * 512 < 1 << 20
    for i in range(2):
        entry = tmp_path / f"entry{i}"
        with subprocess.Popen([floor, "restore", tmp_path], stdout=subprocess.PIPE,
                              env={**os.environ, "FLOOR_ENTRY": str(entry)}) as restored:
            assert restored.stdout.read(1) == b"!"
            assert int(entry.read_text()) > 0
            restored.kill()
    assert (tmp_path / "ram").stat().st_mtime_ns == ram.st_mtime_ns


@pytest.mark.kvm
def test_restore_and_save(build, tmp_path):
    """Pronto speaks Firecracker's language, and so can stand in for it."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "firecracker").symlink_to(build / "pronto")
    done = bench(build, tmp_path, "--rounds", "2", "--quick", "restore", "save", *(
        word for name in ("floor", "pronto", "firecracker") for word in ("--only", name)),
        env={"PATH": f"{place}:{os.environ['PATH']}"})
    assert (done.returncode, done.stderr) == (0, ""), done
    restore, = json.loads((tmp_path / "restore.json").read_text())["benchmark"]["cases"]
    save, = json.loads((tmp_path / "save.json").read_text())["benchmark"]["cases"]
    for case in (restore, save):
        check_case(case, 2)
        assert (case["absent"], case["failures"]) == ({}, {})
    answers = restore["contenders"]
    assert list(answers) == ["floor", "pronto", "pronto-run", "firecracker"]
    for who, end in ("floor", "killed_ms"), ("pronto", "end_ms"), ("pronto-run", "end_ms"):
        assert 0 < answers[who]["entry_ms"]["min"] and 0 < answers[who][end]["min"]
        assert 0 < answers[who]["up_cpu_ms"]["min"] <= answers[who]["up_cpu_ms"]["max"] < 100
    assert 0 < save["contenders"]["pronto"]["still_us"]["min"] / 1000 < save["contenders"]["pronto"]["took_ms"]["max"]


@pytest.mark.kvm
def test_api(build, tmp_path):
    done = bench(build, tmp_path, "--rounds", "1", "--only", "pronto", "api")
    assert done.returncode == 0, done
    case, = json.loads((tmp_path / "api.json").read_text())["benchmark"]["cases"]
    check_case(case, 1)
    assert (case["absent"], case["failures"]) == ({}, {})
    assert {"GET /", "PATCH /balloon", "Paused, Resumed"} <= case["contenders"].keys()


def test_what_cannot_run_says_why(tmp_path):
    """A build with nothing in it: no table of zeros, and no success."""
    done = bench(tmp_path, tmp_path / "out", "--rounds", "1", "timeline", "--only", "pronto")
    assert done.returncode == 1
    assert re.search(r"^skipped: ", done.stdout, re.M)
    assert json.loads((tmp_path / "out" / "timeline.json").read_text())["benchmark"]["skipped"]


def test_bad_words(tmp_path):
    assert "no benchmark jump; there are start" in bench(tmp_path, tmp_path, "jump").stderr
    assert "--rounds: give a number from 1 up" in bench(tmp_path, tmp_path, "--rounds", "0").stderr
