# SPDX-License-Identifier: MIT
"""What a guest could do that has taken over a thread of a machine that runs with `--confine on`: system calls that the thread is
made to make, each in a machine of its own, and what became of them.

`make escapes` writes the table of docs/security.md by it.  What would do harm is asked for by arguments with which it does none: that
the thread may ask is seen all the same.
"""

import collections
import contextlib
import ctypes
import errno
import mmap
import os
import pathlib
import signal
import socket
import struct
import tempfile

import breach
import vm

PAGE = vm.ROOT / "docs" / "security.md"
FIRST = "<!-- Written by tests/escapes.py; `make escapes` writes it anew. -->\n"
LAST = "<!-- Here it ends. -->\n"

ROLES = {"vCPU": "pronto-vcpu", "I/O": "pronto-io", "control": "pronto"}
ENDED = "ended"

# What is tried: its text, the call's number, its arguments (numbers; bytes, whose address it is; or a function of the Machine that
# has one of these); what has to be before, and a function that judges what came of it, if not the call's result.
Attempt = collections.namedtuple("Attempt", "text number args before judge", defaults=[None, None])

SYS = breach.SYS
AT_FDCWD, AT_EMPTY_PATH, NOWHERE = -100, 0x1000, b"/nowhere/at all\0"
READ_EXEC, PRIVATE_ANONYMOUS = 5, 0x22
KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION, KVM_CREATE_DEVICE = 0xae01, 0xae41, 0x4020ae46, 0xc00caee0
TIOCSTI, TIOCSCTTY, TIOCLINUX, TIOCSETD = 0x5412, 0x540e, 0x541c, 0x5423
F_SETOWN, PIDFD_SELF, PIDFD_SIGNAL_PROCESS_GROUP = 8, -10001, 4
SHM_EXEC, READ_IMPLIES_EXEC = 0o100000, 0x400000
PTRACE_SEIZE, PR_SET_DUMPABLE, PR_SET_SECCOMP = 0x4206, 4, 22
X32 = 0x40000000


class Missing(Exception):
    """What this host has not, so that it cannot be tried."""


class Machine:
    """A thread of each role, and all of them wait in their calls."""

    def __init__(self, path):
        self.door = path / "door"
        disk = path / "disk"
        disk.write_bytes(bytes(1 << 16))
        box = path / "box"
        box.mkdir()
        self.box = vm.Box(box)
        self.vm = vm.Vm(self.box, [vm.PRONTO, "run", "--no-cache", "--confine", "on", "--disk", disk,
                                   "--port", f"to=socket:{self.door},name=n", vm.guest("halt")])
        self.pid, self.space = self.vm.pid, 0

    def wait(self):
        self.vm.expect("ready")
        vm.wait_until(lambda: breach.filtered(self.pid) >= set(ROLES.values()), what="its filters")

    def tid(self, role):
        tid, = breach.threads(self.pid)[ROLES[role]]
        return tid

    def end(self):
        self.vm.kill()
        vm.wait_until(lambda: not self.box.processes(), what="the end of all its processes")

    def files(self):
        return {int(fd.name): os.readlink(fd) for fd in pathlib.Path(f"/proc/{self.pid}/fd").iterdir()}

    def put(self, data, where=None):
        """Write it into its memory, below the stack's end if nowhere else; the address."""
        if where is None:
            self.space = where = self.space - len(data) & ~15
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(where)
            memory.write(data)
        return where

    def resolve(self, arg):
        if callable(arg):
            arg = arg(self)
        return (self.put(arg) if isinstance(arg, bytes) else arg) % (1 << 64)

    @contextlib.contextmanager
    def stopped(self, roles):
        tids = [self.tid(role) for role in roles]
        for tid in tids:
            breach.stop(tid)
        try:
            yield
        finally:
            for tid in tids:
                try:
                    breach.ptrace(breach.PTRACE_DETACH, tid)
                except ProcessLookupError:  # it has ended; the first is waited for as the process is
                    if tid != self.pid:
                        os.waitpid(tid, breach.WALL)

    def outcome(self, role, attempt):
        """Where more than the call's result counts, no other thread is to notice."""
        if attempt.before:
            attempt.before(self)
        with self.stopped(set(ROLES) - {role}) if attempt.judge else contextlib.nullcontext():
            before = breach.stop(self.tid(role))
            self.space = before.rsp - 256
            args = [self.resolve(arg) for arg in attempt.args]
            if attempt.number == "int 0x80":
                self.put(b"\xcd\x80", before.rip - 2)
                result = breach.make_call_from(self.tid(role), before, 11)  # execve there, munmap here
            else:
                result = breach.make_call_from(self.tid(role), before, attempt.number, *args)
            if result is not None and result >= 0 and attempt.judge:
                result = attempt.judge(self)
        if result is None:
            end = -self.vm.wait().status
            if attempt.number == "int 0x80" and end == signal.SIGSEGV:
                raise Missing("this kernel runs no 32-bit programs")
            return ENDED if end == signal.SIGSYS else signal.Signals(end).name
        return "done" if result >= 0 else errno.errorcode[-result]


def attempt_in_new_machine(role, attempt):
    with tempfile.TemporaryDirectory() as path:
        machine = Machine(pathlib.Path(path))
        try:
            machine.wait()
            return machine.outcome(role, attempt)
        finally:
            machine.end()


# ---- arguments ----

def parent(_):
    return os.getpid()


def own(machine):
    return machine.pid


def page(machine):
    return machine.space & ~4095


def file(name):
    """A descriptor of its own by what it is of."""
    def find(machine):
        found = [fd for fd, of in machine.files().items() if of.endswith(name)]
        if not found:
            raise Missing(f"a machine has no {name} here")
        return found[0]
    return find


def pointers(*args):
    return lambda machine: struct.pack(f"{len(args)}Q", *map(machine.resolve, args))


# ---- a descriptor that is passed ----

def visit(machine):
    """Come to its socket."""
    before = set(machine.files())
    machine.visitor = socket.socket(socket.AF_UNIX)
    machine.visitor.connect(str(machine.door))
    vm.wait_until(lambda: len(machine.files()) == len(before) + 3, what="the visit")
    machine.visited = min(set(machine.files()) - before)


def visited(machine):
    return machine.visited


def message(*fds):
    """For sendmsg and recvmsg: a byte, and descriptors."""
    rights = [struct.pack("QiiI4x", 20, socket.SOL_SOCKET, socket.SCM_RIGHTS, fd) for fd in fds] or [bytes(24)]
    return pointers(0, 0, pointers(b"x", 1), 1, rights[0], 24, 0)


def pass_disk(machine):
    return message(file("/disk")(machine))(machine)


def is_passed(machine):
    _, fds, _, _ = socket.recv_fds(machine.visitor, 1, 1)
    for fd in fds:
        os.close(fd)
    return len(fds) - 1


def be_passed(machine):
    with open("/dev/null", encoding="ascii") as null:
        socket.send_fds(machine.visitor, [b"x"], [null.fileno()])
    machine.n_files = len(machine.files())
    return machine.visited


def has_been_passed(machine):
    return len(machine.files()) - machine.n_files - 1


# ---- a ring's request ----

class Ring:
    """What the process shares with the kernel, shared with us."""
    SETUP = struct.Struct("10I" + "8IQ" + "8IQ")
    SQES, IORING_OP_OPENAT = 0x10000000, 18

    def __init__(self, pid, fd):
        pidfd = os.pidfd_open(pid)
        self.fd = breach.libc.syscall(SYS["pidfd_getfd"], pidfd, fd, 0)
        os.close(pidfd)
        assert self.fd >= 0, os.strerror(ctypes.get_errno())
        self.rings = mmap.mmap(self.fd, mmap.PAGESIZE)
        n = self.at(self.layout(1)[13])
        self.offsets = self.layout(n)
        self.rings = mmap.mmap(self.fd, self.offsets[24] + 16 * self.offsets[1] + 4 * n)
        self.requests = mmap.mmap(self.fd, 64 * n, offset=self.SQES)

    def layout(self, n):
        """Where the kernel puts what in a ring of so many entries: it tells who makes one."""
        setup = ctypes.create_string_buffer(self.SETUP.size)
        fd = breach.libc.syscall(SYS["io_uring_setup"], n, setup)
        assert fd >= 0, os.strerror(ctypes.get_errno())
        os.close(fd)
        return self.SETUP.unpack(setup)

    def at(self, place, value=None):
        if value is not None:
            struct.pack_into("I", self.rings, place, value)
        return struct.unpack_from("I", self.rings, place)[0]

    def ask_to_open(self, path):
        _, tail, mask, *_, array = self.offsets[10:17]
        index = self.at(tail) & self.at(mask)
        self.requests[64 * index:64 * index + 64] = struct.pack("BBHiQQIIQ24x", self.IORING_OP_OPENAT, 0, 0, AT_FDCWD, 0, path, 0, 0, 0)
        self.at(array + 4 * index, index)
        self.at(tail, self.at(tail) + 1)

    def result(self):
        _, tail, mask, _, _, cqes = self.offsets[19:25]
        index = (self.at(tail) - 1) & self.at(mask)
        return struct.unpack_from("i", self.rings, cqes + 16 * index + 8)[0]


def ring_with_request(machine):
    fd = file("[io_uring]")(machine)
    machine.ring = Ring(machine.pid, fd)
    machine.ring.ask_to_open(machine.put(b"/etc/passwd\0"))
    return fd


def ring_result(machine):
    return machine.ring.result()


# ---- what is tried ----

def call(name, *args, text="", **others):
    return Attempt(f"`{name}`{text and ' '}{text}", SYS[name], args, **others)


def request(name, fd, arg=0):
    return Attempt(f"`{name}`", SYS["ioctl"], [fd, globals()[name], arg])


def calls(*names, args=()):
    return [call(name, *args) for name in names]


SUBJECTS = {
    "Open a file": [
        call("open", b"/etc/passwd\0", 0), call("openat", AT_FDCWD, b"/etc/passwd\0", 0),
        call("openat", AT_FDCWD, b"/proc/self/mem\0", os.O_RDWR, text="of `/proc/self/mem`"),
        call("openat", AT_FDCWD, lambda _: b"/proc/%d/mem\0" % os.getpid(), os.O_RDWR, text="of another process's"),
        call("openat2", AT_FDCWD, b"/etc/passwd\0", bytes(24), 24), call("creat", b"/\0", 0),
        call("name_to_handle_at", AT_FDCWD, b"/\0", struct.pack("Ii128x", 128, 0), bytes(4), 0), call("open_by_handle_at", AT_FDCWD, bytes(16), 0)],
    "Look at a path, or change what is there": [
        *calls("stat", "lstat", "statfs", args=[b"/\0", bytes(256)]), call("newfstatat", AT_FDCWD, b"/\0", bytes(256), 0),
        call("newfstatat", AT_FDCWD, b"/\0", bytes(256), AT_EMPTY_PATH, text="with `AT_EMPTY_PATH`"),
        call("statx", AT_FDCWD, b"/\0", 0, 0x7ff, bytes(256)), call("access", b"/\0", 0), call("readlink", b"/proc/self\0", bytes(64), 64),
        call("getxattr", b"/\0", b"user.x\0", 0, 0), call("chdir", b"/\0"), *calls("unlink", "rmdir", args=[NOWHERE]),
        *calls("rename", "link", "symlink", args=[NOWHERE, NOWHERE]), *calls("mkdir", "mknod", "chmod", "truncate", args=[NOWHERE, 0, 0]),
        call("chown", NOWHERE, -1, -1), call("utimensat", AT_FDCWD, NOWHERE, 0, 0), call("inotify_init1", 0), call("fanotify_init", 0, 0)],
    "Look into another process": [
        call("ptrace", PTRACE_SEIZE, parent, 0, 0), *calls("process_vm_readv", "process_vm_writev", args=[parent, 0, 0, 0, 0, 0]),
        call("pidfd_open", parent, 0), call("pidfd_getfd", file("/disk"), 0, 0), call("kcmp", parent, own, 0, 0, 0),
        call("process_madvise", file("/disk"), 0, 0, 0, 0)],
    "Send a signal to another": [
        *calls("kill", "tkill", args=[parent, 0]), call("tgkill", parent, parent, 0), call("rt_sigqueueinfo", parent, 0, bytes(128)),
        call("rt_tgsigqueueinfo", parent, parent, 0, bytes(128)), call("pidfd_send_signal", file("/disk"), 0, 0, 0),
        call("pidfd_send_signal", PIDFD_SELF, 0, 0, PIDFD_SIGNAL_PROCESS_GROUP, text="to its group"),
        call("fcntl", file("/disk"), F_SETOWN, parent, text="`F_SETOWN`")],
    "Make a socket, or connect one": [
        *[call("socket", getattr(socket, f"AF_{name}"), kind, 0, text=f"`AF_{name}`") for name, kind in (
            ("UNIX", 1), ("INET", 1), ("INET6", 2), ("NETLINK", 3), ("PACKET", 3), ("VSOCK", 1), ("ALG", 5))],
        call("socketpair", 1, 1, 0, bytes(8)), *calls("connect", "bind", args=[0, b"\1\0/run/x\0", 9]), call("listen", 0, 1),
        call("setsockopt", 0, 1, 2, bytes(4), 4)],
    "Make a process, run a program": [
        *calls("fork", "vfork"), call("clone", signal.SIGCHLD, 0, 0, 0, 0), call("clone3", struct.pack("4QQ6Q", 0, 0, 0, 0, 17, *[0] * 6), 88),
        call("execve", b"/bin/true\0", 0, 0), call("execveat", AT_FDCWD, b"/bin/true\0", 0, 0, 0)],
    "Have memory that can be run": [
        call("mmap", 0, 4096, READ_EXEC, PRIVATE_ANONYMOUS, -1, 0), call("mprotect", page, 4096, READ_EXEC),
        call("pkey_mprotect", page, 4096, READ_EXEC, -1), call("mremap", page, 4096, 4096, 0, 0), call("remap_file_pages", page, 4096, 0, 0, 0),
        call("memfd_create", b"x\0", 0), call("shmat", 0, 0, SHM_EXEC), call("personality", READ_IMPLIES_EXEC),
        call("modify_ldt", 0, bytes(16), 16), call("arch_prctl", 0x1004, bytes(8))],
    "Have io_uring do it": [
        call("io_uring_setup", 1, bytes(120)), call("io_uring_register", file("[io_uring]"), 12, 0, 0),
        call("io_uring_enter", ring_with_request, 1, 1, 1, 0, 0, text="with a request to open a file", judge=ring_result)],
    "Make more of KVM": [
        request("KVM_CREATE_VM", file("/dev/kvm")), request("KVM_CREATE_VCPU", file("kvm-vm"), 1),
        request("KVM_SET_USER_MEMORY_REGION", file("kvm-vm"), struct.pack("IIQQQ", 100, 0, 1 << 40, 4096, 0)),
        request("KVM_CREATE_DEVICE", file("kvm-vm"), bytes(12))],
    "Mounts, roots, namespaces": [
        call("mount", 0, NOWHERE, 0, 0, 0), call("umount2", NOWHERE, 0), call("pivot_root", NOWHERE, NOWHERE), call("chroot", b"/\0"),
        call("open_tree", AT_FDCWD, b"/\0", 0), call("move_mount", AT_FDCWD, NOWHERE, AT_FDCWD, NOWHERE, 0), call("fsopen", b"tmpfs\0", 0),
        call("mount_setattr", AT_FDCWD, NOWHERE, 0, 0, 0), call("unshare", 0x10000000), call("setns", file("/disk"), 0)],
    "Be confined less, be another user": [
        call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0, text="`PR_SET_DUMPABLE`"), call("prctl", PR_SET_SECCOMP, 1, 0, 0, 0, text="`PR_SET_SECCOMP`"),
        call("seccomp", 1, 0, 0), call("landlock_create_ruleset", 0, 0, 1), call("setrlimit", 4, struct.pack("QQ", 0, 0)),
        call("prlimit64", 0, 7, struct.pack("QQ", 64, 64), 0), *calls("setuid", "setgid", args=[0]), call("setresuid", 0, 0, 0),
        call("setgroups", 0, 0), call("capset", struct.pack("II", 0x20080522, 0), bytes(24))],
    "More of the host's kernel": [
        call("bpf", 0, bytes(72), 72), call("perf_event_open", bytes(120), 0, -1, -1, 0), call("userfaultfd", 0), call("init_module", 0, 0, b"\0"),
        call("finit_module", file("/disk"), b"\0", 0), call("delete_module", NOWHERE, 0), call("kexec_load", 0, 0, 0, 1 << 20),
        call("reboot", 0, 0, 0, 0), call("swapon", NOWHERE, 0), call("settimeofday", 0, 0), call("clock_settime", 0, 0), call("adjtimex", 0),
        call("sethostname", 0, 1 << 16), call("iopl", 0), call("ioperm", 0, 0, 0), call("acct", NOWHERE), call("syslog", 10, 0, 0),
        call("sched_setaffinity", 0, 0, 0), call("setpriority", 0, 0, 0)],
    "Keys, and what processes share": [
        call("add_key", b"user\0", b"x\0", b"x", 1, -3), call("request_key", b"user\0", b"x\0", 0, -3), call("keyctl", 0, -3, 0),
        call("msgget", 0, 0), call("semget", 0, 1, 0), call("shmget", 0, 4096, 0o1600), call("mq_open", b"x\0", 0)],
    "Type at the operator's terminal": [
        request("TIOCSTI", 0, b"x"), request("TIOCSCTTY", 0), request("TIOCLINUX", 0, bytes(1)), request("TIOCSETD", 0, bytes(4)), call("vhangup")],
    "Make a call by another door": [
        Attempt("`int 0x80`", "int 0x80", ()), Attempt("x32 `getpid`", X32 | SYS["getpid"], ()),
        Attempt("x32 `execve`", X32 | 520, [b"/bin/true\0", 0, 0])],
    "Pass a descriptor to who is connected": [call("sendmsg", visited, pass_disk, 0, before=visit, judge=is_passed)],
    "Take a descriptor from there": [call("recvmsg", be_passed, message(), 0, before=visit, judge=has_been_passed)],
}


# ---- the table ----

def cell(found):
    """One for all, or the exceptions from what most say."""
    (most, _), *others = collections.Counter(found.values()).most_common()
    return "; ".join([most, *(f"{outcome}: " + ", ".join(text for text, of in found.items() if of == outcome) for outcome, _ in others)])


def names(attempts):
    return ", ".join(attempt.text for attempt in attempts)


def outcomes(role, subject):
    return {attempt.text: attempt_in_new_machine(role, attempt) for attempt in SUBJECTS[subject]}


def table(found):
    """Of what outcomes() says of each subject and role."""
    lines = ["| what is tried | by | " + " | ".join(ROLES) + " |\n", "| --- | --- |" + " --- |" * len(ROLES) + "\n"]
    for subject, attempts in SUBJECTS.items():
        cells = [subject, names(attempts), *(cell(found[subject, role]) for role in ROLES)]
        lines.append("| " + " | ".join(cells) + " |\n")
    return "".join(lines)


def split(text):
    before, rest = text.split(FIRST)
    written, after = rest.split(LAST)
    return before, written, after


def write_page():
    """Say what came of each subject on the way."""
    found = {}
    for subject in SUBJECTS:
        for role in ROLES:
            found[subject, role] = outcomes(role, subject)
        print(f"{subject}: " + "; ".join(f"{role}: {cell(found[subject, role])}" for role in ROLES), flush=True)
    before, _, after = split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + FIRST + table(found) + LAST + after, encoding="utf-8")
