// SPDX-License-Identifier: MIT
/* test_modules.c - a kernel's modules in somebody's root file system: order, what is missing, and
 * lies */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "initramfs/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define RELEASE "6.1.0-test"
#define DIR     "root/lib/modules/" RELEASE

static char top[] =
	"/tmp/pronto-modules-XXXXXX"; /* root/ is the file system; the rest is outside */
static int root_fd;

static void write_bytes(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	close(fd);
}

static void write_text(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text));
}

static int set_up(void **state)
{
	if (!mkdtemp(top) || chdir(top))
		return -1;
	return mkdir("root", 0700) || mkdir("root/lib", 0700) || mkdir("root/lib/modules", 0700) ||
	       mkdir(DIR, 0700) || mkdir(DIR "/kernel", 0700) ||
	       (root_fd = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0;
}

static int tear_down(void **state)
{
	close(root_fd);
	return system("rm -r \"$PWD\"");
}

static void open_lists(struct modules *modules, const char *dep, const char *builtin)
{
	struct diag diag;

	write_text(DIR "/modules.dep", dep);
	if (builtin)
		write_text(DIR "/modules.builtin", builtin);
	else
		unlink(DIR "/modules.builtin");
	assert_int_equal(modules_open(modules, root_fd, RELEASE, &diag), 0);
}

/* Those to load, "a b c". */
static void check_load(const struct modules *modules, const char *wanted)
{
	char text[512] = "";
	size_t n = 0;

	for (size_t i = 0; i < modules->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i ? " " : "",
			(int)modules->load[i].size, modules->load[i].at);
	assert_string_equal(text, wanted);
}

static void test_order(void **state)
{
	struct modules modules;

	open_lists(&modules,
		"kernel/a.ko: kernel/b.ko kernel/c.ko\n"
		"kernel/b.ko: kernel/c.ko\n"
		"kernel/c.ko:\n"
		"kernel/virtio-rng.ko.xz: kernel/c.ko\n"
		"kernel/aa.ko.zst:",
		"kernel/fs/built-in.ko\nkernel/last.ko");
	assert_int_equal(modules_want(&modules, "a"), 0);
	check_load(&modules, "kernel/c.ko kernel/b.ko kernel/a.ko");
	assert_int_equal(modules_want(&modules, "virtio_rng"), 0);
	assert_int_equal(modules_want(&modules, "a"), 0);
	assert_int_equal(modules_want(&modules, "built_in"), 0);
	assert_int_equal(modules_want(&modules, "last"), 0);
	check_load(&modules, "kernel/c.ko kernel/b.ko kernel/a.ko kernel/virtio-rng.ko.xz");
	assert_int_equal(modules_want(&modules, "aa"), 0);
	assert_int_equal(modules_want(&modules, "none"), -ENOENT);
	assert_int_equal(modules_want(&modules, "aaa"), -ENOENT);
	assert_int_equal(modules_want(&modules, ""), -ENOENT);
	assert_int_equal(modules.n, 5);
	modules_close(&modules);
}

/* What is not listed may be built in, if nobody says what is. */
static void test_no_builtin(void **state)
{
	struct modules modules;

	open_lists(&modules, "", NULL);
	assert_int_equal(modules_want(&modules, "a"), 0);
	assert_int_equal(modules.n, 0);
	modules_close(&modules);
	open_lists(&modules, "", "");
	assert_int_equal(modules_want(&modules, "a"), -ENOENT);
	modules_close(&modules);
}

static void test_damaged_lists(void **state)
{
	static const struct {
		const char *dep, *load;
		int ret;
	} cases[] = {
		/* A ring ends; each is there once. */
		{ "a.ko: b.ko\nb.ko: a.ko\n", "b.ko a.ko", 0 },
		{ "a.ko: a.ko a.ko\n", "a.ko", 0 },
		{ "a.ko:b.ko  c.ko \n", "c.ko b.ko a.ko", 0 },
		{ "a.ko\n", "a.ko", 0 },
		{ "a.ko: \n", "a.ko", 0 },
		{ ":\n::\n: a.ko\n\n\n/\n/:\na.ko:::\n", ":: a.ko", 0 },
		{ "a.koa: b\n", "b a.koa", 0 },
		{ ".ko: b\nko: b\n.ko/a: b\n", "", -ENOENT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct modules modules;

		open_lists(&modules, cases[i].dep, "");
		assert_int_equal(modules_want(&modules, "a"), cases[i].ret);
		check_load(&modules, cases[i].load);
		modules_close(&modules);
	}
}

static void test_too_many(void **state)
{
	char dep[4096] = "a.ko:";
	struct modules modules;
	size_t n = strlen(dep);

	for (int i = 0; i < MODULES_MAX; i++)
		n += (size_t)snprintf(dep + n, sizeof(dep) - n, " %d.ko", i);
	open_lists(&modules, dep, NULL);
	assert_int_equal(modules_want(&modules, "a"), -E2BIG);
	assert_int_equal(modules.n, MODULES_MAX);
	modules_close(&modules);
}

static void expect_no_lists(int err, const char *release, const char *says)
{
	struct modules modules;
	struct diag diag;

	assert_int_equal(modules_open(&modules, root_fd, release, &diag), -err);
	assert_string_equal(diag.text, says);
}

static void test_no_lists(void **state)
{
	char release[400];
	char says[450];

	expect_no_lists(ENOENT, "7.0", "lib/modules/7.0: No such file or directory");
	memset(release, 'r', sizeof(release));
	release[sizeof(release) - 1] = '\0';
	snprintf(says, sizeof(says), "lib/modules/%s: File name too long", release);
	expect_no_lists(ENAMETOOLONG, release, says);
	unlink(DIR "/modules.dep");
	expect_no_lists(EINVAL, RELEASE,
		"lib/modules/" RELEASE
		"/modules.dep: No such file or directory; `depmod` makes it");
	assert_int_equal(mkfifo(DIR "/modules.dep", 0600), 0); /* nobody waits for its writer */
	expect_no_lists(EINVAL, RELEASE,
		"lib/modules/" RELEASE
		"/modules.dep: it is no file of at most 32 MiB; `depmod` makes it");
	unlink(DIR "/modules.dep");
	write_text(DIR "/modules.dep", "");
	assert_int_equal(truncate(DIR "/modules.dep", (off_t)MODULES_MAX_SIZE + 1), 0);
	expect_no_lists(EINVAL, RELEASE,
		"lib/modules/" RELEASE
		"/modules.dep: it is no file of at most 32 MiB; `depmod` makes it");
	write_text(DIR "/modules.dep", "");
	unlink(DIR "/modules.builtin");
	assert_int_equal(mkdir(DIR "/modules.builtin", 0700), 0);
	expect_no_lists(EINVAL, RELEASE,
		"lib/modules/" RELEASE "/modules.builtin: it is no file of at most 32 MiB");
	rmdir(DIR "/modules.builtin");
}

/* ---- their content ---- */

/* Read the module of this path: 0 and what is in it, or why not. */
static int read_module(const char *path, char *says, size_t size)
{
	struct modules modules;
	char dep[600], name[MODULES_NAME];
	struct diag diag;
	uint8_t *data;
	size_t n;
	int ret;

	snprintf(dep, sizeof(dep), "a.ko: %s\n", path);
	open_lists(&modules, dep, NULL);
	assert_int_equal(modules_want(&modules, "a"), 0);
	ret = modules_read(&modules, 0, name, &data, &n, &diag);
	if (ret)
		snprintf(says, size, "%s", diag.text);
	else
		snprintf(says, size, "%s %.*s", name, (int)n, (const char *)data);
	if (!ret)
		free(data);
	modules_close(&modules);
	return ret;
}

static void expect_module(const char *path, int ret, const char *says)
{
	char text[sizeof(struct diag)];

	assert_int_equal(read_module(path, text, sizeof(text)), ret);
	assert_string_equal(text, says);
}

static void test_content(void **state)
{
	write_text(DIR "/kernel/my-mod.ko", "plain");
	expect_module("kernel/my-mod.ko", 0, "my-mod plain");
	expect_module("/lib/modules/" RELEASE "/kernel/my-mod.ko", 0, "my-mod plain");
	expect_module("kernel/none.ko", -ENOENT,
		"lib/modules/" RELEASE "/kernel/none.ko: No such file or directory");
	write_text(DIR "/kernel/empty.ko", "");
	expect_module("kernel/empty.ko", -EINVAL,
		"lib/modules/" RELEASE "/kernel/empty.ko: it is no file with something in it");
	assert_int_equal(mkdir(DIR "/kernel/dir.ko", 0700), 0);
	expect_module("kernel/dir.ko", -EINVAL,
		"lib/modules/" RELEASE "/kernel/dir.ko: it is no file with something in it");
}

/* A name becomes that of a file in the archive. */
static void test_bad_names(void **state)
{
	static const char *const paths[] = { "kernel/.ko", "kernel/", "kernel", "x/.../y",
		"a\\b.ko", "kernel/..ko", "kernel/a\033.ko", "../.ko" };
	char path[300], says[sizeof(struct diag)], want[sizeof(struct diag)];

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(read_module(paths[i], says, sizeof(says)), -EINVAL);
		assert_non_null(strstr(says, "' is no module's file"));
	}
	memset(path, 'm', MODULES_NAME);
	memcpy(path + MODULES_NAME, ".ko", sizeof(".ko"));
	snprintf(want, sizeof(want),
		"lib/modules/" RELEASE "/modules.dep: '%s' is no module's file", path);
	expect_module(path, -EINVAL, want);
}

/* By no path, and by no link, is anything read that is not of the file system. */
static void test_escapes(void **state)
{
	char link[200], says[250];

	write_text("secret.ko", "secret");
	expect_module("../../../../secret.ko", -ENOENT,
		"lib/modules/" RELEASE "/../../../../secret.ko: No such file or directory");
	snprintf(link, sizeof(link), "%s/secret.ko", top);
	snprintf(says, sizeof(says), "%s: No such file or directory", link);
	expect_module(link, -ENOENT, says);
	assert_int_equal(symlink(link, DIR "/kernel/absolute.ko"), 0);
	expect_module("kernel/absolute.ko", -ENOENT,
		"lib/modules/" RELEASE "/kernel/absolute.ko: No such file or directory");
	assert_int_equal(symlink("../../../../../secret.ko", DIR "/kernel/relative.ko"), 0);
	expect_module("kernel/relative.ko", -ENOENT,
		"lib/modules/" RELEASE "/kernel/relative.ko: No such file or directory");
	assert_int_equal(symlink("loop.ko", DIR "/kernel/loop.ko"), 0);
	expect_module("kernel/loop.ko", -ELOOP,
		"lib/modules/" RELEASE "/kernel/loop.ko: Too many levels of symbolic links");
	/* Within it links are what they are in it. */
	write_text("root/secret.ko", "its own");
	expect_module("kernel/relative.ko", 0, "relative its own");
	expect_module("../../../../secret.ko", 0, "secret its own");
}

/* And where lib leads. */
static void test_linked_lib(void **state)
{
	struct modules modules;
	struct diag diag;

	open_lists(&modules, "a.ko:\n", NULL);
	modules_close(&modules);
	assert_int_equal(rename("root/lib", "root/usr"), 0);
	assert_int_equal(symlink("/usr", "root/lib"), 0);
	assert_int_equal(modules_open(&modules, root_fd, RELEASE, &diag), 0);
	assert_int_equal(modules_want(&modules, "a"), 0);
	modules_close(&modules);
	unlink("root/lib");
	assert_int_equal(rename("root/usr", "root/lib"), 0);
}

static void test_packed(void **state)
{
	static uint8_t zeros[1 << 20], packed[1 << 16];
	z_stream z = { .next_in = zeros,
		.avail_in = sizeof(zeros),
		.next_out = packed,
		.avail_out = sizeof(packed) };
	size_t size;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size = sizeof(packed) - z.avail_out;
	deflateEnd(&z);
	write_bytes(DIR "/kernel/zeros.ko.gz", packed, size);
	expect_module("kernel/zeros.ko.gz", 0, "zeros ");
	write_bytes(DIR "/kernel/short.ko.gz", packed, size / 2);
	expect_module("kernel/short.ko.gz", -EINVAL,
		"lib/modules/" RELEASE "/kernel/short.ko.gz: it is packed by gzip, and damaged");
	write_text(DIR "/kernel/b.ko.bz2", "BZh9");
	expect_module("kernel/b.ko.bz2", -ENOTSUP,
		"lib/modules/" RELEASE "/kernel/b.ko.bz2: it is packed by bzip2: use another");
}

/* A file that unpacks to more than there may be. */
static void test_bomb(void **state)
{
	static uint8_t zeros[1 << 20], packed[1 << 18];
	z_stream z = { .next_out = packed, .avail_out = sizeof(packed) };

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
	for (uint64_t i = 0; i <= MODULES_MAX_SIZE >> 20; i++) {
		z.next_in = zeros;
		z.avail_in = sizeof(zeros);
		assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
	}
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	write_bytes(DIR "/kernel/bomb.ko.gz", packed, sizeof(packed) - z.avail_out);
	deflateEnd(&z);
	expect_module("kernel/bomb.ko.gz", -EFBIG,
		"lib/modules/" RELEASE
		"/kernel/bomb.ko.gz: packed by gzip, it has more than 32 MiB");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_no_builtin),
		cmocka_unit_test(test_damaged_lists),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_no_lists),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_linked_lib),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_bomb),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
