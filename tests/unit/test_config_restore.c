// SPDX-License-Identifier: MIT
/* test_config_restore.c - what options change of a machine that goes on from a snapshot */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_rig.h"

static const char *saved_text, *asked_path;
static unsigned int n_loads;

/* The settings that the snapshot has. */
static int load(void *ctx, const char *path, struct config *config, struct diag *diag)
{
	assert_ptr_equal(ctx, &n_loads);
	n_loads++;
	asked_path = path;
	if (!saved_text)
		return diag_fail(diag, ENOENT, "%s: there is none", path);
	return config_parse_json(config, path, saved_text, strlen(saved_text), diag);
}

static int restore(struct config *config, const char *line, struct diag *diag)
{
	char *argv[MAX_ARGS + 1] = { "restore" }, *copy = strdup(line), *rest = copy, *word;
	int argc = 1, ret;

	while (*line && (word = strsep(&rest, " ")) != NULL)
		argv[argc++] = word;
	n_loads = 0;
	config_init(config);
	ret = config_parse_restore_args(config, argc, argv, load, &n_loads, diag);
	free(copy);
	return ret;
}

#define SAVED                                                                             \
	"{\"kernel\": \"k\", \"memory\": \"64M\", \"cpus\": 3, \"console\": \"null\","    \
	" \"disk\": [{\"path\": \"a\", \"ro\": true}, {\"path\": \"b\", \"queues\": 2}]," \
	" \"net\": [{\"tap\": \"tap0\", \"mtu\": 9000}], \"hvc\": [{\"to\": \"null\"}] }"

static const struct blk_options *disk(const struct config *config, size_t i)
{
	return (const struct blk_options *)config->devices[DEVICE_disk].items + i;
}

/* ---- what can be changed ---- */

static void test_nothing_is_changed(void **state)
{
	struct config config;
	struct diag diag;

	saved_text = SAVED;
	assert_int_equal(restore(&config, "some/where", &diag), 0);
	assert_int_equal(n_loads, 1);
	assert_int_equal(config.memory, MIB(64));
	assert_int_equal(config.cpus, 3);
	assert_int_equal(config_n_devices(&config), 4); /* and none was added by itself */
	assert_string_equal(disk(&config, 1)->path, "b");
	config_fini(&config);
}

/* The first option is for the first of its kind, and what it does not name stays; the order with
 * the snapshot does not matter.
 */
static void test_devices_are_changed_in_turn(void **state)
{
	const struct net_options *net;
	struct config config;
	struct diag diag;

	assert_int_equal(
		restore(&config, "--disk path=c s --disk d --net tap=tap7 --grace 3", &diag), 0);
	assert_string_equal(disk(&config, 0)->path, "c");
	assert_true(disk(&config, 0)->read_only);
	assert_string_equal(disk(&config, 1)->path, "d");
	assert_int_equal(disk(&config, 1)->n_queues, 2);
	net = config.devices[DEVICE_net].items;
	assert_string_equal(net->tap, "tap7");
	assert_int_equal(net->mtu, 9000);
	assert_int_equal(config.grace_s, 3);
	assert_int_equal(config_n_devices(&config), 4);
	config_fini(&config);
}

static void test_options_of_its_own(void **state)
{
	struct config config;
	struct diag diag;

	assert_int_equal(
		restore(&config,
			"s --from-memory m --clock stood --console file:f --on-reboot restart",
			&diag),
		0);
	assert_int_equal(config.memory_from, MEMORY_FROM_FILE);
	assert_string_equal(config.memory_path, "m");
	assert_int_equal(config.clock, CLOCK_STOOD);
	assert_int_equal(config.console, CONSOLE_FILE);
	assert_string_equal(config.console_path, "f");
	assert_int_equal(config.on_reboot, ON_REBOOT_RESTART);
	config_fini(&config);
	assert_int_equal(restore(&config, "s --from-memory uffd:m", &diag), 0);
	assert_int_equal(config.memory_from, MEMORY_FROM_HANDLER);
	assert_string_equal(config.memory_path, "m");
	config_fini(&config);
	/* `pronto run` has none of them. */
	expect_refusal("--clock host k", "unknown option --clock; did you mean --vsock?");
}

/* ---- what cannot ---- */

static void expect_restore_refusal(const char *line, const char *message)
{
	struct config config;
	struct diag diag;

	assert_int_equal(restore(&config, line, &diag), -EINVAL);
	assert_string_equal(diag.text, message);
	config_fini(&config);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{ "", "no snapshot given; see `pronto restore --help`" },
		{ "a b", "'b' would be a second snapshot" },
		{ "s --memory 1G", "--memory is as the snapshot has it, and cannot be changed" },
		{ "s --cpus=9", "--cpus is as the snapshot has it, and cannot be changed" },
		{ "s --initrd x", "--initrd is as the snapshot has it, and cannot be changed" },
		{ "s --config x", "--config is as the snapshot has it, and cannot be changed" },
		{ "s --rng on",
			"option --rng: the snapshot's machine has 0 such devices, and none can "
			"be added" },
		{ "s --disk c --disk d --disk e",
			"option --disk: the snapshot's machine has 2 such devices, and none can be added" },
		{ "s --disk size=3", NULL },
		{ "s -- quiet", "words after -- are a kernel's, and none is started" },
		{ "s --console stdio --hvc stdio",
			"standard input and output are one console's, and --console has them already; "
			"give the others a file, a pty or a socket" },
		{ "s --disk serial=x --disk serial=x", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;
		struct diag diag;

		assert_int_equal(restore(&config, cases[i].line, &diag), -EINVAL);
		if (cases[i].message && strcmp(diag.text, cases[i].message) != 0)
			fail_msg("'%s': %s", cases[i].line, diag.text);
		config_fini(&config);
	}
	expect_restore_refusal("--console", "option --console needs an argument, "
					    "auto|stdio|file:PATH|pty|socket:PATH|null");
}

static void test_snapshot_without_settings(void **state)
{
	struct config config;
	struct diag diag;

	saved_text = NULL;
	assert_int_equal(restore(&config, "some/where", &diag), -ENOENT);
	assert_string_equal(diag.text, "some/where: there is none");
	config_fini(&config);
	saved_text = "{\"memory\": \"64M\"}";
	assert_int_equal(restore(&config, "some/where", &diag), -EINVAL);
	assert_string_equal(diag.text, "no kernel is given");
	config_fini(&config);
	saved_text = SAVED;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_changed),
		cmocka_unit_test(test_devices_are_changed_in_turn),
		cmocka_unit_test(test_options_of_its_own),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_snapshot_without_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
