/* SPDX-License-Identifier: MIT */
/* checksum.h - the sum by which firmware's tables are known to be whole */
#ifndef BOOT_CHECKSUM_H
#define BOOT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The byte that, added to the bytes of data, makes 0. */
static inline uint8_t checksum(const void *data, size_t size)
{
	const uint8_t *byte = data;
	uint8_t sum = 0;

	while (size--)
		sum = (uint8_t)(sum + *byte++);
	return (uint8_t)-sum;
}

#endif
