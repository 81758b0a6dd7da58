// SPDX-License-Identifier: MIT
/* route_devices.c - what is asked of devices while the machine runs */

#include "api/object_parts.h"
#include "api/route_parts.h"
#include "dev/table.h"

#include <stdio.h>
#include <string.h>

static void update(struct call *call, enum device_kind kind, int item, const char *text)
{
	struct link_message question = { .ask = LINK_UPDATE, .kind = kind, .item = (uint32_t)item };

	snprintf(question.text, sizeof(question.text), "%s", text);
	if (*text)
		call_ask_vmm(call, &question);
	else
		call_done(call);
}

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

/* Whether the body has no fields but these; false, said. */
static bool has_only(struct call *call, const char *const *fields)
{
	const json_t *value;
	const char *name;
	char text[160];

	json_object_foreach(call->body, name, value)
	{
		const char *const *field = fields;

		while (*field && strcmp(*field, name))
			field++;
		if (*field)
			continue;
		snprintf(text, sizeof(text),
			"An error occurred when deserializing the json body of a request: unknown "
			"field `%.40s`, or one that cannot change.",
			name);
		call_fault(call, text);
		return false;
	}
	return json_is_object(call->body) ||
	       (call_fault(call, "The body is not a JSON object."), false);
}

void patch_drive(struct call *call)
{
	static const char *const fields[] = { "drive_id", "rate_limiter", NULL };
	char text[LINK_TEXT];
	int index;
	json_t *limiter = json_object_get(call->body, "rate_limiter");

	if (!has_only(call, fields) || !find_item(call, &index))
		return;
	objects_rate_text(limiter, "", text, sizeof(text));
	update(call, DEVICE_disk, index, text);
}

void patch_net(struct call *call)
{
	static const char *const fields[] = { "iface_id", "rx_rate_limiter", "tx_rate_limiter",
		NULL };
	char rx[128], tx[128], text[260];
	int index;

	if (!has_only(call, fields) || !find_item(call, &index))
		return;
	objects_rate_text(json_object_get(call->body, "rx_rate_limiter"), "rx-", rx, sizeof(rx));
	objects_rate_text(json_object_get(call->body, "tx_rate_limiter"), "tx-", tx, sizeof(tx));
	snprintf(text, sizeof(text), "%s%s%s", rx, *rx && *tx ? "," : "", tx);
	update(call, DEVICE_net, index, text);
}

/* A whole number of a body with no other field; -1, said: it is none. */
static int64_t only_number(struct call *call, const char *field, int64_t max)
{
	const char *const fields[] = { field, NULL };
	const json_t *value = json_object_get(call->body, field);
	int64_t n = json_is_integer(value) ? json_integer_value(value) : -1;
	char text[160];

	if (!has_only(call, fields))
		return -1;
	if (n >= 0 && n <= max)
		return n;
	snprintf(text, sizeof(text),
		"An error occurred when deserializing the json body of a request: `%s` is missing, or "
		"not 0 to %lld.",
		field, (long long)max);
	call_fault(call, text);
	return -1;
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
	int64_t mib = only_number(call, "amount_mib", UINT32_MAX);
	const json_t *machine = call->api->objects.of[OBJECT_MACHINE];
	char text[64];

	if (mib < 0 || !has_balloon(call))
		return;
	if (mib > json_integer_value(json_object_get(machine, "mem_size_mib"))) {
		call_fault(call,
			"Balloon update error: The requested amount is more than the machine's memory.");
		return;
	}
	snprintf(text, sizeof(text), "size=%lldM", (long long)mib);
	json_object_set(call->api->objects.of[OBJECT_BALLOON], "amount_mib",
		json_object_get(call->body, "amount_mib"));
	update(call, DEVICE_balloon, 0, text);
}

void patch_statistics(struct call *call)
{
	static const char field[] = "stats_polling_interval_s";
	int64_t s = only_number(call, field, UINT16_MAX);
	json_t *balloon = call->api->objects.of[OBJECT_BALLOON];
	char text[64];

	if (s < 0 || !has_balloon(call))
		return;
	/* The VMM refuses to begin or to end with them. */
	if (s && json_integer_value(json_object_get(balloon, field)))
		json_object_set(balloon, field, json_object_get(call->body, field));
	snprintf(text, sizeof(text), "stats=%lld", (long long)s);
	update(call, DEVICE_balloon, 0, text);
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
		call_ask_vmm(call, &question);
}
