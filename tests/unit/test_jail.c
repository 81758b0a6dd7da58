// SPDX-License-Identifier: MIT
/* test_jail.c - a jail as a setting, and where in cgroup2's hierarchy a path leads */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_rig.h"
#include "confine/cgroup.h"

static void test_setting(void **state)
{
	struct config config;
	struct diag diag;

	assert_int_equal(
		parse(&config, "k --jail uid=5,gid=6,netns=/n,cgroup=a/b,no-file=9,fsize=1M",
			&diag),
		0);
	assert_true(config_has_jail(&config));
	assert_int_equal(config.jail.uid, 5);
	assert_int_equal(config.jail.gid, 6);
	assert_string_equal(config.jail.netns, "/n");
	assert_string_equal(config.jail.cgroup, "a/b");
	assert_int_equal(config.jail.n_files, 9);
	assert_int_equal(config.jail.file_size, MIB(1));
	config_drop_jail(&config);
	assert_false(config_has_jail(&config));
	assert_null(config.jail.netns);
	assert_null(config.jail.cgroup);
	config_fini(&config);
}

static void test_root_stays_root(void **state)
{
	struct config config;
	struct diag diag;

	assert_int_equal(parse(&config, "k --jail uid=0,gid=0", &diag), 0);
	assert_true(config_has_jail(&config));
	config_fini(&config);
}

static void test_refusals(void **state)
{
	expect_refusal("k --jail gid=1",
		"option --jail: does not say who to become: give both uid=N and gid=N");
	expect_refusal("k --jail uid=1,gid=4294967295",
		"option --jail: gid: '4294967295' is not a whole number from 0 to 4294967294");
	expect_refusal("k --jail uid=1,gid=1,base=/srv",
		"option --jail: unknown key 'base'; the keys are uid, gid, netns, cgroup, no-file, "
		"fsize");
	expect_refusal("k --jail uid=1,gid=1,no-file=0",
		"option --jail: no-file: '0' is not a whole number from 1 to 1048576");
	expect_refusal("k --jail uid=1,gid=1 --instant",
		"--instant and --jail exclude each other: a machine in a jail saves nothing");
}

static int load(void *, const char *, struct config *config, struct diag *)
{
	config->kernel = strdup("k");
	return 0;
}

static void test_memory_that_a_handler_brings(void **state)
{
	char *argv[] = { "restore", "--jail", "uid=1,gid=1", "--from-memory", "uffd:s", "x", NULL };
	struct config config;
	struct diag diag;

	config_init(&config);
	assert_int_equal(config_parse_restore_args(&config, 6, argv, load, NULL, &diag), -EINVAL);
	assert_string_equal(diag.text,
		"--from-memory uffd: and --jail exclude each other: who waits for the memory would "
		"stay outside");
	config_fini(&config);
}

static void test_paths_of_cgroups(void **state)
{
	static const char *const good[] = { "a", "a/b", "a.b/c..d", "...", ".a" };
	static const char *const bad[] = { "", "/a", "a/", "a//b", ".", "..", "a/..", "./a",
		"a/../b", "../a" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(cgroup_is_path(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(cgroup_is_path(bad[i]));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_setting),
		cmocka_unit_test(test_root_stays_root),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_memory_that_a_handler_brings),
		cmocka_unit_test(test_paths_of_cgroups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
