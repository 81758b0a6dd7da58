// SPDX-License-Identifier: MIT
/* snapshot_place.c - where a snapshot goes: two files that get their names when both are whole */

#include "vm/snapshot_place.h"

#include "util/error.h"
#include "util/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_PREFIX "memory-"

void snapshot_name_memory(char name[SNAPSHOT_MAX_NAME], const uint8_t id[STATE_ID_SIZE])
{
	char *to = stpcpy(name, MEMORY_PREFIX);

	for (size_t i = 0; i < STATE_ID_SIZE; i++)
		to += sprintf(to, "%02x", id[i]);
}

/* ---- it is opened ---- */

int snapshot_open_dir(const char *path, int *dir, char name[SNAPSHOT_MAX_NAME], struct diag *diag)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	char *parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

	if (!*last || strlen(last) >= SNAPSHOT_MAX_NAME) {
		free(parent);
		return diag_fail(diag, EINVAL, "%.200s: names no file", path);
	}
	*dir = parent ? open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	free(parent);
	if (*dir < 0)
		return diag_fail(diag, errno, "%.200s: cannot open its directory: %s", path,
			error_text(errno));
	memcpy(name, last, strlen(last) + 1);
	return 0;
}

/* A directory that has one snapshot, which is replaced. */
static int make_directory(struct snapshot_place *place, struct diag *diag)
{
	const char *path = place->path;
	struct stat st;

	if (!mkdir(path, 0700)) {
		place->is_made = true;
		return 0;
	}
	if (errno != EEXIST)
		return diag_fail(
			diag, errno, "%s: cannot make the directory: %s", path, error_text(errno));
	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return diag_fail(diag, ENOTDIR,
			"%s: is no directory; give one, or a file for the memory as well", path);
	return 0;
}

static int open_directory(struct snapshot_place *place, struct diag *diag)
{
	int ret = make_directory(place, diag);

	if (ret)
		return ret;
	place->state_dir = open(place->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	place->memory_dir = open(place->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place->state_dir < 0 || place->memory_dir < 0)
		return diag_fail(
			diag, errno, "%s: cannot open: %s", place->path, error_text(errno));
	memcpy(place->state_name, SNAPSHOT_STATE_FILE, sizeof(SNAPSHOT_STATE_FILE));
	place->is_beside = true;
	return 0;
}

static int open_directories(
	struct snapshot_place *place, const char *memory_path, struct diag *diag)
{
	char *state;
	int ret;

	if (!memory_path)
		return open_directory(place, diag);
	state = snapshot_state_path(place->path);
	if (!state)
		return diag_fail(diag, ENOMEM, "out of memory");
	ret = snapshot_open_dir(state, &place->state_dir, place->state_name, diag);
	free(state);
	return ret ? ret
	           : snapshot_open_dir(memory_path, &place->memory_dir, place->memory_name, diag);
}

static int make_files(struct snapshot_place *place, struct diag *diag)
{
	int ret = newfile_create(&place->memory, place->memory_dir, 0600, false);

	if (!ret)
		ret = newfile_create(&place->state, place->state_dir, 0600, false);
	return ret ? diag_fail(diag, -ret, "%s: cannot write there: %s", place->path,
			     error_text(-ret))
	           : 0;
}

int snapshot_place_open(
	struct snapshot_place *place, const char *path, const char *memory_path, struct diag *diag)
{
	int ret;

	*place = (struct snapshot_place){
		.path = strdup(path),
		.state_dir = -1,
		.memory_dir = -1,
		.state.fd = -1,
		.memory.fd = -1,
	};
	ret = place->path ? open_directories(place, memory_path, diag)
	                  : diag_fail(diag, ENOMEM, "out of memory");
	if (!ret)
		ret = make_files(place, diag);
	if (ret)
		snapshot_place_close(place);
	return ret;
}

/* ---- both files get their names ---- */

/* What the machine has written at the end of its memory. */
static int read_trailer(
	const struct snapshot_place *place, struct snapshot_trailer *trailer, struct diag *diag)
{
	off_t size = lseek(place->memory.fd, 0, SEEK_END);
	int ret = size < (off_t)sizeof(*trailer)
	                  ? -ENODATA
	                  : file_read_at(place->memory.fd, trailer, sizeof(*trailer),
				    (uint64_t)size - sizeof(*trailer));

	if (!ret && !snapshot_trailer_is_one(trailer))
		ret = -EBADMSG;
	return ret ? diag_fail(diag, -ret, "%s: the memory is not whole: %s", place->path,
			     error_text(-ret))
	           : 0;
}

/* Changes alone are worth nothing without what they are the changes of. */
static int check_base(const struct snapshot_place *place, const struct snapshot_trailer *trailer,
	struct diag *diag)
{
	char name[SNAPSHOT_MAX_NAME];
	struct stat st;

	if (snapshot_is_whole(trailer))
		return 0;
	snapshot_name_memory(name, trailer->base);
	if (fstatat(place->state_dir, name, &st, 0))
		return 0;
	return diag_fail(diag, EINVAL,
		"%s: has the snapshot that these would be the changes of: save them elsewhere",
		place->path);
}

/* The memory of snapshots that were there before: only the state names one. */
static void remove_others(const struct snapshot_place *place, int fd)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, MEMORY_PREFIX, strlen(MEMORY_PREFIX)) &&
			strcmp(entry->d_name, place->memory_name) != 0)
			unlinkat(fd, entry->d_name, 0);
	if (dir)
		closedir(dir);
	else
		close(fd);
}

/* The new names are on the disk before the old ones go. */
static void settle_names(const struct snapshot_place *place)
{
	int fd = openat(place->state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (!fsync(fd) && place->is_beside)
		remove_others(place, fd);
	else
		close(fd);
}

static int name_memory(struct snapshot_place *place)
{
	return place->is_beside ? newfile_link(&place->memory, place->memory_name)
	                        : newfile_replace(&place->memory, place->memory_name);
}

/* The state comes last: with it the snapshot is there. */
static int name_files(struct snapshot_place *place)
{
	int ret = name_memory(place);

	if (ret)
		return ret;
	ret = newfile_replace(&place->state, place->state_name);
	if (ret && place->is_beside)
		unlinkat(place->memory_dir, place->memory_name, 0);
	return ret;
}

int snapshot_place_settle(struct snapshot_place *place, struct diag *diag)
{
	struct snapshot_trailer trailer;
	int ret = read_trailer(place, &trailer, diag);

	if (!ret && place->is_beside) {
		ret = check_base(place, &trailer, diag);
		snapshot_name_memory(place->memory_name, trailer.id);
	}
	if (ret)
		return ret;
	ret = name_files(place);
	if (ret)
		return diag_fail(diag, -ret, "%s: the files cannot get their names: %s",
			place->path, error_text(-ret));
	place->is_made = false;
	settle_names(place);
	return 0;
}

void snapshot_place_descriptors(const struct snapshot_place *place, int fds[4])
{
	fds[0] = place->state_dir;
	fds[1] = place->memory_dir;
	fds[2] = place->state.fd;
	fds[3] = place->memory.fd;
}

void snapshot_place_leave(struct snapshot_place *place)
{
	close(place->state_dir);
	close(place->memory_dir);
	place->state_dir = place->memory_dir = -1;
	place->state.temp[0] = place->memory.temp[0] = 0;
	place->is_made = false;
}

static void close_file(struct newfile *file)
{
	if (file->fd >= 0)
		newfile_discard(file);
}

void snapshot_place_close(struct snapshot_place *place)
{
	if (!place->path)
		return;
	close_file(&place->memory);
	close_file(&place->state);
	if (place->memory_dir >= 0)
		close(place->memory_dir);
	if (place->state_dir >= 0)
		close(place->state_dir);
	if (place->is_made)
		rmdir(place->path);
	free(place->path);
	*place = (struct snapshot_place){ 0 };
}
