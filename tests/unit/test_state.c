// SPDX-License-Identifier: MIT
/* test_state.c - the file of a machine's state: what is written is read, and nothing else is */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state/state.h"
#include "state_rig.h"
#include "util/bits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t the_id[STATE_ID_SIZE] = "a snapshot's id";

/* ---- a struct with a field of every kind ---- */

struct part {
	uint8_t byte;
	int32_t number;
	uint64_t large;
	bool flag;
	uint16_t array[3];
	struct {
		char text[5];
	} blob;
	uint32_t n;
	struct {
		uint32_t a;
		uint8_t b;
	} list[4];
	uint8_t left_out;
	uint32_t late;
};

static const struct state_field fields[] = {
	STATE_FIELD(struct part, byte, 1),
	STATE_FIELD(struct part, number, 1),
	STATE_FIELD(struct part, large, 1),
	STATE_BOOL(struct part, flag, 1),
	STATE_ARRAY(struct part, array, 1),
	STATE_BLOB(struct part, blob, 1),
	STATE_LIST(struct part, list, n, 1),
	STATE_FIELD(struct part, late, 2),
	STATE_END,
};

static const struct state_table table = { "part", 2, fields };

/* As a pronto before had it, and one after. */
static const struct state_field old_fields[] = {
	STATE_FIELD(struct part, byte, 1),
	STATE_FIELD(struct part, number, 1),
	STATE_FIELD(struct part, large, 1),
	STATE_BOOL(struct part, flag, 1),
	STATE_ARRAY(struct part, array, 1),
	STATE_BLOB(struct part, blob, 1),
	STATE_LIST(struct part, list, n, 1),
	STATE_END,
};

static const struct state_table old_table = { "part", 1, old_fields };
static const struct state_table new_table = { "part", 3, fields };

static struct part make_part(void)
{
	struct part part;

	memset(&part, 0x5a, sizeof(part)); /* what lies between the fields is not kept */
	part.byte = 0xff;
	part.number = -2;
	part.large = UINT64_C(0x123456789abcdef0);
	part.flag = true;
	memcpy(part.array, (const uint16_t[]){ 1, 0x200, 0xffff }, sizeof(part.array));
	memcpy(part.blob.text, "blob!", 5);
	part.n = 2;
	memset(part.list, 0, sizeof(part.list));
	part.list[0].a = 7;
	part.list[1].b = 8;
	part.left_out = 9;
	part.late = 10;
	return part;
}

static void check_part(const struct part *part, uint32_t late)
{
	assert_int_equal(part->byte, 0xff);
	assert_int_equal(part->number, -2);
	assert_true(part->large == UINT64_C(0x123456789abcdef0));
	assert_true(part->flag);
	assert_memory_equal(part->array, ((const uint16_t[]){ 1, 0x200, 0xffff }), 6);
	assert_memory_equal(part->blob.text, "blob!", 5);
	assert_int_equal(part->n, 2);
	assert_int_equal(part->list[0].a, 7);
	assert_int_equal(part->list[1].b, 8);
	assert_int_equal(part->left_out, 0);
	assert_int_equal(part->late, late);
}

/* ---- a file ---- */

static struct state_writer begin(void)
{
	struct state_writer writer;

	state_begin(&writer, the_id);
	return writer;
}

/* One with this part as number 3, and some bytes. */
static struct state_writer make_file(const struct state_table *of)
{
	struct state_writer writer = begin();
	struct part part = make_part();

	state_save(&writer, of, 3, &part);
	state_save_bytes(&writer, "text", 0, "some text", 9);
	assert_int_equal(state_finish(&writer), 0);
	return writer;
}

static void open_file(struct state_reader *reader, const struct state_writer *writer)
{
	struct diag diag;

	assert_int_equal(state_open(reader, writer->data, writer->size, &diag), 0);
	assert_int_equal(reader->size, writer->size);
	assert_memory_equal(reader->id, the_id, STATE_ID_SIZE);
}

static void close_both(struct state_reader *reader, struct state_writer *writer)
{
	state_close(reader);
	state_free(writer);
}

/* For who changes bytes and is not to be found out by that: where it is, is in docs/snapshot.md. */
#define CRC_FROM  16
#define SIZE_AT   16
#define COUNT_AT  40
#define HEAD_SIZE 48

static void seal(struct state_writer *writer)
{
	rig_seal(writer->data, writer->size);
}

/* ---- */

static void test_every_kind_of_field(void **state)
{
	struct state_writer writer = make_file(&table);
	struct state_reader reader;
	struct part part = { .late = 1 };
	const char *text;
	struct diag diag;
	size_t size;

	open_file(&reader, &writer);
	assert_int_equal(reader.n_sections, 2);
	assert_int_equal(state_load(&reader, &table, 3, &part, &diag), 0);
	check_part(&part, 10);
	text = state_load_bytes(&reader, "text", 0, &size, &diag);
	assert_non_null(text);
	assert_int_equal(size, 9);
	assert_memory_equal(text, "some text", 9);
	assert_int_equal(state_check_all_loaded(&reader, &diag), 0);
	close_both(&reader, &writer);
}

static void test_nothing_at_all(void **state)
{
	struct state_writer writer = begin();
	struct state_reader reader;
	struct state_section section;
	struct diag diag;
	size_t size;

	assert_int_equal(state_finish(&writer), 0);
	assert_int_equal(writer.size, HEAD_SIZE);
	open_file(&reader, &writer);
	assert_int_equal(state_next(&reader, 0, &section), 0);
	assert_int_equal(state_check_all_loaded(&reader, &diag), 0);
	assert_false(state_has(&reader, "part", 0));
	assert_int_equal(state_load(&reader, &table, 0, &(struct part){ 0 }, &diag), -ENOENT);
	assert_string_equal(diag.text, "says nothing of part 0: it is damaged");
	assert_null(state_load_bytes(&reader, "text", 1, &size, &diag));
	close_both(&reader, &writer);
}

static void test_empty_list_and_full_one(void **state)
{
	for (uint32_t n = 0; n <= 4; n += 4) {
		struct state_writer writer = begin();
		struct state_reader reader;
		struct part part = make_part(), back = { 0 };
		struct diag diag;

		part.n = n;
		part.list[3].a = 33;
		state_save(&writer, &table, 0, &part);
		assert_int_equal(state_finish(&writer), 0);
		open_file(&reader, &writer);
		assert_int_equal(state_load(&reader, &table, 0, &back, &diag), 0);
		assert_int_equal(back.n, n);
		assert_int_equal(back.list[3].a, n ? 33 : 0);
		close_both(&reader, &writer);
	}
}

static void test_instances_are_told_apart(void **state)
{
	struct state_writer writer = begin();
	struct state_reader reader;
	struct part part = make_part();
	struct diag diag;

	for (uint32_t i = 0; i < 3; i++) {
		part.late = i;
		state_save(&writer, &table, i, &part);
	}
	assert_int_equal(state_finish(&writer), 0);
	open_file(&reader, &writer);
	for (uint32_t i = 3; i-- > 0;) {
		assert_true(state_has(&reader, "part", i));
		assert_int_equal(state_load(&reader, &table, i, &part, &diag), 0);
		assert_int_equal(part.late, i);
	}
	assert_false(state_has(&reader, "part", 3));
	close_both(&reader, &writer);
}

/* ---- versions ---- */

/* What an older one does not have stays as whoever loads it has set it. */
static void test_older_section(void **state)
{
	struct state_writer writer = make_file(&old_table);
	struct state_reader reader;
	struct part part = { .late = 77 };
	struct diag diag;

	open_file(&reader, &writer);
	assert_int_equal(state_load(&reader, &table, 3, &part, &diag), 0);
	check_part(&part, 77);
	close_both(&reader, &writer);
}

static void test_newer_section(void **state)
{
	struct state_writer writer = make_file(&new_table);
	struct state_reader reader;
	struct part part = { 0 };
	struct diag diag;

	open_file(&reader, &writer);
	assert_int_equal(state_load(&reader, &table, 3, &part, &diag), -ENOTSUP);
	assert_string_equal(diag.text,
		"has part 3 in version 3, and this pronto knows 2 at most: a newer one reads it");
	assert_int_equal(state_check_all_loaded(&reader, &diag), -ENOTSUP);
	close_both(&reader, &writer);
}

static void test_section_of_no_version(void **state)
{
	struct state_writer writer = make_file(&table);
	struct state_reader reader;
	struct diag diag;

	memset(writer.data + HEAD_SIZE + STATE_NAME + 4, 0, 4);
	seal(&writer);
	open_file(&reader, &writer);
	assert_int_equal(state_load(&reader, &table, 3, &(struct part){ 0 }, &diag), -ENOTSUP);
	close_both(&reader, &writer);
}

static void test_unknown_section(void **state)
{
	struct state_writer writer = make_file(&table);
	struct state_reader reader;
	struct part part = { 0 };
	struct diag diag;

	open_file(&reader, &writer);
	assert_int_equal(state_load(&reader, &table, 3, &part, &diag), 0);
	assert_int_equal(state_check_all_loaded(&reader, &diag), -ENOTSUP);
	assert_string_equal(diag.text,
		"has a text 0, of which this pronto knows nothing: a newer one reads it");
	close_both(&reader, &writer);
}

/* ---- what is not as it should be ---- */

static const struct state_field small_fields[] = {
	STATE_BOOL(struct part, flag, 1),
	STATE_LIST(struct part, list, n, 1),
	STATE_END,
};

static const struct state_table small_table = { "part", 1, small_fields };

/* A section of these bytes does not fit the small table. */
static void expect_misfit(const void *data, size_t size, const char *what)
{
	struct state_writer writer = begin();
	struct state_reader reader;
	struct part part = { 0 };
	struct diag diag;

	state_save_bytes(&writer, "part", 0, data, size);
	assert_int_equal(state_finish(&writer), 0);
	open_file(&reader, &writer);
	assert_int_equal(state_load(&reader, &small_table, 0, &part, &diag), -EBADMSG);
	assert_string_equal(diag.text, what);
	assert_int_equal(part.left_out, 0);
	close_both(&reader, &writer);
}

static void test_fields_out_of_their_bounds(void **state)
{
	static const char flag[] = "part 0: flag is not as it should be";
	static const char list[] = "part 0: list is not as it should be";
	uint8_t data[5 + 5 * 8] = { 2 };

	expect_misfit(data, 5, flag);
	expect_misfit(data, 0, flag);
	data[0] = 1;
	for (size_t cut = 1; cut < 5; cut++)
		expect_misfit(data, cut, list);
	data[1] = 5; /* there is room for four */
	expect_misfit(data, sizeof(data), list);
	data[1] = 4;
	expect_misfit(data, 5 + 4 * 8 - 1, list);
	expect_misfit(data, 5 + 4 * 8 + 1, "part 0 has more than it should");
	memset(data + 1, 0xff, 4);
	expect_misfit(data, sizeof(data), list);
	memset(data + 1, 0, 4);
	expect_misfit(data, 6, "part 0 has more than it should");
}

static void expect_refused(const void *data, size_t size, int ret, const char *why)
{
	struct state_reader reader;
	struct diag diag;
	void *copy = malloc(size ? size : 1); /* so that what lies behind it is looked for */

	memcpy(copy, data, size);
	assert_int_equal(state_open(&reader, copy, size, &diag), ret);
	if (why)
		assert_string_equal(diag.text, why);
	free(copy);
}

static void test_other_files(void **state)
{
	struct state_writer writer = make_file(&table);

	expect_refused("", 0, -EBADMSG, "is no state of a machine that pronto has saved");
	expect_refused("PRONTOST", 8, -EBADMSG, "is no state of a machine that pronto has saved");
	writer.data[8] = 2;
	expect_refused(writer.data, writer.size, -ENOTSUP,
		"is of form 2, and this pronto knows form 1: another version reads it");
	writer.data[8] = 1;
	writer.data[0] = 'p';
	expect_refused(writer.data, writer.size, -EBADMSG,
		"is no state of a machine that pronto has saved");
	state_free(&writer);
}

static void test_cut_at_every_byte(void **state)
{
	struct state_writer writer = make_file(&table);
	struct diag expected;

	for (size_t size = 0; size < writer.size; size++) {
		diag_fail(&expected, EBADMSG, "has %zu bytes, and says that it has %zu: it was cut",
			size, writer.size);
		expect_refused(
			writer.data, size, -EBADMSG, size < HEAD_SIZE ? NULL : expected.text);
	}
	state_free(&writer);
}

static void test_one_flipped_bit(void **state)
{
	struct state_writer writer = make_file(&table);

	for (size_t at = 0; at < writer.size; at++)
		for (unsigned int bit = 0; bit < 8; bit++) {
			writer.data[at] ^= (uint8_t)(1u << bit);
			expect_refused(writer.data, writer.size,
				at >= 8 && at < 12 ? -ENOTSUP : -EBADMSG, NULL);
			writer.data[at] ^= (uint8_t)(1u << bit);
		}
	state_free(&writer);
}

/* Bytes that were changed on purpose, with the checksum: what is loaded is within the struct, and
 * what is printed within the file.
 */
static void test_every_byte_is_changed(void **state)
{
	static const uint8_t values[] = { 0, 1, 2, 5, 0x7f, 0x80, 0xff };
	struct state_writer writer = make_file(&table);
	FILE *out = fopen("/dev/null", "we");

	for (size_t at = CRC_FROM; at < writer.size; at++)
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			uint8_t before = writer.data[at];
			struct state_reader reader;
			struct state_section section;
			struct part part = { 0 };
			struct diag diag;

			writer.data[at] = values[i];
			seal(&writer);
			if (!state_open(&reader, writer.data, writer.size, &diag)) {
				if (!state_load(&reader, &table, 3, &part, &diag))
					assert_true(part.n <= 4 && !part.left_out);
				for (size_t next = 0; (next = state_next(&reader, next, &section));)
					state_print(out, "", &table, &section);
				state_close(&reader);
			}
			writer.data[at] = before;
		}
	fclose(out);
	state_free(&writer);
}

/* The numbers of a section that say how far it goes. */
static void test_sections_that_are_not_whole(void **state)
{
	static const char damaged[] = "is damaged: its checksum is not that of its bytes";
	static const uint32_t sizes[] = { UINT32_MAX, UINT32_MAX - 7, 0x7fffffff, 4096 };
	struct state_writer writer = make_file(&table);
	uint8_t *size_at = writer.data + HEAD_SIZE + STATE_NAME + 8;
	uint32_t n = 3;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint8_t before[4];

		memcpy(before, size_at, 4);
		memcpy(size_at, &sizes[i], 4);
		seal(&writer);
		expect_refused(writer.data, writer.size, -EBADMSG, damaged);
		memcpy(size_at, before, 4);
	}
	memcpy(writer.data + COUNT_AT, &n, 4);
	seal(&writer);
	expect_refused(writer.data, writer.size, -EBADMSG, damaged);
	n = 1;
	memcpy(writer.data + COUNT_AT, &n, 4);
	seal(&writer);
	expect_refused(writer.data, writer.size, -EBADMSG, damaged);
	n = UINT32_MAX;
	memcpy(writer.data + COUNT_AT, &n, 4);
	seal(&writer);
	expect_refused(writer.data, writer.size, -EBADMSG, damaged);
	state_free(&writer);
}

static void test_name_without_end(void **state)
{
	struct state_writer writer = make_file(&table);

	memset(writer.data + HEAD_SIZE, 'x', STATE_NAME);
	seal(&writer);
	expect_refused(writer.data, writer.size, -EBADMSG, NULL);
	state_free(&writer);
}

/* ---- limits of what is written ---- */

static void test_too_much(void **state)
{
	struct state_writer writer = begin();
	static uint8_t large[STATE_MAX];

	state_save_bytes(&writer, "large", 0, large, sizeof(large));
	state_save_bytes(&writer, "small", 0, large, 1); /* what has failed stays so */
	assert_int_equal(state_finish(&writer), -EFBIG);
	state_free(&writer);
}

static void test_names_of_all_lengths(void **state)
{
	struct state_writer writer = begin();
	struct state_reader reader;
	struct diag diag;
	size_t size;

	state_save_bytes(&writer, "fifteen letters", 1, "x", 1);
	state_save_bytes(&writer, "", 2, NULL, 0);
	assert_int_equal(state_finish(&writer), 0);
	open_file(&reader, &writer);
	assert_non_null(state_load_bytes(&reader, "fifteen letters", 1, &size, &diag));
	assert_non_null(state_load_bytes(&reader, "", 2, &size, &diag));
	assert_int_equal(size, 0);
	close_both(&reader, &writer);
}

/* ---- for people ---- */

static void test_print(void **state)
{
	struct state_writer writer = make_file(&table);
	struct state_section section;
	struct state_reader reader;
	char text[512] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	size_t at;

	open_file(&reader, &writer);
	at = state_next(&reader, 0, &section);
	assert_string_equal(section.name, "part");
	assert_int_equal(section.instance, 3);
	assert_int_equal(section.version, 2);
	assert_true(state_print(out, "  ", &table, &section));
	fflush(out);
	assert_string_equal(text, "  byte: 0xff\n"
				  "  number: 0xfffffffe\n"
				  "  large: 0x123456789abcdef0\n"
				  "  flag: 1\n"
				  "  array: 0x1 0x200 0xffff\n"
				  "  blob: 5 bytes\n"
				  "  list: 16 bytes\n"
				  "  late: 0xa\n");
	at = state_next(&reader, at, &section);
	assert_string_equal(section.name, "text");
	assert_int_equal(section.size, 9);
	assert_false(state_print(out, "", &table, &section));
	assert_int_equal(state_next(&reader, at, &section), 0);
	fclose(out);
	close_both(&reader, &writer);
}

static void test_print_an_older_one(void **state)
{
	struct state_writer writer = make_file(&old_table);
	struct state_section section;
	struct state_reader reader;
	FILE *out = fopen("/dev/null", "we");

	open_file(&reader, &writer);
	state_next(&reader, 0, &section);
	assert_true(state_print(out, "", &table, &section));
	assert_false(state_print(out, "", &small_table, &section));
	fclose(out);
	close_both(&reader, &writer);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_of_field),
		cmocka_unit_test(test_nothing_at_all),
		cmocka_unit_test(test_empty_list_and_full_one),
		cmocka_unit_test(test_instances_are_told_apart),
		cmocka_unit_test(test_older_section),
		cmocka_unit_test(test_newer_section),
		cmocka_unit_test(test_section_of_no_version),
		cmocka_unit_test(test_unknown_section),
		cmocka_unit_test(test_fields_out_of_their_bounds),
		cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_one_flipped_bit),
		cmocka_unit_test(test_every_byte_is_changed),
		cmocka_unit_test(test_sections_that_are_not_whole),
		cmocka_unit_test(test_name_without_end),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_names_of_all_lengths),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_print_an_older_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
