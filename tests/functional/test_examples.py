# SPDX-License-Identifier: MIT
"""Examples that another program reads: it finds nothing wrong with them."""

import pathlib
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
