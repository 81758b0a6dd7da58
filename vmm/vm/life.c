// SPDX-License-Identifier: MIT
/* life.c - the life cycle of a machine */

#include "vm/life.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "util/timeline.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SHORT_MS      1000
#define FIRST_WAIT_MS 10
#define LAST_WAIT_MS  1000

#define FROM(state) (1u << (state))

/* A transition from any other state is our bug. */
static void check_from(const struct life *life, unsigned int states)
{
	BUG_ON(!(FROM(life->state) & states));
}

/* ---- transitions ---- */

int life_create(struct life *life, struct diag *diag)
{
	int ret;

	check_from(life, FROM(LIFE_CONFIGURED));
	ret = life->ops->create(life->ctx, diag);
	if (!ret)
		life->state = LIFE_CREATED;
	return ret;
}

void life_run(struct life *life)
{
	check_from(life, FROM(LIFE_CREATED) | FROM(LIFE_PAUSED));
	BUG_ON(life->is_held);
	if (life->state == LIFE_CREATED)
		life->since_ns = timeline_now();
	life->state = LIFE_RUNNING;
	life->ops->run(life->ctx);
}

void life_pause(struct life *life)
{
	if (life->state == LIFE_PAUSED)
		return;
	check_from(life, FROM(LIFE_RUNNING));
	life->ops->pause(life->ctx);
	life->state = LIFE_PAUSED;
}

int life_reset(struct life *life, struct diag *diag)
{
	int ret;

	check_from(life, FROM(LIFE_PAUSED));
	ret = life->ops->reset(life->ctx, diag);
	if (!ret)
		life->state = LIFE_CREATED;
	return ret;
}

void life_end(struct life *life)
{
	if (life->state == LIFE_ENDED)
		return;
	if (life->state == LIFE_RUNNING)
		life_pause(life);
	life->ops->end(life->ctx);
	life->state = LIFE_ENDED;
	life->is_held = false;
}

void life_hold(struct life *life)
{
	if (life->is_held)
		return;
	check_from(life, FROM(LIFE_CREATED) | FROM(LIFE_RUNNING) | FROM(LIFE_PAUSED));
	if (life->state == LIFE_RUNNING)
		life_pause(life);
	life->ops->quiesce(life->ctx);
	life->is_held = true;
}

void life_begin_held(struct life *life)
{
	check_from(life, FROM(LIFE_CREATED));
	life->is_held = true;
}

static bool is_over(const struct life *life)
{
	return atomic_load(&life->outcome) != LIFE_UNDECIDED || life->is_waiting;
}

/* What becomes of a life that is over is not for the operator to say. */
void life_release(struct life *life)
{
	if (!life->is_held)
		return;
	life->is_held = false;
	life->ops->resume(life->ctx);
	if (!is_over(life))
		life_run(life);
}

/* ---- another life ---- */

static void begin_again(void *ctx, uint32_t)
{
	struct life *life = ctx;

	loop_counter_read(life->again.fd);
	life->is_waiting = false;
	/* Somebody has ended it while it waited. */
	if (atomic_load(&life->outcome) != LIFE_UNDECIDED)
		return;
	life->error = life_reset(life, &life->diag);
	if (life->error)
		loop_stop(life->loop);
	else if (!life->is_held)
		life_run(life);
}

/* Ever longer, as long as lives are short. */
static uint64_t next_wait(const struct life *life)
{
	if (timeline_now() - life->since_ns >= life->short_ms * 1000000)
		return 0;
	if (!life->wait_ms)
		return life->first_wait_ms;
	return life->wait_ms * 2 < life->last_wait_ms ? life->wait_ms * 2 : life->last_wait_ms;
}

static void wait_for_next(struct life *life)
{
	life->wait_ms = next_wait(life);
	if (!life->wait_ms) {
		begin_again(life, 0);
		return;
	}
	if (!life->warned)
		log_warn("the guest reset within %llu ms of its start; restarts now wait, up to "
			 "%llu ms each",
			(unsigned long long)life->short_ms, (unsigned long long)life->last_wait_ms);
	life->warned = true;
	life->is_waiting = true;
	loop_timer_set(life->again.fd, life->wait_ms, 0);
}

/* ---- the loop's part ---- */

bool life_ask_end(struct life *life, enum exit_code outcome)
{
	int undecided = LIFE_UNDECIDED;

	if (!atomic_compare_exchange_strong(&life->outcome, &undecided, (int)outcome))
		return false;
	loop_counter_add(life->asked.fd);
	return true;
}

static void asked_ready(void *ctx, uint32_t)
{
	struct life *life = ctx;
	enum exit_code outcome = (enum exit_code)atomic_load(&life->outcome);

	loop_counter_read(life->asked.fd);
	if (life->state == LIFE_RUNNING)
		life_pause(life);
	if (life->ops->returns(life->ctx, &outcome)) {
		atomic_store(&life->outcome, LIFE_UNDECIDED);
		wait_for_next(life);
	} else {
		atomic_store(&life->outcome, (int)outcome);
		loop_stop(life->loop);
	}
}

int life_serve(struct life *life, enum exit_code *outcome, struct diag *diag)
{
	int ret = loop_run(life->loop);

	if (ret)
		return diag_fail(diag, -ret, "epoll: %s", error_text(-ret));
	if (life->error) {
		*diag = life->diag;
		return life->error;
	}
	*outcome = (enum exit_code)atomic_load(&life->outcome);
	return 0;
}

/* ---- */

int life_init(struct life *life, struct loop *loop, const struct life_ops *ops, void *ctx,
	struct diag *diag)
{
	int ret;

	*life = (struct life){
		.state = LIFE_CONFIGURED,
		.ops = ops,
		.ctx = ctx,
		.loop = loop,
		.asked = { eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), asked_ready, life, NULL },
		.again = { loop_timer_create(0, 0), begin_again, life, NULL },
		.outcome = LIFE_UNDECIDED,
		.short_ms = SHORT_MS,
		.first_wait_ms = FIRST_WAIT_MS,
		.last_wait_ms = LAST_WAIT_MS,
	};
	ret = life->asked.fd < 0 ? -errno : loop_add(loop, &life->asked, EPOLLIN);
	if (!ret)
		ret = life->again.fd < 0 ? life->again.fd : loop_add(loop, &life->again, EPOLLIN);
	if (!ret)
		return 0;
	life_fini(life);
	return diag_fail(diag, -ret, "eventfd, timerfd: %s", error_text(-ret));
}

void life_fini(struct life *life)
{
	if (life->again.fd >= 0)
		close(life->again.fd);
	if (life->asked.fd >= 0)
		close(life->asked.fd);
}
