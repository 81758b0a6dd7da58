// SPDX-License-Identifier: MIT
/* test_disk_uring.c - what a disk's ring is for, and for nothing else */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/disk_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>

/* Who has got hold of it opens no files by it, and no sockets. */
static void test_restricted(void **state)
{
	struct diag diag;
	struct uring *uring = uring_create(4, &diag);
	struct io_uring *ring = (struct io_uring *)uring; /* its first member */
	struct io_uring_cqe *cqe;
	int fd;

	if (!uring)
		skip();
	for (int i = 0; i < 2; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

		if (i)
			io_uring_prep_close(sqe, 1000);
		else
			io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY, 0);
		assert_int_equal(io_uring_submit(ring), 1);
		assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
		assert_int_equal(cqe->res, -EACCES);
		io_uring_cqe_seen(ring, cqe);
	}
	fd = open("/dev/null", O_RDONLY);
	assert_int_equal(io_uring_register_files(ring, &fd, 1), -EACCES);
	close(fd);
	uring_destroy(uring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restricted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
