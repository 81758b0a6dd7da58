// SPDX-License-Identifier: MIT
/* test_timeline.c - when the moments of a boot came */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/timeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static char *print(const struct timeline *timeline)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	timeline_print(file, timeline);
	fclose(file);
	return text;
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
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
