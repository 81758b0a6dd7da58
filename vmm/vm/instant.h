/* SPDX-License-Identifier: MIT */
/* instant.h - boots that are not made again: a machine saved before its user space began, for all
 * that are made like it
 *
 * The first run of a machine boots as ever, and is saved when its guest asks for it; what it was
 * saved as is a template, which lies in the user's cache.  A later run of a machine that is made of
 * the same begins with that.  docs/instant.md says what "the same" is, and what all of them share.
 */
#ifndef VM_INSTANT_H
#define VM_INSTANT_H

#include "boot/boot.h"
#include "config/config.h"
#include "util/diag.h"
#include "vm/snapshot.h"

#include <limits.h>
#include <stdbool.h>

struct instant {
	char dir[PATH_MAX]; /* of the template; "": there is to be none */
	char *key;          /* what it is of, owned */
	bool is_found;
	struct snapshot snapshot; /* if it is */
	char *cmdline;            /* of the boot that makes it, owned */
};

/* Find out whether there is a template for a machine of these settings, which are complete: then
 * snapshot is open.  -errno and diag: nothing is kept, and it boots as ever.
 */
int instant_find(struct instant *instant, const struct config *config, struct diag *diag);

/* There is none: have the guest ask to be saved.  Its initrd is replaced by one with a program
 * more, and its command line by one that has it run.  -errno and diag: it stays as it was.
 */
int instant_prepare(struct instant *instant, struct boot_spec *spec, struct diag *diag);

/* The template is of no use: the next run makes it anew. */
void instant_drop(struct instant *instant);

/* It was made: throw out those unused for longest, as far as there is no room for them. */
void instant_tidy(const struct instant *instant);

void instant_close(struct instant *instant);

#endif
