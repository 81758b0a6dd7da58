/* SPDX-License-Identifier: MIT */
/* mmds_store.h - what the operator tells a guest: one JSON value, and what a path in it says
 *
 * As Firecracker's MMDS has it (docs/mmds.md).  Sizes are those of the value's shortest text:
 * without blanks, members in the order of their names.  Nothing here is shared between threads.
 */
#ifndef API_MMDS_STORE_H
#define API_MMDS_STORE_H

#include "util/diag.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define MMDS_SIZE_LIMIT 51200 /* bytes, unless somebody says otherwise */

struct mmds_store {
	json_t *data; /* owned; NULL: nobody has set it, and who asks gets null */
	size_t limit; /* of its text */
	bool is_imds; /* as EC2's service: the text of an item is plain, whatever is asked for */
};

void mmds_store_init(struct mmds_store *store, size_t limit);
void mmds_store_fini(struct mmds_store *store);

/* It is `data` from now on, which is copied (PUT).  0; -E2BIG: it is over the limit; -ENOMEM; with
 * diag, and the store as it was.
 */
int mmds_store_put(struct mmds_store *store, const json_t *data, struct diag *diag);

/* Change it by `patch` (PATCH; RFC 7396, 2).  As mmds_store_put(), and -ENODATA: nobody has set it.
 */
int mmds_store_patch(struct mmds_store *store, const json_t *patch, struct diag *diag);

/* All of it as JSON, and what nobody has set as null; the caller's to free.  NULL: no memory. */
char *mmds_store_text(const struct mmds_store *store);

/* The same for who asks the API: of null, an empty object. */
char *mmds_store_show(const struct mmds_store *store);

/* What the value at `path` says, the caller's to free.  A path begins with a slash; several slashes
 * are one, and one at the end is none.  Its parts are names of members or numbers of items, "~1" a
 * slash in them and "~0" a tilde (RFC 6901).
 *
 * as_json, and not is_imds: its JSON.  Else plain: a string as it is, of an object the names of its
 * members, a line each in their order, those that are objects themselves with a slash behind.
 * 0; -ENOENT: nothing is there; -EOPNOTSUPP: it is neither a string nor an object; -ENOMEM.
 */
int mmds_store_find(const struct mmds_store *store, const char *path, bool as_json, char **text);

#endif
