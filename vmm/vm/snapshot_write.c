// SPDX-License-Identifier: MIT
/* snapshot_write.c - a snapshot of a machine, while it goes on */

#include "util/file.h"
#include "util/log.h"
#include "util/newfile.h"
#include "vm/saved.h"
#include "vm/snapshot_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_PREFIX "memory-"

struct snapshot_writer {
	struct vm *vm;
	void (*done)(void *ctx, int ret, const char *why);
	void *ctx;
	uint8_t id[STATE_ID_SIZE];
	bool only_changed;
	struct state_writer state;
	int state_dir, memory_dir; /* the same, if the memory has a name of its own */
	char state_name[SNAPSHOT_MAX_NAME], memory_name[SNAPSHOT_MAX_NAME];
	bool owns_memory_name;
	char *made; /* the directory, if it was not there; owned */
	struct newfile memory;
	pid_t child;
	struct loop_source end; /* pidfd of the child */
	bool holds;             /* the machine, until RAM that others share is written */
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

	if (!writer->only_changed)
		return 0;
	name_memory(name, writer->vm->snapshot->reader.id);
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

/* ---- the child, which has a copy of RAM ---- */

static int write_memory(const struct snapshot_writer *writer, int fd)
{
	const struct vm *vm = writer->vm;
	struct snapshot_trailer trailer = { .magic = SNAPSHOT_TRAILER_MAGIC };
	int ret = guest_mem_save(&vm->mem, fd, writer->only_changed);

	memcpy(trailer.id, writer->id, sizeof(trailer.id));
	if (writer->only_changed)
		memcpy(trailer.base, vm->snapshot->reader.id, sizeof(trailer.base));
	if (!ret)
		ret = file_write_at(fd, &trailer, sizeof(trailer), guest_mem_size(&vm->mem));
	if (!ret && fdatasync(fd))
		ret = -errno;
	return ret;
}

/* It has what its parent had open, and keeps nothing of that from ending. */
_Noreturn static void be_child(const struct snapshot_writer *writer, pid_t parent)
{
	int ret;

	signal(SIGBUS, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ECANCELED);
	if (dup2(writer->memory.fd, STDIN_FILENO) < 0 || close_range(STDIN_FILENO + 1, ~0u, 0))
		_exit(errno);
	ret = write_memory(writer, STDIN_FILENO);
	_exit(-ret);
}

/* 0, or -errno of what it could not do. */
static int await_child(struct snapshot_writer *writer)
{
	int status;

	while (waitpid(writer->child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	writer->child = -1;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

static void stop_child(struct snapshot_writer *writer)
{
	kill(writer->child, SIGKILL);
	await_child(writer);
}

static int start_child(struct snapshot_writer *writer, struct diag *diag)
{
	pid_t parent = getpid();

	writer->child = fork();
	if (writer->child < 0)
		return diag_fail(diag, errno, "cannot fork: %s", strerror(errno));
	if (!writer->child)
		be_child(writer, parent);
	writer->end.fd = pidfd_open(writer->child, 0);
	if (writer->end.fd >= 0)
		return 0;
	diag_fail(diag, errno, "pidfd_open: %s", strerror(errno));
	stop_child(writer);
	return -EIO;
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
	return writer->owns_memory_name ? newfile_link(&writer->memory, writer->memory_name)
	                                : newfile_replace(&writer->memory, writer->memory_name);
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
	if (writer->end.fd >= 0)
		close(writer->end.fd);
	if (writer->memory.fd >= 0)
		newfile_discard(&writer->memory);
	if (writer->memory_dir >= 0)
		close(writer->memory_dir);
	if (writer->state_dir >= 0)
		close(writer->state_dir);
	if (writer->made && !is_done)
		rmdir(writer->made);
	free(writer->made);
	state_free(&writer->state);
	free(writer);
}

static void finish(struct snapshot_writer *writer)
{
	struct diag why = { "" };
	int ret = await_child(writer);

	let_go(writer);
	if (ret)
		diag_fail(&why, -ret, "the memory cannot be written: %s", strerror(-ret));
	else if ((ret = name_files(writer)) != 0)
		diag_fail(&why, -ret, "the files cannot be written: %s", strerror(-ret));
	writer->vm->snapshot_writer = NULL;
	writer->done(writer->ctx, ret, why.text);
	free_writer(writer, !ret);
}

static void child_ended(void *ctx, uint32_t)
{
	struct snapshot_writer *writer = ctx;

	loop_remove(&writer->vm->loop, &writer->end);
	finish(writer);
}

void snapshot_finish(struct vm *vm)
{
	if (vm->snapshot_writer)
		finish(vm->snapshot_writer);
}

/* ---- its beginning ---- */

/* While the machine is paused: all that is small, and the copy. */
static int copy_machine(struct snapshot_writer *writer, const char *note, struct diag *diag)
{
	struct vm *vm = writer->vm;
	int ret = saved_check(vm, diag);

	if (!ret)
		ret = saved_write(vm, &writer->state, diag);
	if (!ret && writer->owns_memory_name)
		state_save_bytes(&writer->state, "memory", 0, writer->memory_name,
			strlen(writer->memory_name));
	if (!ret && note)
		state_save_bytes(&writer->state, "note", 0, note, strlen(note));
	if (ret)
		return ret;
	ret = state_finish(&writer->state);
	if (ret)
		return diag_fail(diag, -ret, "the state cannot be kept: %s", strerror(-ret));
	return start_child(writer, diag);
}

static int pause_and_copy(struct snapshot_writer *writer, const char *note, struct diag *diag)
{
	struct vm *vm = writer->vm;
	bool was_held = vm_is_paused(vm);
	uint64_t since = timeline_now();
	int ret;

	if (!vm_pause(vm))
		return diag_fail(diag, EBUSY, "there is no machine to save");
	ret = copy_machine(writer, note, diag);
	writer->holds = !was_held && !ret && vm->mem.is_shared;
	if (!was_held && !writer->holds)
		vm_resume(vm);
	if (!was_held)
		log_info("the guest stood still for %llu us",
			(unsigned long long)(timeline_now() - since) / 1000);
	return ret;
}

static int watch_child(struct snapshot_writer *writer, struct diag *diag)
{
	int ret = loop_add(&writer->vm->loop, &writer->end, EPOLLIN);

	if (!ret)
		return 0;
	stop_child(writer);
	return diag_fail(diag, -ret, "epoll: %s", strerror(-ret));
}

int snapshot_begin(struct vm *vm, const struct snapshot_target *target,
	void (*done)(void *ctx, int ret, const char *why), void *ctx, struct diag *diag)
{
	struct snapshot_writer *writer;
	int ret;

	if (vm->snapshot_writer)
		return diag_fail(diag, EBUSY, "a snapshot is being made: wait for it");
	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return diag_fail(diag, ENOMEM, "out of memory");
	writer->vm = vm;
	writer->done = done;
	writer->ctx = ctx;
	writer->only_changed = target->only_changed && vm->mem.saved_fd >= 0;
	writer->state_dir = writer->memory_dir = writer->memory.fd = -1;
	writer->end = (struct loop_source){ -1, child_ended, writer, NULL };
	if (getrandom(writer->id, sizeof(writer->id), 0) != (ssize_t)sizeof(writer->id))
		ret = diag_fail(diag, EIO, "there is no random number for its name");
	else
		ret = open_places(writer, target, diag);
	if (!ret) {
		ret = newfile_create(&writer->memory, writer->memory_dir, 0600, false);
		if (ret)
			diag_fail(diag, -ret, "%s: cannot write there: %s", target->path,
				strerror(-ret));
	}
	if (!ret) {
		state_begin(&writer->state, writer->id);
		ret = pause_and_copy(writer, target->note, diag);
	}
	if (!ret)
		ret = watch_child(writer, diag);
	if (ret)
		free_writer(writer, false);
	else
		vm->snapshot_writer = writer;
	return ret;
}
