// SPDX-License-Identifier: MIT
/* test_remote.c - a virtio device that another process serves, and what is left when that is gone
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/remote.h"
#include "vhost_rig.h"
#include "virtio_rig.h"

#include <errno.h>
#include <stdlib.h>

#define N_QUEUES  2
#define VERSION_1 VIRTIO_BIT(VIRTIO_F_VERSION_1)

/* Status as a driver that keeps the order writes it. */
#define S_FEATURES_OK \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define S_RUNNING (S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define S_FAILED  VIRTIO_CONFIG_S_NEEDS_RESET

struct rig {
	struct remote remote; /* first */
	struct vhost_user vu;
	struct virtio_transport transport;
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct backend backend;
	struct rig_ring ring[N_QUEUES];
	bool bound[N_QUEUES];
	unsigned int n_signals[N_QUEUES], n_config_signals, n_failed;
	unsigned int n_connects, n_told; /* n_told: that it is lost */
};

static struct rig *the_rig; /* of the test that runs, for the transport's callbacks */

/* ---- its class: a chain that nobody serves comes back with 0xee ---- */

static int serve_lost(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	((struct rig *)dev)->n_failed++;
	memset(chain->iov[0].iov_base, 0xee, chain->iov[0].iov_len);
	virtq_push(vq, chain->head, (uint32_t)chain->in_size);
	return 0;
}

static void close_remote(struct virtio_dev *dev)
{
	remote_fini((struct remote *)dev);
}

static const struct virtio_class class = {
	.name = "remote",
	.id = 42,
	.serve = serve_lost,
	.start = remote_start,
	.start_queue = remote_start_queue,
	.stop_queue = remote_stop_queue,
	.quiesce = remote_quiesce,
	.resume = remote_resume,
	.close = close_remote,
};

/* ---- the machine ---- */

static void signal_queue(struct virtio_transport *, unsigned int index)
{
	the_rig->n_signals[index]++;
}

static void signal_config(struct virtio_transport *)
{
	the_rig->n_config_signals++;
}

static bool doorbell(const struct virtio_transport *, unsigned int i, struct virtio_doorbell *bell)
{
	*bell = (struct virtio_doorbell){ 0x1000, 4, true, i };
	return true;
}

/* The calls of all queues that run at once, as one change. */
static void connect_calls(struct virtio_transport *)
{
	the_rig->n_connects++;
}

static int bind_bell(void *ctx, const struct virtio_doorbell *bell, int fd, bool on)
{
	struct rig *rig = ctx;

	assert_int_equal(fd, rig->remote.dev.queue[bell->match].kick.fd);
	rig->bound[bell->match] = on;
	return 0;
}

static void rests(void *ctx)
{
	loop_stop(ctx);
}

/* Until nothing has happened for a while: another thread may be about to do something. */
static void run_loop(struct rig *rig)
{
	rig->loop.stopped = false;
	loop_when_quiet(&rig->loop, 20, rests, &rig->loop);
	assert_int_equal(loop_run(&rig->loop), 0);
}

static const struct irqfd_ops no_irqfds;

static void hear_failure(void *ctx, const struct virtio_dev *dev, const char *why)
{
	struct rig *rig = ctx;

	assert_ptr_equal(dev, &rig->remote.dev);
	assert_true(dev->lost && *why);
	rig->n_told++;
}

static struct rig *make(const struct backend *backend, int init_ret)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct diag diag;

	the_rig = rig;
	rig->backend = *backend;
	backend_start(&rig->backend);
	assert_int_equal(guest_mem_init_shared(&rig->mem, MIB(1)), 0);
	assert_int_equal(loop_init(&rig->loop), 0);
	rig->env = (struct virtio_env){
		.irqfds = &no_irqfds,
		.mem = &rig->mem,
		.loop = &rig->loop,
		.bind = bind_bell,
		.failed = hear_failure,
		.ctx = rig,
	};
	rig->transport = (struct virtio_transport){
		.signal_queue = signal_queue,
		.signal_config = signal_config,
		.doorbell = doorbell,
		.connect_calls = connect_calls,
	};
	rig->remote.name = "remote";
	rig->remote.vhost = &rig->vu.vhost;
	assert_int_equal(vhost_user_init(&rig->vu, rig->backend.front_fd, 2000, &diag), 0);
	assert_int_equal(
		remote_init(&rig->remote, &class, &rig->env, 0xc0, N_QUEUES, 64, &diag), init_ret);
	if (!init_ret)
		rig->remote.dev.transport = &rig->transport;
	for (unsigned int i = 0; i < N_QUEUES; i++)
		rig_ring_init(&rig->ring[i], &rig->mem, 0x1000 + i * 0x8000u, 8);
	return rig;
}

static void destroy(struct rig *rig, bool is_open)
{
	if (is_open)
		virtio_close(&rig->remote.dev);
	backend_join(&rig->backend);
	loop_fini(&rig->loop);
	guest_mem_fini(&rig->mem);
	free(rig);
}

/* ---- the driver ---- */

static void agree(struct rig *rig)
{
	struct virtio_dev *dev = &rig->remote.dev;

	virtio_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_set_features_word(dev, 1, VERSION_1 >> 32);
	virtio_set_status(dev, S_FEATURES_OK);
}

static void enable(struct rig *rig, unsigned int i)
{
	rig_ring_init(&rig->ring[i], &rig->mem, rig->ring[i].desc_at, 8);
	rig_place(&rig->ring[i], virtio_queue(&rig->remote.dev, i));
	virtio_enable_queue(&rig->remote.dev, i);
}

static void bring_up(struct rig *rig)
{
	agree(rig);
	enable(rig, 0);
	enable(rig, 1);
	virtio_set_status(&rig->remote.dev, S_RUNNING);
}

static void offer(struct rig *rig, unsigned int i, uint16_t head)
{
	rig_offer_one(&rig->ring[i], head, 0x20000 + head * 0x100u, 16, VRING_DESC_F_WRITE);
}

/* As the back end returns the next one. */
static void return_one(struct rig *rig, unsigned int i)
{
	struct rig_ring *ring = &rig->ring[i];
	uint16_t n = rig_used(ring)->idx;

	rig_used(ring)->ring[n % ring->size] =
		(struct vring_used_elem){ rig_avail(ring)->ring[n % ring->size], 1 };
	rig_used(ring)->idx = (uint16_t)(n + 1);
}

static unsigned int count(const struct backend *b, uint32_t request)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < b->n; i++)
		n += b->got[i].request == request;
	return n;
}

/* The descriptor that came with the last of these. */
static int last_fd(const struct backend *b, uint32_t request, unsigned int index)
{
	for (unsigned int i = b->n; i-- > 0;)
		if (b->got[i].request == request && b->body[i][0] == index)
			return b->fds[i][0];
	fail();
	return -1;
}

/* ---- tests ---- */

static void test_features(void **)
{
	struct backend backend = backend_usual();
	struct rig *rig = make(&backend, 0);

	/* What both have, and not what is the protocol's. */
	assert_true(rig->remote.dev.offered ==
		    (VERSION_1 | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | 0x40));
	destroy(rig, true);
}

static void test_too_few_queues(void **)
{
	struct backend backend = backend_usual();

	backend.n_queues = 1;
	destroy(make(&backend, -E2BIG), false);
}

/* The guest's kicks are the back end's to read, and its calls interrupt the guest. */
static void test_kick_and_call(void **)
{
	struct backend backend = backend_usual();
	struct rig *rig = make(&backend, 0);

	bring_up(rig);
	assert_int_equal(rig->remote.dev.status, S_RUNNING);
	assert_true(rig->bound[0] && rig->bound[1]);
	assert_int_equal(rig->n_connects, 1);
	for (unsigned int i = 0; i < N_QUEUES; i++) {
		int kick = last_fd(&rig->backend, V_SET_VRING_KICK, i);

		assert_int_equal(loop_counter_read(kick), 0);
		offer(rig, i, 0);
		virtio_kick(&rig->remote.dev, i);
		run_loop(rig);
		assert_int_equal(loop_counter_read(kick), 1);
		assert_int_equal(rig->n_signals[i], 0);
		loop_counter_add(last_fd(&rig->backend, V_SET_VRING_CALL, i));
		run_loop(rig);
		assert_int_equal(rig->n_signals[i], 1);
	}
	assert_int_equal(rig->n_failed, 0);
	destroy(rig, true);
}

/* Reset stops each ring that runs, once; another life begins as the first, on the same memory. */
static void test_lives(void **)
{
	struct backend backend = backend_usual();
	struct rig *rig = make(&backend, 0);

	for (unsigned int life = 1; life < 4; life++) {
		unsigned int n = rig->n_signals[0];

		bring_up(rig);
		assert_int_equal(rig->remote.dev.status, S_RUNNING);
		assert_int_equal(count(&rig->backend, V_SET_VRING_KICK), 2 * life);
		virtio_reset(&rig->remote.dev);
		assert_int_equal(count(&rig->backend, V_GET_VRING_BASE), 2 * life);
		assert_int_equal(count(&rig->backend, V_SET_MEM_TABLE), 1);
		for (unsigned int i = 0; i < N_QUEUES; i++) {
			assert_false(rig->remote.dev.queue[i].is_called);
			assert_int_equal(
				rig->remote.dev.queue[i].call.fd, rig->remote.ring[i].call.fd);
		}
		assert_int_equal(rig->n_connects, 3 * life);
		/* A late call is nobody's. */
		loop_counter_add(rig->remote.ring[0].call.fd);
		run_loop(rig);
		assert_int_equal(rig->n_signals[0], n);
	}
	destroy(rig, true);
}

/* What it was told of a ring's base, last. */
static uint32_t last_base(const struct backend *b, unsigned int index)
{
	for (unsigned int i = b->n; i-- > 0;)
		if (b->got[i].request == V_SET_VRING_BASE && b->body[i][0] == index)
			return ((const uint32_t *)b->body[i])[1];
	fail();
	return 0;
}

/* Each ring goes on where it was, with a kick and a call that nobody has sent.  Interrupts stay
 * connected as they were.
 */
static void test_pause(void **)
{
	struct backend backend = backend_usual();
	struct rig *rig = make(&backend, 0);
	struct virtio_dev *dev = &rig->remote.dev;

	bring_up(rig);
	for (unsigned int pause = 1; pause < 3; pause++) {
		virtio_quiesce(dev);
		assert_int_equal(count(&rig->backend, V_GET_VRING_BASE), 2 * pause);
		assert_int_equal(count(&rig->backend, V_SET_VRING_KICK), 2 * pause);
		memset(rig->n_signals, 0, sizeof(rig->n_signals));
		virtio_resume(dev);
		run_loop(rig);
		for (unsigned int i = 0; i < N_QUEUES; i++) {
			assert_int_equal(last_base(&rig->backend, i), V_BASE);
			assert_int_equal(
				loop_counter_read(last_fd(&rig->backend, V_SET_VRING_KICK, i)), 1);
			assert_int_equal(rig->n_signals[i], 1);
			assert_true(dev->queue[i].is_called);
		}
		assert_int_equal(count(&rig->backend, V_SET_VRING_ENABLE), 2 + 4 * pause);
		assert_int_equal(count(&rig->backend, V_SET_FEATURES), 1);
		assert_int_equal(rig->n_connects, 1);
	}
	assert_int_equal(dev->status, S_RUNNING);
	/* The next driver's rings begin anew. */
	virtio_reset(dev);
	bring_up(rig);
	assert_int_equal(last_base(&rig->backend, 0), 0);
	destroy(rig, true);
}

/* A ring that no driver has set up is nobody's to stop or to start; nor one that is reset while it
 * is stopped already, whether it ends so or gets another driver.
 */
static void test_pause_and_reset(void **)
{
	struct backend backend = backend_usual();
	struct rig *rig = make(&backend, 0);
	struct virtio_dev *dev = &rig->remote.dev;

	virtio_quiesce(dev);
	virtio_resume(dev);
	agree(rig);
	enable(rig, 1);
	virtio_set_status(dev, S_RUNNING);
	virtio_quiesce(dev);
	virtio_resume(dev);
	assert_int_equal(count(&rig->backend, V_GET_VRING_BASE), 1);
	assert_int_equal(count(&rig->backend, V_SET_VRING_KICK), 2);
	virtio_quiesce(dev);
	virtio_reset(dev);
	virtio_resume(dev);
	assert_int_equal(count(&rig->backend, V_GET_VRING_BASE), 2);
	assert_int_equal(count(&rig->backend, V_SET_VRING_KICK), 2);
	bring_up(rig);
	assert_int_equal(dev->status, S_RUNNING);
	virtio_quiesce(dev);
	assert_int_equal(count(&rig->backend, V_GET_VRING_BASE), 4);
	destroy(rig, true);
}

/* A ring that comes after DRIVER_OK, and one that never does. */
static void test_late_ring(void **)
{
	struct backend backend = backend_usual();
	struct rig *rig = make(&backend, 0);

	agree(rig);
	virtio_set_status(&rig->remote.dev, S_RUNNING);
	assert_int_equal(count(&rig->backend, V_SET_VRING_KICK), 0);
	enable(rig, 1);
	assert_int_equal(count(&rig->backend, V_SET_VRING_KICK), 1);
	destroy(rig, true);
}

/* What was under way, what waits and what comes is answered with failure; what had been answered
 * is not again; no driver gets it to work any more.
 */
static void test_lost(void **)
{
	struct backend backend = backend_usual();
	struct rig *rig = make(&backend, 0);
	struct virtio_dev *dev = &rig->remote.dev;

	bring_up(rig);
	for (uint16_t head = 0; head < 3; head++)
		offer(rig, 1, head);
	return_one(rig, 1);
	rig_take(&rig->ring[1]);
	shutdown(rig->backend.fd, SHUT_RDWR);
	run_loop(rig);
	assert_int_equal(dev->status, S_RUNNING | S_FAILED);
	assert_int_equal(rig->n_config_signals, 1);
	assert_int_equal(rig->n_failed, 2);
	assert_int_equal(rig->n_signals[1], 1);
	assert_int_equal(rig_take(&rig->ring[1]).id, 1);
	assert_int_equal(rig_take(&rig->ring[1]).id, 2);
	offer(rig, 0, 5);
	virtio_kick(dev, 0);
	run_loop(rig);
	assert_int_equal(rig_take(&rig->ring[0]).id, 5);
	assert_int_equal(*(uint8_t *)guest_mem_at(&rig->mem, 0x20500, 1), 0xee);
	assert_int_equal(rig->n_signals[0], 1);
	virtio_reset(dev);
	agree(rig);
	assert_false(dev->status & VIRTIO_CONFIG_S_FEATURES_OK);
	destroy(rig, true);
}

/* At each message of a start and a reset: lost, once, and nothing hangs. */
static void test_lost_at_each_message(void **)
{
	for (unsigned int at = 5; at < 24; at++) {
		struct backend backend = backend_usual();
		struct rig *rig;

		backend.misdeed = CLOSES;
		backend.misdeed_at = at;
		rig = make(&backend, 0);
		bring_up(rig);
		virtio_reset(&rig->remote.dev);
		run_loop(rig);
		bring_up(rig);
		run_loop(rig);
		assert_true(rig->remote.dev.lost);
		assert_int_equal(rig->n_told, 1);
		assert_true(rig->n_config_signals <= 1);
		destroy(rig, true);
	}
}

/* At each message of a pause: lost, once, told when it is over at the latest, and what the guest
 * has asked for fails.
 */
static void test_lost_in_a_pause(void **)
{
	for (unsigned int at = 19; at < 35; at++) {
		struct backend backend = backend_usual();
		struct rig *rig;

		backend.misdeed = CLOSES;
		backend.misdeed_at = at;
		rig = make(&backend, 0);
		bring_up(rig);
		offer(rig, 0, 0);
		virtio_quiesce(&rig->remote.dev);
		assert_int_equal(rig->n_failed, 0);
		virtio_resume(&rig->remote.dev);
		run_loop(rig);
		assert_true(rig->remote.dev.lost);
		assert_int_equal(rig->n_told, 1);
		assert_int_equal(rig->n_config_signals, 1);
		assert_int_equal(rig->n_failed, 1);
		assert_int_equal(rig_n_used(&rig->ring[0]), 1);
		destroy(rig, true);
	}
}

/* Before any driver has come, and without one. */
static void test_lost_early(void **)
{
	struct backend backend = backend_usual();
	struct rig *rig = make(&backend, 0);

	shutdown(rig->backend.fd, SHUT_RDWR);
	run_loop(rig);
	assert_true(rig->remote.dev.lost);
	assert_int_equal(rig->n_told, 1);
	assert_int_equal(rig->n_config_signals, 0);
	agree(rig);
	assert_false(rig->remote.dev.status & VIRTIO_CONFIG_S_FEATURES_OK);
	destroy(rig, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_too_few_queues),
		cmocka_unit_test(test_kick_and_call),
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_pause_and_reset),
		cmocka_unit_test(test_late_ring),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_at_each_message),
		cmocka_unit_test(test_lost_in_a_pause),
		cmocka_unit_test(test_lost_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
