// SPDX-License-Identifier: MIT
/* test_life_hold.c - the life cycle of a machine: the operator's hold, whatever the guest asks for
 */

#include "life_rig.h"

static void stop(void *ctx, uint32_t)
{
	loop_stop(ctx);
}

/* Serve the loop until nothing more is to come of it at once. */
static void turn(struct rig *rig)
{
	struct loop_source soon = { loop_timer_create(20, 0), stop, &rig->loop, NULL };

	assert_int_equal(loop_add(&rig->loop, &soon, EPOLLIN), 0);
	assert_int_equal(loop_run(&rig->loop), 0);
	loop_remove(&rig->loop, &soon);
	close(soon.fd);
}

/* Not serve(): it is looked at in between. */
static void run(struct rig *rig)
{
	init(rig);
	assert_int_equal(life_create(&rig->life, &rig->diag), 0);
	life_run(&rig->life);
}

static void check(struct rig *rig, enum life_state state, const char *said)
{
	assert_int_equal(rig->life.state, state);
	assert_string_equal(rig->said, said);
}

static void test_hold(void **)
{
	struct rig rig;

	run(&rig);
	life_release(&rig.life);
	check(&rig, LIFE_RUNNING, "cr");
	for (unsigned int i = 0; i < 2; i++)
		life_hold(&rig.life);
	assert_true(rig.life.is_held);
	turn(&rig);
	check(&rig, LIFE_PAUSED, "crpq");
	for (unsigned int i = 0; i < 2; i++)
		life_release(&rig.life);
	assert_false(rig.life.is_held);
	check(&rig, LIFE_RUNNING, "crpqur");
	fini(&rig);
}

/* Before its first instruction. */
static void test_hold_at_entry(void **)
{
	struct rig rig;

	init(&rig);
	assert_int_equal(life_create(&rig.life, &rig.diag), 0);
	life_hold(&rig.life);
	turn(&rig);
	check(&rig, LIFE_CREATED, "cq");
	life_release(&rig.life);
	check(&rig, LIFE_RUNNING, "cqur");
	fini(&rig);
}

/* A life is as long as it is, however often it was held. */
static void test_hold_is_no_birth(void **)
{
	struct rig rig;

	run(&rig);
	rig.life.since_ns = 1;
	life_hold(&rig.life);
	life_release(&rig.life);
	assert_int_equal(rig.life.since_ns, 1);
	fini(&rig);
}

/* It had asked, and nobody had heard: the next life waits at its entry. */
static void test_reset_while_held(void **)
{
	struct rig rig;

	run(&rig);
	assert_true(life_ask_end(&rig.life, EXIT_REBOOT));
	life_hold(&rig.life);
	turn(&rig);
	check(&rig, LIFE_CREATED, "crpqR");
	assert_true(rig.life.is_held);
	life_release(&rig.life);
	check(&rig, LIFE_RUNNING, "crpqRur");
	assert_true(life_ask_end(&rig.life, EXIT_REBOOT));
	turn(&rig);
	check(&rig, LIFE_RUNNING, "crpqRurpRr");
	fini(&rig);
}

/* Who has asked for the end runs no further instruction, though it was not heard. */
static void test_release_of_the_dead(void **)
{
	struct rig rig;

	run(&rig);
	assert_true(life_ask_end(&rig.life, EXIT_CRASH));
	life_hold(&rig.life);
	life_release(&rig.life);
	check(&rig, LIFE_PAUSED, "crpqu");
	turn(&rig);
	check(&rig, LIFE_PAUSED, "crpqu");
	assert_int_equal(rig.life.outcome, EXIT_CRASH);
	life_end(&rig.life);
	check(&rig, LIFE_ENDED, "crpque");
	fini(&rig);
}

/* Until the wait is over, as far as this test goes. */
static void run_and_wait(struct rig *rig)
{
	run(rig);
	rig->life.short_ms = 3600000;
	rig->life.first_wait_ms = 3600000;
	assert_true(life_ask_end(&rig->life, EXIT_REBOOT));
	turn(rig);
	check(rig, LIFE_PAUSED, "crp");
}

static void end_wait(struct rig *rig)
{
	loop_timer_set(rig->life.again.fd, 1, 0);
	turn(rig);
}

static void test_hold_while_waiting(void **)
{
	struct rig rig;

	run_and_wait(&rig);
	life_hold(&rig.life);
	end_wait(&rig);
	check(&rig, LIFE_CREATED, "crpqR");
	life_release(&rig.life);
	check(&rig, LIFE_RUNNING, "crpqRur");
	fini(&rig);
}

static void test_release_while_waiting(void **)
{
	struct rig rig;

	run_and_wait(&rig);
	life_hold(&rig.life);
	turn(&rig);
	life_release(&rig.life);
	turn(&rig);
	check(&rig, LIFE_PAUSED, "crpqu");
	end_wait(&rig);
	check(&rig, LIFE_RUNNING, "crpquRr");
	fini(&rig);
}

/* It ends at once: paused, at its entry, or in the wait. */
static void test_end_while_held(void **)
{
	for (unsigned int i = 0; i < 3; i++) {
		struct rig rig;
		enum exit_code outcome;

		if (i == 2)
			run_and_wait(&rig);
		else
			run(&rig);
		if (i == 1)
			assert_true(life_ask_end(&rig.life, EXIT_REBOOT));
		life_hold(&rig.life);
		turn(&rig);
		assert_int_equal(rig.life.state, i == 1 ? LIFE_CREATED : LIFE_PAUSED);
		assert_true(life_ask_end(&rig.life, EXIT_KILLED));
		assert_int_equal(life_serve(&rig.life, &outcome, &rig.diag), 0);
		assert_int_equal(outcome, EXIT_KILLED);
		life_end(&rig.life);
		check(&rig, LIFE_ENDED, i == 1 ? "crpqRe" : "crpqe");
		assert_false(rig.life.is_held);
		fini(&rig);
	}
}

static void test_reset_fails_while_held(void **)
{
	struct rig rig;
	enum exit_code outcome;

	run(&rig);
	assert_true(life_ask_end(&rig.life, EXIT_REBOOT));
	life_hold(&rig.life);
	rig.ret = -ENODATA;
	assert_int_equal(life_serve(&rig.life, &outcome, &rig.diag), -ENODATA);
	life_end(&rig.life);
	check(&rig, LIFE_ENDED, "crpqRe");
	fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_hold_at_entry),
		cmocka_unit_test(test_hold_is_no_birth),
		cmocka_unit_test(test_reset_while_held),
		cmocka_unit_test(test_release_of_the_dead),
		cmocka_unit_test(test_hold_while_waiting),
		cmocka_unit_test(test_release_while_waiting),
		cmocka_unit_test(test_end_while_held),
		cmocka_unit_test(test_reset_fails_while_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
