# SPDX-License-Identifier: MIT
"""The disk with a whole Debian on it: what its maker refuses, before it fetches anything."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto"))
EXAMPLE = ROOT / "examples" / "debian"


def run(program, *argv, **env):
    done = subprocess.run([EXAMPLE / program, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=60, env={**os.environ, **env})
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(name="tools")
def fixture_tools(tmp_path):
    """A directory with the tools that it needs, which fail."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("mmdebstrap", "mke2fs", "tar", "ssh-keygen", "newuidmap"):
        (tools / name).write_text(f"#!/bin/sh\necho '{name} has no mood' >&2\nexit 1\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    return tools


@pytest.mark.parametrize("argv, complaint", [
    ([], "required: release, DIRECTORY"),
    (["sid", "there"], "invalid choice: 'sid'"),
    (["--name", "A b", "trixie", "there"], "A b is no name for it"),
    (["--name", "longer-than-a-label", "trixie", "there"], "is no name for it"),
    (["--size", "2", "trixie", "there"], "2 is no size"),
    (["--size", "0G", "trixie", "there"], "0G is no size"),
    (["--ssh-key", "/dev/null", "trixie", "there"], "/dev/null holds no public key"),
])
def test_arguments(argv, complaint):
    done = run("make-image", *argv)
    assert done.returncode == 2 and complaint in done.stderr


def test_key_is_not_there(tmp_path):
    done = run("make-image", "--ssh-key", tmp_path / "no.pub", "trixie", tmp_path / "there")
    assert (done.returncode, done.stderr) == (1, f"make-image: {tmp_path}/no.pub: No such file or directory\n")


def test_private_key_is_no_public_key(tmp_path):
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", encoding="utf-8")
    done = run("make-image", "--ssh-key", tmp_path / "key", "trixie", tmp_path / "there")
    assert done.returncode == 2 and "give the file that ends in .pub" in done.stderr


def test_names_the_packages_of_missing_tools(tmp_path):
    done = run("make-image", "bookworm", tmp_path / "there", PATH=str(tmp_path))
    assert done.returncode == 1
    missing, packages = re.fullmatch(r"make-image: (.*): not here; as root, apt-get install (.*)\n", done.stderr).groups()
    assert {"mmdebstrap", "ssh-keygen"} < set(missing.split(", "))
    assert {"mmdebstrap", "openssh-client"} < set(packages.split())
    assert not (tmp_path / "there").exists()


def test_key_that_is_given_needs_no_tool_to_make_one(tmp_path):
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAA someone\n", encoding="utf-8")
    done = run("make-image", "--ssh-key", tmp_path / "key.pub", "trixie", tmp_path / "there", PATH=str(tmp_path))
    assert "mmdebstrap" in done.stderr and "ssh-keygen" not in done.stderr


def test_leaves_a_disk_that_is_there(tmp_path, tools):
    (tmp_path / "disk.img").write_text("precious", encoding="utf-8")
    done = run("make-image", "bookworm", tmp_path, PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 1 and "is there already: remove it" in done.stderr
    assert (tmp_path / "disk.img").read_text(encoding="utf-8") == "precious"


def test_command_line_is_the_default_one_and_a_root():
    """But for pci=off: a device may be behind PCI."""
    default = re.search(r"default command line, which is\n *(.*)\n",
                        subprocess.run([PRONTO, "run", "--help"], capture_output=True, text=True, check=True).stdout)[1]
    line = re.search(r"^CMDLINE = '(.*)\\n'$", (EXAMPLE / "make-image").read_text(encoding="utf-8"), re.M)[1].split()
    assert line[:2] == ["root=LABEL={name}", "ro"]
    assert line[2:] == [word for word in default.split() if word != "pci=off"]


@pytest.mark.parametrize("argv", [["sid"], ["trixie", "x"]])
def test_demo_refuses(argv):
    done = run("demo", *argv, BUILD=str(PRONTO.parent))
    assert done.returncode == 2 and "usage:" in done.stderr


# What stands for a guest, and says STATE when it is asked for its state.
PRETENDER = r"""#!/bin/sh
[ "$1" = doctor ] && exit 0
echo "$*" >> "${0%/*}/argv"
printf 'Debian GNU/Linux 12 bookworm ttyS0\r\n\r\nbookworm login: '
read -r name
printf 'root\r\nWelcome, %s: no prompt yet ~# \r\nroot@bookworm:~# ' "$name"
read -r order
printf '%s\r\n' "$order"
STATE
printf 'root@bookworm:~# '
read -r order
printf '%s\r\nPower down\r\n' "$order"
exit STATUS
"""


def unattended(tmp_path, state="echo The system is running.", status=0):
    """What the demo is like without a terminal."""
    for name, text in ("pronto", PRETENDER.replace("STATE", state, 1).replace("STATUS", str(status))), ("passt", "#!/bin/sh\n"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "disk.img").write_text("", encoding="utf-8")
    (tmp_path / "cmdline").write_text("root=LABEL=bookworm ro\n", encoding="utf-8")
    return run("demo", BUILD=str(tmp_path), IMAGE=str(tmp_path), SILENCE="2", PATH=f"{tmp_path}:{os.environ['PATH']}")


def test_demo_shows_a_boot_to_nobody(tmp_path):
    """It logs in, asks, and powers off; all that the guest says is passed on."""
    done = unattended(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Welcome, root" in done.stdout and "poweroff\nPower down\n" in done.stdout
    assert done.stdout.splitlines()[-1] == ("demo: Debian's login came; systemd calls the system running; the guest ended with "
                                            "status 0 (0: it has powered off)")
    argv = (tmp_path / "argv").read_text(encoding="utf-8")
    assert f"--disk {tmp_path}/disk.img --net user -i " in argv and argv.endswith(" -- root=LABEL=bookworm ro\n")


@pytest.mark.parametrize("state, status, ends, says", [
    ("echo The system is degraded.", 0, 1, "systemd calls the system degraded"),
    ("echo The system is running.", 4, 4, "the guest ended with status 4"),
    ("exit 3", 0, 1, 'the guest did not come to ":~# "'),
    ("exec sleep 60", 0, 1, 'the guest did not come to ":~# "'),
])
def test_demo_passes_a_failure_on(tmp_path, state, status, ends, says):
    done = unattended(tmp_path, state, status)
    assert done.returncode == ends and says in done.stdout + done.stderr, done.stdout + done.stderr


def test_demo_says_what_to_do_when_nothing_is_built(tmp_path):
    done = run("demo", BUILD=str(tmp_path))
    assert done.returncode == 2 and "run make" in done.stderr
