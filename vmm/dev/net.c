// SPDX-License-Identifier: MIT
/* net.c - virtio-net */

#include "dev/net.h"

#include "dev/net_parts.h"
#include "dev/net_rx.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/timeline.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* A burst is told of when it has this many bytes, so that the guest works while the rest is read.
 */
#define SIGNAL_BYTES 65536u

/* A pair of queues, and the link's queue for it. */
struct pair {
	struct net *net;
	struct link *link;
	struct loop_source frames; /* link->fd */
	bool awaits_room;          /* link->fd is watched for being writable */
	struct virtq *vq[2];       /* RX, TX */
	struct net_rx rx;
};

struct net {
	struct virtio_dev dev; /* first */
	struct virtio_net_config config;
	struct net_pairs pairs;
	struct loop_source end;   /* link->end_fd, or -1 */
	struct loop_source timer; /* for what has to wait by its rate; -1: there is none */
	bool is_down;             /* the link has ended */
	struct net_state saved;
	struct rate rate[2];
	uint64_t n_frames[2], n_bytes[2], n_dropped[2];
	uint64_t n_throttled[2]; /* times that a queue had to wait by its rate */
	struct net_mmds mmds;    /* its frames come by the first pair */
	struct loop_source mmds_frames;
	struct pair pair[]; /* pairs.n */
};

static const struct counter counters[] = {
	VIRTIO_COUNTERS,
	{ "rx_packets_count", offsetof(struct net, n_frames[RX]) },
	{ "rx_bytes_count", offsetof(struct net, n_bytes[RX]) },
	{ "rx_fails", offsetof(struct net, n_dropped[RX]) },
	{ "rx_rate_limiter_throttled", offsetof(struct net, n_throttled[RX]) },
	{ "tx_packets_count", offsetof(struct net, n_frames[TX]) },
	{ "tx_bytes_count", offsetof(struct net, n_bytes[TX]) },
	{ "tx_fails", offsetof(struct net, n_dropped[TX]) },
	{ "tx_rate_limiter_throttled", offsetof(struct net, n_throttled[TX]) },
	{ NULL, 0 },
};

static bool is_on(const struct pair *pair)
{
	return pair < pair->net->pair + pair->net->pairs.n_on;
}

/* ---- the link's end ---- */

static void link_ended(struct net *net)
{
	if (net->is_down)
		return;
	net->is_down = true;
	for (unsigned int i = 0; i < net->pairs.n; i++)
		loop_remove(net->dev.env->loop, &net->pair[i].frames);
	net->config.status = 0;
	virtio_config_changed(&net->dev);
	if (net->end.fd < 0)
		net_explain_end(&net->dev, net->pairs.link);
}

static void end_ready(void *ctx, uint32_t)
{
	struct net *net = ctx;

	loop_remove(net->dev.env->loop, &net->end);
	net_explain_end(&net->dev, net->pairs.link);
	link_ended(net);
}

/* ---- rates ---- */

static void timer_ready(void *ctx, uint32_t)
{
	struct net *net = ctx;

	loop_counter_read(net->timer.fd);
	for (unsigned int i = 0; i < net->pairs.n; i++) {
		virtio_serve(&net->dev, net->pair[i].vq[TX]);
		virtio_serve(&net->dev, net->pair[i].vq[RX]);
	}
}

static bool may_go(struct net *net, unsigned int way)
{
	if (loop_may_go(&net->rate[way], net->timer.fd))
		return true;
	counter_add(&net->n_throttled[way], 1);
	return false;
}

/* Bytes on the wire: without the header that only the two ends of the queue know. */
static void count_frame(struct net *net, unsigned int way, uint64_t size)
{
	counter_add(&net->n_frames[way], 1);
	counter_add(&net->n_bytes[way], size - LINK_HEADER);
}

/* ---- from the guest ---- */

static void await_room(struct pair *pair, bool on)
{
	if (pair->awaits_room == on || pair->net->is_down)
		return;
	pair->awaits_room = on;
	loop_change(pair->net->dev.env->loop, &pair->frames,
		EPOLLIN | EPOLLET | (on ? (uint32_t)EPOLLOUT : 0));
}

/* Whether it is one for the metadata service. */
static bool send_to_mmds(struct net *net, const struct virtq_chain *chain, int *ret)
{
	if (!net->mmds.link || !net_mmds_send(&net->mmds, chain->iov, chain->n_out, ret))
		return false;
	if (*ret == -EAGAIN) /* TCP sends it again */
		*ret = -ENOBUFS;
	if (net->mmds.owes_reply)
		virtio_kick_later(net->pair[0].vq[RX]);
	return true;
}

static int send_frame(struct pair *pair, const struct virtq_chain *chain)
{
	int ret;

	if (pair->net->is_down || !is_on(pair))
		return -EPIPE;
	if (chain->out_size < LINK_HEADER + LINK_MIN_FRAME ||
		chain->out_size > LINK_HEADER + LINK_MAX_FRAME || chain->n_out >= IOV_MAX)
		return -EMSGSIZE;
	if (send_to_mmds(pair->net, chain, &ret))
		return ret;
	return pair->link->ops->send(pair->link, chain->iov, chain->n_out);
}

static int serve_tx(struct pair *pair, struct virtq *vq, const struct virtq_chain *chain)
{
	struct net *net = pair->net;
	int ret;

	if (!may_go(net, TX))
		return -EAGAIN;
	ret = send_frame(pair, chain);
	if (ret == -EAGAIN || ret > 0)
		await_room(pair, true);
	if (ret == -EAGAIN)
		return ret;
	if (ret < 0)
		counter_add(&net->n_dropped[TX], 1);
	else
		count_frame(net, TX, chain->out_size);
	rate_take(&net->rate[TX], chain->out_size);
	virtq_push(vq, chain->head, 0);
	return 0;
}

/* ---- to the guest ---- */

/* Hand over the chains that a frame of `size` bytes lies in. */
static void rx_push(struct pair *pair, struct virtq *vq, size_t size)
{
	struct net_rx *rx = &pair->rx;
	unsigned int n = 0;

	for (size_t left = size; left; n++) {
		uint32_t room = rx->chain[n].size;
		uint32_t part = left < room ? (uint32_t)left : room;

		rx->used[n] = (struct vring_used_elem){ .id = rx->chain[n].head, .len = part };
		left -= part;
	}
	net_rx_write_count(rx, (uint16_t)n);
	net_rx_drop_first(rx, n);
	virtq_push_all(vq, rx->used, n);
	rx->unsignalled += size;
	if (rx->unsignalled < SIGNAL_BYTES)
		return;
	rx->unsignalled = 0;
	virtio_signal(&pair->net->dev, vq);
}

/* What comes from the metadata service, which a guest has asked for, goes first. */
static ssize_t receive(struct pair *pair, bool is_all)
{
	struct net_mmds *mmds = &pair->net->mmds;
	struct net_rx *rx = &pair->rx;
	ssize_t size = -EAGAIN;

	if (mmds->link && pair == pair->net->pair)
		size = net_mmds_receive(mmds, rx->iov, rx->n_iov, rx->size, is_all);
	if (size != -EAGAIN)
		return size;
	return pair->link->ops->receive(pair->link, rx->iov, rx->n_iov, rx->size, is_all);
}

/* The next frame, into what there is; `is_all`: there will be no more of it.  0: it is there, or
 * another chain is wanted first; -EAGAIN: there is none.
 */
static int receive_frame(struct pair *pair, struct virtq *vq, bool is_all)
{
	struct net *net = pair->net;
	ssize_t size;

	if (net->is_down || !is_on(pair) || !may_go(net, RX))
		return -EAGAIN;
	size = receive(pair, is_all);
	if (size == -ENOBUFS)
		return 0;
	if (size == -EMSGSIZE) { /* who sends many of them does not keep the others waiting */
		counter_add(&net->n_dropped[RX], 1);
		virtio_kick_later(vq);
	} else if (size == -EPIPE) {
		link_ended(net);
	}
	if (size < 0)
		return -EAGAIN;
	count_frame(net, RX, (uint64_t)size);
	rate_take(&net->rate[RX], (uint64_t)size);
	rx_push(pair, vq, (size_t)size);
	return 0;
}

static uint32_t room_of(const struct pair *pair)
{
	const struct link *mmds = pair->net->mmds.link;

	return mmds && mmds->room > pair->link->room ? mmds->room : pair->link->room;
}

/* A chain stays until frames have filled it; one that nothing was read into goes back. */
static int serve_rx(struct pair *pair, struct virtq *vq, const struct virtq_chain *chain)
{
	struct net_rx *rx = &pair->rx;
	bool fits = !rx->n_chains || rx->n_iov + chain->n_in < IOV_MAX, is_all;
	int ret;

	if (chain->n_out || chain->in_size < LINK_HEADER)
		return -EBADMSG;
	if (fits)
		net_rx_add(rx, chain);
	is_all = !fits || !virtio_has_feature(&pair->net->dev, VIRTIO_NET_F_MRG_RXBUF) ||
	         rx->n_chains == vq->size;
	if (rx->size < room_of(pair) && !is_all)
		return 0;
	ret = receive_frame(pair, vq, is_all);
	if (ret && fits)
		net_rx_drop_last(rx);
	if (ret || fits)
		return ret;
	virtio_kick_later(vq);
	return -EAGAIN;
}

/* There may be room again: what was begun goes first. */
static int flush(struct pair *pair)
{
	int ret = pair->link->ops->flush ? pair->link->ops->flush(pair->link) : 0;

	await_room(pair, ret == -EAGAIN);
	return ret;
}

static void frames_ready(void *ctx, uint32_t events)
{
	struct pair *pair = ctx;

	if (events & EPOLLOUT && !flush(pair))
		virtio_serve(&pair->net->dev, pair->vq[TX]);
	if (events & ~(uint32_t)EPOLLOUT)
		virtio_serve(&pair->net->dev, pair->vq[RX]);
}

static void mmds_ready(void *ctx, uint32_t)
{
	struct net *net = ctx;

	net->mmds.has_frames = true;
	virtio_serve(&net->dev, net->pair[0].vq[RX]);
}

/* ---- the class ---- */

/* The link of those that come into use may have frames already. */
static int serve_control(struct net *net, struct virtq *vq, const struct virtq_chain *chain)
{
	unsigned int n = net_read_command(&net->dev, &net->pairs, chain), was = net->pairs.n_on;

	if (n)
		net_use_pairs(&net->pairs, n);
	for (unsigned int i = was; i < n; i++)
		virtio_kick_later(net->pair[i].vq[RX]);
	return net_answer_command(vq, chain, n);
}

/* NULL: the control queue's. */
static struct pair *pair_of(struct net *net, const struct virtq *vq)
{
	unsigned int index = virtio_index(vq) / 2;

	return index < net->pairs.n ? &net->pair[index] : NULL;
}

static int net_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct net *net = (struct net *)dev;
	struct pair *pair = pair_of(net, vq);

	if (!pair)
		return serve_control(net, vq, chain);
	return vq == pair->vq[RX] ? serve_rx(pair, vq, chain) : serve_tx(pair, vq, chain);
}

static int net_start(struct virtio_dev *dev)
{
	net_set_features(&((struct net *)dev)->pairs, dev->features);
	return 0;
}

static void net_stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	struct pair *pair = pair_of((struct net *)dev, vq);

	if (pair && vq == pair->vq[RX])
		pair->rx.n_chains = pair->rx.n_iov = 0, pair->rx.size = 0;
}

/* Chains that no frame has come for are begun anew: they were the last that were taken. */
static void net_quiesce(struct virtio_dev *dev)
{
	struct net *net = (struct net *)dev;

	for (unsigned int i = 0; i < net->pairs.n; i++)
		while (net->pair[i].rx.n_chains) {
			net_rx_drop_last(&net->pair[i].rx);
			virtq_unpop(net->pair[i].vq[RX]);
		}
}

static void net_reset(struct virtio_dev *dev)
{
	struct net *net = (struct net *)dev;

	net->mmds.owes_reply = false;
	net_set_features(&net->pairs, 0);
	net_use_pairs(&net->pairs, 1);
}

static void net_close(struct virtio_dev *dev)
{
	struct net *net = (struct net *)dev;

	/* Others may have the same file: closing it would not take it out of the loop. */
	for (unsigned int i = 0; i < net->pairs.n && !net->is_down; i++)
		loop_remove(dev->env->loop, &net->pair[i].frames);
	if (net->timer.fd >= 0)
		close(net->timer.fd);
	if (net->mmds.link) {
		loop_remove(dev->env->loop, &net->mmds_frames);
		link_close(net->mmds.link);
	}
	link_close(net->pairs.link);
	virtio_dev_fini(dev);
	free(net);
}

static const struct rate_limit *or_else(
	const struct rate_limit *limit, const struct rate_limit *otherwise)
{
	return limit->tokens ? limit : otherwise;
}

static void set_rates(struct net *net, const struct net_options *options)
{
	uint64_t now = timeline_now();

	rate_set(&net->rate[RX], or_else(&options->rx_rate, &options->rate),
		or_else(&options->rx_ops, &options->ops), now);
	rate_set(&net->rate[TX], or_else(&options->tx_rate, &options->rate),
		or_else(&options->tx_ops, &options->ops), now);
}

static int open_timer(struct net *net, const struct net_options *options)
{
	if (!net_is_limited(options) || net->timer.fd >= 0)
		return 0;
	return loop_add_timer(net->dev.env->loop, &net->timer, 0, 0);
}

/* What waits by the old rates is looked at anew. */
static int net_update(
	struct virtio_dev *dev, const void *options, const struct virtio_anew *, struct diag *diag)
{
	struct net *net = (struct net *)dev;
	int ret = open_timer(net, options);

	if (ret)
		return diag_fail(diag, -ret, "timerfd: %s", error_text(-ret));
	set_rates(net, options);
	for (unsigned int i = 0; i < dev->n_queues; i++)
		virtio_kick_later(virtio_queue(dev, i));
	return 0;
}

/* ---- its making ---- */

/* Its files are in the loop. */
static int watch(struct net *net, const struct net_options *options, struct diag *diag)
{
	struct loop *loop = net->dev.env->loop;
	int ret = 0;

	for (unsigned int i = 0; i < net->pairs.n && !ret; i++)
		ret = loop_add(loop, &net->pair[i].frames, EPOLLIN | EPOLLET);
	if (!ret && net->end.fd >= 0)
		ret = loop_add(loop, &net->end, EPOLLIN);
	if (!ret)
		ret = open_timer(net, options);
	return ret ? diag_fail(diag, -ret, "epoll: %s", error_text(-ret)) : 0;
}

static struct loop_source source(
	struct net *net, int fd, void (*ready)(void *, uint32_t), void *ctx)
{
	return (struct loop_source){
		.fd = fd, .ready = ready, .ctx = ctx, .lock = &net->dev.dev.lock
	};
}

static void make_pairs(struct net *net)
{
	struct link *link = net->pairs.link;

	for (unsigned int i = 0; i < net->pairs.n; i++, link = link->next) {
		struct pair *pair = &net->pair[i];

		pair->net = net;
		pair->link = link;
		pair->frames = source(net, link->fd, frames_ready, pair);
		pair->vq[RX] = virtio_queue(&net->dev, 2 * i + RX);
		pair->vq[TX] = virtio_queue(&net->dev, 2 * i + TX);
	}
}

/* Last: until then its link is the caller's. */
static int reach_mmds(struct net *net, const struct net_mmds_options *options, struct diag *diag)
{
	int ret;

	if (!options)
		return 0;
	net->mmds_frames = source(net, options->link->fd, mmds_ready, net);
	ret = loop_add(net->dev.env->loop, &net->mmds_frames, EPOLLIN | EPOLLET);
	if (ret)
		return diag_fail(diag, -ret, "epoll: %s", error_text(-ret));
	net->mmds.link = options->link;
	net->mmds.address = options->address.s_addr;
	return 0;
}

struct virtio_dev *net_create(struct link *link, const struct net_options *options,
	const uint8_t mac[6], const struct virtio_env *env, struct diag *diag)
{
	struct net_pairs pairs = net_pairs_of(link, options);
	struct net *net = calloc(1, sizeof(*net) + pairs.n * sizeof(net->pair[0]));

	if (!net) {
		diag_fail(diag, ENOMEM, "out of memory");
		link_close(link);
		return NULL;
	}
	net->pairs = pairs;
	net->end = source(net, link->end_fd, end_ready, net);
	net->timer = source(net, -1, timer_ready, net);
	net->config = net_config_of(&pairs, options, mac);
	net->dev.config = &net->config;
	net->dev.config_size = NET_CONFIG_SIZE;
	set_rates(net, options);
	if (virtio_dev_init(&net->dev, &net_class, env,
		    net_features_of(&pairs) | VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF),
		    net_n_queues(&pairs), NET_QUEUE_SIZE, diag)) {
		link_close(link);
		free(net);
		return NULL;
	}
	make_pairs(net);
	if (!watch(net, options, diag) && !reach_mmds(net, options->mmds, diag))
		return &net->dev;
	net_close(&net->dev);
	return NULL;
}

uint64_t net_dropped_tx(const struct virtio_dev *dev)
{
	return ((const struct net *)dev)->n_dropped[TX];
}

uint64_t net_dropped_rx(const struct virtio_dev *dev)
{
	return ((const struct net *)dev)->n_dropped[RX];
}

static int net_saving(struct virtio_dev *dev, struct diag *)
{
	struct net *net = (struct net *)dev;

	net->saved = net_state_of(&net->pairs, &net->config);
	return 0;
}

static int net_loaded(struct virtio_dev *dev, struct diag *diag)
{
	struct net *net = (struct net *)dev;

	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER))
		return 0;
	return net_load(&net->pairs, &net->config, &net->saved, diag);
}

static const struct state_field fields[] = { NET_STATE_FIELDS(struct net), STATE_END };
static const struct state_table state = { "net", 1, fields };

const struct virtio_class net_class = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.moves_data = true,
	.options = &net_schema,
	.open = net_open,
	.serve = net_serve,
	.start = net_start,
	.stop_queue = net_stop_queue,
	.reset = net_reset,
	.quiesce = net_quiesce,
	.update = net_update,
	.state = &state,
	.saving = net_saving,
	.loaded = net_loaded,
	.counters = counters,
	.close = net_close,
};
