// SPDX-License-Identifier: MIT
/* route_snapshot.c - a machine's snapshots */

#include "api/object_parts.h"
#include "api/route_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is kept with it is how the machine is shown, by which a client of the copy knows it. */
static char *describe(const struct call *call, bool only_changed)
{
	json_t *json = json_pack("{s:b, s:s, s:s*, s:o}", "only_changed", only_changed, "path", text_of(call->body, "snapshot_path"),
		"memory", text_of(call->body, "mem_file_path"), "note",
		objects_show(&call->api->objects));
	char *note = json_dumps(json_object_get(json, "note"), JSON_COMPACT), *text = NULL;

	if (note && !json_object_set_new(json, "note", json_string(note)))
		text = json_dumps(json, JSON_COMPACT);
	free(note);
	json_decref(json);
	return text;
}

void create_snapshot(struct call *call)
{
	struct link_message question = { .ask = LINK_SNAPSHOT };
	const char *type = text_of(call->body, "snapshot_type");
	char *text;

	text = describe(call, type && !strcmp(type, "Diff"));
	if (!text || strlen(text) >= sizeof(question.text)) {
		call_fault(call, "Create snapshot error: what is to be kept with it is too long.");
	} else {
		strcpy(question.text, text);
		call_ask_vmm(call, &question, NULL, NULL);
	}
	free(text);
}
