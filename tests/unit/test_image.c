// SPDX-License-Identifier: MIT
/* test_image.c - every kernel file of tests/functional/kernels.py, and what is no regular file */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/layout.h"
#include "boot/place.h"
#include "image/image.h"
#include "image/shim.h"
#include "kernels.h"
#include "util/bits.h"

#include <regex.h>
#include <sys/resource.h>

/* As `run` would with 8 GiB: open, demand the entry, find a place. */
static int try_boot(const char *path, bool use_cache, struct diag *diag)
{
	struct image image;
	struct memmap map;
	int64_t offset;
	int ret;

	ret = image_open(&image, path, use_cache, diag);
	if (ret < 0)
		return ret;
	ret = image_require_pvh_entry(&image, diag);
	memmap_build(&map, GIB(8), LAYOUT_FEW_TABLES);
	if (!ret)
		ret = place_kernel(&map, &image.elf, &offset, diag);
	image_close(&image);
	return ret;
}

static bool says(const char *text, const char *pattern)
{
	regex_t regex;
	bool hit;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	hit = !regexec(&regex, text, 0, NULL, 0);
	regfree(&regex);
	return hit;
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int check_case(char *line, bool use_cache)
{
	const char *name = strtok(line, "\t\n"), *boots = strtok(NULL, "\t\n");
	const char *pattern = strtok(NULL, "\n");
	struct diag diag = { "" };
	int ret;

	ret = try_boot(kernels_path(name), use_cache, &diag);
	if (*boots == '1' ? !ret : ret < 0 && says(diag.text, pattern))
		return 0;
	print_message("%s (cache: %d): %d, '%s'\n", name, use_cache, ret, diag.text);
	return 1;
}

static void test_all_kernels(void **state)
{
	unsigned int n_fds, n_cases = 0;
	int n_wrong = 0;
	char line[512];
	FILE *table;

	setenv("XDG_CACHE_HOME", kernels_path("xdg"), 1);
	for (int pass = 0; pass < 3; pass++) {
		table = fopen(kernels_path("expect"), "r");
		assert_non_null(table);
		n_fds = count_fds();
		while (fgets(line, sizeof(line), table)) {
			n_wrong += check_case(line, pass > 0);
			n_cases++;
		}
		assert_int_equal(count_fds(), n_fds);
		fclose(table);
	}
	assert_true(n_cases > 600);
	assert_int_equal(n_wrong, 0);
}

static void check_refused(const char *path, int err, const char *pattern)
{
	struct diag diag = { "" };
	int ret = try_boot(path, true, &diag);

	if (ret != -err || !says(diag.text, pattern))
		fail_msg("%s: %d, '%s'", path, ret, diag.text);
}

static void test_no_regular_file(void **state)
{
	char path[PATH_MAX];
	int fd;

	check_refused(kernels_path("missing"), ENOENT, "No such file");
	check_refused(kernels_dir, EINVAL, "directory");
	check_refused("/dev/null", EINVAL, "device");
	snprintf(path, sizeof(path), "%s", kernels_path("fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	check_refused(path, EINVAL, "FIFO");
	/* With a writer that writes nothing. */
	fd = open(path, O_RDWR | O_CLOEXEC);
	check_refused(path, EINVAL, "FIFO");
	close(fd);
}

static void test_unreadable(void **state)
{
	int status;
	pid_t pid;

	assert_int_equal(chmod(kernels_path("elf64-entry-8"), 0), 0);
	pid = fork();
	if (!pid) {
		struct diag diag = { "" };

		if (!geteuid() && (chmod(kernels_dir, 0755) || setuid(65534)))
			_exit(1);
		_exit(try_boot(kernels_path("elf64-entry-8"), true, &diag) != -EACCES ||
			!says(diag.text, "Permission denied"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(chmod(kernels_path("elf64-entry-8"), 0600), 0);
}

/* Nothing reads 20 GiB to say that they are too many. */
static void test_sparse(void **state)
{
	char path[PATH_MAX];
	struct rusage before, after;
	int fd;

	snprintf(path, sizeof(path), "%s", kernels_path("sparse"));
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd,
				 "\x7f"
				 "ELF",
				 4),
		4);
	assert_int_equal(ftruncate(fd, (off_t)GIB(20)), 0);
	getrusage(RUSAGE_SELF, &before);
	check_refused(path, EFBIG, "20480 MiB");
	assert_int_equal(ftruncate(fd, (off_t)GIB(4)), 0);
	check_refused(path, ENOEXEC, "ELF class is 0");
	assert_int_equal(pwrite(fd, "\x1f\x8b\x08", 4, 0), 4);
	check_refused(path, ENOEXEC, "damaged|ends early");
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_utime.tv_sec + after.ru_stime.tv_sec <=
		    before.ru_utime.tv_sec + before.ru_stime.tv_sec + 1);
	close(fd);
}

static void test_what_it_is(void **state)
{
	struct diag diag = { "" };
	struct image image;

	assert_int_equal(image_open(&image, kernels_path("bzimage-xz"), false, &diag), 0);
	assert_int_equal(image.kind.container, IMAGE_BZIMAGE);
	assert_int_equal(image.kind.compression, IMAGE_XZ);
	assert_string_equal(image.kind.version, "6.6.6-test (pronto@example) #1 SMP");
	assert_true(image.owned_file);
	assert_true(image_is_linux(&image));
	image_close(&image);
	assert_int_equal(image_open(&image, kernels_path("bare-zstd"), false, &diag), 0);
	assert_int_equal(image.kind.container, IMAGE_COMPRESSED);
	assert_int_equal(image.kind.compression, IMAGE_ZSTD);
	assert_string_equal(image.kind.version, "");
	assert_false(image_is_linux(&image));
	image_close(&image);
	assert_int_equal(image_open(&image, kernels_path("elf64-entry-8"), true, &diag), 0);
	assert_int_equal(image.kind.container, IMAGE_ELF);
	assert_int_equal(image.kind.compression, IMAGE_NONE);
	assert_false(image.owned_file);
	assert_false(image_is_linux(&image));
	image_close(&image);
	/* What was seen before the failure is told. */
	assert_int_equal(
		image_open(&image, kernels_path("bzimage-lz4-damaged"), false, &diag), -ENOEXEC);
	assert_int_equal(image.kind.container, IMAGE_BZIMAGE);
	assert_int_equal(image.kind.compression, IMAGE_LZ4);
	assert_int_equal(image.fd, -1);
}

/* The banner, at an offset, in a copy of a kernel that says nothing else about itself. */
static void check_banner(uint64_t offset, const char *banner, const char *want)
{
	struct diag diag = { "" };
	struct image image;
	char version[32], path[PATH_MAX];
	char *argv[] = { (char *)"/bin/cp", NULL, path, NULL };
	int fd;

	snprintf(path, sizeof(path), "%s", kernels_path("banner"));
	argv[1] = (char *)(uintptr_t)kernels_path("elf64-entry-8");
	assert_int_equal(kernels_run(argv), 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, banner, strlen(banner) + 1, (off_t)offset), strlen(banner) + 1);
	close(fd);
	assert_int_equal(image_open(&image, path, false, &diag), 0);
	assert_int_equal(image_find_version(&image, version, sizeof(version)), *want != '\0');
	assert_int_equal(image_is_linux(&image), *want != '\0');
	assert_string_equal(version, want);
	image_close(&image);
}

static void test_version(void **state)
{
	check_banner(1000, "Linux version 6.1.0 (x)\n", "6.1.0 (x)");
	check_banner(1000, "Linux version 6", "6");
	check_banner(1000, "Linux version 6.1.0 with a text far longer than room",
		"6.1.0 with a text far longer th");
	check_banner(1000, "Linux version %s", "");
	check_banner(1000, "Linux version %s Linux version 5.4", "5.4");
	check_banner(1000, "Linux versio", "");
	/* Across the places where one reading of the file ends and the next begins. */
	for (uint64_t at = (256 << 10) - 1100; at < (256 << 10) + 40; at += 13)
		check_banner(at, "Linux version 6.1.0\n", "6.1.0");
}

static void test_guest_os(void **state)
{
	struct diag diag = { "" };
	struct image image;

	assert_int_equal(
		image_open(&image, kernels_path("elf-note-after-others"), false, &diag), 0);
	assert_true(image_is_linux(&image));
	image_close(&image);
}

static void test_whole(void **state)
{
	struct diag diag = { "" };
	struct image image;
	uint64_t size;
	int fd;

	/* As it is, byte for byte; nothing in it is unpacked. */
	fd = kernels_open("shim-bzimage-lzo", &size);
	close(fd);
	assert_int_equal(
		image_open(&image, kernels_path("shim-bzimage-lzo"), true, &diag), -ENOTSUP);
	assert_true(image.needs_shim);
	assert_int_equal(
		image_open_whole(&image, kernels_path("shim-bzimage-lzo"), true, &diag), 0);
	assert_int_equal(image.size, size);
	assert_int_equal(image.kind.room_start, MIB(16));
	assert_int_equal(image.kind.room_end, MIB(24));
	assert_int_equal(image.elf.n_segments, 0);
	assert_false(image.owned_file);
	image_close(&image);
	/* Of an ELF, what is loaded. */
	assert_int_equal(image_open_whole(&image, kernels_path("shim-elf-debug"), true, &diag), 0);
	assert_int_equal(image.size, image.elf.file_end);
	assert_true(image.size < 4096);
	assert_int_equal(image.kind.room_start, MIB(16));
	image_close(&image);
	/* What has a PVH entry does not need it, and may have it. */
	assert_int_equal(image_open(&image, kernels_path("bzimage-xz"), true, &diag), 0);
	assert_false(image.needs_shim);
	image_close(&image);
	assert_int_equal(image_open(&image, kernels_path("elf64-no-note"), true, &diag), 0);
	assert_false(image.needs_shim);
	image_close(&image);
	assert_int_equal(image_open(&image, kernels_path("shim-elf"), true, &diag), 0);
	assert_true(image.needs_shim);
	image_close(&image);
}

static void test_shim_itself(void **state)
{
	struct diag diag = { "" };
	struct image image;
	uint64_t start, end;

	assert_int_equal(image_open_shim(&image, &diag), 0);
	assert_int_equal(image_require_pvh_entry(&image, &diag), 0);
	assert_true(image.elf.is_64);
	assert_int_equal(image.elf.start, MIB(1));
	shim_range(&start, &end);
	assert_int_equal(start, image.elf.start);
	assert_int_equal(end, image.elf.end);
	image_close(&image);
}

static int setup(void **state)
{
	return kernels_make(NULL);
}

static int teardown(void **state)
{
	return kernels_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kernels),
		cmocka_unit_test(test_no_regular_file),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_sparse),
		cmocka_unit_test(test_what_it_is),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_guest_os),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_shim_itself),
	};

	return cmocka_run_group_tests_name("image", tests, setup, teardown);
}
