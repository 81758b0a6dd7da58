/* SPDX-License-Identifier: MIT */
/* virtio_machine.h - the machine of fuzz_virtio.c: two devices, and what they may be given */
#ifndef FUZZ_VIRTIO_MACHINE_H
#define FUZZ_VIRTIO_MACHINE_H

#include "../tests/unit/virtio_rig.h"
#include "dev/rng.h"
#include "virtio/mmio.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <sys/random.h>

#define BASE       0xc0001000u
#define N_DEVICES  2
#define N_QUEUES   2 /* of the disk */
#define QUEUE_SIZE 64
#define MOST_HELD  24 /* less than a driver may ask for at once */
#define MOST_TURNS 64 /* of the loop, then others have theirs */
#define CONFIG     11 /* bytes */
#define RUNNING    VIRTIO_CONFIG_S_DRIVER_OK

struct held {
	struct virtq *vq;
	uint16_t head;
	unsigned int n_out, n_in;
	struct iovec iov[8]; /* the first of them */
};

struct disk {
	struct virtio_dev dev; /* first */
	struct held held[MOST_HELD];
	unsigned int n_held;
	bool starved;
	uint8_t config[CONFIG];
};

struct machine {
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct bus bus;
	struct irq_chip chip;
	struct virtio_dev *dev[N_DEVICES];
	struct virtio_mmio mmio[N_DEVICES];
	struct virtio_class rng_class;
	struct rig_ring ring[N_DEVICES][N_QUEUES];
	unsigned int bound; /* a bit for each doorbell */

	/* Of this step. */
	unsigned int n_served, n_turns, n_stops[N_DEVICES], raised;
	bool wrote; /* a device wrote data, which may lie anywhere */

	/* Memory that changes while a chain is served. */
	gpa_t change_at;
	uint32_t change_by;
	bool has_change;
};

static struct machine machine;
static uint64_t seed;

/* In place of the system's: the same input does the same again. */
ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	uint8_t *at = buffer;

	(void)flags;
	for (size_t i = 0; i < length; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		at[i] = (uint8_t)(seed >> 56);
	}
	machine.wrote = true;
	return (ssize_t)length;
}

/* ---- what holds of what a device is given ---- */

static unsigned int number_of(const struct virtio_dev *dev)
{
	return dev == machine.dev[1];
}

static bool is_running(const struct virtio_dev *dev)
{
	return (dev->status & (RUNNING | VIRTIO_CONFIG_S_NEEDS_RESET)) == RUNNING;
}

static void check_chain(
	const struct virtio_dev *dev, const struct virtq *vq, const struct virtq_chain *chain)
{
	uint64_t size[2] = { 0 };

	BUG_ON(!is_running(dev) || !vq->enabled);
	BUG_ON(!pthread_mutex_trylock(&((struct virtio_dev *)dev)->dev.lock));
	BUG_ON(chain->head >= vq->size || chain->n_out + chain->n_in > VIRTQ_MAX_CHAIN);
	for (unsigned int i = 0; i < chain->n_out + chain->n_in; i++) {
		BUG_ON(!chain->iov[i].iov_len);
		BUG_ON(!rig_is_ram(&machine.mem, chain->iov[i].iov_base, chain->iov[i].iov_len));
		size[i >= chain->n_out] += chain->iov[i].iov_len;
	}
	BUG_ON(size[0] != chain->out_size || size[1] != chain->in_size);
	BUG_ON(++machine.n_served > VIRTIO_BUDGET);
	if (machine.has_change)
		guest_mem_write(&machine.mem, machine.change_at, &machine.change_by, 4);
	machine.wrote |= machine.has_change;
	machine.has_change = false;
}

/* What was pushed last is that, and is told. */
static void check_pushed(const struct virtq *vq, uint16_t head)
{
	uint16_t at = (uint16_t)(vq->next_used - 1) & (vq->size - 1);

	BUG_ON(vq->used->ring[at].id != head || vq->used->idx != vq->next_used);
}

static void served(struct virtio_dev *dev, struct virtq *)
{
	(void)dev;
	machine.n_served = 0;
	if (++machine.n_turns >= MOST_TURNS)
		loop_stop(&machine.loop);
}

/* ---- rng ---- */

static int rng_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	uint16_t used = vq->next_used;
	int ret;

	check_chain(dev, vq, chain);
	ret = rng_class.serve(dev, vq, chain);
	BUG_ON(ret != (chain->in_size ? 0 : -EBADMSG));
	BUG_ON((uint16_t)(vq->next_used - used) != !ret);
	if (!ret)
		check_pushed(vq, chain->head);
	return ret;
}

static void rng_stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	BUG_ON(!vq->enabled);
	machine.n_stops[number_of(dev)]++;
}

/* ---- what is like a disk ---- */

static int disk_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct disk *disk = (struct disk *)dev;
	struct held *held = &disk->held[disk->n_held];

	check_chain(dev, vq, chain);
	if (!chain->in_size)
		return -EBADMSG;
	if (disk->n_held == MOST_HELD) {
		disk->starved = true;
		return -EAGAIN;
	}
	*held = (struct held){ .vq = vq, .head = chain->head };
	for (unsigned int i = 0; i < chain->n_out + chain->n_in && i < ARRAY_SIZE(held->iov); i++) {
		held->iov[i] = chain->iov[i];
		*(i < chain->n_out ? &held->n_out : &held->n_in) += 1;
	}
	disk->n_held++;
	return 0;
}

/* One that is in flight is done: its memory is read and written, it is returned. */
static void complete(struct disk *disk, unsigned int which)
{
	struct held held = disk->held[which];
	volatile uint8_t sum = 0;

	for (unsigned int i = 0; i < held.n_out + held.n_in; i++) {
		volatile uint8_t *at = held.iov[i].iov_base, *last = at + held.iov[i].iov_len - 1;

		if (i < held.n_out) {
			sum = (uint8_t)(sum + *at + *last);
		} else {
			*at = 0x5a;
			*last = 0xa5;
		}
	}
	machine.wrote = true;
	disk->held[which] = disk->held[--disk->n_held];
	virtq_push(held.vq, held.head, 1);
	check_pushed(held.vq, held.head);
}

static void disk_stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	struct disk *disk = (struct disk *)dev;

	BUG_ON(!vq->enabled);
	machine.n_stops[number_of(dev)]++;
	for (unsigned int i = disk->n_held; i-- > 0;)
		if (disk->held[i].vq == vq)
			complete(disk, i);
}

static void disk_quiesce(struct virtio_dev *dev)
{
	struct disk *disk = (struct disk *)dev;

	while (disk->n_held)
		complete(disk, 0);
	for (unsigned int q = 0; q < N_QUEUES; q++)
		virtio_signal(dev, virtio_queue(dev, q));
	disk->starved = false;
}

static int disk_start(struct virtio_dev *dev)
{
	BUG_ON(!is_running(dev) || ((struct disk *)dev)->n_held);
	return dev->features & VIRTIO_BIT(5) ? -EINVAL : 0;
}

static void disk_reset(struct virtio_dev *dev)
{
	struct disk *disk = (struct disk *)dev;

	BUG_ON(disk->n_held);
	disk->starved = false;
	memset(disk->config, 0x11, CONFIG);
}

static void disk_write_config(
	struct virtio_dev *dev, uint32_t offset, unsigned int size, uint64_t value)
{
	BUG_ON(offset + size > CONFIG);
	memcpy(((struct disk *)dev)->config + offset, &value, size);
}

static void disk_close(struct virtio_dev *dev)
{
	BUG_ON(((struct disk *)dev)->n_held);
	virtio_dev_fini(dev);
}

static const struct virtio_class disk_class = {
	.name = "disk",
	.id = VIRTIO_ID_BLOCK,
	.serve = disk_serve,
	.served = served,
	.start = disk_start,
	.stop_queue = disk_stop_queue,
	.reset = disk_reset,
	.quiesce = disk_quiesce,
	.write_config = disk_write_config,
	.close = disk_close,
};

/* ---- the machine ---- */

static void raise_line(struct irq_chip *, unsigned int gsi)
{
	machine.raised |= 1u << gsi;
}

static int bind_doorbell(void *, const struct virtio_doorbell *bell, int, bool on)
{
	unsigned int n = bell->gpa >= BASE + 0x1000;
	unsigned int bit = 1u << (n * N_QUEUES + bell->match);

	BUG_ON(bell->gpa != BASE + 0x1000 * n + VIRTIO_MMIO_QUEUE_NOTIFY || bell->size != 4);
	BUG_ON(on == !!(machine.bound & bit));
	machine.bound ^= bit;
	return 0;
}

static struct virtio_dev *open_rng(void)
{
	const struct rng_options options = { 0 };
	struct virtio_dev *dev;
	struct diag diag;

	machine.rng_class = rng_class;
	machine.rng_class.serve = rng_serve;
	machine.rng_class.served = served;
	machine.rng_class.stop_queue = rng_stop_queue;
	dev = rng_class.open(&options, &machine.env, &diag);
	BUG_ON(!dev);
	dev->class = &machine.rng_class;
	return dev;
}

static struct virtio_dev *open_disk(void)
{
	static struct disk disk;
	struct diag diag;

	memset(&disk, 0, sizeof(disk));
	memset(disk.config, 0x11, CONFIG);
	disk.dev.config = disk.config;
	disk.dev.config_size = CONFIG;
	BUG_ON(virtio_dev_init(&disk.dev, &disk_class, &machine.env, VIRTIO_BIT(5) | VIRTIO_BIT(9),
		N_QUEUES, QUEUE_SIZE, &diag));
	return &disk.dev;
}

static inline void init(void)
{
	struct guest_mem mem = machine.mem;

	if (!mem.n_regions)
		rig_mem_init(&mem);
	for (size_t i = 0; i < mem.n_regions; i++)
		memset(mem.region[i].hva, 0, RIG_REGION);
	memset(&machine, 0, sizeof(machine));
	machine.mem = mem;
	seed = 0;
	log_set_level(LOG_LEVEL_ERROR);
	BUG_ON(loop_init(&machine.loop));
	device_init(&machine.chip.dev, "chip", NULL);
	machine.chip.raise = raise_line;
	machine.env = (struct virtio_env){
		.mem = &machine.mem, .loop = &machine.loop, .bind = bind_doorbell
	};
	machine.dev[0] = open_rng();
	machine.dev[1] = open_disk();
	for (unsigned int i = 0; i < N_DEVICES; i++) {
		virtio_mmio_init(&machine.mmio[i], machine.dev[i],
			(struct irq_line){ &machine.chip, i }, BASE + 0x1000 * i);
		bus_add(&machine.bus, BASE + 0x1000 * i, 0x1000, &machine.dev[i]->dev);
		for (unsigned int q = 0; q < N_QUEUES; q++)
			rig_ring_init(&machine.ring[i][q], &machine.mem,
				q * RIG_HIGH + 0x1000 * (1 + i), 8);
	}
}

static inline void fini(void)
{
	for (unsigned int i = 0; i < N_DEVICES; i++)
		virtio_close(machine.dev[i]);
	device_fini(&machine.chip.dev);
	loop_fini(&machine.loop);
}

#endif
