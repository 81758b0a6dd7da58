# SPDX-License-Identifier: MIT
"""Virtio consoles and ports under Debian's kernels in the lab: what is said and typed, sizes, who comes and leaves."""

import hashlib
import re
import shlex
import shutil

import pytest

from machines import ROOT, in_lab
from test_linux import BASE, POWEROFF, PRONTO, Guest, Lazy, output, packages

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"),
                                reason="there is no QEMU: install qemu-system-x86")

KERNELS = ["cloud", "cloud-newer"]
# In every run the newer one is enough.
SHORT = [pytest.param("cloud", marks=pytest.mark.long), "cloud-newer"]


def kernel(name):
    if packages.why_not(name):
        pytest.skip(packages.why_not(name))
    guest = Guest(name)
    guest.initramfs = output(str(ROOT / "lab" / "guest" / "mkinitramfs"), name, "--devices")
    return guest


@pytest.fixture(scope="session")
def guests():
    return Lazy(kernel)


def command(guest, do, *options):
    return shlex.join([PRONTO, "run", *options, "-i", guest.initramfs, guest.vmlinuz, "--", f"{BASE} pronto.do={do}"])


def lab_python(script, **kwargs):
    """Run a program in the lab, which prints what it finds; whole lines of it."""
    done = in_lab("python3", "-c", script, **kwargs)
    out = done.stdout.decode(errors="replace").replace("\r", "")
    assert done.returncode == 0, out[-3000:] + done.stderr.decode(errors="replace")[-3000:]
    return out


def facts(text, key):
    return re.findall(rf"^@@ {key} (.*)$", text, re.M)


# A person at a terminal of 100 columns: waits for a text, then does something.
PERSON = """
import fcntl, os, pty, struct, sys, termios, time
command, serial = {command!r}, {serial!r}
pid, fd = pty.fork()
if not pid:
    os.execv("/bin/sh", ["sh", "-c", command])
said = b""

def size(columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

def until(text):
    global said
    while text not in said:
        try:
            said += os.read(fd, 4096)
        except OSError:
            print(said.decode(), open(serial).read())
            raise
{deeds}
try:
    while data := os.read(fd, 4096):
        said += data
except OSError:
    pass
print(said.decode())
print("@@ status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(open(serial).read())
"""


def person(guest, do, deeds, *options):
    argv = command(guest, do, "--hvc", "stdio", "--console", "file:/tmp/serial", *options)
    return lab_python(PERSON.format(command=f"stty cols 100 rows 40; exec {argv}", serial="/tmp/serial", deeds=deeds))


@pytest.mark.parametrize("name", SHORT)
def test_terminal(guests, name):
    """Its size, at first and when it has changed; lines typed and answered; and the guest powers off."""
    out = person(guests[name], "hvc-resized", """
until(b"@@ size")
size(132, 50)
until(b"@@ resized")
os.write(fd, b"first line\\n" + b"second, longer line\\n\\n")
""")
    assert facts(out, "size") == ["40 100"]
    assert facts(out, "resized") == ["50 132"]
    lines = [b"first line\n", b"second, longer line\n"]
    assert facts(out, "line") == [f"{len(line) - 1} {hashlib.md5(line).hexdigest()}  -" for line in lines]
    assert facts(out, "status") == [str(POWEROFF)]
    assert "Hello from user space" in out  # on the serial line, which is a file's


@pytest.mark.long
def test_escape_key(guests):
    out = person(guests["cloud-newer"], "hvc", """
until(b"@@ size")
os.write(fd, b"\\x01x")
""")
    assert facts(out, "status") == ["5"]


@pytest.mark.parametrize("name", SHORT)
def test_default_command_line(guests, name):
    """With the operator at hvc0, that is the console of programs, if its drivers are built in."""
    guest = guests[name]
    argv = [PRONTO, "run", "--hvc", "stdio", "--transport", "pci", "-i", guest.initramfs, guest.vmlinuz]
    told = output(*argv, "--dry-run")
    words = re.search(r"command line: \d+ bytes\n\s+(.*)", told)[1]
    assert words.endswith(" console=hvc0")
    if name == "cloud":  # whose driver is a module
        return
    done = in_lab(*argv, "--", words, "quiet")
    assert done.returncode == POWEROFF, done
    assert b"Hello from user space" in done.stdout


@pytest.mark.long
def test_input_that_is_there_before_the_guest(guests):
    guest = guests["cloud-newer"]
    text = b"typed before the guest was up\n"
    done = in_lab("sh", "-c", command(guest, "hvc", "--hvc", "stdio"), stdin=text + b"\n")
    assert done.returncode == POWEROFF, done
    assert facts(done.stdout.decode().replace("\r", ""), "line") == [f"{len(text) - 1} {hashlib.md5(text).hexdigest()}  -"]


# Who connects, leaves and comes again.
AGENT = """
import hashlib, os, re, socket, subprocess, time
guest = subprocess.Popen({command!r}, shell=True)

def connect():
    client = socket.socket(socket.AF_UNIX)
    client.connect("/tmp/echo")
    return client

def told(text):
    return os.path.exists("/tmp/serial") and text in open("/tmp/serial").read()

while not told("@@ ready ports"):
    assert guest.poll() is None, open("/tmp/serial").read()
    time.sleep(0.1)
connect().close()
client = connect()
data = os.urandom({size})
client.sendall(b"%d\\n" % len(data))
sent = got = b""
client.setblocking(False)
while len(got) < len(data):
    try:
        data_sent = client.send(data[len(sent):])
        sent += data[len(sent):len(sent) + data_sent]
    except BlockingIOError:
        pass
    try:
        got += client.recv(65536)
    except BlockingIOError:
        time.sleep(0.01)
client.setblocking(True)
client.sendall(b"bye\\n")
assert guest.wait() == 0
assert not os.path.exists("/tmp/echo")
print("@@ got", hashlib.md5(got).hexdigest(), got == data)
print("@@ file", hashlib.md5(open("/tmp/log", "rb").read()).hexdigest())
print(open("/tmp/serial").read())
"""


@pytest.mark.parametrize("transport", ["mmio", pytest.param("pci", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", SHORT)
def test_ports(guests, name, transport):
    argv = command(guests[name], "ports", "--console", "file:/tmp/serial", "--transport", transport,
                   "--port", "file:/tmp/log,name=log", "--port", "socket:/tmp/echo,name=echo")
    out = lab_python(AGENT.format(command=argv, size=300000))
    assert sorted(facts(out, "port")) == ["echo", "log"]
    assert facts(out, "file") == [facts(out, "log")[0].split()[0]]
    got, same = facts(out, "got")[0].split()
    assert same == "True"
    assert facts(out, "echo")[0].split()[:2] == ["300000", got]


@pytest.mark.long
def test_throughput(guests):
    """32 KiB of lines: to the serial line a byte is an exit, to a virtio console a piece of them is."""
    done = in_lab("sh", "-c", command(guests["cloud-newer"], "flood", "--hvc", "file:/tmp/hvc", "-v"))
    assert done.returncode == POWEROFF, done
    out = done.stdout.decode().replace("\r", "")
    took = {}
    for line in facts(out, "flood"):
        tty, begin, end, _ = line.split()
        took[tty] = float(end) - float(begin)
    print(took, re.findall(rb"\d+ exits", done.stderr))
    assert took["/dev/hvc0"] * 3 < took["/dev/ttyS0"]
