// SPDX-License-Identifier: MIT
/* test_remote_pauses.c - a device that another process serves, paused and resumed a thousand times
 *
 * The back end is a thread that serves rings, which the other tests' does not.  It is as unkind as
 * the protocol lets it be: stopped, it forgets the kicks that it has not followed, or follows them
 * and forgets the calls, and knows nothing of a ring that it is not told.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/remote.h"
#include "state_rig.h"
#include "vhost_rig.h"
#include "virtio_rig.h"

#include <linux/vhost_types.h>
#include <poll.h>
#include <stdlib.h>

#define N_QUEUES  2
#define N_PAUSES  1000
#define N_COPIES  100
#define RING_SIZE 8
#define DATA(i)   (0x20000 + 0x1000ull * (i))

/* ---- the back end ---- */

struct served {
	const struct guest_mem *mem;
	struct vhost_vring_addr at;
	uint32_t size, next, n_done;
	int kick, call; /* -1: it is stopped */
	bool is_busy;
};

struct server {
	struct backend backend; /* of which the first record alone is used */
	struct served ring[N_QUEUES];
	unsigned int n_stops, n_forgotten; /* calls */
};

static void forget(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void take_fd(struct server *server, int *fd)
{
	forget(fd);
	*fd = server->backend.fds[0][0];
}

/* Into each buffer goes how many there were before it. */
static void serve_one(struct served *ring)
{
	const struct vring_desc *desc = (const void *)(uintptr_t)ring->at.desc_user_addr;
	const struct vring_avail *avail = (const void *)(uintptr_t)ring->at.avail_user_addr;
	struct vring_used *used = (void *)(uintptr_t)ring->at.used_user_addr;
	uint16_t head = avail->ring[ring->next % ring->size], idx = used->idx;

	*(uint32_t *)rig_at(ring->mem, desc[head].addr, 4) = ring->n_done++;
	used->ring[idx % ring->size] = (struct vring_used_elem){ head, sizeof(uint32_t) };
	__atomic_store_n(&used->idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
	ring->next = (uint16_t)(ring->next + 1);
}

static bool is_pending(const struct served *ring)
{
	const struct vring_avail *avail = (const void *)(uintptr_t)ring->at.avail_user_addr;

	return __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE) != (uint16_t)ring->next;
}

/* One at a time, slowly: so there are more when it is stopped. */
static void serve_ring(struct served *ring)
{
	const struct timespec moment = { .tv_nsec = 20000 };

	loop_counter_read(ring->kick);
	if (is_pending(ring)) {
		nanosleep(&moment, NULL);
		serve_one(ring);
		loop_counter_add(ring->call);
	}
	ring->is_busy = is_pending(ring);
}

static uint32_t stop_ring(struct server *server, struct served *ring)
{
	uint32_t base;

	if (server->n_stops++ / N_QUEUES % 2) {
		server->n_forgotten += is_pending(ring);
		while (is_pending(ring))
			serve_one(ring);
	}
	base = ring->next;
	loop_counter_read(ring->kick);
	forget(&ring->kick);
	forget(&ring->call);
	*ring = (struct served){ .mem = ring->mem, .kick = -1, .call = -1, .n_done = ring->n_done };
	return base;
}

/* False: there will be no more. */
static bool obey(struct server *server)
{
	struct backend *b = &server->backend;
	const uint32_t *state = (const uint32_t *)b->body[0];
	struct served *ring;
	uint8_t body[300];
	uint32_t size;

	if (v_receive(b, 0) <= 0)
		return false;
	ring = &server->ring[state[0] % N_QUEUES];
	switch (b->got[0].request) {
	case V_SET_VRING_NUM: ring->size = state[1]; break;
	case V_SET_VRING_BASE: ring->next = state[1]; break;
	case V_SET_VRING_ADDR: memcpy(&ring->at, state, sizeof(ring->at)); break;
	case V_SET_VRING_CALL: take_fd(server, &ring->call); break;
	case V_SET_VRING_KICK: take_fd(server, &ring->kick); break;
	default: break;
	}
	if (!v_answer(b, 0, body, &size))
		return true;
	if (b->got[0].request == V_GET_VRING_BASE)
		((uint32_t *)body)[1] = stop_ring(server, ring);
	v_reply(b, 0, body, size, GOOD);
	return true;
}

static void *run_server(void *arg)
{
	struct server *server = arg;
	bool is_busy = false;

	for (;;) {
		struct pollfd fds[1 + N_QUEUES] = { { .fd = server->backend.fd,
			.events = POLLIN } };

		for (unsigned int i = 0; i < N_QUEUES; i++)
			fds[1 + i] =
				(struct pollfd){ .fd = server->ring[i].kick, .events = POLLIN };
		poll(fds, ARRAY_SIZE(fds), is_busy ? 0 : -1);
		if (fds[0].revents && !obey(server))
			return NULL;
		is_busy = false;
		for (unsigned int i = 0; i < N_QUEUES && !fds[0].revents; i++) {
			struct served *ring = &server->ring[i];

			if (fds[1 + i].revents || ring->is_busy)
				serve_ring(ring);
			is_busy |= ring->is_busy;
		}
	}
}

/* ---- the machine, and its driver ---- */

struct rig {
	struct remote remote; /* first */
	struct vhost_user vu;
	struct virtio_transport transport;
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct server server;
	struct rig_ring ring[N_QUEUES];
	uint32_t n_returned[N_QUEUES];
	bool is_called[N_QUEUES];
};

static struct rig *the_rig;

static int serve_lost(struct virtio_dev *, struct virtq *, const struct virtq_chain *)
{
	fail_msg("the back end is lost");
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
	.saving = remote_saving,
	.loaded = remote_loaded,
	.close = close_remote,
};

static void signal_queue(struct virtio_transport *, unsigned int index)
{
	the_rig->is_called[index] = true;
	loop_stop(&the_rig->loop);
}

static void signal_config(struct virtio_transport *)
{
	fail();
}

static bool doorbell(const struct virtio_transport *, unsigned int, struct virtio_doorbell *)
{
	return false;
}

static void hangs(void *)
{
	fail_msg("a kick or a call is lost");
}

static void offer(struct rig *rig, unsigned int queue)
{
	struct rig_ring *ring = &rig->ring[queue];
	uint16_t head = ring->n_offered % RING_SIZE;

	memset(rig_at(&rig->mem, DATA(head) + 0x100 * queue, 4), 0xff, 4);
	rig_offer_one(ring, head, DATA(head) + 0x100 * queue, 4, VRING_DESC_F_WRITE);
}

/* As an interrupt's handler does: what is there is taken, and as much asked for anew. */
static void take_all(struct rig *rig, unsigned int queue)
{
	struct rig_ring *ring = &rig->ring[queue];

	rig->is_called[queue] = false;
	while (rig_n_used(ring)) {
		uint32_t head = rig_take(ring).id;
		uint32_t *data = rig_at(&rig->mem, DATA(head) + 0x100 * queue, 4);

		assert_int_equal(*data, rig->n_returned[queue]);
		rig->n_returned[queue]++;
		offer(rig, queue);
		virtio_kick(&rig->remote.dev, queue);
	}
}

/* Until each queue has moved: a driver looks at what was used when it is interrupted, and only
 * then.
 */
static void await_progress(struct rig *rig)
{
	const uint32_t was[N_QUEUES] = { rig->n_returned[0], rig->n_returned[1] };

	loop_when_quiet(&rig->loop, 20000, hangs, rig);
	while (rig->n_returned[0] == was[0] || rig->n_returned[1] == was[1]) {
		assert_int_equal(loop_run(&rig->loop), 0);
		for (unsigned int i = 0; i < N_QUEUES; i++)
			if (rig->is_called[i])
				take_all(rig, i);
	}
}

/* A device, and a back end that knows of rings no more than how much it has served. */
static void connect_backend(struct rig *rig)
{
	struct diag diag;
	int pair[2];

	rig->server.backend = backend_usual();
	for (unsigned int i = 0; i < N_QUEUES; i++)
		rig->server.ring[i] = (struct served){ .mem = &rig->mem,
			.kick = -1,
			.call = -1,
			.n_done = rig->server.ring[i].n_done };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	rig->server.backend.fd = pair[1];
	assert_int_equal(
		pthread_create(&rig->server.backend.thread, NULL, run_server, &rig->server), 0);
	memset(&rig->remote, 0, sizeof(rig->remote));
	rig->remote.name = "remote";
	rig->remote.vhost = &rig->vu.vhost;
	assert_int_equal(vhost_user_init(&rig->vu, pair[0], 20000, &diag), 0);
	assert_int_equal(
		remote_init(&rig->remote, &class, &rig->env, 0, N_QUEUES, RING_SIZE, &diag), 0);
	rig->remote.dev.transport = &rig->transport;
}

static void init(struct rig *rig)
{
	the_rig = rig;
	assert_int_equal(guest_mem_init_shared(&rig->mem, MIB(1)), 0);
	assert_int_equal(loop_init(&rig->loop), 0);
	rig->env = (struct virtio_env){ .mem = &rig->mem, .loop = &rig->loop, .ctx = rig };
	rig->transport = (struct virtio_transport){
		.signal_queue = signal_queue,
		.signal_config = signal_config,
		.doorbell = doorbell,
	};
	connect_backend(rig);
}

static void disconnect(struct rig *rig)
{
	virtio_close(&rig->remote.dev);
	assert_int_equal(pthread_join(rig->server.backend.thread, NULL), 0);
	close(rig->server.backend.fd);
}

static void fini(struct rig *rig)
{
	disconnect(rig);
	loop_fini(&rig->loop);
	guest_mem_fini(&rig->mem);
}

static void bring_up(struct rig *rig)
{
	struct virtio_dev *dev = &rig->remote.dev;

	virtio_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_set_features_word(dev, 1, 1u << (VIRTIO_F_VERSION_1 - 32));
	virtio_set_status(dev, dev->status | VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int i = 0; i < N_QUEUES; i++) {
		rig_ring_init(&rig->ring[i], &rig->mem, 0x1000 + i * 0x8000u, RING_SIZE);
		rig_place(&rig->ring[i], virtio_queue(dev, i));
		virtio_enable_queue(dev, i);
		for (unsigned int k = 0; k < RING_SIZE; k++)
			offer(rig, i);
	}
	virtio_set_status(dev, dev->status | VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned int i = 0; i < N_QUEUES; i++)
		virtio_kick(dev, i);
}

/* Everything comes back, once and in order, and each queue goes on after each pause. */
static void test_pauses(void **)
{
	static struct rig rig;
	uint16_t idx[N_QUEUES];

	init(&rig);
	bring_up(&rig);
	for (unsigned int pause = 0; pause < N_PAUSES; pause++) {
		await_progress(&rig);
		virtio_quiesce(&rig.remote.dev);
		for (unsigned int i = 0; i < N_QUEUES; i++)
			idx[i] = rig_used(&rig.ring[i])->idx;
		/* A driver that was in the middle of it. */
		if (pause % 100 == 0)
			poll(NULL, 0, 2);
		for (unsigned int i = 0; i < N_QUEUES; i++)
			assert_int_equal(rig_used(&rig.ring[i])->idx, idx[i]);
		virtio_resume(&rig.remote.dev);
	}
	await_progress(&rig);
	assert_false(rig.remote.dev.lost);
	assert_true(rig.server.n_forgotten > 0);
	fini(&rig);
}

/* ---- saved and loaded ---- */

static void move(struct rig *rig)
{
	struct state_writer file = rig_save(&rig->remote.dev);
	struct diag diag;

	disconnect(rig);
	connect_backend(rig);
	if (rig_load(&file, &rig->remote.dev, &diag))
		fail_msg("%s", diag.text);
	virtio_resume(&rig->remote.dev);
	state_free(&file);
}

/* Each goes on where the one before it has stopped, with a back end of its own. */
static void test_copies(void **)
{
	static struct rig rig;

	init(&rig);
	bring_up(&rig);
	for (unsigned int copy = 0; copy < N_COPIES; copy++) {
		await_progress(&rig);
		move(&rig);
		assert_int_equal(rig.remote.dev.status, 15);
	}
	await_progress(&rig);
	fini(&rig);
}

/* What a guest writes into its ring does not keep the machine from being saved. */
static void test_copy_of_a_liar(void **)
{
	static struct rig rig;

	init(&rig);
	bring_up(&rig);
	await_progress(&rig);
	rig_used(&rig.ring[0])->idx += 0x1234;
	move(&rig);
	assert_false(rig.remote.dev.lost);
	fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_copy_of_a_liar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
