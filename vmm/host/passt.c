// SPDX-License-Identifier: MIT
/* passt.c - passt(1) as a guest's link */

#include "host/passt.h"

#include "host/child.h"
#include "host/forward.h"
#include "host/framed.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FORWARDS 64
#define SPEC_SIZE    80

struct passt {
	struct framed framed; /* first */
	struct child child;
};

/* ---- the operator's forwards ---- */

/* Call `each` for every word. */
static int for_words(const char *words, int (*each)(void *ctx, const char *word, struct diag *diag),
	void *ctx, struct diag *diag)
{
	char *copy = strdup(words ? words : ""), *rest = copy, *word;
	int ret = copy ? 0 : diag_fail(diag, ENOMEM, "out of memory");

	while (!ret && (word = strsep(&rest, " ")) != NULL)
		if (*word)
			ret = each(ctx, word, diag);
	free(copy);
	return ret;
}

static int check_one(void *n, const char *word, struct diag *diag)
{
	struct forward forward;

	if (++*(unsigned int *)n > MAX_FORWARDS)
		return diag_fail(
			diag, EINVAL, "there can be at most %d forwarded ports", MAX_FORWARDS);
	return forward_parse(&forward, word, diag);
}

int passt_check_forwards(const char *forwards, struct diag *diag)
{
	unsigned int n = 0;

	return for_words(forwards, check_one, &n, diag);
}

/* ---- its command line ---- */

/* -f: we want to see it end.  -F: one guest, over this socket. */
struct command {
	const char *argv[16 + 2 * MAX_FORWARDS];
	unsigned int n;
	char fd[12], mtu[12];
	char spec[MAX_FORWARDS][SPEC_SIZE];
	unsigned int n_specs;
	bool has_tcp, has_udp;
};

static void add(struct command *command, const char *word)
{
	BUG_ON(command->n == ARRAY_SIZE(command->argv) - 1);
	command->argv[command->n++] = word;
}

static int add_forward(void *ctx, const char *word, struct diag *diag)
{
	struct command *command = ctx;
	char *spec = command->spec[command->n_specs++];
	struct forward f;
	int ret = forward_parse(&f, word, diag);

	if (!ret)
		ret = forward_probe(&f, diag);
	snprintf(spec, SPEC_SIZE, "%s%s%u:%u", f.address, *f.address ? "/" : "", f.from, f.to);
	add(command, f.is_udp ? "-u" : "-t");
	add(command, spec);
	*(f.is_udp ? &command->has_udp : &command->has_tcp) = true;
	return ret;
}

static int make_command(
	struct command *command, const struct passt_options *options, struct diag *diag)
{
	int ret;

	*command = (struct command){ 0 };
	snprintf(command->fd, sizeof(command->fd), "%d", CHILD_FIRST_FD);
	snprintf(command->mtu, sizeof(command->mtu), "%u", options->mtu);
	add(command, "passt");
	add(command, "-f");
	add(command, "-q");
	add(command, "-F");
	add(command, command->fd);
	add(command, "-m");
	add(command, command->mtu);
	if (!options->reach_host)
		add(command, "--no-map-gw");
	ret = for_words(options->forwards, add_forward, command, diag);
	/* Lest it forward the numbers of the one for the other, too. */
	if (!command->has_tcp) {
		add(command, "-t");
		add(command, "none");
	}
	if (!command->has_udp) {
		add(command, "-u");
		add(command, "none");
	}
	return ret;
}

/* ---- the link ---- */

/* It has nothing to learn: there is nothing that it could do for the guest's driver. */
static void passt_set_features(struct link *, uint64_t)
{
}

static void passt_explain_end(struct link *link, struct diag *diag)
{
	child_describe_end(&((struct passt *)link)->child, diag);
}

/* The socket's end is the end of it. */
static void passt_close(struct link *link)
{
	struct passt *passt = (struct passt *)link;

	framed_fini(&passt->framed);
	child_end(&passt->child);
	free(passt);
}

static const struct link_ops passt_ops = {
	.send = framed_send,
	.flush = framed_flush,
	.receive = framed_receive,
	.set_features = passt_set_features,
	.explain_end = passt_explain_end,
	.close = passt_close,
};

static int start(struct passt *passt, const char *const *argv, int *fd, struct diag *diag)
{
	int pair[2], ret;

	*fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return diag_fail(diag, errno, "socketpair: %s", error_text(errno));
	ret = child_start(&passt->child, argv, &pair[1], 1, diag);
	close(pair[1]);
	*fd = pair[0];
	if (!ret)
		return 0;
	close(pair[0]);
	if (ret == -ENOENT)
		return diag_fail(diag, ENOENT,
			"there is no passt on this host; install it (Debian: the package passt)");
	return ret;
}

struct link *passt_open(const struct passt_options *options, struct diag *diag)
{
	struct passt *passt = calloc(1, sizeof(*passt));
	struct command command;
	int fd;

	if (!passt) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	if (make_command(&command, options, diag) || start(passt, command.argv, &fd, diag))
		goto err_passt;
	if (framed_init(&passt->framed, &passt_ops, fd)) {
		diag_fail(diag, ENOMEM, "out of memory");
		goto err_child;
	}
	passt->framed.link.end_fd = passt->child.pidfd;
	passt->framed.link.mtu = options->mtu;
	return &passt->framed.link;

err_child:
	close(fd);
	child_end(&passt->child);
err_passt:
	free(passt);
	return NULL;
}
