# SPDX-License-Identifier: MIT
"""Links of network interfaces: what cannot be had is refused, and passt ends with its VM.  Traffic is tests/lab/test_net.py's."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import vm

pytestmark = pytest.mark.kvm


def has_default_route():
    """passt takes addresses from where that leads."""
    routes = pathlib.Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1] == "00000000" for line in routes)


def why_no_namespace():
    done = subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False)
    return done.stderr.decode() if done.returncode else None


needs_passt = pytest.mark.skipif(not shutil.which("passt") or not has_default_route() or bool(why_no_namespace()),
                                 reason="there is no passt, or no default route, or no namespace of one's own, that it could use")
needs_tun = pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="there is no /dev/net/tun")
needs_namespace = pytest.mark.skipif(bool(why_no_namespace()), reason=f"no namespace of one's own: {why_no_namespace()}")


# ---- what is refused ----

@pytest.mark.parametrize("net, says", [
    ("tap=no-such", "there is no interface no-such; make it: `ip tuntap add no-such mode tap"),
    pytest.param("tap=lo", "lo is no tap interface", marks=needs_tun),
    ("fd=77", "descriptor 77 is not open"),
    ("fd=0", "descriptor 0 is not that of a tap interface"),
    ("user,tap=x", "give one of tap=NAME, fd=N and user"),
    ("mtu=1500", "give one of tap=NAME, fd=N and user"),
    ("tap=x,hostfwd=tcp:1:2", "hostfwd and host are for user alone"),
    ("user,hostfwd=tcp:1", "'tcp:1' is not PROTO:[ADDRESS:]PORT:PORT"),
    ("user,hostfwd=tcp:192.0.2.99:5000:2", "192.0.2.99 is no address of the host"),
    ("user,mac=33:00:00:00:00:01", "'33:00:00:00:00:01' is no address of a station"),
    ("user,mac=2:0:0:0:0:1", "'2:0:0:0:0:1' is no address of a station"),
    ("user,mtu=65521", "65520 at most"),
    ("tap=x,mtu=67", "68 to 65535"),
    ("tap=x,rate=1X", "rate: '1X' "),
    ("tap=x,rate=0,ops=0", "there is no interface x"),  # no limit is one that may be said
    ("tap=x,queues=0", "queues: '0' is not a whole number from 1 to 15"),
    ("tap=x,queues=16", "queues: '16' is not a whole number from 1 to 15"),
    ("user,queues=2", "queues is for tap alone"),
    ("fd=3,queues=2", "queues is for tap alone"),
    ("user,vhost", "vhost is for tap and fd alone"),
    ("tap=x,vhost,rate=5M", "rate and ops are not for vhost, where the kernel moves the frames; limit the interface (man tc)"),
    ("tap=x,vhost,ops=5", "rate and ops are not for vhost"),
    pytest.param("tap=lo,queues=2", "lo is no tap interface", marks=needs_tun),
])
def test_refused(run, net, says):
    done = run("poweroff", "--net", net)
    assert (done.status, done.out) == (vm.OPERATOR, ""), done
    assert done.err.startswith("pronto: error: ") and done.err.count("\n") == 1
    assert says in done.err and "--net" in done.err


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_port_in_use(run, kind):
    with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == "tcp":
            taken.listen()
        port = taken.getsockname()[1]
        for where in f"{port}", f"127.0.0.1:{port}":
            done = run("poweroff", "--net", f"user,hostfwd={kind}:{where}:22")
            assert done.status == vm.OPERATOR
            assert f"--net: the host's {kind} port {port} is in use; choose another" in done.err


def test_no_passt(run, tmp_path):
    done = run("poweroff", "--net", "user", env={"PATH": str(tmp_path)})
    assert done.status == vm.OPERATOR
    assert "there is no passt on this host; install it (Debian: the package passt)" in done.err


# ---- taps, in a network of one's own ----

# Attach with the flags that argv[1] has, to a new interface, and bring it up; exec the rest with its descriptor as 5.
ATTACH = """
import fcntl, os, socket, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tap5", int(sys.argv[1], 0)))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"tap5", 1))
os.dup2(fd, 5)
if fd != 5:
    os.close(fd)
os.execvp(sys.argv[2], sys.argv[2:])
"""
TAP, NO_PI, VNET_HDR = 0x0002, 0x1000, 0x4000


def attached(box, flags, *options, guest="poweroff", around=(), timeout=vm.TIMEOUT):
    process = vm.Vm(box, ["unshare", "-Urn", sys.executable, "-c", ATTACH, hex(flags), *around,
                          vm.PRONTO, "run", *options, vm.guest(guest)])
    return process.wait(timeout)


@needs_namespace
def test_descriptor(box):
    done = attached(box, TAP | NO_PI | VNET_HDR, "--net", "fd=5")
    assert (done.status, done.err) == (vm.POWEROFF, "")


@needs_namespace
def test_descriptor_without_headers(box):
    done = attached(box, TAP | NO_PI, "--net", "fd=5")
    assert done.status == vm.OPERATOR
    assert "--net: descriptor 5: tap5 was attached without IFF_VNET_HDR" in done.err


@needs_namespace
def test_tun_is_no_tap(box):
    done = attached(box, 0x0001 | NO_PI | VNET_HDR, "--net", "fd=5")
    assert done.status == vm.OPERATOR
    assert "descriptor 5 is not that of a tap interface" in done.err


@needs_namespace
def test_tap_in_use(box):
    # By its parent: pronto itself closes what no option names.
    done = attached(box, TAP | NO_PI | VNET_HDR, "--net", "tap=tap5", around=["sh", "-c", '"$@"; exit $?', "sh"])
    assert done.status == vm.OPERATOR
    assert "--net: tap5 is in use: another program is attached to it" in done.err


# A persistent interface of user 12345's; exec the rest.
ADD = """
import fcntl, os, struct, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tap5", 0x1002))
fcntl.ioctl(fd, 0x400454cc, 12345)
fcntl.ioctl(fd, 0x400454cb, 1)
os.close(fd)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@needs_tun
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give an interface to somebody")
def test_tap_of_another_user(box):
    done = vm.Vm(box, ["unshare", "-n", sys.executable, "-c", ADD, "setpriv", "--bounding-set=-net_admin",
                       vm.PRONTO, "run", "--net", "tap=tap5", vm.guest("poweroff")]).wait()
    assert (done.status, done.err) == (vm.OPERATOR, (
        "pronto: error: --net: tap5 belongs to another user; give it to this one: `ip tuntap del tap5 mode tap; ip tuntap add "
        "tap5 mode tap user USER`\n"))


@needs_tun
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_no_taps_at_all(box):
    hide = 'mount -t tmpfs none /dev/net && exec "$@"'
    done = vm.Vm(box, ["unshare", "-m", "sh", "-c", hide, "sh", vm.PRONTO, "run", "--net", "tap=lo", vm.guest("poweroff")]).wait()
    assert (done.status, done.err) == (
        vm.OPERATOR, "pronto: error: --net: /dev/net/tun: No such file or directory; say `modprobe tun`\n")


# As ATTACH, but the interface stays when nobody is attached any more.
PERSIST = ATTACH.replace("os.dup2(fd, 5)", "fcntl.ioctl(fd, 0x400454cb, 1); os.close(fd); fd = 5")
MULTI_QUEUE = 0x0100


def with_tap(box, flags, *options, guest="poweroff"):
    process = vm.Vm(box, ["unshare", "-Urn", sys.executable, "-c", PERSIST, hex(TAP | NO_PI | VNET_HDR | flags),
                          vm.PRONTO, "run", *options, vm.guest(guest)])
    return process.wait(vm.TIMEOUT)


@needs_namespace
@pytest.mark.parametrize("flags, net", [(0, "tap=tap5"), (MULTI_QUEUE, "tap=tap5"), (MULTI_QUEUE, "tap=tap5,queues=2"),
                                        (MULTI_QUEUE, "tap=tap5,queues=15")])
def test_tap(box, flags, net):
    done = with_tap(box, flags, "--net", net)
    assert (done.status, done.err) == (vm.POWEROFF, "")


@needs_namespace
def test_tap_of_one_queue(box):
    done = with_tap(box, 0, "--net", "tap=tap5,queues=2")
    assert done.status == vm.OPERATOR
    assert done.err == ("pronto: error: --net: tap5 has one queue; make it with several: `ip tuntap del tap5 mode tap; "
                        "ip tuntap add tap5 mode tap multi_queue user USER`\n")


@needs_namespace
@pytest.mark.skipif(os.path.exists("/dev/vhost-net"), reason="there is /dev/vhost-net here")
def test_no_vhost(box):
    done = with_tap(box, 0, "--net", "tap=tap5,vhost")
    assert done.status == vm.OPERATOR
    assert done.err == "pronto: error: --net: there is no /dev/vhost-net on this host; as root say `modprobe vhost_net`\n"


# ---- passt's life ----

def children(box, process):
    return [pid for pid in box.processes() if pid != process.pid]


@pytest.fixture
def running(box, start):
    """A guest that waits for its console, and its passt's process."""
    process = start("echo", "--net", "user", stdin=subprocess.PIPE)
    process.expect("\n")
    vm.wait_until(lambda: len(children(box, process)) == 1, what="passt")
    return process, children(box, process)[0]


@needs_passt
def test_ends_with_the_guest(run):
    done = run("poweroff", "--net", "user")
    assert (done.status, done.err) == (vm.POWEROFF, "")


@needs_passt
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_ends_when_killed(box, running, number):
    process, passt = running
    process.signal(number)
    process.wait()
    vm.wait_until(lambda: not pathlib.Path(f"/proc/{passt}/environ").exists() or vm.has_status(passt, "ZX"),
                  what="passt's end")
    assert box.processes() == []


@needs_passt
def test_killed_itself(running):
    """The guest goes on; the log says it, once."""
    process, passt = running
    os.kill(passt, signal.SIGKILL)
    process.expect("signal 9", where="err")
    assert process.err == b"pronto: error: net: passt was ended by signal 9 (Killed); the guest's link is down\n"
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGTERM)
    assert process.wait().status == vm.KILLED


@pytest.fixture
def fake(tmp_path):
    """A passt that does as it is written."""
    def make(script):
        path = tmp_path / "bin" / "passt"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        path.chmod(0o755)
        return {"PATH": f"{path.parent}:{os.environ['PATH']}"}
    return make


def test_fails_later(start, fake):
    """With its last words, when the guest runs already; the guest goes on."""
    process = start("echo", "--net", "user", stdin=subprocess.PIPE,
                    env=fake("echo Something >&2; echo There is no way out >&2; exit 1"))
    process.expect("the guest's link is down", where="err")
    assert process.err == (b"pronto: error: net: passt has ended with status 1: There is no way out; "
                           b"the guest's link is down\n")
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGTERM)
    assert process.wait().status == vm.KILLED


@pytest.mark.parametrize("net, says", [
    ("user", "-m 65520 --no-map-gw -t none -u none"),
    ("user,host,mtu=1400", "-m 1400 -t none -u none"),
    ("user,hostfwd=tcp:40022:22", "-m 65520 --no-map-gw -t 40022:22 -u none"),
    ("user,hostfwd=udp:127.0.0.1:40053:53,hostfwd=tcp:40022:22",
     "-m 65520 --no-map-gw -u 127.0.0.1/40053:53 -t 40022:22"),
])
def test_command(start, fake, net, says):
    process = start("echo", "--net", net, stdin=subprocess.PIPE, env=fake('echo "$@" >&2; exit 1'))
    process.expect("the guest's link is down", where="err")
    assert f"status 1: -f -q -F 3 {says};".encode() in process.err
