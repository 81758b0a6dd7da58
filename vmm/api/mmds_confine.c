// SPDX-License-Identifier: MIT
/* mmds_confine.c - what the metadata service gives up before it hears of a guest */

#include "api/mmds_confine.h"

#include "util/bits.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

/* Sockets, the loop, the clock and random bytes; memory; a message and the end. */
static const int calls[] = {
	SYS_accept4,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_sendto,
	SYS_shutdown,
	SYS_setsockopt,
	SYS_close,
	SYS_epoll_create1,
	SYS_epoll_wait,
	SYS_epoll_pwait,
	SYS_epoll_ctl,
	SYS_timerfd_create,
	SYS_timerfd_settime,
	SYS_read,
	SYS_pread64,
	SYS_fstat,
	SYS_newfstatat, /* as some libraries have fstat() */
	SYS_clock_gettime,
	SYS_getrandom,
	SYS_mmap,
	SYS_munmap,
	SYS_mremap,
	SYS_mprotect,
	SYS_madvise,
	SYS_brk,
	SYS_futex,
	SYS_write,
	SYS_rt_sigreturn,
	SYS_exit_group,
};

/* Load the architecture and the number, and look it up; the last two are the answers. */
static int filter_calls(void)
{
	enum { HEAD = 4, N = ARRAY_SIZE(calls) };
	struct sock_filter filter[HEAD + N + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		[HEAD + N] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		[HEAD + N + 1] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };

	for (unsigned int i = 0; i < N; i++)
		filter[HEAD + i] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], (uint8_t)(N - i), 0);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* In some containers root may not, or nobody is there: root without rights then has to do. */
static int leave_root(void)
{
	if (geteuid())
		return 0;
	if (!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		!setresuid(NOBODY, NOBODY, NOBODY))
		return 0;
	return errno == EINVAL || errno == EPERM ? 0 : -1;
}

static int drop_rights(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return (int)syscall(SYS_capset, &header, none);
}

/* After the change of user, with which it is forgotten. */
static int end_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -1;
	errno = ESRCH;
	return getppid() == parent ? 0 : -1;
}

int mmds_confine(pid_t parent, struct diag *diag)
{
	if (leave_root() || drop_rights() || end_with(parent) ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || filter_calls())
		return diag_fail(diag, errno, "the metadata service cannot be confined: %s",
			strerror(errno));
	return 0;
}
