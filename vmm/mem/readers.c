// SPDX-License-Identifier: MIT
/* readers.c - threads that read files into guest RAM together */

#include "mem/readers.h"

#include "util/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a thread takes at once: a huge page, which is then zeroed and filled by the same one. */
#define PIECE MIB(2)

/* What is read in less time than it takes to wake a thread and to wait for it. */
#define TOO_SMALL (4 * PIECE)

void readers_init(struct readers *readers, const struct guest_mem *mem)
{
	*readers = (struct readers){ .mem = mem };
	pthread_mutex_init(&readers->lock, NULL);
	pthread_cond_init(&readers->changed, NULL);
}

void readers_fini(struct readers *readers)
{
	pthread_cond_destroy(&readers->changed);
	pthread_mutex_destroy(&readers->lock);
}

static struct reading take_piece(struct reading *left)
{
	struct reading piece = *left;
	uint64_t size = PIECE - (uintptr_t)left->hva % PIECE;

	if (piece.size > size)
		piece.size = size;
	left->hva += piece.size;
	left->offset += piece.size;
	left->size -= piece.size;
	return piece;
}

static int read_piece(const struct reading *piece)
{
	return file_read_at(piece->fd, piece->hva, piece->size, piece->offset);
}

/* With the lock held, but for the reading itself. */
static void read_pieces(struct readers *readers)
{
	while (readers->left.size) {
		struct reading piece = take_piece(&readers->left);
		int ret;

		readers->n_busy++;
		pthread_mutex_unlock(&readers->lock);
		ret = read_piece(&piece);
		pthread_mutex_lock(&readers->lock);
		if (ret) {
			readers->left.size = 0;
			if (!readers->error)
				readers->error = ret;
		}
		if (!--readers->n_busy && !readers->left.size)
			pthread_cond_broadcast(&readers->changed);
	}
}

static int read_together(struct readers *readers, const struct reading *all)
{
	int error;

	if (all->size < TOO_SMALL)
		return read_piece(all);
	pthread_mutex_lock(&readers->lock);
	readers->left = *all;
	readers->error = 0;
	pthread_cond_broadcast(&readers->changed);
	read_pieces(readers);
	while (readers->n_busy)
		pthread_cond_wait(&readers->changed, &readers->lock);
	error = readers->error;
	pthread_mutex_unlock(&readers->lock);
	return error;
}

/* The next data of the file in [offset, end), as *data and its size.  What a file system that knows
 * no holes says is taken for data.  0: there is only a hole; its end is the file's, or beyond
 * `end`.
 */
static uint64_t next_data(int fd, uint64_t offset, uint64_t end, uint64_t *data)
{
	off_t from = lseek(fd, (off_t)offset, SEEK_DATA), to;

	if (from < 0 && errno == ENXIO)
		return 0;
	*data = from < (off_t)offset ? offset : (uint64_t)from;
	if (*data >= end)
		return 0;
	to = lseek(fd, (off_t)*data, SEEK_HOLE);
	return (to <= (off_t)*data || (uint64_t)to > end ? end : (uint64_t)to) - *data;
}

static int check_size(int fd, uint64_t end)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return (uint64_t)st.st_size < end ? -ENODATA : 0;
}

int readers_read_file(struct readers *readers, gpa_t gpa, int fd, uint64_t offset, uint64_t size)
{
	uint8_t *hva = guest_mem_at(readers->mem, gpa, size);
	uint64_t end = offset + size, data, n;
	int ret;

	if (!hva)
		return -EFAULT;
	if (!range_within(offset, size, 0, INT64_MAX))
		return -ENODATA;
	while (offset < end) {
		n = next_data(fd, offset, end, &data);
		if (!n)
			return check_size(fd, end);
		hva += data - offset;
		ret = read_together(readers, &(struct reading){ hva, fd, data, n });
		if (ret)
			return ret;
		hva += n;
		offset = data + n;
	}
	return 0;
}

void readers_help(struct readers *readers)
{
	pthread_mutex_lock(&readers->lock);
	while (!readers->dismissed) {
		if (readers->left.size)
			read_pieces(readers);
		else
			pthread_cond_wait(&readers->changed, &readers->lock);
	}
	pthread_mutex_unlock(&readers->lock);
}

void readers_dismiss(struct readers *readers)
{
	pthread_mutex_lock(&readers->lock);
	readers->dismissed = true;
	pthread_cond_broadcast(&readers->changed);
	pthread_mutex_unlock(&readers->lock);
}
