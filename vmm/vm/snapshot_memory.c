// SPDX-License-Identifier: MIT
/* snapshot_memory.c - RAM into its file, while the machine stands still for as short as can be */

#include "vm/snapshot_memory.h"

#include "util/error.h"
#include "util/file.h"
#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* With so little left the machine is paused: it is copied in a fraction of a millisecond. */
#define FEW MIB(1)
/* What is copied while the machine is paused; more is left to a child. */
#define COPY_MAX MIB(8)

/* ---- what the thread does, or the child ---- */

static int end_file(const struct memory_writer *writer)
{
	int ret = file_write_at(
		writer->fd, &writer->trailer, sizeof(writer->trailer), guest_mem_size(writer->mem));

	return !ret && fdatasync(writer->fd) ? -errno : ret;
}

static int write_first(struct memory_writer *writer)
{
	if (writer->extent == MEMORY_SINCE_TAKEN)
		return ftruncate(writer->fd, (off_t)guest_mem_size(writer->mem)) ? -errno : 0;
	return guest_mem_save_prepared(
		writer->mem, writer->fd, writer->extent == MEMORY_NOT_IN_FILE, &writer->stop);
}

static int write_ahead(struct memory_writer *writer)
{
	uint64_t last, now = UINT64_MAX;
	int ret = write_first(writer);

	/* A guest that writes as fast as we do never comes there. */
	do {
		if (ret)
			return ret;
		if (atomic_load(&writer->stop))
			return -ECANCELED;
		ret = guest_mem_take_written(writer->mem, &writer->runs, false);
		if (!ret)
			ret = mem_runs_save(&writer->runs, NULL, writer->fd);
		last = now;
		now = writer->runs.size;
	} while (now > FEW && now <= last / 2);
	return ret;
}

static void run_ahead(void *arg)
{
	struct memory_writer *writer = arg;
	void *room = mmap(NULL, COPY_MAX, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	writer->copy = room == MAP_FAILED ? NULL : room;
	writer->ret = write_ahead(writer);
	writer->is_ahead = !writer->ret;
}

static void end_thread(struct memory_writer *writer)
{
	if (!writer->stays_watched)
		guest_mem_unwatch(writer->mem);
	if (!writer->ret)
		writer->ret = end_file(writer);
}

static void run_rest(void *arg)
{
	struct memory_writer *writer = arg;

	writer->ret = mem_runs_save(&writer->runs, writer->copy, writer->fd);
	end_thread(writer);
}

static bool is_by_runs(const struct memory_writer *writer)
{
	return writer->is_ahead || writer->extent == MEMORY_SINCE_TAKEN;
}

static void run_still(void *arg)
{
	struct memory_writer *writer = arg;

	if (is_by_runs(writer))
		writer->ret = mem_runs_save(&writer->runs, NULL, writer->fd);
	else
		writer->ret = guest_mem_save_prepared(
			writer->mem, writer->fd, writer->extent == MEMORY_NOT_IN_FILE, NULL);
	end_thread(writer);
}

static int write_as_child(const struct memory_writer *writer)
{
	int ret;

	if (is_by_runs(writer))
		ret = mem_runs_save(&writer->runs, NULL, writer->fd);
	else
		ret = guest_mem_save(writer->mem, writer->fd, writer->extent == MEMORY_NOT_IN_FILE);
	return ret ? ret : end_file(writer);
}

/* It has what its parent had open, and keeps nothing of that from ending. */
_Noreturn static void be_child(struct memory_writer *writer, pid_t parent)
{
	signal(SIGBUS, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ECANCELED);
	if (dup2(writer->fd, STDIN_FILENO) < 0 || close_range(STDIN_FILENO + 1, ~0u, 0))
		_exit(errno);
	writer->fd = STDIN_FILENO;
	_exit(-write_as_child(writer));
}

/* ---- who is at it ---- */

static int start_thread(struct memory_writer *writer, void (*run)(void *arg), struct diag *diag)
{
	int ret = worker_start(writer->worker, NULL, NULL, diag);

	if (ret)
		return ret;
	writer->child = -1;
	writer->end.fd = writer->worker->done;
	worker_do(writer->worker, run, writer);
	return 0;
}

static int await_child(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

static int start_child(struct memory_writer *writer, struct diag *diag)
{
	pid_t parent = getpid();

	writer->child = fork();
	if (writer->child < 0)
		return diag_fail(diag, errno, "cannot fork: %s", error_text(errno));
	if (!writer->child)
		be_child(writer, parent);
	writer->end.fd = pidfd_open(writer->child, 0);
	if (writer->end.fd >= 0)
		return 0;
	diag_fail(diag, errno, "pidfd_open: %s", error_text(errno));
	kill(writer->child, SIGKILL);
	await_child(writer->child);
	return -EIO;
}

int memory_writer_wait(struct memory_writer *writer, bool stop)
{
	int ret;

	if (stop && writer->child >= 0)
		kill(writer->child, SIGKILL);
	atomic_store(&writer->stop, stop);
	if (writer->child >= 0) {
		ret = await_child(writer->child);
		close(writer->end.fd);
	} else {
		worker_wait(writer->worker);
		ret = writer->ret;
	}
	writer->end.fd = -1;
	return ret;
}

/* ---- */

int memory_writer_go_ahead(struct memory_writer *writer, struct diag *diag)
{
	int ret = guest_mem_watch(writer->mem);

	if (ret)
		return diag_fail(
			diag, EOPNOTSUPP, "memory cannot be watched: %s", error_text(-ret));
	return start_thread(writer, run_ahead, diag);
}

int memory_writer_take(struct memory_writer *writer, struct diag *diag)
{
	int ret = 0;

	if (writer->stays_watched && guest_mem_watch(writer->mem)) {
		log_warn("this host does not tell which pages are written (Linux 6.7 does): the "
			 "next diff has what has changed since the machine began");
		writer->stays_watched = false;
	}
	if (writer->is_ahead || writer->stays_watched)
		ret = guest_mem_take_written(writer->mem, &writer->runs, true);
	if (ret)
		return diag_fail(
			diag, -ret, "what was written cannot be told: %s", error_text(-ret));
	if (writer->is_ahead && writer->copy && writer->runs.size <= COPY_MAX) {
		mem_runs_copy(&writer->runs, writer->copy);
		return start_thread(writer, run_rest, diag);
	}
	if (writer->may_fork)
		return start_child(writer, diag);
	writer->needs_stillness = true;
	return start_thread(writer, run_still, diag);
}

void memory_writer_free(struct memory_writer *writer)
{
	if (!writer->stays_watched)
		guest_mem_unwatch(writer->mem);
	if (writer->copy)
		munmap(writer->copy, COPY_MAX);
	mem_runs_free(&writer->runs);
}
