/* SPDX-License-Identifier: MIT */
/* launch.h - from settings to a machine with all that they name: the kernel, its command line, its
 * initrd, and a timeline if one is wanted
 */
#ifndef VM_LAUNCH_H
#define VM_LAUNCH_H

#include "config/config.h"
#include "image/image.h"
#include "util/diag.h"
#include "util/timeline.h"
#include "vm/instant.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

#include <stdio.h>

struct warm;

/* What each start touches comes first: a page less is a fault less. */
struct launch {
	const struct config *config; /* outlives it */
	struct boot_spec spec;
	bool has_kernel;           /* image, kernel and what is in spec are open */
	struct snapshot *snapshot; /* that the machine begins with; not owned; NULL: at its entry */
	struct warm *warm;         /* and that has its parts ready; not owned; NULL: nobody */
	int leash_fd;              /* if it has warm: the machine ends when this does; -1: not so */
	char *cmdline;             /* the kernel's, if something was added to it; owned */
	bool has_reader;           /* who looks at the timeline while the machine runs */
	FILE *timeline_file;       /* where it goes at the end; NULL: nowhere */
	struct timeline timeline;
	struct vm vm;
	struct instant instant; /* if the settings want it */
	struct image image;     /* what is entered */
	struct image kernel;    /* what pvh-shim is given, if that is entered */
};

/* All of them are the main thread's.
 *
 * Open what the settings name, which are complete; `launch` is zero but for has_reader, snapshot
 * and warm, with which there is no kernel, unless it may be entered anew.  The program began at
 * `since_ns` (CLOCK_MONOTONIC).  Afterwards launch->vm is configured.  0, or -errno and diag, and
 * nothing is open.
 */
int launch_open(
	struct launch *launch, const struct config *config, uint64_t since_ns, struct diag *diag);

/* Open the memory of the snapshot at `path`, whose state is open, where the settings have it; of a
 * machine whose memory a handler brings there is none to open.  -errno and diag.
 */
int launch_open_memory(struct snapshot *snapshot, const char *path, const struct config *config,
	struct diag *diag);

/* The machine is closed.  -1 if the timeline could not be written whole, which is in the log. */
int launch_close(struct launch *launch);

/* Have the machine live.  What went wrong is in the log.  After control_catch_signals(). */
enum exit_code launch_run(struct launch *launch);

/* Print what the guest would be handed, without KVM.  What went wrong is in the log. */
enum exit_code launch_dry(struct launch *launch);

#endif
