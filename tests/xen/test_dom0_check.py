# SPDX-License-Identifier: MIT
"""pvh-check as dom0 of the real Xen: it asks Xen for the memory map, and speaks and ends by hypercalls."""
import sys

from xenlab import BUILD, CRASH, POWEROFF, ROOT, known_failures, needs_qemu, xen

sys.path.insert(0, str(ROOT / "guest" / "check"))
# pylint: disable=wrong-import-position
from conformance import FAIL, SKIP, Report, fill, told  # noqa: E402

pytestmark = needs_qemu

CHECK = BUILD / "guest" / "check" / "pvh-check.elf"


def test_dom0_is_judged():
    result = xen("dom0", "--quiet", CHECK, CHECK, "--cmdline", f"{told(CHECK)} {fill(900)}")
    lines = [line for line in result.out.splitlines(keepends=True) if not line.startswith("# pvh-check: the stack")]
    assert lines.pop(0) == "TAP version 13\n"  # on port 0xe9; then once more on the console
    report = Report("".join(lines))
    assert result.status == (POWEROFF if report.well else CRASH)
    assert any(remark.startswith("map from XENMEM_memory_map, ") for remark in report.remarks)
    failed, skipped = report.named(FAIL), report.named(SKIP)
    assert set(failed) == known_failures()
    assert set(skipped) == {
        "start info: reserved field is 0", "modules: modlist_paddr is 0 without modules",
        "memory map: reserved fields are 0", "RAM: first and last page of each entry above 4 GiB",
        "tr: a 32-bit TSS at address 0 is in use"}
