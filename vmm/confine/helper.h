/* SPDX-License-Identifier: MIT */
/* helper.h - a small process beside ours, for what we give up: it is asked, and answers
 *
 * It is a fork of ours, has nothing open but its end of a socket and what it is left, hears no
 * signal of a terminal, has nothing to say, and ends when we do.
 */
#ifndef CONFINE_HELPER_H
#define CONFINE_HELPER_H

#include "filter/filter.h"
#include "util/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HELPER_FDS      4    /* that it is left, at most */
#define HELPER_QUESTION 8400 /* bytes of a question, at most */

struct helper {
	int fd; /* -1: there is none */
	pid_t pid;
};

struct helper_order {
	const char *name; /* of the process, at most 15 bytes */
	enum filter role; /* whose calls alone it makes, */
	bool is_filtered; /* if this is so */
	int fds[HELPER_FDS];
	size_t n_fds;
	size_t question_size; /* bytes of each */
	/* A question has come: to be answered by helper_answer(). */
	void (*serve)(void *ctx, int to, const void *question);
	/* There will be no more: the process that asked has ended, or helper_end() was called. */
	void (*end)(void *ctx);
	void *ctx; /* in its own copy of our memory */
};

/* Fork it.  In a process that has one thread.  0, or -errno and diag. */
int helper_start(struct helper *helper, const struct helper_order *order, struct diag *diag);

/* Ask, and wait for what it answers, of this size; with it may come *n descriptors, the caller's,
 * for which there is room.  One question at a time.  0, or -errno: it has ended.
 */
int helper_ask(const struct helper *helper, const void *question, size_t question_size,
	void *answer, size_t size, int *fds, size_t *n);

/* In it.  The descriptors stay the caller's. */
void helper_answer(int to, const void *answer, size_t size, const int *fds, size_t n);

/* Have it end, and wait for that.  None: nothing. */
void helper_end(struct helper *helper);

#endif
