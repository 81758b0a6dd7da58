// SPDX-License-Identifier: MIT
/* worker.c - a thread beside those that serve the guest, for what takes long */

#include "vm/worker.h"

#include "loop/loop.h"
#include "util/error.h"
#include "util/thread.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* NULL: it is to leave. */
static void (*next_work(struct worker *worker))(void *arg)
{
	void (*work)(void *arg);

	pthread_mutex_lock(&worker->lock);
	while (!worker->work && !worker->leaves)
		pthread_cond_wait(&worker->changed, &worker->lock);
	work = worker->work;
	pthread_mutex_unlock(&worker->lock);
	return work;
}

/* The eventfd first: who is told that it is done finds it readable. */
static void tell_done(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	loop_counter_add(worker->done);
	worker->work = NULL;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

static void *run(void *arg)
{
	struct worker *worker = arg;
	void (*work)(void *arg);

	if (worker->begun)
		worker->begun(worker->ctx);
	while ((work = next_work(worker))) {
		work(worker->arg);
		tell_done(worker);
	}
	return NULL;
}

void worker_init(struct worker *worker)
{
	*worker = (struct worker){ .done = -1 };
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->changed, NULL);
}

int worker_start(struct worker *worker, void (*begun)(void *ctx), void *ctx, struct diag *diag)
{
	int err;

	if (worker->is_there)
		return 0;
	worker->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->done < 0)
		return diag_fail(diag, errno, "eventfd: %s", error_text(errno));
	worker->begun = begun;
	worker->ctx = ctx;
	err = thread_create(&worker->thread, run, worker);
	if (err) {
		close(worker->done);
		return diag_fail(diag, err, "cannot start a thread: %s", error_text(err));
	}
	worker->is_there = true;
	return 0;
}

bool worker_is_busy(struct worker *worker)
{
	bool is_busy;

	pthread_mutex_lock(&worker->lock);
	is_busy = worker->work;
	pthread_mutex_unlock(&worker->lock);
	return is_busy;
}

/* It may have done something that nobody has waited for. */
void worker_do(struct worker *worker, void (*work)(void *arg), void *arg)
{
	loop_counter_read(worker->done);
	pthread_mutex_lock(&worker->lock);
	worker->work = work;
	worker->arg = arg;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

void worker_wait(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	while (worker->work)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
	loop_counter_read(worker->done);
}

void worker_stop(struct worker *worker)
{
	if (worker->is_there) {
		pthread_mutex_lock(&worker->lock);
		worker->leaves = true;
		pthread_cond_broadcast(&worker->changed);
		pthread_mutex_unlock(&worker->lock);
		pthread_join(worker->thread, NULL);
		close(worker->done);
	}
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->lock);
	worker->is_there = false;
}
