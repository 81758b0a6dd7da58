// SPDX-License-Identifier: MIT
/* outside.c - a small process that stays outside, for what a confined machine may still want of
 * paths */

#include "confine/outside.h"

#include "dev/vconsole.h"
#include "dev/vsock.h"
#include "util/error.h"
#include "util/listener.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_PATHS (PLATFORM_VIRTIO_SLOTS + 1)

enum ask {
	ASK_SETTLE,  /* what lies at your paths now is the machine's */
	ASK_CONNECT, /* to `path`; with the answer comes a socket */
	ASK_JOB,
};

struct question {
	uint32_t ask;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

struct reply {
	int32_t ret;      /* 0, or -errno */
	struct diag diag; /* and why, of the job alone */
};

struct place {
	const char *path;
	bool has_streams; /* to PATH_PORT */
	bool is_ours;
	struct stat st; /* as it was then */
};

struct places {
	struct place place[MAX_PATHS];
	size_t n;
	bool are_known;
	const struct outside_job *job; /* NULL: none */
};

/* ---- which paths ---- */

static void add(struct places *places, const char *path, bool has_streams)
{
	if (path && places->n < MAX_PATHS)
		places->place[places->n++] =
			(struct place){ .path = path, .has_streams = has_streams };
}

static void add_consoles(struct places *places, const struct setting_list *list)
{
	const struct vconsole_options *options = list->items;

	for (size_t i = 0; i < list->n; i++)
		if (options[i].to == CONSOLE_SOCKET)
			add(places, options[i].path, false);
}

static void gather(struct places *places, const struct config *config)
{
	const struct setting_list *list = &config->devices[DEVICE_vsock];
	const struct vsock_options *options = list->items;

	places->n = 0;
	if (config->console == CONSOLE_SOCKET)
		add(places, config->console_path, false);
	add_consoles(places, &config->devices[DEVICE_hvc]);
	add_consoles(places, &config->devices[DEVICE_port]);
	for (size_t i = 0; i < list->n; i++)
		add(places, options[i].path, true);
}

/* ---- outside ---- */

static void note(struct places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		struct place *place = &places->place[i];

		place->is_ours = !lstat(place->path, &place->st) && S_ISSOCK(place->st.st_mode);
	}
}

static void clean_up(const struct places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		const struct place *place = &places->place[i];

		if (place->is_ours && listener_is_at(place->path, &place->st))
			unlink(place->path);
	}
}

/* PATH_PORT of a vsock's PATH, as the device writes it. */
static bool may_connect(const struct places *places, const char *path)
{
	for (size_t i = 0; i < places->n; i++) {
		const struct place *place = &places->place[i];
		size_t size = strlen(place->path);

		if (place->has_streams && !strncmp(path, place->path, size) && path[size] == '_' &&
			path[size + 1] &&
			strspn(path + size + 1, "0123456789") == strlen(path + size + 1))
			return true;
	}
	return false;
}

static int connect_to(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	memcpy(at.sun_path, path, strlen(path) + 1);
	if (!connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

/* `fd` may be none. */
static void send_reply(int to, const struct reply *reply, int fd)
{
	helper_answer(to, reply, sizeof(*reply), &fd, fd >= 0);
}

static void serve_connect(const struct places *places, int to, const char *path)
{
	int fd = may_connect(places, path) ? connect_to(path) : -EPERM;
	const struct reply reply = { .ret = fd < 0 ? fd : 0 };

	send_reply(to, &reply, fd);
	if (fd >= 0)
		close(fd);
}

static void serve_job(const struct outside_job *job, int to)
{
	struct reply reply = { .ret = -ENOSYS };

	if (job)
		reply.ret = job->run(job->ctx, &reply.diag);
	send_reply(to, &reply, -1);
}

static void serve_settle(struct places *places, int to)
{
	const struct reply reply = { 0 };

	if (!places->are_known)
		note(places);
	places->are_known = true;
	send_reply(to, &reply, -1);
}

static void serve(void *ctx, int to, const void *asked)
{
	struct places *places = ctx;
	struct question question = *(const struct question *)asked;

	question.path[sizeof(question.path) - 1] = '\0';
	switch (question.ask) {
	case ASK_SETTLE: serve_settle(places, to); break;
	case ASK_CONNECT: serve_connect(places, to, question.path); break;
	case ASK_JOB: serve_job(places->job, to); break;
	default: break;
	}
}

/* The machine's, however that came. */
static void end(void *ctx)
{
	const struct places *places = ctx;

	clean_up(places);
	if (places->job)
		places->job->end(places->job->ctx);
}

/* ---- in the machine's process ---- */

int outside_start(struct outside *outside, const struct config *config,
	const struct outside_job *job, struct diag *diag)
{
	struct places places = { .job = job };
	struct helper_order order = {
		.name = "pronto-outside",
		.role = job ? FILTER_OUTSIDE_JOB : FILTER_OUTSIDE,
		.is_filtered = true,
		.n_fds = job ? OUTSIDE_JOB_FDS : 0,
		.question_size = sizeof(struct question),
		.serve = serve,
		.end = end,
		.ctx = &places,
	};
	int ret;

	gather(&places, config);
	if (!places.n && !job)
		return 0;
	if (job)
		memcpy(order.fds, job->fds, sizeof(order.fds));
	ret = helper_start(&outside->helper, &order, diag);
	if (!ret)
		pthread_mutex_init(&outside->lock, NULL);
	return ret;
}

/* What it answers, or that it does not; and a socket, or -1. */
static struct reply ask(struct outside *outside, const struct question *question, int *fd)
{
	struct reply reply;
	size_t n_fds = 1;
	int ret;

	*fd = -1;
	pthread_mutex_lock(&outside->lock);
	ret = helper_ask(
		&outside->helper, question, sizeof(*question), &reply, sizeof(reply), fd, &n_fds);
	pthread_mutex_unlock(&outside->lock);
	if (ret)
		reply.ret = diag_fail(
			&reply.diag, -ret, "the process outside has ended: %s", error_text(-ret));
	return reply;
}

int outside_settle(struct outside *outside, struct diag *diag)
{
	const struct question question = { .ask = ASK_SETTLE };
	struct reply reply;
	int fd;

	if (outside->helper.fd < 0)
		return 0;
	reply = ask(outside, &question, &fd);
	*diag = reply.diag;
	return reply.ret;
}

int outside_run_job(struct outside *outside, struct diag *diag)
{
	const struct question question = { .ask = ASK_JOB };
	int fd;
	struct reply reply = ask(outside, &question, &fd);

	*diag = reply.diag;
	return reply.ret;
}

int outside_connect(struct outside *outside, const char *path)
{
	struct question question = { .ask = ASK_CONNECT };
	int fd, ret;

	if (strlen(path) >= sizeof(question.path))
		return -ENAMETOOLONG;
	memcpy(question.path, path, strlen(path) + 1);
	ret = ask(outside, &question, &fd).ret;
	return ret ? ret : fd < 0 ? -EBADMSG : fd;
}

void outside_end(struct outside *outside)
{
	if (outside->helper.fd < 0)
		return;
	helper_end(&outside->helper);
	pthread_mutex_destroy(&outside->lock);
}
