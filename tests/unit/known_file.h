/* SPDX-License-Identifier: MIT */
/* known_file.h - a file whose every byte is known, for tests of who reads or maps it
 *
 * After cmocka.h.
 */
#ifndef KNOWN_FILE_H
#define KNOWN_FILE_H

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Never zero, so that missing and superfluous bytes both show. */
static inline uint8_t file_byte(uint64_t offset)
{
	return (uint8_t)(offset % 251 + 1);
}

/* The caller closes it. */
static inline int make_file(uint64_t size)
{
	uint8_t *data = malloc(size);
	int fd = memfd_create("known", MFD_CLOEXEC);

	assert_non_null(data);
	assert_true(fd >= 0);
	for (uint64_t i = 0; i < size; i++)
		data[i] = file_byte(i);
	assert_int_equal(write(fd, data, size), size);
	free(data);
	return fd;
}

#endif
