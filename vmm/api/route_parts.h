/* SPDX-License-Identifier: MIT */
/* route_parts.h - the operations of the API, for the files that serve and describe them: route.c
 * has the table and what is asked before the start, route_devices.c what is asked of devices while
 * the machine runs, route_snapshot.c its snapshots, route_shapes.c what bodies and answers hold,
 * openapi.c a description of it all
 */
#ifndef API_ROUTE_PARTS_H
#define API_ROUTE_PARTS_H

#include "api/api.h"

#include <stdbool.h>

struct call {
	struct api *api;
	struct http_answer *answer;
	enum object_kind kind; /* what its path is about */
	const char *id;        /* of its path; NULL: it has none */
	json_t *body;          /* {}: there is none */
};

#define ROUTE_MAX_ID 64 /* bytes */

enum when { BEFORE = 1, AFTER = 2, ALWAYS = BEFORE | AFTER };

struct route {
	const char *method;
	const char *path; /* words with '/' between; "*" is an id */
	enum when when;
	enum object_kind kind; /* whose object it sets, changes or shows, or N_OBJECT_KINDS */
	void (*serve)(struct call *call);
	const char *counted; /* as what, by the names of Firecracker's metrics; "": it is not */
	const char *help;
	const struct shape
		*takes; /* its body, by which it is read; NULL: the kind's, or any JSON */
	const struct shape *gives; /* its answer; NULL: the kind's if it is a GET, else none */
	const char *type;          /* of the answer, if that is not one JSON */
	bool body_is_optional;
	bool is_refused;
};

extern const struct route api_routes[];
extern const size_t api_n_routes;

/* How a call ends: with an answer that it has given, or one that is to come. */
void call_done(struct call *call);
void call_show(struct call *call, json_t *body);
void call_fault(struct call *call, const char *text);
/* Of an object the fields `change` are then as they say; both may be NULL. */
void call_ask_vmm(
	struct call *call, const struct link_message *question, json_t *object, json_t *change);
/* The same, with files, which stay the caller's.  False: it could not be asked, which is said. */
bool call_ask_vmm_with(struct call *call, const struct link_message *question,
	const struct link_files *files, json_t *object, json_t *change);

/* In metrics.c. */
void put_metrics(struct call *call);
void get_metrics(struct call *call);

/* In route_devices.c. */
void patch_drive(struct call *call);
void patch_net(struct call *call);
void patch_balloon(struct call *call);
void patch_statistics(struct call *call);
void get_statistics(struct call *call);
void start_hinting(struct call *call);
void stop_hinting(struct call *call);
void get_hinting(struct call *call);

/* In route_snapshot.c. */
void create_snapshot(struct call *call);
void load_snapshot(struct call *call);
void put_fork(struct call *call);

/* In route_shapes.c. */
extern const struct shape action_shape, vm_state_shape, drive_change_shape, net_change_shape,
	balloon_change_shape, statistics_change_shape, hinting_start_shape, snapshot_create_shape,
	snapshot_load_shape, fork_shape;
extern const struct shape error_shape, instance_shape, version_shape, all_objects_shape,
	anything_shape, statistics_shape, hinting_shape, timeline_shape, forked_shape, event_shape;

#endif
