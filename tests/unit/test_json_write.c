// SPDX-License-Identifier: MIT
/* test_json_write.c - settings that were written are those that are read again */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/json_write.h"
#include "config_rig.h"

#include <limits.h>
#include <stdio.h>

/* ---- what is the same ---- */

static bool texts_are_same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void check_object(const struct schema *schema, const void *a, const void *b);

static void check_items(
	const struct schema *schema, const struct setting_list *a, const struct setting_list *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		check_object(schema, (const char *)a->items + i * schema->size,
			(const char *)b->items + i * schema->size);
}

static size_t size_of(const struct setting *s)
{
	switch (s->kind) {
	case SETTING_NUMBER: return sizeof(uint32_t);
	case SETTING_SIZE: return sizeof(uint64_t);
	case SETTING_RATE: return sizeof(struct rate_limit);
	case SETTING_FLAG: return sizeof(bool);
	default: return sizeof(int);
	}
}

static void check_setting(const struct setting *s, const void *a, const void *b)
{
	const void *in_a = (const char *)a + s->at, *in_b = (const char *)b + s->at;

	switch (s->kind) {
	case SETTING_PATH:
	case SETTING_TEXT:
	case SETTING_LIST:
		if (!texts_are_same(*(char *const *)in_a, *(char *const *)in_b))
			fail_msg("%s is not the same", s->name);
		break;
	case SETTING_OBJECT: check_object(s->members, in_a, in_b); break;
	case SETTING_OBJECTS: check_items(s->members, in_a, in_b); break;
	case SETTING_ACTION: break;
	default:
		/* Of no tokens is no limit, whatever else it says. */
		if (s->kind == SETTING_RATE && !((const struct rate_limit *)in_a)->tokens)
			assert_int_equal(((const struct rate_limit *)in_b)->tokens, 0);
		else if (memcmp(in_a, in_b, size_of(s)) != 0)
			fail_msg("%s is not the same", s->name);
		if (s->kind == SETTING_WORD && s->path_at &&
			!texts_are_same(*(char *const *)((const char *)a + s->path_at),
				*(char *const *)((const char *)b + s->path_at)))
			fail_msg("%s has another path", s->name);
	}
}

static void check_object(const struct schema *schema, const void *a, const void *b)
{
	static const char *const of_the_run[] = { "log-level", "timeline", "dry-run", "confine",
		"core-scheduling", "jail" };

	for (size_t i = 0; i < schema->n; i++) {
		const struct setting *s = &schema->settings[i];
		bool is_left_out = false;

		for (size_t j = 0; j < ARRAY_SIZE(of_the_run); j++)
			is_left_out |= !strcmp(s->name, of_the_run[j]);
		if (s->source & FROM_JSON && !is_left_out)
			check_setting(s, a, b);
	}
}

/* ---- there and back ---- */

static void check_round_trip(const struct config *config)
{
	char *text = config_write_json(config), *again;
	struct config back;
	struct diag diag;

	assert_non_null(text);
	config_init(&back);
	if (config_parse_json(&back, "it", text, strlen(text), &diag))
		fail_msg("%s\n%s", diag.text, text);
	check_object(&config_schema, config, &back);
	assert_int_equal(config_n_devices(&back), config_n_devices(config));
	again = config_write_json(&back);
	assert_string_equal(again, text);
	free(again);
	free(text);
	config_fini(&back);
}

/* What the command line has made, with what is there by itself. */
static void check_line(const char *line)
{
	struct config config;
	struct diag diag;

	if (parse(&config, line, &diag))
		fail_msg("%s: %s", line, diag.text);
	check_round_trip(&config);
	config_fini(&config);
}

static void test_defaults(void **state)
{
	check_line("k");
}

/* A row that nobody has set here is one that may be forgotten. */
static void test_every_setting(void **state)
{
	static const char text[] =
		"{ \"kernel\": \"k\", \"initrd\": \"rd\", \"cmdline\": [\"a\", \"b c\", \"\\\"\"],"
		" \"memory\": \"5G\", \"cpus\": 3, \"cpu\": {\"pmu\": true, \"nested\": true},"
		" \"root\": {\"dir\": \"/d\", \"rw\": true, \"init\": \"/i\", \"modules\": \"/m\"},"
		" \"exec\": \"make -j 2, please\","
		" \"console\": \"file:/tmp/a b\", \"console-rate\": \"1M/200ms+5K\","
		" \"escape-key\": \"^]\", \"debug-console\": \"file:d\", \"debug-exit\": \"0xf4\","
		" \"transport\": \"pci\", \"announce\": \"cmdline\", \"ioapic-inputs\": 9,"
		" \"on-reboot\": \"restart\", \"on-triple-fault\": \"poweroff\","
		" \"shim\": \"always\", \"instant\": {\"use\": \"renew\", \"days\": 3, \"uses\": 9},"
		"  \"map-kernel\": \"all\", \"merge\": \"kernel\","
		" \"grace\": 0, \"no-cache\": true, \"dry-run\": true, \"track-dirty-pages\": true, \"timeline\": \"t.svg\","
		" \"log-level\": \"debug\", \"confine\": \"off\", \"core-scheduling\": true,"
		" \"jail\": {\"uid\": 5, \"gid\": 6, \"netns\": \"/n\", \"cgroup\": \"c\","
		" \"no-file\": 9, \"fsize\": \"1M\"},"
		" \"disk\": [{\"path\": \"p\"}], \"net\": [{\"user\": true}], \"vsock\": [{\"cid\": 3}],"
		" \"share\": [{\"dir\": \"s\", \"tag\": \"t\"}], \"balloon\": [{\"size\": \"8M\"}],"
		" \"rng\": [{}], \"hvc\": [{\"to\": \"pty\"}], \"port\": [{\"name\": \"n\"}] }";
	struct config config;
	struct diag diag;
	char key[40];

	for (size_t i = 0; i < config_schema.n; i++) {
		snprintf(key, sizeof(key), "\"%s\":", config_schema.settings[i].name);
		if (config_schema.settings[i].source & FROM_JSON && !strstr(text, key))
			fail_msg("%s is not among those that are tried", key);
	}
	config_init(&config);
	if (config_parse_json(&config, "it", text, strlen(text), &diag))
		fail_msg("%s", diag.text);
	check_round_trip(&config);
	config_fini(&config);
}

static void test_devices(void **state)
{
	static const char *const lines[] = {
		"--disk a k",
		"--disk a,ro,serial=s,queues=2,direct,engine=sync,rate=5M,ops=100/1s+7 k",
		"--disk a,overlay --disk b,overlay=c --disk d,,e k",
		"--disk vhost-user=s,queues=2 k",
		"--net user,hostfwd=tcp:8080:80,host,mac=02:00:00:00:00:01 k",
		"--net tap=tap0,vhost,queues=2,mtu=9000 --net fd=5,rate=1M+1M k",
		"--vsock v,cid=7 k",
		"--share d:t,ro --share vhost-user=s,tag=u k",
		"--balloon size=64M,stats=5,reporting=off,hinting=on k",
		"--balloon off --disk a k",
		"--rng rate=1K,ops=3 k",
		"--rng off --disk a k",
		"--console null --hvc stdio --hvc file:f --hvc pty --hvc socket:s --hvc null k",
		"--port socket:s,name=a --port file:f,name=b.c --port null,name=d k",
		"--transport pci --announce cmdline --disk a --vsock v k",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		check_line(lines[i]);
}

static void test_words_with_paths(void **state)
{
	check_line("--console file:/a/b:c k");
	check_line("--console socket:relative k");
	check_line("--console pty --debug-console stderr k");
	check_line("--console file:stdio --debug-console file:off k");
	check_line("--escape-key none k");
	check_line("--escape-key ^@ k");
}

/* An empty command line is not the same as none. */
static void test_command_line(void **state)
{
	static const char empty[] = "{\"kernel\": \"k\", \"cmdline\": \"\"}";
	struct config config;
	struct diag diag;

	check_line("k -- console=ttyS0 quiet");
	config_init(&config);
	assert_int_equal(config_parse_json(&config, "it", empty, strlen(empty), &diag), 0);
	check_round_trip(&config);
	config_fini(&config);
}

/* ---- rates ---- */

static void check_rate(const char *text)
{
	char line[80];

	snprintf(line, sizeof(line), "--console-rate %s --disk a,rate=%s,ops=%s k", text, text,
		text);
	check_line(line);
}

static void test_rates(void **state)
{
	check_rate("0");
	check_rate("1");
	check_rate("1000");
	check_rate("1M+3M");
	check_rate("1M/1s");
	check_rate("3/7ms");
	check_rate("9/9ms+1");
}

/* ---- what cannot be written ---- */

static void test_what_is_not_utf8(void **state)
{
	static const char *const lines[] = {
		"--disk \xff k",
		"--console file:\xc3\x28 k",
		"\x80",
		"k -- \xe2\x28\xa1",
		"--port socket:\xff,name=a k",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct config config;
		struct diag diag;

		assert_int_equal(parse(&config, lines[i], &diag), 0);
		assert_null(config_write_json(&config));
		config_fini(&config);
	}
	check_line("--disk \xc3\xa4 k");
}

/* As long as one can be. */
static void test_long_path(void **state)
{
	static char line[PATH_MAX + 40] = "--console file:";
	size_t at = strlen(line);

	memset(line + at, 'x', PATH_MAX - 1);
	memcpy(line + at + PATH_MAX - 1, " k", sizeof(" k"));
	check_line(line);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_setting),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_words_with_paths),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_what_is_not_utf8),
		cmocka_unit_test(test_long_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
