# SPDX-License-Identifier: MIT
"""What cannot work is refused: one line that names the file or option, a status of its own, nothing left.

The kernel files themselves are test_kernels.py's; here they are run, not only looked at.
"""

import os
import pathlib
import re
import resource
import shutil
import signal
import stat

import pytest

import kernels
import machines
import vm

NOBODY = 65534
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take rights away, or mount")


def refused(result, status, *names):
    """The one line, of which `names` are parts."""
    assert result.status == status, result
    assert result.out == ""
    assert re.fullmatch(r"pronto: error: [^\n]{10,400}\n", result.err), result.err
    for name in names:
        assert str(name) in result.err
    return result.err


# ---- kernel files ----

@pytest.mark.kvm
@pytest.mark.parametrize("name", [n for n, case in kernels.CASES.items() if case.boots])
def test_good_kernels_run(run, tmp_path, name):
    (tmp_path / name).write_bytes(kernels.CASES[name].make())
    result = run(tmp_path / name, left=cached(tmp_path))
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "ok\n", "")


@pytest.mark.kvm
@pytest.mark.parametrize("name", [n for n, case in kernels.CASES.items() if case.shim])
def test_kernels_run_through_shim(run, tmp_path, name):
    """In long mode, where the shim took them."""
    (tmp_path / name).write_bytes(kernels.CASES[name].make())
    result = run(tmp_path / name, left=cached(tmp_path))
    assert (result.status, result.out, result.err) == (vm.POWEROFF, "ok\n", "")


class cached(list):
    """What is in the cache is no litter."""

    def __init__(self, tmp_path):
        super().__init__()
        self.place = tmp_path / "box" / "cache" / "pronto"

    def __iter__(self):
        return iter([f"cache/pronto/{f.name}" for f in self.place.glob("*.elf")])


@pytest.mark.parametrize("name", [n for n, case in kernels.CASES.items() if not case.boots and not case.shim])
def test_bad_kernels_do_not(run, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(kernels.CASES[name].make())
    # A kernel that unpacks well and has no PVH entry is cached like any other.
    left = cached(tmp_path) if name.endswith("-no-note") else []
    result = run(path, left=left, timeout=30)
    assert re.search(kernels.CASES[name].says, refused(result, vm.OPERATOR, path))


@pytest.mark.parametrize("make, reason", [
    (lambda p: None, "No such file"),
    (lambda p: p.mkdir(), "is a directory"),
    (os.mkfifo, "is a FIFO"),
    (lambda p: p.symlink_to(p), "symbolic links"),
    (lambda p: p.symlink_to("/dev/null"), "is a device"),
    (lambda p: p.write_bytes(b""), "is empty"),
], ids=["missing", "directory", "fifo", "loop", "device", "empty"])
@pytest.mark.parametrize("what", ["kernel", "initrd"])
def test_no_regular_file(run, tmp_path, make, reason, what):
    path = tmp_path / "file"
    make(path)
    result = run(path) if what == "kernel" else run("poweroff", "-i", path)
    assert reason in refused(result, vm.OPERATOR, path)


@pytest.mark.parametrize("name", [
    pytest.param("new\nline", id="newline"), pytest.param("escape\x1b[31m", id="escape"),
    pytest.param("x" * 250, id="long"),
    pytest.param("/".join("x" * 250 for _ in range(20)), id="very-long"), pytest.param("x/" * 9999, id="huge")])
@pytest.mark.parametrize("what", ["kernel", "initrd"])
def test_odd_names(run, tmp_path, name, what):
    """A name must not be able to look like a message, nor to hide the reason."""
    path = tmp_path / name
    result = run(path) if what == "kernel" else run("poweroff", "-i", path)
    assert result.status == vm.OPERATOR
    assert re.fullmatch(r"pronto: error: [^\x00-\x1f\x7f]*(No such file|name is too long)[^\x00-\x1f\x7f]*\n", result.err)


@pytest.fixture
def as_nobody(box, tmp_path):
    """Run pronto as a user who owns nothing, from places that this user may see."""
    place = pathlib.Path("/tmp") / f"pronto-test-{os.getpid()}"
    place.mkdir()
    for source in vm.PRONTO, pathlib.Path(vm.guest("poweroff")):
        shutil.copy(source, place)
    place.chmod(0o755)
    for directory in [box.path, *box.path.iterdir()]:
        os.chown(directory, NOBODY, NOBODY)

    def run_as_nobody(*argv):
        argv = [str(a).replace("POWEROFF", str(place / "poweroff.elf")) for a in argv]
        result = vm.Vm(box, [place / "pronto", *argv], cwd="/", user=NOBODY, group=NOBODY, extra_groups=[]).wait()
        assert box.files() == [] and box.processes() == []
        return result
    run_as_nobody.place = place
    yield run_as_nobody
    shutil.rmtree(place)


@ROOT_ONLY
@pytest.mark.parametrize("what", ["kernel", "initrd", "config"])
def test_unreadable_file(as_nobody, what):
    path = as_nobody.place / "secret"
    path.write_bytes(b"x" * 100)
    path.chmod(0)
    argv = {"kernel": ["run", path], "initrd": ["run", "-i", path, "POWEROFF"],
            "config": ["run", "--config", path, "POWEROFF"]}[what]
    assert "Permission denied" in refused(as_nobody(*argv), vm.OPERATOR, path)


# ---- sizes ----

@pytest.mark.parametrize("initrd, memory", [(20 << 30, "256M"), (33 << 20, "32M"), (31 << 20, "32M"),
                                            (3 << 30, "5G"), (1 << 62, "256M")])
def test_initrd_too_large(run, tmp_path, initrd, memory):
    path = tmp_path / "initrd"
    path.touch()
    try:
        os.truncate(path, initrd)
    except OSError as err:
        pytest.skip(f"this file system has no such files: {err.strerror}")
    refused(run("poweroff", "-m", memory, "-i", path), vm.OPERATOR, "initrd")


@pytest.mark.kvm
def test_initrd_just_fits(run, tmp_path):
    path = tmp_path / "initrd"
    path.touch()
    os.truncate(path, 30 << 20)
    assert run("poweroff", "-m", "32M", "-i", path).status == vm.POWEROFF


@pytest.mark.parametrize("linux, size, ok", [(True, 2047, True), (True, 2048, False), (False, 65535, True),
                                             (False, 65536, False), (False, 120000, False)])
def test_command_line_limit(run, tmp_path, linux, size, ok):
    """Refused, not cut."""
    notes = [kernels.note(kernels.GUEST_OS, b"linux\0") + kernels.entry_note()] if linux else [kernels.entry_note()]
    path = tmp_path / "kernel"
    path.write_bytes(kernels.elf(notes=notes))
    result = run(path, "--dry-run", words=["x" * size])
    if ok:
        assert (result.status, result.err) == (0, "")
    else:
        refused(result, vm.OPERATOR, "command line", size)


@pytest.mark.parametrize("value", ["0", "1", "31M", "4096", "-1", "-256M", "1025G", "99999999999999999999", "64X", "M",
                                   "", "1.3333G", "0x100M", "33554433", "256MM", "18446744073709551616", "17179869184G"])
def test_bad_memory(run, value):
    refused(run("poweroff", "-m", value), vm.OPERATOR, "--memory")


@pytest.mark.parametrize("value", ["0", "-1", "65", "", "two", "1.0", "4294967297"])
def test_bad_cpus(run, value):
    refused(run("poweroff", "--cpus", value), vm.OPERATOR, "--cpus")


def test_kernel_larger_than_memory(run, tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(kernels.elf(loads=[kernels.Load(memsz=40 << 20)]))
    refused(run(path, "-m", "32M"), vm.OPERATOR)
    if machines.why_no_kvm() is None:
        assert run(path, "-m", "64M").status == vm.POWEROFF


def test_no_address_space_for_memory(run):
    if b"__asan_init" in vm.PRONTO.read_bytes():
        pytest.skip("AddressSanitizer wants the address space for itself")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    refused(run("poweroff", "-m", "2G", preexec_fn=limit), vm.OPERATOR, "--memory")


@pytest.mark.parametrize("options", [[], ["--timeline=/dev/null"]])
def test_no_room_for_descriptors(run, options):
    """The host's failure, whatever was to be opened."""
    if b"/ld-linux" in vm.PRONTO.read_bytes():
        pytest.skip("the dynamic linker wants descriptors, too")
    refused(run("poweroff", *options, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))),
            vm.HOST_ERROR, "Too many open files")


# ---- options and files of options ----

@pytest.mark.parametrize("options, name", [
    (["--no-such-option"], "--no-such-option"), (["-Z"], "-Z"), (["--dry-run=yes"], "--dry-run"),
    (["--console", "tape"], "--console"), (["--console", "file:"], "--console"),
    (["--console", "file:/no/such/place"], "/no/such/place"), (["--console", "file:/"], "/"),
    (["--on-reboot", "perhaps"], "--on-reboot"), (["--merge", "some"], "--merge"), (["--grace", "-1"], "--grace"), (["--grace", "1000000"], "--grace"),
    (["--log-level", "loud"], "--log-level"), (["another-kernel"], "kernel"), (["--config", "/no/such/file"], "/no/such/file"),
    (["--initrd", ""], "--initrd"),
])
def test_bad_option(run, options, name):
    refused(run("poweroff", *options), vm.OPERATOR, name)


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", '"x"', "{}{}", '{"memory": }', '{"memory": true}', '{"memory": -1}', '{"memory": 1e9}',
    '{"memory": "lots"}', '{"cpus": "2"}', '{"cpus": 0}', '{"cpus": 99999999999999999999}', '{"no-such": 1}',
    '{"cpus": 1, "cpus": 2}', '{"kernel": 1}', '{"kernel": "a\\u0000b"}', '{"dry-run": "yes"}', '{"config": "x"}',
    '{"cmdline": {"a": 1}}', "\x00", "{\"cpus\": 1}\x00", "[" * 100000, '{"a":' * 5000,
    '{"kernel": "' + "x" * (1 << 20) + '"}'], ids=range(26))
def test_bad_config(run, tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    refused(run("poweroff", "--config", path), vm.OPERATOR, path)


def test_config_that_is_not_text(run, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(b'{"kernel": "\xff\xfe"}')
    refused(run("poweroff", "--config", path), vm.OPERATOR, path)


def test_console_fifo_without_reader(run, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    refused(run("poweroff", "--console", f"file:{tmp_path / 'fifo'}"), vm.OPERATOR, tmp_path / "fifo", "reader")


@pytest.mark.parametrize("options", [["--vsock", "{}"], ["--console", "socket:{}"], ["--hvc", "socket:{}"]],
                         ids=["vsock", "console", "hvc"])
def test_no_file_is_taken_for_an_old_socket(run, tmp_path, options):
    path = tmp_path / "file"
    path.write_text("kept")
    refused(run("poweroff", *(option.format(path) for option in options)), vm.OPERATOR, path, "is there already")
    assert path.read_text() == "kept"


# ---- the host ----

@ROOT_ONLY
@pytest.mark.parametrize("change, words", [
    ("mount -t tmpfs none /dev", ["there is no KVM here"]),
    ("mount --bind /dev/null /dev/kvm", ["is not KVM"]),
    ("mount --bind /etc/hostname /dev/kvm", ["is not KVM"]),
    ("mount -t tmpfs none /dev; mkdir /dev/kvm", ["/dev/kvm"]),
    ("mount -t tmpfs none /dev; mknod /dev/kvm c 250 250", ["there is no KVM here"]),
    ("mount -t tmpfs -o nodev none /dev; mknod /dev/kvm c 10 232", ["not permitted"]),
], ids=["missing", "null", "file", "directory", "no-driver", "nodev"])
@pytest.mark.parametrize("command", ["run", "doctor"])
def test_no_kvm_device(box, change, words, command):
    if not pathlib.Path("/dev/kvm").exists() and "--bind" in change:
        pytest.skip("there is no /dev/kvm to cover")
    argv = [vm.PRONTO, "run", vm.guest("poweroff")] if command == "run" else [vm.PRONTO, "doctor"]
    result = vm.Vm(box, ["unshare", "-m", "sh", "-c", change + '\nexec "$@"', "sh", *argv]).wait()
    if command == "run":
        refused(result, vm.HOST_ERROR, "/dev/kvm", *words)
    else:
        assert result.status == 1
        assert all(word in result.out for word in words) and "unusable" in result.out
    assert box.files() == []


@ROOT_ONLY
@pytest.mark.kvm
def test_kvm_not_permitted(as_nobody):
    if stat.S_IMODE(os.stat("/dev/kvm").st_mode) & 0o006:
        pytest.skip("/dev/kvm is everybody's here")
    refused(as_nobody("run", "POWEROFF"), vm.HOST_ERROR, "/dev/kvm", "not permitted", "usermod -aG kvm")
    result = as_nobody("doctor")
    assert result.status == 1 and "not permitted" in result.out


STRACE = pytest.mark.skipif(not shutil.which("strace"), reason="no strace to make system calls fail")


def inject(box, tmp_path, what, *argv, file=None):
    """Run pronto with one system call's result replaced: of the main thread, or of any if it is on
    this file; how often that was done comes too.  strace makes such a call another one, which a filter would refuse.
    """
    if argv[0] in ("run", "restore"):
        argv = [argv[0], "--confine", "basic", *argv[1:]]
    log = tmp_path / "strace.log"
    result = vm.Vm(box, ["strace", *(["-f", "-P", file] if file else []), "-o", log,
                         "-e", f"trace={what.split(':')[0]}", "-e", f"inject={what}", vm.PRONTO, *argv],
                   env={"ASAN_OPTIONS": "detect_leaks=0"}).wait()  # it uses ptrace too
    assert box.processes() == [] and box.files() == []
    return result, log.read_text(errors="replace").count("(INJECTED)")


@STRACE
@pytest.mark.kvm
@pytest.mark.parametrize("version", [0, 11, 13])
def test_other_api_version(box, tmp_path, version):
    # The first ioctl()s ask whether standard input is a terminal; KVM's first is the version.
    for call in range(1, 6):
        result, n = inject(box, tmp_path, f"ioctl:retval={version}:when={call}", "run", vm.guest("poweroff"))
        if n and "API version" in result.err:
            break
    refused(result, vm.HOST_ERROR, "/dev/kvm", f"API version {version}")


# The first capability that doctor asks for, and the last: KVM's version is asked before them.
@STRACE
@pytest.mark.kvm
@pytest.mark.parametrize("call, name", [(2, "KVM_CAP_USER_MEMORY"), (9, "KVM_CAP_MP_STATE")])
def test_doctor_misses_a_capability(box, tmp_path, call, name):
    result, injected = inject(box, tmp_path, f"ioctl:retval=0:when={call}", "doctor", file="/dev/kvm")
    assert injected == 1 and result.status == 1
    assert re.findall(r"^MISSING +(\S+)", result.out, re.M) == [name]
    assert "unusable: pronto run does not work here" in result.out


# Each call of a kind fails in its turn, as long as there is one: the way back out of every step.
@STRACE
@pytest.mark.kvm
@pytest.mark.parametrize("calls", ["eventfd2", "timerfd_create",
                                   "epoll_create1", "epoll_ctl", "signalfd4", "clone3"])
def test_failing_host(box, tmp_path, calls):
    n_refused = 0
    for n_call in range(1, 100):
        result, injected = inject(box, tmp_path, f"{calls}:error=ENOMEM:when={n_call}",
                                  "run", "-c", "2", vm.guest("poweroff"))
        if not injected:
            break
        if result.status == vm.POWEROFF:
            continue  # it can do without: a question to a terminal, what is only nice to have
        refused(result._replace(out=""), vm.HOST_ERROR)
        n_refused += 1
    assert n_refused >= {"epoll_ctl": 2, "clone3": 2}.get(calls, 1)


# The same for KVM's calls, object by object.
@STRACE
@pytest.mark.kvm
@pytest.mark.parametrize("file, at_least", [("/dev/kvm", 11), ("anon_inode:kvm-vm", 5),
                                            ("anon_inode:kvm-vcpu:0", 5), ("anon_inode:kvm-vcpu:1", 2)])
def test_failing_kvm(box, tmp_path, file, at_least):
    n_refused = 0
    for n_call in range(1, 100):
        result, injected = inject(box, tmp_path, f"ioctl:error=ENOMEM:when={n_call}",
                                  "run", "--no-cache", "-c", "2", vm.guest("poweroff"), file=file)
        ran = "KVM_RUN" in result.err  # each thread counts its own calls
        if not injected or (ran and injected == 1):
            break
        if result.status != vm.POWEROFF and not ran:
            refused(result._replace(out=""), vm.HOST_ERROR)
            n_refused += 1
    assert n_refused >= at_least


@STRACE
@pytest.mark.kvm
def test_failing_reset(box, tmp_path):
    """What a machine that may be reset in place asks of KVM beyond: to tell the vCPU's state, and to take it again."""
    log = tmp_path / "calls.log"
    again = ["run", "--no-cache", "-m", "32M", "--on-reboot", "restart", vm.guest("looping")]
    traced = vm.Vm(box, ["strace", "-o", log, "-e", "trace=ioctl", vm.PRONTO, *again],
                   env={"ASAN_OPTIONS": "detect_leaks=0"})
    vm.wait_until(lambda: traced.out.count(b"life") >= 2, what="the second life")
    for pid in box.processes():
        os.kill(pid, signal.SIGKILL)
    traced.wait()
    names = [re.search(r"\d+, (\w+)", line)[1] for line in log.read_text(errors="replace").splitlines()
             if line.startswith("ioctl(")]
    first = names.index("KVM_GET_MP_STATE")
    last = names.index("KVM_SET_CLOCK")
    # A KVM without some of these is one to be lived with: with nothing nested, or no offset of the time stamp counter to be asked for.
    spared = {"TCGETS", "KVM_GET_NESTED_STATE", "KVM_GET_DEVICE_ATTR", "KVM_GET_TSC_KHZ", "KVM_KVMCLOCK_CTRL"}
    needed = [n for n in range(first, last + 1) if names[n] not in spared and names[n - 1:n] != ["KVM_GET_DEVICE_ATTR"]]
    assert len(needed) > 20
    for n in needed:
        result, injected = inject(box, tmp_path, f"ioctl:error=ENOMEM:when={n + 1}", *again)
        assert injected == 1
        assert result.status == vm.HOST_ERROR, (names[n], result)
        assert f"{names[n]}: Cannot allocate memory" in result.err


@STRACE
@pytest.mark.kvm
def test_failing_vcpu(box, tmp_path):
    """KVM_RUN itself: one line says so, and what the registers were follows."""
    result, injected = inject(box, tmp_path, "ioctl:error=EFAULT:when=20", "run", vm.guest("poweroff"),
                              file="anon_inode:kvm-vcpu:0")
    assert injected >= 1
    lines = result.err.splitlines()
    assert (result.status, lines[0]) == (vm.HOST_ERROR, "pronto: error: vCPU 0: KVM_RUN: Bad address")
    assert "rip" in result.err and len(lines) > 10


@STRACE
@pytest.mark.kvm
@pytest.mark.parametrize("error", ["EINTR", "EAGAIN"])
def test_interrupted_vcpu(box, tmp_path, error):
    # By then the vCPU runs.
    result, injected = inject(box, tmp_path, f"ioctl:error={error}:when=20..24", "run", vm.guest("poweroff"),
                              file="anon_inode:kvm-vcpu:0")
    assert injected == 5
    assert (result.status, result.err) == (vm.POWEROFF, "")
