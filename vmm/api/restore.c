// SPDX-License-Identifier: MIT
/* restore.c - a machine that is to go on from a snapshot, as a client of the API asks for it */

#include "api/restore.h"

#include "api/object_parts.h"
#include "dev/table.h"

#include <errno.h>
#include <string.h>

#define MAX_PIECE (2 * 4096 + 32) /* bytes of a device's option with the longest text there is */

/* ---- the note ---- */

/* Where objects say what is a device. */
static const struct {
	enum object_kind object;
	enum device_kind device;
} same[] = {
	{ OBJECT_DRIVE, DEVICE_disk },
	{ OBJECT_NET, DEVICE_net },
	{ OBJECT_VSOCK, DEVICE_vsock },
	{ OBJECT_SHARE, DEVICE_share },
	{ OBJECT_BALLOON, DEVICE_balloon },
	{ OBJECT_ENTROPY, DEVICE_rng },
};

static size_t count_objects(const struct objects *objects, enum object_kind kind)
{
	return object_class[kind].id ? json_array_size(objects->of[kind]) : !!objects->of[kind];
}

/* Those of settings in Pronto's own JSON are no objects. */
static int check_note(const struct restore *restore, struct diag *diag)
{
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		size_t n = count_objects(&restore->objects, same[i].object);
		size_t n_devices = restore->config.devices[same[i].device].n;

		if (n && n != n_devices)
			return diag_fail(diag, EBADMSG,
				"its settings have %zu of `%s`, and its note %zu: it is damaged",
				n_devices, device_option[same[i].device], n);
	}
	return 0;
}

/* What a machine has is as its settings have it. */
static void note_machine(struct restore *restore, const json_t *body)
{
	json_t *machine = restore->objects.of[OBJECT_MACHINE];

	json_object_set_new(machine, "vcpu_count", json_integer(restore->config.cpus));
	json_object_set_new(
		machine, "mem_size_mib", json_integer((json_int_t)(restore->config.memory >> 20)));
	restore->config.track_dirty_pages = flag_of(body, "track_dirty_pages") ||
	                                    flag_of(body, "enable_diff_snapshots");
	json_object_set_new(
		machine, "track_dirty_pages", json_boolean(restore->config.track_dirty_pages));
}

static int read_note(struct restore *restore, struct diag *diag)
{
	const struct snapshot *snapshot = &restore->snapshot;
	json_error_t error;
	struct diag why;
	json_t *note;
	int ret;

	if (!snapshot->note)
		return diag_fail(diag, EINVAL,
			"it does not say how its machine was configured by an API, so no API can show it");
	note = json_loadb(snapshot->note, snapshot->note_size, JSON_REJECT_DUPLICATES, &error);
	if (!note)
		return diag_fail(
			diag, EBADMSG, "its note is not JSON: line %d: %s", error.line, error.text);
	ret = objects_put_saved(&restore->objects, note, &why);
	json_decref(note);
	return ret ? diag_fail(diag, -ret, "its note: %s", why.text) : check_note(restore, diag);
}

/* ---- what is not as it was ---- */

static int override_net(struct restore *restore, const json_t *override, struct diag *diag)
{
	const char *id = text_of(override, "iface_id"), *tap = text_of(override, "host_dev_name");
	char text[MAX_PIECE] = "";
	struct diag why;
	json_t *net;
	int index;

	net = objects_find(&restore->objects, OBJECT_NET, id, &index);
	if (!net)
		return diag_fail(diag, EINVAL,
			"network_overrides: the machine has no network interface `%.64s`", id);
	if (flag_of(net, "user"))
		return diag_fail(diag, EINVAL,
			"network_overrides: interface `%.64s` has passt behind it, and no tap", id);
	objects_add_piece(text, sizeof(text), "tap", tap);
	if (config_change_device(&restore->config, DEVICE_net, (size_t)index, text, &why))
		return diag_fail(diag, EINVAL, "network_overrides: `%.64s`: %s", id, why.text);
	return json_object_set(net, "host_dev_name", json_object_get(override, "host_dev_name"));
}

static int override_nets(struct restore *restore, const json_t *overrides, struct diag *diag)
{
	int ret = 0;

	for (size_t i = 0; i < json_array_size(overrides) && !ret; i++)
		ret = override_net(restore, json_array_get(overrides, i), diag);
	return ret;
}

static int override_vsock(struct restore *restore, const json_t *override, struct diag *diag)
{
	json_t *vsock = restore->objects.of[OBJECT_VSOCK];
	char text[MAX_PIECE] = "";
	struct diag why;

	if (!json_is_object(override))
		return 0;
	if (!restore->config.devices[DEVICE_vsock].n)
		return diag_fail(diag, EINVAL, "vsock_override: the machine has no vsock");
	objects_add_piece(text, sizeof(text), "path", text_of(override, "uds_path"));
	if (config_change_device(&restore->config, DEVICE_vsock, 0, text, &why))
		return diag_fail(diag, EINVAL, "vsock_override: %s", why.text);
	if (vsock)
		json_object_set(vsock, "uds_path", json_object_get(override, "uds_path"));
	return 0;
}

/* ---- */

/* By either of two names, or not at all for a snapshot that has it in its directory. */
static int choose_memory(struct restore *restore, const json_t *body, struct diag *diag)
{
	const json_t *backend = json_object_get(body, "mem_backend");
	const char *type = text_of(backend, "backend_type");
	const char *path = type ? text_of(backend, "backend_path") : text_of(body, "mem_file_path");
	bool is_served = type && !strcmp(type, "Uffd");
	struct config *config = &restore->config;

	if (!strcmp(text_of(body, "huge_pages"), "2M"))
		return diag_fail(diag, EOPNOTSUPP,
			"huge_pages: pages of 2M cannot be those of a %s; leave it out",
			is_served ? "handler" : "file");
	if (!path)
		return 0;
	if (!*path)
		return diag_fail(diag, EINVAL, "backend_path is empty");
	config->memory_from = is_served ? MEMORY_FROM_HANDLER : MEMORY_FROM_FILE;
	config->memory_path = strdup(path);
	return config->memory_path ? 0 : diag_fail(diag, ENOMEM, "out of memory");
}

static int read_all(
	struct restore *restore, const struct objects *now, const json_t *body, struct diag *diag)
{
	struct diag why;
	int ret = snapshot_load_config(&restore->snapshot, restore->path, &restore->config, diag);

	if (ret)
		return ret;
	objects_expect_exchange(&restore->config);
	ret = read_note(restore, &why);
	if (ret)
		return diag_fail(diag, -ret, "%s: %s", restore->path, why.text);
	note_machine(restore, body);
	ret = override_nets(restore, json_object_get(body, "network_overrides"), diag);
	if (!ret)
		ret = override_vsock(restore, json_object_get(body, "vsock_override"), diag);
	if (!ret && is_set(body, "working_set"))
		ret = config_read_working_set(&restore->config, text_of(body, "working_set"), diag);
	return ret ? ret : objects_serial_to_config(now, &restore->config, diag);
}

int restore_open(
	struct restore *restore, const struct objects *now, const json_t *body, struct diag *diag)
{
	int ret;

	*restore = (struct restore){
		.path = text_of(body, "snapshot_path"),
		.begins_paused = !flag_of(body, "resume_vm"),
	};
	ret = snapshot_open_state(&restore->snapshot, restore->path, diag);
	if (ret)
		return ret;
	config_init(&restore->config);
	objects_init(&restore->objects);
	ret = choose_memory(restore, body, diag);
	if (!ret)
		ret = read_all(restore, now, body, diag);
	restore->config.clock = flag_of(body, "clock_realtime") ? CLOCK_OF_HOST : CLOCK_STOOD;
	if (ret)
		restore_close(restore);
	return ret;
}

void restore_close(struct restore *restore)
{
	objects_fini(&restore->objects);
	config_fini(&restore->config);
	snapshot_close(&restore->snapshot);
}
