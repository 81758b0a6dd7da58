/* SPDX-License-Identifier: MIT */
/* newfile.h - a file that appears under its name when it is whole, or not at all
 *
 * Where the file system has unnamed files, not even a killed process leaves anything behind.
 */
#ifndef UTIL_NEWFILE_H
#define UTIL_NEWFILE_H

#include <stdbool.h>
#include <sys/types.h>

/* What the name of an unfinished file begins with, where it must have one. */
#define NEWFILE_PREFIX ".new-"

struct newfile {
	int dir_fd;    /* not owned; there until the end */
	int fd;        /* for reading and writing, or -1; owned */
	char temp[32]; /* its name, where it has one already; else "" */
};

/* Make an empty file in a directory; always_name: with a name, as a test wants it.  0, or -errno;
 * there is nothing to discard then.
 */
int newfile_create(struct newfile *file, int dir_fd, mode_t mode, bool always_name);

/* Give the file its name.  0, or -errno, -EEXIST if the name is taken. */
int newfile_link(struct newfile *file, const char *name);

/* The same, in the place of whatever has that name.  A signal meanwhile must not end the process.
 */
int newfile_replace(struct newfile *file, const char *name);

/* Close it, and remove what has no proper name. */
void newfile_discard(struct newfile *file);

#endif
