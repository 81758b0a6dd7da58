// SPDX-License-Identifier: MIT
/* test_vsock_state.c - a vsock device, saved and loaded: its streams are over, and others begin */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vsock_rig.h"

#define EVENT    2
#define EVENT_AT 0x3f000

static const struct virtio_vsock_event *offer_event(struct rig *rig, uint32_t size)
{
	rig_offer_one(&rig->class->ring[EVENT], 0, EVENT_AT, size, VRING_DESC_F_WRITE);
	class_rig_serve(rig->class, EVENT);
	return rig_at(&rig->class->mem, EVENT_AT, sizeof(struct virtio_vsock_event));
}

static void move(struct rig *rig)
{
	const struct vsock_options options = { .path = rig->path, .cid = CID };

	class_rig_move(rig->class, &vsock_class, &options);
	while (class_rig_turn(rig->class, 5))
		continue;
}

/* The guest is told that its streams are gone, once; what it says of them is answered. */
static void test_streams_are_over(void **state)
{
	struct rig *rig = *state;
	const struct virtio_vsock_event *event;
	int fd;

	start(rig, 16);
	event = offer_event(rig, sizeof(*event));
	assert_int_equal(rig_n_used(&rig->class->ring[EVENT]), 0);
	fd = open_stream(rig);
	memset((void *)event, 0xff, sizeof(*event));
	move(rig);
	assert_true(has_ended(rig, fd));
	close(fd);
	assert_int_equal(rig_n_used(&rig->class->ring[EVENT]), 1);
	assert_int_equal(rig_take(&rig->class->ring[EVENT]).len, sizeof(*event));
	assert_int_equal(event->id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	offer_event(rig, sizeof(*event));
	assert_int_equal(rig_n_used(&rig->class->ring[EVENT]), 0);
	send_packet(rig, packet(OP(RW), 2000, 77), "x", 1);
	expect(rig, OP(RST), 2000, 77);
	expect_nothing(rig);
}

/* And it calls anew, by the port that it had, and is called. */
static void test_new_streams(void **state)
{
	struct rig *rig = *state;
	char path[100];
	int fd;

	start(rig, 16);
	for (int i = 0; i < 3; i++) {
		fd = open_stream(rig);
		send_packet(rig, packet(OP(RW), 2000, 77), "hello", 5);
		expect_bytes(fd, "hello");
		move(rig);
		assert_true(has_ended(rig, fd));
		close(fd);
		snprintf(path, sizeof(path), "%s_2000", rig->path);
		unlink(path);
	}
	fd = call(rig, "CONNECT 5\n");
	assert_int_equal(receive(rig, NULL).op, OP(REQUEST));
	close(fd);
}

/* Who has no buffer for it is told when there is one. */
static void test_event_that_waits(void **state)
{
	struct rig *rig = *state;

	start(rig, 4);
	move(rig);
	assert_int_equal(rig_n_used(&rig->class->ring[EVENT]), 0);
	/* Also a copy of the copy. */
	move(rig);
	offer_event(rig, sizeof(struct virtio_vsock_event));
	assert_int_equal(rig_n_used(&rig->class->ring[EVENT]), 1);
}

static void test_event_without_room(void **state)
{
	struct rig *rig = *state;

	start(rig, 4);
	move(rig);
	offer_event(rig, sizeof(struct virtio_vsock_event) - 1);
	assert_true(rig->class->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Another driver knows nothing of streams before it. */
	virtio_set_status(rig->class->dev, 0);
	class_rig_start(rig->class, 0);
	offer_event(rig, sizeof(struct virtio_vsock_event));
	assert_int_equal(rig_n_used(&rig->class->ring[EVENT]), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_streams_are_over),
		TEST(test_new_streams),
		TEST(test_event_that_waits),
		TEST(test_event_without_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
