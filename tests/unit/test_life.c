// SPDX-License-Identifier: MIT
/* test_life.c - the life cycle of a machine: its transitions, and lives that follow one another */

#include "life_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* ---- transitions ---- */

enum transition { CREATE, RUN, PAUSE, RESET, HOLD, END };

static int go(struct rig *rig, enum transition transition)
{
	switch (transition) {
	case CREATE: return life_create(&rig->life, &rig->diag);
	case RUN: life_run(&rig->life); return 0;
	case PAUSE: life_pause(&rig->life); return 0;
	case RESET: return life_reset(&rig->life, &rig->diag);
	case HOLD: life_hold(&rig->life); return 0;
	case END: life_end(&rig->life); return 0;
	}
	return -EINVAL;
}

static void test_each_transition(void **)
{
	static const struct {
		enum transition transition;
		enum life_state state;
	} steps[] = {
		{ CREATE, LIFE_CREATED },
		{ RUN, LIFE_RUNNING },
		{ PAUSE, LIFE_PAUSED },
		{ PAUSE, LIFE_PAUSED },
		{ RUN, LIFE_RUNNING },
		{ PAUSE, LIFE_PAUSED },
		{ RESET, LIFE_CREATED },
		{ RUN, LIFE_RUNNING },
		{ PAUSE, LIFE_PAUSED },
		{ END, LIFE_ENDED },
		{ END, LIFE_ENDED },
	};
	struct rig rig;

	init(&rig);
	assert_int_equal(rig.life.state, LIFE_CONFIGURED);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(go(&rig, steps[i].transition), 0);
		assert_int_equal(rig.life.state, steps[i].state);
	}
	assert_string_equal(rig.said, "crprpRrpe");
	fini(&rig);
}

/* What runs is paused before it is ended. */
static void test_end_from_everywhere(void **)
{
	static const char *const said[] = {
		[LIFE_CONFIGURED] = "e",
		[LIFE_CREATED] = "ce",
		[LIFE_RUNNING] = "crpe",
		[LIFE_PAUSED] = "crpe",
	};

	for (enum life_state state = LIFE_CONFIGURED; state <= LIFE_PAUSED; state++) {
		struct rig rig;

		init(&rig);
		for (enum transition t = CREATE; t < (enum transition)state; t++)
			assert_int_equal(go(&rig, t), 0);
		assert_int_equal(rig.life.state, state);
		life_end(&rig.life);
		assert_string_equal(rig.said, said[state]);
		fini(&rig);
	}
}

static void test_failures(void **)
{
	struct rig rig;

	init(&rig);
	rig.ret = -EIO;
	assert_int_equal(life_create(&rig.life, &rig.diag), -EIO);
	assert_string_equal(rig.diag.text, "not created");
	assert_int_equal(rig.life.state, LIFE_CONFIGURED);
	rig.ret = 0;
	assert_int_equal(life_create(&rig.life, &rig.diag), 0);
	life_run(&rig.life);
	life_pause(&rig.life);
	rig.ret = -ENOMEM;
	assert_int_equal(life_reset(&rig.life, &rig.diag), -ENOMEM);
	assert_int_equal(rig.life.state, LIFE_PAUSED);
	life_end(&rig.life);
	assert_string_equal(rig.said, "ccrpRe");
	fini(&rig);
}

static bool is_bug(enum life_state from, bool is_held, enum transition transition)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct rig rig;

		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		init(&rig);
		rig.life.state = from;
		rig.life.is_held = is_held;
		go(&rig, transition);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_any_other_is_our_bug(void **)
{
	static const bool may[][END + 1] = {
		[LIFE_CONFIGURED] = { [CREATE] = true, [END] = true },
		[LIFE_CREATED] = { [RUN] = true, [HOLD] = true, [END] = true },
		[LIFE_RUNNING] = { [PAUSE] = true, [HOLD] = true, [END] = true },
		[LIFE_PAUSED] = { [RUN] = true,
			[PAUSE] = true,
			[RESET] = true,
			[HOLD] = true,
			[END] = true },
		[LIFE_ENDED] = { [END] = true },
	};

	for (enum life_state from = LIFE_CONFIGURED; from <= LIFE_ENDED; from++)
		for (enum transition t = CREATE; t <= END; t++)
			if (is_bug(from, false, t) == may[from][t])
				fail_msg("state %d, transition %d", from, t);
	/* What is held does not run. */
	assert_true(is_bug(LIFE_CREATED, true, RUN));
	assert_true(is_bug(LIFE_PAUSED, true, RUN));
}

/* ---- the loop's part ---- */

/* Lives that end as `ends` says.  How the last did. */
static enum exit_code serve(struct rig *rig)
{
	enum exit_code outcome = EXIT_OPERATOR;

	assert_int_equal(life_create(&rig->life, &rig->diag), 0);
	life_run(&rig->life);
	assert_int_equal(life_serve(&rig->life, &outcome, &rig->diag), 0);
	assert_int_equal(rig->life.state, LIFE_PAUSED);
	return outcome;
}

static void test_one_life(void **)
{
	static const struct {
		enum exit_code asked, outcome;
	} row[] = {
		{ EXIT_CRASH, EXIT_CRASH },
		{ EXIT_KILLED, EXIT_KILLED },
		{ EXIT_HOST_ERROR, EXIT_CRASH },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct rig rig;

		init(&rig);
		rig.ends[0] = row[i].asked;
		assert_int_equal(serve(&rig), row[i].outcome);
		assert_string_equal(rig.said, "crp");
		fini(&rig);
	}
}

static void test_first_who_asks_counts(void **)
{
	struct rig rig;
	enum exit_code outcome;

	init(&rig);
	assert_int_equal(life_create(&rig.life, &rig.diag), 0);
	life_run(&rig.life);
	assert_true(life_ask_end(&rig.life, EXIT_POWEROFF));
	assert_false(life_ask_end(&rig.life, EXIT_CRASH));
	assert_int_equal(life_serve(&rig.life, &outcome, &rig.diag), 0);
	assert_int_equal(outcome, EXIT_POWEROFF);
	fini(&rig);
}

/* Lives that were long enough follow one another at once. */
static void test_lives(void **)
{
	struct rig rig;

	init(&rig);
	for (int i = 0; i < 4; i++)
		rig.ends[i] = EXIT_REBOOT;
	rig.ends[4] = EXIT_CRASH;
	assert_int_equal(serve(&rig), EXIT_CRASH);
	assert_string_equal(rig.said, "crpRrpRrpRrpRrp");
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig.wait_ms[i], 0);
	assert_false(rig.life.warned);
	fini(&rig);
}

/* Short ones ever later; a long one in between makes it good. */
static void test_short_lives_wait(void **)
{
	static const uint64_t wait_ms[] = { 0, 1, 2, 4, 5, 5 };
	struct rig rig;

	init(&rig);
	rig.life.short_ms = 3600000;
	rig.life.first_wait_ms = 1;
	rig.life.last_wait_ms = 5;
	for (int i = 0; i < 5; i++)
		rig.ends[i] = EXIT_REBOOT;
	rig.ends[5] = EXIT_CRASH;
	assert_int_equal(serve(&rig), EXIT_CRASH);
	assert_string_equal(rig.said, "crpRrpRrpRrpRrpRrp");
	for (size_t i = 0; i < ARRAY_SIZE(wait_ms); i++)
		assert_int_equal(rig.wait_ms[i], wait_ms[i]);
	assert_true(rig.life.warned);
	fini(&rig);
}

static void test_defaults(void **)
{
	struct rig rig;

	memset(&rig, 0, sizeof(rig));
	assert_int_equal(loop_init(&rig.loop), 0);
	assert_int_equal(life_init(&rig.life, &rig.loop, &ops, &rig, &rig.diag), 0);
	assert_int_equal(rig.life.short_ms, 1000);
	assert_int_equal(rig.life.first_wait_ms, 10);
	assert_int_equal(rig.life.last_wait_ms, 1000);
	fini(&rig);
}

static void ask_to_end(void *ctx, uint32_t)
{
	assert_true(life_ask_end(ctx, EXIT_KILLED));
}

/* Nobody has to wait for a life that is not wanted. */
static void test_end_while_waiting(void **)
{
	struct rig rig;
	struct loop_source soon;

	init(&rig);
	rig.life.short_ms = 3600000;
	rig.life.first_wait_ms = 3600000;
	rig.ends[0] = EXIT_REBOOT;
	soon = (struct loop_source){ loop_timer_create(20, 0), ask_to_end, &rig.life, NULL };
	assert_int_equal(loop_add(&rig.loop, &soon, EPOLLIN | EPOLLONESHOT), 0);
	assert_int_equal(serve(&rig), EXIT_KILLED);
	assert_string_equal(rig.said, "crp");
	close(soon.fd);
	fini(&rig);
}

static void test_reset_fails(void **)
{
	struct rig rig;
	enum exit_code outcome;

	init(&rig);
	rig.ends[0] = EXIT_REBOOT;
	assert_int_equal(life_create(&rig.life, &rig.diag), 0);
	life_run(&rig.life);
	rig.ret = -ENODATA;
	assert_int_equal(life_serve(&rig.life, &outcome, &rig.diag), -ENODATA);
	assert_string_equal(rig.diag.text, "not reset");
	life_end(&rig.life);
	assert_string_equal(rig.said, "crpRe");
	fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_transition),
		cmocka_unit_test(test_end_from_everywhere),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_any_other_is_our_bug),
		cmocka_unit_test(test_one_life),
		cmocka_unit_test(test_first_who_asks_counts),
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_short_lives_wait),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_end_while_waiting),
		cmocka_unit_test(test_reset_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
