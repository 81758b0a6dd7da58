/* SPDX-License-Identifier: MIT */
/* vconsole_rig.h - a virtio-console between a driver and who is at its other end, for test_v*.c */
#ifndef TESTS_UNIT_VCONSOLE_RIG_H
#define TESTS_UNIT_VCONSOLE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/vconsole.h"
#include "state_rig.h"
#include "virtio_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SIZE  32
#define DATA  0x10000
#define WRITE VRING_DESC_F_WRITE

enum { RX, TX, CONTROL_RX, CONTROL_TX, N_QUEUES };

struct rig {
	struct guest_mem mem;
	struct loop loop;
	struct consoles consoles;
	struct virtio_env env;
	struct virtio_transport transport;
	struct virtio_dev *dev;
	struct rig_ring ring[N_QUEUES];
	unsigned int n_queues;
	char dir[32], path[64];
	int client; /* at the socket; -1 */
	unsigned int n_config_signals;
};

static struct rig *the_rig; /* of the test that runs */

static inline void signal_queue(struct virtio_transport *transport, unsigned int index)
{
}

static inline void signal_config(struct virtio_transport *transport)
{
	the_rig->n_config_signals++;
}

static inline bool doorbell(
	const struct virtio_transport *transport, unsigned int i, struct virtio_doorbell *bell)
{
	fail_msg("a console has no doorbells");
	return false;
}

/* ---- a driver ---- */

static inline void bring_up(struct rig *rig)
{
	uint32_t features = (uint32_t)rig->dev->offered;

	virtio_reset(rig->dev);
	virtio_set_status(rig->dev, 3);
	virtio_set_features_word(rig->dev, 0, features & ~(1u << VIRTIO_RING_F_EVENT_IDX));
	virtio_set_features_word(rig->dev, 1, 1);
	virtio_set_status(rig->dev, 11);
	for (unsigned int i = 0; i < rig->n_queues; i++) {
		rig_ring_init(&rig->ring[i], &rig->mem, 0x1000 * (i + 1), SIZE);
		rig_place(&rig->ring[i], virtio_queue(rig->dev, i));
		virtio_enable_queue(rig->dev, i);
	}
	virtio_set_status(rig->dev, 15);
	assert_int_equal(rig->dev->status, 15);
}

static inline void locked_kick(struct rig *rig, unsigned int queue)
{
	pthread_mutex_lock(&rig->dev->dev.lock);
	virtio_kick(rig->dev, queue);
	pthread_mutex_unlock(&rig->dev->dev.lock);
}

/* Place `size` bytes for a queue, and kick. */
static inline void offer(struct rig *rig, unsigned int queue, const void *data, uint32_t size)
{
	struct rig_ring *ring = &rig->ring[queue];
	gpa_t at = DATA + 0x2000 * (ring->n_offered % 8u) + 0x10000 * (queue & 1u);

	if (data)
		memcpy(rig_at(&rig->mem, at, size), data, size);
	rig_offer_one(ring, ring->n_offered % SIZE, at, size, data ? 0 : WRITE);
	locked_kick(rig, queue);
}

static inline void say(struct rig *rig, const char *text)
{
	offer(rig, TX, text, (uint32_t)strlen(text));
}

/* What a queue has returned next, as text. */
static inline const char *heard(struct rig *rig, unsigned int queue)
{
	static char text[0x2001];
	struct rig_ring *ring = &rig->ring[queue];
	struct vring_used_elem used;

	if (!rig_n_used(ring))
		return NULL;
	used = rig_take(ring);
	memcpy(text, rig_at(&rig->mem, rig_desc(ring, used.id)->addr, used.len), used.len);
	text[used.len] = '\0';
	return text;
}

/* ---- the host's side ---- */

static inline void stop(void *ctx, uint32_t events)
{
	loop_stop(ctx);
}

static inline void turn(struct rig *rig, uint64_t ms)
{
	struct loop_source timer = { loop_timer_create(ms, 0), stop, &rig->loop, NULL };

	rig->loop.stopped = false;
	assert_int_equal(loop_add(&rig->loop, &timer, EPOLLIN), 0);
	assert_int_equal(loop_run(&rig->loop), 0);
	loop_remove(&rig->loop, &timer);
	close(timer.fd);
}

static inline int call(const struct rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, rig->path);
	assert_int_equal(connect(fd, (const void *)&address, sizeof(address)), 0);
	return fd;
}

static inline int connect_to(struct rig *rig)
{
	int fd = call(rig);

	turn(rig, 5);
	return fd;
}

static inline void expect_read(int fd, const char *text)
{
	char data[4096];
	ssize_t n = read(fd, data, sizeof(data) - 1);

	data[n > 0 ? n : 0] = '\0';
	assert_string_equal(data, text);
}

static inline void type(struct rig *rig, const char *text)
{
	assert_int_equal(write(rig->client, text, strlen(text)), (ssize_t)strlen(text));
	turn(rig, 5);
}

static inline void escape(void *ctx)
{
}

static inline void open_device(
	struct rig *rig, const struct virtio_class *class, enum console_kind to)
{
	struct vconsole_options options = { to, rig->path, NULL };
	struct diag diag;

	if (class == &port_class)
		options.name = "agent.0";
	rig->dev = class->open(&options, &rig->env, &diag);
	assert_non_null(rig->dev);
	rig->transport = (struct virtio_transport){
		.signal_queue = signal_queue, .signal_config = signal_config, .doorbell = doorbell
	};
	rig->dev->transport = &rig->transport;
	rig->n_queues = rig->dev->n_queues;
}

static inline void make(struct rig *rig, const struct virtio_class *class, enum console_kind to)
{
	struct diag diag;

	open_device(rig, class, to);
	assert_int_equal(consoles_open(&rig->consoles, &rig->loop, &diag), 0);
	bring_up(rig);
}

static inline int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	signal(SIGPIPE, SIG_IGN);
	rig_mem_init(&rig->mem);
	assert_int_equal(loop_init(&rig->loop), 0);
	rig->env = (struct virtio_env){
		.mem = &rig->mem,
		.loop = &rig->loop,
		.consoles = &rig->consoles,
	};
	rig->consoles.escape = escape;
	rig->client = -1;
	strcpy(rig->dir, "/tmp/vconsole-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/end", rig->dir);
	the_rig = rig;
	*state = rig;
	return 0;
}

static inline void finish(struct rig *rig)
{
	if (!rig->dev)
		return;
	consoles_detach(&rig->consoles, -1);
	virtio_close(rig->dev);
	consoles_destroy(&rig->consoles, -1);
	rig->dev = NULL;
}

/* ---- saved and loaded ---- */

/* It is saved, and is gone with who was at its other end. */
static inline struct state_writer save(struct rig *rig)
{
	struct state_writer file = rig_save(rig->dev);

	if (rig->client >= 0)
		close(rig->client);
	rig->client = -1;
	finish(rig);
	memset(&rig->consoles, 0, sizeof(rig->consoles));
	rig->consoles.escape = escape;
	return file;
}

/* As a machine is restored: the consoles are opened last. */
static inline int load(struct rig *rig, const struct virtio_class *class, enum console_kind to,
	const struct state_writer *file, struct diag *diag)
{
	int ret;

	open_device(rig, class, to);
	ret = rig_load(file, rig->dev, diag);
	if (ret)
		return ret;
	return consoles_open(&rig->consoles, &rig->loop, diag);
}

static inline void move(struct rig *rig, const struct virtio_class *class, enum console_kind to)
{
	struct state_writer file = save(rig);
	struct diag diag;

	if (load(rig, class, to, &file, &diag))
		fail_msg("%s", diag.text);
	virtio_resume(rig->dev);
	state_free(&file);
}

static inline int tear_down(void **state)
{
	struct rig *rig = *state;

	if (rig->client >= 0)
		close(rig->client);
	finish(rig);
	loop_fini(&rig->loop);
	rig_mem_fini(&rig->mem);
	unlink(rig->path);
	rmdir(rig->dir);
	free(rig);
	return 0;
}

static inline void expect_file(struct rig *rig, const char *text)
{
	int fd = open(rig->path, O_RDONLY | O_CLOEXEC);

	expect_read(fd, text);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
