// SPDX-License-Identifier: MIT
/* test_io.c - the I/O thread: it serves, parks, goes on, ends */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "entries.h"
#include "vm/io.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define N_PAUSES 1000

/* A source that answers each call of ours by one of its own. */
struct rig {
	struct io io;
	struct loop_source source;
	int answer_fd; /* blocks who reads */
	uint64_t n_calls;
	struct diag diag;
};

static void called(void *ctx, uint32_t)
{
	struct rig *rig = ctx;

	rig->n_calls += loop_counter_read(rig->source.fd);
	loop_counter_add(rig->answer_fd);
}

static void await_answer(struct rig *rig)
{
	assert_true(loop_counter_read(rig->answer_fd) > 0);
}

static void init(struct rig *rig)
{
	*rig = (struct rig){
		.source = { eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), called, rig, NULL },
		.answer_fd = eventfd(0, EFD_CLOEXEC),
	};
	assert_int_equal(io_init(&rig->io, &rig->diag), 0);
	assert_int_equal(loop_add(&rig->io.loop, &rig->source, EPOLLIN), 0);
}

static void fini(struct rig *rig)
{
	io_stop(&rig->io);
	io_fini(&rig->io);
	close(rig->source.fd);
	close(rig->answer_fd);
}

/* What is called for while it is parked waits, and is not lost.  No pause makes a thread.  What the
 * thread counts needs no lock while it is parked: ThreadSanitizer watches.
 */
static void test_pauses(void **)
{
	struct rig rig;
	unsigned int n;

	init(&rig);
	io_resume(&rig.io);
	assert_int_equal(io_start(&rig.io, &rig.diag), 0);
	loop_counter_add(rig.source.fd);
	await_answer(&rig);
	n = count_entries("/proc/self/task");
	for (uint64_t i = 1; i <= N_PAUSES; i++) {
		io_pause(&rig.io);
		assert_int_equal(rig.n_calls, i);
		loop_counter_add(rig.source.fd);
		if (i % 100 == 0)
			usleep(2000);
		assert_int_equal(rig.n_calls, i);
		io_resume(&rig.io);
		await_answer(&rig);
	}
	assert_int_equal(count_entries("/proc/self/task"), n);
	fini(&rig);
}

/* Paused while it works, and before it has come up. */
static void test_pause_at_any_time(void **)
{
	for (unsigned int i = 0; i < 100; i++) {
		struct rig rig;

		init(&rig);
		io_resume(&rig.io);
		assert_int_equal(io_start(&rig.io, &rig.diag), 0);
		for (unsigned int k = 0; k < 10; k++) {
			loop_counter_add(rig.source.fd);
			io_pause(&rig.io);
			io_resume(&rig.io);
		}
		while (loop_counter_read(rig.answer_fd) == 0)
			continue;
		io_pause(&rig.io);
		if (rig.n_calls < 10)
			io_resume(&rig.io);
		fini(&rig);
	}
}

static void test_end(void **)
{
	struct rig rig;

	init(&rig); /* not started */
	io_pause(&rig.io);
	io_resume(&rig.io);
	fini(&rig);

	init(&rig); /* parked */
	io_resume(&rig.io);
	assert_int_equal(io_start(&rig.io, &rig.diag), 0);
	io_pause(&rig.io);
	loop_counter_add(rig.source.fd);
	io_stop(&rig.io);
	assert_int_equal(rig.n_calls, 0);
	fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_pause_at_any_time),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
