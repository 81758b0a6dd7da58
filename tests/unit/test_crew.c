// SPDX-License-Identifier: MIT
/* test_crew.c - threads that work, and park when they are asked to */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/crew.h"
#include "util/thread.h"

#include <signal.h>
#include <string.h>

#define N_MEMBERS 4

/* What a member works on is nobody else's meanwhile, and needs no lock: ThreadSanitizer watches. */
struct member {
	struct crew *crew;
	pthread_t thread;
	uint64_t n_turns, n_orders;
};

static void *work(void *arg)
{
	struct member *member = arg;

	while (crew_park(member->crew)) {
		member->n_orders++;
		while (!crew_is_called(member->crew))
			member->n_turns++;
	}
	return NULL;
}

static void start(struct crew *crew, struct member *members)
{
	crew_init(crew);
	memset(members, 0, N_MEMBERS * sizeof(*members));
	for (int i = 0; i < N_MEMBERS; i++) {
		members[i].crew = crew;
		assert_int_equal(crew_start(crew, &members[i].thread, work, &members[i]), 0);
	}
}

static void finish(struct crew *crew, struct member *members)
{
	crew_order(crew, CREW_LEAVE);
	for (int i = 0; i < N_MEMBERS; i++)
		assert_int_equal(pthread_join(members[i].thread, NULL), 0);
	crew_fini(crew);
}

static void test_parked_at_first(void **)
{
	struct member members[N_MEMBERS];
	struct crew crew;

	start(&crew, members);
	crew_gather(&crew);
	for (int i = 0; i < N_MEMBERS; i++)
		assert_int_equal(members[i].n_orders, 0);
	finish(&crew, members);
}

/* Again and again, also so soon that nobody has got up. */
static void test_work_and_park(void **)
{
	struct member members[N_MEMBERS];
	struct crew crew;

	start(&crew, members);
	for (int turn = 0; turn < 500; turn++) {
		crew_order(&crew, CREW_WORK);
		crew_order(&crew, CREW_PARK);
		crew_gather(&crew);
		for (int i = 0; i < N_MEMBERS; i++)
			members[i].n_turns = 0;
	}
	for (int i = 0; i < N_MEMBERS; i++)
		assert_true(members[i].n_orders <= 500);
	finish(&crew, members);
}

static void *wait_for_work(void *arg)
{
	struct member *member = arg;

	while (crew_park(member->crew)) {
		member->n_orders++;
		crew_order(member->crew, CREW_PARK); /* a member may call the others */
	}
	return NULL;
}

static void test_a_member_calls(void **)
{
	struct member member = { 0 };
	struct crew crew;

	crew_init(&crew);
	member.crew = &crew;
	assert_int_equal(crew_start(&crew, &member.thread, wait_for_work, &member), 0);
	for (uint64_t n = 1; n <= 100; n++) {
		crew_gather(&crew);
		crew_order(&crew, CREW_WORK);
		while (!crew_is_called(&crew))
			continue;
		crew_gather(&crew);
		assert_int_equal(member.n_orders, n);
	}
	crew_order(&crew, CREW_LEAVE);
	assert_int_equal(pthread_join(member.thread, NULL), 0);
	crew_fini(&crew);
}

/* A crew of nobody is gathered. */
static void test_nobody(void **)
{
	struct crew crew;

	crew_init(&crew);
	crew_gather(&crew);
	assert_true(crew_is_called(&crew));
	crew_order(&crew, CREW_WORK);
	assert_false(crew_is_called(&crew));
	crew_fini(&crew);
}

static void *tell_mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
	return NULL;
}

/* What others send is the main thread's; what a thread raises itself is its own. */
static void test_signals_of_a_thread(void **)
{
	const int blocked[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCONT, SIGRTMIN };
	static const int open[] = { SIGSEGV, SIGBUS, SIGABRT, SIGSYS };
	pthread_t thread;
	sigset_t mask, mine;

	assert_int_equal(thread_create(&thread, tell_mask, &mask), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++)
		assert_int_equal(sigismember(&mask, blocked[i]), 1);
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		assert_int_equal(sigismember(&mask, open[i]), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	assert_int_equal(sigismember(&mine, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parked_at_first),
		cmocka_unit_test(test_work_and_park),
		cmocka_unit_test(test_a_member_calls),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_signals_of_a_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
