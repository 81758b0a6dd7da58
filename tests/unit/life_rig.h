/* SPDX-License-Identifier: MIT */
/* life_rig.h - a machine that only writes down what is asked of it, for test_life*.c */
#ifndef TESTS_UNIT_LIFE_RIG_H
#define TESTS_UNIT_LIFE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/bits.h"
#include "vm/life.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct rig {
	struct loop loop;
	struct life life;
	struct diag diag;
	char said[512]; /* what the machine was asked to do, a letter each */
	int ret;        /* of create and reset */
	unsigned int n_lives;
	enum exit_code ends[8]; /* each life asks for its end at once, as soon as it runs */
	uint64_t wait_ms[8];    /* before each */
};

static inline void say(struct rig *rig, char what)
{
	size_t n = strlen(rig->said);

	assert_true(n + 1 < sizeof(rig->said));
	rig->said[n] = what;
}

static inline int fake_create(void *ctx, struct diag *diag)
{
	struct rig *rig = ctx;

	say(rig, 'c');
	return rig->ret ? diag_fail(diag, -rig->ret, "not created") : 0;
}

static inline void fake_run(void *ctx)
{
	struct rig *rig = ctx;

	say(rig, 'r');
	rig->wait_ms[rig->n_lives] = rig->life.wait_ms;
	if (rig->ends[rig->n_lives])
		assert_true(life_ask_end(&rig->life, rig->ends[rig->n_lives]));
	rig->n_lives++;
}

static inline void fake_pause(void *ctx)
{
	say(ctx, 'p');
}

static inline void fake_quiesce(void *ctx)
{
	say(ctx, 'q');
}

static inline void fake_resume(void *ctx)
{
	say(ctx, 'u');
}

static inline int fake_reset(void *ctx, struct diag *diag)
{
	struct rig *rig = ctx;

	say(rig, 'R');
	return rig->ret ? diag_fail(diag, -rig->ret, "not reset") : 0;
}

static inline void fake_end(void *ctx)
{
	say(ctx, 'e');
}

static inline bool fake_returns(void *, enum exit_code *outcome)
{
	if (*outcome == EXIT_HOST_ERROR)
		*outcome = EXIT_CRASH; /* it may have another view of it */
	return *outcome == EXIT_REBOOT;
}

static const struct life_ops ops = {
	.create = fake_create,
	.run = fake_run,
	.pause = fake_pause,
	.quiesce = fake_quiesce,
	.resume = fake_resume,
	.reset = fake_reset,
	.end = fake_end,
	.returns = fake_returns,
};

static inline void init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	assert_int_equal(loop_init(&rig->loop), 0);
	assert_int_equal(life_init(&rig->life, &rig->loop, &ops, rig, &rig->diag), 0);
	rig->life.short_ms = 0;
}

static inline void fini(struct rig *rig)
{
	life_fini(&rig->life);
	loop_fini(&rig->loop);
}

#endif
