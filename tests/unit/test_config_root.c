// SPDX-License-Identifier: MIT
/* test_config_root.c - a directory of the host as root file system, as a setting */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_rig.h"

/* It is a share like others, which the guest cannot write to unless that is said. */
static void expect_root(const char *line, bool read_only, const char *cmdline_end)
{
	const struct setting_list *shares;
	const struct fs_options *share;
	const char *cmdline;
	struct config config;
	struct diag diag;

	assert_int_equal(parse(&config, line, &diag), 0);
	shares = &config.devices[DEVICE_share];
	share = (const struct fs_options *)shares->items + shares->n - 1;
	assert_string_equal(share->dir, "/d");
	assert_string_equal(share->tag, "root");
	assert_int_equal(share->read_only, read_only);
	assert_true(config_shares_memory(&config));
	cmdline = config_default_cmdline(&config);
	assert_string_equal(cmdline + strlen(cmdline) - strlen(cmdline_end), cmdline_end);
	config_fini(&config);
}

static void test_root(void **state)
{
	expect_root("k --root /d", true, "pci=off 8250.nr_uarts=1 loglevel=3");
	expect_root("k --root /d,overlay --hvc stdio", true, " loglevel=3 console=hvc0");
	expect_root("k --root dir=/d,ro --share /e:e", true, " loglevel=3");
	expect_root("k --root /d,rw,init=/i,modules=/m --transport pci", false,
		"notests 8250.nr_uarts=1 loglevel=3");
	expect_root("k --root /d --exec e", true, " loglevel=3");
	expect_refusal("k --root ro", "option --root: names no directory: give DIR");
	expect_refusal("k --root=", "option --root: dir: the path is empty; name a file");
	expect_refusal(
		"k --root /d,ro,rw", "option --root: `overlay`, `ro` and `rw` exclude each other");
	expect_refusal("k --root /d,ro --root /d,rw",
		"option --root: `overlay`, `ro` and `rw` exclude each other");
	expect_refusal("k --root /d,tag=t",
		"option --root: unknown key 'tag'; the keys are dir, overlay, ro, rw, init, modules; "
		"a comma within a value is written ,,");
	expect_refusal("k --exec e", "--exec is for the shell of --root: give that, too");
	expect_refusal("k --root /d -i i",
		"--initrd and --root exclude each other: the initrd of --root is one that mounts it");
	expect_refusal("k --root /d,init=/i --exec e",
		"--exec and `init` of --root exclude each other: a command needs our init");
	expect_refusal("k --root /d --exec e --debug-exit 0xf4",
		"--exec and --debug-exit exclude each other: both say what pronto's status is to be");
	expect_refusal("k --root /d --share /e:root",
		"--share: the tag root is that of --root: take another");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
