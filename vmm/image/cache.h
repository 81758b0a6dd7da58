/* SPDX-License-Identifier: MIT */
/* cache.h - unpacked kernels, kept from one run to the next
 *
 * A private directory of plain files.  An entry's name is the identity of the file it was unpacked
 * from (device, inode, size, mtime, ctime), so a hit hashes and reads nothing.  A finished entry
 * has its source's mtime: any write to it or cut of it afterwards shows.  Entries appear by a link
 * of a complete file; whoever has one open keeps it whatever happens to the name.
 *
 * The cache is a convenience: no failure here is one of the start.
 */
#ifndef IMAGE_CACHE_H
#define IMAGE_CACHE_H

#include "util/diag.h"
#include "util/newfile.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct cache {
	char dir[PATH_MAX];
	char entry[160];
	struct timespec mtime, ctime; /* of the source */
	uid_t owner;                  /* whose directory and entries they must be */
	uint64_t max_size;            /* of all entries together */
	int dir_fd;          /* from cache_open or cache_begin to cache_end, or -1; cache_begin
	                        locks it, if it can be locked */
	struct newfile file; /* of cache_create */
	bool always_name;    /* make no unnamed files: for tests */
};

/* Find out where the entry for a source file is; nothing is opened.  False: the environment names
 * no directory (neither XDG_CACHE_HOME nor HOME), so there is no cache.
 */
bool cache_locate(struct cache *cache, const struct stat *source);

/* Open the directory, if there is one, and see that nobody else owns it or writes to it.  0, or
 * -errno and a reason that names the directory, the cause, and the way out; -ENOENT: there is none.
 */
int cache_open(struct cache *cache, struct diag *diag);

/* An open, sound entry and its size, or -1: not there, damaged, or not ours.  The contents have
 * still to be checked as any ELF; cache_drop() throws an entry away that fails this.
 */
int cache_find(const struct cache *cache, uint64_t *size);
void cache_drop(const struct cache *cache);

/* The way to a new entry: begin, create, (write file.fd,) publish.  begin makes the directory if
 * need be and waits, for a bounded time, for other processes on that way, so look again with
 * cache_find() after it.  The source is to be read after begin only: by then, whatever changes it
 * changes its times too.  Errors as cache_open()'s; -EINVAL: PRONTO_CACHE_SIZE is no size.
 */
int cache_begin(struct cache *cache, struct diag *diag);
int cache_create(struct cache *cache, struct diag *diag);

/* Make the file of `size` bytes an entry, after throwing out those unused for longest.  It stays a
 * file without a name if it is larger than all the cache may be, or if another process was faster.
 */
int cache_publish(struct cache *cache, uint64_t size, struct diag *diag);

/* Give up the lock, the directory and the file.  May be said twice. */
void cache_end(struct cache *cache);

/* The reason in words, for a file of the cache that cannot be written: -err. */
int cache_explain(const struct cache *cache, int err, struct diag *diag);

#endif
