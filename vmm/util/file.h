/* SPDX-License-Identifier: MIT */
/* file.h - open what a person named */
#ifndef UTIL_FILE_H
#define UTIL_FILE_H

#include "util/diag.h"

#include <sys/stat.h>

/* Open a regular file that is not empty, for reading.  Its descriptor (owned by the caller) and
 * `st`, or -errno with the reason in diag (the path not included).  Never waits: a FIFO is refused,
 * not opened.
 */
int file_open_regular(const char *path, struct stat *st, struct diag *diag);

#endif
