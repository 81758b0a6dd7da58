// SPDX-License-Identifier: MIT
/* route_devices.c - what is asked of devices while the machine runs */

#include "api/object_parts.h"
#include "api/route_parts.h"
#include "dev/table.h"

#include <stdio.h>
#include <string.h>

/* The item that the path names, and that the body may name again; NULL, said: there is none. */
static json_t *find_item(struct call *call, int *index)
{
	const struct object_class *class = &object_class[call->kind];
	const char *id = text_of(call->body, class->id);
	json_t *item = objects_find(&call->api->objects, call->kind, call->id, index);

	if (id && strcmp(id, call->id))
		call_fault(call, "The id from the path does not match the id from the body!");
	else if (!item)
		call_fault(call, "Device not found");
	else
		return item;
	return NULL;
}

/* What is to change of the item that the path names: a new reference; NULL, said. */
static json_t *read_change(struct call *call, json_t **item, int *index)
{
	struct diag diag;
	json_t *change;

	*item = find_item(call, index);
	if (!*item)
		return NULL;
	change = objects_read_change(call->kind, call->body, &diag);
	if (!change)
		call_fault(call, diag.text);
	return change;
}

/* The VMM is asked to, if there is something that it has to do. */
static void update(struct call *call, struct link_message *question, const struct link_files *files,
	enum device_kind kind, int index, json_t *object, json_t *change)
{
	question->ask = LINK_UPDATE;
	question->kind = kind;
	question->item = (uint32_t)index;
	if (question->text[0] || question->anew)
		call_ask_vmm_with(call, question, files, object, change);
	else
		call_done(call);
}

static void add_rates(char text[LINK_TEXT], const json_t *limiter, const char *prefix)
{
	char rates[160];
	size_t n = strlen(text);

	objects_rate_text(limiter, prefix, rates, sizeof(rates));
	if (*rates)
		snprintf(text + n, LINK_TEXT - n, "%s%s", n ? "," : "", rates);
}

/* Neither the VMM opens files nor this process.  False, said: it cannot be opened. */
static bool open_file(
	struct call *call, const json_t *drive, const char *path, struct link_files *files)
{
	struct diag diag;
	char text[sizeof(diag.text) + 32];

	files->n = 1;
	files->fd[0] = files_open_disk(&call->api->files, path, flag_of(drive, "is_read_only"),
		text_of(drive, "path_on_host"), &diag);
	if (files->fd[0] >= 0)
		return true;
	snprintf(text, sizeof(text), "Device update error: %s", diag.text);
	call_fault(call, text);
	return false;
}

static void change_drive(struct call *call, int index, json_t *drive, json_t *change)
{
	struct link_message question = { .text = "" };
	struct link_files files = { .n = 0 };
	const char *path = text_of(change, "path_on_host");

	objects_add_piece(question.text, sizeof(question.text), "path", path);
	add_rates(question.text, json_object_get(change, "rate_limiter"), "");
	question.anew = path || is_set(drive, "socket");
	if (!path || !*path || open_file(call, drive, path, &files))
		update(call, &question, &files, DEVICE_disk, index, drive, change);
	link_close_files(&files);
}

/* Of a disk that another process serves nothing can be said; it is asked what disk it has now.  To
 * ask that of another is a mistake, and told as Firecracker tells it.
 */
void patch_drive(struct call *call)
{
	json_t *drive, *change;
	int index;

	change = read_change(call, &drive, &index);
	if (!change)
		return;
	if (is_set(drive, "socket") || is_set(change, "path_on_host") ||
		is_set(change, "rate_limiter"))
		change_drive(call, index, drive, change);
	else
		call_fault(call,
			"Unable to patch the block device: Running method expected different "
			"backend. Give `path_on_host` or `rate_limiter`.");
	json_decref(change);
}

void patch_net(struct call *call)
{
	struct link_message question = { .text = "" };
	json_t *net, *change;
	int index;

	change = read_change(call, &net, &index);
	if (!change)
		return;
	add_rates(question.text, json_object_get(change, "rx_rate_limiter"), "rx-");
	add_rates(question.text, json_object_get(change, "tx_rate_limiter"), "tx-");
	update(call, &question, NULL, DEVICE_net, index, net, change);
	json_decref(change);
}

static bool has_balloon(struct call *call)
{
	if (call->api->objects.of[OBJECT_BALLOON])
		return true;
	call_fault(call, "No balloon device found.");
	return false;
}

void patch_balloon(struct call *call)
{
	uint64_t mib = number_of(call->body, "amount_mib");
	const json_t *machine = call->api->objects.of[OBJECT_MACHINE];
	struct link_message question = { .text = "" };

	if (!has_balloon(call))
		return;
	if (mib > number_of(machine, "mem_size_mib")) {
		call_fault(call,
			"Balloon update error: The requested amount is more than the machine's memory.");
		return;
	}
	snprintf(question.text, sizeof(question.text), "size=%lluM", (unsigned long long)mib);
	update(call, &question, NULL, DEVICE_balloon, 0, call->api->objects.of[OBJECT_BALLOON],
		call->body);
}

void patch_statistics(struct call *call)
{
	static const char field[] = "stats_polling_interval_s";
	uint64_t s = number_of(call->body, field);
	struct link_message question = { .text = "" };

	if (!has_balloon(call))
		return;
	snprintf(question.text, sizeof(question.text), "stats=%llu", (unsigned long long)s);
	update(call, &question, NULL, DEVICE_balloon, 0, call->api->objects.of[OBJECT_BALLOON],
		call->body);
}

static void command_balloon(struct call *call, const char *what)
{
	struct link_message question = { .ask = LINK_COMMAND, .kind = DEVICE_balloon };

	if (!has_balloon(call))
		return;
	snprintf(question.text, sizeof(question.text), "%s", what);
	call_ask_vmm(call, &question, NULL, NULL);
}

void start_hinting(struct call *call)
{
	command_balloon(call, flag_of(call->body, "acknowledge_on_stop")
				      ? BALLOON_HINTS_START
				      : BALLOON_HINTS_START_KEEPING);
}

void stop_hinting(struct call *call)
{
	command_balloon(call, BALLOON_HINTS_STOP);
}

void get_hinting(struct call *call)
{
	command_balloon(call, BALLOON_HINTS_STATUS);
}

void get_statistics(struct call *call)
{
	const struct link_message question = { .ask = LINK_STATS, .kind = DEVICE_balloon };
	const json_t *balloon = call->api->objects.of[OBJECT_BALLOON];

	if (!has_balloon(call))
		return;
	if (!json_integer_value(json_object_get(balloon, "stats_polling_interval_s")))
		call_fault(call, "Statistics for the balloon device are not enabled");
	else
		call_ask_vmm(call, &question, NULL, NULL);
}
