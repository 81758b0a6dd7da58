/* SPDX-License-Identifier: MIT */
/* input.h - what a target is fed, taken from the front */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
	const uint8_t *data;
	size_t size;
};

/* The next n bytes, little-endian; zeros behind the end. */
static inline uint64_t take(struct fuzz_input *input, unsigned int n)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < n && input->size; i++, input->data++, input->size--)
		value |= (uint64_t)*input->data << 8 * i;
	return value;
}

static inline uint8_t take8(struct fuzz_input *input)
{
	return (uint8_t)take(input, 1);
}

static inline uint16_t take16(struct fuzz_input *input)
{
	return (uint16_t)take(input, 2);
}

static inline uint32_t take32(struct fuzz_input *input)
{
	return (uint32_t)take(input, 4);
}

#endif
