/* SPDX-License-Identifier: MIT */
/* restore.h - a machine that is to go on from a snapshot, as a client of the API asks for it
 *
 * The API's process reads the state's file: what it says of the machine, its settings, and the note
 * that was kept with it, by which clients know its devices.  Of these the note is read as objects
 * from a client are; and it must name as many of a kind as the settings do, or none, since it is by
 * their place in it that the VMM is asked of devices.  What KVM and the devices are to have is for
 * the VMM's process to read.
 */
#ifndef API_RESTORE_H
#define API_RESTORE_H

#include "api/objects.h"
#include "config/config.h"
#include "util/diag.h"
#include "vm/snapshot.h"

#include <stdbool.h>

struct restore {
	struct snapshot snapshot; /* its memory is not open */
	const char *path;         /* not owned */
	struct config config;
	struct objects objects; /* only the machine's */
	bool begins_paused;
};

/* Read what `body` (SnapshotLoadParams, by its shape) names, and change it as that says; what was
 * configured before, `now`, has to do with the host alone.  `body` outlives it.  -errno, diag, and
 * nothing is open.
 */
int restore_open(
	struct restore *restore, const struct objects *now, const json_t *body, struct diag *diag);
void restore_close(struct restore *restore);

#endif
