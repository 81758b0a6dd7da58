// SPDX-License-Identifier: MIT
/* test_iov.c - bytes that lie in several segments */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/iov.h"

#include <string.h>

#define SIZE 12 /* of all segments below */

/* Three segments and an empty one, with a byte between that nobody may touch. */
struct fixture {
	char a[5], gap_a, b[4], gap_b, c[3], gap_c;
	struct iovec iov[4];
};

static void init(struct fixture *f)
{
	memcpy(f, "abcde-fghi-jkl-", 15);
	f->iov[0] = (struct iovec){ f->a, 5 };
	f->iov[1] = (struct iovec){ f->b, 0 };
	f->iov[2] = (struct iovec){ f->b, 4 };
	f->iov[3] = (struct iovec){ f->c, 3 };
}

/* Each size is read whole, and not a byte more is written. */
static void test_read(void **state)
{
	struct fixture f;

	init(&f);
	for (size_t size = 0; size < SIZE + 4; size++) {
		size_t n = size < SIZE ? size : SIZE;
		char data[SIZE + 8];

		memset(data, '.', sizeof(data));
		assert_int_equal(iov_read(f.iov, 4, data, size), n);
		assert_memory_equal(data, "abcdefghijkl", n);
		for (size_t i = n; i < sizeof(data); i++)
			assert_int_equal(data[i], '.');
	}
	assert_int_equal(iov_read(f.iov, 0, NULL, 5), 0);
}

static void test_write(void **state)
{
	static const char news[] = "ABCDEFGHIJKLMNOP", olds[] = "abcdefghijkl";

	for (size_t size = 0; size < SIZE + 4; size++) {
		size_t n = size < SIZE ? size : SIZE;
		struct fixture f;
		char data[SIZE];

		init(&f);
		assert_int_equal(iov_write(f.iov, 4, news, size), n);
		assert_int_equal(iov_read(f.iov, 4, data, SIZE), SIZE);
		assert_memory_equal(data, news, n);
		assert_memory_equal(data + n, olds + n, SIZE - n);
		assert_int_equal(f.gap_a + f.gap_b + f.gap_c, 3 * '-');
	}
}

/* From each byte on, each size: that and no byte more. */
static void test_at(void **state)
{
	static const char news[] = "ABCDEFGHIJKLMNOP", olds[] = "abcdefghijkl";

	for (size_t offset = 0; offset < SIZE + 3; offset++)
		for (size_t size = 0; size < SIZE + 3; size++) {
			size_t rest = offset < SIZE ? SIZE - offset : 0;
			size_t n = size < rest ? size : rest;
			struct fixture f;
			char data[SIZE + 8];

			init(&f);
			memset(data, '.', sizeof(data));
			assert_int_equal(iov_read_at(f.iov, 4, offset, data, size), n);
			if (n)
				assert_memory_equal(data, olds + offset, n);
			assert_int_equal(data[n], '.');
			assert_int_equal(iov_write_at(f.iov, 4, offset, news, size), n);
			assert_int_equal(iov_read(f.iov, 4, data, SIZE), SIZE);
			for (size_t i = 0; i < SIZE; i++)
				assert_int_equal(data[i],
					i >= offset && i < offset + n ? news[i - offset] : olds[i]);
			assert_int_equal(f.gap_a + f.gap_b + f.gap_c, 3 * '-');
		}
}

/* What is left is the rest, and begins with a byte. */
static void test_skip(void **state)
{
	for (size_t size = 0; size <= SIZE; size++) {
		struct fixture f;
		struct iovec *iov = f.iov;
		char data[SIZE];
		unsigned int n;

		init(&f);
		n = iov_skip(&iov, 4, size);
		assert_int_equal(n, size < 5 ? 4 : size < 9 ? 2 : size < SIZE ? 1 : 0);
		assert_ptr_equal(iov, f.iov + 4 - n);
		if (n)
			assert_true(iov->iov_len > 0);
		assert_int_equal(iov_read(iov, n, data, SIZE), SIZE - size);
		assert_memory_equal(data, &"abcdefghijkl"[size], SIZE - size);
	}
}

/* Every part, of which what lies behind the end is left out, and no segment of which is empty. */
static void test_slice(void **state)
{
	struct fixture f;

	init(&f);
	for (size_t offset = 0; offset < SIZE + 3; offset++)
		for (size_t size = 0; size < SIZE + 3; size++) {
			size_t rest = offset < SIZE ? SIZE - offset : 0;
			size_t n = size < rest ? size : rest, sum = 0;
			struct iovec part[4];
			char data[SIZE];
			unsigned int n_parts = iov_slice(part, f.iov, 4, offset, size);

			assert_true(n_parts <= 3);
			for (unsigned int i = 0; i < n_parts; i++) {
				assert_true(part[i].iov_len > 0);
				sum += part[i].iov_len;
			}
			assert_int_equal(sum, n);
			assert_int_equal(iov_read(part, n_parts, data, SIZE), n);
			if (n)
				assert_memory_equal(data, &"abcdefghijkl"[offset], n);
		}
}

static void test_slice_of_everything(void **state)
{
	struct fixture f;
	struct iovec part[4];

	init(&f);
	assert_int_equal(iov_slice(part, f.iov, 4, 2, UINT64_MAX), 3);
	assert_ptr_equal(part[0].iov_base, f.a + 2);
	assert_int_equal(part[0].iov_len, 3);
	assert_int_equal(part[2].iov_len, 3);
	assert_int_equal(iov_slice(part, f.iov, 4, UINT64_MAX, UINT64_MAX), 0);
	assert_int_equal(iov_slice(part, f.iov, 0, 0, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_at),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_slice),
		cmocka_unit_test(test_slice_of_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
