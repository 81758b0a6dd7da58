/* SPDX-License-Identifier: MIT */
/* file.h - open what a person named; read and write at a place in a file */
#ifndef UTIL_FILE_H
#define UTIL_FILE_H

#include "util/diag.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Open a regular file that is not empty, for reading.  Its descriptor (owned by the caller) and
 * `st`, or -errno with the reason in diag (the path not included).  Never waits: a FIFO is refused,
 * not opened.
 */
int file_open_regular(const char *path, struct stat *st, struct diag *diag);

/* Open what `path` names in the file system whose root is the directory root_fd: as after
 * chroot(2), neither .. nor a symbolic link leads out of it.  For opening `flags`; never waits for
 * a FIFO.  A descriptor, owned by the caller, or -errno.
 */
int file_open_in(int root_fd, const char *path, int flags);

/* fstat(2), and nothing else: a C library may make newfstatat(2) of it, which takes paths as well,
 * so that a confined process has none.  0 or -errno.
 */
int file_stat(int fd, struct stat *st);

/* Of any size: more than one system call moves (2 GiB), and however it is interrupted.
 *
 * Read exactly `size` bytes at `offset`.  0; -ENODATA if the file ends before; read's error.
 */
int file_read_at(int fd, void *data, size_t size, uint64_t offset);

/* As much as there is of `size` bytes at `offset`: the count, or read's error. */
int64_t file_read_some(int fd, void *data, size_t size, uint64_t offset);

/* Write exactly `size` bytes at `offset`.  0, or write's error (-EIO if it says nothing). */
int file_write_at(int fd, const void *data, size_t size, uint64_t offset);

#endif
