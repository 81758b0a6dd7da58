// SPDX-License-Identifier: MIT
/* test_control.c - signals, the power button and the grace period, without a guest */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exit_codes.h"
#include "util/bits.h"
#include "util/log.h"
#include "util/timeline.h"
#include "vm/control.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEVER_MS 3600000

static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

struct rig {
	struct loop loop;
	struct control control;
	unsigned int n_presses, n_typed, n_stops, n_returns, n_resizes, n_ends;
	bool is_terminal, is_waiting;
	unsigned int stop_at; /* all of these together */
};

static void count(struct rig *rig, unsigned int *n)
{
	++*n;
	if (rig->n_presses + rig->n_typed + rig->n_stops + rig->n_returns + rig->n_resizes +
			rig->n_ends >=
		rig->stop_at)
		loop_stop(&rig->loop);
}

static bool press(void *ctx)
{
	struct rig *rig = ctx;

	if (!rig->is_waiting)
		count(rig, &rig->n_presses);
	return !rig->is_waiting;
}

static bool type(void *ctx)
{
	struct rig *rig = ctx;

	if (rig->is_terminal)
		count(rig, &rig->n_typed);
	return rig->is_terminal;
}

static void stop(void *ctx)
{
	count(ctx, &((struct rig *)ctx)->n_stops);
}

static void go_on(void *ctx)
{
	count(ctx, &((struct rig *)ctx)->n_returns);
}

static void resize(void *ctx)
{
	count(ctx, &((struct rig *)ctx)->n_resizes);
}

static void end(void *ctx)
{
	count(ctx, &((struct rig *)ctx)->n_ends);
}

static const struct control_ops ops = { press, type, stop, go_on, resize, end };

static void init(struct rig *rig, uint64_t grace_ms)
{
	struct diag diag;

	memset(rig, 0, sizeof(*rig));
	assert_int_equal(loop_init(&rig->loop), 0);
	assert_int_equal(control_init(&rig->control, &rig->loop, grace_ms, &ops, rig, &diag), 0);
	control_take_signals(&rig->control);
}

static void fini(struct rig *rig)
{
	control_drop_signals(&rig->control);
	control_fini(&rig->control);
	loop_fini(&rig->loop);
}

/* Until so much has been asked for. */
static void run(struct rig *rig, unsigned int stop_at)
{
	rig->stop_at = stop_at;
	rig->loop.stopped = false;
	assert_int_equal(loop_run(&rig->loop), 0);
}

static void test_a_signal_presses_the_button(void **)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct rig rig;

		init(&rig, NEVER_MS);
		assert_false(control_wants_end(&rig.control));
		kill(getpid(), signals[i]);
		run(&rig, 1);
		assert_int_equal(rig.n_presses, 1);
		assert_true(control_wants_end(&rig.control));
		kill(getpid(), SIGTERM); /* a second one is not patient */
		run(&rig, 2);
		assert_int_equal(rig.n_ends, 1);
		fini(&rig);
	}
}

static void expect_end_without_a_press(struct rig *rig)
{
	assert_int_equal(rig->n_presses, 0);
	assert_int_equal(rig->n_ends, 1);
	assert_true(control_wants_end(&rig->control));
}

static void test_no_grace(void **)
{
	struct rig rig;

	init(&rig, 0);
	kill(getpid(), SIGTERM);
	run(&rig, 1);
	expect_end_without_a_press(&rig);
	fini(&rig);
}

/* By the escape key. */
static void test_an_end_that_waits_for_nothing(void **)
{
	struct rig rig;

	init(&rig, NEVER_MS);
	control_demand_end(&rig.control);
	expect_end_without_a_press(&rig);
	fini(&rig);
}

static void test_interrupt_on_a_terminal(void **)
{
	struct rig rig;

	init(&rig, NEVER_MS);
	rig.is_terminal = true;
	kill(getpid(), SIGINT);
	run(&rig, 1);
	assert_int_equal(rig.n_typed, 1);
	assert_false(control_wants_end(&rig.control));
	fini(&rig);
}

/* Between two lives there is no guest to ask, and the next one was not asked. */
static void test_nobody_to_ask(void **)
{
	struct rig rig;

	init(&rig, NEVER_MS);
	rig.is_waiting = true;
	kill(getpid(), SIGTERM);
	run(&rig, 1);
	expect_end_without_a_press(&rig);
	fini(&rig);
}

/* To be stopped and continued presses no button; who is to stop does it itself. */
static void test_job_control(void **)
{
	struct rig rig;

	init(&rig, NEVER_MS);
	kill(getpid(), SIGTSTP);
	run(&rig, 1);
	assert_int_equal(rig.n_stops, 1);
	kill(getpid(), SIGCONT);
	run(&rig, 2);
	assert_int_equal(rig.n_returns, 1);
	kill(getpid(), SIGWINCH);
	run(&rig, 3);
	assert_int_equal(rig.n_resizes, 1);
	assert_int_equal(rig.n_presses + rig.n_ends, 0);
	fini(&rig);
}

/* It is pressed again and again, and the end comes not before its time. */
static void test_grace(void **)
{
	struct rig rig;
	uint64_t from = timeline_now();

	init(&rig, 60);
	rig.control.tick_ms = 10;
	kill(getpid(), SIGTERM);
	run(&rig, 2);
	assert_int_equal(rig.n_presses, 2);
	while (!rig.n_ends)
		run(&rig, rig.n_presses + 1);
	assert_true(timeline_now() - from >= 60000000);
	fini(&rig);
}

/* Of a process that was stopped, or a loop that was late, one wake-up may come for many. */
static void test_grace_counts_time(void **)
{
	struct rig rig;

	init(&rig, NEVER_MS);
	rig.control.tick_ms = 1;
	kill(getpid(), SIGTERM);
	run(&rig, 2);
	assert_int_equal(rig.n_ends, 0);
	rig.control.deadline_ns = timeline_now();
	run(&rig, 3);
	assert_int_equal(rig.n_presses, 2);
	assert_int_equal(rig.n_ends, 1);
	fini(&rig);
}

/* ---- while no guest runs ---- */

/* How a child ends that does this with a signal. */
static int status_of(void (*what)(int sig), int sig)
{
	pid_t child = fork();
	int status;

	if (!child) {
		what(sig);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void catch_it(int sig)
{
	control_catch_signals();
	raise(sig);
}

static void ignore_it(int sig)
{
	signal(sig, SIG_IGN);
	control_catch_signals();
	raise(sig);
}

static void leave_then_catch_it(int sig)
{
	struct rig rig;

	control_catch_signals();
	init(&rig, NEVER_MS);
	raise(sig); /* obeyed, as the end has come */
	control_drop_signals(&rig.control);
	raise(sig);
}

static void drop_it(int sig)
{
	struct rig rig;

	control_catch_signals();
	init(&rig, NEVER_MS);
	raise(sig);
	control_drop_signals(&rig.control);
}

/* Between two lives nobody else would hear it. */
static void leave_it(int sig)
{
	struct rig rig;

	control_catch_signals();
	init(&rig, NEVER_MS);
	raise(sig);
	control_leave_signals(&rig.control);
}

static void test_no_guest(void **)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		assert_int_equal(status_of(catch_it, signals[i]), EXIT_KILLED);
		assert_int_equal(status_of(ignore_it, signals[i]), 0);
		assert_int_equal(status_of(drop_it, signals[i]), 0);
		assert_int_equal(status_of(leave_it, signals[i]), EXIT_KILLED);
		assert_int_equal(status_of(leave_then_catch_it, signals[i]), EXIT_KILLED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_signal_presses_the_button),
		cmocka_unit_test(test_no_grace),
		cmocka_unit_test(test_an_end_that_waits_for_nothing),
		cmocka_unit_test(test_nobody_to_ask),
		cmocka_unit_test(test_interrupt_on_a_terminal),
		cmocka_unit_test(test_job_control),
		cmocka_unit_test(test_grace),
		cmocka_unit_test(test_grace_counts_time),
		cmocka_unit_test(test_no_guest),
	};

	log_set_level(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_DFL); /* a shell's background has us ignore some */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
