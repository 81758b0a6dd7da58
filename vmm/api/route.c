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

#define NOT_BEFORE "The requested operation is not supported before starting the microVM."
#define NOT_AFTER  "The requested operation is not supported after starting the microVM."

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

bool call_ask_vmm_with(struct call *call, const struct link_message *question,
	const struct link_files *files, json_t *object, json_t *change)
{
	struct diag diag;

	if (!vmm_ask(call->api, question, files, call->answer, object, change, &diag))
		return true;
	call_fault(call, diag.text);
	return false;
}

void call_ask_vmm(
	struct call *call, const struct link_message *question, json_t *object, json_t *change)
{
	call_ask_vmm_with(call, question, NULL, object, change);
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

static void get_schema(struct call *call)
{
	json_t *schema = openapi_describe();

	if (schema)
		call_show(call, schema);
	else
		call_fault(call, "out of memory");
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
	struct link_message question = { 0 };
	size_t i = 0;
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

	/* There is no other: its shape has let it through. */
	while (strcmp(action, actions[i].name))
		i++;
	question.ask = (uint16_t)actions[i].ask;
	if (is_first != actions[i].is_first)
		call_fault(call, is_first ? NOT_BEFORE : NOT_AFTER);
	else if (is_first)
		start(call);
	else
		call_ask_vmm(call, &question, NULL, NULL);
}

static void patch_vm(struct call *call)
{
	bool is_pause = !strcmp(text_of(call->body, "state"), "Paused");
	const struct link_message question = { .ask = is_pause ? LINK_PAUSE : LINK_RESUME };

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

static void get_timeline(struct call *call)
{
	const struct link_message question = { .ask = LINK_TIMELINE };

	call_ask_vmm(call, &question, NULL, NULL);
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

#define NONE N_OBJECT_KINDS

/* clang-format off */
const struct route api_routes[] = {
	{ "GET", "", ALWAYS, NONE, get_instance, "instance_info",
		.help = "what the machine is, and whether it runs", .gives = &instance_shape },
	{ "GET", "version", ALWAYS, NONE, get_version, "vmm_version",
		.help = "which version this is", .gives = &version_shape },
	{ "GET", "vm/config", ALWAYS, NONE, get_config, "vm_config",
		.help = "all objects", .gives = &all_objects_shape },
	{ "GET", "schema", ALWAYS, NONE, get_schema, "",
		.help = "this description", .gives = &anything_shape },
	{ "GET", "events", ALWAYS, NONE, get_events, "",
		.help = "what happens, as it happens, to the machine's end",
		.gives = &event_shape, .type = "application/x-ndjson" },
	{ "GET", "timeline", AFTER, NONE, get_timeline, "",
		.help = "when the moments of the boot came", .gives = &timeline_shape },
	{ "PATCH", "vm", AFTER, NONE, patch_vm, "vm",
		.help = "pause the machine, or resume it", .takes = &vm_state_shape },
	{ "PUT", "actions", ALWAYS, NONE, put_action, "actions",
		.help = "start the machine, or have its guest power off or reset", .takes = &action_shape },
	{ "GET", "machine-config", ALWAYS, OBJECT_MACHINE, get_object, "machine_cfg",
		.help = "vCPUs and memory" },
	{ "PUT", "machine-config", BEFORE, OBJECT_MACHINE, put_object, "machine_cfg",
		.help = "set vCPUs and memory" },
	{ "PATCH", "machine-config", BEFORE, OBJECT_MACHINE, patch_object, "machine_cfg",
		.help = "change some of vCPUs and memory" },
	{ "PUT", "boot-source", BEFORE, OBJECT_BOOT_SOURCE, put_object, "boot_source",
		.help = "set kernel, initrd and command line" },
	{ "PUT", "cpu-config", BEFORE, OBJECT_CPU, put_object, "cpu_cfg",
		.help = "what the vCPUs are like: an empty one" },
	{ "PUT", "drives/*", BEFORE, OBJECT_DRIVE, put_object, "drive",
		.help = "set a disk" },
	{ "PATCH", "drives/*", AFTER, OBJECT_DRIVE, patch_drive, "drive",
		.help = "change a disk's rate, or its file", .takes = &drive_change_shape },
	{ "PUT", "network-interfaces/*", BEFORE, OBJECT_NET, put_object, "network",
		.help = "set a network interface" },
	{ "PATCH", "network-interfaces/*", AFTER, OBJECT_NET, patch_net, "network",
		.help = "change a network interface's rates", .takes = &net_change_shape },
	{ "PUT", "shares/*", BEFORE, OBJECT_SHARE, put_object, "share",
		.help = "set a directory of the host that the guest mounts" },
	{ "PUT", "vsock", BEFORE, OBJECT_VSOCK, put_object, "vsock",
		.help = "set streams between guest and host" },
	{ "PUT", "entropy", BEFORE, OBJECT_ENTROPY, put_object, "entropy",
		.help = "set a source of random bytes" },
	{ "PUT", "serial", BEFORE, OBJECT_SERIAL, put_object, "serial",
		.help = "set where the serial console goes" },
	{ "PUT", "logger", BEFORE, OBJECT_LOGGER, put_logger, "logger",
		.help = "set where messages go" },
	{ "PUT", "metrics", BEFORE, OBJECT_METRICS, put_metrics, "metrics",
		.help = "set where metrics go" },
	{ "GET", "metrics", ALWAYS, NONE, get_metrics, "",
		.help = "what has been counted, for Prometheus", .type = "text/plain" },
	{ "PUT", "mmds/config", BEFORE, OBJECT_MMDS, put_mmds_config, "mmds",
		.help = "set which interfaces have the metadata service" },
	{ "PUT", "mmds", ALWAYS, NONE, put_mmds, "mmds",
		.help = "set the guest's metadata" },
	{ "PATCH", "mmds", ALWAYS, NONE, patch_mmds, "mmds",
		.help = "merge into the guest's metadata (RFC 7396)" },
	{ "GET", "mmds", ALWAYS, NONE, get_mmds, "mmds",
		.help = "the guest's metadata", .gives = &anything_shape },
	{ "PUT", "balloon", BEFORE, OBJECT_BALLOON, put_object, "balloon",
		.help = "set a balloon" },
	{ "GET", "balloon", ALWAYS, OBJECT_BALLOON, get_object, "balloon",
		.help = "the balloon" },
	{ "PATCH", "balloon", AFTER, OBJECT_BALLOON, patch_balloon, "balloon",
		.help = "ask the guest for more memory, or for less", .takes = &balloon_change_shape },
	{ "GET", "balloon/statistics", AFTER, OBJECT_BALLOON, get_statistics, "balloon",
		.help = "how the guest's memory is used", .gives = &statistics_shape },
	{ "PATCH", "balloon/statistics", AFTER, OBJECT_BALLOON, patch_statistics, "balloon",
		.help = "set how often the guest is asked how its memory is used", .takes = &statistics_change_shape },
	{ "PATCH", "balloon/hinting/start", AFTER, NONE, start_hinting, "",
		.help = "have the guest hint at its free pages, which the host has back then",
		.takes = &hinting_start_shape, .body_is_optional = true },
	{ "PATCH", "balloon/hinting/stop", AFTER, NONE, stop_hinting, "",
		.help = "be done with its hints: it may use those pages again",
		.body_is_optional = true },
	{ "GET", "balloon/hinting/status", AFTER, NONE, get_hinting, "",
		.help = "how far its hints are", .gives = &hinting_shape },
	{ "PUT", "pmem/*", ALWAYS, NONE, refuse_unbuilt, "",
		.help = "set a persistent memory", .is_refused = true },
	{ "PATCH", "pmem/*", ALWAYS, NONE, refuse_unbuilt, "",
		.help = "change a persistent memory's rate", .is_refused = true },
	{ "DELETE", "pmem/*", ALWAYS, NONE, refuse_unbuilt, "",
		.help = "take a persistent memory away", .body_is_optional = true, .is_refused = true },
	{ "GET", "hotplug/memory", ALWAYS, NONE, refuse_unbuilt, "",
		.help = "memory that comes and goes", .is_refused = true },
	{ "PUT", "hotplug/memory", ALWAYS, NONE, refuse_unbuilt, "",
		.help = "set memory that comes and goes", .is_refused = true },
	{ "PATCH", "hotplug/memory", ALWAYS, NONE, refuse_unbuilt, "",
		.help = "ask for more memory that comes and goes, or for less", .is_refused = true },
	{ "PUT", "snapshot/create", AFTER, NONE, create_snapshot, "",
		.help = "save the machine, which goes on", .takes = &snapshot_create_shape },
	{ "PUT", "fork", AFTER, NONE, put_fork, "",
		.help = "have a copy of the machine ready in a process of its own, for others that begin with it",
		.takes = &fork_shape, .gives = &forked_shape },
	{ "PUT", "snapshot/load", BEFORE, NONE, load_snapshot, "",
		.help = "go on from where a machine was saved", .takes = &snapshot_load_shape },
};
/* clang-format on */

const size_t api_n_routes = ARRAY_SIZE(api_routes);

const char *route_counted(unsigned int i, const char **method)
{
	_Static_assert(ARRAY_SIZE(api_routes) <= API_MAX_ROUTES, "each is counted");

	if (i >= api_n_routes)
		return NULL;
	*method = api_routes[i].method;
	return api_routes[i].counted;
}

/* Whether the path is the route's; `id` has room for ROUTE_MAX_ID bytes and the NUL, and is empty
 * if the path has none.
 */
static bool matches(const char *pattern, const char *path, char id[ROUTE_MAX_ID + 1])
{
	*id = 0;
	while (*path == '/')
		path++;
	while (*pattern) {
		size_t have = strcspn(path, "/"), want = strcspn(pattern, "/");

		if (*pattern == '*') {
			if (!have || have > ROUTE_MAX_ID)
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

/* NULL, and diag: it is no JSON. */
static json_t *parse_body(const struct http_request *request, struct diag *diag)
{
	json_error_t error;
	json_t *body = json_loadb(
		request->body, request->size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (!body)
		diag_fail(diag, EINVAL, "%s at line %d column %d", error.text, error.line,
			error.column);
	return body;
}

/* The body, a new reference, by the route's shape if it has one; NULL, and diag, if it is not
 * right. Of one that may be left out there is what it stands for then.
 */
static json_t *read_body(
	const struct route *route, const struct http_request *request, struct diag *diag)
{
	json_t *in = request->size ? parse_body(request, diag) : json_object(), *body;

	if (!in || !route->takes)
		return in;
	body = shape_read(route->takes, in, diag);
	json_decref(in);
	return body;
}

static void serve(struct api *api, const struct route *route, const char *id,
	const struct http_request *request, struct http_answer *answer)
{
	const char *why = find_fault(api, route, id, request);
	struct call call = { api, answer, route->kind, *id ? id : NULL, NULL };
	struct diag diag = { "out of memory" };
	char text[sizeof(diag.text) + 80];

	if (why) {
		api_send_fault(answer, BAD, why);
		return;
	}
	call.body = read_body(route, request, &diag);
	if (!call.body) {
		snprintf(text, sizeof(text),
			"An error occurred when deserializing the json body of a request: %s.",
			diag.text);
		call_fault(&call, text);
		return;
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
	char id[ROUTE_MAX_ID + 1];

	note_request(request);
	for (size_t i = 0; i < api_n_routes; i++) {
		if (!is_method(request, api_routes[i].method) ||
			!matches(api_routes[i].path, request->path, id))
			continue;
		http_set_tag(answer, (unsigned int)i + 1);
		serve(ctx, &api_routes[i], id, request, answer);
		return;
	}
	refuse_route(request, answer);
}
