/* SPDX-License-Identifier: MIT */
/* calls.h - which system calls each kind of thread may make once the guest runs
 *
 * The one table: vmm/filter/generate.c makes the filters of it when Pronto is built.  A row is
 *
 *   CALL(name, who, why)         the call, whatever its arguments
 *   IOCTL(request, who, why)     ioctl(2) with this request
 *   ARG_IS(name, n, value, who, why)  the call, if its argument n, from 1, has this value
 *   OWN(name, who, why)          the call, if its first argument is our process id
 *   DATA_ONLY(name, who, why)    mmap(2) or mprotect(2) without PROT_EXEC
 *   FAILS(name, who, why)        the call fails with EPERM, and the process goes on
 *
 * and `who` is VCPU, IO, CONTROL or WRITER, or several of them.  AGAIN is what the control thread
 * may do besides if the guest can come back to its entry (--on-reboot restart), SAVED if the
 * machine can be saved; PAGER is the thread that looks whether memory still comes, where a handler
 * brings it (vm/pager.h).  Two are other processes, which the guest does not reach: OUTSIDE
 * (confine/outside.h), with JOB if it has something to do, and UNPACK, which is over before there
 * is a guest (image/apart.h).  All that stands in no row of a thread's ends the process.  None that
 * serves the guest opens a file, makes a socket, a process or a thread, or runs a program.  What a
 * thread does often comes first: the rows of a call with arguments are compared in this order.
 */

/* ---- the guest ---- */
IOCTL(KVM_RUN, VCPU, "the guest")
IOCTL(KVM_SIGNAL_MSI, VCPU | IO | CONTROL, "a device's interrupt")
IOCTL(KVM_KVMCLOCK_CTRL, VCPU | AGAIN, "the guest's watchdogs look away after a pause")
IOCTL(KVM_IOEVENTFD, VCPU | CONTROL, "a driver takes or leaves a device")
IOCTL(KVM_SET_GSI_ROUTING, VCPU | IO | CONTROL, "interrupts of devices that are served elsewhere")
IOCTL(KVM_IRQFD, VCPU | IO | CONTROL, "the same")
IOCTL(KVM_GET_REGS, VCPU, "what is told of a crash")
IOCTL(KVM_GET_SREGS, VCPU, "the same")

/* ---- waiting, and being woken ---- */
CALL(futex, VCPU | IO | CONTROL | PAGER | WRITER, "locks, orders, the end of threads")
CALL(epoll_wait, IO | CONTROL, "the loop")
CALL(epoll_ctl, VCPU | IO | CONTROL, "what the loop watches")
CALL(read, VCPU | IO | CONTROL | PAGER, "eventfds, timers, signals, consoles, sockets")
CALL(write, VCPU | IO | CONTROL | PAGER | WRITER, "the same, and messages")
CALL(poll, VCPU | IO | CONTROL | PAGER | WRITER, "a file that others share, a daemon's answer")
CALL(timerfd_settime, VCPU | IO | CONTROL, "rates, and patience")
CALL(timerfd_create, CONTROL, "a rate that a client sets")
CALL(clock_gettime, VCPU | IO | CONTROL | PAGER | WRITER, "where it is not answered without a call")
CALL(restart_syscall, VCPU | IO | CONTROL | PAGER | WRITER,
	"a wait goes on after the process was stopped")

/* ---- devices ---- */
CALL(io_uring_enter, VCPU | IO | CONTROL, "disks; and a reset or pause waits for them")
CALL(preadv2, IO | CONTROL, "disks without io_uring; a file that others share")
CALL(pwritev2, VCPU | IO | CONTROL | PAGER | WRITER, "the same; messages and consoles")
CALL(pread64, IO | CONTROL, "an overlay's map")
CALL(pwrite64, IO | CONTROL, "the same")
CALL(fdatasync, IO | CONTROL, "a flush")
CALL(fallocate, IO | CONTROL, "what a guest discards")
CALL(readv, IO, "frames")
CALL(writev, IO | CONTROL, "the same; text of the C library")
CALL(recvfrom, VCPU | IO | CONTROL, "sockets: consoles, daemons, the API's process")
CALL(sendto, VCPU | IO | CONTROL | PAGER | WRITER, "the same")
CALL(recvmsg, IO | CONTROL, "frames of passt, streams")
CALL(sendmsg, VCPU | IO | CONTROL, "the same, and daemons that get descriptors")
CALL(accept4, IO | CONTROL, "who comes to a vsock's or a console's socket")
CALL(shutdown, IO, "a stream's end")
CALL(getrandom, IO | CONTROL, "random bytes for the guest")
IOCTL(BLKDISCARD, IO, "a disk that is a block device")
IOCTL(BLKZEROOUT, IO, "the same")
IOCTL(BLKGETSIZE64, CONTROL, "another one that a client gives it")
IOCTL(BLKSSZGET, CONTROL, "the same")
IOCTL(BLKPBSZGET, CONTROL, "the same")
IOCTL(TUNSETOFFLOAD, VCPU | CONTROL, "what a network's driver can do")
IOCTL(TUNSETQUEUE, VCPU | IO | CONTROL, "how many queues it uses")
IOCTL(VHOST_SET_MEM_TABLE, VCPU | CONTROL, "a device that the host's kernel serves")
IOCTL(VHOST_SET_FEATURES, VCPU | CONTROL, "the same")
IOCTL(VHOST_SET_VRING_NUM, VCPU | CONTROL, "the same")
IOCTL(VHOST_SET_VRING_BASE, VCPU | CONTROL, "the same")
IOCTL(VHOST_SET_VRING_ADDR, VCPU | CONTROL, "the same")
IOCTL(VHOST_SET_VRING_CALL, VCPU | CONTROL, "the same")
IOCTL(VHOST_SET_VRING_ERR, VCPU | CONTROL, "the same")
IOCTL(VHOST_SET_VRING_KICK, VCPU | CONTROL, "the same")
IOCTL(VHOST_GET_VRING_BASE, VCPU | IO | CONTROL, "the same")
IOCTL(VHOST_NET_SET_BACKEND, VCPU | IO | CONTROL, "the same")
IOCTL(UFFDIO_UNREGISTER, CONTROL, "a handler that brings memory is needed no more")
IOCTL(VHOST_VSOCK_SET_RUNNING, VCPU | IO | CONTROL, "the same")

/* ---- consoles ---- */
IOCTL(TCGETS, VCPU | IO | CONTROL | PAGER | WRITER,
	"the operator's terminal, at the end of a crash, too")
IOCTL(TCSETS, VCPU | IO | CONTROL | PAGER | WRITER, "the same")
IOCTL(TIOCGPTN, VCPU | IO | CONTROL | PAGER | WRITER, "whether it is one")
IOCTL(TIOCGPGRP, VCPU | IO | CONTROL | PAGER | WRITER, "whose turn it is there")
IOCTL(TIOCSPGRP, VCPU | IO | CONTROL | PAGER | WRITER, "the same")
CALL(getpgrp, VCPU | IO | CONTROL | PAGER | WRITER, "the same")
CALL(getpgid, CONTROL, "the same: in whose group those above are")
CALL(getppid, CONTROL, "the same")
FAILS(openat, CONTROL, "the same: what others ignore, which is then not known")
IOCTL(TIOCGWINSZ, CONTROL, "its size, for the guest")
IOCTL(FIONREAD, CONTROL, "what a visitor has not been read of")
ARG_IS(fcntl, 2, F_DUPFD_CLOEXEC, CONTROL, "one more descriptor of a visitor's socket")

/* ---- memory ---- */
CALL(madvise, VCPU | IO | CONTROL | PAGER | WRITER,
	"pages that go back to the host; a thread's stack")
DATA_ONLY(mmap, VCPU | IO | CONTROL, "the same, and memory of our own")
CALL(munmap, IO | CONTROL, "memory of our own")
DATA_ONLY(mprotect, IO | CONTROL, "the same")
CALL(brk, CONTROL, "the same")
CALL(sysinfo, CONTROL, "the C library sorts")

/* ---- another life ---- */
CALL(pread64, AGAIN, "kernel and initrd, from their open files")
CALL(lseek, AGAIN, "the same: holes are stepped over")
IOCTL(KVM_SET_CLOCK, AGAIN, "the state that each vCPU had when it was new")
IOCTL(KVM_SET_REGS, AGAIN, "the same")
IOCTL(KVM_GET_SREGS, AGAIN, "the same")
IOCTL(KVM_SET_SREGS, AGAIN, "the same")
IOCTL(KVM_GET_MSRS, AGAIN, "the same")
IOCTL(KVM_SET_MSRS, AGAIN, "the same")
IOCTL(KVM_SET_MP_STATE, AGAIN, "the same")
IOCTL(KVM_GET_MP_STATE, AGAIN, "the same")
IOCTL(KVM_SET_LAPIC, AGAIN, "the same")
IOCTL(KVM_SET_XSAVE, AGAIN, "the same")
IOCTL(KVM_SET_XCRS, AGAIN, "the same")
IOCTL(KVM_SET_DEBUGREGS, AGAIN, "the same")
IOCTL(KVM_SET_VCPU_EVENTS, AGAIN, "the same")
IOCTL(KVM_SET_NESTED_STATE, AGAIN, "the same")
IOCTL(KVM_SET_CPUID2, AGAIN, "the same")
IOCTL(KVM_SET_TSC_KHZ, AGAIN, "the same")
IOCTL(KVM_GET_TSC_KHZ, AGAIN, "the same")
IOCTL(KVM_SET_DEVICE_ATTR, AGAIN, "the same: the time stamp counter's offset")
IOCTL(KVM_GET_DEVICE_ATTR, AGAIN, "the same")

/* ---- a thread's and the process's end ---- */
CALL(close, VCPU | IO | CONTROL, "what has ended, and at the end everything")
CALL(rt_sigprocmask, VCPU | IO | CONTROL | PAGER | WRITER,
	"while a thread ends, while a terminal is set")
CALL(rt_sigreturn, VCPU | IO | CONTROL | PAGER | WRITER, "the end of a handler: a kick's")
CALL(rt_sigaction, IO | CONTROL | WRITER, "a crash tells of itself")
CALL(getpid, VCPU | IO | CONTROL | PAGER | WRITER, "who is kicked, and who crashes")
CALL(gettid, VCPU | IO | CONTROL | PAGER | WRITER, "the same")
OWN(tgkill, VCPU | IO | CONTROL | PAGER | WRITER, "the same")
CALL(exit, VCPU | IO | PAGER | WRITER, "a thread's end")
CALL(exit_group, VCPU | IO | CONTROL | PAGER | WRITER, "the process's")
CALL(ftruncate, CONTROL, "the file of a timeline, which was opened before")
CALL(lseek, VCPU, "whether the file that memory is of was cut")
CALL(fstat, CONTROL, "text of the C library")
FAILS(newfstatat, CONTROL, "the same; sockets that the process outside removes")
FAILS(unlink, CONTROL, "such sockets")
CALL(waitid, IO | CONTROL, "how passt or virtiofsd ended")
ARG_IS(pidfd_send_signal, 4, 0, CONTROL, "that it is to end, and no group with it")

/* ---- a snapshot ---- */
IOCTL(KVM_GET_REGS, SAVED, "the state of each vCPU")
IOCTL(KVM_GET_SREGS, SAVED, "the same")
IOCTL(KVM_GET_MSRS, SAVED, "the same")
IOCTL(KVM_GET_MP_STATE, SAVED, "the same")
IOCTL(KVM_GET_LAPIC, SAVED, "the same")
IOCTL(KVM_GET_XSAVE, SAVED, "the same")
IOCTL(KVM_GET_XCRS, SAVED, "the same")
IOCTL(KVM_GET_DEBUGREGS, SAVED, "the same")
IOCTL(KVM_GET_VCPU_EVENTS, SAVED, "the same")
IOCTL(KVM_GET_NESTED_STATE, SAVED, "the same")
IOCTL(KVM_GET_TSC_KHZ, SAVED, "the same")
IOCTL(KVM_GET_DEVICE_ATTR, SAVED, "the same: the time stamp counter's offset")
IOCTL(KVM_GET_MSR_INDEX_LIST, SAVED, "the same")
IOCTL(KVM_GET_CLOCK, SAVED, "the guest's clock")
IOCTL(KVM_KVMCLOCK_CTRL, SAVED, "the guest's watchdogs look away after a pause")
CALL(lseek, SAVED, "holes of the file that memory is a map of")
CALL(pwrite64, WRITER, "memory into its file")
CALL(pread64, WRITER, "which pages there are (/proc/self/pagemap)")
CALL(lseek, WRITER, "holes of the file that memory is a map of")
CALL(ftruncate, WRITER, "its size")
CALL(fdatasync, WRITER, "all is on the disk")
IOCTL(PAGEMAP_SCAN, WRITER | SAVED, "which pages were written")
IOCTL(UFFDIO_REGISTER, IO | SAVED, "that they are told")
IOCTL(UFFDIO_UNREGISTER, WRITER, "no more")
DATA_ONLY(mmap, WRITER, "memory of our own")
CALL(munmap, WRITER, "the same")
DATA_ONLY(mprotect, WRITER, "the same")
CALL(close, WRITER, "what tells of pages")

/* ---- outside ---- */
CALL(recvfrom, OUTSIDE, "what it is asked")
CALL(sendmsg, OUTSIDE, "its answer, with a socket")
ARG_IS(socket, 1, AF_UNIX, OUTSIDE, "a stream of a guest's to a program of the host")
CALL(connect, OUTSIDE, "the same")
CALL(close, OUTSIDE, "the same")
CALL(newfstatat, OUTSIDE, "whether a socket is still the machine's")
CALL(unlink, OUTSIDE, "its removal")
CALL(exit_group, OUTSIDE, "the end")
CALL(openat, JOB, "the directory of a template, and of all of them")
CALL(linkat, JOB, "a template's files get their names")
CALL(renameat, JOB, "the same")
CALL(unlinkat, JOB, "those of templates that go")
CALL(rmdir, JOB, "the same")
CALL(getdents64, JOB, "which there are, and how large they are")
CALL(newfstatat, JOB, "the same")
CALL(fstat, JOB, "the same")
CALL(faccessat, JOB, "the same")
CALL(fsync, JOB, "names are on the disk")
CALL(pread64, JOB, "whether a template is whole")
CALL(lseek, JOB, "the same")
CALL(fcntl, JOB, "directories")
CALL(brk, JOB, "memory of its own")
DATA_ONLY(mmap, JOB, "the same")
CALL(munmap, JOB, "the same")
CALL(getpid, JOB, "names while they are made")

/* ---- a kernel's file is unpacked ---- */
CALL(pread64, UNPACK, "the file; and the headers of what is in it")
CALL(pwrite64, UNPACK, "what is in it")
CALL(ftruncate, UNPACK, "its size")
DATA_ONLY(mmap, UNPACK, "the decompressor's memory")
CALL(munmap, UNPACK, "the same")
CALL(brk, UNPACK, "the same")
CALL(exit_group, UNPACK, "the end")
