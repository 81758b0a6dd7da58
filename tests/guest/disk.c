// SPDX-License-Identifier: MIT
/* disk.c - drive virtio-blk: write sectors, read them, several at once
 *
 * Sectors FIRST to FIRST + N - 1 are written, each with bytes of its own (pattern()).  With the
 * word "lazy" the driver cannot flush, so that each write has to be durable.  With "watch" it
 * writes nothing, and tells what the disk is each time that the device says that it has changed,
 * until the first byte on it is a q.
 */

#include "virtio.h"

#include <linux/virtio_blk.h>

#define SECTOR 512
#define FIRST  16
#define N      5 /* at once: with three descriptors each no more fit */

static struct virtio disk;
static struct virtio_blk_outhdr header[N];
static uint8_t data[N][SECTOR], seen[N][SECTOR];
static volatile uint8_t status[N];

static uint8_t pattern(unsigned int sector, unsigned int i)
{
	return (uint8_t)(sector * 13 + i * 7 + (i >> 8));
}

static void offer(unsigned int i, uint32_t type, uint64_t sector, void *at, uint32_t size)
{
	uint16_t head = (uint16_t)(3 * i),
		 flags = type == VIRTIO_BLK_T_OUT ? 0 : VRING_DESC_F_WRITE;

	header[i] = (struct virtio_blk_outhdr){ type, 0, sector };
	status[i] = 0xee;
	queue_set(disk.queue, head, &header[i], sizeof(header[i]), VRING_DESC_F_NEXT, head + 1);
	queue_set(disk.queue, head + 1, at, size, flags | VRING_DESC_F_NEXT, head + 2);
	queue_set(disk.queue, head + 2, &status[i], 1, VRING_DESC_F_WRITE, 0);
	queue_offer(disk.queue, head);
}

/* All that was offered, in whatever order: what they came to, or'ed. */
static uint8_t await(unsigned int n)
{
	struct vring_used_elem elem;
	uint8_t all = 0;

	queue_kick(disk.queue);
	for (unsigned int i = 0; i < n; i++)
		if (!queue_wait(disk.queue, &elem) || elem.id % 3 || elem.id >= 3 * n)
			return 0xff;
	for (unsigned int i = 0; i < n; i++)
		all |= status[i];
	return all;
}

static void check_sectors(void)
{
	for (unsigned int i = 0; i < N; i++) {
		for (unsigned int j = 0; j < SECTOR; j++)
			data[i][j] = pattern(FIRST + i, j);
		offer(i, VIRTIO_BLK_T_OUT, FIRST + i, data[i], SECTOR);
	}
	check_equal(await(N), VIRTIO_BLK_S_OK, "sectors are written");
	for (unsigned int i = 0; i < N; i++)
		offer(i, VIRTIO_BLK_T_IN, FIRST + i, seen[i], SECTOR);
	check_equal(await(N), VIRTIO_BLK_S_OK, "and read");
	check(bytes_equal(data, seen, sizeof(data)), "and are the same");
}

static void check_beyond(void)
{
	uint64_t capacity = virtio_get(&disk, VIRTIO_MMIO_CONFIG);

	offer(0, VIRTIO_BLK_T_IN, capacity - 1, seen[0], SECTOR);
	check_equal(await(1), VIRTIO_BLK_S_OK, "there is a last sector");
	offer(0, VIRTIO_BLK_T_IN, capacity, seen[0], SECTOR);
	check_equal(await(1), VIRTIO_BLK_S_IOERR, "and none behind it");
	offer(0, VIRTIO_BLK_T_OUT, UINT64_MAX, data[0], SECTOR);
	check_equal(await(1), VIRTIO_BLK_S_IOERR, "however far");
	offer(0, 77, 0, seen[0], SECTOR);
	check_equal(await(1), VIRTIO_BLK_S_UNSUPP, "nobody knows the 77th request");
}

static void check_flush(void)
{
	offer(0, VIRTIO_BLK_T_FLUSH, 0, seen[0], 0);
	check_equal(await(1), VIRTIO_BLK_S_OK, "all is on stable storage");
}

static bool has_changed(void)
{
	if (!(virtio_get(&disk, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG))
		return false;
	virtio_set(&disk, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	return true;
}

static void watch(void)
{
	check(virtio_start(&disk, 0), "it starts");
	do {
		uint32_t capacity = virtio_get(&disk, VIRTIO_MMIO_CONFIG);

		seen[0][0] = 0;
		if (capacity) {
			offer(0, VIRTIO_BLK_T_IN, capacity - 1, seen[0], SECTOR);
			check_equal(await(1), VIRTIO_BLK_S_OK, "there is a last sector");
			offer(0, VIRTIO_BLK_T_IN, 0, seen[0], SECTOR);
			check_equal(await(1), VIRTIO_BLK_S_OK, "and a first");
		}
		put("sectors ");
		put_number(capacity);
		put(", first byte ");
		put_hex(seen[0][0]);
		put("\n");
		while (seen[0][0] != 'q' && !has_changed())
			cpu_relax();
	} while (seen[0][0] != 'q');
	checks_done();
}

void guest_main(void)
{
	bool lazy = bytes_equal(command_line(), "lazy", 4);

	check(virtio_find_id(&disk, VIRTIO_ID_BLOCK), "there is a disk");
	if (!disk.id)
		return;
	if (bytes_equal(command_line(), "watch", 5)) {
		watch();
		return;
	}
	for (unsigned int life = 0; life < 3; life++) {
		check(virtio_start(&disk, lazy ? 0 : BIT(VIRTIO_BLK_F_FLUSH)), "it starts");
		check_sectors();
		check_beyond();
		if (!lazy)
			check_flush();
		/* In flight as the device is reset. */
		offer(0, VIRTIO_BLK_T_IN, 0, seen[0], SECTOR);
		queue_kick(disk.queue);
		virtio_reset(&disk);
	}
	checks_done();
}
