// SPDX-License-Identifier: MIT
/* filter.c - which system calls each thread may make once the guest runs */

#include "confine/confine.h"
#include "confine/filters.h"
#include "host/terminal.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define OWN_PID    UINT32_MAX /* as generate.c has it */
#define MAX_FILTER 512

#define ROLE(name)                                              \
	{                                                       \
#name, name##_filter, ARRAY_SIZE(name##_filter) \
	}

static const struct role {
	const char *name;
	const struct sock_filter *filter;
	size_t n;
} roles[] = {
	[CONFINE_VCPU] = ROLE(vcpu),
	[CONFINE_IO] = ROLE(io),
	[CONFINE_CONTROL] = ROLE(control),
	[CONFINE_CONTROL_AGAIN] = ROLE(control_again),
	[CONFINE_CONTROL_SAVED] = ROLE(control_saved),
	[CONFINE_CONTROL_SAVED_AGAIN] = ROLE(control_saved_again),
	[CONFINE_WRITER] = ROLE(writer),
	[CONFINE_OUTSIDE] = ROLE(outside),
	[CONFINE_OUTSIDE_JOB] = ROLE(outside_job),
};

/* ---- what is told of a call that is refused; for --confine tell alone ---- */

/* The handler has nothing else to find it by. */
static __thread const char *role_here;

/* What is called here may be called by a signal's handler, and every role has it.  The handler was
 * reset to the default: the signal does its work.
 */
static void tell(int, siginfo_t *info, void *context)
{
	const greg_t *regs = ((const ucontext_t *)context)->uc_mcontext.gregs;
	char text[160];
	int n = snprintf(text, sizeof(text),
		"pronto: error: confinement: the role '%s' has no system call %d (0x%llx, 0x%llx, 0x%llx)\n",
		role_here ? role_here : "?", info->si_syscall, regs[REG_RDI], regs[REG_RSI],
		regs[REG_RDX]);

	(void)!write(STDERR_FILENO, text, (size_t)n);
	terminal_restore();
	raise(SIGSYS);
}

void confine_tell(void)
{
	struct sigaction action = { .sa_sigaction = tell,
		.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND) };

	sigemptyset(&action.sa_mask);
	BUG_ON(sigaction(SIGSYS, &action, NULL));
}

/* ---- */

bool confine_can_filter(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

/* What only this process knows.  The answer to what is refused is the last instruction. */
static void complete(struct sock_filter *filter, size_t n, bool tells)
{
	for (size_t i = 0; i < n; i++)
		if (filter[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && filter[i].k == OWN_PID)
			filter[i].k = (uint32_t)getpid();
	if (tells)
		filter[n - 1].k = SECCOMP_RET_TRAP;
}

static int install(const struct role *role, bool tells)
{
	struct sock_filter filter[MAX_FILTER];
	struct sock_fprog program = { (unsigned short)role->n, filter };

	BUG_ON(role->n > MAX_FILTER);
	memcpy(filter, role->filter, role->n * sizeof(filter[0]));
	complete(filter, role->n, tells);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? -errno : 0;
}

/* The host's audit log names the thread of a call that was refused. */
void confine_thread(enum confine_role role, bool tells)
{
	char name[16];
	int ret;

	role_here = roles[role].name;
	if (role == CONFINE_VCPU || role == CONFINE_IO || role == CONFINE_WRITER) {
		snprintf(name, sizeof(name), "pronto-%s", role_here);
		prctl(PR_SET_NAME, name);
	}
	ret = install(&roles[role], tells);
	if (ret)
		log_error("confinement: seccomp: %s", strerror(-ret));
	BUG_ON(ret);
}
