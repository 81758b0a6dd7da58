// SPDX-License-Identifier: MIT
/* rng.c - virtio-rng */

#include "dev/rng.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/random.h"
#include "util/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define QUEUE_SIZE 64

/* For one chain.  It may ask for gigabytes; it gets as much as is made in some ten microseconds. */
#define MOST_BYTES 4096u

#define AT(member) offsetof(struct rng_options, member)

static const struct setting settings[] = {
	{ "rate", 0, SETTING_RATE, ANYWHERE, .at = AT(rate), .takes = "RATE" },
	{ "ops", 0, SETTING_RATE, ANYWHERE, .at = AT(ops), .takes = "RATE" },
};

const struct schema rng_schema = {
	.settings = settings,
	.n = ARRAY_SIZE(settings),
	.size = sizeof(struct rng_options),
};

struct rng {
	struct virtio_dev dev; /* first */
	struct rate rate;
	struct loop_source timer; /* for what has to wait by it; fd -1: there is no limit */
	uint64_t n_requests, n_bytes;
	uint64_t n_throttled; /* times that the queue had to wait by its rate */
};

static const struct counter counters[] = {
	VIRTIO_COUNTERS,
	{ "entropy_event_count", offsetof(struct rng, n_requests) },
	{ "entropy_bytes", offsetof(struct rng, n_bytes) },
	{ "entropy_rate_limiter_throttled", offsetof(struct rng, n_throttled) },
	{ NULL, 0 },
};

/* Random bytes into the chain; how many there are.  By one system call, however many pieces a guest
 * has its buffer in.
 */
static uint32_t fill(const struct virtq_chain *chain)
{
	uint8_t bytes[MOST_BYTES];
	size_t want = chain->in_size < MOST_BYTES ? chain->in_size : MOST_BYTES;
	ssize_t got = random_bytes(bytes, want);

	if (got <= 0)
		return 0;
	return (uint32_t)iov_write(chain->iov + chain->n_out, chain->n_in, bytes, (size_t)got);
}

/* 5.4.6.1: at least a byte for each chain. */
static int rng_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct rng *rng = (struct rng *)dev;
	uint32_t n;

	if (!loop_may_go(&rng->rate, rng->timer.fd)) {
		counter_add(&rng->n_throttled, 1);
		return -EAGAIN;
	}
	n = fill(chain);
	if (!n)
		return -EBADMSG;
	counter_add(&rng->n_requests, 1);
	counter_add(&rng->n_bytes, n);
	rate_take(&rng->rate, n);
	virtq_push(vq, chain->head, n);
	return 0;
}

static void timer_ready(void *ctx, uint32_t)
{
	struct rng *rng = ctx;

	loop_counter_read(rng->timer.fd);
	virtio_serve(&rng->dev, virtio_queue(&rng->dev, 0));
}

static int set_rate(struct rng *rng, const struct rng_options *options, struct diag *diag)
{
	int ret = 0;

	rng->timer = (struct loop_source){ -1, timer_ready, rng, &rng->dev.dev.lock };
	rate_set(&rng->rate, &options->rate, &options->ops, timeline_now());
	if (rate_is_limited(&rng->rate))
		ret = loop_add_timer(rng->dev.env->loop, &rng->timer, 0, 0);
	return ret ? diag_fail(diag, -ret, "timerfd: %s", error_text(-ret)) : 0;
}

static void rng_close(struct virtio_dev *dev)
{
	struct rng *rng = (struct rng *)dev;

	if (rng->timer.fd >= 0)
		close(rng->timer.fd);
	virtio_dev_fini(dev);
	free(rng);
}

static struct virtio_dev *rng_open(
	const void *options, const struct virtio_env *env, struct diag *diag)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	if (virtio_dev_init(&rng->dev, &rng_class, env, 0, 1, QUEUE_SIZE, diag)) {
		free(rng);
		return NULL;
	}
	if (!set_rate(rng, options, diag))
		return &rng->dev;
	rng_close(&rng->dev);
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
