// SPDX-License-Identifier: MIT
/* objects.c - Firecracker's objects, and what they are in Pronto's words */

#include "api/objects.h"

#include "api/object_parts.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the objects ---- */

static json_t *usual_machine(void)
{
	json_t *machine = json_pack("{s:i, s:i, s:b, s:b, s:s}", "vcpu_count", 1, "mem_size_mib",
		128, "smt", 0, "track_dirty_pages", 0, "huge_pages", "None");

	BUG_ON(!machine);
	return machine;
}

void objects_init(struct objects *objects)
{
	*objects = (struct objects){ 0 };
	objects->of[OBJECT_MACHINE] = usual_machine();
}

void objects_fini(struct objects *objects)
{
	for (unsigned int kind = 0; kind < N_OBJECT_KINDS; kind++)
		json_decref(objects->of[kind]);
	free(objects->native);
}

json_t *objects_find(
	const struct objects *objects, enum object_kind kind, const char *id, int *index)
{
	json_t *item;
	size_t i;

	json_array_foreach(objects->of[kind], i, item)
	{
		const char *name = text_of(item, object_class[kind].id);

		if (strcmp(name, id))
			continue;
		*index = (int)i;
		return item;
	}
	*index = -1;
	return NULL;
}

/* Whether it goes together with the other items of its list, but for the one of its own id. */
static int check_among(const struct objects *objects, enum object_kind kind, const json_t *object,
	struct diag *diag)
{
	const char *id = object_class[kind].id, *mac = text_of(object, "guest_mac");
	json_t *other;
	size_t i;

	json_array_foreach(objects->of[kind], i, other)
	{
		const char *theirs = text_of(other, "guest_mac");

		if (!strcmp(text_of(other, id), text_of(object, id)))
			continue;
		if (flag_of(other, "is_root_device") && flag_of(object, "is_root_device"))
			return diag_fail(diag, EINVAL, "A root block device already exists!");
		if (mac && theirs && !strcasecmp(mac, theirs))
			return diag_fail(
				diag, EINVAL, "The MAC address is already in use: %s", mac);
	}
	return 0;
}

/* The root device is the first disk, as guests expect. */
static void put_item(struct objects *objects, enum object_kind kind, json_t *object)
{
	json_t **list = &objects->of[kind];
	int index;

	if (!*list)
		*list = json_array();
	if (objects_find(objects, kind, text_of(object, object_class[kind].id), &index))
		json_array_remove(*list, (size_t)index);
	if (flag_of(object, "is_root_device"))
		index = 0;
	if (index < 0)
		json_array_append_new(*list, object);
	else
		json_array_insert_new(*list, (size_t)index, object);
}

/* Takes the reference. */
static int put(struct objects *objects, enum object_kind kind, json_t *object, struct diag *diag)
{
	const struct object_class *class = &object_class[kind];
	struct diag why;
	int ret = class->check ? class->check(object, &why) : 0;

	if (!ret && class->id)
		ret = check_among(objects, kind, object, &why);
	if (ret) {
		json_decref(object);
		return diag_fail(diag, -ret, "%s: %s", class->what, why.text);
	}
	objects->has_begun |= class->is_of_machine;
	if (class->id) {
		put_item(objects, kind, object);
	} else {
		json_decref(objects->of[kind]);
		objects->of[kind] = object;
	}
	return 0;
}

static int refuse_json(const struct diag *why, struct diag *diag)
{
	return diag_fail(diag, EINVAL,
		"An error occurred when deserializing the json body of a request: %s.", why->text);
}

int objects_put(struct objects *objects, enum object_kind kind, const json_t *in, struct diag *diag)
{
	struct diag why;
	json_t *object = shape_read(object_class[kind].shape, in, &why);

	return object ? put(objects, kind, object, diag) : refuse_json(&why, diag);
}

/* Every field may be left out of what changes an object, so none is required. */
json_t *objects_read_change(enum object_kind kind, const json_t *in, struct diag *diag)
{
	const struct shape *shape = object_class[kind].shape;
	struct field fields[16];
	const struct shape partial = { shape->name, fields, shape->n, shape->lax };
	struct diag why;
	json_t *change;

	BUG_ON(shape->n > ARRAY_SIZE(fields));
	memcpy(fields, shape->fields, shape->n * sizeof(*fields));
	for (size_t i = 0; i < shape->n; i++)
		fields[i].required = false;
	change = shape_read_partial(&partial, in, &why);
	if (!change)
		refuse_json(&why, diag);
	return change;
}

int objects_patch(
	struct objects *objects, enum object_kind kind, const json_t *in, struct diag *diag)
{
	json_t *change = objects_read_change(kind, in, diag), *object;

	if (!change)
		return -EINVAL;
	object = json_copy(objects->of[kind]);
	json_object_update(object, change);
	json_decref(change);
	return put(objects, kind, object, diag);
}

/* A bucket without a size, or that is never refilled, is none. */
static json_t *bucket_now(const json_t *bucket)
{
	json_t *now;

	if (!number_of(bucket, "size") || !number_of(bucket, "refill_time"))
		return json_null();
	now = json_pack("{s:n}", "one_time_burst");
	json_object_update(now, (json_t *)bucket);
	return now;
}

static void note_limiter(json_t *object, const char *field, const json_t *change)
{
	json_t *limiter = json_object_get(object, field), *bucket;
	const char *name;

	if (!json_is_object(limiter)) {
		limiter = json_pack("{s:n, s:n}", "bandwidth", "ops");
		json_object_set_new(object, field, limiter);
	}
	json_object_foreach((json_t *)change, name, bucket)
		json_object_set_new(limiter, name, bucket_now(bucket));
}

void objects_note_change(json_t *object, const json_t *change)
{
	json_t *value;
	const char *name;

	json_object_foreach((json_t *)change, name, value)
	{
		if (json_is_object(value))
			note_limiter(object, name, value);
		else
			json_object_set(object, name, value);
	}
}

json_t *objects_show(const struct objects *objects)
{
	json_t *all = json_object();

	for (unsigned int kind = 0; kind < N_OBJECT_KINDS; kind++) {
		const struct object_class *class = &object_class[kind];

		if (!class->key)
			continue;
		if (objects->of[kind])
			json_object_set(all, class->key, objects->of[kind]);
		else
			json_object_set_new(
				all, class->key, class->id ? json_array() : json_null());
	}
	return all;
}

/* ---- all at once ---- */

static int put_list(
	struct objects *objects, enum object_kind kind, const json_t *list, struct diag *diag)
{
	json_t *item;
	size_t i;
	int ret = 0;

	if (!json_is_array(list))
		return diag_fail(
			diag, EINVAL, "`%s` is not an array of objects", object_class[kind].key);
	json_array_foreach((json_t *)list, i, item)
	{
		if (!ret)
			ret = objects_put(objects, kind, item, diag);
	}
	return ret;
}

static int put_kind(
	struct objects *objects, enum object_kind kind, const json_t *value, struct diag *diag)
{
	if (json_is_null(value))
		return 0;
	return object_class[kind].id ? put_list(objects, kind, value, diag)
	                             : objects_put(objects, kind, value, diag);
}

/* -EINVAL and diag: there is none. */
static int find_kind(const char *key, struct diag *diag)
{
	for (int kind = 0; kind < N_OBJECT_KINDS; kind++)
		if (object_class[kind].key && !strcmp(object_class[kind].key, key))
			return kind;
	return diag_fail(diag, EINVAL, "unknown field `%.40s`", key);
}

int objects_put_all(struct objects *objects, const json_t *in, struct diag *diag)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)in, key, value)
	{
		int kind = find_kind(key, diag);
		int ret = kind < 0 ? kind : put_kind(objects, (enum object_kind)kind, value, diag);

		if (ret)
			return ret;
	}
	if (!objects->of[OBJECT_BOOT_SOURCE])
		return diag_fail(diag, EINVAL, "missing field `boot-source`");
	return 0;
}

/* ---- of a machine that goes on ---- */

/* Its kernel was needed once. */
static int put_saved_boot(struct objects *objects, const json_t *in, struct diag *diag)
{
	struct diag why;
	json_t *boot;

	if (json_is_null(in))
		return 0;
	boot = shape_read(object_class[OBJECT_BOOT_SOURCE].shape, in, &why);
	if (!boot)
		return refuse_json(&why, diag);
	objects->of[OBJECT_BOOT_SOURCE] = boot;
	return 0;
}

int objects_put_saved(struct objects *objects, const json_t *in, struct diag *diag)
{
	const char *key;
	json_t *value;

	if (!json_is_object(in))
		return diag_fail(diag, EINVAL, "it is not a JSON object");
	json_object_foreach((json_t *)in, key, value)
	{
		int kind = find_kind(key, diag), ret = 0;

		if (kind < 0)
			return kind;
		if (kind == OBJECT_BOOT_SOURCE)
			ret = put_saved_boot(objects, value, diag);
		else if (object_class[kind].is_of_machine)
			ret = put_kind(objects, (enum object_kind)kind, value, diag);
		if (ret)
			return ret;
	}
	return 0;
}

void objects_take_machine(struct objects *to, struct objects *from)
{
	for (unsigned int kind = 0; kind < N_OBJECT_KINDS; kind++) {
		if (!object_class[kind].is_of_machine)
			continue;
		json_decref(to->of[kind]);
		to->of[kind] = from->of[kind];
		from->of[kind] = NULL;
	}
	to->has_begun = true;
}

void objects_forget_machine(struct objects *objects)
{
	struct objects none = { .of[OBJECT_MACHINE] = usual_machine() };

	objects_take_machine(objects, &none);
	objects->has_begun = false;
}

/* ---- in Pronto's words ---- */

#define RATE_TEXT 64

static uint64_t at_most(uint64_t n, uint64_t most)
{
	return n < most ? n : most;
}

/* A bucket as a setting has it; false: it has no size or is never refilled, and so limits nothing.
 */
static bool bucket_text(const json_t *bucket, char text[RATE_TEXT])
{
	uint64_t size = number_of(bucket, "size"), ms = number_of(bucket, "refill_time");

	snprintf(text, RATE_TEXT, "%llu/%llums+%llu", (unsigned long long)at_most(size, RATE_MAX),
		(unsigned long long)at_most(ms, RATE_MAX_PERIOD),
		(unsigned long long)at_most(number_of(bucket, "one_time_burst"), RATE_MAX));
	return size && ms;
}

void objects_add_piece(char *text, size_t size, const char *key, const char *value)
{
	size_t n = strlen(text);

	if (!value)
		return;
	n += (size_t)snprintf(text + n, size - n, "%s%s=", n ? "," : "", key);
	for (; *value && n + 2 < size; value++) {
		text[n++] = *value;
		if (*value == ',')
			text[n++] = ',';
	}
	text[n] = 0;
}

void objects_rate_text(const json_t *limiter, const char *prefix, char *text, size_t size)
{
	static const char *const names[][2] = { { "bandwidth", "rate" }, { "ops", "ops" } };
	size_t n = 0;

	*text = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names) && n < size; i++) {
		const json_t *bucket = json_object_get(limiter, names[i][0]);
		char rate[RATE_TEXT];

		if (!json_is_object(bucket))
			continue;
		n += (size_t)snprintf(text + n, size - n, "%s%s%s=%s", n ? "," : "", prefix,
			names[i][1], bucket_text(bucket, rate) ? rate : "0");
	}
}

/* Members of a limiter that limits, in an item's JSON. */
static void add_rate(json_t *item, const json_t *limiter, const char *bytes, const char *ops)
{
	char rate[RATE_TEXT];

	if (bucket_text(json_object_get(limiter, "bandwidth"), rate))
		json_object_set_new(item, bytes, json_string(rate));
	if (bucket_text(json_object_get(limiter, "ops"), rate))
		json_object_set_new(item, ops, json_string(rate));
}

/* The field by another name, if it is set. */
static void add_as(json_t *item, const char *as, const json_t *object, const char *field)
{
	if (is_set(object, field))
		json_object_set(item, as, json_object_get(object, field));
}

static json_t *disk_of(const json_t *drive)
{
	const char *engine = text_of(drive, "io_engine");
	json_t *disk = json_object();

	add_as(disk, "path", drive, "path_on_host");
	add_as(disk, "vhost-user", drive, "socket");
	if (flag_of(drive, "is_read_only"))
		json_object_set_new(disk, "ro", json_true());
	if (engine && !strcmp(engine, "Sync"))
		json_object_set_new(disk, "engine", json_string("sync"));
	add_rate(disk, json_object_get(drive, "rate_limiter"), "rate", "ops");
	return disk;
}

static json_t *interface_of(const json_t *net)
{
	json_t *item = json_object();

	add_as(item, "tap", net, "host_dev_name");
	add_as(item, "user", net, "user");
	add_as(item, "hostfwd", net, "hostfwd");
	add_as(item, "mac", net, "guest_mac");
	add_as(item, "mtu", net, "mtu");
	add_rate(item, json_object_get(net, "rx_rate_limiter"), "rx-rate", "rx-ops");
	add_rate(item, json_object_get(net, "tx_rate_limiter"), "tx-rate", "tx-ops");
	return item;
}

static json_t *share_of(const json_t *share)
{
	json_t *item = json_pack("{s:O, s:O}", "dir", json_object_get(share, "path_on_host"), "tag",
		json_object_get(share, "share_id"));

	if (flag_of(share, "is_read_only"))
		json_object_set_new(item, "ro", json_true());
	return item;
}

static json_t *source_of(const json_t *entropy)
{
	json_t *item = json_object();

	add_rate(item, json_object_get(entropy, "rate_limiter"), "rate", "ops");
	return item;
}

static void add_list(json_t *settings, const char *key, const json_t *list,
	json_t *(*translate)(const json_t *object))
{
	json_t *items = json_array(), *object;
	size_t i;

	json_array_foreach((json_t *)list, i, object)
		json_array_append_new(items, translate(object));
	if (json_array_size(items))
		json_object_set_new(settings, key, items);
	else
		json_decref(items);
}

static void add_serial(json_t *settings, const json_t *serial)
{
	const char *output = text_of(serial, "serial_out_path");
	char rate[RATE_TEXT];

	if (output)
		json_object_set_new(settings, "console", json_sprintf("file:%s", output));
	if (bucket_text(json_object_get(serial, "rate_limiter"), rate))
		json_object_set_new(settings, "console-rate", json_string(rate));
}

static void add_singles(json_t *settings, const struct objects *objects)
{
	const json_t *vsock = objects->of[OBJECT_VSOCK];
	const json_t *balloon = objects->of[OBJECT_BALLOON];
	const json_t *entropy = objects->of[OBJECT_ENTROPY];

	if (vsock)
		json_object_set_new(settings, "vsock",
			json_pack("{s:O, s:O}", "path", json_object_get(vsock, "uds_path"), "cid",
				json_object_get(vsock, "guest_cid")));
	if (balloon)
		json_object_set_new(settings, "balloon",
			json_pack("{s:I, s:O, s:O, s:O}", "size",
				(json_int_t)number_of(balloon, "amount_mib") << 20, "reporting",
				json_object_get(balloon, "free_page_reporting"), "hinting",
				json_object_get(balloon, "free_page_hinting"), "stats",
				json_object_get(balloon, "stats_polling_interval_s")));
	if (entropy)
		json_object_set_new(settings, "rng", source_of(entropy));
	add_serial(settings, objects->of[OBJECT_SERIAL]);
}

/* Firecracker's default, but for what is not so here: its keyboard controller is asked for a reset
 * without being looked for.
 */
#define DEFAULT_ARGS \
	"reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd"

static void add_boot(json_t *settings, const struct objects *objects)
{
	const json_t *boot = objects->of[OBJECT_BOOT_SOURCE];
	const json_t *root = json_array_get(objects->of[OBJECT_DRIVE], 0);
	const char *args = text_of(boot, "boot_args"), *uuid = text_of(root, "partuuid");

	json_object_set(settings, "kernel", json_object_get(boot, "kernel_image_path"));
	add_as(settings, "initrd", boot, "initrd_path");
	if (!args)
		args = DEFAULT_ARGS;
	if (root && flag_of(root, "is_root_device"))
		json_object_set_new(settings, "cmdline",
			json_sprintf("%s root=%s%s %s", args, uuid ? "PARTUUID=" : "/dev/vda",
				uuid ? uuid : "", flag_of(root, "is_read_only") ? "ro" : "rw"));
	else
		json_object_set_new(settings, "cmdline", json_string(args));
}

static void add_machine(json_t *settings, const json_t *machine)
{
	json_object_set(settings, "cpus", json_object_get(machine, "vcpu_count"));
	json_object_set_new(settings, "memory",
		json_integer((json_int_t)number_of(machine, "mem_size_mib") << 20));
	json_object_set(
		settings, "track-dirty-pages", json_object_get(machine, "track_dirty_pages"));
}

void objects_expect_exchange(struct config *config)
{
	const struct setting_list *disks = &config->devices[DEVICE_disk];
	struct blk_options *disk = disks->items;

	for (size_t i = 0; i < disks->n; i++)
		disk[i].may_be_empty = true;
}

/* Takes the settings. */
static int apply_settings(json_t *settings, struct config *config, struct diag *diag)
{
	char *text = json_dumps(settings, JSON_COMPACT);
	int ret;

	json_decref(settings);
	if (!text)
		return diag_fail(diag, ENOMEM, "out of memory");
	ret = config_parse_json(config, "the objects", text, strlen(text), diag);
	free(text);
	return ret;
}

int objects_serial_to_config(
	const struct objects *objects, struct config *config, struct diag *diag)
{
	json_t *settings = json_object();

	add_serial(settings, objects->of[OBJECT_SERIAL]);
	return apply_settings(settings, config, diag);
}

int objects_to_config(const struct objects *objects, struct config *config, struct diag *diag)
{
	json_t *settings = json_object();
	int ret = 0;

	if (objects->of[OBJECT_BOOT_SOURCE]) {
		add_boot(settings, objects);
		add_machine(settings, objects->of[OBJECT_MACHINE]);
	}
	add_list(settings, "disk", objects->of[OBJECT_DRIVE], disk_of);
	add_list(settings, "net", objects->of[OBJECT_NET], interface_of);
	add_list(settings, "share", objects->of[OBJECT_SHARE], share_of);
	add_singles(settings, objects);
	if (objects->native)
		ret = config_parse_json(
			config, "the configuration", objects->native, objects->native_size, diag);
	if (ret)
		json_decref(settings);
	else
		ret = apply_settings(settings, config, diag);
	objects_expect_exchange(config);
	return ret ? ret : config_complete(config, diag);
}
