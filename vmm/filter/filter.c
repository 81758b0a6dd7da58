// SPDX-License-Identifier: MIT
/* filter.c - the filters that were made of calls.h, and their installation */

#include "filter/filter.h"

#include "filter/filters.h"
#include "util/bits.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWN_PID    UINT32_MAX /* as generate.c has it */
#define MAX_FILTER 512

static const struct made {
	const struct sock_filter *code;
	size_t n;
} made[] = {
#define ROLE(constant, word, rows) \
	[FILTER_##constant] = { word##_filter, ARRAY_SIZE(word##_filter) },
#include "filter/roles.h"
};

bool filter_is_there(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

/* What only this process knows.  The answer to what is refused is the last instruction. */
static void complete(struct sock_filter *code, size_t n, bool traps)
{
	for (size_t i = 0; i < n; i++)
		if (code[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && code[i].k == OWN_PID)
			code[i].k = (uint32_t)getpid();
	if (traps)
		code[n - 1].k = SECCOMP_RET_TRAP;
}

int filter_install(enum filter which, bool traps)
{
	struct sock_filter code[MAX_FILTER];
	size_t n = made[which].n;
	struct sock_fprog program = { (unsigned short)n, code };

	BUG_ON(n > MAX_FILTER);
	memcpy(code, made[which].code, n * sizeof(code[0]));
	complete(code, n, traps);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? -errno : 0;
}
