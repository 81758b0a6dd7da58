// SPDX-License-Identifier: MIT
/* route_snapshot.c - a machine's snapshots, and its forks */

#include "api/object_parts.h"
#include "api/route_parts.h"

#include "util/timeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the making of one ---- */

/* Without what is null, and so as good as left out: the link's texts are short. */
static void leave_out_nulls(json_t *json)
{
	json_t *value;
	const char *key;
	size_t i;
	void *next;

	json_array_foreach(json, i, value) leave_out_nulls(value);
	json_object_foreach_safe(json, next, key, value)
	{
		if (json_is_null(value))
			json_object_del(json, key);
		else
			leave_out_nulls(value);
	}
}

/* What is kept with it is how the machine is shown, by which a client of the copy knows it. */
static char *describe(const struct call *call, bool is_beside)
{
	json_t *shown = objects_show(&call->api->objects), *note = json_deep_copy(shown);
	json_t *json = json_pack("{s:b, s:o}", "beside", is_beside, "note", note);
	char *text;

	leave_out_nulls(note);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(shown);
	json_decref(json);
	return text;
}

/* The text is used up.  False: it is none, or there is no room for it. */
static bool take_text(struct link_message *question, char *text)
{
	bool has_room = text && strlen(text) < sizeof(question->text);

	if (has_room)
		memcpy(question->text, text, strlen(text) + 1);
	free(text);
	return has_room;
}

static int open_place(
	struct call *call, struct link_files *files, bool *is_beside, struct diag *diag)
{
	int ret;

	if (call->api->is_saving)
		return diag_fail(diag, EBUSY, "a snapshot is being made: wait for it");
	ret = files_open_snapshot(&call->api->files, text_of(call->body, "snapshot_path"),
		text_of(call->body, "mem_file_path"), files, is_beside, diag);
	call->api->is_saving = !ret;
	return ret;
}

static void snapshot_failed(struct call *call, const char *why)
{
	char text[sizeof(((struct diag *)NULL)->text) + 32];

	snprintf(text, sizeof(text), "Create snapshot error: %s", why);
	call_fault(call, text);
}

void create_snapshot(struct call *call)
{
	struct link_message question = { .ask = LINK_SNAPSHOT };
	const char *type = text_of(call->body, "snapshot_type");
	struct link_files files = { .n = 0 };
	bool is_beside, is_asked = false;
	struct diag diag;

	question.anew = type && !strcmp(type, "Diff");
	if (open_place(call, &files, &is_beside, &diag)) {
		snapshot_failed(call, diag.text);
		return;
	}
	if (!take_text(&question, describe(call, is_beside)))
		snapshot_failed(call, "what is to be kept with it is too long.");
	else
		is_asked = call_ask_vmm_with(call, &question, &files, NULL, NULL);
	link_close_files(&files);
	if (!is_asked)
		vmm_drop_snapshot(call->api);
}

/* ---- a copy without files ---- */

void put_fork(struct call *call)
{
	struct link_message question = { .ask = LINK_FORK };
	json_t *json = json_pack("{s:s, s:b}", "path", text_of(call->body, "socket_path"), "once",
		flag_of(call->body, "once"));
	bool has_room = take_text(&question, json_dumps(json, JSON_COMPACT));

	json_decref(json);
	if (has_room)
		call_ask_vmm(call, &question, NULL, NULL);
	else
		call_fault(call, "Fork error: the socket's path is too long.");
}

/* ---- and the start from one ---- */

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* What is wrong with the body as such; NULL: nothing. */
static const char *find_fault(const json_t *body)
{
	bool has_backend = is_set(body, "mem_backend"), has_path = is_set(body, "mem_file_path");

	if (has_backend && has_path)
		return "too many fields: either `mem_backend` or `mem_file_path` exclusively is required";
	if (!has_backend && !has_path && !is_directory(text_of(body, "snapshot_path")))
		return "missing field: either `mem_backend` or `mem_file_path` is required";
	return NULL;
}

static void load_failed(struct call *call, const struct diag *why)
{
	char text[sizeof(why->text) + 32];

	snprintf(text, sizeof(text), "Load snapshot error: %s", why->text);
	call_fault(call, text);
	api_restore_failed(call->api);
}

void load_snapshot(struct call *call)
{
	struct api *api = call->api;
	const char *fault = find_fault(call->body);
	uint64_t since_ns = timeline_now();
	struct restore restore;
	struct diag diag;
	char text[160];

	if (fault) {
		snprintf(text, sizeof(text),
			"An error occurred when deserializing the json body of a request: %s.",
			fault);
		call_fault(call, text);
		return;
	}
	if (api->objects.has_begun || api->objects.native) {
		call_fault(call,
			"Load snapshot error: Loading a microVM snapshot not allowed after configuring "
			"boot-specific resources.");
		return;
	}
	if (restore_open(&restore, &api->objects, call->body, &diag)) {
		load_failed(call, &diag);
		return;
	}
	if (vmm_restore(api, &restore, since_ns, call->answer, &diag))
		load_failed(call, &diag);
	restore_close(&restore);
}
