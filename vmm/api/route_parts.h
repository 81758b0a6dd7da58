/* SPDX-License-Identifier: MIT */
/* route_parts.h - a call of the API, for the files that serve some: route.c has the table and what
 * is asked before the start, route_devices.c what is asked of devices while the machine runs
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
	json_t *body;          /* NULL: there is none */
};

/* How a call ends: with an answer that it has given, or one that is to come. */
void call_done(struct call *call);
void call_show(struct call *call, json_t *body);
void call_fault(struct call *call, const char *text);
/* Of an object the fields `change` are then as they say; both may be NULL. */
void call_ask_vmm(
	struct call *call, const struct link_message *question, json_t *object, json_t *change);

/* In metrics.c. */
void put_metrics(struct call *call);
void get_metrics(struct call *call);

/* In route_devices.c. */
void patch_drive(struct call *call);
void patch_net(struct call *call);
void patch_balloon(struct call *call);
void patch_statistics(struct call *call);
void get_statistics(struct call *call);

#endif
