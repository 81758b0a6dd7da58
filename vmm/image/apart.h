/* SPDX-License-Identifier: MIT */
/* apart.h - work on what is not trusted, in a process that has nothing else
 *
 * The decompressors are more code than all else that reads a kernel's file, and run at what
 * whoever made the file wants.  So they run in a child that has open the file that it reads and
 * the one that it writes, can name no other, and makes the system calls of FILTER_UNPACK alone; its
 * memory, its time and its file are limited.  Whoever takes it over can write to that file what the
 * kernel's maker could have had in it anyway.  Inside image/ only.
 */
#ifndef IMAGE_APART_H
#define IMAGE_APART_H

#include "image/unpack.h"

/* As unpack() or the like. */
typedef int (*apart_work)(
	enum image_compression compression, struct unpack_job *job, struct diag *diag);

/* What `work` does with the job, by a child of this process, which has one thread; waits for its
 * end.  The results, or -ENOEXEC and diag: the child died of the file.  What it says is judged.
 */
int apart_unpack(apart_work work, enum image_compression compression, struct unpack_job *job,
	struct diag *diag);

#endif
