// SPDX-License-Identifier: MIT
/* banner.c - find the line by which Linux introduces itself */

#include "image/banner.h"

#include "util/bits.h"
#include "util/file.h"

#include <stdlib.h>
#include <string.h>

#define BANNER "Linux version "

/* Banners lie among the constants, long before debugging information. */
#define MAX_SEARCHED MIB(256)
#define CHUNK        (256u << 10)

/* From the banner's text to the end of its line. */
static void copy_line(char *to, size_t size, const char *from, size_t n)
{
	size_t i;

	for (i = 0; i + 1 < size && i < n && from[i] >= 0x20 && from[i] < 0x7f; i++)
		to[i] = from[i];
	to[i] = '\0';
}

/* "Linux version 6...." and no format string or message. */
static const char *find_banner(const char *data, size_t n)
{
	const char *end = data + n, *hit;

	while ((hit = memmem(data, (size_t)(end - data), BANNER, sizeof(BANNER) - 1))) {
		hit += sizeof(BANNER) - 1;
		if (hit < end && *hit >= '0' && *hit <= '9')
			return hit;
		data = hit;
	}
	return NULL;
}

bool banner_find(int fd, uint64_t file_size, char *version, size_t size)
{
	uint64_t limit = file_size < MAX_SEARCHED ? file_size : MAX_SEARCHED;
	char *chunk = malloc(CHUNK);
	const char *banner = NULL;

	version[0] = '\0';
	/* Chunks overlap by more than a version string, so that one of them has all of it. */
	for (uint64_t pos = 0; chunk && !banner && pos < limit; pos += CHUNK - 1024) {
		int64_t n = file_read_some(fd, chunk, CHUNK, pos);

		if (n <= 0)
			break;
		banner = find_banner(chunk, (size_t)n);
		if (banner && (n < CHUNK || chunk + n - banner >= 512 || pos + CHUNK >= limit))
			copy_line(version, size, banner, (size_t)(chunk + n - banner));
		else
			banner = NULL;
	}
	free(chunk);
	return banner;
}
