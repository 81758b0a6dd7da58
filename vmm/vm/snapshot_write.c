// SPDX-License-Identifier: MIT
/* snapshot_write.c - a snapshot of a machine, while it goes on */

#include "util/file.h"
#include "util/log.h"
#include "util/newfile.h"
#include "vm/confined.h"
#include "vm/pager.h"
#include "vm/saved.h"
#include "vm/snapshot_memory.h"
#include "vm/snapshot_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_PREFIX "memory-"

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
	int state_dir, memory_dir; /* the same, if the memory has a name of its own */
	char state_name[SNAPSHOT_MAX_NAME], memory_name[SNAPSHOT_MAX_NAME];
	bool owns_memory_name;
	char *made; /* the directory, if it was not there; owned */
	struct newfile file;
	struct memory_writer memory;
	bool is_fetching; /* memory that a handler has; then: */
	bool is_taken;    /* the machine is as it was at one moment; before, it still runs ahead */
	bool holds;       /* the machine, until RAM that others share is written */
};

/* ---- where to ---- */

int snapshot_open_place(const char *path, int *dir, char name[SNAPSHOT_MAX_NAME], struct diag *diag)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	char *parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

	if (!*last || strlen(last) >= SNAPSHOT_MAX_NAME) {
		free(parent);
		return diag_fail(diag, EINVAL, "%.200s: names no file", path);
	}
	*dir = parent ? open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	free(parent);
	if (*dir < 0)
		return diag_fail(diag, errno, "%.200s: cannot open its directory: %s", path,
			strerror(errno));
	memcpy(name, last, strlen(last) + 1);
	return 0;
}

static void name_memory(char name[SNAPSHOT_MAX_NAME], const uint8_t id[STATE_ID_SIZE])
{
	char *to = stpcpy(name, MEMORY_PREFIX);

	for (size_t i = 0; i < STATE_ID_SIZE; i++)
		to += sprintf(to, "%02x", id[i]);
}

/* A directory that has one snapshot, which is replaced. */
static int make_directory(struct snapshot_writer *writer, const char *path, struct diag *diag)
{
	struct stat st;

	if (!mkdir(path, 0700)) {
		writer->made = strdup(path);
		return 0;
	}
	if (errno != EEXIST)
		return diag_fail(
			diag, errno, "%s: cannot make the directory: %s", path, strerror(errno));
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return diag_fail(diag, ENOTDIR,
			"%s: is no directory; give one, or a file for the memory as well", path);
	return 0;
}

/* Changes alone are worth nothing without what they are the changes of. */
static int check_base(const struct snapshot_writer *writer, const char *path, struct diag *diag)
{
	char name[SNAPSHOT_MAX_NAME];

	if (snapshot_is_whole(&writer->memory.trailer))
		return 0;
	name_memory(name, writer->memory.trailer.base);
	if (faccessat(writer->state_dir, name, F_OK, 0))
		return 0;
	return diag_fail(diag, EINVAL,
		"%s: has the snapshot that these would be the changes of: save them elsewhere",
		path);
}

/* The state, and the memory beside it by a name of its own. */
static int open_directory(struct snapshot_writer *writer, const char *path, struct diag *diag)
{
	int ret = make_directory(writer, path, diag);

	if (ret)
		return ret;
	writer->state_dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	writer->memory_dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (writer->state_dir < 0 || writer->memory_dir < 0)
		return diag_fail(diag, errno, "%s: cannot open: %s", path, strerror(errno));
	memcpy(writer->state_name, SNAPSHOT_STATE_FILE, sizeof(SNAPSHOT_STATE_FILE));
	name_memory(writer->memory_name, writer->id);
	writer->owns_memory_name = true;
	return check_base(writer, path, diag);
}

static int open_places(
	struct snapshot_writer *writer, const struct snapshot_target *target, struct diag *diag)
{
	char *state;
	int ret;

	if (!target->memory_path)
		return open_directory(writer, target->path, diag);
	state = snapshot_state_path(target->path);
	if (!state)
		return diag_fail(diag, ENOMEM, "out of memory");
	ret = snapshot_open_place(state, &writer->state_dir, writer->state_name, diag);
	free(state);
	return ret ? ret
	           : snapshot_open_place(
			     target->memory_path, &writer->memory_dir, writer->memory_name, diag);
}

/* ---- both files get their names ---- */

static int make_state(const struct snapshot_writer *writer, struct newfile *file)
{
	int ret = newfile_create(file, writer->state_dir, 0600, false);

	if (ret)
		return ret;
	ret = file_write_at(file->fd, writer->state.data, writer->state.size, 0);
	if (!ret && fdatasync(file->fd))
		ret = -errno;
	if (ret)
		newfile_discard(file);
	return ret;
}

/* The memory of snapshots that were there before: only the state names one. */
static void remove_others(const struct snapshot_writer *writer, int fd)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, MEMORY_PREFIX, strlen(MEMORY_PREFIX)) &&
			strcmp(entry->d_name, writer->memory_name) != 0)
			unlinkat(fd, entry->d_name, 0);
	if (dir)
		closedir(dir);
	else
		close(fd);
}

/* The new names are on the disk before the old ones go. */
static void settle_names(const struct snapshot_writer *writer)
{
	int fd = openat(writer->state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (!fsync(fd) && writer->owns_memory_name)
		remove_others(writer, fd);
	else
		close(fd);
}

static int link_memory(struct snapshot_writer *writer)
{
	return writer->owns_memory_name ? newfile_link(&writer->file, writer->memory_name)
	                                : newfile_replace(&writer->file, writer->memory_name);
}

/* All is written before the first of them has a name. */
static int name_files(struct snapshot_writer *writer)
{
	struct newfile state;
	int ret = make_state(writer, &state);

	if (ret)
		return ret;
	ret = link_memory(writer);
	if (!ret) {
		ret = newfile_replace(&state, writer->state_name);
		if (ret && writer->owns_memory_name)
			unlinkat(writer->memory_dir, writer->memory_name, 0);
	}
	newfile_discard(&state);
	if (!ret)
		settle_names(writer);
	return ret;
}

/* ---- its end ---- */

static void let_go(struct snapshot_writer *writer)
{
	if (writer->holds)
		vm_resume(writer->vm);
	writer->holds = false;
}

static void free_writer(struct snapshot_writer *writer, bool is_done)
{
	let_go(writer);
	if (!is_done)
		writer->memory.stays_watched = false;
	memory_writer_free(&writer->memory);
	if (writer->file.fd >= 0)
		newfile_discard(&writer->file);
	if (writer->memory_dir >= 0)
		close(writer->memory_dir);
	if (writer->state_dir >= 0)
		close(writer->state_dir);
	if (writer->made && !is_done)
		rmdir(writer->made);
	free(writer->made);
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

/* All is written, or it cannot be. */
static void finish(struct snapshot_writer *writer)
{
	struct diag why = { "" };
	int ret = memory_writer_wait(&writer->memory, false);

	let_go(writer);
	if (ret)
		diag_fail(&why, -ret, "the memory cannot be written: %s", strerror(-ret));
	else if ((ret = name_files(writer)) != 0)
		diag_fail(&why, -ret, "the files cannot be written: %s", strerror(-ret));
	end(writer, ret, why.text);
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
	snapshot_abandon(vm, "the machine ended before it could be saved");
	if (vm->snapshot_writer)
		finish(vm->snapshot_writer);
}

/* ---- while the machine is paused ---- */

/* All that is small, and the rest of memory. */
static int take_machine(struct snapshot_writer *writer, struct diag *diag)
{
	struct vm *vm = writer->vm;
	int ret = saved_check(vm, diag);

	if (!ret)
		ret = saved_write(vm, &writer->state, diag);
	if (!ret && writer->owns_memory_name)
		state_save_bytes(&writer->state, "memory", 0, writer->memory_name,
			strlen(writer->memory_name));
	if (!ret && writer->note)
		state_save_bytes(&writer->state, "note", 0, writer->note, strlen(writer->note));
	if (ret)
		return ret;
	ret = state_finish(&writer->state);
	if (ret)
		return diag_fail(diag, -ret, "the state cannot be kept: %s", strerror(-ret));
	return memory_writer_take(&writer->memory, diag);
}

static void at_end(void *ctx, uint32_t);

static int watch_end(struct snapshot_writer *writer, struct diag *diag)
{
	int ret = loop_add(&writer->vm->loop, &writer->memory.end, EPOLLIN);

	if (!ret)
		return 0;
	memory_writer_wait(&writer->memory, true);
	return diag_fail(diag, -ret, "epoll: %s", strerror(-ret));
}

static void tell_pause(const struct snapshot_writer *writer, uint64_t ns)
{
	unsigned long long us = ns / 1000, kib = writer->memory.runs.size / 1024;

	if (writer->memory.is_ahead)
		log_info("the guest stood still for %llu us, with %llu KiB of its memory still to "
			 "be written",
			us, kib);
	else
		log_info("the guest stood still for %llu us", us);
}

static int pause_and_take(struct snapshot_writer *writer, struct diag *diag)
{
	struct vm *vm = writer->vm;
	bool was_held = vm_is_paused(vm);
	uint64_t since = timeline_now();
	int ret;

	if (!vm_pause(vm))
		return diag_fail(diag, EBUSY, "there is no machine to save");
	ret = take_machine(writer, diag);
	writer->is_taken = !ret;
	writer->holds = !was_held && !ret && vm->mem.is_shared;
	if (!was_held && !writer->holds)
		vm_resume(vm);
	if (!was_held)
		tell_pause(writer, timeline_now() - since);
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
		diag_fail(&why, -ret, "the memory cannot be written: %s", strerror(-ret));
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
		diag_fail(&why, -ret, "the memory cannot be fetched: %s", strerror(-ret));
	else
		ret = pause_and_take(writer, &why);
	if (ret)
		end(writer, ret, why.text);
}

static int fetch(struct snapshot_writer *writer, struct diag *diag)
{
	int ret = pager_fetch(writer->vm->pager, fetched, writer);

	writer->is_fetching = !ret;
	return ret ? diag_fail(diag, -ret, "the memory cannot be fetched: %s", strerror(-ret)) : 0;
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
	if (!is_at_rest && vm->life.state == LIFE_RUNNING && !vm_is_paused(vm) && is_large() &&
		can_watch(vm) && !memory_writer_go_ahead(&writer->memory, diag))
		return watch_end(writer, diag);
	return pause_and_take(writer, diag);
}

static struct snapshot_writer *create_writer(struct vm *vm)
{
	struct snapshot_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	writer->vm = vm;
	writer->state_dir = writer->memory_dir = writer->file.fd = -1;
	writer->memory = (struct memory_writer){
		.mem = &vm->mem,
		.trailer = { .magic = SNAPSHOT_TRAILER_MAGIC },
		.end = { -1, at_end, writer, NULL },
		.child = -1,
	};
	return writer;
}

int snapshot_begin(struct vm *vm, const struct snapshot_target *target,
	void (*done)(void *ctx, int ret, const char *why), void *ctx, struct diag *diag)
{
	struct snapshot_writer *writer;
	int ret;

	if (confined_may_open(vm, diag))
		return -EOPNOTSUPP;
	if (vm->snapshot_writer)
		return diag_fail(diag, EBUSY, "a snapshot is being made: wait for it");
	writer = create_writer(vm);
	if (!writer)
		return diag_fail(diag, ENOMEM, "out of memory");
	writer->done = done;
	writer->ctx = ctx;
	writer->note = target->note ? strdup(target->note) : NULL;
	choose_extent(writer, target->only_changed);
	if (target->note && !writer->note)
		ret = diag_fail(diag, ENOMEM, "out of memory");
	else if (getrandom(writer->id, sizeof(writer->id), 0) != (ssize_t)sizeof(writer->id))
		ret = diag_fail(diag, EIO, "there is no random number for its name");
	else
		ret = open_places(writer, target, diag);
	if (!ret) {
		ret = newfile_create(&writer->file, writer->memory_dir, 0600, false);
		if (ret)
			diag_fail(diag, -ret, "%s: cannot write there: %s", target->path,
				strerror(-ret));
	}
	if (!ret) {
		memcpy(writer->memory.trailer.id, writer->id, sizeof(writer->id));
		writer->memory.fd = writer->file.fd;
		state_begin(&writer->state, writer->id);
		ret = begin(writer, target->is_at_rest, diag);
	}
	if (ret)
		free_writer(writer, false);
	else
		vm->snapshot_writer = writer;
	return ret;
}
