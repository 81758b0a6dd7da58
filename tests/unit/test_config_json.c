// SPDX-License-Identifier: MIT
/* test_config_json.c - settings from a JSON text, and what is refused */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/table.h"

#include <errno.h>
#include <string.h>

static void test_sets_all(void **state)
{
	static const char text[] =
		"{ \"kernel\": \"k\", \"initrd\": \"rd\", \"cmdline\": \"a b\", \"memory\": \"1G\","
		" \"cpus\": 2, \"cpu\": {\"pmu\": true}, \"console\": \"null\", \"on-reboot\": \"restart\", \"grace\": 3, \"map-kernel\": \"all\", \"merge\": \"all\","
		" \"no-cache\": true, \"dry-run\": true, \"timeline\": true, \"log-level\": \"debug\" }";
	struct config config;
	struct diag diag;

	config_init(&config);
	assert_int_equal(config_parse_json(&config, "x", text, strlen(text), &diag), 0);
	assert_string_equal(config.kernel, "k");
	assert_string_equal(config.initrd, "rd");
	assert_string_equal(config.cmdline, "a b");
	assert_int_equal(config.memory, GIB(1));
	assert_int_equal(config.cpus, 2);
	assert_true(config.cpu.pmu);
	assert_int_equal(config.console, CONSOLE_NULL);
	assert_int_equal(config.on_reboot, ON_REBOOT_RESTART);
	assert_int_equal(config.grace_s, 3);
	assert_int_equal(config.map_kernel, LOAD_MAP_ALL);
	assert_int_equal(config.merge, MERGE_ALL);
	assert_true(config.no_cache);
	assert_true(config.dry_run);
	assert_int_equal(config.timeline, TIMELINE_TO_STDERR);
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	config_fini(&config);
}

/* A flag of false is the same as none; a size may be a number of bytes; what an object does not
 * name stays.
 */
static void test_values(void **state)
{
	static const char text[] =
		"{ \"no-cache\": false, \"dry-run\": false, \"memory\": 67108864,"
		" \"timeline\": \"t.svg\", \"cpu\": {\"pmu\": false} }";
	struct config config;
	struct diag diag;

	config_init(&config);
	config.cpu = (struct cpu_config){ .nested = true, .pmu = true };
	assert_int_equal(config_parse_json(&config, "x", text, strlen(text), &diag), 0);
	assert_false(config.no_cache);
	assert_false(config.dry_run);
	assert_int_equal(config.memory, MIB(64));
	assert_int_equal(config.timeline, TIMELINE_TO_FILE);
	assert_string_equal(config.timeline_path, "t.svg");
	assert_true(config.cpu.nested);
	assert_false(config.cpu.pmu);
	config_fini(&config);
}

/* Every option of `pronto run` is a key, but those that the manual names. */
static void test_keys(void **state)
{
	static const char *const no_keys[] = { "no-shim", "verbose", "config", "help" };
	size_t n = 0;

	for (size_t i = 0; i < config_schema.n; i++)
		n += (config_schema.settings[i].source & ANYWHERE) == FROM_ARGS;
	assert_int_equal(n, ARRAY_SIZE(no_keys));
	for (size_t i = 0; i < n; i++) {
		assert_non_null(schema_find(&config_schema, no_keys[i], FROM_ARGS));
		assert_null(schema_find(&config_schema, no_keys[i], FROM_JSON));
	}
}

/* A list is a string, or an array of strings, and takes the place of one before. */
static void test_list(void **state)
{
	static const struct {
		const char *text;
		const char *cmdline;
	} cases[] = {
		{ "{\"cmdline\": \"b c\"}", "b c" },
		{ "{\"cmdline\": [\"b\", \"c d\"]}", "b c d" },
		{ "{\"cmdline\": []}", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;
		struct diag diag;

		config_init(&config);
		config.cmdline = strdup("a");
		assert_int_equal(config_parse_json(
					 &config, "x", cases[i].text, strlen(cases[i].text), &diag),
			0);
		assert_string_equal(config.cmdline, cases[i].cmdline);
		config_fini(&config);
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *text;
		const char *message; /* its beginning */
	} cases[] = {
		{ "{\n\"cpus\":\n\"2\"}", "x: line 2: \"cpus\": the value is not a whole number" },
		{ "{ \"cpus\": 1.5 }", "x: line 1: \"cpus\": the value is not a whole number" },
		{ "{ \"cpus\": 0 }",
			"x: line 1: \"cpus\": '0' is not a whole number from 1 to 64" },
		{ "{\"grace\": -1}", "x: line 1: \"grace\": '-1' is not a whole number from 0" },
		{ "{\"kernel\": 1}", "x: line 1: \"kernel\": the value is not a string" },
		{ "{\"kernel\": {\"cpus\": 1}}",
			"x: line 1: \"kernel\": the value is not a string" },
		{ "{\"dry-run\": 1}", "x: line 1: \"dry-run\": the value is not true or false" },
		{ "{\"memory\": null}",
			"x: line 1: \"memory\": the value is not a string such as" },
		{ "{\"memory\": \"1M\"}", "x: line 1: \"memory\": 1M is too little; give" },
		{ "{\"memory\": 512}",
			"x: line 1: \"memory\": 512 is in bytes; did you mean 512M?" },
		{ "{\"cmdline\": 1}",
			"x: line 1: \"cmdline\": the value is not a string or an array of strings" },
		{ "{\"cmdline\": [\"a\", 1]}", "x: line 1: \"cmdline\": item 2 is not a string" },
		{ "{\"on-reboot\": true}", "x: line 1: \"on-reboot\": the value is not a string" },
		{ "{\"timeline\": 1}",
			"x: line 1: \"timeline\": the value is not true, false or a string" },
		{ "{\"cpu\": \"pmu\"}", "x: line 1: \"cpu\": the value is not an object, {...}" },
		/* The line is the member's. */
		{ "{\"cpus\": 1, \"cpu\": {\n \"nested\": true,\n \"pmu\": 1}}",
			"x: line 3: \"cpu\": \"pmu\": the value is not true or false" },
		{ "{\"cpu\": {\n \"pum\": 1}}",
			"x: line 2: \"cpu\": \"pum\": unknown key; did you mean \"pmu\"?" },
		{ "{\"cpu\": {\"cpus\": 1}}",
			"x: line 1: \"cpu\": \"cpus\": unknown key; the keys are nested, pmu" },
		/* The name occurs in a string first. */
		{ "{\"cmdline\": \"\\\"cpus\\\": \\\"\",\n\n \"cpus\"\n: true}",
			"x: line 3: \"cpus\": the value is not a whole number" },
		{ "{\"kernel\": \"cpus\",\n \"cpus\" : []}", "x: line 2: \"cpus\": the value" },
		/* Written with escapes, its line is not found. */
		{ "{\"\\u0063pus\": true}", "x: \"cpus\": the value is not a whole number" },
		/* Nor is it that of its like in another object. */
		{ "{\"cpu\": {\"\\u0070mu\": 1},\n\"pmu\": {\"pmu\": 1}}",
			"x: line 1: \"cpu\": \"pmu\": the value is not true or false" },
		{ "{\"mem\": 1}", "x: line 1: \"mem\": unknown key; did you mean \"memory\"?" },
		{ "{\"cpuss\": 1}", "x: line 1: \"cpuss\": unknown key; did you mean \"cpus\"?" },
		{ "{\"vcpu_count\": 1}",
			"x: line 1: \"vcpu_count\": unknown key; did you mean \"cpus\"?" },
		{ "{\"drives\": []}",
			"x: line 1: \"drives\": unknown key; did you mean \"disk\"?" },
		{ "{\"verbose\": \"y\"}", "x: line 1: \"verbose\": unknown key; the keys are" },
		{ "{\"cpus\": 1,\n\"cpus\": 2}", "x: line 2, column 6: not JSON: duplicate" },
		{ "{\"cpus\": 1", "x: line 1, column 10: not JSON: " },
		{ "{\"cpus\": 1}\n}", "x: line 2, column 1: not JSON: " },
		{ "{\"cpus\": 99999999999999999999}",
			"x: line 1, column 29: not JSON: too big integer" },
		{ "{\"cmdline\": \"a\\u0000b\"}", "x: line 1, column 22: not JSON: " },
		{ "\xef\xbb\xbf{}",
			"x: begins with a byte order mark (BOM), which JSON does not have; save it without" },
		{ "[]", "x: the file must hold one JSON object, {...}" },
		{ "", "x: line 1, column 0: not JSON: " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;
		struct diag diag = { "" };

		config_init(&config);
		assert_int_equal(config_parse_json(
					 &config, "x", cases[i].text, strlen(cases[i].text), &diag),
			-EINVAL);
		diag.text[strlen(cases[i].message)] = '\0';
		assert_string_equal(diag.text, cases[i].message);
		config_fini(&config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets_all),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
