# SPDX-License-Identifier: MIT
"""Clients of Firecracker's API that others wrote: by exact versions from where their languages keep them, in the cache.

Who cannot have one is skipped, with the reason; what was fetched and does not build has failed.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "lab"))
# pylint: disable=wrong-import-position
from labkit import cache  # noqa: E402

SDK = "github.com/firecracker-microvm/firecracker-go-sdk@v1.0.0"
PACKAGES = HERE / "python" / "requirements.txt"
PATIENCE = 900  # seconds for what a registry gives, and a compiler


def call(*argv, **kwargs):
    """Its status, and the last line that it says."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=PATIENCE, check=False, **kwargs)
    return done, (done.stdout.strip().splitlines() or ["it says nothing"])[-1]


def kept(name, make, *inputs):
    """The directory in the cache that is made of these inputs: by `make`, unless it is there."""
    entry = cache.path("clients", f"{name}-{cache.digest(*inputs)}")
    with cache.lock("clients"):
        if not os.path.isdir(entry):
            cache.sweep(os.path.dirname(entry))
            with cache.new_dir(entry) as place:
                make(place)
    return pathlib.Path(entry)


def program(language, build):
    """Ours of this language, with a client in it."""
    sources = sorted((HERE / language).iterdir())
    return kept(language, build, *(part for file in sources for part in (file.name, file.read_bytes()))) / "drive"


def go_program():
    return program("go", build_go)


def build_go(place):
    if not shutil.which("go"):
        pytest.skip("there is no Go to build its client with: install golang-go")
    # Neither another toolchain, nor what a user has set; and the cache is one that can be removed.
    env = {**os.environ, "GOMODCACHE": cache.path("clients", "go", "modules"), "GOCACHE": cache.path("clients", "go", "built"),
           "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -modcacherw -buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0"}
    done, last = call("go", "mod", "download", SDK, cwd=place, env=env)
    if done.returncode:
        pytest.skip(f"Go cannot fetch {SDK}: {last}")
    for file in (HERE / "go").iterdir():
        shutil.copy(file, place)
    done, _ = call("go", "build", "-o", "drive", ".", cwd=place, env=env)
    assert done.returncode == 0, done.stdout


def rust_program():
    return program("rust", build_rust)


def build_rust(place):
    if not shutil.which("cargo"):
        pytest.skip("there is no cargo to build Rust's client with: install cargo")
    version = re.search(r"\d+\.(\d+)", call("rustc", "--version")[1])
    if int(version[1]) < 65:
        pytest.skip(f"Rust's client wants rustc 1.65 and this is {version[0]}: install rustc-web and cargo-web")
    sources = pathlib.Path(place, "source")
    shutil.copytree(HERE / "rust", sources)
    done, last = call("cargo", "fetch", "--locked", cwd=sources)
    if done.returncode:
        pytest.skip(f"cargo cannot fetch Rust's client: {last}")
    done, _ = call("cargo", "build", "--locked", "--offline", "--target-dir", "built", cwd=sources)
    assert done.returncode == 0, done.stdout
    shutil.copy(sources / "built" / "debug" / "drive", place)
    shutil.rmtree(sources)


def python_packages():
    """The directory that they are installed in, and nothing else is."""
    return kept("python", install_python, PACKAGES.read_bytes(), sys.version)


def install_python(place):
    pip = [sys.executable, "-m", "pip"]
    if call(*pip, "--version")[0].returncode:
        pytest.skip("there is no pip to fetch Python's clients with: install python3-pip")
    # All that they need of others is in our list, too.
    done, last = call(*pip, "install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", place, "-r", PACKAGES)
    if done.returncode:
        pytest.skip(f"pip cannot fetch Python's clients: {last}")
