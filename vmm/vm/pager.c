// SPDX-License-Identifier: MIT
/* pager.c - a machine whose memory another process brings */

#include "vm/pager.h"

#include "host/terminal.h"
#include "mem/fault_fd.h"
#include "util/error.h"
#include "util/listener.h"
#include "util/log.h"
#include "util/rights.h"
#include "util/thread.h"
#include "vm/confined.h"
#include "vm/vm.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE 1024 /* bytes; some handlers have room for no more */
#define MS      1000000u
#define NO_END  "ended, while it waited for memory that did not come"

struct fetch {
	bool is_there;
	atomic_bool stop;
	int ret;
	struct loop_source end; /* the worker's */
	void (*done)(void *ctx, int ret);
	void *ctx;
};

struct pager {
	struct vm *vm;
	const char *path;    /* not owned */
	int connection;      /* to the handler */
	int process;         /* pidfd of it; -1: it is not known */
	int timer;           /* runs while the control thread is to come back */
	int stop;            /* eventfd */
	int signals;         /* signalfd of those that end the machine, which nobody reads */
	atomic_bool is_over; /* nothing is missed any more */
	atomic_bool hurries; /* the operator waits for that */
	pthread_t watch;
	struct fetch fetch;
};

/* ---- the end ---- */

/* Nothing can be given back by threads that wait in the kernel. */
_Noreturn static void end_process(struct pager *pager, enum exit_code outcome, const char *what)
{
	const struct vm *vm = pager->vm;
	struct diag why;

	diag_fail(&why, EIO, "%s: %s", pager->path, what);
	terminal_restore();
	log_set_raw(false);
	log_error("%s", why.text);
	if (vm->watch && vm->watch->failed)
		vm->watch->failed(vm->watch_ctx, why.text);
	_exit((int)outcome);
}

static bool is_ready(int fd)
{
	struct pollfd it = { .fd = fd, .events = POLLIN };

	return poll(&it, 1, 0) > 0;
}

/* ---- the thread that looks ---- */

enum { STOP, CONNECTION, PROCESS, TIMER, SIGNALS, N_WATCHED };

struct watch {
	struct pollfd fds[N_WATCHED]; /* one that is not looked at has fd -1 */
	uint64_t asked_ns;            /* since when a signal waits; 0: none does */
	uint64_t patience_ns;         /* with one that does */
};

static void init_watch(struct watch *watch, const struct pager *pager)
{
	uint64_t grace_s = pager->vm->config->grace_s;

	*watch = (struct watch){
		.fds = {
			[STOP] = { pager->stop, POLLIN, 0 },
			[CONNECTION] = { pager->connection, 0, 0 },
			[PROCESS] = { -1, POLLIN, 0 },
			[TIMER] = { pager->timer, POLLIN, 0 },
			[SIGNALS] = { pager->signals, POLLIN, 0 },
		},
		.patience_ns = (grace_s ? grace_s : 1) * 1000 * MS,
	};
}

/* Handlers may close the connection as soon as they have what they need of it.  So one is gone when
 * its process is; if that is not known, or not to be known, with the connection.
 */
static void look_at_handler(struct pager *pager, struct watch *watch)
{
	bool hung_up = watch->fds[CONNECTION].fd < 0;

	if (!hung_up && watch->fds[CONNECTION].revents) {
		hung_up = true;
		watch->fds[CONNECTION].fd = -1;
		watch->fds[PROCESS].fd = pager->process;
	}
	if (hung_up && !atomic_load(&pager->is_over) &&
		(pager->process < 0 || is_ready(pager->process)))
		end_process(pager, EXIT_HOST_ERROR,
			"who brings the machine's memory has gone, and it cannot go on without");
	if (watch->fds[PROCESS].revents)
		watch->fds[PROCESS].fd = -1;
}

/* A signal that the control thread does not take.  Meanwhile it is looked for again by the clock,
 * as poll would not wait.
 */
static void look_at_signals(struct pager *pager, struct watch *watch)
{
	if (!is_ready(pager->signals)) {
		watch->asked_ns = 0;
		watch->fds[SIGNALS].fd = pager->signals;
		return;
	}
	watch->fds[SIGNALS].fd = -1;
	if (!watch->asked_ns)
		watch->asked_ns = timeline_now();
	else if (timeline_now() - watch->asked_ns >= watch->patience_ns)
		end_process(pager, EXIT_KILLED, NO_END);
}

static void look_at_timer(struct pager *pager, struct watch *watch)
{
	if (!watch->fds[TIMER].revents || !loop_counter_read(pager->timer))
		return;
	if (atomic_load(&pager->hurries))
		end_process(pager, EXIT_KILLED, NO_END);
	end_process(pager, EXIT_HOST_ERROR,
		"memory that the machine waits for has not come for 30 seconds");
}

#define SIGNAL_TICK_MS 100 /* between two looks at one that waits */

static void *look(void *arg)
{
	struct pager *pager = arg;
	struct watch watch;

	confined_pager(pager->vm);
	init_watch(&watch, pager);
	while (!watch.fds[STOP].revents) {
		if (poll(watch.fds, N_WATCHED, watch.asked_ns ? SIGNAL_TICK_MS : -1) < 0)
			continue;
		look_at_handler(pager, &watch);
		look_at_timer(pager, &watch);
		if (watch.asked_ns || watch.fds[SIGNALS].revents)
			look_at_signals(pager, &watch);
	}
	return NULL;
}

void pager_begin(struct pager *pager)
{
	bool hurries;

	if (!pager)
		return;
	hurries = control_wants_end(&pager->vm->control);
	atomic_store(&pager->hurries, hurries);
	loop_timer_set(pager->timer, hurries ? PAGER_HURRY_MS : PAGER_PATIENCE_MS, 0);
}

void pager_end(struct pager *pager)
{
	if (pager)
		loop_timer_set(pager->timer, 0, 0);
}

void pager_forget(struct pager *pager)
{
	if (pager)
		atomic_store(&pager->is_over, true);
}

/* ---- to have all of it ---- */

static void fetch_all(void *arg)
{
	struct pager *pager = arg;

	pager->fetch.ret = guest_mem_fetch(&pager->vm->mem, &pager->fetch.stop);
}

static void join_fetch(struct pager *pager)
{
	struct fetch *fetch = &pager->fetch;

	if (!fetch->is_there)
		return;
	worker_wait(&pager->vm->worker);
	fetch->is_there = false;
}

static void fetch_ended(void *ctx, uint32_t)
{
	struct pager *pager = ctx;
	struct fetch *fetch = &pager->fetch;
	void (*done)(void *ctx, int ret) = fetch->done;

	loop_remove(&pager->vm->loop, &fetch->end);
	join_fetch(pager);
	done(fetch->ctx, fetch->ret);
}

int pager_fetch(struct pager *pager, void (*done)(void *ctx, int ret), void *ctx)
{
	struct fetch *fetch = &pager->fetch;
	int ret;

	if (fetch->is_there)
		return -EBUSY;
	*fetch = (struct fetch){
		.end = { pager->vm->worker.done, fetch_ended, pager, NULL },
		.done = done,
		.ctx = ctx,
	};
	ret = loop_add(&pager->vm->loop, &fetch->end, EPOLLIN);
	if (ret)
		return ret;
	fetch->is_there = true;
	worker_do(&pager->vm->worker, fetch_all, pager);
	return 0;
}

/* The worker waits for a page, maybe, and is done when there is one, or in pager_close(). */
void pager_leave(struct pager *pager)
{
	if (!pager->fetch.is_there)
		return;
	atomic_store(&pager->fetch.stop, true);
	loop_remove(&pager->vm->loop, &pager->fetch.end);
}

/* ---- the beginning ---- */

static size_t describe_memory(const struct guest_mem *mem, char message[MESSAGE])
{
	size_t n = 0;

	for (size_t i = 0; i < mem->n_regions; i++)
		n += (size_t)snprintf(message + n, MESSAGE - n,
			"%s{\"base_host_virt_addr\":%llu,\"size\":%llu,\"offset\":%llu,"
			"\"page_size\":%u,\"page_size_kib\":%u}",
			i ? "," : "[", (unsigned long long)(uintptr_t)mem->region[i].hva,
			(unsigned long long)mem->region[i].size,
			(unsigned long long)mem->region[i].offset, GUEST_MEM_PAGE, GUEST_MEM_PAGE);
	return n + (size_t)snprintf(message + n, MESSAGE - n, "]");
}

/* One message: handlers read once. */
static int send_memory(const struct pager *pager)
{
	char message[MESSAGE];
	size_t size = describe_memory(&pager->vm->mem, message);
	ssize_t n = rights_send(
		pager->connection, message, size, &pager->vm->mem.fault_fd, 1, MSG_DONTWAIT);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -EMSGSIZE;
}

/* Of the process that listens there: 0 is one that cannot be seen from here. */
static int open_process(int connection)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.pid <= 0)
		return -1;
	return pidfd_open(peer.pid, 0);
}

static int make_memory(struct vm *vm, struct diag *diag)
{
	uint64_t size = vm->config->memory;
	int fd = fault_fd_open(diag), ret;

	if (fd < 0)
		return fd;
	ret = guest_mem_init_served(&vm->mem, size, fd);
	if (!ret)
		return 0;
	close(fd);
	return diag_fail(diag, -ret, "the host has no room for %llu MiB of memory: %s",
		(unsigned long long)(size >> 20), error_text(-ret));
}

static int open_connection(struct pager *pager, struct diag *diag)
{
	int ret = pager->connection = listener_connect_within(pager->path, PAGER_PATIENCE_MS);

	if (ret < 0)
		return diag_fail(diag, -ret,
			"cannot connect to who is to bring the machine's memory: %s",
			error_text(-ret));
	pager->process = open_process(pager->connection);
	ret = make_memory(pager->vm, diag);
	if (ret)
		return ret;
	ret = send_memory(pager);
	if (!ret)
		return 0;
	guest_mem_fini(&pager->vm->mem);
	return diag_fail(diag, -ret, "does not take where memory is: %s", error_text(-ret));
}

static void close_parts(struct pager *pager)
{
	int fds[] = { pager->connection, pager->process, pager->timer, pager->stop,
		pager->signals };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(pager);
}

static int start_watch(struct pager *pager, struct diag *diag)
{
	int ret;

	pager->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pager->timer = loop_timer_create(0, 0);
	pager->signals = signalfd(-1, &pager->vm->control.ending, SFD_CLOEXEC | SFD_NONBLOCK);
	if (pager->stop < 0 || pager->timer < 0 || pager->signals < 0)
		return diag_fail(diag, errno, "eventfd, timerfd, signalfd: %s", error_text(errno));
	ret = thread_create(&pager->watch, look, pager);
	return ret ? diag_fail(diag, ret, "cannot start a thread: %s", error_text(ret)) : 0;
}

int pager_open(struct vm *vm, struct diag *diag)
{
	struct pager *pager = calloc(1, sizeof(*pager));
	struct diag why;
	int ret;

	if (!pager)
		return diag_fail(diag, ENOMEM, "out of memory");
	*pager = (struct pager){ .vm = vm,
		.path = vm->config->memory_path,
		.connection = -1,
		.process = -1,
		.timer = -1,
		.stop = -1,
		.signals = -1 };
	ret = open_connection(pager, &why);
	if (!ret) {
		ret = start_watch(pager, &why);
		if (ret)
			guest_mem_fini(&vm->mem);
	}
	if (ret) {
		close_parts(pager);
		return diag_fail(diag, -ret, "%s: %s", vm->config->memory_path, why.text);
	}
	vm->pager = pager;
	return 0;
}

void pager_close(struct pager *pager)
{
	if (!pager)
		return;
	atomic_store(&pager->is_over, true);
	atomic_store(&pager->fetch.stop, true);
	if (pager->vm->mem.is_served)
		guest_mem_stop_serving(&pager->vm->mem);
	join_fetch(pager);
	loop_counter_add(pager->stop);
	pthread_join(pager->watch, NULL);
	pager->vm->pager = NULL;
	close_parts(pager);
}
