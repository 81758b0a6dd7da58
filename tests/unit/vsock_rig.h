/* SPDX-License-Identifier: MIT */
/* vsock_rig.h - a vsock device, a guest's packets, and the programs of the host
 *
 * For test_vsock.c; needs cmocka.h before it.
 */
#ifndef TESTS_UNIT_VSOCK_RIG_H
#define TESTS_UNIT_VSOCK_RIG_H

#include "class_rig.h"
#include "dev/vsock.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CID  42u
#define RX   0
#define TX   1
#define ROOM 4096u /* of each buffer for the guest */

#define RX_AT 0x10000 /* 32 of these */
#define TX_AT 0x30000

#define OP(name) VIRTIO_VSOCK_OP_##name

struct rig {
	struct class_rig *class;
	char dir[32], path[64];
};

typedef struct virtio_vsock_hdr hdr_t;

/* ---- the guest's side ---- */

static inline void offer_rx(struct rig *rig, unsigned int n)
{
	struct rig_ring *ring = &rig->class->ring[RX];

	for (; n; n--) {
		uint16_t slot = ring->n_offered % 32;

		rig_offer_one(ring, slot, RX_AT + slot * ROOM, ROOM, VRING_DESC_F_WRITE);
	}
	class_rig_serve(rig->class, RX);
}

static inline int open_device(struct rig *rig, const char *path, struct diag *diag)
{
	struct vsock_options options = { .path = (char *)path, .cid = CID };

	rig->class->dev = vsock_class.open(&options, &rig->class->env, diag);
	if (!rig->class->dev)
		return -1;
	rig->class->dev->transport = &rig->class->transport;
	return 0;
}

static inline void start(struct rig *rig, unsigned int n_buffers)
{
	struct diag diag;

	assert_int_equal(open_device(rig, rig->path, &diag), 0);
	assert_int_equal(virtio_read_config(rig->class->dev, 0, 8), CID);
	class_rig_start(rig->class, 0);
	offer_rx(rig, n_buffers);
}

static inline hdr_t packet(uint16_t op, uint32_t host_port, uint32_t guest_port)
{
	return (hdr_t){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = 100000,
	};
}

/* In two segments, of which the first is not only the header. */
static inline void send_packet(struct rig *rig, hdr_t hdr, const void *data, uint32_t size)
{
	struct rig_ring *ring = &rig->class->ring[TX];
	uint8_t *at = rig_at(&rig->class->mem, TX_AT, sizeof(hdr) + size);
	uint32_t first = (uint32_t)sizeof(hdr) + size / 3;

	hdr.len = size;
	memcpy(at, &hdr, sizeof(hdr));
	if (size)
		memcpy(at + sizeof(hdr), data, size);
	*rig_desc(ring, 0) = (struct vring_desc){ TX_AT, first, VRING_DESC_F_NEXT, 1 };
	*rig_desc(ring, 1) =
		(struct vring_desc){ TX_AT + first, (uint32_t)sizeof(hdr) + size - first, 0, 0 };
	rig_offer(ring, 0);
	class_rig_serve(rig->class, TX);
	assert_int_equal(rig_take(ring).len, 0);
}

/* The next packet for the guest, of which there is one; its data in *data. */
static inline hdr_t receive(struct rig *rig, const uint8_t **data)
{
	struct rig_ring *ring = &rig->class->ring[RX];
	struct vring_used_elem elem;
	hdr_t hdr;

	while (!rig_n_used(ring))
		assert_true(class_rig_turn(rig->class, 5000));
	elem = rig_take(ring);
	memcpy(&hdr, rig_at(&rig->class->mem, RX_AT + elem.id * ROOM, ROOM), sizeof(hdr));
	assert_int_equal(elem.len, sizeof(hdr) + hdr.len);
	assert_true(hdr.src_cid == 2 && hdr.dst_cid == CID && hdr.type == 1);
	if (data)
		*data = (const uint8_t *)rig_at(&rig->class->mem, RX_AT + elem.id * ROOM, ROOM) +
		        sizeof(hdr);
	return hdr;
}

static inline void expect(struct rig *rig, uint16_t op, uint32_t host_port, uint32_t guest_port)
{
	hdr_t hdr = receive(rig, NULL);

	assert_int_equal(hdr.op, op);
	assert_int_equal(hdr.src_port, host_port);
	assert_int_equal(hdr.dst_port, guest_port);
}

static inline void expect_nothing(struct rig *rig)
{
	while (class_rig_turn(rig->class, 20))
		continue;
	assert_int_equal(rig_n_used(&rig->class->ring[RX]), 0);
}

/* ---- the host's side ---- */

static inline struct sockaddr_un address(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	strcpy(addr.sun_path, path);
	return addr;
}

static inline int listen_at(struct rig *rig, uint32_t port)
{
	char path[100];
	struct sockaddr_un addr;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(path, sizeof(path), "%s_%u", rig->path, port);
	addr = address(path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static inline int call(struct rig *rig, const char *line)
{
	struct sockaddr_un addr = address(rig->path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
	return fd;
}

static inline bool has_ended(struct rig *rig, int fd)
{
	char byte;
	ssize_t n;

	while (class_rig_turn(rig->class, 20))
		continue;
	n = recv(fd, &byte, 1, MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static inline void expect_bytes(int fd, const char *wanted)
{
	char got[64] = "";

	assert_int_equal(recv(fd, got, strlen(wanted), MSG_WAITALL), strlen(wanted));
	assert_string_equal(got, wanted);
}

/* A stream that the guest has asked for; the host's end of it. */
static inline int open_stream(struct rig *rig)
{
	int listener = listen_at(rig, 2000), fd;

	send_packet(rig, packet(OP(REQUEST), 2000, 77), NULL, 0);
	expect(rig, OP(RESPONSE), 2000, 77);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	close(listener);
	return fd;
}

/* ---- set-up ---- */

static inline int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	strcpy(rig->dir, "/tmp/vsock-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/socket", rig->dir);
	rig->class = class_rig_create();
	*state = rig;
	return 0;
}

static inline int tear_down(void **state)
{
	struct rig *rig = *state;
	char command[64];

	class_rig_destroy(rig->class);
	assert_int_equal(access(rig->path, F_OK), -1);
	snprintf(command, sizeof(command), "rm -r %s", rig->dir);
	assert_int_equal(system(command), 0);
	free(rig);
	return 0;
}

#endif
