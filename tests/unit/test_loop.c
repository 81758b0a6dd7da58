// SPDX-License-Identifier: MIT
/* test_loop.c - the event loop and its two kinds of descriptor */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "util/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct rig {
	struct loop loop;
	struct loop_source source[2], end;
	unsigned int n_calls[2], n_quiet, stop_at;
	bool remove_other;
	pthread_mutex_t lock;
};

static void called(struct rig *rig, int i)
{
	rig->n_calls[i]++;
	if (rig->remove_other)
		loop_remove(&rig->loop, &rig->source[!i]);
	if (rig->n_calls[0] + rig->n_calls[1] >= rig->stop_at)
		loop_stop(&rig->loop);
}

static void first_ready(void *ctx, uint32_t events)
{
	struct rig *rig = ctx;

	assert_true(events & EPOLLIN);
	assert_int_equal(pthread_mutex_trylock(&rig->lock), EBUSY); /* held for us */
	called(rig, 0);
}

static void second_ready(void *ctx, uint32_t events)
{
	called(ctx, 1);
}

static void end_ready(void *ctx, uint32_t events)
{
	loop_stop(&((struct rig *)ctx)->loop);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_int_equal(loop_init(&rig->loop), 0);
	pthread_mutex_init(&rig->lock, NULL);
	rig->source[0] =
		(struct loop_source){ eventfd(0, EFD_NONBLOCK), first_ready, rig, &rig->lock };
	rig->source[1] = (struct loop_source){ eventfd(0, EFD_NONBLOCK), second_ready, rig, NULL };
	rig->end = (struct loop_source){ loop_timer_create(30, 0), end_ready, rig, NULL };
	for (int i = 0; i < 2; i++)
		assert_int_equal(loop_add(&rig->loop, &rig->source[i], EPOLLIN), 0);
	rig->stop_at = UINT32_MAX;
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(pthread_mutex_trylock(&rig->lock), 0); /* given back */
	pthread_mutex_unlock(&rig->lock);
	loop_fini(&rig->loop);
	close(rig->source[0].fd);
	close(rig->source[1].fd);
	close(rig->end.fd);
	free(rig);
	return 0;
}

static void test_level_triggered(void **state)
{
	struct rig *rig = *state;

	rig->stop_at = 3;
	loop_counter_add(rig->source[0].fd);
	assert_int_equal(loop_run(&rig->loop), 0);
	assert_int_equal(rig->n_calls[0], 3); /* nobody read the counter */
	assert_int_equal(rig->n_calls[1], 0);
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void test_waits_asleep(void **state)
{
	struct rig *rig = *state;
	uint64_t cpu_ns = thread_cpu_ns(), start = timeline_now();

	loop_timer_set(rig->end.fd, 200, 0);
	assert_int_equal(loop_add(&rig->loop, &rig->end, EPOLLIN), 0);
	assert_int_equal(loop_run(&rig->loop), 0);
	assert_true(timeline_now() - start >= 200000000);
	assert_true(thread_cpu_ns() - cpu_ns < 20000000);
}

/* Neither of two that are always ready starves the other. */
static void test_fair(void **state)
{
	struct rig *rig = *state;

	rig->stop_at = 100;
	loop_counter_add(rig->source[0].fd);
	loop_counter_add(rig->source[1].fd);
	assert_int_equal(loop_run(&rig->loop), 0);
	assert_int_equal(rig->n_calls[0], 50);
	assert_int_equal(rig->n_calls[1], 50);
}

static void test_removed_is_not_called(void **state)
{
	struct rig *rig = *state;

	rig->remove_other = true;
	loop_counter_add(rig->source[0].fd);
	loop_counter_add(rig->source[1].fd);
	assert_int_equal(loop_add(&rig->loop, &rig->end, EPOLLIN), 0);
	assert_int_equal(loop_run(&rig->loop), 0);
	assert_true(!rig->n_calls[0] != !rig->n_calls[1]);
}

static void test_regular_file_is_refused(void **state)
{
	struct rig *rig = *state;
	struct loop_source file = { open("/proc/self/exe", O_RDONLY), second_ready, rig, NULL };

	assert_true(file.fd >= 0);
	assert_int_equal(loop_add(&rig->loop, &file, EPOLLIN), -EPERM);
	close(file.fd);
	assert_int_equal(loop_add(&rig->loop, &file, EPOLLIN), -EBADF);
}

static void test_counters(void **state)
{
	struct rig *rig = *state;
	int fd = rig->source[0].fd;
	uint64_t nearly_full = UINT64_MAX - 1;

	assert_int_equal(loop_counter_read(fd), 0);
	loop_counter_add(fd);
	loop_counter_add(fd);
	assert_int_equal(loop_counter_read(fd), 2);
	assert_int_equal(loop_counter_read(fd), 0);
	assert_int_equal(write(fd, &nearly_full, 8), 8);
	loop_counter_add(fd); /* does not block */
	assert_true(loop_counter_read(fd) == nearly_full);
}

static void test_timers(void **state)
{
	uint64_t start = timeline_now();
	int fd = loop_timer_create(20, 10);
	uint64_t n = 0;

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(loop_counter_read(fd), 0);
	while (!n)
		n = loop_counter_read(fd);
	assert_true(timeline_now() - start >= 20000000);
	for (n = 0; n < 2;)
		n += loop_counter_read(fd);
	assert_true(timeline_now() - start >= 40000000);
	loop_timer_set(fd, 0, 0);
	loop_counter_read(fd);
	usleep(30000);
	assert_int_equal(loop_counter_read(fd), 0);
	loop_timer_set(fd, 1, 0);
	usleep(30000);
	assert_int_equal(loop_counter_read(fd), 1); /* once */
	close(fd);
}

static void went_quiet(void *ctx)
{
	struct rig *rig = ctx;

	/* Once, unless it is asked for again. */
	if (rig->n_quiet++)
		loop_stop(&rig->loop);
	else
		loop_when_quiet(&rig->loop, 1, went_quiet, rig);
}

static void test_quiet(void **state)
{
	struct rig *rig = *state;
	uint64_t start = timeline_now();

	loop_when_quiet(&rig->loop, 20, went_quiet, rig);
	assert_int_equal(loop_run(&rig->loop), 0);
	assert_true(timeline_now() - start >= 20000000);
	assert_int_equal(rig->n_quiet, 2);
}

static void test_not_quiet(void **state)
{
	struct rig *rig = *state;

	loop_when_quiet(&rig->loop, 0, went_quiet, rig);
	loop_counter_add(rig->source[0].fd); /* nobody reads it */
	rig->stop_at = 1000;
	assert_int_equal(loop_run(&rig->loop), 0);
	assert_int_equal(rig->n_quiet, 0);
}

static void test_quiet_once(void **state)
{
	struct rig *rig = *state;

	rig->n_quiet = 0;
	loop_when_quiet(&rig->loop, 0, went_quiet, rig);
	assert_int_equal(loop_run(&rig->loop), 0);
	rig->loop.stopped = false;
	assert_int_equal(loop_add(&rig->loop, &rig->end, EPOLLIN), 0);
	assert_int_equal(loop_run(&rig->loop), 0); /* until the end's timer */
	assert_int_equal(rig->n_quiet, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_level_triggered),
		TEST(test_waits_asleep),
		TEST(test_fair),
		TEST(test_removed_is_not_called),
		TEST(test_regular_file_is_refused),
		TEST(test_counters),
		TEST(test_timers),
		TEST(test_quiet),
		TEST(test_not_quiet),
		TEST(test_quiet_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
