// SPDX-License-Identifier: MIT
/* route.c - each operation of the API: its method, its path, when it may be asked, what it does */

#include "api/object_parts.h"
#include "api/route_parts.h"

#include "dev/table.h"
#include "util/bits.h"
#include "util/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OK         200
#define NO_CONTENT 204
#define BAD        400
#define TOO_LARGE  413

#define MAX_ID 64

#define NOT_BEFORE "The requested operation is not supported before starting the microVM."
#define NOT_AFTER  "The requested operation is not supported after starting the microVM."

enum when { BEFORE = 1, AFTER = 2, ALWAYS = BEFORE | AFTER };

struct route {
	const char *method;
	const char *path; /* words with '/' between; "*" is an id */
	enum when when;
	enum object_kind kind;
	void (*serve)(struct call *call);
	bool body_is_optional;
	const char *counted; /* as what, by the names of Firecracker's metrics; "": it is not */
};

void call_done(struct call *call)
{
	http_send(call->answer, NO_CONTENT, NULL);
}

void call_show(struct call *call, json_t *body)
{
	http_send(call->answer, OK, body);
}

void call_fault(struct call *call, const char *text)
{
	api_send_fault(call->answer, BAD, text);
}

void call_ask_vmm(
	struct call *call, const struct link_message *question, json_t *object, json_t *change)
{
	struct diag diag;

	if (vmm_ask(call->api, question, call->answer, object, change, &diag))
		call_fault(call, diag.text);
}

/* ---- what it is ---- */

static void get_instance(struct call *call)
{
	const struct api *api = call->api;

	call_show(call, json_pack("{s:s, s:s, s:s, s:s}", "id", api->spec->id, "state",
				api_state_name(api->state), "vmm_version", API_FIRECRACKER_VERSION,
				"app_name", "Firecracker"));
}

static void get_version(struct call *call)
{
	call_show(call, json_pack("{s:s, s:s}", "firecracker_version", API_FIRECRACKER_VERSION,
				"pronto_version", PRONTO_VERSION));
}

static void get_config(struct call *call)
{
	call_show(call, objects_show(&call->api->objects));
}

/* ---- what is configured ---- */

static void put_object(struct call *call)
{
	const struct object_class *class = &object_class[call->kind];
	const char *id = class->id ? text_of(call->body, class->id) : NULL;
	struct diag diag;

	if (call->id && id && strcmp(call->id, id))
		call_fault(call, "The id from the path does not match the id from the body!");
	else if (objects_put(&call->api->objects, call->kind, call->body, &diag))
		call_fault(call, diag.text);
	else
		call_done(call);
}

static void patch_object(struct call *call)
{
	struct diag diag;

	if (!json_object_size(call->body))
		call_fault(call, "Empty PATCH request.");
	else if (objects_patch(&call->api->objects, call->kind, call->body, &diag))
		call_fault(call, diag.text);
	else
		call_done(call);
}

static void get_object(struct call *call)
{
	const struct object_class *class = &object_class[call->kind];
	json_t *object = call->api->objects.of[call->kind];
	char text[128];

	if (object) {
		call_show(call, json_incref(object));
		return;
	}
	snprintf(text, sizeof(text), "%s: no such device is configured", class->what);
	call_fault(call, text);
}

/* ---- what it does ---- */

static void refuse_unbuilt(struct call *call)
{
	call_fault(call, "This operation is not built into this VMM.");
}

static void start(struct call *call)
{
	struct diag diag;
	char text[sizeof(diag.text) + 32];

	if (!vmm_start(call->api, call->answer, &diag))
		return;
	snprintf(text, sizeof(text), "Start microvm error: %s", diag.text);
	call_fault(call, text);
}

static void put_action(struct call *call)
{
	const char *action = text_of(call->body, "action_type");
	bool is_first = call->api->state == API_NOT_STARTED;
	static const struct {
		const char *name;
		bool is_first; /* before the start, or after */
		enum link_ask ask;
	} actions[] = {
		{ "InstanceStart", true, LINK_START },
		{ "SendCtrlAltDel", false, LINK_POWER_BUTTON },
		{ "GracefulShutdown", false, LINK_POWER_OFF },
		{ "Reset", false, LINK_RESET },
		{ "FlushMetrics", false, LINK_FLUSH },
	};

	for (size_t i = 0; action && i < ARRAY_SIZE(actions); i++) {
		const struct link_message question = { .ask = (uint16_t)actions[i].ask };

		if (strcmp(action, actions[i].name))
			continue;
		if (is_first != actions[i].is_first)
			call_fault(call, is_first ? NOT_BEFORE : NOT_AFTER);
		else if (is_first)
			start(call);
		else
			call_ask_vmm(call, &question, NULL, NULL);
		return;
	}
	call_fault(call, "An error occurred when deserializing the json body of a request: unknown "
			 "variant or no `action_type`, expected one of `InstanceStart`, "
			 "`SendCtrlAltDel`, `FlushMetrics`, `GracefulShutdown`, `Reset`.");
}

static void patch_vm(struct call *call)
{
	const char *state = text_of(call->body, "state");
	struct link_message question = { .ask = LINK_PAUSE };

	if (!state || (strcmp(state, "Paused") && strcmp(state, "Resumed"))) {
		call_fault(call, "An error occurred when deserializing the json body of a request: "
				 "unknown variant or no `state`, expected `Paused` or `Resumed`.");
		return;
	}
	if (!strcmp(state, "Resumed"))
		question.ask = LINK_RESUME;
	call_ask_vmm(call, &question, NULL, NULL);
}

static void put_logger(struct call *call)
{
	const json_t *logger;
	struct diag diag, why;
	char text[sizeof(why.text) + 32];

	if (objects_put(&call->api->objects, OBJECT_LOGGER, call->body, &diag)) {
		call_fault(call, diag.text);
		return;
	}
	logger = call->api->objects.of[OBJECT_LOGGER];
	if (!api_use_logger(call->api, logger, &why)) {
		call_done(call);
		return;
	}
	snprintf(text, sizeof(text), "Logger error: %s", why.text);
	call_fault(call, text);
}

/* ---- metadata ---- */

static void put_mmds_config(struct call *call)
{
	struct diag diag, why;
	char text[sizeof(why.text) + 32];

	if (metadata_check(&call->api->objects, call->body, &why)) {
		snprintf(text, sizeof(text), "MMDS error: %s", why.text);
		call_fault(call, text);
	} else if (objects_put(&call->api->objects, OBJECT_MMDS, call->body, &diag)) {
		call_fault(call, diag.text);
	} else {
		call_done(call);
	}
}

/* What guests are told from now on. */
static void change_metadata(struct call *call, int ret, struct diag *diag)
{
	char text[sizeof(diag->text) + 32];

	if (!ret)
		ret = metadata_changed(&call->api->metadata, &call->api->objects, diag);
	if (!ret) {
		call_done(call);
		return;
	}
	snprintf(text, sizeof(text), "%s: %s",
		ret == -E2BIG ? "MMDS limit exceeded error" : "MMDS error", diag->text);
	api_send_fault(call->answer, ret == -E2BIG ? TOO_LARGE : BAD, text);
}

static void put_mmds(struct call *call)
{
	struct diag diag;

	change_metadata(call, mmds_store_put(&call->api->metadata.store, call->body, &diag), &diag);
}

static void patch_mmds(struct call *call)
{
	struct diag diag;

	change_metadata(
		call, mmds_store_patch(&call->api->metadata.store, call->body, &diag), &diag);
}

static void get_mmds(struct call *call)
{
	const struct api *api = call->api;
	char *text;

	if (api->state != API_NOT_STARTED && !api->objects.of[OBJECT_MMDS]) {
		call_fault(call, "MMDS error: The MMDS data store is not initialized.");
		return;
	}
	text = mmds_store_show(&api->metadata.store);
	call_show(call, text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL);
	free(text);
}

static void get_events(struct call *call)
{
	struct api_stream *stream = calloc(1, sizeof(*stream));

	if (!stream) {
		call_fault(call, "out of memory");
		return;
	}
	stream->answer = call->answer;
	LIST_INSERT_HEAD(&call->api->streams, stream, next);
	http_stream(call->answer);
}

/* ---- the table ---- */

static const struct route routes[] = {
	{ "GET", "", ALWAYS, 0, get_instance, false, "instance_info" },
	{ "GET", "version", ALWAYS, 0, get_version, false, "vmm_version" },
	{ "GET", "vm/config", ALWAYS, 0, get_config, false, "vm_config" },
	{ "PATCH", "vm", AFTER, 0, patch_vm, false, "vm" },
	{ "PUT", "actions", ALWAYS, 0, put_action, false, "actions" },
	{ "GET", "events", ALWAYS, 0, get_events, false, "" },
	{ "GET", "machine-config", ALWAYS, OBJECT_MACHINE, get_object, false, "machine_cfg" },
	{ "PUT", "machine-config", BEFORE, OBJECT_MACHINE, put_object, false, "machine_cfg" },
	{ "PATCH", "machine-config", BEFORE, OBJECT_MACHINE, patch_object, false, "machine_cfg" },
	{ "PUT", "boot-source", BEFORE, OBJECT_BOOT_SOURCE, put_object, false, "boot_source" },
	{ "PUT", "cpu-config", BEFORE, OBJECT_CPU, put_object, false, "cpu_cfg" },
	{ "PUT", "drives/*", BEFORE, OBJECT_DRIVE, put_object, false, "drive" },
	{ "PUT", "network-interfaces/*", BEFORE, OBJECT_NET, put_object, false, "network" },
	{ "PUT", "shares/*", BEFORE, OBJECT_SHARE, put_object, false, "share" },
	{ "PUT", "vsock", BEFORE, OBJECT_VSOCK, put_object, false, "vsock" },
	{ "PUT", "entropy", BEFORE, OBJECT_ENTROPY, put_object, false, "entropy" },
	{ "PUT", "metrics", BEFORE, OBJECT_METRICS, put_metrics, false, "metrics" },
	{ "GET", "metrics", ALWAYS, 0, get_metrics, false, "" },
	{ "PUT", "logger", BEFORE, OBJECT_LOGGER, put_logger, false, "logger" },
	{ "PUT", "mmds/config", BEFORE, OBJECT_MMDS, put_mmds_config, false, "mmds" },
	{ "PUT", "mmds", ALWAYS, 0, put_mmds, false, "mmds" },
	{ "PATCH", "mmds", ALWAYS, 0, patch_mmds, false, "mmds" },
	{ "GET", "mmds", ALWAYS, 0, get_mmds, false, "mmds" },
	{ "PUT", "serial", BEFORE, OBJECT_SERIAL, put_object, false, "serial" },
	{ "PUT", "balloon", BEFORE, OBJECT_BALLOON, put_object, false, "balloon" },
	{ "GET", "balloon", ALWAYS, OBJECT_BALLOON, get_object, false, "balloon" },
	{ "PATCH", "drives/*", AFTER, OBJECT_DRIVE, patch_drive, false, "drive" },
	{ "PATCH", "network-interfaces/*", AFTER, OBJECT_NET, patch_net, false, "network" },
	{ "PATCH", "balloon", AFTER, OBJECT_BALLOON, patch_balloon, false, "balloon" },
	{ "GET", "balloon/statistics", AFTER, OBJECT_BALLOON, get_statistics, false, "balloon" },
	{ "PATCH", "balloon/statistics", AFTER, OBJECT_BALLOON, patch_statistics, false,
		"balloon" },
	{ "PATCH", "balloon/hinting/*", ALWAYS, 0, refuse_unbuilt, true, "" },
	{ "GET", "balloon/hinting/*", ALWAYS, 0, refuse_unbuilt, false, "" },
	{ "PUT", "pmem/*", ALWAYS, 0, refuse_unbuilt, false, "" },
	{ "PATCH", "pmem/*", ALWAYS, 0, refuse_unbuilt, false, "" },
	{ "DELETE", "pmem/*", ALWAYS, 0, refuse_unbuilt, true, "" },
	{ "GET", "hotplug/memory", ALWAYS, 0, refuse_unbuilt, false, "" },
	{ "PUT", "hotplug/memory", ALWAYS, 0, refuse_unbuilt, false, "" },
	{ "PATCH", "hotplug/memory", ALWAYS, 0, refuse_unbuilt, false, "" },
	{ "PUT", "snapshot/create", ALWAYS, 0, refuse_unbuilt, false, "" },
	{ "PUT", "snapshot/load", ALWAYS, 0, refuse_unbuilt, false, "" },
};

const char *route_counted(unsigned int i, const char **method)
{
	_Static_assert(ARRAY_SIZE(routes) <= API_MAX_ROUTES, "each is counted");

	if (i >= ARRAY_SIZE(routes))
		return NULL;
	*method = routes[i].method;
	return routes[i].counted;
}

/* Whether the path is the route's; `id` has room for MAX_ID bytes and the NUL, and is empty if the
 * path has none.
 */
static bool matches(const char *pattern, const char *path, char id[MAX_ID + 1])
{
	*id = 0;
	while (*path == '/')
		path++;
	while (*pattern) {
		size_t have = strcspn(path, "/"), want = strcspn(pattern, "/");

		if (*pattern == '*') {
			if (!have || have > MAX_ID)
				return false;
			memcpy(id, path, have);
			id[have] = 0;
		} else if (have != want || memcmp(path, pattern, want)) {
			return false;
		}
		path += have;
		pattern += want;
		while (*path == '/')
			path++;
		pattern += *pattern == '/';
	}
	return !*path;
}

static bool is_method(const struct http_request *request, const char *method)
{
	return !strcmp(request->method, method);
}

static bool is_id(const char *id)
{
	return !id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")];
}

static void refuse_route(const struct http_request *request, struct http_answer *answer)
{
	const char *path = request->path + strspn(request->path, "/");
	char text[160];

	snprintf(text, sizeof(text), "Invalid request method and/or path: %s %.*s.",
		request->method, (int)(strcspn(path, "/") < 64 ? strcspn(path, "/") : 64), path);
	api_send_fault(answer, BAD, text);
}

/* What is wrong with a request as such; NULL: nothing. */
static const char *find_fault(const struct api *api, const struct route *route, const char *id,
	const struct http_request *request)
{
	bool has_begun = api->state != API_NOT_STARTED;

	if (!is_id(id))
		return "API Resource IDs can only contain alphanumeric characters and underscores.";
	if (request->size && is_method(request, "GET"))
		return "GET request cannot have a body.";
	if (request->size && is_method(request, "DELETE"))
		return "Empty Delete request.";
	if (!request->size && is_method(request, "PUT") && !route->body_is_optional)
		return "Empty PUT request.";
	if (!request->size && is_method(request, "PATCH") && !route->body_is_optional)
		return "Empty PATCH request.";
	if (has_begun && !(route->when & AFTER))
		return NOT_AFTER;
	if (!has_begun && !(route->when & BEFORE))
		return NOT_BEFORE;
	return NULL;
}

static void serve(struct api *api, const struct route *route, const char *id,
	const struct http_request *request, struct http_answer *answer)
{
	const char *why = find_fault(api, route, id, request);
	struct call call = { api, answer, route->kind, *id ? id : NULL, NULL };
	json_error_t error;
	char text[256];

	if (why) {
		api_send_fault(answer, BAD, why);
		return;
	}
	if (request->size) {
		call.body = json_loadb(request->body, request->size,
			JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
		if (!call.body) {
			snprintf(text, sizeof(text),
				"An error occurred when deserializing the json body of a request: %s at "
				"line %d column %d.",
				error.text, error.line, error.column);
			call_fault(&call, text);
			return;
		}
	}
	route->serve(&call);
	json_decref(call.body);
}

/* Of the metadata nobody but its guest is told. */
static void note_request(const struct http_request *request)
{
	bool is_shown = request->size && !strstr(request->path, "mmds");
	char method[8];

	snprintf(method, sizeof(method), "%.7s", request->method);
	for (char *c = method + 1; *c; c++)
		*c = (char)tolower(*c);
	log_info("The API server received a %s request on \"%s\"%s%.*s%s.", method, request->path,
		is_shown ? " with body \"" : "", is_shown ? (int)request->size : 0, request->body,
		is_shown ? "\"" : "");
}

void api_request(void *ctx, const struct http_request *request, struct http_answer *answer)
{
	char id[MAX_ID + 1];

	note_request(request);
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (!is_method(request, routes[i].method) ||
			!matches(routes[i].path, request->path, id))
			continue;
		http_set_tag(answer, (unsigned int)i + 1);
		serve(ctx, &routes[i], id, request, answer);
		return;
	}
	refuse_route(request, answer);
}
