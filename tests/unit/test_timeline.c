// SPDX-License-Identifier: MIT
/* test_timeline.c - when the moments of a boot came */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/bits.h"
#include "util/timeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static char *print_by(
	void (*print_it)(FILE *, const struct timeline *), const struct timeline *timeline)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	print_it(file, timeline);
	fclose(file);
	return text;
}

static char *print(const struct timeline *timeline)
{
	return print_by(timeline_print, timeline);
}

static void test_first_record_stays(void **state)
{
	struct timeline timeline = { 0 };
	uint64_t first;

	timeline_record(&timeline, TIMELINE_START);
	first = atomic_load(&timeline.at_ns[TIMELINE_START]);
	assert_true(first > 0 && first <= timeline_now());
	while (timeline_now() == first)
		;
	timeline_record(&timeline, TIMELINE_START);
	assert_true(atomic_load(&timeline.at_ns[TIMELINE_START]) == first);
	timeline_record(NULL, TIMELINE_START);
}

static void test_print_in_order_of_time(void **state)
{
	struct timeline timeline = { 0 };
	char *text;

	atomic_store(&timeline.at_ns[TIMELINE_START], 1000000);
	atomic_store(&timeline.at_ns[TIMELINE_LOADED], 3500000);
	atomic_store(&timeline.at_ns[TIMELINE_GUEST], 4000000);
	atomic_store(&timeline.at_ns[TIMELINE_MARK + 7], 4500000);
	atomic_store(&timeline.at_ns[TIMELINE_MARK + TIMELINE_MARK_USER], 9000000);
	atomic_store(&timeline.at_ns[TIMELINE_CONSOLE], 5000000);
	atomic_store(&timeline.at_ns[TIMELINE_END], 1001000000);
	text = print(&timeline);
	assert_string_equal(text, "timeline                         ms        +ms\n"
				  "VMM start                     0.000      0.000\n"
				  "kernel loaded                 2.500      2.500\n"
				  "first guest instruction       3.000      0.500\n"
				  "guest's mark 7                3.500      0.500\n"
				  "first console byte            4.000      0.500\n"
				  "user space                    8.000      4.000\n"
				  "guest's end                1000.000    992.000\n");
	free(text);
}

static void test_print_nothing_and_all(void **state)
{
	static struct timeline timeline;
	char *text = print(&timeline);
	size_t n_lines = 0;

	assert_string_equal(text, "timeline                         ms        +ms\n");
	free(text);
	for (unsigned int i = 0; i < TIMELINE_N_MOMENTS; i++)
		timeline_record(&timeline, i);
	text = print(&timeline);
	for (const char *c = text; *c; c++)
		n_lines += *c == '\n';
	assert_int_equal(n_lines, 1 + TIMELINE_N_MOMENTS);
	assert_non_null(strstr(text, "guest's mark 255"));
	free(text);
}

static void test_print_json(void **state)
{
	struct timeline timeline = { 0 };
	char *text = print_by(timeline_print_json, &timeline);

	assert_string_equal(text, "{\n  \"start_ns\": 0,\n  \"moments\": [\n  ]\n}\n");
	free(text);
	atomic_store(&timeline.at_ns[TIMELINE_START], 1000000);
	atomic_store(&timeline.at_ns[TIMELINE_MARK + 7], 4500001);
	text = print_by(timeline_print_json, &timeline);
	assert_string_equal(text, "{\n  \"start_ns\": 1000000,\n  \"moments\": [\n"
				  "    {\"name\": \"VMM start\", \"ns\": 0},\n"
				  "    {\"name\": \"guest's mark 7\", \"ns\": 3500001}\n"
				  "  ]\n}\n");
	free(text);
}

static const char *path;

static void write_to_path(FILE *out, const struct timeline *timeline)
{
	timeline_write(out, path, timeline);
}

/* What is written is what the end of the file's name says. */
static void test_write(void **state)
{
	static const struct {
		const char *path;
		const char *begins;
	} cases[] = { { "a.svg", "<svg " }, { "a.b/c.json", "{\n" }, { "svg", "timeline " },
		{ "a.svg.txt", "timeline " }, { "a.SVG", "timeline " } };
	struct timeline timeline = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *text;

		path = cases[i].path;
		text = print_by(write_to_path, &timeline);
		assert_memory_equal(text, cases[i].begins, strlen(cases[i].begins));
		free(text);
	}
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	while ((text = strstr(text, word))) {
		text++;
		n++;
	}
	return n;
}

/* A bar for each step, where its scale puts it: the monitor's takes the whole width, as the
 * guest's. */
static void test_draw(void **state)
{
	struct timeline timeline = { 0 };
	char *text;

	atomic_store(&timeline.at_ns[TIMELINE_START], 1000000);
	atomic_store(&timeline.at_ns[TIMELINE_LOADED], 2000000);
	atomic_store(&timeline.at_ns[TIMELINE_GUEST], 3000000);
	atomic_store(&timeline.at_ns[TIMELINE_MARK + TIMELINE_MARK_USER], 13000000);
	atomic_store(&timeline.at_ns[TIMELINE_END], 33000000);
	atomic_store(&timeline.at_ns[TIMELINE_RELEASED], 43000000);
	text = print_by(timeline_draw, &timeline);
	assert_true(!strncmp(text, "<svg ", 5) && !strcmp(text + strlen(text) - 7, "</svg>\n"));
	assert_non_null(strstr(text, "42.000 ms from start to end"));
	assert_non_null(strstr(text, ">monitor 2.000 ms<"));
	assert_non_null(strstr(text, ">kernel 10.000 ms<"));
	assert_non_null(strstr(text, ">user space 20.000 ms<"));
	assert_non_null(strstr(text, ">release 10.000 ms<"));
	assert_non_null(
		strstr(text, "<rect x=\"210.0\" y=\"202.0\" width=\"325.0\" height=\"14\" rx=\"2\" "
			     "fill=\"#2a6fb0\"><title>kernel loaded: at 1.000 ms</title>"));
	assert_non_null(strstr(text, "<title>first guest instruction: at 2.000 ms</title>"));
	assert_non_null(strstr(text,
		"width=\"162.5\" height=\"14\" rx=\"2\" fill=\"#c77d1e\"><title>user space: "
		"at 12.000 ms</title>"));
	assert_non_null(strstr(text, "x=\"697.5\""));
	free(text);
}

/* Nothing is lost, and nothing divided by, when there is no moment, one, all, or all at once. */
static void test_draw_extremes(void **state)
{
	static struct timeline timeline;
	char *text = print_by(timeline_draw, &timeline);

	assert_int_equal(count(text, "<title>"), 0);
	free(text);
	atomic_store(&timeline.at_ns[TIMELINE_START], 5);
	text = print_by(timeline_draw, &timeline);
	assert_int_equal(count(text, "<title>"), 0);
	free(text);
	for (unsigned int i = 0; i < TIMELINE_N_MOMENTS; i++)
		atomic_store(&timeline.at_ns[i], 5);
	text = print_by(timeline_draw, &timeline);
	assert_int_equal(count(text, ": at "), TIMELINE_N_MOMENTS - 1);
	assert_null(strstr(text, "nan"));
	free(text);
	for (unsigned int i = 0; i < TIMELINE_N_MOMENTS; i++)
		atomic_store(&timeline.at_ns[i], UINT64_MAX - i);
	text = print_by(timeline_draw, &timeline);
	assert_int_equal(count(text, ": at "), TIMELINE_N_MOMENTS - 1);
	free(text);
}

static void *record_all(void *arg)
{
	for (unsigned int i = 0; i < TIMELINE_N_MOMENTS; i++)
		timeline_record(arg, i);
	return NULL;
}

static void test_threads(void **state)
{
	static struct timeline timeline;
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, record_all, &timeline), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	for (unsigned int i = 0; i < TIMELINE_N_MOMENTS; i++)
		assert_true(atomic_load(&timeline.at_ns[i]) > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_record_stays),
		cmocka_unit_test(test_print_in_order_of_time),
		cmocka_unit_test(test_print_nothing_and_all),
		cmocka_unit_test(test_print_json),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_draw),
		cmocka_unit_test(test_draw_extremes),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
