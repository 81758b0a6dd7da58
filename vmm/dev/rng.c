// SPDX-License-Identifier: MIT
/* rng.c - virtio-rng */

#include "dev/rng.h"

#include "util/iov.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define QUEUE_SIZE 64

/* For one chain.  It may ask for gigabytes; it gets as much as is made in some ten microseconds. */
#define MOST_BYTES 4096u

struct rng {
	struct virtio_dev dev; /* first */
	uint64_t n_requests, n_bytes;
};

static const struct counter counters[] = {
	VIRTIO_COUNTERS,
	{ "entropy_event_count", offsetof(struct rng, n_requests) },
	{ "entropy_bytes", offsetof(struct rng, n_bytes) },
	{ NULL, 0 },
};

/* An item of a list has a size. */
const struct schema rng_schema = { .size = 1 };

/* Random bytes into the chain; how many there are.  By one system call, however many pieces a guest
 * has its buffer in.
 */
static uint32_t fill(const struct virtq_chain *chain)
{
	uint8_t bytes[MOST_BYTES];
	size_t want = chain->in_size < MOST_BYTES ? chain->in_size : MOST_BYTES;
	ssize_t got = getrandom(bytes, want, 0);

	if (got <= 0)
		return 0;
	return (uint32_t)iov_write(chain->iov + chain->n_out, chain->n_in, bytes, (size_t)got);
}

/* 5.4.6.1: at least a byte for each chain. */
static int rng_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct rng *rng = (struct rng *)dev;
	uint32_t n = fill(chain);

	if (!n)
		return -EBADMSG;
	counter_add(&rng->n_requests, 1);
	counter_add(&rng->n_bytes, n);
	virtq_push(vq, chain->head, n);
	return 0;
}

static void rng_close(struct virtio_dev *dev)
{
	virtio_dev_fini(dev);
	free((struct rng *)dev);
}

static struct virtio_dev *rng_open(const void *, const struct virtio_env *env, struct diag *diag)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	if (!virtio_dev_init(&rng->dev, &rng_class, env, 0, 1, QUEUE_SIZE, diag))
		return &rng->dev;
	free(rng);
	return NULL;
}

const struct virtio_class rng_class = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.options = &rng_schema,
	.open = rng_open,
	.serve = rng_serve,
	.counters = counters,
	.close = rng_close,
};
