// SPDX-License-Identifier: MIT
/* snapshot.c - a snapshot's files, to be restored from */

#include "vm/snapshot.h"

#include "mem/guest_mem.h"
#include "util/error.h"
#include "util/file.h"
#include "vm/snapshot_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAT_BLOCK 512 /* bytes that stat(2) counts by */

/* ---- the state ---- */

char *snapshot_state_path(const char *path)
{
	struct stat st;
	char *name;

	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return strdup(path);
	return asprintf(&name, "%s/" SNAPSHOT_STATE_FILE, path) < 0 ? NULL : name;
}

static int read_state(struct snapshot *snapshot, const char *path, struct diag *diag)
{
	struct stat st;
	int fd = file_open_regular(path, &st, diag), ret;

	if (fd < 0)
		return fd;
	if (st.st_size > (off_t)STATE_MAX) {
		close(fd);
		return diag_fail(diag, EFBIG, "is larger than any state of a machine");
	}
	snapshot->size = (size_t)st.st_size;
	snapshot->data = malloc(snapshot->size);
	ret = snapshot->data ? file_read_at(fd, snapshot->data, snapshot->size, 0) : -ENOMEM;
	close(fd);
	if (ret)
		return diag_fail(diag, -ret, "cannot read: %s", error_text(-ret));
	return state_open(&snapshot->reader, snapshot->data, snapshot->size, diag);
}

bool snapshot_is_meant(const char *path)
{
	char magic[sizeof(STATE_MAGIC) - 1];
	struct diag diag;
	struct stat st;
	bool is_meant;
	int fd;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return true;
	fd = file_open_regular(path, &st, &diag);
	if (fd < 0)
		return false;
	is_meant = !file_read_at(fd, magic, sizeof(magic), 0) &&
	           !memcmp(magic, STATE_MAGIC, sizeof(magic));
	close(fd);
	return is_meant;
}

/* The two that say how large the others may be. */
static int load_first(struct snapshot *snapshot, struct diag *diag)
{
	struct state_reader *reader = &snapshot->reader;
	const struct snapshot_machine *machine = &snapshot->machine;
	int ret = state_load(reader, &snapshot_machine_state, 0, &snapshot->machine, diag);

	if (ret)
		return ret;
	if (machine->memory < CONFIG_MIN_MEMORY || machine->memory > CONFIG_MAX_MEMORY ||
		machine->memory % GUEST_MEM_PAGE || !machine->n_cpus ||
		machine->n_cpus > CONFIG_MAX_CPUS)
		return diag_fail(diag, EBADMSG, "is of no machine that there can be");
	snapshot->config = state_load_bytes(reader, "config", 0, &snapshot->config_size, diag);
	if (!snapshot->config)
		return -EBADMSG;
	if (state_has(reader, "note", 0))
		snapshot->note = state_load_bytes(reader, "note", 0, &snapshot->note_size, diag);
	return 0;
}

int snapshot_open_state(struct snapshot *snapshot, const char *path, struct diag *diag)
{
	char *state = snapshot_state_path(path);
	struct diag why;
	int ret;

	*snapshot = (struct snapshot){ .memory_fd = -1 };
	ret = state ? read_state(snapshot, state, &why) : diag_fail(&why, ENOMEM, "out of memory");
	if (!ret)
		ret = load_first(snapshot, &why);
	if (ret) {
		diag_fail(diag, -ret, "%s: %s", state ? state : path, why.text);
		snapshot_close(snapshot);
	}
	free(state);
	return ret;
}

int snapshot_take_state(struct snapshot *snapshot, uint8_t *data, size_t size, struct diag *diag)
{
	int ret;

	*snapshot = (struct snapshot){ .data = data, .size = size, .memory_fd = -1 };
	ret = state_open(&snapshot->reader, data, size, diag);
	if (!ret)
		ret = load_first(snapshot, diag);
	if (ret)
		snapshot_close(snapshot);
	return ret;
}

/* Of the whole machine two numbers stand twice: they are the same. */
int snapshot_load_config(
	const struct snapshot *snapshot, const char *path, struct config *config, struct diag *diag)
{
	int ret = config_parse_json(config, path, snapshot->config, snapshot->config_size, diag);

	if (ret)
		return ret;
	/* That is not for a stranger's file to say. */
	config->confine = CONFINE_DEFAULT;
	config_drop_jail(config);
	if (config->kernel && config->memory == snapshot->machine.memory &&
		config->cpus == snapshot->machine.n_cpus &&
		config_n_devices(config) == snapshot->machine.n_devices &&
		config_n_devices(config) <= PLATFORM_VIRTIO_SLOTS)
		return 0;
	return diag_fail(diag, EBADMSG, "%s: its settings are not the machine's", path);
}

void snapshot_close(struct snapshot *snapshot)
{
	state_close(&snapshot->reader);
	if (snapshot->memory_fd >= 0)
		close(snapshot->memory_fd);
	working_set_close(&snapshot->working_set);
	free(snapshot->memory_path);
	free(snapshot->data);
	*snapshot = (struct snapshot){ .memory_fd = -1 };
}

/* ---- the memory ---- */

/* Where the state says, which is a name and no path. */
static char *memory_beside(struct snapshot *snapshot, const char *path, struct diag *diag)
{
	char *state = snapshot_state_path(path), *slash = state ? strrchr(state, '/') : NULL, *at;
	size_t size;
	const char *name = state_load_bytes(&snapshot->reader, "memory", 0, &size, diag);

	if (name &&
		(!size || size > NAME_MAX || memchr(name, '/', size) || memchr(name, 0, size))) {
		diag_fail(diag, EBADMSG, "%s: does not say where its memory is", path);
		name = NULL;
	}
	if (!name || asprintf(&at, "%.*s%.*s", slash ? (int)(slash - state) + 1 : 0, state,
			     (int)size, name) < 0)
		at = NULL;
	free(state);
	return at;
}

/* It is of this state. */
static int read_trailer(
	const struct snapshot *snapshot, struct snapshot_trailer *trailer, struct diag *diag)
{
	uint64_t size = snapshot->machine.memory;
	int ret = file_read_at(snapshot->memory_fd, trailer, sizeof(*trailer), size);

	if (ret == -ENODATA)
		return diag_fail(diag, ENODATA, "is shorter than the machine's memory: it was cut");
	if (ret)
		return diag_fail(diag, -ret, "cannot read: %s", error_text(-ret));
	if (!snapshot_trailer_is_one(trailer) ||
		memcmp(trailer->id, snapshot->reader.id, STATE_ID_SIZE) != 0)
		return diag_fail(diag, EINVAL, "is the memory of another snapshot");
	return 0;
}

static int open_memory_at(struct snapshot *snapshot, const char *path,
	struct snapshot_trailer *trailer, struct diag *diag)
{
	struct diag why;
	struct stat st;
	int ret = snapshot->memory_fd = file_open_regular(path, &st, &why);

	snapshot->memory_path = strdup(path);
	if (!snapshot->memory_path)
		return diag_fail(diag, ENOMEM, "out of memory");
	if (ret >= 0)
		ret = read_trailer(snapshot, trailer, &why);
	return ret ? diag_fail(diag, -ret, "%s: %s", path, why.text) : 0;
}

char *snapshot_open_changes(struct snapshot *snapshot, const char *path,
	struct snapshot_trailer *trailer, struct diag *diag)
{
	char *memory = memory_beside(snapshot, path, diag);

	if (memory && open_memory_at(snapshot, memory, trailer, diag)) {
		free(memory);
		return NULL;
	}
	return memory;
}

int snapshot_look_at_memory(struct snapshot *snapshot, const char *path,
	struct snapshot_memory *memory, struct diag *diag)
{
	struct snapshot_trailer trailer;
	struct stat st;

	*memory = (struct snapshot_memory){ 0 };
	if (!state_has(&snapshot->reader, "memory", 0))
		return 0;
	memory->path = snapshot_open_changes(snapshot, path, &trailer, diag);
	if (!memory->path)
		return -EINVAL;
	if (fstat(snapshot->memory_fd, &st))
		return diag_fail(diag, errno, "%s: %s", memory->path, error_text(errno));
	memory->size = (uint64_t)st.st_size;
	memory->on_disk = (uint64_t)st.st_blocks * STAT_BLOCK;
	memory->is_whole = snapshot_is_whole(&trailer);
	memcpy(memory->base, trailer.base, sizeof(memory->base));
	return 0;
}

int snapshot_open_memory(
	struct snapshot *snapshot, const char *path, const char *memory_path, struct diag *diag)
{
	struct snapshot_trailer trailer;
	char *beside = state_has(&snapshot->reader, "memory", 0) || !memory_path
	                       ? memory_beside(snapshot, path, diag)
	                       : NULL;
	int ret;

	if (!beside && !memory_path)
		return -EBADMSG;
	memory_path = memory_path ? memory_path : beside;
	ret = open_memory_at(snapshot, memory_path, &trailer, diag);
	if (!ret && !snapshot_is_whole(&trailer))
		ret = diag_fail(diag, EINVAL,
			"%s: has only what had changed since another snapshot; `pronto merge` makes "
			"it whole",
			memory_path);
	free(beside);
	return ret;
}
