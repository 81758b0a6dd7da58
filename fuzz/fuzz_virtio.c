// SPDX-License-Identifier: MIT
/* fuzz_virtio.c - a driver that keeps no rule: registers, rings, memory that changes meanwhile
 *
 * Two devices: rng, and one that is like a disk: it keeps what it is asked for in flight, and
 * answers later, in any order.  The input is a row of steps.  The upper three bits of the first
 * byte say what it is, bit 0 which device, bit 1 which queue of the second:
 *
 * - 0, 1: a register is read, written to: bits 3:2 the size, bit 4 the configuration space;
 *   offset, value
 * - 2: memory is written: bit 4 for the upper region; where (2 bytes), bits 3:1 how many, the
 *   bytes
 * - 3: a driver that keeps the rules comes up; then the rings' size (a power of two), and features
 * - 4: a descriptor: its number, address (see address()), length, flags, next
 * - 5: a chain is offered: its head; bit 4: and the device is kicked, and all is done that can be
 * - 6: the loop runs
 * - 7: what others do: see others()
 */

#include "input.h"
#include "virtio_machine.h"

/* ---- what holds after every step ---- */

struct before {
	uint8_t status[N_DEVICES];
	struct virtq vq[N_DEVICES][N_QUEUES];
};

static void look(struct before *before)
{
	for (unsigned int i = 0; i < N_DEVICES; i++) {
		before->status[i] = machine.dev[i]->status;
		for (unsigned int q = 0; q < machine.dev[i]->n_queues; q++)
			before->vq[i][q] = machine.dev[i]->queue[q].vq;
	}
}

static unsigned int n_held(const struct virtq *vq)
{
	const struct disk *disk = (struct disk *)machine.dev[1];
	unsigned int n = 0;

	for (unsigned int i = 0; i < disk->n_held; i++)
		n += disk->held[i].vq == vq;
	return n;
}

static void check_queue(const struct virtq *vq, const struct virtq *before, bool stopped)
{
	if (!vq->enabled)
		return;
	BUG_ON(!is_power_of_2(vq->size) || vq->size > QUEUE_SIZE);
	BUG_ON(!rig_is_ram(&machine.mem, vq->desc, 16ull * vq->size) ||
		!rig_is_ram(&machine.mem, vq->avail, 6 + 2ull * vq->size) ||
		!rig_is_ram(&machine.mem, vq->used, 6 + 8ull * vq->size));
	BUG_ON(n_held(vq) > vq->size);
	/* What the driver has set stays as it is. */
	if (before->enabled && !stopped)
		BUG_ON(vq->size != before->size || vq->desc != before->desc ||
			vq->avail != before->avail || vq->used != before->used ||
			vq->event_idx != before->event_idx);
}

static void check_device(unsigned int n, const struct before *before, bool was_reset)
{
	struct virtio_dev *dev = machine.dev[n];
	bool agreed = dev->status & VIRTIO_CONFIG_S_FEATURES_OK;

	BUG_ON(pthread_mutex_trylock(&dev->dev.lock));
	pthread_mutex_unlock(&dev->dev.lock);
	BUG_ON(before->status[n] & ~dev->status && !was_reset);
	BUG_ON(agreed && (dev->features & ~dev->offered || !virtio_has_feature(dev, 32)));
	BUG_ON(dev->status & RUNNING && !agreed);
	BUG_ON(machine.raised & 1u << n && !((dev->status | before->status[n]) & RUNNING));
	for (unsigned int q = 0; q < dev->n_queues; q++) {
		const struct virtq *vq = virtio_queue(dev, q);

		BUG_ON(vq->enabled && !agreed);
		BUG_ON(machine.bound & 1u << (n * N_QUEUES + q) && !vq->enabled);
		check_queue(vq, &before->vq[n][q], machine.n_stops[n]);
		/* A chain that broke the rules is never returned. */
		BUG_ON((uint16_t)(vq->next_avail - vq->next_used) != n_held(vq) &&
			!(dev->status & VIRTIO_CONFIG_S_NEEDS_RESET));
	}
}

/* It is as it was when it was made. */
static void check_fresh(unsigned int n)
{
	struct virtio_dev *dev = machine.dev[n];

	BUG_ON(dev->status || dev->features || machine.mmio[n].interrupt_status);
	for (unsigned int q = 0; q < dev->n_queues; q++)
		BUG_ON(!rig_is_fresh(virtio_queue(dev, q)));
}

/* ---- steps ---- */

static void write_register(unsigned int n, uint32_t offset, uint64_t value)
{
	bus_write(&machine.bus, BASE + 0x1000 * n + offset, 4, value);
}

static uint32_t read_register(unsigned int n, uint32_t offset)
{
	return (uint32_t)bus_read(&machine.bus, BASE + 0x1000 * n + offset, 4);
}

/* Whether it was a reset. */
static bool access_register(struct fuzz_input *input, uint8_t what)
{
	unsigned int size = 1u << (what >> 2 & 3), n = what & 1;
	uint64_t offset = (what & 0x10 ? VIRTIO_MMIO_CONFIG : 0) + take(input, 1);
	uint64_t addr = BASE + 0x1000 * n + offset, value;

	if (!(what >> 5)) {
		bus_read(&machine.bus, addr, size);
		return false;
	}
	value = take(input, size);
	bus_write(&machine.bus, addr, size, value);
	if (offset != VIRTIO_MMIO_STATUS || size != 4 || value)
		return false;
	check_fresh(n);
	return true;
}

static void poke(struct fuzz_input *input, uint8_t what)
{
	gpa_t at = (what & 0x10 ? RIG_HIGH : 0) + take(input, 2);
	unsigned int n = 1 + (what >> 1 & 7);
	uint64_t value = take(input, n);

	BUG_ON(guest_mem_write(&machine.mem, at, &value, n));
}

static void set_up_queue(unsigned int n, unsigned int q, uint16_t size)
{
	struct rig_ring *ring = &machine.ring[n][q];

	rig_ring_init(ring, &machine.mem, ring->desc_at, size);
	write_register(n, VIRTIO_MMIO_QUEUE_SEL, q);
	BUG_ON(read_register(n, VIRTIO_MMIO_QUEUE_READY));
	write_register(n, VIRTIO_MMIO_QUEUE_NUM, size);
	for (unsigned int i = 0; i < 2; i++) {
		write_register(n, VIRTIO_MMIO_QUEUE_DESC_LOW + 4 * i, ring->desc_at >> 32 * i);
		write_register(n, VIRTIO_MMIO_QUEUE_AVAIL_LOW + 4 * i, ring->avail_at >> 32 * i);
		write_register(n, VIRTIO_MMIO_QUEUE_USED_LOW + 4 * i, ring->used_at >> 32 * i);
	}
	write_register(n, VIRTIO_MMIO_QUEUE_READY, 1);
	BUG_ON(!read_register(n, VIRTIO_MMIO_QUEUE_READY));
}

/* A driver that keeps the rules comes up, whatever was before. */
static void bring_up(struct fuzz_input *input, unsigned int n)
{
	uint16_t size = (uint16_t)(1u << take(input, 1) % 7);
	uint32_t rings = (uint32_t)(take(input, 1) & 3) << VIRTIO_RING_F_INDIRECT_DESC;

	write_register(n, VIRTIO_MMIO_STATUS, 0);
	check_fresh(n);
	write_register(n, VIRTIO_MMIO_STATUS, 1);
	write_register(n, VIRTIO_MMIO_STATUS, 3);
	write_register(n, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	write_register(n, VIRTIO_MMIO_DRIVER_FEATURES, rings);
	write_register(n, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	write_register(n, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	write_register(n, VIRTIO_MMIO_STATUS, 11);
	for (unsigned int q = 0; q < machine.dev[n]->n_queues; q++)
		set_up_queue(n, q, size);
	write_register(n, VIRTIO_MMIO_STATUS, 15);
	BUG_ON(read_register(n, VIRTIO_MMIO_STATUS) != 15);
}

/* Somewhere in RAM mostly; at the edges of regions, in the rings, and where nothing is. */
static gpa_t address(uint16_t code)
{
	gpa_t low = (gpa_t)(code & 0xfff);

	switch (code >> 12) {
	case 0: return RIG_REGION - 0x800 + low;
	case 1: return RIG_HIGH + RIG_REGION - 0x800 + low;
	case 2: return RIG_HIGH - 0x800 + low;
	case 3: return BASE + low;
	case 4: return 0 - low;
	case 5: return RIG_HIGH + 0x1000 + low;
	default: return ((gpa_t)(code >> 12) << 12) - 0x6000 + low;
	}
}

static struct rig_ring *ring_of(uint8_t what)
{
	unsigned int n = what & 1;

	return &machine.ring[n][what >> 1 & 1 && n];
}

static void set_descriptor(struct fuzz_input *input, uint8_t what)
{
	struct rig_ring *ring = ring_of(what);
	unsigned int i = (unsigned int)take(input, 1) % ring->size;
	gpa_t at = address(take16(input));
	uint32_t len = (uint32_t)take(input, what & 8 ? 4 : 1);
	uint16_t flags = (uint16_t)take(input, 1);

	*rig_desc(ring, i) = (struct vring_desc){ at, len, flags, (uint16_t)take(input, 1) };
}

static void run_loop(void);

/* Who has kicked need not kick again: all is served, unless the device is short of something. */
static void offer(struct fuzz_input *input, uint8_t what)
{
	const struct disk *disk = (struct disk *)machine.dev[1];
	struct rig_ring *ring = ring_of(what);
	unsigned int n = what & 1, q = (what >> 1 & 1) && n;
	const struct virtq *vq = virtio_queue(machine.dev[n], q);

	rig_offer(ring, (uint16_t)take(input, 1));
	if (!(what & 0x10))
		return;
	write_register(n, VIRTIO_MMIO_QUEUE_NOTIFY, q);
	run_loop();
	BUG_ON(is_running(machine.dev[n]) && virtq_is_pending(vq) && !machine.wrote &&
		machine.n_turns < MOST_TURNS && !(n == 1 && disk->starved));
}

static void rests(void *ctx)
{
	loop_stop(ctx);
}

static void run_loop(void)
{
	machine.loop.stopped = false;
	loop_when_quiet(&machine.loop, 0, rests, &machine.loop);
	BUG_ON(loop_run(&machine.loop));
}

static void complete_one(unsigned int which)
{
	struct disk *disk = (struct disk *)machine.dev[1];

	pthread_mutex_lock(&disk->dev.dev.lock);
	if (disk->n_held)
		complete(disk, which % disk->n_held);
	for (unsigned int q = 0; q < N_QUEUES; q++) {
		virtio_signal(&disk->dev, virtio_queue(&disk->dev, q));
		if (disk->starved)
			virtio_kick_later(virtio_queue(&disk->dev, q));
	}
	disk->starved = false;
	pthread_mutex_unlock(&disk->dev.dev.lock);
}

/* The machine is reset: a second reset changes nothing, and registers read as at first. */
static void reset(void)
{
	bus_reset(&machine.bus);
	for (unsigned int n = 0; n < N_DEVICES; n++) {
		check_fresh(n);
		BUG_ON(machine.mmio[n].queue_select || machine.mmio[n].offered_select ||
			machine.mmio[n].features_select);
	}
	BUG_ON(machine.bound);
}

/* While it is paused nothing is served and nobody interrupted, whoever kicks; then all is. */
static void pause_machine(unsigned int n)
{
	unsigned int raised, n_turns;

	for (unsigned int i = 0; i < N_DEVICES; i++)
		virtio_quiesce(machine.dev[i]);
	raised = machine.raised;
	n_turns = machine.n_turns;
	virtio_kick_later(virtio_queue(machine.dev[n], 0));
	virtio_config_changed(machine.dev[n]);
	run_loop();
	BUG_ON(machine.raised != raised || machine.n_turns != n_turns);
	BUG_ON(((struct disk *)machine.dev[1])->n_held);
	for (unsigned int i = 0; i < N_DEVICES; i++)
		virtio_resume(machine.dev[i]);
	BUG_ON(machine.dev[n]->status & RUNNING && !(machine.raised & 1u << n));
	run_loop();
}

/* Whether it was a reset. */
static bool others(struct fuzz_input *input, uint8_t what)
{
	struct virtio_dev *dev = machine.dev[what & 1];

	switch (what >> 2 & 7) {
	case 0: reset(); return true;
	case 1:
		machine.change_at = (what & 2 ? RIG_HIGH : 0) + take(input, 2);
		machine.change_by = take32(input);
		machine.has_change = true;
		break;
	case 2:
		pthread_mutex_lock(&dev->dev.lock);
		virtio_config_changed(dev);
		pthread_mutex_unlock(&dev->dev.lock);
		break;
	case 3: pause_machine(what & 1); break;
	default: complete_one((unsigned int)take(input, 1));
	}
	return false;
}

/* Whether a device may have been reset. */
static bool step(struct fuzz_input *input, uint8_t what)
{
	switch (what >> 5) {
	case 0:
	case 1: return access_register(input, what);
	case 2: poke(input, what); return false;
	case 3: bring_up(input, what & 1); return true;
	case 4: set_descriptor(input, what); return false;
	case 5: offer(input, what); return false;
	case 6: run_loop(); return false;
	default: return others(input, what);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	init();
	while (input.size) {
		struct before before = { 0 };
		bool was_reset;

		look(&before);
		machine.n_turns = machine.raised = 0;
		machine.n_stops[0] = machine.n_stops[1] = 0;
		machine.wrote = false;
		was_reset = step(&input, take8(&input));
		for (unsigned int n = 0; n < N_DEVICES; n++)
			check_device(n, &before, was_reset);
	}
	fini();
	return 0;
}
