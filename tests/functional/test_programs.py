# SPDX-License-Identifier: MIT
"""The project's scripts and programs in Python, where something is amiss: a sentence, a status, and never a traceback."""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = b"#!/usr/bin/python3\n"


def programs():
    """Every executable of the tree that is written in Python."""
    found = []
    for top in ("bench", "examples", "fuzz", "guest", "lab", "scripts", "tests"):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and os.access(path, os.X_OK) and path.read_bytes().startswith(PYTHON):
                found.append(str(path.relative_to(ROOT)))
    return sorted(found)


PROGRAMS = programs()
# One that uses the cache, apt and other tools.
COMMANDS = [("lab/fetch", "busybox"), ("lab/guest/mkinitramfs", "cloud"), ("lab/lab", "true"),
            ("lab/xen", "dom0", "lab/fetch")]


def run(argv, root=ROOT, redirect="", env=None, **kwargs):
    """What a shell's command line comes to; whatever else, there must be no traceback."""
    done = subprocess.run(["/bin/sh", "-c", f'"$0" "$@" {redirect}', root / argv[0], *argv[1:]], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False, timeout=120, env={**os.environ, **(env or {})}, **kwargs)
    done.stderr = done.stderr.decode(errors="replace")
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module", name="tree")
def fixture_tree(tmp_path_factory):
    """The programs in a tree of their own, whose cache is empty."""
    tree = tmp_path_factory.mktemp("tree")
    for top in ("bench", "guest", "lab", "scripts", "include", "vmm"):
        shutil.copytree(ROOT / top, tree / top, ignore=shutil.ignore_patterns("__pycache__", "report"))
    return tree


def test_there_are_programs():
    assert {"bench/bench", "guest/linux/apply", "lab/lab", "scripts/check"} < set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_all_end_alike(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.search(r"^from labkit import program  # before all else$", text, re.M)
    assert re.search(r"^if __name__ == '__main__':\n    program\.run\(main, '[\w/-]+'(, failed=\w+)?\)\n\Z", text, re.M)


@pytest.mark.parametrize("name", PROGRAMS)
def test_full_disk(name):
    done = run([name, "--help"], redirect=">/dev/full")
    assert done.returncode not in (0, 120)
    assert done.stderr.endswith(": No space left on device\n")


@pytest.mark.parametrize("name", PROGRAMS)
def test_reader_has_left(name):
    done = run([name, "--help"], redirect='| { exec <&-; sleep 0.5; }; true')
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("redirect", ["<&- >&- 2>&-", ">&-", "2>&-"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_closed_descriptors(name, redirect):
    assert run([name, "--help"], redirect=redirect).returncode == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_interrupted(name, tmp_path):
    """Ctrl-C at any time after Python itself has started: here while the arguments are looked at."""
    late = tmp_path / "argparse.py"
    late.write_text("import os, sys\nprint('here', flush=True)\nos.read(0, 1)\n", encoding="utf-8")
    with subprocess.Popen([ROOT / name, "--help"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(tmp_path)},
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as process:
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (-signal.SIGINT, b"")


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: argv[0])
def test_cache_cannot_be_written(tree, argv):
    """As in a tree of somebody else's; root may write where others may not, so a file stands in the way."""
    (tree / ".cache").write_text("", encoding="utf-8")
    try:
        done = run(argv, tree)
    finally:
        (tree / ".cache").unlink()
    assert done.returncode in (1, 125)
    assert re.fullmatch(r"\S+: cannot make /\S+/\.cache(/\S+)?: [\w ]+; the source tree must be writable for its "
                        r"cache\n", done.stderr)


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: argv[0])
def test_apt_knows_nothing(tree, tmp_path, argv):
    config = tmp_path / "apt.conf"
    (tmp_path / "lists").mkdir()
    config.write_text(f'Dir::State::lists "{tmp_path}/lists"; Dir::State::status "/dev/null"; Dir::Cache "{tmp_path}";\n',
                      encoding="utf-8")
    done = run(argv, tree, env={"APT_CONFIG": str(config)})
    assert done.returncode in (1, 125)
    assert re.fullmatch(r"\S+: apt knows no package for \S+ \(\S+\): run `apt-get update` as root; .*\n", done.stderr)


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: argv[0])
def test_no_tools(tree, argv):
    done = run(argv, tree, env={"PATH": "/nonexistent"})
    assert done.returncode in (1, 125)
    assert re.fullmatch(r"\S+: \S+ is not here: .*\n", done.stderr)


@pytest.mark.parametrize("name", ["scripts/check", "scripts/lint", "bench/bench"])
def test_no_tools_for_what_needs_none_to_start(tree, name):
    assert run([name], tree, env={"PATH": "/nonexistent"}).returncode != 120


def test_directory_is_gone(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(["sh", "-c", 'cd "$1" && rmdir "$1" && exec "$2" -q true', "sh", gone, ROOT / "lab" / "lab"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 125
    assert done.stderr == "lab: the current directory is gone: change to one that exists\n"


def test_any_name(tree):
    """A tree whose name is no text in any encoding."""
    odd = pathlib.Path(os.fsdecode(os.fsencode(tree) + b"-\xff"))
    os.rename(tree, odd)
    try:
        done = run(["lab/fetch", "busybox"], odd)
    finally:
        os.rename(odd, tree)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(b"busybox " + os.fsencode(odd))


def test_command_that_fails():
    """The words for what a subprocess comes to."""
    code = ("import subprocess, sys; sys.path.insert(0, sys.argv.pop()); from labkit import program\n"
            "program.run(lambda argv: subprocess.run(argv, check=True, timeout=0.2), 'name', failed=9)")
    for argv, words in ((["false"], "false ended with status 1"), (["sleep", "60"], "sleep was not done within 0.2 s"),
                        (["sh", "-c", "kill $$"], "sh was ended by signal 15"),
                        (["/nowhere/x"], "/nowhere/x: No such file or directory")):
        done = subprocess.run(["/usr/bin/python3", "-c", code, *argv, ROOT / "lab"], capture_output=True, text=True,
                              check=False, timeout=60)
        assert (done.returncode, done.stderr) == (9, f"name: {words}\n")


def test_setup_on_a_minimal_debian(tmp_path):
    """dpkg-query answers 1 for what it has never heard of: that is no failure.  What is missing is named."""
    for name, script in {
            "dpkg-query": 'echo "gcc installed"; echo "python3 deinstall"; exit 1', "id": "echo 0",
            "apt-get": f'echo "$@" >>{tmp_path}/said'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run([ROOT / "scripts" / "setup", "demo"], capture_output=True, text=True, check=False,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, timeout=60)
    assert done.returncode == 0, done.stderr
    update, install = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert update.endswith(" update")
    assert {"meson", "python3", "qemu-system-x86"} < set(install.split()) and "gcc" not in install.split()
