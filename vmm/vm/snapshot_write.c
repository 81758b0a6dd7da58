// SPDX-License-Identifier: MIT
/* snapshot_write.c - a snapshot of a machine, while it goes on */

#include "util/error.h"
#include "util/file.h"
#include "util/log.h"
#include "util/random.h"
#include "vm/pager.h"
#include "vm/saved.h"
#include "vm/snapshot_memory.h"
#include "vm/snapshot_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A machine that has touched less is copied by a fork, page tables and all, in less than a
 * millisecond.
 */
#define LARGE MIB(64)

struct snapshot_writer {
	struct vm *vm;
	void (*done)(void *ctx, int ret, const char *why);
	void *ctx;
	uint8_t id[STATE_ID_SIZE];
	char *note; /* owned */
	struct state_writer state;
	int state_fd; /* owned, as the memory's is */
	bool is_beside;
	struct memory_writer memory;
	bool is_fetching;  /* memory that a handler has; then: */
	bool is_taken;     /* the machine is as it was at one moment; before, it still runs ahead */
	bool is_still;     /* the machine, until RAM is written */
	bool goes_on;      /* and it goes on then */
	uint64_t since_ns; /* when it was paused */
};

/* ---- its end ---- */

static void tell_pause(const struct snapshot_writer *writer)
{
	unsigned long long us = (timeline_now() - writer->since_ns) / 1000,
			   kib = writer->memory.runs.size / 1024;

	if (writer->memory.is_ahead && !writer->memory.needs_stillness)
		log_info("the guest stood still for %llu us, with %llu KiB of its memory still to "
			 "be written",
			us, kib);
	else
		log_info("the guest stood still for %llu us", us);
}

static void let_go(struct snapshot_writer *writer)
{
	bool goes_on = writer->is_still && writer->goes_on;

	writer->is_still = false;
	if (!goes_on)
		return;
	vm_resume(writer->vm);
	tell_pause(writer);
}

static void free_writer(struct snapshot_writer *writer, bool is_done)
{
	let_go(writer);
	if (!is_done)
		writer->memory.stays_watched = false;
	memory_writer_free(&writer->memory);
	close(writer->memory.fd);
	close(writer->state_fd);
	free(writer->note);
	state_free(&writer->state);
	free(writer);
}

/* The next one may have what has changed since this. */
static void note_base(const struct snapshot_writer *writer)
{
	struct vm *vm = writer->vm;

	vm->has_saved_id = writer->memory.stays_watched;
	memcpy(vm->saved_id, writer->id, sizeof(vm->saved_id));
}

/* Who is told of a failure finds nothing left of it. */
static void end(struct snapshot_writer *writer, int ret, const char *why)
{
	void (*done)(void *ctx, int ret, const char *why) = writer->done;
	void *ctx = writer->ctx;

	writer->vm->snapshot_writer = NULL;
	if (!ret)
		note_base(writer);
	free_writer(writer, !ret);
	done(ctx, ret, why);
}

static int write_state(const struct snapshot_writer *writer)
{
	int ret = file_write_at(writer->state_fd, writer->state.data, writer->state.size, 0);

	return !ret && fdatasync(writer->state_fd) ? -errno : ret;
}

/* All is written, or it cannot be. */
static void finish(struct snapshot_writer *writer)
{
	struct diag why = { "" };
	int ret = memory_writer_wait(&writer->memory, false);

	let_go(writer);
	if (ret)
		diag_fail(&why, -ret, "the memory cannot be written: %s", error_text(-ret));
	else if ((ret = write_state(writer)) != 0)
		diag_fail(&why, -ret, "the state cannot be written: %s", error_text(-ret));
	end(writer, ret, why.text);
}

bool snapshot_takes_over(struct vm *vm, bool goes_on)
{
	struct snapshot_writer *writer = vm->snapshot_writer;

	if (!writer || !writer->is_still)
		return false;
	writer->goes_on = goes_on;
	return true;
}

void snapshot_abandon(struct vm *vm, const char *why)
{
	struct snapshot_writer *writer = vm->snapshot_writer;

	if (!writer || writer->is_taken)
		return;
	if (writer->is_fetching) {
		pager_leave(vm->pager);
	} else {
		loop_remove(&vm->loop, &writer->memory.end);
		memory_writer_wait(&writer->memory, true);
	}
	end(writer, -ECANCELED, why);
}

void snapshot_finish(struct vm *vm)
{
	struct snapshot_writer *writer = vm->snapshot_writer;

	if (writer && writer->is_taken)
		finish(writer);
	else
		snapshot_abandon(vm, "the machine ended before it could be saved");
}

/* ---- while the machine is paused ---- */

static void save_names(struct snapshot_writer *writer)
{
	char name[SNAPSHOT_MAX_NAME];

	if (writer->is_beside) {
		snapshot_name_memory(name, writer->id);
		state_save_bytes(&writer->state, "memory", 0, name, strlen(name));
	}
	if (writer->note)
		state_save_bytes(&writer->state, "note", 0, writer->note, strlen(writer->note));
}

/* All that is small, and the rest of memory. */
static int take_machine(struct snapshot_writer *writer, struct diag *diag)
{
	struct vm *vm = writer->vm;
	int ret = saved_check(vm, diag);

	if (!ret)
		ret = saved_write(vm, &writer->state, diag);
	if (ret)
		return ret;
	save_names(writer);
	ret = state_finish(&writer->state);
	if (ret)
		return diag_fail(diag, -ret, "the state cannot be kept: %s", error_text(-ret));
	return memory_writer_take(&writer->memory, diag);
}

static void at_end(void *ctx, uint32_t);

static int watch_end(struct snapshot_writer *writer, struct diag *diag)
{
	int ret = loop_add(&writer->vm->loop, &writer->memory.end, EPOLLIN);

	if (!ret)
		return 0;
	memory_writer_wait(&writer->memory, true);
	return diag_fail(diag, -ret, "epoll: %s", error_text(-ret));
}

static int pause_and_take(struct snapshot_writer *writer, struct diag *diag)
{
	struct vm *vm = writer->vm;
	bool was_held = vm_is_paused(vm);
	int ret;

	writer->since_ns = timeline_now();
	if (!vm_pause(vm))
		return diag_fail(diag, EBUSY, "there is no machine to save");
	ret = take_machine(writer, diag);
	writer->is_taken = !ret;
	writer->is_still = !ret && (vm->mem.is_shared || writer->memory.needs_stillness);
	writer->goes_on = !was_held;
	if (!was_held && !writer->is_still) {
		vm_resume(vm);
		tell_pause(writer);
	}
	return ret ? ret : watch_end(writer, diag);
}

/* ---- who is at it is done ---- */

static void at_end(void *ctx, uint32_t)
{
	struct snapshot_writer *writer = ctx;
	struct diag why = { "" };
	int ret;

	loop_remove(&writer->vm->loop, &writer->memory.end);
	if (writer->is_taken) {
		finish(writer);
		return;
	}
	ret = memory_writer_wait(&writer->memory, false);
	if (ret)
		diag_fail(&why, -ret, "the memory cannot be written: %s", error_text(-ret));
	else
		ret = pause_and_take(writer, &why);
	if (ret)
		end(writer, ret, why.text);
}

/* A copy would have zeros where pages are missing: all are brought before there is one, while the
 * machine goes on.  What was given back meanwhile, and so is not there, is zero.
 */
static void fetched(void *ctx, int ret)
{
	struct snapshot_writer *writer = ctx;
	struct diag why;

	writer->is_fetching = false;
	if (ret)
		diag_fail(&why, -ret, "the memory cannot be fetched: %s", error_text(-ret));
	else
		ret = pause_and_take(writer, &why);
	if (ret)
		end(writer, ret, why.text);
}

static int fetch(struct snapshot_writer *writer, struct diag *diag)
{
	int ret = worker_start(&writer->vm->worker, NULL, NULL, diag);

	if (ret)
		return ret;
	ret = guest_mem_prepare_watch(&writer->vm->mem);
	if (!ret)
		ret = pager_fetch(writer->vm->pager, fetched, writer);

	writer->is_fetching = !ret;
	return ret ? diag_fail(diag, -ret, "the memory cannot be fetched: %s", error_text(-ret))
	           : 0;
}

/* ---- its beginning ---- */

/* Whether all that is written to RAM is seen: guest_mem_watch.h has what is not. */
static bool can_watch(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->devices.n; i++)
		if (vm->devices.dev[i]->writes_unseen)
			return false;
	return !vm->config->cpu.nested && !vm->mem.is_shared && !vm->mem.is_served;
}

static bool is_large(void)
{
	struct rusage usage;

	return !getrusage(RUSAGE_SELF, &usage) && (uint64_t)usage.ru_maxrss * 1024 >= LARGE;
}

/* Of memory, what it is to have, and since when. */
static void choose_extent(struct snapshot_writer *writer, bool only_changed)
{
	struct memory_writer *memory = &writer->memory;
	struct vm *vm = writer->vm;

	vm->has_saved_id &= guest_mem_is_watched(&vm->mem);
	memory->stays_watched = vm->config->track_dirty_pages && can_watch(vm);
	if (only_changed && vm->has_saved_id) {
		memory->extent = MEMORY_SINCE_TAKEN;
		memcpy(memory->trailer.base, vm->saved_id, STATE_ID_SIZE);
	} else if (only_changed && vm->mem.saved_fd >= 0) {
		memory->extent = MEMORY_NOT_IN_FILE;
		memcpy(memory->trailer.base, vm->snapshot->reader.id, STATE_ID_SIZE);
	}
	vm->has_saved_id = false;
}

/* A machine that stands still as it is has nothing to be gained by another's waiting. */
static int begin(struct snapshot_writer *writer, bool is_at_rest, struct diag *diag)
{
	struct vm *vm = writer->vm;

	if (vm->mem.is_served)
		return fetch(writer, diag);
	if (!is_at_rest && vm->life.state == LIFE_RUNNING && !vm_is_paused(vm) &&
		(!writer->memory.may_fork || is_large()) && can_watch(vm) &&
		!memory_writer_go_ahead(&writer->memory, diag))
		return watch_end(writer, diag);
	return pause_and_take(writer, diag);
}

static struct snapshot_writer *create_writer(
	struct vm *vm, const struct snapshot_target *target, struct diag *diag)
{
	struct snapshot_writer *writer = calloc(1, sizeof(*writer));

	if (!writer) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	*writer = (struct snapshot_writer){
		.vm = vm,
		.note = target->note ? strdup(target->note) : NULL,
		.is_beside = target->is_beside,
		.state_fd = target->state_fd,
		.memory = {
			.mem = &vm->mem,
			.fd = target->memory_fd,
			.trailer = { .magic = SNAPSHOT_TRAILER_MAGIC },
			.worker = &vm->worker,
			.may_fork = !vm->has_filters,
			.end = { -1, at_end, writer, NULL },
			.child = -1,
		},
	};
	if (target->note && !writer->note)
		diag_fail(diag, ENOMEM, "out of memory");
	else if (random_bytes(writer->id, sizeof(writer->id)) != (ssize_t)sizeof(writer->id))
		diag_fail(diag, EIO, "there is no random number for its name");
	else
		return writer;
	free(writer->note);
	free(writer);
	return NULL;
}

static int check(struct vm *vm, struct diag *diag)
{
	working_set_stop(vm);
	if (vm->snapshot_writer || worker_is_busy(&vm->worker))
		return diag_fail(diag, EBUSY, "a snapshot is being made: wait for it");
	return saved_check(vm, diag);
}

int snapshot_begin(struct vm *vm, const struct snapshot_target *target,
	void (*done)(void *ctx, int ret, const char *why), void *ctx, struct diag *diag)
{
	struct snapshot_writer *writer = NULL;
	int ret = check(vm, diag);

	if (!ret)
		writer = create_writer(vm, target, diag);
	if (!writer) {
		close(target->state_fd);
		close(target->memory_fd);
		return ret ? ret : -EIO;
	}
	writer->done = done;
	writer->ctx = ctx;
	choose_extent(writer, target->only_changed);
	memcpy(writer->memory.trailer.id, writer->id, sizeof(writer->id));
	state_begin(&writer->state, writer->id);
	ret = begin(writer, target->is_at_rest, diag);
	if (ret)
		free_writer(writer, false);
	else
		vm->snapshot_writer = writer;
	return ret;
}
