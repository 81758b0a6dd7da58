// SPDX-License-Identifier: MIT
/* loop.c - one thread's event loop over epoll */

#include "loop/loop.h"

#include "util/bits.h"
#include "util/timeline.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

int loop_init(struct loop *loop)
{
	loop->stopped = false;
	loop->quiet_ms = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_fini(struct loop *loop)
{
	close(loop->epoll_fd);
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) ? -errno : 0;
}

void loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
}

static void loop_dispatch(const struct epoll_event *event)
{
	struct loop_source *source = event->data.ptr;
	pthread_mutex_t *lock = source->lock;

	if (lock)
		pthread_mutex_lock(lock);
	/* May free the source. */
	source->ready(source->ctx, event->events);
	if (lock)
		pthread_mutex_unlock(lock);
}

void loop_when_quiet(struct loop *loop, int ms, void (*quiet)(void *ctx), void *ctx)
{
	loop->quiet_ms = ms;
	loop->quiet = quiet;
	loop->ctx = ctx;
}

static void loop_be_quiet(struct loop *loop)
{
	loop->quiet_ms = -1;
	loop->quiet(loop->ctx);
}

int loop_run(struct loop *loop)
{
	struct epoll_event event;

	/* One event a turn: a callback may remove another source, which must then not be called. */
	while (!loop->stopped) {
		int n = epoll_wait(loop->epoll_fd, &event, 1, loop->quiet_ms);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			loop_dispatch(&event);
		else if (n == 0)
			loop_be_quiet(loop);
	}
	loop->stopped = false;
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

void loop_timer_set(int fd, uint64_t first_ms, uint64_t period_ms)
{
	struct itimerspec when = {
		.it_value = { (time_t)(first_ms / 1000), (long)(first_ms % 1000) * 1000000 },
		.it_interval = { (time_t)(period_ms / 1000), (long)(period_ms % 1000) * 1000000 },
	};

	BUG_ON(timerfd_settime(fd, 0, &when, NULL));
}

int loop_timer_create(uint64_t first_ms, uint64_t period_ms)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (first_ms)
		loop_timer_set(fd, first_ms, period_ms);
	return fd;
}

int loop_add_timer(
	struct loop *loop, struct loop_source *source, uint64_t first_ms, uint64_t period_ms)
{
	int ret;

	source->fd = loop_timer_create(first_ms, period_ms);
	if (source->fd < 0) {
		ret = source->fd;
		source->fd = -1;
		return ret;
	}
	ret = loop_add(loop, source, EPOLLIN);
	if (ret) {
		close(source->fd);
		source->fd = -1;
	}
	return ret;
}

bool loop_may_go(struct rate *rate, int timer_fd)
{
	uint64_t ns;

	if (!rate_is_limited(rate))
		return true;
	ns = rate_wait_ns(rate, timeline_now());
	if (ns)
		loop_timer_set(timer_fd, ns / 1000000 + 1, 0);
	return !ns;
}

uint64_t loop_counter_read(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count) ? count : 0;
}

void loop_counter_add(int fd)
{
	uint64_t one = 1;

	/* Fails only when the counter is full: then the reader is awake already. */
	(void)!write(fd, &one, sizeof(one));
}
