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
#include "vm/snapshot_place.h"

#include <limits.h>
#include <stdbool.h>

struct instant {
	char *key; /* what it is of, owned */
	bool is_found;
	struct snapshot snapshot;    /* if it is */
	char *cmdline;               /* of the boot that makes it, owned */
	struct snapshot_place place; /* that it is made at, if it is to be */
	char dir[PATH_MAX];          /* of the template; "": there is to be none */
};

/* Find out whether there is a template for a machine of these settings, which are complete: then
 * snapshot is open.  -errno and diag: nothing is kept, and it boots as ever.
 */
int instant_find(struct instant *instant, const struct config *config, struct diag *diag);

/* There is none: have the guest ask to be saved, and open the place that it is saved to.  Its
 * initrd is replaced by one with a program more, and its command line by one that has it run.
 * -errno and diag: it stays as it was, or it asks in vain.
 */
int instant_prepare(struct instant *instant, struct boot_spec *spec, struct diag *diag);

/* Whether one is to be made. */
static inline bool instant_is_made(const struct instant *instant)
{
	return instant->place.path;
}

/* The template is of no use: the next run makes it anew. */
void instant_drop(struct instant *instant);

/* It was saved: it is the template from now on, and those unused for longest go, as far as there is
 * no room for them.  -errno and diag.
 */
int instant_keep(struct instant *instant, struct diag *diag);

/* It is another process that keeps it, a copy of this one: here only the files stay open. */
void instant_leave(struct instant *instant);

void instant_close(struct instant *instant);

#endif
