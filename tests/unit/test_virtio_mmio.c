// SPDX-License-Identifier: MIT
/* test_virtio_mmio.c - the registers of virtio over MMIO, in a driver's order and in none */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state_rig.h"
#include "virtio/mmio.h"
#include "virtio_fake.h"

#include <errno.h>
#include <linux/virtio_mmio.h>

#define BASE      0xc0001000u
#define VERSION_1 VIRTIO_BIT(VIRTIO_F_VERSION_1)

/* 4.2.2; not in the system's header. */
#define QUEUE_RESET 0x0c0u

struct rig {
	struct fake_machine *machine;
	struct virtio_dev *dev;
	struct rig_ring *ring;
	struct virtio_mmio mmio;
	struct bus bus;
	struct irq_chip chip;
	unsigned int n_raised, n_connects;
	bool wanted[FAKE_QUEUES];
};

static struct rig *the_rig;

static void raise_line(struct irq_chip *chip, unsigned int gsi)
{
	assert_ptr_equal(chip, &the_rig->chip);
	assert_int_equal(gsi, 7);
	the_rig->n_raised++;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->machine = fake_machine_create();
	rig->dev = &rig->machine->fake.dev;
	rig->ring = rig->machine->ring;
	device_init(&rig->chip.dev, "chip", NULL);
	rig->chip.raise = raise_line;
	virtio_mmio_init(&rig->mmio, rig->dev, (struct irq_line){ &rig->chip, 7 }, BASE);
	bus_add(&rig->bus, BASE, 0x1000, &rig->dev->dev);
	the_rig = *state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	fake_machine_destroy(rig->machine);
	device_fini(&rig->chip.dev);
	free(rig);
	return 0;
}

static uint32_t get(struct rig *rig, uint32_t offset)
{
	return (uint32_t)bus_read(&rig->bus, BASE + offset, 4);
}

static void set(struct rig *rig, uint32_t offset, uint32_t value)
{
	bus_write(&rig->bus, BASE + offset, 4, value);
}

/* ---- a driver, in the order of Linux's ---- */

static void set_place(struct rig *rig, uint32_t low_register, gpa_t gpa)
{
	set(rig, low_register, (uint32_t)gpa);
	set(rig, low_register + 4, (uint32_t)(gpa >> 32));
}

static void write_rings(struct rig *rig, const struct rig_ring *ring)
{
	set(rig, VIRTIO_MMIO_QUEUE_NUM, ring->size);
	set_place(rig, VIRTIO_MMIO_QUEUE_DESC_LOW, ring->desc_at);
	set_place(rig, VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring->avail_at);
	set_place(rig, VIRTIO_MMIO_QUEUE_USED_LOW, ring->used_at);
}

static void set_up_queue(struct rig *rig, uint32_t index, gpa_t at)
{
	struct rig_ring *ring = &rig->ring[index];

	set(rig, VIRTIO_MMIO_QUEUE_SEL, index);
	assert_int_equal(get(rig, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(get(rig, VIRTIO_MMIO_QUEUE_NUM_MAX), FAKE_QUEUE_SIZE);
	rig_ring_init(ring, &rig->machine->mem, at, 8);
	write_rings(rig, ring);
	set(rig, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(get(rig, VIRTIO_MMIO_QUEUE_READY), 1);
}

static void add_status(struct rig *rig, uint32_t bit)
{
	set(rig, VIRTIO_MMIO_STATUS, get(rig, VIRTIO_MMIO_STATUS) | bit);
	assert_true(get(rig, VIRTIO_MMIO_STATUS) & bit);
}

static void agree(struct rig *rig)
{
	uint64_t offered = 0;

	set(rig, VIRTIO_MMIO_STATUS, 0);
	add_status(rig, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(rig, VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t word = 2; word-- > 0;) {
		set(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
		offered = offered << 32 | get(rig, VIRTIO_MMIO_DEVICE_FEATURES);
	}
	assert_true((offered & FAKE_FEATURES) == FAKE_FEATURES && offered & VERSION_1);
	offered &= ~VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX);
	for (uint32_t word = 2; word-- > 0;) {
		set(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		set(rig, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(offered >> 32 * word));
		assert_int_equal(
			get(rig, VIRTIO_MMIO_DRIVER_FEATURES), (uint32_t)(offered >> 32 * word));
	}
	add_status(rig, VIRTIO_CONFIG_S_FEATURES_OK);
}

static void bring_up(struct rig *rig)
{
	agree(rig);
	set_up_queue(rig, 0, 0x1000);
	set_up_queue(rig, 1, RIG_HIGH + 0x1000);
	add_status(rig, VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(get(rig, VIRTIO_MMIO_STATUS), S_RUNNING);
}

static void ask(struct rig *rig, uint32_t index)
{
	struct rig_ring *ring = &rig->ring[index];

	rig_offer_one(ring, ring->n_offered % 8, 0x20000, 4, VRING_DESC_F_WRITE);
	set(rig, VIRTIO_MMIO_QUEUE_NOTIFY, index);
	fake_run_loop(rig->machine);
}

/* ---- */

static void test_identity(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(get(rig, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(get(rig, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(get(rig, VIRTIO_MMIO_DEVICE_ID), FAKE_ID);
	assert_int_not_equal(get(rig, VIRTIO_MMIO_VENDOR_ID), 0);
	/* What is there only to be written, or not at all, reads as 0. */
	for (uint32_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset += 4)
		switch (offset) {
		case VIRTIO_MMIO_MAGIC_VALUE:
		case VIRTIO_MMIO_VERSION:
		case VIRTIO_MMIO_DEVICE_ID:
		case VIRTIO_MMIO_VENDOR_ID: break;
		case VIRTIO_MMIO_DEVICE_FEATURES:
			assert_int_equal(get(rig, offset), 1u << 3 | 3u << 28);
			break;
		case VIRTIO_MMIO_QUEUE_NUM_MAX:
			assert_int_equal(get(rig, offset), FAKE_QUEUE_SIZE);
			break;
		/* No region of shared memory has no size, of which all bits are set. */
		case VIRTIO_MMIO_SHM_LEN_LOW:
		case VIRTIO_MMIO_SHM_LEN_HIGH:
		case VIRTIO_MMIO_SHM_BASE_LOW:
		case VIRTIO_MMIO_SHM_BASE_HIGH:
			assert_int_equal(get(rig, offset), UINT32_MAX);
			break;
		default: assert_int_equal(get(rig, offset), 0);
		}
}

static void test_features_by_words(void **state)
{
	struct rig *rig = *state;
	const uint32_t words[] = { 1, 0, 2, UINT32_MAX };
	const uint32_t offered[] = { 1u << (50 - 32) | 1 | 1u << (40 - 32), 1u << 3 | 3u << 28, 0,
		0 };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		set(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, words[i]);
		assert_int_equal(get(rig, VIRTIO_MMIO_DEVICE_FEATURES), offered[i]);
		set(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, words[i]);
		set(rig, VIRTIO_MMIO_DRIVER_FEATURES, 0x1000 + words[i]);
	}
	assert_true(rig->dev->features == 0x100100001000);
	/* Each of the two has a selection of its own. */
	set(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	set(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	assert_int_equal(get(rig, VIRTIO_MMIO_DEVICE_FEATURES), offered[0]);
	assert_int_equal(get(rig, VIRTIO_MMIO_DRIVER_FEATURES), 0x1000);
}

static void test_driver_as_linux(void **state)
{
	struct rig *rig = *state;

	for (int life = 0; life < 3; life++) {
		bring_up(rig);
		for (uint32_t index = 0; index < 2; index++) {
			rig->n_raised = 0;
			ask(rig, index);
			assert_int_equal(rig_n_used(&rig->ring[index]), 1);
			assert_int_equal(rig->n_raised, 1);
			assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
			set(rig, VIRTIO_MMIO_INTERRUPT_ACK, 1);
			assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
		}
		/* It deletes its queues by 0, and wants to read that. */
		for (uint32_t index = 0; index < 2 && life; index++) {
			set(rig, VIRTIO_MMIO_QUEUE_SEL, index);
			set(rig, VIRTIO_MMIO_QUEUE_READY, 0);
			assert_int_equal(get(rig, VIRTIO_MMIO_QUEUE_READY), 0);
		}
	}
}

static void test_no_such_queue(void **state)
{
	struct rig *rig = *state;
	const uint32_t index[] = { FAKE_QUEUES, 0x10000, UINT32_MAX };

	bring_up(rig);
	for (size_t i = 0; i < ARRAY_SIZE(index); i++) {
		set(rig, VIRTIO_MMIO_QUEUE_SEL, index[i]);
		assert_int_equal(get(rig, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		write_rings(rig, &rig->ring[0]);
		set(rig, VIRTIO_MMIO_QUEUE_READY, 1);
		assert_int_equal(get(rig, VIRTIO_MMIO_QUEUE_READY), 0);
		set(rig, VIRTIO_MMIO_QUEUE_READY, 0);
		set(rig, QUEUE_RESET, 1);
		set(rig, VIRTIO_MMIO_QUEUE_NOTIFY, index[i]);
	}
	fake_run_loop(rig->machine);
	assert_int_equal(get(rig, VIRTIO_MMIO_STATUS), S_RUNNING);
	ask(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
}

static void test_rings_are_frozen_while_enabled(void **state)
{
	struct rig *rig = *state;
	const struct virtq *vq = virtio_queue(rig->dev, 0);
	struct virtq before;

	bring_up(rig);
	ask(rig, 0);
	before = *vq;
	set(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(rig, VIRTIO_MMIO_QUEUE_NUM, 1024);
	for (uint32_t offset = VIRTIO_MMIO_QUEUE_DESC_LOW; offset < 0xac; offset += 4)
		set(rig, offset, 0x12345678);
	set(rig, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_memory_equal(&before, vq, sizeof(before));
	ask(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 2);
}

static void test_places_of_rings(void **state)
{
	struct rig *rig = *state;
	const struct virtq *vq = virtio_queue(rig->dev, 1);

	set(rig, VIRTIO_MMIO_QUEUE_SEL, 1);
	set_place(rig, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1122334455667788);
	set_place(rig, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x99aabbccddeeff00);
	set_place(rig, VIRTIO_MMIO_QUEUE_USED_LOW, 0x0123456789abcdef);
	set(rig, VIRTIO_MMIO_QUEUE_NUM, 0x40);
	assert_true(vq->desc_at == 0x1122334455667788 && vq->avail_at == 0x99aabbccddeeff00 &&
		    vq->used_at == 0x0123456789abcdef && vq->size == 0x40);
	/* Each half alone. */
	set(rig, VIRTIO_MMIO_QUEUE_DESC_HIGH, 1);
	set(rig, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 2);
	assert_true(vq->desc_at == 0x155667788 && vq->avail_at == 0x99aabbcc00000002);
	/* Who never writes the high ones (TamaGo) finds them 0 after a reset, of either kind. */
	set(rig, VIRTIO_MMIO_STATUS, 0);
	assert_true(!vq->desc_at && !vq->avail_at && !vq->used_at);
	assert_int_equal(vq->size, FAKE_QUEUE_SIZE);
	set(rig, VIRTIO_MMIO_QUEUE_SEL, 1);
	set_place(rig, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1122334455667788);
	set(rig, QUEUE_RESET, 0); /* only 1 is an order */
	assert_true(vq->desc_at == 0x1122334455667788);
	set(rig, QUEUE_RESET, 1);
	assert_true(!vq->desc_at);
	assert_int_equal(get(rig, QUEUE_RESET), 0); /* it is done */
}

static void test_odd_queue_sizes(void **state)
{
	struct rig *rig = *state;
	const uint32_t size[] = { 0, 3, 2048, 0x10000, 0x10008, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
		agree(rig);
		set(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
		write_rings(rig, &rig->ring[0]);
		set(rig, VIRTIO_MMIO_QUEUE_NUM, size[i]);
		set(rig, VIRTIO_MMIO_QUEUE_READY, 1);
		assert_int_equal(get(rig, VIRTIO_MMIO_QUEUE_READY), 0);
		assert_int_equal(get(rig, VIRTIO_MMIO_STATUS), S_FEATURES_OK | S_FAILED);
	}
	bring_up(rig);
}

static void test_queue_reset(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	ask(rig, 0);
	ask(rig, 0);
	set(rig, VIRTIO_MMIO_QUEUE_SEL, 0);
	set(rig, QUEUE_RESET, 1);
	assert_int_equal(get(rig, QUEUE_RESET), 0);
	set_up_queue(rig, 0, 0x2000);
	ask(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
	ask(rig, 1);
	assert_int_equal(rig_n_used(&rig->ring[1]), 1);
}

/* ---- interrupts ---- */

/* An edge for each, whether or not the last was acknowledged: who never does (TamaGo) loses none.
 */
static void test_an_edge_for_each_signal(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	for (unsigned int i = 1; i < 10; i++) {
		ask(rig, 0);
		assert_int_equal(rig->n_raised, i);
		assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	}
	pthread_mutex_lock(&rig->dev->dev.lock);
	virtio_config_changed(rig->dev);
	pthread_mutex_unlock(&rig->dev->dev.lock);
	assert_int_equal(rig->n_raised, 10);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	/* Reading acknowledges nothing, nor does writing what is not set. */
	set(rig, VIRTIO_MMIO_INTERRUPT_ACK, 0xfffffffc);
	set(rig, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	set(rig, VIRTIO_MMIO_INTERRUPT_ACK, 2);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	set(rig, VIRTIO_MMIO_INTERRUPT_ACK, 0xffffffff);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ask(rig, 0);
	set(rig, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	assert_int_equal(rig->n_raised, 11);
}

static void test_failure_is_told(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	rig_offer(&rig->ring[0], 0xffff);
	set(rig, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	fake_run_loop(rig->machine);
	assert_int_equal(get(rig, VIRTIO_MMIO_STATUS), S_RUNNING | S_FAILED);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(rig->n_raised, 1);
	bring_up(rig);
}

/* ---- accesses ---- */

/* 4.2.2.2: registers know 32 bits, aligned; the configuration space any width. */
static void test_widths(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	for (unsigned int size = 1; size <= 8; size *= 2)
		for (uint32_t offset = 0; offset < VIRTIO_MMIO_CONFIG; offset++) {
			if (size == 4 && !(offset % 4))
				continue;
			assert_true(bus_read(&rig->bus, BASE + offset, size) == 0);
			bus_write(&rig->bus, BASE + offset, size, 0);
			bus_write(&rig->bus, BASE + offset, size, UINT64_MAX);
		}
	assert_int_equal(rig->machine->fake.n_reset, 1); /* its own */
	assert_int_equal(get(rig, VIRTIO_MMIO_STATUS), S_RUNNING);
	ask(rig, 1);
	assert_int_equal(rig_n_used(&rig->ring[1]), 1);
	for (unsigned int size = 1; size <= 8; size *= 2)
		for (uint32_t offset = 0; offset < 2 * FAKE_CONFIG; offset++)
			assert_true(bus_read(&rig->bus, BASE + VIRTIO_MMIO_CONFIG + offset, size) ==
				    virtio_read_config(rig->dev, offset, size));
	bus_write(&rig->bus, BASE + VIRTIO_MMIO_CONFIG + 5, 1, 0x77);
	assert_int_equal(rig->machine->fake.write_offset, 5);
	assert_int_equal(rig->machine->fake.write_value, 0x77);
	/* To the end of the page, and across it. */
	assert_true(bus_read(&rig->bus, BASE + 0xff8, 8) == 0);
	assert_true(bus_read(&rig->bus, BASE + 0xffc, 8) == UINT64_MAX);
}

/* Only 0 is a reset; the register has eight bits. */
static void test_status_of_more_bits(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	set(rig, VIRTIO_MMIO_STATUS, 0x100);
	set(rig, VIRTIO_MMIO_STATUS, 0xffffff00);
	assert_int_equal(get(rig, VIRTIO_MMIO_STATUS), S_RUNNING);
}

static void test_generation(void **state)
{
	struct rig *rig = *state;
	uint32_t generation = get(rig, VIRTIO_MMIO_CONFIG_GENERATION);

	assert_int_equal(get(rig, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	virtio_config_changed(rig->dev);
	assert_int_not_equal(get(rig, VIRTIO_MMIO_CONFIG_GENERATION), generation);
}

static void test_doorbells(void **state)
{
	struct rig *rig = *state;

	for (unsigned int i = 0; i < 2; i++) {
		struct virtio_doorbell bell;

		assert_true(rig->dev->transport->doorbell(rig->dev->transport, i, &bell));
		assert_true(bell.gpa == BASE + VIRTIO_MMIO_QUEUE_NOTIFY && bell.size == 4);
		assert_true(bell.has_match && bell.match == i);
	}
}

/* The reset of the machine leaves nothing of what a guest has written. */
static void test_machine_reset(void **state)
{
	struct rig *rig = *state;
	uint32_t fresh[0x200 / 4], seen[0x200 / 4];

	for (uint32_t i = 0; i < ARRAY_SIZE(fresh); i++)
		fresh[i] = get(rig, 4 * i);
	bring_up(rig);
	ask(rig, 0);
	set(rig, VIRTIO_MMIO_QUEUE_SEL, 77);
	set(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	bus_reset(&rig->bus);
	for (uint32_t i = 0; i < ARRAY_SIZE(fresh); i++)
		seen[i] = get(rig, 4 * i);
	assert_memory_equal(seen, fresh, sizeof(fresh));
	bring_up(rig);
}

/* ---- who serves a queue elsewhere interrupts by itself ---- */

static void connect(struct irq_chip *chip, unsigned int gsi, struct irqfd *list,
	const struct irqfd_ops *ops, void *ctx)
{
	struct rig *rig = the_rig;

	assert_ptr_equal(chip, &rig->chip);
	assert_int_equal(gsi, 7);
	assert_ptr_equal(ops, rig->machine->env.irqfds);
	assert_ptr_equal(ctx, rig->machine->env.ctx);
	assert_int_equal(pthread_mutex_trylock(&chip->dev.lock), EBUSY);
	rig->n_connects++;
	for (unsigned int i = 0; i < FAKE_QUEUES; i++, list = list->next) {
		assert_ptr_equal(list, &rig->dev->queue[i].call);
		rig->wanted[i] = list->is_wanted;
	}
	assert_null(list);
}

/* And leaves no note of why: so it is always for the queues, as long as there are such. */
static void test_calls(void **state)
{
	static const struct irqfd_ops ops;
	struct rig *rig = *state;

	rig->machine->env.irqfds = &ops;
	rig->chip.connect = connect;
	rig->dev->n_elsewhere = FAKE_QUEUES;
	virtio_set_called(&rig->dev->queue[1].vq, true);
	bring_up(rig);
	assert_int_equal(rig->n_connects, 1);
	assert_true(!rig->wanted[0] && rig->wanted[1]);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	set(rig, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	virtio_set_called(&rig->dev->queue[1].vq, false);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

/* ---- saved and loaded ---- */

/* Registers as the driver left them, with an interrupt that it has not acknowledged. */
static void test_registers_in_a_copy(void **state)
{
	struct rig *rig = *state;
	struct state_writer file = rig_file();
	struct state_reader reader;
	struct diag diag;

	bring_up(rig);
	ask(rig, 1);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	set(rig, VIRTIO_MMIO_QUEUE_SEL, 1);
	set(rig, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	set(rig, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	state_save(&file, &virtio_mmio_state, 5, &rig->mmio);
	assert_int_equal(state_finish(&file), 0);
	rig->mmio.queue_select = rig->mmio.offered_select = rig->mmio.features_select = 9;
	rig->mmio.interrupt_status = 0;
	reader = rig_open_file(&file);
	assert_int_equal(state_load(&reader, &virtio_mmio_state, 5, &rig->mmio, &diag), 0);
	assert_int_equal(get(rig, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	assert_int_equal(get(rig, VIRTIO_MMIO_DEVICE_FEATURES), rig->dev->offered >> 32);
	assert_int_equal(get(rig, VIRTIO_MMIO_DRIVER_FEATURES), rig->dev->features >> 32);
	assert_int_equal(get(rig, VIRTIO_MMIO_QUEUE_READY), 1);
	state_close(&reader);
	state_free(&file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_features_by_words),
		TEST(test_driver_as_linux),
		TEST(test_no_such_queue),
		TEST(test_rings_are_frozen_while_enabled),
		TEST(test_places_of_rings),
		TEST(test_odd_queue_sizes),
		TEST(test_queue_reset),
		TEST(test_an_edge_for_each_signal),
		TEST(test_failure_is_told),
		TEST(test_widths),
		TEST(test_status_of_more_bits),
		TEST(test_generation),
		TEST(test_doorbells),
		TEST(test_machine_reset),
		TEST(test_calls),
		TEST(test_registers_in_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
