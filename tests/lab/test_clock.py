# SPDX-License-Identifier: MIT
"""Guests that rest are woken in time: the lab's KVM has the rate of its TSC right, as docs/lab.md says."""

import os
import re
import shutil
import subprocess

import pytest

import test_linux
from machines import ROOT, in_lab

PRONTO = test_linux.PRONTO
NAPS = str(ROOT / os.path.dirname(PRONTO) / "tests" / "guest" / "naps.elf")

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

# Seconds after which a boot, or a nap in it, has come to a standstill, however busy this host is.
BOOT_LIMIT, NAP_LIMIT = 240, 30

# Boots N times, in turn of each kind: a tiny guest and Debian's, with 1 and 2 vCPUs.  Before each what it is and the time,
# behind each its status and the time.
BOOTS = f"""
limit={BOOT_LIMIT}
""" + """
pronto=$1 naps=$2 initrd=$3 vmlinux=$4 cmdline=$5 i=0
now() { date +%s%N; }
run() {
    echo "@@boot $i $* $(now)"
    timeout --foreground -s KILL $limit "$pronto" run -c "$@" </dev/null 2>&1
    echo "@@end $? $(now)"
}
while [ $i -lt $6 ]; do
    cpus=$((i / 2 % 2 + 1))
    case $((i % 2)) in
    0) run $cpus "$naps" -- "10 $((20 + i * 37 % 180)) $((200 + i * 131 % 1800))" ;;
    1) run $cpus -i "$initrd" "$vmlinux" -- "$cmdline pronto.do=naps" ;;
    esac
    i=$((i + 1))
done
dmesg | grep -e 'TSC rate' -e '^.*lab: ' | sed 's/^/@@complaint /'
"""

BOOT = re.compile(r"^@@boot \d+ (\d+) ([^\n]*) (\d+)\n(.*?)^@@end (\d+) (\d+)$", re.M | re.S)
NAPS_OF_DEBIAN = ["0.01", "0.05", "0.2", "0.5", "2"]


def check_tiny(out, words):
    """It says of each nap that it ended, by its own interrupt and not before its time."""
    n = len(words.split()) + 2
    assert re.findall(r"^(ok|not ok|Bail)|^(1\.\.\d+)$", out, re.M) == [("ok", "")] * n + [("", f"1..{n}")], out


def check_debian(out, up_to):
    """Each nap took its time at least, a timer's interrupt ended it, and the guest's clock is not ahead of the lab's."""
    naps = re.findall(r"^@@ nap (\S+) (\S+) (\d+) (\S+) (\d+)$", out, re.M)
    assert [nap[0] for nap in naps] == NAPS_OF_DEBIAN, out
    assert "@@ kernel_problem" not in out, out
    for seconds, began, n_before, ended, n_after in naps:
        # A clock that is read in hundredths.
        assert float(seconds) - 0.01 < float(ended) - float(began) < NAP_LIMIT
        assert int(n_after) > int(n_before)
    assert float(naps[-1][3]) <= up_to


def boots(guests, n):
    guest = guests["cloud"]
    done = in_lab("sh", "-c", BOOTS, "sh", PRONTO, NAPS, guest.initramfs, guest.vmlinux, test_linux.BASE, str(n),
                  seconds=BOOT_LIMIT * n)
    text = done.stdout.decode(errors="replace").replace("\r", "")
    assert (done.returncode, done.stderr) == (0, b""), text[-3000:]
    seen = BOOT.findall(text)
    assert len(seen) == n
    longest = 0
    for i, (cpus, argv, began, out, status, ended) in enumerate(seen):
        up = (int(ended) - int(began)) / 1e9
        assert status == "0" and "pronto: " not in out, (i, cpus, argv, up, out)
        if argv.startswith(NAPS):
            check_tiny(out, argv.split(" -- ")[1])
        else:
            check_debian(out, up)
        longest = max(longest, up)
    assert "@@complaint" not in text
    print(f"{n} boots, the longest of {longest:.1f} s")


@pytest.fixture(name="guests", scope="session")
def fixture_guests():
    return {"cloud": test_linux.Guest("cloud")}


@pytest.mark.timeout(4 * BOOT_LIMIT + 100)
@pytest.mark.long
def test_guests_are_woken(guests):
    boots(guests, 4)


@pytest.mark.long
@pytest.mark.timeout(50 * BOOT_LIMIT + 100)
@pytest.mark.parametrize("lab", range(6))
def test_fifty_guests_are_woken(guests, lab):
    boots(guests, 50)


def counting_lab(*options, script):
    """In a lab whose time is a count of instructions, and goes on by itself while it waits for files: so it is not asked to
    end the command after a time."""
    return subprocess.run([ROOT / "lab" / "lab", "-q", "--icount", "--timeout", "250", *options, "sh", "-c", script, "sh",
                           PRONTO, NAPS], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.long
def test_a_kvm_that_is_wrong_is_told():
    """Where KVM was loaded before the rate was corrected, the lab's pid 1, doctor and run all say so, and a nap of 10 ms
    takes as long as the lab has been up.  Time is a count of instructions there, so it comes so each time."""
    done = counting_lab("--cold", "--append", "tsc_early_khz=997000", script="""
        cp "$1" /run/pronto; cp "$2" /run/naps
        dmesg | sed -n 's/.*\\(lab: KVM\\)/\\1/p'
        /run/pronto doctor | grep TSC
        before=$(cut -d ' ' -f 1 /proc/uptime)
        /run/pronto run /run/naps -- 10 2>&1 >/dev/null || exit
        echo $before $(cut -d ' ' -f 1 /proc/uptime)""")
    assert done.returncode == 0, done
    *lines, times = done.stdout.splitlines()
    before, after = map(float, times.split())
    # Until the rate was corrected the lab's own clock went by the wrong one, and it is read in hundredths.
    as_long_as_up = after - before > 0.997 * before - 0.02
    right = re.fullmatch(r"ok       TSC's rate                     (\d+) kHz", "\n".join(lines))
    if right and abs(int(right[1]) - 1000000) < 250 and not as_long_as_up:
        pytest.skip("this lab's kernel corrects the rate before the first module is loaded")
    told = re.fullmatch(r"lab: KVM takes the TSC's rate for 997000 kHz, and the kernel for (\d+)", lines[0])
    assert abs(int(told[1]) - 1000000) < 250
    said = f"KVM takes it for 997000 kHz, and it is {told[1]}: guests' timers may come late, by minutes; " \
           "unload KVM's modules and load them again"
    assert lines[1:] == [
        f"WRONG    TSC's rate                     {said}",
        "usable, but guests' timers may come late: KVM has the rate of this processor's TSC wrong",
        f"pronto: warn: the TSC's rate: {said}"]
    assert as_long_as_up, times


RATES = """
    dmesg | sed -n 's/.*tsc: Refined TSC clocksource calibration: \\([0-9]*\\)[.]\\([0-9]*\\) MHz/\\1\\2/p'
    "$1" doctor | sed -n "s/^ok *TSC's rate *\\([0-9]*\\) kHz/\\1/p"
    dmesg | grep -c 'TSC rate'"""


@pytest.mark.parametrize("options", [(), ("--smp", "2")], ids=["plain", "smp"])
def test_every_lab_is_right(options):
    check_rates(in_lab("sh", "-c", RATES, "sh", PRONTO, lab=options))


@pytest.mark.long
def test_a_counting_lab_is_right():
    check_rates(counting_lab(script=RATES))


def check_rates(done):
    said = done.stdout.split()
    assert len(said) == 3 and said[0] == said[1] and int(said[2]) == 0, done


# Its status, and the seconds that passed for the lab between the first question for the time and the answer to the second: at
# least, and at most.  It stands still for longer than what Linux takes for a lockup.
STANDS_STILL = """
mkfifo /run/in
exec 3<> /run/in
began=$(date +%s)
"$@" < /run/in > /run/out 2>&1 &
until grep -q "@@ ready echo" /run/out; do kill -0 $! || break; sleep 0.2; done
stopped=$(date +%s)
kill -STOP $!
sleep 25
kill -CONT $!
continued=$(date +%s)
echo go on >&3
wait $!
echo "@@ status $?"
echo "@@ passed $((continued - stopped)) $(($(date +%s) - began))"
cat /run/out
"""


@pytest.mark.parametrize("name", ["cloud", "cloud-newer"])
@pytest.mark.long
def test_stands_still(name):
    """A VM that is stopped and continued has the right time afterwards, and its kernel, which was busy, does not take the time
    that it missed for a lockup."""
    guest = test_linux.kernel(name)
    done = in_lab("sh", "-c", STANDS_STILL, "sh",
                  *test_linux.command(guest.vmlinux, initrd=guest.initramfs, do="busy,time,echo,time,report"))
    out = done.stdout.decode(errors="replace").replace("\r", "")
    assert "@@ status 0\n" in out and "@@ report_ends" in out, out + done.stderr.decode(errors="replace")
    at_least, at_most = (int(text) for text in re.search(r"@@ passed (\d+) (\d+)", out).groups())
    before, after = (int(text) for text in re.findall(r"@@ time (\d+)", out))
    assert at_least - 1 <= after - before <= at_most + 1, out  # whole seconds
    assert "@@ kernel_problem" not in out, out
