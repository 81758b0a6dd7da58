/* SPDX-License-Identifier: MIT */
/* api.h - the control API: a process that clients speak HTTP with, and the VMM that it starts
 *
 *	clients -- HTTP --> http.c -- requests --> route.c -- objects --> objects.c
 *	                                              |
 *	                                          vmm_ask()
 *	                                              v
 *	                               link.h -- packets --> agent.c, in the VMM's process
 *
 * The process that reads what strangers send has neither KVM nor guest memory.  It gathers what is
 * configured; at InstanceStart it makes the VMM by fork(2), which so has all settings without
 * having read them.  When that runs, the process gives up files and most system calls
 * (api_close_in()); it ends with the VMM.
 *
 * One thread, one loop.
 */
#ifndef API_API_H
#define API_API_H

#include "api/files.h"
#include "api/http.h"
#include "api/link.h"
#include "api/metadata.h"
#include "api/metrics.h"
#include "api/objects.h"
#include "api/restore.h"
#include "config/config.h"
#include "loop/loop.h"
#include "util/diag.h"
#include "util/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

/* Whose API this is, by version. */
#define API_FIRECRACKER_VERSION "1.17.0"

struct api_spec {
	const char *socket; /* path to listen at; NULL: there is none */
	int fd;             /* that listens already; -1: socket says */
	enum log_level log_level;
	const char *id;               /* the machine's */
	json_t *metadata;             /* what guests are told at first; NULL: nothing */
	size_t mmds_limit;            /* bytes of the metadata */
	size_t max_body;              /* bytes of a request */
	const char *log_path, *level; /* as of api_set_log(), to begin with */
	bool show_level;              /* with each message */
	const char *metrics_path;     /* as of metrics_open(); NULL: nowhere */
	bool as_firecracker;          /* its exit status, its ways with signals */
	bool has_pci;                 /* devices on PCI */
	enum confine confine;         /* of machines whose settings do not say */
	uint64_t since_ns;            /* when the program began, CLOCK_MONOTONIC */
	uint64_t cpu_before_us;       /* processor time that was spent for it before */
};

enum api_state { API_NOT_STARTED, API_STARTING, API_RUNNING, API_PAUSED, API_ENDED };

/* A question to the VMM that is not answered yet; they are answered in turn. */
struct api_pending {
	STAILQ_ENTRY(api_pending) next;
	enum link_ask ask;
	struct http_answer *answer; /* NULL: who asked has left */
	uint64_t since_ns;
	bool anew; /* as it was asked */
	/* Fields of an object that are these once it is done; NULL: none.  Owned. */
	json_t *object, *change;
};

/* Requests of one kind that have come, and of them those that were refused. */
struct api_requests {
	uint64_t n, n_failed;
};

#define API_MAX_ROUTES 64

/* Who hears of events. */
struct api_stream {
	LIST_ENTRY(api_stream) next;
	struct http_answer *answer;
};

struct api {
	const struct api_spec *spec;
	struct loop loop;
	struct http *http; /* NULL: nobody can ask */
	struct objects objects;
	struct metadata metadata;
	struct metrics metrics;
	struct api_requests requests[API_MAX_ROUTES];
	enum api_state state;
	enum log_level log_level; /* the VMM's, too, unless its settings say otherwise */
	bool show_level;

	pid_t vmm;               /* 0: there is none */
	int vmm_pidfd;           /* the same; of none, nothing */
	char failure[LINK_TEXT]; /* why it could not start; "": it did not say */
	struct loop_source link; /* to it; fd -1: there is none */
	STAILQ_HEAD(, api_pending) pending;
	bool is_restored, begins_paused; /* of the machine that is there, or is to be */
	uint64_t restore_since_ns;       /* when it was asked for */
	struct files files;
	bool is_saving;             /* a snapshot is being made */
	struct http_answer *saving; /* who waits for it; NULL: nobody does, or he has left */
	uint64_t saving_since_ns;
	bool saves_changes; /* alone */
	LIST_HEAD(, api_stream) streams;
	int status; /* of our process, when all is over */
};

/* Serve the API until the machine has ended; `objects` are taken over.  With `start` the machine is
 * started before anybody asks.  The process's exit status; what went wrong is in the log.
 */
int api_serve(const struct api_spec *spec, struct objects *objects, bool start);

/* A description of the API by OpenAPI 3.1, whose schemas are JSON Schema, that of the settings of
 * `pronto run` among them.  A new reference, or NULL: there is no memory.
 */
json_t *openapi_describe(void);

/* What clients of the API's socket come to; of a struct api. */
extern const struct http_ops api_http_ops;

/* ---- for route.c ---- */

/* A request. */
void api_request(void *api, const struct http_request *request, struct http_answer *answer);

/* Operation `i`'s method, and what it is counted as; "": it is not, NULL: there is none. */
const char *route_counted(unsigned int i, const char **method);

/* Make the VMM, which answers `answer` (or nobody, if NULL) when it runs.  -errno and diag. */
int vmm_start(struct api *api, struct http_answer *answer, struct diag *diag);

/* The same for one that goes on from a snapshot, which was asked for at `since_ns`; what a client
 * has configured is the restored machine's then, and nothing again if it does not start.
 */
int vmm_restore(struct api *api, struct restore *restore, uint64_t since_ns,
	struct http_answer *answer, struct diag *diag);

/* Under Firecracker's name the process is over when no machine came of a snapshot. */
void api_restore_failed(struct api *api);

/* Of a snapshot that is being made, what is there goes. */
void vmm_drop_snapshot(struct api *api);

/* Send it a signal, if it is there. */
void vmm_signal(const struct api *api, int signal);

/* The machine runs: from here on this process has no files but those that are open, and makes the
 * calls of FILTER_API alone, as far as `confine` of its spec wants it.
 */
void api_close_in(struct api *api);

/* Ask it something; it answers `answer`.  `files` go with it, and stay the caller's; NULL: none. If
 * it is done, `change` has become true of `object`, both borrowed, or NULL (objects_note_change()).
 * -errno and diag.
 */
int vmm_ask(struct api *api, const struct link_message *question, const struct link_files *files,
	struct http_answer *answer, json_t *object, json_t *change, struct diag *diag);

/* A line for all who hear of events; `fields` (taken over) are added to it. */
void api_tell(struct api *api, const char *event, json_t *fields);

/* Open for writing what is at `path`, which must be there: a file or a FIFO, which need have no
 * reader yet.  -errno and diag.
 */
int api_open_sink(const char *path, struct diag *diag);

/* Have messages go to what is at `path`, which must be there, at this level (Firecracker's word for
 * it).  Either may be NULL.  -errno and diag.
 */
int api_set_log(struct api *api, const char *path, const char *level, struct diag *diag);
/* The same, as an object says; messages have their level with them if it wants that. */
int api_use_logger(struct api *api, const json_t *logger, struct diag *diag);

/* Under Firecracker's name messages are in its form, with the name of this part of the program. */
void api_name_messages(const struct api *api, const char *part);

void api_send_fault(struct http_answer *answer, int status, const char *fault);

/* Text for Prometheus. */
void api_send_metrics(struct api *api, struct http_answer *answer);

const char *api_state_name(enum api_state state);

#endif
