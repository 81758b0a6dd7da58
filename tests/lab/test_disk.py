# SPDX-License-Identifier: MIT
"""Disks under Debian's virtio_blk in the lab: what is written is there, also after the worst moment for the VMM to die.

Images are made in the lab, and looked at there when the guest has ended.
"""

import collections
import os
import pathlib
import re
import shutil

import pytest

from machines import ROOT, in_lab, kernel_with_devices, packages

PRONTO = pathlib.Path(os.environ.get("PRONTO", ROOT / "build" / "pronto")).resolve()
BASE = "console=ttyS0 reboot=a panic=-1 cryptomgr.notests quiet"
E2FSCK_CLEAN, KILLED_BY_9 = 0, 137

pytestmark = [
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86"),
    pytest.mark.skipif(not shutil.which("mkfs.ext4", path=os.environ["PATH"] + ":/usr/sbin:/sbin"),
                       reason="there is no mkfs.ext4: install e2fsprogs"),
]

SETUP = """
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
say() { echo "@@ $*"; }
ext4() { truncate -s "$2" "$1" && mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$1"; }
check() { e2fsck -fn "$1" > /tmp/fsck 2>&1; say fsck "$?"; }
cd /tmp
"""

Done = collections.namedtuple("Done", "out err facts status")


class Lazy(dict):
    def __missing__(self, name):
        self[name] = kernel_with_devices(name)
        return self[name]


@pytest.fixture(scope="session")
def guests():
    return Lazy()


def pronto(guest, do, *options, words=""):
    """The command, for a shell, which may have "$variables" in its options."""
    kernel, initrd = guest
    return f'{PRONTO} run -m 256M -i {initrd} {" ".join(options)} {kernel} -- "{BASE} {words} pronto.do={do}"'


def run(script, seconds=600, **kwargs):
    done = in_lab("sh", "-c", SETUP + script, seconds=seconds, cwd="/", **kwargs)
    out = done.stdout.decode(errors="replace").replace("\r", "")
    facts = collections.defaultdict(list)
    for key, value in re.findall(r"^@@ (\S+) ?(.*)$", out, re.M):
        facts[key].append(value)
    done = Done(out, done.stderr.decode(errors="replace"), facts, done.returncode)
    assert done.status == 0, explain(done)
    assert facts["kernel_problem"] == [], explain(done)
    return done


def explain(done):
    return f"status {done.status}\n{done.out[-4000:]}\n{done.err[-3000:]}"


def rows(done, key):
    """The lines of one kind, by their first word."""
    result = collections.defaultdict(list)
    for line in done.facts[key]:
        name, _, rest = line.partition(" ")
        result[name].append(rest)
    return result


@pytest.mark.parametrize("name", [pytest.param("cloud", marks=pytest.mark.long), "cloud-newer"])
def test_kinds_of_disks(guests, name):
    """One that is only read, one that is written to by two queues, one that is covered."""
    command = pronto(guests[name], "devices,disks,read-together,write,cache", "-c 2",
                     "--disk /tmp/ro,ro,serial=ABC-7", "--disk /tmp/plain,queues=2", "--disk /tmp/covered,overlay,engine=sync")
    done = run(f"""
        dd if=/dev/urandom of=ro bs=1M count=3 2> /dev/null
        ext4 plain 64M
        cp plain covered
        say room "$(du -k plain | cut -f 1)"
        for disk in ro plain covered; do say before "$disk $(md5sum < $disk)"; done
        {command} || say failed
        for disk in ro covered; do say after "$disk $(md5sum < $disk)"; done
        check plain
        say room "$(du -k plain | cut -f 1)"
        """)
    facts, before, after = done.facts, rows(done, "before"), rows(done, "after")
    assert facts["failed"] == [] and done.err == "", explain(done)
    assert [line.split()[3] for line in facts["virtio"] if line.split()[2] == "virtio_blk"] == ["0x0000000f"] * 3
    disks = rows(done, "disk")
    assert disks["vda"] == ["6144 1 write back write back ABC-7"]
    assert [disks[d] for d in ("vdb", "vdc")] == [["131072 0 write back write back "]] * 2
    # What the guest reads is what is there, by one processor or two at once.
    sums, together = rows(done, "sum"), collections.defaultdict(list)
    for line in facts["together"]:
        together[line.split()[1]].append(" ".join(line.split()[2:]))
    for disk, file in ("vda", "ro"), ("vdb", "plain"), ("vdc", "covered"):
        assert [s.split() for s in sums[disk] + together[disk]] == [before[file][0].split()] * 3, explain(done)
    # What it writes is there; what it removes takes no room.
    written = {line.split()[0]: line.split()[1::2] for line in facts["written"]}
    assert set(written) == {"vdb", "vdc"} and all(one == other for one, other in written.values()), explain(done)
    room = [int(kib) for kib in facts["room"]]
    assert room[1] < room[0] + 1024
    assert facts["fsck"] == [str(E2FSCK_CLEAN)]
    assert (before["ro"], before["covered"]) == (after["ro"], after["covered"])
    assert facts["cache"] == ["vdb write through", "vdb write back"]
    assert facts["queues"] == ["vdb 2"]


BUSYBOX = packages.within(packages.get("busybox"), "bin/busybox") if not packages.why_not("busybox") else "busybox"

# A device that gives an error from its 2nd to its 4th MiB, over a loop device.
DEVICE_MAPPER = """
    for module in $(find %(packages)s/ -path "*/$(uname -r)/*" -name dm-mod.ko); do %(busybox)s insmod "$module"; done
    truncate -s 8M under
    under=$(losetup -f --show /tmp/under)
    printf '0 4096 linear %%s 0\\n4096 4096 error\\n8192 8192 linear %%s 8192\\n' "$under" "$under" | dmsetup create faulty || say lacks dmsetup
    dmsetup mknodes
"""


@pytest.mark.long
def test_hosts_errors(guests):
    """The host's storage is full, or fails: that part is an I/O error, the rest is as it was, the VM lives.  Block devices, too, one
    of whose blocks are 4 KiB."""
    setup = DEVICE_MAPPER % {"packages": ROOT / ".cache" / "packages", "busybox": BUSYBOX}
    command = pronto(guests["cloud-newer"], "modules,patterns", "--disk /tmp/full/image", "--disk $large,direct",
                     "--disk /dev/mapper/faulty,direct", "--disk /tmp/image,engine=sync", "--disk /tmp/image2,overlay",
                     words="loglevel=1")
    done = run(f"""
        {setup}
        mkdir full
        mount -t tmpfs -o size=5m,huge=never none full
        truncate -s 8M full/image large image image2
        large=$(losetup -b 4096 -f --show /tmp/large)
        {command} || say failed
        {PRONTO} run --disk "$large" --disk "$large" {guests["cloud-newer"][0]}; say twice "$?"
        """)
    facts = done.facts
    if facts["lacks"]:
        pytest.skip(f"the lab has no {facts['lacks'][0]}")
    assert facts["failed"] == [], explain(done)
    blocks = rows(done, "blocks")
    assert blocks["vda"] == ["512 4096 "] and blocks["vdb"][0].split()[0] == "4096", explain(done)
    patterns = {tuple(line.split()[:2]): line.split(" ", 2)[2] for line in facts["pattern"]}
    good, failed = "wrote 0, same", "wrote 1, other"
    for disk, states in {"vda": (good, good, failed, failed), "vdb": (good,) * 4, "vdc": (good, failed, good, good),
                         "vdd": (good,) * 4, "vde": (good,) * 4}.items():
        seen = tuple(patterns[disk, at] for at in ("0", "2", "4", "6"))
        assert seen == states, (disk, explain(done))
    assert facts["pattern"][-1] == f"vda 0 {good}"  # where there is room it goes on
    warnings = re.findall(r"^pronto: warn: (\S+): (?:writing|reading) \d+ bytes at \d+: (.*)$", done.err, re.M)
    assert set(warnings) == {("/tmp/full/image", "No space left on device; the guest is told of an I/O error"),
                             ("/dev/mapper/faulty", "Input/output error; the guest is told of an I/O error")}, explain(done)
    assert facts["twice"] == ["2"]
    assert done.err.endswith(": the host uses it (it is mounted, or a part of something that is)\n"), explain(done)


# A device that works for three seconds and fails for one, by turns.
FLAKY = """
    for name in dm-mod dm-flakey; do
        %(busybox)s insmod "$(find %(packages)s/ -path "*/$(uname -r)/*" -name $name.ko)" || say lacks $name
    done
    truncate -s 8M under
    printf '0 16384 flakey %%s 0 3 1\\n' "$(losetup -f --show /tmp/under)" | dmsetup create flaky || say lacks dmsetup
    dmsetup mknodes
"""


@pytest.mark.long
@pytest.mark.parametrize("engine", ["uring", "sync"])
def test_host_that_fails_by_turns(guests, engine):
    """Under load: each write that is told to be well is there, the others are errors, and the VM lives."""
    setup = FLAKY % {"packages": ROOT / ".cache" / "packages", "busybox": BUSYBOX}
    command = pronto(guests["cloud-newer"], "modules,flaky", "-c 2", f"--disk /dev/mapper/flaky,direct,queues=2,engine={engine}",
                     words="loglevel=1")
    done = run(f"""
        {setup}
        {command} || say failed
        """)
    if done.facts["lacks"]:
        pytest.skip(f"the lab has no {done.facts['lacks'][0]}")
    assert done.facts["failed"] == [], explain(done)
    assert sorted(done.facts["flaky"]) == [f"{at} other 0" for at in range(4)], explain(done)
    warnings = re.findall(r"^pronto: (.*)$", done.err, re.M)
    assert warnings and all(re.fullmatch(r"warn: /dev/mapper/flaky: (writing|reading|flushing)( \d+ bytes at \d+)?: Input/output error; "
                                         "the guest is told of an I/O error", w) for w in warnings), explain(done)


@pytest.mark.long
def test_drivers_leave(guests):
    """While they are at it; and come again."""
    command = pronto(guests["cloud-newer"], "modules,rebind-disks", "-c 2", "--disk /tmp/one,queues=2", "--disk /tmp/two,engine=sync",
                     words="loglevel=1")
    done = run(f"""
        for disk in one two; do dd if=/dev/urandom of=$disk bs=1M count=3 2> /dev/null; done
        {command} || say failed
        """)
    assert done.facts["failed"] == [] and done.err == "", explain(done)
    assert done.facts["rebound"] == ["same"], explain(done)


KILL = r"""
ext4 image 64M
loop=$(losetup -f --show /tmp/image)
say before "$(md5sum < image)"
random=%(seed)d
n_told=0
for round in $(seq %(rounds)d); do
    %(append)s > /run/out 2> /run/err &
    pid=$!
    n=0
    until grep -q '^@@ record ' /run/out; do
        n=$((n + 1))
        if [ "$n" -gt 600 ] || ! kill -0 $pid 2> /dev/null; then say stuck "$(tail -n 30 /run/out /run/err)"; exit 0; fi
        sleep 0.1
    done
    random=$(((random * 1103515245 + 12345) %% 2147483648))
    sleep "$((random / 65536 %% 2)).$((random / 16384 %% 900 + 100))"
    kill -9 $pid
    wait $pid
    say killed "$?"
    tr -d '\r' < /run/out | grep '^@@ records ' || say stuck "$(cat /run/out)"
    # The last line may be cut.
    say told "$(tr -d '\r' < /run/out | sed -n 's/^@@ record \([0-9]*\)$/\1/p' | sed '$d' | tail -n 1)"
    cat /run/err
done
%(check)s || say failed
%(after)s
"""


@pytest.mark.parametrize("rounds", [2, 17])
@pytest.mark.parametrize("kind", ["plain", "device", "overlay"])
@pytest.mark.long
def test_killed(guests, kind, rounds):
    """SIGKILL at any moment: what the guest was told to be on stable storage is there, and its journal recovers the rest."""
    disk = {"plain": "/tmp/image", "device": "$loop,direct,engine=sync", "overlay": "/tmp/image,overlay=/tmp/kept"}[kind]
    guest = guests["cloud-newer"]
    after = "check image" if kind != "overlay" else 'say after "$(md5sum < image)"'
    done = run(KILL % {"seed": 1234 + rounds, "rounds": rounds, "append": pronto(guest, "modules,records", f"--disk {disk}"),
                       "check": pronto(guest, "modules,check-records,check-records", f"--disk {disk}"), "after": after},
               seconds=300 + 120 * rounds)
    facts = done.facts
    assert facts["stuck"] == [] and facts["failed"] == [], explain(done)
    assert facts["killed"] == [str(KILLED_BY_9)] * rounds
    # At each start: what is there. Of each round: the number of the last that it told of for sure.
    found, told = [int(n) for n in facts["records"]], [int(n) if n else -1 for n in facts["told"]]
    assert len(told) == rounds and len(found) == rounds + 2
    assert found[0] == 0 and found[-1] == found[-2]
    for last, n in zip(told, found[1:]):
        assert n > last, explain(done)
    assert found == sorted(found) and max(told) > 0, explain(done)
    if kind == "overlay":
        assert facts["after"] == facts["before"]
    else:
        assert facts["fsck"] == [str(E2FSCK_CLEAN)], explain(done)


@pytest.mark.long
def test_restart_while_busy(guests):
    """The guest resets in the middle of its writing: its next life is on the same disk, and finds it in order."""
    command = pronto(guests["cloud-newer"], "modules,reset-busily", "--on-reboot restart", "--disk /tmp/image,queues=2")
    done = run(f"""
        ext4 image 64M
        {command} || say failed
        check image
        """)
    assert done.facts["failed"] == [], explain(done)
    assert done.facts["life"] == ["1", "2", "3"], explain(done)
    assert int(done.facts["records"][0]) > 0
    assert done.facts["fsck"] == [str(E2FSCK_CLEAN)], explain(done)
