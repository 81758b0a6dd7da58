// SPDX-License-Identifier: MIT
/* working_set.c - the pages that a machine touched after it went on from a snapshot */

#include "vm/working_set.h"

#include "mem/guest_mem_watch.h"
#include "util/error.h"
#include "util/file.h"
#include "util/log.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC    "pronto's pages\0"
#define MAX_RUNS (1u << 20)
#define WRITTEN  1u

/* Of the file; numbers are little-endian. */
struct head {
	char magic[16];
	uint8_t id[STATE_ID_SIZE];
};

struct entry {
	uint64_t offset, size_and_kind; /* bytes, of whole pages; WRITTEN in the lowest bit */
};

/* ---- it is used ---- */

static int take_entries(struct working_set *set, int fd, size_t n)
{
	struct entry *entry = calloc(n, sizeof(*entry));
	int ret = -ENOMEM;

	set->run = calloc(n, sizeof(*set->run));
	if (entry && set->run)
		ret = file_read_at(fd, entry, n * sizeof(*entry), sizeof(struct head));
	for (size_t i = 0; i < n && !ret; i++)
		set->run[i] = (struct touched_run){
			.offset = entry[i].offset & ~(uint64_t)(GUEST_MEM_PAGE - 1),
			.size = entry[i].size_and_kind & ~(uint64_t)(GUEST_MEM_PAGE - 1),
			.is_written = entry[i].size_and_kind & WRITTEN,
		};
	free(entry);
	if (!ret)
		set->n = n;
	return ret;
}

static int read_set(struct working_set *set, int fd, uint64_t size, struct diag *diag)
{
	uint64_t n = (size - sizeof(struct head)) / sizeof(struct entry);
	struct head head;
	int ret = size < sizeof(head) ? -ENODATA : file_read_at(fd, &head, sizeof(head), 0);

	if (ret || memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 || n > MAX_RUNS)
		return diag_fail(diag, EINVAL,
			"is no working set that `--working-set record:FILE` "
			"has made");
	if (memcmp(head.id, set->id, sizeof(head.id)) != 0) {
		log_warn("--working-set: %s is of another snapshot, and not used", set->path);
		return 0;
	}
	ret = n ? take_entries(set, fd, n) : 0;
	return ret ? diag_fail(diag, -ret, "%s", error_text(-ret)) : 0;
}

static int open_to_use(struct working_set *set, struct diag *diag)
{
	struct stat st;
	struct diag why;
	int fd = file_open_regular(set->path, &st, &why), ret = fd;

	if (fd >= 0) {
		ret = read_set(set, fd, (uint64_t)st.st_size, &why);
		close(fd);
	}
	return ret < 0 ? diag_fail(diag, -ret, "--working-set: %s: %s", set->path, why.text) : 0;
}

bool working_set_is_used(const struct working_set *set)
{
	return set->n;
}

/* First the disk is kept busy, then what it brings is taken. */
static void fetch(void *arg)
{
	const struct vm *vm = arg;
	const struct working_set *set = &vm->snapshot->working_set;

	for (size_t i = 0; i < set->n && !atomic_load(&set->stop); i++)
		guest_mem_announce(&vm->mem, &set->run[i]);
	for (size_t i = 0; i < set->n && !atomic_load(&set->stop); i++)
		guest_mem_touch(&vm->mem, &set->run[i]);
}

/* RAM that others share was read whole. */
void working_set_begin(struct vm *vm)
{
	if (vm->snapshot && working_set_is_used(&vm->snapshot->working_set) && !vm->mem.is_shared)
		worker_do(&vm->worker, fetch, vm);
}

void working_set_stop(struct vm *vm)
{
	if (!vm->snapshot || !working_set_is_used(&vm->snapshot->working_set))
		return;
	atomic_store(&vm->snapshot->working_set.stop, true);
	worker_wait(&vm->worker);
	vm->snapshot->working_set.n = 0;
}

/* ---- it is recorded ---- */

/* In place: who confines itself renames nothing.  One that is not whole has no head. */
static int open_to_record(struct working_set *set, struct diag *diag)
{
	set->fd = open(
		set->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	set->is_recorded = set->fd >= 0;
	return set->fd < 0 ? diag_fail(diag, errno, "--working-set: %s: cannot write: %s",
				     set->path, error_text(errno))
	                   : 0;
}

static int write_set(const struct working_set *set, const struct touched_run *runs, size_t n)
{
	struct head head = { .magic = MAGIC };
	struct entry *entry = calloc(n ? n : 1, sizeof(*entry));
	int ret = entry ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && entry; i++)
		entry[i] = (struct entry){
			.offset = runs[i].offset,
			.size_and_kind = runs[i].size | (runs[i].is_written ? WRITTEN : 0),
		};
	memcpy(head.id, set->id, sizeof(head.id));
	if (!ret)
		ret = file_write_at(set->fd, entry, n * sizeof(*entry), sizeof(head));
	if (!ret)
		ret = file_write_at(set->fd, &head, sizeof(head), 0);
	free(entry);
	return ret;
}

void working_set_record(const struct working_set *set, struct guest_mem *mem)
{
	struct touched_run *runs = NULL;
	int64_t n;
	int ret;

	if (!set->is_recorded)
		return;
	n = guest_mem_prepare_watch(mem);
	if (!n)
		n = guest_mem_touched(mem, guest_mem_pagemap(mem), &runs);
	ret = n < 0 ? (int)n : n > MAX_RUNS ? -E2BIG : write_set(set, runs, (size_t)n);
	free(runs);
	if (ret)
		log_warn("--working-set: %s: %s", set->path, error_text(-ret));
}

void working_set_forget(struct working_set *set)
{
	if (set->is_recorded)
		log_warn("--working-set: the guest was reset: %s stays empty", set->path);
	working_set_close(set);
}

/* ---- */

int working_set_open(struct working_set *set, const struct config *config,
	const uint8_t id[STATE_ID_SIZE], struct diag *diag)
{
	*set = (struct working_set){ .path = config->working_set_path };
	memcpy(set->id, id, sizeof(set->id));
	switch (config->working_set) {
	case WORKING_SET_USED: return open_to_use(set, diag);
	case WORKING_SET_RECORDED: return open_to_record(set, diag);
	default: return 0;
	}
}

void working_set_close(struct working_set *set)
{
	if (set->is_recorded)
		close(set->fd);
	free(set->run);
	*set = (struct working_set){ 0 };
}
