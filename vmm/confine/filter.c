// SPDX-License-Identifier: MIT
/* filter.c - which system calls each thread may make once the guest runs */

#include "filter/filter.h"
#include "confine/confine.h"
#include "host/terminal.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

static const char *const role_name[] = {
#define ROLE(constant, word, rows) [FILTER_##constant] = #word,
#include "filter/roles.h"
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

/* The host's audit log names the thread of a call that was refused. */
void confine_thread(enum filter role, bool tells)
{
	char name[16];
	int ret;

	role_here = role_name[role];
	if (role == FILTER_VCPU || role == FILTER_IO || role == FILTER_WRITER ||
		role == FILTER_PAGER) {
		snprintf(name, sizeof(name), "pronto-%s", role_here);
		prctl(PR_SET_NAME, name);
	}
	ret = filter_install(role, tells);
	if (ret)
		log_error("confinement: seccomp: %s", error_text(-ret));
	BUG_ON(ret);
}
