// SPDX-License-Identifier: MIT
/* readers.c - threads that read files into guest RAM together */

#include "mem/readers.h"

/* What a thread takes at once: a huge page, which is then zeroed and filled by the same one. */
#define PIECE MIB(2)

/* What is read in less time than it takes to wake a thread and to wait for it. */
#define TOO_SMALL (2 * PIECE)

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
	uint64_t size = ALIGN_UP(left->gpa + 1, PIECE) - left->gpa;

	if (piece.size > size)
		piece.size = size;
	left->gpa += piece.size;
	left->offset += piece.size;
	left->size -= piece.size;
	return piece;
}

/* With the lock held, but for the reading itself. */
static void read_pieces(struct readers *readers)
{
	while (readers->left.size) {
		struct reading piece = take_piece(&readers->left);
		int ret;

		readers->n_busy++;
		pthread_mutex_unlock(&readers->lock);
		ret = guest_mem_read_file(
			readers->mem, piece.gpa, piece.fd, piece.offset, piece.size);
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

int readers_read_file(struct readers *readers, gpa_t gpa, int fd, uint64_t offset, uint64_t size)
{
	int error;

	/* As a whole, or it fails as a whole. */
	if (size < TOO_SMALL || !guest_mem_at(readers->mem, gpa, size) ||
		!range_within(offset, size, 0, INT64_MAX))
		return guest_mem_read_file(readers->mem, gpa, fd, offset, size);
	pthread_mutex_lock(&readers->lock);
	readers->left = (struct reading){ gpa, fd, offset, size };
	readers->error = 0;
	pthread_cond_broadcast(&readers->changed);
	read_pieces(readers);
	while (readers->n_busy)
		pthread_cond_wait(&readers->changed, &readers->lock);
	error = readers->error;
	pthread_mutex_unlock(&readers->lock);
	return error;
}

void readers_help(struct readers *readers)
{
	pthread_mutex_lock(&readers->lock);
	while (!readers->dismissed) {
		read_pieces(readers);
		if (!readers->dismissed)
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
