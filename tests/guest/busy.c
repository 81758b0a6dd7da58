// SPDX-License-Identifier: MIT
/* busy.c - a disk and a source of random bytes, never idle, until the power button is pressed
 *
 * By interrupts alone: where a request, a kick or an interrupt is lost it halts for ever.  Sectors
 * FIRST to FIRST + N - 1 are written and read again and again, with other bytes each time; at the
 * first that is not as it should be the guest resets; otherwise it powers off.
 */

#include "virtio.h"

#include <linux/virtio_blk.h>

#define SECTOR 512
#define FIRST  16
#define N      5 /* at once: with three descriptors each no more fit */

static struct virtio disk, rng;
static struct virtio_blk_outhdr header[N];
static uint8_t data[N][SECTOR], seen[N][SECTOR], random[64];
static volatile uint8_t status[N];
static volatile bool is_done;

static void acknowledge(const struct virtio *dev)
{
	virtio_set(dev, VIRTIO_MMIO_INTERRUPT_ACK, virtio_get(dev, VIRTIO_MMIO_INTERRUPT_STATUS));
}

static void disk_interrupt(void)
{
	acknowledge(&disk);
}

static void rng_interrupt(void)
{
	acknowledge(&rng);
}

static void button_interrupt(void)
{
	is_done |= inb(PM_EVENTS) & 1; /* another event is that it is a copy */
}

static _Noreturn void reset(void)
{
	outb(PM_RESET, 1);
	halt_forever();
}

static void expect(bool ok)
{
	if (!ok)
		reset();
}

static struct vring_used_elem take(struct queue *queue)
{
	wait_until(queue_has_used(queue));
	return queue->used.ring[queue->n_seen++ % QUEUE_SIZE];
}

static void offer(unsigned int i, uint32_t type, void *at)
{
	uint16_t head = (uint16_t)(3 * i),
		 flags = type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_F_WRITE;

	header[i] = (struct virtio_blk_outhdr){ type, 0, FIRST + i };
	status[i] = 0xee;
	queue_set(disk.queue, head, &header[i], sizeof(header[i]), VRING_DESC_F_NEXT, head + 1);
	queue_set(disk.queue, head + 1, at, SECTOR, flags | VRING_DESC_F_NEXT, head + 2);
	queue_set(disk.queue, head + 2, &status[i], 1, VRING_DESC_F_WRITE, 0);
	queue_offer(disk.queue, head);
	queue_kick(disk.queue);
}

static void await_all(void)
{
	uint32_t which = 0;

	for (unsigned int i = 0; i < N; i++) {
		struct vring_used_elem elem = take(disk.queue);

		expect(elem.id % 3 == 0 && elem.id < 3 * N && status[elem.id / 3] == 0);
		which |= 1u << elem.id / 3;
	}
	expect(which == (1u << N) - 1);
}

/* All that are pending, also where a KVM in software lets one in at each exit and nowhere else: the
 * button's is the last of three, and may wait for seconds where no wait has to halt.
 */
static void take_interrupts(void)
{
	interrupts_on();
	for (unsigned int i = 0; i < 3; i++)
		inb(0x80);
	interrupts_off();
}

static void move(uint32_t round)
{
	for (unsigned int i = 0; i < N; i++) {
		for (unsigned int j = 0; j < SECTOR; j++)
			data[i][j] = (uint8_t)(round * 31 + i * 13 + j * 7 + (j >> 8));
		offer(i, VIRTIO_BLK_T_OUT, data[i]);
	}
	await_all();
	for (unsigned int i = 0; i < N; i++)
		offer(i, VIRTIO_BLK_T_IN, seen[i]);
	await_all();
	expect(bytes_equal(data, seen, sizeof(data)));
}

void guest_main(void)
{
	lapic_enable();
	expect(virtio_find_id(&disk, VIRTIO_ID_BLOCK) && virtio_find_id(&rng, VIRTIO_ID_RNG));
	irq_route(GED_GSI, 0, button_interrupt);
	virtio_route(&disk, 1, disk_interrupt);
	virtio_route(&rng, 2, rng_interrupt);
	expect(virtio_start(&disk, BIT(VIRTIO_BLK_F_FLUSH)) && virtio_start(&rng, 0));
	for (uint32_t round = 0; !is_done; round++) {
		queue_set(rng.queue, 0, random, sizeof(random), VRING_DESC_F_WRITE, 0);
		queue_offer(rng.queue, 0);
		queue_kick(rng.queue);
		move(round);
		expect(take(rng.queue).len == sizeof(random));
		put_char('.');
		take_interrupts();
	}
	power_off();
}
