// SPDX-License-Identifier: MIT
/* rng.c - drive virtio-rng as a driver ought to: polled, by interrupts, after a reset
 *
 * With the word "reset" it waits for a byte of input, and resets the machine unless that is q.
 */

#include "virtio.h"

static struct virtio rng;
static uint8_t bytes[4][64];
static volatile uint32_t n_interrupts, seen_status;

static bool ask(unsigned int i, uint16_t head)
{
	struct vring_used_elem elem;

	queue_set(rng.queue, head, bytes[i], sizeof(bytes[i]), VRING_DESC_F_WRITE, 0);
	queue_offer(rng.queue, head);
	queue_kick(rng.queue);
	return queue_wait(rng.queue, &elem) && elem.id == head && elem.len == sizeof(bytes[i]);
}

static bool is_random(const uint8_t *at)
{
	unsigned int n_zero = 0;

	for (unsigned int i = 0; i < sizeof(bytes[0]); i++)
		n_zero += !at[i];
	return n_zero < 16;
}

static void check_identity(void)
{
	check_equal(virtio_get(&rng, VIRTIO_MMIO_VERSION), 2, "it is of version 2");
	check_equal(rng.n_queues, 1, "it has one queue");
	check_equal(virtio_status(&rng), 0, "nobody has driven it before");
	virtio_set(&rng, VIRTIO_MMIO_QUEUE_SEL, 0);
	check_equal(virtio_get(&rng, VIRTIO_MMIO_QUEUE_READY), 0, "its queue is not ready");
	check_equal(virtio_get(&rng, VIRTIO_MMIO_INTERRUPT_STATUS), 0, "no interrupt is pending");
	check_equal(virtio_get(&rng, VIRTIO_MMIO_QUEUE_DESC_LOW), 0, "a register to be written");
}

static void check_polled(void)
{
	bool ok = true;

	check(virtio_start(&rng, 0), "it starts");
	check(ask(0, 0) && is_random(bytes[0]), "bytes come");
	check(ask(1, 5) && is_random(bytes[1]) && !bytes_equal(bytes[0], bytes[1], 64),
		"and others come");
	for (uint16_t i = 0; i < 5 * QUEUE_SIZE && ok; i++)
		ok = ask(2, i % QUEUE_SIZE);
	check(ok, "round and round");
	check_equal(virtio_get(&rng, VIRTIO_MMIO_INTERRUPT_STATUS), 1, "all the time it signals");
	virtio_set(&rng, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	check_equal(virtio_get(&rng, VIRTIO_MMIO_INTERRUPT_STATUS), 0, "which is acknowledged");
}

/* At an odd address, which nothing forbids. */
static void check_indirect(void)
{
	static uint8_t room[1 + 2 * sizeof(struct vring_desc)];
	struct vring_desc *table = (struct vring_desc *)(room + 1);
	struct vring_used_elem elem;

	check(virtio_start(&rng, BIT(VIRTIO_RING_F_INDIRECT_DESC)), "it starts again");
	table[0] = (struct vring_desc){ (uint32_t)bytes[2], 64,
		VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1 };
	table[1] = (struct vring_desc){ (uint32_t)bytes[3], 64, VRING_DESC_F_WRITE, 0 };
	queue_set(rng.queue, 3, table, 32, VRING_DESC_F_INDIRECT, 0);
	bytes[2][0] = bytes[2][1] = bytes[2][2] = 0;
	queue_offer(rng.queue, 3);
	queue_kick(rng.queue);
	check(queue_wait(rng.queue, &elem) && elem.id == 3 && elem.len == 128 &&
			is_random(bytes[3]),
		"a table of descriptors");
}

static void interrupted(void)
{
	seen_status = virtio_get(&rng, VIRTIO_MMIO_INTERRUPT_STATUS);
	virtio_set(&rng, VIRTIO_MMIO_INTERRUPT_ACK, seen_status);
	n_interrupts++;
}

static void offer_one(uint16_t head)
{
	queue_set(rng.queue, head, bytes[head], 64, VRING_DESC_F_WRITE, 0);
	queue_offer(rng.queue, head);
	queue_kick(rng.queue);
}

/* With event indices: an interrupt for the first chain, and one for the fourth, which is asked for.
 */
static void check_interrupts(void)
{
	struct vring_used_elem elem;

	lapic_enable();
	irq_route(VIRTIO_GSI + rng.slot, 0, interrupted);
	check(virtio_start(&rng, BIT(VIRTIO_RING_F_EVENT_IDX)), "it starts with event indices");
	offer_one(0);
	wait_until(n_interrupts == 1);
	check_equal(seen_status, VIRTIO_MMIO_INT_VRING, "it interrupts for its queue");
	check(queue_has_used(rng.queue) && queue_wait(rng.queue, &elem), "where something is");
	check_equal(rng.queue->used.avail_event, 1, "it wants to be kicked for the next");
	rng.queue->avail.used_event = 3;
	for (uint16_t head = 1; head < 3; head++) {
		offer_one(head);
		queue_wait(rng.queue, &elem);
		check_equal(
			virtio_get(&rng, VIRTIO_MMIO_INTERRUPT_STATUS), 0, "it does not for this");
	}
	offer_one(3);
	wait_until(n_interrupts == 2);
	check(queue_wait(rng.queue, &elem) && elem.id == 3, "it does for the one that was named");
}

/* With all that a driver can leave behind, and a request under way. */
static void reset_machine(void)
{
	offer_one(0);
	outb(PM_RESET, 1);
	halt_forever();
}

void guest_main(void)
{
	check(virtio_find_id(&rng, VIRTIO_ID_RNG), "there is a source of random bytes");
	if (!rng.id)
		return;
	check_identity();
	check_polled();
	check_indirect();
	check_interrupts();
	checks_done();
	put("# bytes ");
	put_hex(checksum(bytes, sizeof(bytes)));
	put("\n");
	if (bytes_equal(command_line(), "reset", 5) && get_char() != 'q')
		reset_machine();
}
