# SPDX-License-Identifier: MIT
"""A directory of the host as a Debian kernel's root file system, in the lab: a command, a shell on a terminal, and what is left."""

import os
import re
import shutil

import pytest

from labkit.kernel import Kernel
from machines import in_lab, packages
from test_console import PERSON
from test_linux import PRONTO
from test_share import WITH_VIRTIOFSD

pytestmark = [pytest.mark.timeout(900), WITH_VIRTIOFSD, pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="there is no QEMU: install qemu-system-x86")]

# As the kernel has them; what is built in is not among them.
MODULES = ("virtio_mmio", "virtio_pci", "virtiofs", "overlay", "virtio_rng", "virtio_console")
APPLETS = ("cat", "dd", "find", "grep", "hostname", "id", "ls", "mount", "ps", "pwd", "sh", "sleep", "stty", "tty", "uname")

LIST = """find /tmp/root -printf "%p %m %s %T@ %C@\\n" | sort"""


def kernel(name):
    if packages.why_not(name):
        pytest.skip(packages.why_not(name))
    return Kernel(packages.get(name))


@pytest.fixture
def root(tmp_path):
    """busybox, and what a root file system has beside."""
    for name in ("bin", "dev", "home/me", "proc", "run", "sys", "tmp"):
        (tmp_path / "root" / name).mkdir(parents=True)
    shutil.copy(packages.within(packages.get("busybox"), "bin/busybox"), tmp_path / "root" / "bin")
    for name in APPLETS:
        (tmp_path / "root" / "bin" / name).symlink_to("busybox")
    return tmp_path / "root"


def lab(script, root, guest, *options):
    """Run SCRIPT in the lab, where "$@" is pronto with a root directory of the lab's own, and a place in it to run from."""
    guest.install(MODULES, root)
    prepare = f"cp -a {root} /tmp/root; cd /tmp/root/home/me; {LIST} > /tmp/before\n"
    left = f"\n{LIST} | diff /tmp/before - | sed 's/^/@@ changed /'; while pgrep virtiofsd; do sleep 0.2; done; echo @@ no daemon"
    done = in_lab("sh", "-c", prepare + script + left, "sh", PRONTO, "run", *options, guest.vmlinuz, seconds=600,
                  env={**os.environ, "TERM": "vt220"})
    out = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    assert done.returncode == 0, out
    return out


RUN = """"$@"; echo "@@ status $?" """

# What the guest can do, and what of it is there afterwards.
DEEDS = """
uname -r; id -u; hostname; pwd; tty; echo "home $HOME term $TERM"
grep " / " /proc/mounts
for at in /home/me /etc /; do echo text > $at/new && cat $at/new; done
for at in dev proc run sys tmp dev/pts dev/shm; do grep -c " /$at " /proc/mounts; done
for at in run tmp dev/shm; do echo text > /$at/file && cat /$at/file; done
ls /sys/bus/virtio/devices /dev/fd/ /modules
exit 42
"""


@pytest.mark.parametrize("name, transport", [
    ("cloud", "mmio"), pytest.param("cloud", "pci", marks=pytest.mark.long),
    pytest.param("cloud-newer", "mmio", marks=pytest.mark.long), pytest.param("cloud-newer", "pci", marks=pytest.mark.long)])
def test_command(root, name, transport):
    """Its output comes as it is, its status is pronto's, and what it wrote is gone."""
    guest = kernel(name)
    out = lab(RUN, root, guest, "--root", "/tmp/root", "--transport", transport, "--exec", DEEDS.replace("\n", "; ").strip("; "))
    assert out.startswith(f"{guest.release}\n0\npronto\n/home/me\n/dev/ttyS0\nhome /root term linux\nroot / overlay rw,"), out
    assert "\ntext\nsh: can't create /etc/new: nonexistent directory\ntext\n" + "1\n" * 7 + "text\n" * 3 in out
    assert "ls: /modules: No such file or directory\n" in out
    assert "virtio0  virtio1\n" in out
    assert out.endswith("@@ status 42\n@@ no daemon\n")
    assert "init: " not in out and "pronto: " not in out


@pytest.mark.long
@pytest.mark.parametrize("access, writes", [("ro", False), ("rw", True)])
def test_access(root, access, writes):
    """Read-only it stays as it is, and so the guest sees it; else what is written is the directory's."""
    command = "grep ' / ' /proc/mounts; echo text > /home/me/new; echo done"
    out = lab(RUN, root, kernel("cloud-newer"), "--root", f"/tmp/root,{access}", "--exec", command)
    assert f"root / virtiofs {access}," in out, out
    assert ("sh: can't create /home/me/new: Read-only file system\n" in out) != writes
    changed = set(re.findall("@@ changed > (/[^ ]*)", out))
    assert changed == ({"/tmp/root/home/me", "/tmp/root/home/me/new"} if writes else set())
    assert "done\n" in out and "@@ status 0\n@@ " in out


@pytest.mark.parametrize("options, terminal", [
    ((), "/dev/ttyS0"), pytest.param(("--hvc", "stdio"), "/dev/hvc0", marks=pytest.mark.long)])
def test_shell(root, tmp_path, options, terminal):
    """A person at a terminal: keys that stop and end a program, jobs, and the end of the shell, which is the machine's."""
    deeds = """
size(100, 50)
until(b"# ")
os.write(fd, b"tty; stty size; echo term $TERM; id -u; pwd\\n")
until(b"home/me\\r\\n")
# What it prints says that it is in the foreground; the echo of what was typed does not.
os.write(fd, b"sh -c 'echo stop $((40 + 2)); sleep 1000'\\n")
until(b"stop 42")
os.write(fd, b"\\x1a")
until(b"Stopped")
os.write(fd, b"kill -9 %1; sh -c 'echo end $((40 + 2)); cat'\\n")
until(b"end 42")
os.write(fd, b"\\x03")
until(b"^C")
os.write(fd, b"echo last $((40 + 2)); echo text > /new; exit 3\\n")
"""
    script = tmp_path / "person.py"
    script.write_text(PERSON.replace("{deeds}", deeds).replace("{command!r}, {serial!r}", "sys.argv[1], '/dev/null'"))
    out = lab(f"""python3 {script} "$*" """, root, kernel("cloud-newer"), "--root", "/tmp/root", *options).replace("\r", "")
    assert f"{terminal}\n50 100\nterm vt220\n0\n/home/me\n" in out, out
    assert re.search(r"\[1\]\+  Stopped +sh -c ", out)
    assert "\nlast 42\n" in out
    # The shell's own status is nobody's business.
    assert "@@ status 0\n" in out and "@@ no daemon\n" in out and "@@ changed" not in out


# Debian 13's daemon, with the libraries it was built for, and a user who may use KVM.
SOMEBODY = """
for kernel; do :; done
cp "$1" /tmp/pronto; cp "$kernel" /tmp/kernel; cp -r {tree} /tmp/daemon
mkdir -p /usr/libexec
cat > /usr/libexec/virtiofsd << 'END'
#!/bin/sh
at=/tmp/daemon/usr
exec $at/lib64/ld-linux-x86-64.so.2 --library-path $at/lib/x86_64-linux-gnu $at/libexec/virtiofsd "$@"
END
chmod 755 /usr/libexec/virtiofsd; chmod 666 /dev/kvm; chown -R 1000:1000 /tmp/root
somebody() {{
    setpriv --reuid=1000 --regid=1000 --clear-groups /tmp/pronto run -m 512M "$@" /tmp/kernel
    echo "@@ status $?"
}}
{list} > /tmp/before
"""


@pytest.mark.long
def test_without_root(root):
    """Whoever may use KVM may have a directory as root, and the host's own: read by the user's rights, written by nobody."""
    if packages.why_not("virtiofsd"):
        pytest.skip(packages.why_not("virtiofsd"))
    script = SOMEBODY.format(tree=packages.get("virtiofsd"), list=LIST) + """
        somebody --root /tmp/root --exec "id -u; echo text > /new && cat /new; exit 9"
        somebody --root /,modules=/tmp/root --exec "id -u; head -c1 /etc/shadow; ls -d /proc/1; echo text > /etc/new && cat /etc/new"
        ls /etc/new
        sysctl -qw kernel.unprivileged_userns_clone=0
        somebody --root /tmp/root --exec "id -u"
        """
    out = lab(script, root, kernel("cloud-newer"))
    assert "0\ntext\n@@ status 9\n" in out, out
    assert ("0\nhead: cannot open '/etc/shadow' for reading: Permission denied\n/proc/1\ntext\n@@ status 0\n") in out
    assert "ls: cannot access '/etc/new': No such file or directory\n" in out
    assert re.search(r"pronto: error: --share: /tmp/root: /usr/libexec/virtiofsd has ended with status 1: .*Error entering sandbox: "
                     r".*Operation not permitted", out)
    assert "@@ status 2\n" in out and "@@ no daemon\n" in out and "@@ changed" not in out and "init: " not in out


@pytest.mark.long
def test_own_init(root):
    """Pid 1 is whose the operator says."""
    (root / "bin" / "mine").write_text("#!/bin/sh\necho pid $$ of $(hostname); mount -o remount,rw /; echo o > /proc/sysrq-trigger\n"
                                       "while :; do sleep 1; done\n")
    (root / "bin" / "mine").chmod(0o755)
    out = lab(RUN, root, kernel("cloud-newer"), "--root", "/tmp/root,init=/bin/mine")
    assert "pid 1 of pronto" in out, out
    assert "@@ status 0\n" in out


@pytest.mark.long
def test_no_root(root):
    """A kernel that does not find it says why, and the machine ends as after a panic."""
    guest = kernel("cloud")
    lists = f"/tmp/root/lib/modules/{guest.release}"
    # By its lists it has all that it needs built in.
    script = f"""for name in virtio_mmio virtiofs overlay; do echo $name.ko; done > {lists}/modules.builtin; : > {lists}/modules.dep
        """
    out = lab(script + RUN, root, guest, "--root", "/tmp/root")
    assert ("init: cannot mount the host's directory (virtiofs): no such device; the kernel has no virtiofs: build it with "
            "CONFIG_VIRTIO_FS=y, or install its modules") in out
    assert "@@ status 3\n" in out
