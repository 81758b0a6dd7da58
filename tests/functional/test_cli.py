# SPDX-License-Identifier: MIT
"""The command line: help, manual page and messages agree.  Needs no /dev/kvm."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = os.environ.get("PRONTO", str(ROOT / "build" / "pronto"))
MANUAL = ROOT / "man" / "pronto.1"
COMMANDS = ["run", "restore", "clone", "serve", "merge", "api", "ctl", "inspect", "pack", "doctor"]


def pronto(*argv, **kwargs):
    return subprocess.run([PRONTO, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False, **kwargs)


def refused(*argv, **kwargs):
    """The one line that a refused command prints."""
    done = pronto(*argv, **kwargs)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("pronto: error: ")
    return done.stderr[len("pronto: error: "):-1]


def help_options(command):
    """Long options and what they take, from the help of a command."""
    text = pronto(command, "--help").stdout
    return dict(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)(?: (\S+))?", text, re.M))


@pytest.mark.parametrize("argv", [["help"], ["--help"], ["-h"], *([c, "--help"] for c in COMMANDS),
                                  *([c, "-h"] for c in COMMANDS)], ids=" ".join)
def test_help(argv):
    done = pronto(*argv)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: pronto")
    assert all(line.isprintable() for line in done.stdout.splitlines())


def test_help_of_a_command():
    for command in COMMANDS:
        assert pronto("help", command).stdout == pronto(command, "--help").stdout
    assert refused("help", "walk") == "unknown command 'walk'; see `pronto --help`"


@pytest.mark.parametrize("word", ["version", "--version"])
def test_version(word):
    done = pronto(word)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"pronto \d+\.\d+\.\d+\n", done.stdout)


def test_no_command():
    done = pronto()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: pronto")


def test_unknown_words():
    assert refused("walk") == "unknown command 'walk'; see `pronto --help`"
    assert refused("--fast") == "unknown option '--fast'; see `pronto --help`"
    assert refused("run", "--fast", "k") == "unknown or ambiguous option --fast; see `pronto run --help`"
    assert refused("run", "--cpu-s=2", "k") == "unknown option --cpu-s; did you mean --cpus?"
    assert refused("run", "-append", "quiet", "k") == "unknown option -append; did you mean --cmdline?"


def test_bad_values(tmp_path):
    (tmp_path / "c.json").write_text('{\n"cpus": 65\n}')
    (tmp_path / "bad.json").write_text('{"cpus" 65}')
    os.mkfifo(tmp_path / "fifo")
    assert refused("run", "-c", "0", "k") == "option --cpus: '0' is not a whole number from 1 to 64"
    assert refused("run", "-m", "16M", "k").startswith("option --memory: 16M is too little")
    assert refused("run", "-m", "2048G", "k").startswith("option --memory: 2048G is too much")
    assert refused("run") == "no kernel given; see `pronto run --help`"
    assert (refused("run", "--config", "c.json", "k", cwd=tmp_path)
            == "c.json: line 2: \"cpus\": '65' is not a whole number from 1 to 64")
    assert refused("run", "--config", "bad.json", "k", cwd=tmp_path).startswith("bad.json: line 1, column 10:")
    assert "is a FIFO" in refused("run", "--config", "fifo", "k", cwd=tmp_path)
    assert "is a directory" in refused("run", "--config", ".", "k", cwd=tmp_path)


# What a terminal would act on, each way of writing it: C0, C1 (as UTF-8 and bare), direction, lines.
ODD = b"a\x1b[2J\n\xc2\x9b2J\x9b\xe2\x80\xae\xe2\x80\xa8\xc3\xa9"
SHOWN = "a?[2J??2J???\xe9"


def test_names_do_nothing_to_a_terminal(tmp_path):
    """In a message, and in what was asked for; JSON keeps the name and escapes it."""
    odd = os.fsencode(tmp_path) + b"/" + ODD
    assert refused("run", odd).startswith(f"{tmp_path}/{SHOWN}: cannot open: ")
    shutil.copy(PRONTO, odd)
    for argv in ["inspect", odd], ["inspect", "--json", odd], ["run", "--dry-run", odd], [ODD], ["run", b"--" + ODD, "k"]:
        done = subprocess.run([PRONTO, *argv], capture_output=True, check=False)
        said = done.stdout + done.stderr
        assert b"a?[2J" in said or argv[1] == "--json"
        text = said.decode()
        assert all(c == "\n" or c == "\xe9" or 0x20 <= ord(c) < 0x7f for c in text), argv
        if argv == ["inspect", odd]:
            assert text.startswith(f"file:        {tmp_path}/{SHOWN}\ncontainer:   ")


def test_full_output():
    """Help that could not be written is not a success."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([PRONTO, "--help"], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)
    assert done.returncode == 1
    assert "cannot write to standard output" in done.stderr


# The manual page

@pytest.mark.skipif(not shutil.which("man"), reason="there is no man: install man-db")
def test_manual_has_no_warnings():
    done = subprocess.run(["man", "--warnings", "-l", MANUAL], capture_output=True, text=True, timeout=60,
                          check=False, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "PHYS32_ENTRY" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_manual_names_every_option(command):
    text = MANUAL.read_text(encoding="utf-8").replace("\\-", "-")
    missing = [o for o in help_options(command) if not re.search(rf"{o}\b", text)]
    assert missing == []


def test_manual_names_every_exit_code():
    codes = dict(re.findall(r"(EXIT_\w+) = (\d)\b", (ROOT / "vmm" / "exit_codes.h").read_text()))
    text = MANUAL.read_text(encoding="utf-8")
    section = text[text.index(".SH EXIT STATUS"):text.index(".SH ENVIRONMENT")]
    assert re.findall(r"^\.B (\d)$", section, re.M) == sorted(codes.values())
