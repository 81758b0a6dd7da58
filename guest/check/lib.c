// SPDX-License-Identifier: GPL-2.0 OR MIT
/* lib.c - bytes, numbers, machine registers */

#include "check.h"

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = (uint8_t)byte;
	return to;
}

bool bytes_equal(const void *a, const void *b, uint32_t size)
{
	const uint8_t *x = a, *y = b;

	for (; size; size--)
		if (*x++ != *y++)
			return false;
	return true;
}

uint8_t byte_sum(const void *data, uint32_t size)
{
	const uint8_t *byte = data;
	uint8_t sum = 0;

	while (size--)
		sum = (uint8_t)(sum + *byte++);
	return sum;
}

uint32_t checksum(const void *data, uint32_t size)
{
	const uint8_t *byte = data;
	uint32_t sum = 0x811c9dc5;

	while (size--)
		sum = (sum ^ *byte++) * 0x01000193;
	return sum;
}

uint32_t load32(const void *at)
{
	const uint8_t *byte = at;

	return byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

uint64_t load64(const void *at)
{
	return load32(at) | (uint64_t)load32((const uint8_t *)at + 4) << 32;
}

uint32_t text_size(const char *text, uint32_t limit)
{
	uint32_t size = 0;

	while (size < limit && text[size])
		size++;
	return size;
}

static uint64_t msr_value;

static void rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	msr_value = (uint64_t)high << 32 | low;
}

bool read_msr(uint32_t msr, uint64_t *value)
{
	msr_value = 0;
	if (try_call(rdmsr, msr))
		return false;
	*value = msr_value;
	return true;
}
