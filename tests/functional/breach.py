# SPDX-License-Identifier: MIT
"""Have a thread of another process make a system call that it would not make: what an attacker would do who has taken it over."""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import time

PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 12, 13, 17, 0x4206, 0x4207
PTRACE_CONT, PTRACE_SYSCALL = 7, 24
WALL = 0x40000000

# struct user_regs_struct
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long

HEADERS = [pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), pathlib.Path("/usr/include/asm/unistd_64.h")]
# The calls' numbers, by their names.
SYS = {name: int(number) for name, number in re.findall(
    r"^#define __NR_(\w+) (\d+)$", next(path for path in HEADERS if path.exists()).read_text(encoding="ascii"), re.M)}


class Regs(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in NAMES]


def ptrace(request, tid, data=None):
    if libc.ptrace(request, tid, None, data) < 0:
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err))


def threads(pid):
    """Thread ids by the names that they have."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found.setdefault((task / "comm").read_text(encoding="ascii").strip(), []).append(int(task.name))
    return found


def filtered(pid):
    """Of those that have a filter of system calls."""
    return {name for name, tids in threads(pid).items()
            if all("\nSeccomp:\t2\n" in pathlib.Path(f"/proc/{tid}/status").read_text(encoding="ascii") for tid in tids)}


@contextlib.contextmanager
def held(tid):
    """It waits in a call, and does not go on before the end of this."""
    stop(tid)
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, tid)


def stop(tid):
    """Its registers, when it waits in a call."""
    regs = Regs()
    ptrace(PTRACE_SEIZE, tid)
    for _ in range(200):
        ptrace(PTRACE_INTERRUPT, tid)
        os.waitpid(tid, WALL)
        ptrace(PTRACE_GETREGS, tid, ctypes.byref(regs))
        if ctypes.c_longlong(regs.orig_rax).value >= 0:
            return regs
        ptrace(PTRACE_CONT, tid)
        time.sleep(0.01)
    raise AssertionError("it waits in no call")


def set_call(tid, before, number, *args):
    """The instruction before where it is is the one that makes calls."""
    regs = Regs.from_buffer_copy(before)
    regs.rax, regs.orig_rax, regs.rip = number, ctypes.c_ulonglong(-1).value, before.rip - 2
    for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), args):
        setattr(regs, name, value)
    ptrace(PTRACE_SETREGS, tid, ctypes.byref(regs))


def make_call(tid, number, *args):
    """What the call has returned, or None: it was the end of the process.  Afterwards it waits as before."""
    return make_call_from(tid, stop(tid), number, *args)


def make_call_from(tid, before, number, *args):
    """The same of a thread that has been stopped."""
    after = Regs()
    set_call(tid, before, number, *args)
    for _ in range(2):  # into it, and out
        try:
            ptrace(PTRACE_SYSCALL, tid)
            _, status = os.waitpid(tid, WALL)
        except (ChildProcessError, ProcessLookupError):
            return None
        if not os.WIFSTOPPED(status):
            return None
        if os.WSTOPSIG(status) == signal.SIGSYS:
            ptrace(PTRACE_DETACH, tid, signal.SIGSYS)
            return None
    ptrace(PTRACE_GETREGS, tid, ctypes.byref(after))
    if after.rax == number:  # rolled back: a filter is about to end it
        ptrace(PTRACE_DETACH, tid)
        return None
    set_call(tid, before, before.orig_rax)
    ptrace(PTRACE_DETACH, tid)
    return ctypes.c_longlong(after.rax).value
