/* SPDX-License-Identifier: MIT */
/* cachedir.h - the user's directory for what is kept from one run to the next
 *
 * What is kept is a convenience: no failure here is one of the start.
 */
#ifndef UTIL_CACHEDIR_H
#define UTIL_CACHEDIR_H

#include "util/diag.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* What PRONTO_CACHE_SIZE says that each kind of what is kept may take, or 1 GiB.  -EINVAL, diag. */
int cachedir_max_size(uint64_t *size, struct diag *diag);

/* Its path.  False: the environment names none (neither XDG_CACHE_HOME nor HOME). */
bool cachedir_find(char *dir, size_t size);

/* Open it, or one below it, if it is there, and see that it is this user's, and nobody else's to
 * write to.  The descriptor, or -errno and a reason that names the directory, the cause, and the
 * way out; -ENOENT: there is none.
 */
int cachedir_open(const char *dir, uid_t owner, struct diag *diag);

/* Whether what is kept there in a file may be believed: it is `owner`'s, nobody else's to write to,
 * and has no other name.
 */
bool cachedir_trusts(const struct stat *file, uid_t owner);

/* Make it and what it lies in.  -errno and a reason as above. */
int cachedir_make(const char *dir, struct diag *diag);

/* The reason in words, for what cannot be kept there: -err. */
int cachedir_explain(const char *dir, int err, struct diag *diag);

#endif
