/* SPDX-License-Identifier: MIT */
/* metrics.h - what the machine and its API have counted, for a file and for who scrapes
 *
 * The VMM counts (vm/counts.h) and is asked for its figures; the API's process counts requests.
 * Both become lines of JSON by the names that Firecracker's metrics have, in which what grows is
 * told since the line before; or the text that Prometheus reads, in which it is told since the
 * beginning.
 */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "api/link.h"
#include "loop/loop.h"
#include "util/diag.h"

#include <jansson.h>
#include <stdint.h>

struct api;

struct metrics {
	int fd;                       /* where lines go; -1: nowhere */
	struct loop_source timer;     /* by which they go there; fd -1: there is none */
	bool is_torn;                 /* the last line found room for its beginning only */
	uint64_t n_missed;            /* lines that found none */
	json_t *told;                 /* what grows, as the last line had it; owned */
	uint64_t ready_us;            /* the program's start until it listened: by the clock, */
	uint64_t ready_cpu_us;        /* and by the processor */
	uint64_t pause_us, resume_us; /* that the last of them took, */
	uint64_t save_us, save_changes_us, restore_us; /* snapshots, and the start from one */
	/* What the VMM told last. */
	unsigned int n;
	struct count counts[LINK_COUNTS];
};

void metrics_init(struct metrics *metrics);
void metrics_fini(struct metrics *metrics);

/* Lines go to what is at `path`, which must be there: a file, or a FIFO.  Once.  -errno, diag. */
int metrics_open(struct metrics *metrics, const char *path, struct diag *diag);

/* The machine runs: a line goes there now, and then each minute.  -errno. */
int metrics_begin(struct api *api);

/* All is over: the last line. */
void metrics_end(struct api *api);

/* The VMM has told what it has counted. */
void metrics_take(struct metrics *metrics, const struct link_message *message);

/* A line, if there is somewhere for it to go.  -errno, diag: it is lost. */
int metrics_write(struct api *api, struct diag *diag);

/* Text for Prometheus (its exposition format, version 0.0.4); the caller's to free, or NULL. */
char *metrics_show(struct api *api);

#endif
