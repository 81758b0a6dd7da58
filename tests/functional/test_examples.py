# SPDX-License-Identifier: MIT
"""Examples that another program reads: it finds nothing wrong with them."""

import json
import pathlib
import re
import shutil
import subprocess

import pytest

import vm

EXAMPLES = vm.ROOT / "examples"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze: install systemd")
def test_unit(tmp_path):
    text = (EXAMPLES / "systemd" / "pronto@.service").read_text(encoding="ascii")
    assert "ExecStart=/usr/local/bin/pronto api " in text
    unit = tmp_path / "pronto@web.service"
    # Neither the program nor its manual page is installed here.
    unit.write_text(text.replace("/usr/local/bin/pronto", str(vm.PRONTO)).replace("Documentation=man:pronto(1)\n", ""), encoding="ascii")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_s_command(box, tmp_path):
    """Its options are pronto's, as far as that can be seen without a machine."""
    text = (EXAMPLES / "systemd" / "pronto@.service").read_text(encoding="ascii")
    command, = (line for line in text.splitlines() if line.startswith("ExecStart="))
    words = command.replace("%t/pronto/%i", str(tmp_path)).replace("%i", "web").replace("/etc/pronto/web.json", "/nowhere").split()
    result = vm.Vm(box, [vm.PRONTO, *words[1:]]).wait()
    assert result.status == vm.OPERATOR and "/nowhere" in result.err
    assert not pathlib.Path(tmp_path / "api.sock").exists()


def test_the_job_s_command(box, tmp_path):
    """Of the job for Nomad: its words are pronto's, with what Nomad puts into them and where it puts the artifacts."""
    text = (EXAMPLES / "nomad" / "pronto.nomad.hcl").read_text(encoding="ascii")
    command, = re.findall(r'command = "(.*)"', text)
    words = json.loads(re.sub(r",\s*\]", "]", re.search(r"args = (\[.*?\n *\])", text, re.S)[1]))
    assert command == "/usr/local/bin/pronto" and words[0] == "run"
    # A port is one of those that the group asks for, an artifact is below its own name in local/.
    ports, artifacts = re.findall(r'port "(\w+)"', text), re.findall(r'source = "https://.*/(.*)"', text)
    assert set(re.findall(r"\$\{NOMAD_PORT_(\w+)\}", text)) == set(ports)
    local = {word for word in words if word.startswith("local/")}
    assert local == {f"local/{name}" for name in artifacts}
    shutil.copy(vm.guest("poweroff"), tmp_path / "vmlinuz")
    (tmp_path / "disk.img").write_bytes(bytes(1 << 20))
    words = [word.replace("local/", f"{tmp_path}/") if word in local else re.sub(r"\$\{NOMAD_PORT_\w+\}", "2222", word)
             for word in words]
    result = vm.Vm(box, [vm.PRONTO, "run", "--dry-run", *words[1:]]).wait()
    assert (result.status, result.err) == (vm.POWEROFF, "") and "root=/dev/vda rw" in result.out
