# SPDX-License-Identifier: MIT
"""The benchmarks that need whole Linux guests: the smallest case of each, once."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from machines import ROOT

BUILD = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve().parent

pytestmark = [pytest.mark.long, pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                                   reason="there is no QEMU: install qemu-system-x86")]


def measure(name, out, seconds=250):
    """The cases of a benchmark."""
    done = subprocess.run([ROOT / "bench" / "bench", name, "--quick", "--rounds", "1", "--build", BUILD, "--out", out,
                           "--only", "pronto"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=seconds, check=False)
    assert done.returncode == 0, done
    return json.loads((out / f"{name}.json").read_text())["benchmark"]["cases"]


def contenders(name, out):
    """{who: {metric: median}} of the last case."""
    case = measure(name, out)[-1]
    assert list(case["contenders"]) == ["pronto", "pronto-cached"], case["absent"]
    return {who: {metric: entry["median"] for metric, entry in answers.items()}
            for who, answers in case["contenders"].items()}


def test_boot(tmp_path):
    for answers in contenders("boot", tmp_path).values():
        assert 100 < answers["user_cpu_ms"] < 60000
        assert 100 < answers["exits"] < 20000
        assert answers["user_io"] + answers["user_mmio"] <= answers["user_exits"] < 1000
        assert 50 < answers["npf"] < 20000


def test_count(tmp_path):
    """A millisecond is a million instructions: of this kernel it takes some four hundred."""
    for answers in contenders("count", tmp_path).values():
        assert 200 < answers["user_cpu_ms"] < 800


def test_memory(tmp_path):
    """The monitor's own, and that of a kernel whose code and constants have 24 MiB."""
    for answers in contenders("memory", tmp_path).values():
        # 1.5 is wanted.  Of that 0.2 are its own memory; the rest is the program's text, of which the kernel maps 64 KiB around each page.
        assert 0.2 < answers["rss_beside"] < 1.75
        assert 15 < answers["constant_first"] < 30
        assert answers["constant_first"] < answers["rss_ram"] < 96


@pytest.mark.timeout(700)
def test_instant(tmp_path):
    """By count a boot that was made once takes a thirtieth and less of what it takes as ever; its random bytes come by one exit."""
    case = measure("instant", tmp_path, seconds=650)[-1]
    answers = {who: {metric: entry["median"] for metric, entry in metrics.items()} for who, metrics in case["contenders"].items()}
    assert answers.keys() == {"pronto", "pronto-instant"}, case["absent"]
    assert answers["pronto"]["user_cpu_ms"] > 30 * answers["pronto-instant"]["user_cpu_ms"]
    assert answers["pronto-instant"]["user_io"] < 40


@pytest.mark.kvm
def test_scale(tmp_path):
    """The slope is that of the two points beside it."""
    cases = measure("scale", tmp_path)
    assert [case["name"] for case in cases] == ["start: growth with memory", "boot: growth with memory"]
    for case, sizes in zip(cases, [("128M", "1G"), ("256M", "1G")]):
        answers = case["contenders"]["pronto"]
        low, high = (answers[size]["median"] for size in sizes)
        step = 1 - int(sizes[0][:-1]) / 1024
        assert answers["cpu_slope"]["median"] == pytest.approx((high - low) / step * 1000)
    boot = cases[-1]["contenders"]
    assert list(boot) == ["pronto", "pronto-cached"]
    assert boot["pronto"]["256M"]["median"] > 20 * cases[0]["contenders"]["pronto"]["128M"]["median"]


@pytest.mark.timeout(700)
def test_devices(tmp_path):
    """A disk's requests, a few of each kind: what one costs is in the region of what is known of it."""
    case, = measure("devices", tmp_path, seconds=650)
    answers = {metric: entry["median"] for metric, entry in case["contenders"]["pronto"].items()}
    assert answers.keys() == case["metrics"].keys()
    labels = {text.rpartition(": ")[0]: name.partition("_")[2] for name, (text, _) in case["metrics"].items()}
    one, many = labels["4 KiB random read, depth 1"], labels["4 KiB random read, depth 32"]
    # An interrupt of virtio-mmio is read and acknowledged.
    assert 2 <= answers[f"user_{one}"] < 3 <= answers[f"exits_{one}"] < 10
    assert 2 <= answers[f"calls_{one}"] < 6
    assert 10 < answers[f"time_{one}"] < 1000
    # Those that come together are kicked, and told of, together.
    assert answers[f"user_{many}"] < answers[f"user_{one}"] / 2
