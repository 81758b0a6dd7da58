// SPDX-License-Identifier: MIT
/* io.c - the I/O thread */

#include "vm/io.h"

#include "confine/confine.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void call_ready(void *ctx, uint32_t)
{
	struct io *io = ctx;

	loop_counter_read(io->call.fd);
	loop_stop(&io->loop);
}

/* Without epoll there is nothing left to do but to come when called. */
static void await_call(const struct io *io)
{
	struct pollfd call = { .fd = io->call.fd, .events = POLLIN };

	while (poll(&call, 1, -1) < 0 && errno == EINTR)
		continue;
	loop_counter_read(io->call.fd);
}

static void *io_thread(void *arg)
{
	struct io *io = arg;

	if (io->has_filter)
		confine_thread(FILTER_IO, io->tells_refused);
	while (crew_park(&io->crew)) {
		int ret = loop_run(&io->loop);

		if (!ret)
			continue;
		log_error("I/O thread: epoll: %s; devices are no longer served", error_text(-ret));
		await_call(io);
	}
	return NULL;
}

int io_init(struct io *io, struct diag *diag)
{
	int ret = loop_init(&io->loop);

	if (ret)
		return diag_fail(diag, -ret, "epoll: %s", error_text(-ret));
	crew_init(&io->crew);
	io->started = io->has_filter = io->tells_refused = false;
	io->call = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ready = call_ready,
		.ctx = io,
	};
	ret = io->call.fd < 0 ? -errno : loop_add(&io->loop, &io->call, EPOLLIN);
	if (!ret)
		return 0;
	io_fini(io);
	return diag_fail(diag, -ret, "eventfd: %s", error_text(-ret));
}

int io_start(struct io *io, struct diag *diag)
{
	int err = crew_start(&io->crew, &io->thread, io_thread, io);
	if (err)
		return diag_fail(diag, err, "cannot start the I/O thread: %s", error_text(err));
	io->started = true;
	return 0;
}

static void call(struct io *io, enum crew_order order)
{
	crew_order(&io->crew, order);
	loop_counter_add(io->call.fd);
}

void io_pause(struct io *io)
{
	if (!io->started)
		return;
	call(io, CREW_PARK);
	crew_gather(&io->crew);
}

void io_resume(struct io *io)
{
	crew_order(&io->crew, CREW_WORK);
}

void io_stop(struct io *io)
{
	if (!io->started)
		return;
	call(io, CREW_LEAVE);
	pthread_join(io->thread, NULL);
	io->started = false;
}

void io_fini(struct io *io)
{
	if (io->call.fd >= 0)
		close(io->call.fd);
	crew_fini(&io->crew);
	loop_fini(&io->loop);
}
