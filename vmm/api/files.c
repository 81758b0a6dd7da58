// SPDX-License-Identifier: MIT
/* files.c - files for the API's process, once that opens none itself */

#include "api/files.h"

#include "util/error.h"
#include "vm/snapshot_place.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum ask {
	ASK_DISK,     /* `first`, where `second` was before; with the answer comes a descriptor */
	ASK_SNAPSHOT, /* at `first`, with its memory at `second`; with the answer come two */
	ASK_SETTLE,
	ASK_DROP,
};

struct question {
	uint32_t ask;
	uint8_t read_only, has_second;
	char first[PATH_MAX], second[PATH_MAX];
};

struct reply {
	int32_t ret; /* 0, or -errno and diag */
	uint32_t is_beside;
	struct diag diag;
};

/* ---- in the process that opens them ---- */

struct keeper {
	const struct listener *listener;
	struct snapshot_place place; /* of a snapshot that is being made */
};

static void serve_disk(int to, const struct question *question)
{
	const struct disk_spec spec = {
		.path = question->first,
		.read_only = question->read_only,
	};
	struct reply reply = { 0 };
	int fd = disk_open_path(&spec, question->has_second ? question->second : NULL, &reply.diag);

	reply.ret = fd < 0 ? fd : 0;
	helper_answer(to, &reply, sizeof(reply), &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
}

static void serve_snapshot(struct keeper *keeper, int to, const struct question *question)
{
	struct reply reply = { 0 };
	int fds[2];

	if (keeper->place.path)
		reply.ret = diag_fail(&reply.diag, EBUSY, "a snapshot is being made");
	else
		reply.ret = snapshot_place_open(&keeper->place, question->first,
			question->has_second ? question->second : NULL, &reply.diag);
	reply.is_beside = keeper->place.is_beside;
	fds[0] = keeper->place.state.fd;
	fds[1] = keeper->place.memory.fd;
	helper_answer(to, &reply, sizeof(reply), fds, reply.ret ? 0 : 2);
}

static void serve_settle(struct keeper *keeper, int to, bool is_whole)
{
	struct reply reply = { 0 };

	if (is_whole && keeper->place.path)
		reply.ret = snapshot_place_settle(&keeper->place, &reply.diag);
	snapshot_place_close(&keeper->place);
	helper_answer(to, &reply, sizeof(reply), NULL, 0);
}

static void serve(void *ctx, int to, const void *asked)
{
	struct question question = *(const struct question *)asked;

	question.first[PATH_MAX - 1] = question.second[PATH_MAX - 1] = '\0';
	switch (question.ask) {
	case ASK_DISK: serve_disk(to, &question); break;
	case ASK_SNAPSHOT: serve_snapshot(ctx, to, &question); break;
	case ASK_SETTLE: serve_settle(ctx, to, true); break;
	case ASK_DROP: serve_settle(ctx, to, false); break;
	default: break;
	}
}

static void end(void *ctx)
{
	struct keeper *keeper = ctx;

	snapshot_place_close(&keeper->place);
	listener_remove(keeper->listener);
}

/* ---- in the API's ---- */

void files_init(struct files *files, const struct listener *listener, bool is_filtered)
{
	*files =
		(struct files){ .helper.fd = -1, .listener = listener, .is_filtered = is_filtered };
}

int files_start(struct files *files, struct diag *diag)
{
	struct keeper keeper = { .listener = files->listener };
	const struct helper_order order = {
		.name = "pronto-files",
		.role = FILTER_FILES,
		.is_filtered = files->is_filtered,
		.question_size = sizeof(struct question),
		.serve = serve,
		.end = end,
		.ctx = &keeper,
	};

	return files->helper.fd < 0 ? helper_start(&files->helper, &order, diag) : 0;
}

/* Before the machine runs, the process may not be there yet. */
static int ask(struct files *files, const struct question *question, struct reply *reply, int *fds,
	size_t n, struct diag *diag)
{
	size_t n_came = n;
	int ret = files_start(files, diag);

	if (ret)
		return ret;
	ret = helper_ask(
		&files->helper, question, sizeof(*question), reply, sizeof(*reply), fds, &n_came);
	if (!ret && !reply->ret && n_came != n)
		ret = -EBADMSG;
	if (ret)
		return diag_fail(
			diag, -ret, "the process that opens files has ended: %s", error_text(-ret));
	*diag = reply->diag;
	return reply->ret;
}

/* NULL: there is none.  -ENAMETOOLONG and diag. */
static int put_path(char to[PATH_MAX], const char *path, struct diag *diag)
{
	size_t size = path ? strlen(path) + 1 : 0;

	if (size > PATH_MAX)
		return diag_fail(
			diag, ENAMETOOLONG, "%.200s...: %s", path, error_text(ENAMETOOLONG));
	memcpy(to, path ? path : "", size);
	return 0;
}

int files_open_disk(struct files *files, const char *path, bool read_only, const char *before,
	struct diag *diag)
{
	struct question question = {
		.ask = ASK_DISK,
		.read_only = read_only,
		.has_second = before != NULL,
	};
	struct reply reply;
	int fd, ret = put_path(question.first, path, diag);

	if (!ret)
		ret = put_path(question.second, before, diag);
	if (!ret)
		ret = ask(files, &question, &reply, &fd, 1, diag);
	return ret ? ret : fd;
}

int files_open_snapshot(struct files *files, const char *path, const char *memory_path,
	struct link_files *opened, bool *is_beside, struct diag *diag)
{
	struct question question = { .ask = ASK_SNAPSHOT, .has_second = memory_path != NULL };
	struct reply reply;
	int ret = put_path(question.first, path, diag);

	if (!ret)
		ret = put_path(question.second, memory_path, diag);
	if (!ret)
		ret = ask(files, &question, &reply, opened->fd, LINK_FILES, diag);
	if (ret)
		return ret;
	opened->n = LINK_FILES;
	*is_beside = reply.is_beside;
	return 0;
}

int files_settle_snapshot(struct files *files, struct diag *diag)
{
	const struct question question = { .ask = ASK_SETTLE };
	struct reply reply;

	return ask(files, &question, &reply, NULL, 0, diag);
}

void files_drop_snapshot(struct files *files)
{
	const struct question question = { .ask = ASK_DROP };
	struct reply reply;
	struct diag diag;

	(void)ask(files, &question, &reply, NULL, 0, &diag);
}

void files_end(struct files *files)
{
	if (files->helper.fd < 0)
		listener_remove(files->listener);
	helper_end(&files->helper);
}
