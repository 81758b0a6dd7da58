/* SPDX-License-Identifier: MIT */
/* insisting_host.h - reads of a host that may insist on large pieces; for one file of a test */
#ifndef TESTS_UNIT_INSISTING_HOST_H
#define TESTS_UNIT_INSISTING_HOST_H

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* A host whose direct I/O is by 4096 bytes: it refuses less. */
bool insists;

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	if (insists && size < 4096) {
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_pread64, fd, data, size, offset);
}

/* What clang 19 makes of a fortified call, with the C library of Debian 13. */
ssize_t __pread64_chk(int fd, void *data, size_t size, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *data, size_t size, off_t offset, size_t room)
{
	assert_true(size <= room);
	return pread(fd, data, size, offset);
}

#endif
