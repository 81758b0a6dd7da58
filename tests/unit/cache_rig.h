/* SPDX-License-Identifier: MIT */
/* cache_rig.h - a cache of its own for each test */
#ifndef TEST_CACHE_RIG_H
#define TEST_CACHE_RIG_H

#include "image/image.h"
#include "kernels.h"

#include <dirent.h>

static inline const char *cache_dir(void)
{
	return kernels_path("xdg/pronto");
}

/* Names in the cache, and the last one's path. */
static inline unsigned int count_entries(char *path, size_t size)
{
	DIR *dir = opendir(cache_dir());
	const struct dirent *dirent;
	unsigned int n = 0;

	while (dir && (dirent = readdir(dir))) {
		if (dirent->d_name[0] == '.' && strncmp(dirent->d_name, ".new", 4) != 0)
			continue;
		if (path)
			snprintf(path, size, "%s/%s", cache_dir(), dirent->d_name);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

/* True: found in the cache. */
static inline bool open_kernel(const char *name)
{
	struct diag diag = { "" };
	struct image image;
	bool from_cache;

	if (image_open(&image, kernels_path(name), true, &diag))
		fail_msg("%s: %s", name, diag.text);
	assert_true(image.owned_file);
	assert_true(image.elf.has_pvh_entry);
	/* Nobody who takes over this process gets to write the entry. */
	assert_int_equal(fcntl(image.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	from_cache = image.from_cache;
	image_close(&image);
	return from_cache;
}

/* An empty cache for each test. */
static inline int fresh(void **state)
{
	char path[PATH_MAX];
	char *argv[] = { (char *)"/bin/rm", (char *)"-rf", path, NULL };

	snprintf(path, sizeof(path), "%s", kernels_path("xdg"));
	setenv("XDG_CACHE_HOME", path, 1);
	unsetenv("PRONTO_CACHE_SIZE");
	return kernels_run(argv);
}

#endif
