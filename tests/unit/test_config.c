// SPDX-License-Identifier: MIT
/* test_config.c - settings from arguments and files, and what is refused */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_rig.h"

#include <sys/stat.h>
#include <unistd.h>

#define ONE_STDIO "standard input and output are one console's, and "

static void expect_serial(const char *line, enum console_kind kind)
{
	struct config config;
	struct diag diag;

	assert_int_equal(parse(&config, line, &diag), 0);
	assert_int_equal(config_serial_console(&config), kind);
	config_fini(&config);
}

static void test_consoles(void **state)
{
	expect_serial("k", CONSOLE_STDIO);
	expect_serial("--hvc pty k", CONSOLE_STDIO);
	expect_serial("--hvc stdio k", CONSOLE_NULL);
	expect_serial("--port stdio,name=data k", CONSOLE_NULL);
	expect_serial("--hvc stdio --console file:log k", CONSOLE_FILE);
	expect_serial("--hvc stdio --hvc off k", CONSOLE_STDIO);
	expect_refusal("--hvc stdio --console stdio k",
		ONE_STDIO "--console has them already; give the others a file, a pty or a socket");
	expect_refusal("--hvc stdio --hvc pty --hvc stdio k", ONE_STDIO
		"--hvc or --port has them already; give the others a file, a pty or a socket");
	expect_refusal("--port pty k", "option --port: has no name: give name=NAME");
	expect_refusal("--port pty,name=a/b k",
		"option --port: 'a/b' is to be a file's name in the guest: without '/', nor '.' in "
		"front");
}

static void test_escape_key(void **state)
{
	static const struct {
		const char *text;
		int key;
	} keys[] = { { "^A", 1 }, { "^b", 2 }, { "^@", 0 }, { "^]", 0x1d }, { "^_", 0x1f },
		{ "none", -1 } };
	static const char *const others[] = { "", "A", "^", "^AA", "^1", "^?", "^`", "^\302\201",
		"None" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char line[32];
		struct config config;
		struct diag diag;

		snprintf(line, sizeof(line), "--escape-key=%s k", keys[i].text);
		assert_int_equal(parse(&config, line, &diag), 0);
		assert_int_equal(config.escape_key, keys[i].key);
		config_fini(&config);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		char line[32];
		struct config config;
		struct diag diag;

		snprintf(line, sizeof(line), "--escape-key=%s k", others[i]);
		assert_int_equal(parse(&config, line, &diag), -EINVAL);
		config_fini(&config);
	}
	expect_refusal("--escape-key=x k",
		"option --escape-key: 'x' is not a control key; give ^A or the like, or none");
}

static void test_defaults(void **state)
{
	struct config config;
	struct diag diag;

	assert_int_equal(parse(&config, "vmlinux", &diag), 0);
	assert_string_equal(config.kernel, "vmlinux");
	assert_null(config.initrd);
	assert_null(config.cmdline);
	assert_int_equal(config.memory, MIB(256));
	assert_int_equal(config.cpus, 1);
	assert_int_equal(config.console, CONSOLE_AUTO);
	assert_int_equal(config_serial_console(&config), CONSOLE_STDIO);
	assert_null(config.console_path);
	assert_int_equal(config.escape_key, 1);
	assert_int_equal(config.on_reboot, ON_REBOOT_EXIT);
	assert_int_equal(config.grace_s, 10);
	assert_int_equal(config.shim, SHIM_AUTO);
	assert_int_equal(config.map_kernel, LOAD_MAP_CONSTANTS);
	assert_int_equal(config.merge, MERGE_NONE);
	assert_false(config.cpu.nested);
	assert_false(config.cpu.pmu);
	assert_false(config.no_cache);
	assert_false(config.dry_run);
	assert_int_equal(config.timeline, TIMELINE_TO_NOWHERE);
	assert_null(config.timeline_path);
	assert_int_equal(config.confine, CONFINE_DEFAULT);
	assert_false(config_has_jail(&config));
	assert_int_equal(config.log_level, LOG_LEVEL_WARN);
	config_fini(&config);
}

static void test_every_option(void **state)
{
	struct config config;
	struct diag diag;

	assert_int_equal(
		parse(&config,
			"-i rd --memory=3g k -c4 --console file:log --on-reboot restart --grace 0"
			" --cpu nested=on,pmu --shim always --map-kernel none --merge kernel --no-cache --dry-run --timeline -- a b",
			&diag),
		0);
	assert_string_equal(config.kernel, "k");
	assert_string_equal(config.initrd, "rd");
	assert_string_equal(config.cmdline, "a b");
	assert_int_equal(config.memory, GIB(3));
	assert_int_equal(config.cpus, 4);
	assert_true(config.cpu.nested);
	assert_true(config.cpu.pmu);
	assert_int_equal(config.console, CONSOLE_FILE);
	assert_string_equal(config.console_path, "log");
	assert_int_equal(config.on_reboot, ON_REBOOT_RESTART);
	assert_int_equal(config.grace_s, 0);
	assert_int_equal(config.shim, SHIM_ALWAYS);
	assert_int_equal(config.map_kernel, LOAD_MAP_NONE);
	assert_int_equal(config.merge, MERGE_KERNEL);
	assert_true(config.no_cache);
	assert_true(config.dry_run);
	assert_int_equal(config.timeline, TIMELINE_TO_STDERR);
	config_fini(&config);
}

/* Off, printed or in a file; the last one counts. */
/* Open files of ours, whatever kind of setting has their numbers. */
static void test_descriptors(void **state)
{
	struct config config;
	struct diag diag;
	int fds[8], sum = 0;
	size_t n;

	assert_int_equal(parse(&config,
				 "k --net fd=7 --net tap=x --disk /dev/fd/8 --console "
				 "file:/proc/self/fd/9 --initrd /dev/fd/x --hvc file:/dev/fd/11",
				 &diag),
		0);
	n = config_descriptors(&config, fds, ARRAY_SIZE(fds));
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++)
		sum += fds[i];
	assert_int_equal(sum, 7 + 8 + 9 + 11);
	assert_int_equal(config_descriptors(&config, fds, 2), 2);
	config_fini(&config);
}

static void test_timeline(void **state)
{
	static const struct {
		const char *line;
		enum timeline_to to;
		const char *path;
	} cases[] = {
		{ "--timeline k", TIMELINE_TO_STDERR, NULL },
		{ "k --timeline=a.svg --timeline=b.svg", TIMELINE_TO_FILE, "b.svg" },
		{ "--timeline=a.svg --timeline k", TIMELINE_TO_STDERR, NULL },
		{ "--timeline=a.svg --timeline=off k", TIMELINE_TO_NOWHERE, NULL },
		{ "--timeline=./off k", TIMELINE_TO_FILE, "./off" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;
		struct diag diag;

		assert_int_equal(parse(&config, cases[i].line, &diag), 0);
		assert_string_equal(config.kernel, "k");
		assert_int_equal(config.timeline, cases[i].to);
		if (cases[i].path)
			assert_string_equal(config.timeline_path, cases[i].path);
		else
			assert_null(config.timeline_path);
		config_fini(&config);
	}
	expect_refusal("--timeline= k", "option --timeline: the path is empty; name a file");
}

/* What is not named keeps its value. */
static void test_object(void **state)
{
	static const struct {
		const char *line;
		bool nested, pmu;
	} cases[] = {
		{ "k --cpu nested=on", true, false },
		{ "k --cpu pmu --cpu nested=on", true, true },
		{ "k --cpu pmu,nested --cpu pmu=off", true, false },
		{ "k --cpu pmu=on,pmu=off", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;
		struct diag diag;

		assert_int_equal(parse(&config, cases[i].line, &diag), 0);
		assert_int_equal(config.cpu.nested, cases[i].nested);
		assert_int_equal(config.cpu.pmu, cases[i].pmu);
		config_fini(&config);
	}
	expect_refusal(
		"k --cpu host", "option --cpu: unknown key 'host'; the keys are nested, pmu");
	expect_refusal("k --cpu pum=on", "option --cpu: unknown key 'pum'; did you mean pmu?");
	expect_refusal("k --cpu=", "option --cpu: unknown key ''; the keys are nested, pmu");
	expect_refusal(
		"k --cpu nested=on,", "option --cpu: unknown key ''; the keys are nested, pmu");
	expect_refusal("k --cpu pmu=1", "option --cpu: pmu: '1' is not on or off");
	expect_refusal("k --cpu pmu=", "option --cpu: pmu: '' is not on or off");
	expect_refusal("k --cpu", "option --cpu needs an argument, nested=on|off,pmu=on|off");
}

static void test_last_one_wins(void **state)
{
	struct config config;
	struct diag diag;

	assert_int_equal(parse(&config, "k --shim always --no-shim", &diag), 0);
	assert_int_equal(config.shim, SHIM_NEVER);
	config_fini(&config);
	assert_int_equal(parse(&config, "k --no-shim --shim auto", &diag), 0);
	assert_int_equal(config.shim, SHIM_AUTO);
	config_fini(&config);

	assert_int_equal(
		parse(&config, "k -c 2 --console file:x -i a -c 3 --console pty -i b", &diag), 0);
	assert_int_equal(config.cpus, 3);
	assert_int_equal(config.console, CONSOLE_PTY);
	assert_null(config.console_path);
	assert_string_equal(config.initrd, "b");
	config_fini(&config);
}

static void test_log_level(void **state)
{
	static const struct {
		const char *line;
		enum log_level level;
	} cases[] = {
		{ "k -v", LOG_LEVEL_INFO },
		{ "-vv k", LOG_LEVEL_DEBUG },
		{ "k -vvvv", LOG_LEVEL_DEBUG },
		{ "--log-level error k", LOG_LEVEL_ERROR },
		{ "--log-level error -v k", LOG_LEVEL_WARN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;
		struct diag diag;

		assert_int_equal(parse(&config, cases[i].line, &diag), 0);
		assert_int_equal(config.log_level, cases[i].level);
		config_fini(&config);
	}
}

/* The kernel's command line: NULL stands for the default. */
static void test_cmdline(void **state)
{
	static const struct {
		const char *line;
		const char *cmdline;
	} cases[] = {
		{ "k", NULL },
		{ "k --", "" },
		{ "k -- quiet", "quiet" },
		{ "k -- --help -- x", "--help -- x" },
		{ "k --cmdline quiet", "quiet" },
		{ "k --cmdline=", "" },
		{ "k --cmdline quiet --cmdline=a", "quiet a" },
		{ "k -i --", NULL },
		{ "k -i -- --", "" },
		{ "k -i -- -- x", "x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;
		struct diag diag;

		assert_int_equal(parse(&config, cases[i].line, &diag), 0);
		if (cases[i].cmdline)
			assert_string_equal(config.cmdline, cases[i].cmdline);
		else
			assert_null(config.cmdline);
		config_fini(&config);
	}
}

static void test_memory_limits(void **state)
{
	static const struct {
		const char *line;
		uint64_t memory;
	} cases[] = {
		{ "k -m 32M", MIB(32) },
		{ "k -m 32768K", MIB(32) },
		{ "k -m 33554432", MIB(32) },
		{ "k -m 33558528", MIB(32) + 4096 },
		{ "k -m 5G", GIB(5) },
		{ "k -m 1024g", GIB(1024) },
		{ "k -m 1.5GiB", MIB(1536) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config config;
		struct diag diag;

		assert_int_equal(parse(&config, cases[i].line, &diag), 0);
		assert_int_equal(config.memory, cases[i].memory);
		config_fini(&config);
	}
}

static void test_bad_values(void **state)
{
#define NOT_A_SIZE(text) \
	"option --memory: '" text "' is not a size; give a number with K, M, G or T, such as 512M"
	expect_refusal("k -m 31M", "option --memory: 31M is too little; give at least 32M");
	expect_refusal("k -m 31.999M", "option --memory: 31.999M is too little; give at least 32M");
	expect_refusal("k -m 0", "option --memory: 0 is too little; give at least 32M");
	expect_refusal("k -m 512", "option --memory: 512 is in bytes; did you mean 512M?");
	expect_refusal("k -m 32", "option --memory: 32 is in bytes; did you mean 32M?");
	expect_refusal("k -m 31", "option --memory: 31 is in bytes; did you mean 31G?");
	expect_refusal("k -m 1048577", "option --memory: 1048577 is too little; give at least 32M");
	expect_refusal("k -m 512B", "option --memory: 512B is too little; give at least 32M");
	expect_refusal("k -m 33554433", "option --memory: 33554433 is not a multiple of 4K");
	expect_refusal("k -m 1.3333G", "option --memory: 1.3333G is not a multiple of 4K");
	expect_refusal("k -m 1025G", "option --memory: 1025G is too much; give at most 1T");
	expect_refusal("k -m 18446744073709551615",
		"option --memory: 18446744073709551615 is too much; give at most 1T");
	/* 2^64 and 2^34 GiB must not come out as small numbers. */
	expect_refusal("k -m 18446744073709551616", NOT_A_SIZE("18446744073709551616"));
	expect_refusal("k -m 17179869185G", NOT_A_SIZE("17179869185G"));
	expect_refusal("k -m -1G", NOT_A_SIZE("-1G"));
	expect_refusal("k -m 0x100M", NOT_A_SIZE("0x100M"));
	expect_refusal("k -m M", NOT_A_SIZE("M"));
	expect_refusal("k --memory=", NOT_A_SIZE(""));
#undef NOT_A_SIZE
	expect_refusal("k -c 0", "option --cpus: '0' is not a whole number from 1 to 64");
	expect_refusal("k -c 65", "option --cpus: '65' is not a whole number from 1 to 64");
	expect_refusal("k -c 4294967297",
		"option --cpus: '4294967297' is not a whole number from 1 to 64");
	expect_refusal("k -c two", "option --cpus: 'two' is not a whole number from 1 to 64");
	expect_refusal("k -c 2x", "option --cpus: '2x' is not a whole number from 1 to 64");
	expect_refusal(
		"k --grace 1.5", "option --grace: '1.5' is not a whole number from 0 to 86400");
	expect_refusal("k --console file:", "option --console: the path is empty; name a file");
	expect_refusal("k --console tty",
		"option --console: 'tty' is not auto, stdio, file:PATH, pty, socket:PATH or null");
	expect_refusal("k --on-reboot halt", "option --on-reboot: 'halt' is not exit or restart");
	expect_refusal("k --shim yes", "option --shim: 'yes' is not auto, always or never");
	expect_refusal(
		"k --map-kernel code", "option --map-kernel: 'code' is not constants, all or none");
	expect_refusal("k --merge yes", "option --merge: 'yes' is not none, kernel or all");
	expect_refusal(
		"k --log-level 3", "option --log-level: '3' is not error, warn, info or debug");
	expect_refusal("k --initrd=", "option --initrd: the path is empty; name a file");
}

static void test_bad_usage(void **state)
{
	expect_refusal("-v", "no kernel given; see `pronto run --help`");
	expect_refusal("-- k", "no kernel given; see `pronto run --help`");
	expect_refusal("", "kernel: the path is empty; name a file");
	expect_refusal("a b", "'b' would be a second kernel; words for the kernel go after --");
	expect_refusal("k -m", "option --memory needs an argument, SIZE");
	expect_refusal("k --console",
		"option --console needs an argument, auto|stdio|file:PATH|pty|socket:PATH|null");
	expect_refusal("k --dry-run=1", "option --dry-run takes no argument");
	expect_refusal("k -x", "unknown option -x; see `pronto run --help`");
	expect_refusal("k -xm", "unknown option -x; see `pronto run --help`");
	expect_refusal("k --memroy=1G", "unknown option --memroy; did you mean --memory?");
	expect_refusal("k --mmoy=1G", "unknown option --mmoy; did you mean --memory?");
	expect_refusal("k --memmorry=1G", "unknown option --memmorry; did you mean --memory?");
	/* A name is cut, but never all of it away. */
	expect_refusal("-----------------------------------------------------------",
		"unknown or ambiguous option -----------------------------------------; see `pronto run --help`");
	expect_refusal("k --frobnicate",
		"unknown or ambiguous option --frobnicate; see `pronto run --help`");
	expect_refusal("k --cmdline a -- b",
		"--cmdline and words after -- are both the kernel's command line; give one");
}

/* Options of other programs, and long ones with one dash, which would be letters. */
static void test_foreign_options(void **state)
{
	expect_refusal("k --append quiet", "unknown option --append; did you mean --cmdline?");
	expect_refusal("k -append quiet", "unknown option -append; did you mean --cmdline?");
	expect_refusal("--smp 2 k", "unknown option --smp; did you mean --cpus?");
	expect_refusal("-smp=2 k", "unknown option -smp; did you mean --cpus?");
	expect_refusal(
		"--kernel k", "unknown option --kernel; the kernel is given without an option");
	expect_refusal(
		"-kernel k", "unknown option -kernel; the kernel is given without an option");
	expect_refusal("-initrd i k", "unknown option -initrd; did you mean --initrd?");
	expect_refusal("-memory 1G k", "unknown option -memory; did you mean --memory?");
	expect_refusal("-v -memory=1G k", "unknown option -memory; did you mean --memory?");
	expect_refusal("k -nographic",
		"unknown option -nographic; leave it out: there is only the serial console");
	expect_refusal("k --drive=d", "unknown option --drive; did you mean --disk?");
	/* Not where it is an argument, or the kernel's. */
	{
		struct config config;
		struct diag diag;

		assert_int_equal(parse(&config, "k -m512M -i -append -- -kernel", &diag), 0);
		assert_string_equal(config.initrd, "-append");
		assert_string_equal(config.cmdline, "-kernel");
		config_fini(&config);
	}
}

/* A directory of our own, in which the file tests work. */
static int enter_tmp(void **state)
{
	char name[] = "/tmp/test_config.XXXXXX";

	if (!mkdtemp(name) || chdir(name))
		return -1;
	*state = strdup(name);
	return 0;
}

static int leave_tmp(void **state)
{
	static const char *const names[] = { "c.json", "d.json", "fifo", "large" };
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(names[i]);
	ret = chdir("/") || rmdir(*state);
	free(*state);
	return ret;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void test_file_is_overridden(void **state)
{
	struct config config;
	struct diag diag;

	write_file("c.json",
		"{\"kernel\": \"a\", \"cpus\": 2, \"memory\": \"64M\", \"cmdline\": \"x\"}");
	write_file("d.json", "{\"memory\": \"128M\"}");

	assert_int_equal(parse(&config, "--config c.json", &diag), 0);
	assert_string_equal(config.kernel, "a");
	assert_int_equal(config.cpus, 2);
	assert_string_equal(config.cmdline, "x");
	config_fini(&config);

	assert_int_equal(parse(&config, "b -c 3 --config c.json --config d.json -- y z", &diag), 0);
	assert_string_equal(config.kernel, "b");
	assert_int_equal(config.cpus, 3);
	assert_int_equal(config.memory, MIB(128));
	assert_string_equal(config.cmdline, "y z");
	config_fini(&config);
}

static void test_bad_files(void **state)
{
	write_file("c.json", "{\"cpus\": 0}");
	write_file("d.json", "");
	write_file("large", "{}");
	assert_int_equal(truncate("large", (off_t)CONFIG_MAX_FILE + 1), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);

	expect_refusal("k --config c.json",
		"c.json: line 1: \"cpus\": '0' is not a whole number from 1 to 64");
	expect_refusal("k --config d.json", "configuration 'd.json': is empty");
	expect_refusal("k --config large", "configuration 'large': is larger than 1 MiB");
	expect_refusal("k --config fifo", "configuration 'fifo': is a FIFO; give a regular file");
	expect_refusal("k --config .", "configuration '.': is a directory; give a regular file");
	expect_refusal(
		"k --config no", "configuration 'no': cannot open: No such file or directory");
	/* The size itself is still allowed; what follows the object is not. */
	assert_int_equal(truncate("large", (off_t)CONFIG_MAX_FILE), 0);
	expect_refusal("k --config large",
		"large: line 1, column 3: not JSON: end of file expected near end of file");
}

/* The help has a line for each option, and none for what is not an option. */
static void test_help(void **state)
{
	char *text = NULL, option[64];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_print_help(out);
	assert_int_equal(fclose(out), 0);
	for (size_t i = 0; i < config_schema.n; i++) {
		const struct setting *s = &config_schema.settings[i];

		snprintf(option, sizeof(option), "--%s", s->name);
		assert_int_equal(!!strstr(text, option), !!(s->source & FROM_ARGS));
	}
	/* An argument is what the row says, or what its kind does. */
	assert_non_null(strstr(text, " -m, --memory SIZE "));
	assert_non_null(strstr(text, " --console auto|stdio|file:PATH|pty|socket:PATH|null\n"));
	assert_non_null(strstr(text, " --cpu nested=on|off,pmu=on|off\n"));
	assert_non_null(strstr(text, " --no-shim "));
	assert_non_null(strstr(text, " --timeline[=FILE] "));
	free(text);
}

/* A source of random bytes comes with the first other device, unless it is refused. */
static void test_rng_comes_along(void **state)
{
	static const struct {
		const char *line;
		unsigned int n_rng, n;
	} cases[] = {
		{ "k", 0, 0 },
		{ "k --rng on", 1, 1 },
		{ "k --rng off", 0, 0 },
		{ "k --balloon on", 1, 2 },
		{ "k --balloon on --rng off", 0, 1 },
		{ "k --rng off --balloon on --rng on", 1, 2 },
		{ "k --balloon on --balloon off", 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config config;
		struct diag diag;

		assert_int_equal(parse(&config, cases[i].line, &diag), 0);
		assert_int_equal(config.devices[DEVICE_rng].n, cases[i].n_rng);
		assert_int_equal(config_n_devices(&config), cases[i].n);
		config_fini(&config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_consoles),
		cmocka_unit_test(test_escape_key),
		cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_last_one_wins),
		cmocka_unit_test(test_log_level),
		cmocka_unit_test(test_cmdline),
		cmocka_unit_test(test_memory_limits),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_usage),
		cmocka_unit_test(test_foreign_options),
		cmocka_unit_test_setup_teardown(test_file_is_overridden, enter_tmp, leave_tmp),
		cmocka_unit_test_setup_teardown(test_bad_files, enter_tmp, leave_tmp),
		cmocka_unit_test(test_rng_comes_along),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
