// SPDX-License-Identifier: MIT
/* evict.c - keep the cache within its size */

#include "image/evict.h"

#include "util/newfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A temporary file this old belongs to no process that still unpacks. */
#define TEMP_MAX_AGE_S 3600

struct candidate {
	char name[NAME_MAX + 1];
	struct timespec used;
	uint64_t size;
};

struct listing {
	struct candidate *candidate;
	size_t n;
	uint64_t total;
};

static bool is_entry(const char *name)
{
	const char *suffix = strrchr(name, '.');

	return suffix && !strcmp(suffix, EVICT_KERNEL) &&
	       strspn(name, "0123456789abcdef-.") >= (size_t)(suffix - name);
}

static void sweep_temp(int dir_fd, const char *name, const struct stat *st)
{
	if (!strncmp(name, NEWFILE_PREFIX, sizeof(NEWFILE_PREFIX) - 1) &&
		time(NULL) - st->st_mtime > TEMP_MAX_AGE_S)
		unlinkat(dir_fd, name, 0);
}

/* Without memory the rest goes unlisted: the cache may then stay too large for once. */
static void list_one(struct listing *listing, const char *name, const struct stat *st)
{
	struct candidate *grown;

	/* Powers of two: room for one more is there between them. */
	if (!(listing->n & (listing->n - 1))) {
		size_t room = listing->n ? 2 * listing->n : 1;

		grown = realloc(listing->candidate, room * sizeof(*grown));
		if (!grown)
			return;
		listing->candidate = grown;
	}
	grown = &listing->candidate[listing->n++];
	snprintf(grown->name, sizeof(grown->name), "%s", name);
	grown->used = st->st_atim;
	grown->size = (uint64_t)st->st_size;
	listing->total += grown->size;
}

static void list_entries(struct listing *listing, int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *dirent;
	struct stat st;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((dirent = readdir(dir))) {
		if (fstatat(dir_fd, dirent->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
			!S_ISREG(st.st_mode))
			continue;
		if (is_entry(dirent->d_name))
			list_one(listing, dirent->d_name, &st);
		else
			sweep_temp(dir_fd, dirent->d_name, &st);
	}
	closedir(dir);
}

static int compare_used(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

bool evict_make_room(int dir_fd, uint64_t size, uint64_t max_size)
{
	struct listing listing = { 0 };

	if (size > max_size)
		return false;
	list_entries(&listing, dir_fd);
	if (listing.n)
		qsort(listing.candidate, listing.n, sizeof(*listing.candidate), compare_used);
	for (size_t i = 0; i < listing.n && listing.total > max_size - size; i++) {
		if (!unlinkat(dir_fd, listing.candidate[i].name, 0))
			listing.total -= listing.candidate[i].size;
	}
	free(listing.candidate);
	return true;
}
