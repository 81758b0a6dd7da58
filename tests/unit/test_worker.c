// SPDX-License-Identifier: MIT
/* test_worker.c - a thread that does one thing at a time */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vm/worker.h"

#include <poll.h>
#include <semaphore.h>
#include <string.h>

struct job {
	sem_t go;
	pthread_t thread;
	unsigned int n_done;
};

static unsigned int n_begun;

static void begun(void *ctx)
{
	*(pthread_t *)ctx = pthread_self();
	n_begun++;
}

static void work(void *arg)
{
	struct job *job = arg;

	sem_wait(&job->go);
	job->thread = pthread_self();
	job->n_done++;
}

static bool is_told(const struct worker *worker)
{
	struct pollfd done = { worker->done, POLLIN, 0 };

	return poll(&done, 1, 0) == 1;
}

static void test_work(void **)
{
	struct job job = { .n_done = 0 };
	struct worker worker;
	struct diag diag;
	pthread_t first;

	sem_init(&job.go, 0, 0);
	worker_init(&worker);
	assert_int_equal(worker_start(&worker, begun, &first, &diag), 0);
	assert_int_equal(worker_start(&worker, begun, &first, &diag), 0); /* it is there */
	assert_false(worker_is_busy(&worker));
	for (unsigned int i = 1; i <= 3; i++) {
		worker_do(&worker, work, &job);
		assert_true(worker_is_busy(&worker));
		assert_false(is_told(&worker));
		sem_post(&job.go);
		worker_wait(&worker);
		assert_false(worker_is_busy(&worker));
		assert_false(is_told(&worker));
		assert_int_equal(job.n_done, i);
		assert_true(pthread_equal(job.thread, first));
	}
	assert_int_equal(n_begun, 1);
	worker_stop(&worker);
	assert_false(worker.is_there);
	sem_destroy(&job.go);
}

/* Who waits by the eventfd is told; what nobody has waited for is not told of again. */
static void test_told(void **)
{
	struct job job = { .n_done = 0 };
	struct pollfd done = { .events = POLLIN };
	struct worker worker;
	struct diag diag;

	sem_init(&job.go, 0, 1);
	worker_init(&worker);
	assert_int_equal(worker_start(&worker, NULL, NULL, &diag), 0);
	done.fd = worker.done;
	worker_do(&worker, work, &job);
	assert_int_equal(poll(&done, 1, -1), 1);
	while (worker_is_busy(&worker))
		continue;
	worker_do(&worker, work, &job);
	assert_false(is_told(&worker));
	sem_post(&job.go);
	worker_wait(&worker);
	assert_int_equal(job.n_done, 2);
	worker_stop(&worker);
	sem_destroy(&job.go);
}

static void test_none(void **)
{
	struct worker worker;

	worker_init(&worker);
	worker_stop(&worker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
