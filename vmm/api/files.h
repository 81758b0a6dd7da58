/* SPDX-License-Identifier: MIT */
/* files.h - files for the API's process, once that opens none itself
 *
 * When the machine runs, the process that reads what strangers send gives up files, as a confined
 * machine does (api_close_in()).  Another one, made before, opens what clients may still name:
 * another disk for a drive, and a snapshot's two files.  It also removes the API's socket at the
 * end, and of a snapshot what has no name yet, should the API's process be killed.
 *
 * Its questions are a client's own, or nearly: who has taken over the API's process can have
 * opened what a client could, and no more.
 *
 * One thread, that of the API.
 */
#ifndef API_FILES_H
#define API_FILES_H

#include "api/link.h"
#include "confine/helper.h"
#include "host/disk.h"
#include "util/diag.h"
#include "util/listener.h"

#include <stdbool.h>

struct files {
	struct helper helper;
	const struct listener *listener; /* whose socket goes at the end */
	bool is_filtered;                /* it makes the calls of its role alone */
};

/* There is no process yet. */
void files_init(struct files *files, const struct listener *listener, bool is_filtered);

/* Make it, unless it is there.  0, or -errno and diag. */
int files_start(struct files *files, struct diag *diag);

/* disk_open_path() of a path, for reading alone or not. */
int files_open_disk(struct files *files, const char *path, bool read_only, const char *before,
	struct diag *diag);

/* snapshot_place_open(): its state's file and its memory's, which are the caller's.  There is one
 * snapshot at a time.
 */
int files_open_snapshot(struct files *files, const char *path, const char *memory_path,
	struct link_files *opened, bool *is_beside, struct diag *diag);
/* snapshot_place_settle(), and all is closed. */
int files_settle_snapshot(struct files *files, struct diag *diag);
/* What has got no name goes. */
void files_drop_snapshot(struct files *files);

/* Have it end, and remove the socket.  None: that is done here. */
void files_end(struct files *files);

#endif
