// SPDX-License-Identifier: MIT
/* test_bzimage.c - the setup header of a bzImage; the bad ones are in test_image.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/bzimage.h"
#include "kernels.h"

static const char *const names[] = { "bzimage-gzip", "bzimage-setup-sects-0",
	"bzimage-old-protocol", "bzimage-signed", "bzimage-version-outside", "elf64-entry-8",
	"text", NULL };

static struct bzimage parse(const char *name)
{
	struct bzimage bz;
	struct diag diag = { "" };
	uint64_t size;
	int fd = kernels_open(name, &size);

	assert_true(fd >= 0);
	if (bzimage_parse(&bz, fd, size, &diag))
		fail_msg("%s: %s", name, diag.text);
	close(fd);
	return bz;
}

static bool detect(const char *name, size_t n)
{
	uint8_t head[1024];
	uint64_t size;
	int fd = kernels_open(name, &size);
	ssize_t got = pread(fd, head, sizeof(head), 0);

	close(fd);
	return bzimage_detect(head, got > (ssize_t)n ? n : (size_t)got);
}

static void test_detect(void **state)
{
	assert_true(detect("bzimage-gzip", 1024));
	assert_true(detect("bzimage-gzip", 0x206));
	assert_false(detect("bzimage-gzip", 0x205));
	assert_false(detect("bzimage-gzip", 0));
	assert_false(detect("elf64-entry-8", 1024));
	assert_false(detect("text", 1024));
}

static void test_payload(void **state)
{
	struct bzimage bz = parse("bzimage-gzip");
	struct bzimage with_signature = parse("bzimage-signed");

	assert_int_equal(bz.payload_offset, 3 * 512 + 64);
	assert_int_equal(bz.init_size, 16 << 20);
	assert_string_equal(bz.version, "6.6.6-test (pronto@example) #1 SMP");
	assert_int_equal(with_signature.payload_size, bz.payload_size);
	assert_int_equal(parse("bzimage-setup-sects-0").payload_offset, 5 * 512 + 64);
}

static void test_fields_that_are_not_there(void **state)
{
	assert_int_equal(parse("bzimage-old-protocol").init_size, 0);
	assert_string_equal(parse("bzimage-version-outside").version, "");
}

static int setup(void **state)
{
	return kernels_make(names);
}

static int teardown(void **state)
{
	return kernels_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_fields_that_are_not_there),
	};

	return cmocka_run_group_tests_name("bzimage", tests, setup, teardown);
}
