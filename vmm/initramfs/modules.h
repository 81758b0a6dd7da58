/* SPDX-License-Identifier: MIT */
/* modules.h - which of a kernel's modules a guest needs, and in which order to load them
 *
 * Source: modules.dep(5), which names with each module all that it needs, what is to be loaded
 * first last; Linux Documentation/kbuild/kbuild.rst for modules.builtin.  Both are files of a root
 * file system that anybody may have made: nothing outside it is opened, and work and memory are
 * bounded.
 */
#ifndef INITRAMFS_MODULES_H
#define INITRAMFS_MODULES_H

#include "util/bits.h"
#include "util/diag.h"

#include <stddef.h>
#include <stdint.h>

#define MODULES_MAX      64      /* to load */
#define MODULES_MAX_SIZE MIB(32) /* of a list, or of an unpacked module */
#define MODULES_NAME     64      /* bytes of a name, with its NUL */

struct modules_path {
	const char *at; /* in the list */
	size_t size;
};

struct modules {
	int root_fd;         /* not owned */
	char dir[320];       /* where the kernel's are, below it */
	char *dep, *builtin; /* the lists; owned; builtin is NULL if there is none */
	struct modules_path load[MODULES_MAX]; /* in this order */
	size_t n;
};

/* Read the lists for the kernel of this release, lib/modules/RELEASE in the root file system at
 * root_fd.  0; -ENOENT: it has no such directory; else -errno; with diag.  To be closed after 0.
 */
int modules_open(struct modules *modules, int root_fd, const char *release, struct diag *diag);
void modules_close(struct modules *modules);

/* Have a module loaded, and before it all that it needs.  0: it will be, or is built in, or nobody
 * can tell; -ENOENT: the kernel has none of this name; -E2BIG: they are too many.
 */
int modules_want(struct modules *modules, const char *name);

/* The i-th to load: its name, and its content, unpacked, owned by the caller.  -errno and diag. */
int modules_read(const struct modules *modules, size_t i, char name[MODULES_NAME], uint8_t **data,
	size_t *size, struct diag *diag);

#endif
