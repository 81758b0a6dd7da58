// SPDX-License-Identifier: MIT
/* latency.c - read a disk, a sector at a time, and tell how long each read took
 *
 * A byte that comes by the serial port ends a window.  What the reads in it took is printed, in
 * ticks of the time stamp counter, a line each; then the byte, and the ticks of the whole window.
 * The next one begins when the byte after that has come: what was printed belongs to none.  After
 * an 'e' the guest powers off, and at the first read that fails it resets.
 */

#include "virtio.h"

#include <linux/virtio_blk.h>

#define SECTOR 512
#define MOST   16384 /* reads that a window tells of; the rest it only makes */

static struct virtio disk;
static struct virtio_blk_outhdr header = { VIRTIO_BLK_T_IN, 0, 0 };
static uint8_t data[SECTOR];
static volatile uint8_t status;
static uint32_t ticks[MOST], n_reads;

static uint64_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void disk_interrupt(void)
{
	virtio_set(
		&disk, VIRTIO_MMIO_INTERRUPT_ACK, virtio_get(&disk, VIRTIO_MMIO_INTERRUPT_STATUS));
}

static bool read_sector(void)
{
	uint64_t start = now();

	status = 0xee;
	queue_set(disk.queue, 0, &header, sizeof(header), VRING_DESC_F_NEXT, 1);
	queue_set(disk.queue, 1, data, SECTOR, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 2);
	queue_set(disk.queue, 2, &status, 1, VRING_DESC_F_WRITE, 0);
	queue_offer(disk.queue, 0);
	queue_kick(disk.queue);
	wait_until(queue_has_used(disk.queue));
	disk.queue->n_seen++;
	if (n_reads < MOST)
		ticks[n_reads++] = (uint32_t)(now() - start);
	return status == VIRTIO_BLK_S_OK;
}

static bool has_input(void)
{
	return inb(SERIAL + 5) & 1;
}

/* The byte that has ended it. */
static char window(void)
{
	uint64_t start = now(), end;
	char byte;

	n_reads = 0;
	do {
		if (!read_sector()) {
			outb(PM_RESET, 1);
			halt_forever();
		}
	} while (!has_input());
	end = now();
	byte = get_char();
	for (uint32_t i = 0; i < n_reads; i++) {
		put_number(ticks[i]);
		put_char('\n');
	}
	put_char(byte);
	put_char(' ');
	put_hex(end - start);
	put_char('\n');
	return byte;
}

void guest_main(void)
{
	lapic_enable();
	if (!virtio_find_id(&disk, VIRTIO_ID_BLOCK))
		return;
	irq_route(VIRTIO_GSI + disk.slot, 0, disk_interrupt);
	if (!virtio_start(&disk, 0))
		return;
	/* From now on no page of ours is one that the host has not given yet. */
	for (uint32_t i = 0; i < MOST; i++)
		((volatile uint32_t *)ticks)[i] = 0;
	put("ready\n");
	do
		get_char();
	while (window() != 'e');
	power_off();
}
