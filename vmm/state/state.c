// SPDX-License-Identifier: MIT
/* state.c - the form in which a machine's state is kept: writing it, and reading it */

#include "state/state.h"

#include "util/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define ALIGN 8u /* sections begin at multiples of it */

#define MAX_SECTIONS 65536u

/* All numbers are little-endian, as the machine is. */
struct head {
	char magic[8];
	uint32_t format;
	uint32_t crc; /* zlib's, of all that follows it */
	uint64_t size;
	uint8_t id[STATE_ID_SIZE];
	uint32_t n_sections;
	uint32_t reserved;
};

struct section_head {
	char name[STATE_NAME];
	uint32_t instance, version;
	uint32_t size; /* of the content, without what it is filled up by */
	uint32_t reserved;
};

#define CRC_FROM offsetof(struct head, size)

static uint32_t crc_of(const uint8_t *data, size_t size)
{
	return (uint32_t)crc32(0, data + CRC_FROM, (uInt)(size - CRC_FROM));
}

/* ---- saving ---- */

static void *append(struct state_writer *writer, size_t size)
{
	uint8_t *data;
	size_t room = writer->room;

	if (writer->error)
		return NULL;
	if (size > STATE_MAX - writer->size) {
		writer->error = -EFBIG;
		return NULL;
	}
	while (room < writer->size + size)
		room = room ? room * 2 : KIB(32);
	if (room != writer->room) {
		data = realloc(writer->data, room);
		if (!data) {
			writer->error = -ENOMEM;
			return NULL;
		}
		writer->data = data;
		writer->room = room;
	}
	data = writer->data + writer->size;
	memset(data, 0, size);
	writer->size += size;
	return data;
}

static void put(struct state_writer *writer, const void *from, size_t size)
{
	void *to = append(writer, size);

	if (to && size)
		memcpy(to, from, size);
}

void state_begin(struct state_writer *writer, const uint8_t id[STATE_ID_SIZE])
{
	struct head head = { .magic = STATE_MAGIC, .format = STATE_FORMAT };

	*writer = (struct state_writer){ 0 };
	memcpy(head.id, id, STATE_ID_SIZE);
	put(writer, &head, sizeof(head));
}

/* Where the section's head is. */
static size_t open_section(
	struct state_writer *writer, const char *name, uint32_t version, uint32_t instance)
{
	struct section_head head = { .instance = instance, .version = version };
	size_t at = writer->size;

	BUG_ON(strlen(name) >= STATE_NAME);
	memcpy(head.name, name, strlen(name));
	put(writer, &head, sizeof(head));
	return at;
}

static void close_section(struct state_writer *writer, size_t at)
{
	uint32_t size = (uint32_t)(writer->size - at - sizeof(struct section_head));

	append(writer, ALIGN_UP(size, ALIGN) - size);
	if (writer->error)
		return;
	((struct section_head *)(writer->data + at))->size = size;
	((struct head *)writer->data)->n_sections++;
}

static const uint32_t *count_of(const struct state_field *field, const void *base)
{
	return field->n_at == STATE_FIXED ? &field->n
	                                  : (const uint32_t *)((const char *)base + field->n_at);
}

void state_save(struct state_writer *writer, const struct state_table *table, uint32_t instance,
	const void *from)
{
	size_t at = open_section(writer, table->name, table->version, instance);

	for (const struct state_field *field = table->fields; field->name; field++) {
		uint32_t n = *count_of(field, from);

		BUG_ON(n > field->n);
		if (field->n_at != STATE_FIXED)
			put(writer, &n, sizeof(n));
		put(writer, (const char *)from + field->at, (size_t)n * field->size);
	}
	close_section(writer, at);
}

void state_save_bytes(struct state_writer *writer, const char *name, uint32_t instance,
	const void *data, size_t size)
{
	size_t at = open_section(writer, name, 1, instance);

	put(writer, data, size);
	close_section(writer, at);
}

int state_finish(struct state_writer *writer)
{
	struct head *head = (struct head *)writer->data;

	if (writer->error)
		return writer->error;
	head->size = writer->size;
	head->crc = crc_of(writer->data, writer->size);
	return 0;
}

void state_free(struct state_writer *writer)
{
	free(writer->data);
	*writer = (struct state_writer){ 0 };
}

/* ---- loading ---- */

/* The section at `at`, and where the next begins; 0: there is none, or it is not whole. */
static size_t next_section(
	const uint8_t *data, size_t size, size_t at, struct state_section *section)
{
	struct section_head head;

	if (!range_within(at, sizeof(head), 0, size))
		return 0;
	memcpy(&head, data + at, sizeof(head));
	at += sizeof(head);
	if (!range_within(at, ALIGN_UP((uint64_t)head.size, ALIGN), 0, size) ||
		head.name[STATE_NAME - 1])
		return 0;
	*section = (struct state_section){
		.instance = head.instance,
		.version = head.version,
		.size = head.size,
		.data = data + at,
	};
	memcpy(section->name, head.name, STATE_NAME);
	return at + ALIGN_UP(head.size, ALIGN);
}

static bool sections_are_whole(const uint8_t *data, size_t size, uint32_t n)
{
	struct state_section section;
	size_t at = sizeof(struct head);

	if (n > MAX_SECTIONS)
		return false;
	for (uint32_t i = 0; i < n && at; i++)
		at = next_section(data, size, at, &section);
	return at == size;
}

int state_open(struct state_reader *reader, const void *data, size_t size, struct diag *diag)
{
	struct head head;

	if (size < sizeof(head) || memcmp(data, STATE_MAGIC, sizeof(head.magic)) != 0)
		return diag_fail(diag, EBADMSG, "is no state of a machine that pronto has saved");
	memcpy(&head, data, sizeof(head));
	if (head.format != STATE_FORMAT)
		return diag_fail(diag, ENOTSUP,
			"is of form %u, and this pronto knows form %u: another version reads it",
			head.format, STATE_FORMAT);
	if (head.size != size)
		return diag_fail(diag, EBADMSG,
			"has %zu bytes, and says that it has %llu: it was cut", size,
			(unsigned long long)head.size);
	if (size > STATE_MAX || head.crc != crc_of(data, size) ||
		!sections_are_whole(data, size, head.n_sections))
		return diag_fail(
			diag, EBADMSG, "is damaged: its checksum is not that of its bytes");
	*reader = (struct state_reader){
		.data = data,
		.size = size,
		.n_sections = head.n_sections,
		.used = calloc(head.n_sections + 1, sizeof(*reader->used)),
	};
	if (!reader->used)
		return diag_fail(diag, ENOMEM, "out of memory");
	memcpy(reader->id, head.id, STATE_ID_SIZE);
	return 0;
}

void state_close(struct state_reader *reader)
{
	free(reader->used);
	*reader = (struct state_reader){ 0 };
}

size_t state_next(const struct state_reader *reader, size_t at, struct state_section *section)
{
	at = at ? at : sizeof(struct head);
	return at == reader->size ? 0 : next_section(reader->data, reader->size, at, section);
}

/* Its number, or -ENOENT. */
static int find(const struct state_reader *reader, const char *name, uint32_t instance,
	struct state_section *section)
{
	int i = 0;

	for (size_t at = 0; (at = state_next(reader, at, section)); i++)
		if (section->instance == instance && !strcmp(section->name, name))
			return i;
	return -ENOENT;
}

bool state_has(const struct state_reader *reader, const char *name, uint32_t instance)
{
	struct state_section section;

	return find(reader, name, instance, &section) >= 0;
}

static int take(struct state_reader *reader, const char *name, uint32_t version, uint32_t instance,
	struct state_section *section, struct diag *diag)
{
	int i = find(reader, name, instance, section);

	if (i < 0)
		return diag_fail(
			diag, ENOENT, "says nothing of %s %u: it is damaged", name, instance);
	if (!section->version || section->version > version)
		return diag_fail(diag, ENOTSUP,
			"has %s %u in version %u, and this pronto knows %u at most: a newer one reads it",
			name, instance, section->version, version);
	reader->used[i] = true;
	return 0;
}

static bool are_flags(const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (data[i] > 1)
			return false;
	return true;
}

/* How many elements of a field follow in the section, which has `size` bytes more; NULL: it is cut,
 * or has no room for so many.  Else where they are.
 */
static const uint8_t *elements(
	const struct state_field *field, const uint8_t *data, size_t size, uint32_t *n)
{
	*n = field->n;
	if (field->n_at != STATE_FIXED) {
		if (size < sizeof(*n))
			return NULL;
		memcpy(n, data, sizeof(*n));
		data += sizeof(*n);
		size -= sizeof(*n);
	}
	if (*n > field->n || (uint64_t)*n * field->size > size)
		return NULL;
	return field->kind == STATE_FLAG && !are_flags(data, *n) ? NULL : data;
}

int state_load(struct state_reader *reader, const struct state_table *table, uint32_t instance,
	void *to, struct diag *diag)
{
	struct state_section section;
	const uint8_t *data, *end;
	int ret = take(reader, table->name, table->version, instance, &section, diag);

	if (ret)
		return ret;
	data = section.data;
	end = data + section.size;
	for (const struct state_field *field = table->fields; field->name; field++) {
		uint32_t n;

		if (field->since > section.version)
			continue;
		data = elements(field, data, (size_t)(end - data), &n);
		if (!data)
			return diag_fail(diag, EBADMSG, "%s %u: %s is not as it should be",
				table->name, instance, field->name);
		if (field->n_at != STATE_FIXED)
			memcpy((char *)to + field->n_at, &n, sizeof(n));
		memcpy((char *)to + field->at, data, (size_t)n * field->size);
		data += (size_t)n * field->size;
	}
	if (data != end)
		return diag_fail(
			diag, EBADMSG, "%s %u has more than it should", table->name, instance);
	return 0;
}

const void *state_load_bytes(struct state_reader *reader, const char *name, uint32_t instance,
	size_t *size, struct diag *diag)
{
	struct state_section section = { 0 };

	if (take(reader, name, 1, instance, &section, diag))
		return NULL;
	*size = section.size;
	return section.data;
}

int state_check_all_loaded(const struct state_reader *reader, struct diag *diag)
{
	struct state_section section;
	uint32_t i = 0;

	for (size_t at = 0; (at = state_next(reader, at, &section)); i++)
		if (!reader->used[i])
			return diag_fail(diag, ENOTSUP,
				"has a %s %u, of which this pronto knows nothing: a newer one reads it",
				section.name, section.instance);
	return 0;
}

/* ---- describing ---- */

uint64_t state_number(const struct state_value *value, uint32_t i)
{
	uint64_t number = 0;

	memcpy(&number, value->data + (size_t)i * value->field->size, value->field->size);
	return number;
}

bool state_walk(const struct state_table *table, const struct state_section *section,
	void (*show)(void *ctx, const struct state_value *value), void *ctx)
{
	const uint8_t *data = section->data, *end = data + section->size;

	for (const struct state_field *field = table->fields; field->name; field++) {
		struct state_value value = { .field = field };

		if (field->since > section->version)
			continue;
		value.data = elements(field, data, (size_t)(end - data), &value.n);
		if (!value.data)
			return false;
		show(ctx, &value);
		data = value.data + (size_t)value.n * field->size;
	}
	return data == end;
}

struct printer {
	FILE *out;
	const char *indent;
};

static void print_value(void *ctx, const struct state_value *value)
{
	const struct printer *printer = ctx;
	const struct state_field *field = value->field;

	fprintf(printer->out, "%s%s:", printer->indent, field->name);
	if (field->kind == STATE_BYTES)
		fprintf(printer->out, " %llu bytes", (unsigned long long)value->n * field->size);
	for (uint32_t i = 0; field->kind != STATE_BYTES && i < value->n; i++)
		fprintf(printer->out, field->kind == STATE_FLAG ? " %llu" : " 0x%llx",
			(unsigned long long)state_number(value, i));
	fputc('\n', printer->out);
}

bool state_print(FILE *out, const char *indent, const struct state_table *table,
	const struct state_section *section)
{
	struct printer printer = { out, indent };

	return state_walk(table, section, print_value, &printer);
}
