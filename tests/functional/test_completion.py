# SPDX-License-Identifier: MIT
"""Completion, as bash, zsh and fish themselves do it.  Needs no /dev/kvm."""

import os
import pathlib
import pty
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).absolute()
COMPLETION = ROOT / "completion"
COMMANDS = ["run", "restore", "clone", "serve", "merge", "api", "ctl", "inspect", "pack", "doctor"]

# The first is like the real one, but that it notes what fits; the widget that asks runs as soon as there is a prompt.
# However many lines there are to list, nobody is there to be asked about it.
ZSH = """
fpath=($COMPLETION $fpath)
autoload -Uz compinit && compinit -u -d $ZDOTDIR/../zcompdump
compadd() {
    local -a fit
    builtin compadd -O fit "$@"
    print -rl -- "${(@)fit/#/$IPREFIX}" >>$OFFERS
    builtin compadd "$@"
}
zle -C ask list-choices _main_complete
ask-and-exit() { LISTMAX=10000 BUFFER=$LINE CURSOR=$#LINE; zle ask; exit 0 }
zle -N zle-line-init ask-and-exit
"""


def bash(program, words, cwd, _scratch):
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pronto; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    # Bash makes words of their own of = and :, and is told the last one only.
    split = [part for word in words for part in re.split("([=:])", word)]
    glued = re.sub("[^=:]*$", "", words[-1])
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", COMPLETION / "pronto", program, *split],
                          capture_output=True, text=True, timeout=60, check=True, cwd=cwd)
    assert done.stderr == ""
    return [glued + offer for offer in done.stdout.split()]


def zsh(program, words, cwd, scratch):
    (scratch / ".zshrc").write_text(ZSH)
    offers = scratch / "offers"
    offers.touch()
    ours, theirs = pty.openpty()
    with subprocess.Popen(["zsh", "-d", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
                          start_new_session=True, env={**os.environ, "ZDOTDIR": str(scratch), "COMPLETION": str(COMPLETION), "TERM": "dumb",
                               "OFFERS": str(offers), "LINE": " ".join([str(program), *words])}) as shell:
        os.close(theirs)
        try:
            while os.read(ours, 4096):
                pass
        except OSError:  # it has ended
            assert shell.wait(60) == 0
        finally:
            shell.kill()
    os.close(ours)
    return offers.read_text().split()


def fish(program, words, cwd, scratch):
    link = scratch / "pronto"
    link.symlink_to(program)
    script = f"source {COMPLETION / 'pronto.fish'}; complete -C '{' '.join(['pronto', *words])}'"
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=60, check=True,
                          cwd=cwd, env={**os.environ, "PATH": f"{scratch}:{os.environ['PATH']}", "HOME": str(scratch)})
    assert done.stderr == ""
    return [line.split("\t")[0].rstrip("/") for line in done.stdout.splitlines()]


@pytest.fixture(params=[bash, zsh, fish], ids=lambda shell: shell.__name__)
def complete(request, tmp_path):
    """What a shell offers for the last of these words of a command line, in a directory with two files."""
    if not shutil.which(request.param.__name__):
        pytest.skip(f"there is no {request.param.__name__}: install it")
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    (cwd / "vmlinux").touch()
    (cwd / "vmlinuz").touch()

    def ask(*words, program=PRONTO):
        scratch = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        scratch.mkdir()
        offers = request.param(program, list(words), cwd, scratch)
        return sorted(offer for offer in set(offers) if offer.strip("-"))
    return ask


def help_options(command):
    text = subprocess.run([PRONTO, command, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    return sorted(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text, re.M))


def test_commands(complete):
    assert [c for c in complete("") if c[0] != "-"] == sorted([*COMMANDS, "help", "version"])
    assert complete("d") == ["doctor"]
    assert complete("help", "d") == ["doctor"]
    assert complete("--") == ["--help", "--version"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option(complete, command):
    options = help_options(command)
    assert "--help" in options
    # Fish offers what may have an argument behind = with it and without.
    assert sorted({o.rstrip("=") for o in complete(command, "--")}) == options
    assert sorted({o.rstrip("=") for o in complete(command, "-") if o.startswith("--")}) == options


def test_files(complete):
    files = ["vmlinux", "vmlinuz"]
    for words in ["run vml", "run -i vml", "run --initrd vml", "run --no-cache vml", "pack -o vml", "inspect vml"]:
        assert complete(*words.split()) == files
    assert complete(*"restore --from-memory vml".split()) == files
    assert complete("restore", "--from-memory", "u") == ["uffd:"]
    assert complete("restore", "--from-memory", "uffd:vml") == [f"uffd:{file}" for file in files]
    assert complete("run", "--timeline=vml") == [f"--timeline={file}" for file in files]
    assert complete("run", "--initrd=vml") == [f"--initrd={file}" for file in files]


def test_words(complete):
    assert complete("run", "--console", "") == ["auto", "file:", "null", "pty", "socket:", "stdio"]
    assert complete("run", "--console", "file:vml") == ["file:vmlinux", "file:vmlinuz"]
    assert complete("run", "--console=file:vml") == ["--console=file:vmlinux", "--console=file:vmlinuz"]
    assert complete("run", "--on-reboot", "r") == ["restart"]
    assert complete("run", "--on-reboot=r") == ["--on-reboot=restart"]
    assert complete("run", "--shim", "a") == ["always", "auto"]


def test_objects(complete):
    assert complete("run", "--cpu", "") == ["nested=off", "nested=on", "pmu=off", "pmu=on"]
    assert complete("run", "--cpu", "nested=on,p") == ["nested=on,pmu=off", "nested=on,pmu=on"]
    assert complete("run", "--cpu=nested=on,pmu=o") == ["--cpu=nested=on,pmu=off", "--cpu=nested=on,pmu=on"]


def test_lists_of_objects(complete, tmp_path):
    """As their options are written: a value without a key first, what may be left out in brackets."""
    program = tmp_path / "described" / "pronto"
    program.parent.mkdir()
    program.write_text("""#!/bin/sh
cat <<END
Commands:
  run      boot

Options:
      --disk PATH[,ro][,serial=S][,cache=off|on]
                           a disk
      --net user|tap[,mac=M]
                           a network
END
""")
    program.chmod(0o755)

    def ask(*words):
        return complete("run", *words, program=program)

    assert ask("--") == ["--disk", "--net"]
    assert ask("--disk", "vml") == ["vmlinux", "vmlinuz"]
    assert ask("--disk=vml") == ["--disk=vmlinux", "--disk=vmlinuz"]
    assert ask("--disk", "vmlinux,") == [f"vmlinux,{m}" for m in ["cache=off", "cache=on", "ro", "serial="]]
    assert ask("--disk", "vmlinux,ro,s") == ["vmlinux,ro,serial="]
    assert ask("--disk=vmlinux,cache=o") == ["--disk=vmlinux,cache=off", "--disk=vmlinux,cache=on"]
    assert ask("--net", "") == ["tap", "user"]
    assert ask("--net", "tap,") == ["tap,mac="]


def test_nothing(complete):
    """For what is free, and behind --, where the kernel's words are."""
    assert complete("run", "-m", "") == []
    assert complete("run", "vmlinuz", "--", "-") == []
    assert complete("run", "vmlinuz", "--", "vml") == []
