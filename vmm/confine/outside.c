// SPDX-License-Identifier: MIT
/* outside.c - a small process that stays outside, for what a confined machine may still want of
 * paths */

#include "confine/outside.h"

#include "confine/confine.h"
#include "dev/vconsole.h"
#include "dev/vsock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PATHS (PLATFORM_VIRTIO_SLOTS + 1)

/* A question is a path, or empty: what lies at your paths now is the machine's.  The answer is 0 or
 * an errno, and with it a socket.
 */
struct question {
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

struct place {
	const char *path;
	bool has_streams; /* to PATH_PORT */
	bool is_ours;
	dev_t dev;
	ino_t ino;
};

struct places {
	struct place place[MAX_PATHS];
	size_t n;
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
		struct stat st;

		place->is_ours = !lstat(place->path, &st) && S_ISSOCK(st.st_mode);
		place->dev = st.st_dev;
		place->ino = st.st_ino;
	}
}

static void clean_up(const struct places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		const struct place *place = &places->place[i];
		struct stat st;

		if (place->is_ours && !lstat(place->path, &st) && st.st_dev == place->dev &&
			st.st_ino == place->ino)
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
static void answer(int to, int32_t ret, int fd)
{
	struct iovec iov = { &ret, sizeof(ret) };
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&message);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	(void)sendmsg(to, &message, MSG_NOSIGNAL);
}

static void serve_connect(const struct places *places, int to, const char *path)
{
	int fd = may_connect(places, path) ? connect_to(path) : -EPERM;

	answer(to, fd < 0 ? -fd : 0, fd);
	if (fd >= 0)
		close(fd);
}

/* Until the machine's end, however that comes. */
static _Noreturn void be_outside(int fd, struct places *places)
{
	struct question question;
	ssize_t n;
	bool is_settled = false;

	while ((n = recv(fd, &question, sizeof(question), 0)) > 0) {
		question.path[sizeof(question.path) - 1] = '\0';
		if (n != (ssize_t)sizeof(question))
			break;
		if (*question.path) {
			serve_connect(places, fd, question.path);
			continue;
		}
		if (!is_settled)
			note(places);
		is_settled = true;
		answer(fd, 0, -1);
	}
	clean_up(places);
	_exit(0);
}

/* Signals of the terminal are not for it, and it has nothing to say. */
static _Noreturn void begin(int fd, struct places *places)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "pronto-outside");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (fd)
		close_range(0, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, ~0u, 0);
	confine_thread(CONFINE_OUTSIDE, false);
	be_outside(fd, places);
}

/* ---- in the machine's process ---- */

int outside_start(struct outside *outside, const struct config *config, struct diag *diag)
{
	struct places places;
	int pair[2];

	gather(&places, config);
	if (!places.n)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return diag_fail(diag, errno, "socketpair: %s", strerror(errno));
	outside->pid = fork();
	if (!outside->pid)
		begin(pair[1], &places);
	close(pair[1]);
	if (outside->pid > 0) {
		outside->fd = pair[0];
		return 0;
	}
	close(pair[0]);
	return diag_fail(diag, errno, "fork: %s", strerror(errno));
}

/* 0 or -errno; and a socket, or -1. */
static int ask(const struct outside *outside, const struct question *question, int *fd)
{
	int32_t ret;
	struct iovec iov = { &ret, sizeof(ret) };
	union control control = { 0 };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	const struct cmsghdr *cmsg;
	ssize_t n;

	*fd = -1;
	if (send(outside->fd, question, sizeof(*question), MSG_NOSIGNAL) < 0)
		return -errno;
	do
		n = recvmsg(outside->fd, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(ret))
		return n < 0 ? -errno : -ECONNRESET;
	cmsg = CMSG_FIRSTHDR(&message);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(*fd)))
		memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	return -ret;
}

int outside_settle(const struct outside *outside, struct diag *diag)
{
	const struct question question = { "" };
	int fd, ret = outside->fd < 0 ? 0 : ask(outside, &question, &fd);

	return ret ? diag_fail(diag, -ret, "the process outside has ended: %s", strerror(-ret)) : 0;
}

int outside_connect(const struct outside *outside, const char *path)
{
	struct question question = { "" };
	int fd, ret;

	if (strlen(path) >= sizeof(question.path))
		return -ENAMETOOLONG;
	memcpy(question.path, path, strlen(path) + 1);
	ret = ask(outside, &question, &fd);
	return ret ? ret : fd < 0 ? -EBADMSG : fd;
}

void outside_end(struct outside *outside)
{
	siginfo_t info;

	if (outside->fd < 0)
		return;
	close(outside->fd);
	outside->fd = -1;
	while (waitid(P_PID, (id_t)outside->pid, &info, WEXITED) && errno == EINTR)
		continue;
}
