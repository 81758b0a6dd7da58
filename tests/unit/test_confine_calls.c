// SPDX-License-Identifier: MIT
/* test_confine_calls.c - every system call, in each role: those of calls.h can be made, all others
 * are refused */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "confine/confine.h"
#include "filter/filter.h"
#include "filter/who.h"
#include "skip.h"
#include "util/bits.h"
#include "util/pagemap_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <linux/vhost.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define OWN_PID UINT32_MAX

/* The call may be made if its argument `arg`, from 1, is `value`; 0: whatever they are. */
static const struct row {
	long nr;
	unsigned int who, arg;
	uint32_t value;
	bool fails;
} rows[] = {
#define CALL(name, who, why)             { SYS_##name, who, 0, 0, false },
#define FAILS(name, who, why)            { SYS_##name, who, 0, 0, true },
#define ARG_IS(name, n, value, who, why) { SYS_##name, who, n, (uint32_t)(value), false },
#define IOCTL(request, who, why)         ARG_IS(ioctl, 2, request, who, why)
#define OWN(name, who, why)              ARG_IS(name, 1, OWN_PID, who, why)
#define DATA_ONLY(name, who, why)        ARG_IS(name, 3, PROT_READ, who, why)
#include "filter/calls.h"
};

static const struct {
	enum filter role;
	unsigned int who;
} roles[] = {
#define ROLE(constant, word, rows) { FILTER_##constant, rows },
#include "filter/roles.h"
};

#define N_CALLS   1024          /* more than there are */
#define N_NUMBERS (2 * N_CALLS) /* and again, with pointers of 32 bits: x32 */
#define X32       0x40000000

/* What a child has found, for its parent. */
struct found {
	bool is_refused[N_NUMBERS];
	bool is_made;
	int err;
};

static struct found *found;

static int set_up(void **state)
{
	found = mmap(
		NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return found == MAP_FAILED;
}

static void skip_where_no_filters(void)
{
	if (!FILTER_FITS)
		skip_because("a sanitizer makes system calls of its own");
	if (!filter_is_there())
		skip_because("this kernel has no seccomp filters");
}

/* With arguments that no call does anything with, but for the one that a row is about. */
static long make(long nr, const struct row *row)
{
	long args[6] = { -1, -1, -1, -1, -1, -1 };

	if (row && row->arg)
		args[row->arg - 1] = row->value == OWN_PID ? getpid() : (long)row->value;
	return syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* ---- what is in no row ---- */

static sigjmp_buf back;

static void see_refused(int)
{
	siglongjmp(back, 1);
}

/* Those of x32 come after the others. */
static long number_of(size_t n)
{
	return n < N_CALLS ? (long)n : X32 | (long)(n - N_CALLS);
}

/* uretprobe and uprobe are not for programs, and the kernel has no filter see them: where no probe
 * is they do nothing, or end the process.
 */
static bool is_seen_by_none(long nr)
{
	return nr == 335 || nr == 336;
}

/* Whatever its arguments. */
static bool has(unsigned int who, long nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].nr == nr && rows[i].who & who && !rows[i].arg)
			return true;
	return false;
}

/* A filter that tells is the same but for its last word.  Not every role has the end of a signal's
 * handler, so it is left in another way, without a mask to be restored.
 */
static _Noreturn void try_others(enum filter role, unsigned int who)
{
	struct sigaction action = { .sa_handler = see_refused, .sa_flags = SA_NODEFER };

	sigaction(SIGSYS, &action, NULL);
	confine_settle();
	confine_thread(role, true);
	for (volatile size_t n = 0; n < N_NUMBERS; n++) {
		if (has(who, number_of(n)) || is_seen_by_none(number_of(n)))
			continue;
		if (sigsetjmp(back, 0))
			found->is_refused[n] = true;
		else
			make(number_of(n), NULL);
	}
	_exit(0);
}

static void test_others_are_refused(void **state)
{
	skip_where_no_filters();
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		pid_t child;
		int status;

		memset(found, 0, sizeof(*found));
		child = fork();
		if (!child)
			try_others(roles[i].role, roles[i].who);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		for (size_t n = 0; n < N_NUMBERS; n++)
			if (found->is_refused[n] == has(roles[i].who, number_of(n)) &&
				!is_seen_by_none(number_of(n)))
				fail_msg("role %zu, system call 0x%lx", i, number_of(n));
	}
}

/* ---- what is in a row ---- */

/* How the process ends in which it is made. */
static int end_of(enum filter role, const struct row *row)
{
	pid_t child;
	int status;

	memset(found, 0, sizeof(*found));
	child = fork();
	if (!child) {
		confine_settle();
		confine_thread(role, false);
		found->err = make(row->nr, row) < 0 ? errno : 0;
		found->is_made = true;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void test_rows(void **state)
{
	skip_where_no_filters();
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(rows); j++) {
			const struct row *row = &rows[j];
			int status;

			if (!(row->who & roles[i].who))
				continue;
			status = end_of(roles[i].role, row);
			if ((WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) ||
				(row->fails && !(found->is_made && found->err == EPERM)))
				fail_msg("role %zu, row %zu: system call %ld, %u", i, j, row->nr,
					row->value);
		}
	}
}

/* ---- the way that 32-bit programs have, where the same numbers are other calls ---- */

/* 11 is execve there, and munmap here. */
static int end_of_32_bit(int role)
{
	pid_t child = fork();
	int status;

	if (!child) {
		if (role >= 0) {
			confine_settle();
			confine_thread((enum filter)role, false);
		}
		__asm__ volatile("int $0x80" : : "a"(11), "b"(0), "c"(0), "d"(0) : "memory");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void test_32_bit(void **state)
{
	skip_where_no_filters();
	if (end_of_32_bit(-1))
		skip_because("this kernel runs no 32-bit programs");
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		int status = end_of_32_bit((int)roles[i].role);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_others_are_refused),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_32_bit),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
