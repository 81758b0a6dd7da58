// SPDX-License-Identifier: MIT
/* aml.c - write ACPI machine language and resource templates */

#include "boot/aml.h"
#include "util/bits.h"

#include <string.h>

/* ACPI 6.4, 20.3: byte values. */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	PREFIX_DUAL = 0x2e,
	PREFIX_MULTI = 0x2f,
	OP_EXT = 0x5b,
	EXT_REGION = 0x80,
	EXT_FIELD = 0x81,
	EXT_DEVICE = 0x82,
	OP_LOCAL0 = 0x60,
	OP_ARG0 = 0x68,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	OP_NOTIFY = 0x86,
	OP_IF = 0xa0,
	OP_RETURN = 0xa4,
};

#define SEGMENT_SIZE     4
#define REGION_SYSTEM_IO 1
#define FIELD_BYTE_ACC   1 /* NoLock, Preserve */

void aml_init(struct aml *aml, void *data, size_t capacity)
{
	*aml = (struct aml){ .data = data, .capacity = capacity };
}

bool aml_ok(const struct aml *aml)
{
	return !aml->overflow;
}

/* Make room for `size` bytes at `at`, moving what stands there; NULL if there is none. */
static uint8_t *aml_insert(struct aml *aml, size_t at, size_t size)
{
	if (aml->overflow || size > aml->capacity - aml->size) {
		aml->overflow = true;
		return NULL;
	}
	memmove(aml->data + at + size, aml->data + at, aml->size - at);
	aml->size += size;
	return aml->data + at;
}

static void aml_bytes(struct aml *aml, const void *data, size_t size)
{
	uint8_t *to = aml_insert(aml, aml->size, size);

	if (to)
		memcpy(to, data, size);
}

static void aml_byte(struct aml *aml, uint8_t byte)
{
	aml_bytes(aml, &byte, 1);
}

/* The low `size` bytes of value, least first. */
static void aml_number(struct aml *aml, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		aml_byte(aml, (uint8_t)(value >> (8 * i)));
}

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		aml_byte(aml, value ? OP_ONE : OP_ZERO);
	} else if (value <= UINT8_MAX) {
		aml_byte(aml, OP_BYTE);
		aml_number(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		aml_byte(aml, OP_WORD);
		aml_number(aml, value, 2);
	} else if (value <= UINT32_MAX) {
		aml_byte(aml, OP_DWORD);
		aml_number(aml, value, 4);
	} else {
		aml_byte(aml, OP_QWORD);
		aml_number(aml, value, 8);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_byte(aml, OP_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10) & 0xf;
}

/* Three letters of five bits each, four hexadecimal digits; stored most significant byte first. */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t code = 0;

	BUG_ON(strlen(id) != 7);
	for (int i = 0; i < 3; i++)
		code = code << 5 | ((uint32_t)(id[i] - '@') & 0x1f);
	for (int i = 3; i < 7; i++)
		code = code << 4 | hex_digit(id[i]);
	aml_byte(aml, OP_DWORD);
	aml_number(aml, __builtin_bswap32(code), 4);
}

void aml_path(struct aml *aml, const char *path)
{
	const char *p = path;
	uint8_t n = 1;

	if (*p == '\\') {
		aml_byte(aml, '\\');
		p++;
	}
	for (const char *c = p; *c; c++)
		n = (uint8_t)(n + (*c == '.'));
	if (n == 2) {
		aml_byte(aml, PREFIX_DUAL);
	} else if (n > 2) {
		aml_byte(aml, PREFIX_MULTI);
		aml_byte(aml, n);
	}
	for (; n; n--) {
		size_t length = strcspn(p, ".");

		BUG_ON(!length || length > SEGMENT_SIZE);
		aml_bytes(aml, p, length);
		aml_bytes(aml, "___", SEGMENT_SIZE - length);
		p += length + 1;
	}
}

void aml_name(struct aml *aml, const char *path)
{
	aml_byte(aml, OP_NAME);
	aml_path(aml, path);
}

aml_mark aml_open_scope(struct aml *aml, const char *path)
{
	aml_mark mark;

	aml_byte(aml, OP_SCOPE);
	mark = aml->size;
	aml_path(aml, path);
	return mark;
}

aml_mark aml_open_device(struct aml *aml, const char *path)
{
	aml_mark mark;

	aml_byte(aml, OP_EXT);
	aml_byte(aml, EXT_DEVICE);
	mark = aml->size;
	aml_path(aml, path);
	return mark;
}

aml_mark aml_open_method(struct aml *aml, const char *path, uint8_t n_args)
{
	aml_mark mark;

	BUG_ON(n_args > 7);
	aml_byte(aml, OP_METHOD);
	mark = aml->size;
	aml_path(aml, path);
	aml_byte(aml, n_args); /* not serialized */
	return mark;
}

aml_mark aml_open_package(struct aml *aml, uint8_t n_elements)
{
	aml_mark mark;

	aml_byte(aml, OP_PACKAGE);
	mark = aml->size;
	aml_byte(aml, n_elements);
	return mark;
}

aml_mark aml_open_if(struct aml *aml)
{
	aml_byte(aml, OP_IF);
	return aml->size;
}

/* PkgLength counts its own bytes.  One byte holds six bits; else the first holds the count of bytes
 * that follow and the four low bits.
 */
void aml_close(struct aml *aml, aml_mark mark)
{
	size_t body = aml->size - mark, total, n = 1;
	uint8_t *to;

	if (body + 1 >= 1u << 6)
		for (n = 2; n < 4 && body + n >= 1u << (4 + 8 * (n - 1)); n++)
			;
	BUG_ON(body + n >= 1u << 28);
	to = aml_insert(aml, mark, n);
	if (!to)
		return;
	total = body + n;
	if (n == 1) {
		to[0] = (uint8_t)total;
		return;
	}
	to[0] = (uint8_t)((n - 1) << 6 | (total & 0xf));
	for (size_t i = 1; i < n; i++)
		to[i] = (uint8_t)(total >> (4 + 8 * (i - 1)));
}

void aml_io_byte_field(struct aml *aml, const char *region, const char *field, uint16_t port)
{
	aml_mark mark;

	aml_byte(aml, OP_EXT);
	aml_byte(aml, EXT_REGION);
	aml_path(aml, region);
	aml_byte(aml, REGION_SYSTEM_IO);
	aml_integer(aml, port);
	aml_integer(aml, 1);

	aml_byte(aml, OP_EXT);
	aml_byte(aml, EXT_FIELD);
	mark = aml->size;
	aml_path(aml, region);
	aml_byte(aml, FIELD_BYTE_ACC);
	aml_path(aml, field);
	aml_byte(aml, 8); /* bits, as a PkgLength */
	aml_close(aml, mark);
}

static void aml_local(struct aml *aml, uint8_t index)
{
	BUG_ON(index > 7);
	aml_byte(aml, (uint8_t)(OP_LOCAL0 + index));
}

void aml_store_local(struct aml *aml, const char *path, uint8_t index)
{
	aml_byte(aml, OP_STORE);
	aml_path(aml, path);
	aml_local(aml, index);
}

void aml_and_local(struct aml *aml, uint8_t index, uint64_t mask)
{
	aml_byte(aml, OP_AND);
	aml_local(aml, index);
	aml_integer(aml, mask);
	aml_byte(aml, OP_ZERO); /* NullName: the result is stored nowhere */
}

void aml_notify(struct aml *aml, const char *path, uint8_t value)
{
	aml_byte(aml, OP_NOTIFY);
	aml_path(aml, path);
	aml_integer(aml, value);
}

void aml_return_arg(struct aml *aml, uint8_t index)
{
	BUG_ON(index > 6);
	aml_byte(aml, OP_RETURN);
	aml_byte(aml, (uint8_t)(OP_ARG0 + index));
}

aml_mark aml_open_resources(struct aml *aml)
{
	aml_byte(aml, OP_BUFFER);
	return aml->size;
}

/* End tag, checksum 0 (not computed); then the buffer's size goes in front of its bytes. */
void aml_close_resources(struct aml *aml, aml_mark mark)
{
	struct aml integer;
	uint8_t head[9], *to;

	aml_byte(aml, 0x79);
	aml_byte(aml, 0);

	aml_init(&integer, head, sizeof(head));
	aml_integer(&integer, aml->size - mark);
	to = aml_insert(aml, mark, integer.size);
	if (!to)
		return;
	memcpy(to, head, integer.size);
	aml_close(aml, mark);
}

void aml_resource_io(struct aml *aml, uint16_t port, uint8_t size)
{
	aml_byte(aml, 0x47); /* small item, 7 bytes */
	aml_byte(aml, 1);    /* decodes 16 bits */
	aml_number(aml, port, 2);
	aml_number(aml, port, 2);
	aml_byte(aml, 1); /* alignment */
	aml_byte(aml, size);
}

void aml_resource_memory32(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_byte(aml, 0x86);
	aml_number(aml, 9, 2);
	aml_byte(aml, 1); /* writable */
	aml_number(aml, base, 4);
	aml_number(aml, size, 4);
}

#define RANGE_MEMORY   0
#define RANGE_BUSES    2
#define RANGE_PRODUCER 0x0c /* decodes positively; neither end moves */

void aml_resource_buses(struct aml *aml, uint16_t first, uint16_t last)
{
	aml_byte(aml, 0x88);
	aml_number(aml, 13, 2);
	aml_byte(aml, RANGE_BUSES);
	aml_byte(aml, RANGE_PRODUCER);
	aml_byte(aml, 0);
	aml_number(aml, 0, 2); /* granularity */
	aml_number(aml, first, 2);
	aml_number(aml, last, 2);
	aml_number(aml, 0, 2); /* translation */
	aml_number(aml, (uint64_t)last - first + 1, 2);
}

void aml_resource_window32(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_byte(aml, 0x87);
	aml_number(aml, 23, 2);
	aml_byte(aml, RANGE_MEMORY);
	aml_byte(aml, RANGE_PRODUCER);
	aml_byte(aml, 1);      /* read-write, not cached */
	aml_number(aml, 0, 4); /* granularity */
	aml_number(aml, base, 4);
	aml_number(aml, (uint64_t)base + size - 1, 4);
	aml_number(aml, 0, 4); /* translation */
	aml_number(aml, size, 4);
}

void aml_resource_interrupt(struct aml *aml, uint32_t gsi)
{
	aml_byte(aml, 0x89);
	aml_number(aml, 6, 2);
	aml_byte(aml, 0x03); /* resource consumer, edge-triggered, active high, exclusive */
	aml_byte(aml, 1);    /* one interrupt */
	aml_number(aml, gsi, 4);
}
