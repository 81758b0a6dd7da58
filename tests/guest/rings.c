// SPDX-License-Identifier: MIT
/* rings.c - a hostile driver: it breaks each rule of virtio in turn, at every device that it finds
 *
 * After each the device has answered, or says that it needs a reset; the other devices go on; after
 * a reset it works as before.  A new kind of device needs a row in `kinds`.
 *
 * With the word "again" it does so without an end, and says what goes wrong, and a dot each time.
 * With "vhost" the host's kernel judges the rings: some of what is broken it passes over.
 */

#include "virtio.h"

#include <linux/virtio_vsock.h>

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

#define HOLE   0xd8000000u /* no memory, and no device */
#define CHANGE 300         /* times that memory changes while a device reads it */
#define STORM  2000        /* kicks */
#define SHORT  2000        /* turns, for who may never answer */

#define MAX_DEVICES 8

static bool by_vhost, again;
static struct virtio devices[MAX_DEVICES];
static unsigned int n_devices;

static uint8_t buffer[4096] __attribute__((aligned(4096)));
static struct vring_desc table[8];

/* ---- what each kind of device is asked for, if it is asked rightly ---- */

static unsigned int ask_rng(struct queue *queue)
{
	queue_set(queue, 0, buffer, 16, NEXT | WRITE, 1);
	queue_set(queue, 1, buffer + 16, 16, WRITE, 0);
	return 2;
}

/* To read the first sector. */
static unsigned int ask_disk(struct queue *queue)
{
	static const uint64_t header[2];

	queue_set(queue, 0, header, 16, NEXT, 1);
	queue_set(queue, 1, buffer, 512, NEXT | WRITE, 2);
	queue_set(queue, 2, buffer + 512, 1, WRITE, 0);
	return 3;
}

/* To send a frame to nobody. */
static unsigned int ask_net(struct queue *queue)
{
	static const uint8_t frame[12 + 60];

	queue_set(queue, 0, frame, 12, NEXT, 1);
	queue_set(queue, 1, frame + 12, 60, 0, 0);
	return 2;
}

/* To have a page back that it never gave: of an unused one. */
static unsigned int ask_balloon(struct queue *queue)
{
	static const uint32_t page = 0x1800;

	queue_set(queue, 0, &page, 4, 0, 0);
	return 1;
}

/* To end a stream that there never was, which nobody answers. */
static unsigned int ask_vsock(struct queue *queue)
{
	static const struct virtio_vsock_hdr header = {
		.src_cid = 3,
		.dst_cid = 2,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = VIRTIO_VSOCK_OP_RST,
	};

	queue_set(queue, 0, &header, sizeof(header), 0, 0);
	return 1;
}

static const struct kind {
	uint32_t id;
	const char *name;
	unsigned int queue; /* the one that is broken */
	/* Descriptors from 0 on: how many.  The last is the chain's last. */
	unsigned int (*ask)(struct queue *queue);
} kinds[] = {
	{ VIRTIO_ID_RNG, "rng", 0, ask_rng },
	{ VIRTIO_ID_BLOCK, "disk", 0, ask_disk },
	{ VIRTIO_ID_NET, "net", 1, ask_net },
	{ VIRTIO_ID_VSOCK, "vsock", 1, ask_vsock },
	{ VIRTIO_ID_BALLOON, "balloon", 1, ask_balloon },
};

static const struct kind *kind_of(const struct virtio *dev)
{
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].id == dev->id)
			return &kinds[i];
	return NULL;
}

static struct queue *queue_of(struct virtio *dev)
{
	return &dev->queue[kind_of(dev)->queue];
}

static bool goes_on(struct virtio *dev)
{
	struct queue *queue = queue_of(dev);
	struct vring_used_elem elem;

	kind_of(dev)->ask(queue);
	queue_offer(queue, 0);
	queue_kick(queue);
	return queue_wait(queue, &elem) && elem.id == 0;
}

static bool works(struct virtio *dev)
{
	return virtio_start(dev, BIT(VIRTIO_RING_F_INDIRECT_DESC)) && goes_on(dev);
}

/* ---- the ways to break it.  `last` is the chain's last descriptor, as it ought to be ---- */

static void loop(struct queue *queue, struct vring_desc *last)
{
	last->flags |= NEXT;
	last->next = 0;
	queue_offer(queue, 0);
}

static void loop_of_nothing(struct queue *queue, struct vring_desc *last)
{
	queue_set(queue, 7, NULL, 0, NEXT, 7);
	queue_offer(queue, 7);
}

static void wild_next(struct queue *queue, struct vring_desc *last)
{
	last->flags |= NEXT;
	last->next = 0xffff;
	queue_offer(queue, 0);
}

static void wild_head(struct queue *queue, struct vring_desc *last)
{
	queue_offer(queue, 0xffff);
}

static void head_behind_the_last(struct queue *queue, struct vring_desc *last)
{
	queue_offer(queue, QUEUE_SIZE);
}

static void index_jumps(struct queue *queue, struct vring_desc *last)
{
	queue->avail.idx += QUEUE_SIZE + 1;
}

static void index_goes_back(struct queue *queue, struct vring_desc *last)
{
	queue->avail.idx -= 1;
}

static void index_far_away(struct queue *queue, struct vring_desc *last)
{
	queue->avail.idx += 0x8000;
}

static void point(struct queue *queue, struct vring_desc *last, uint64_t addr, uint32_t len)
{
	last->addr = addr;
	last->len = len;
	queue_offer(queue, 0);
}

static void in_the_hole(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, HOLE, 1);
}

static void at_its_own_registers(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, queue->dev->base, 4);
}

static void at_the_interrupt_controller(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, LAPIC, 4);
}

static void above_all(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, 1ull << 52, 512);
}

static void all_of_memory(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, 0, 0xffffffff);
}

static void it_wraps(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, 0xfffffffffffffff0, 0x1000);
}

static void write_before_read(struct queue *queue, struct vring_desc *last)
{
	queue_set(queue, 0, buffer, 16, NEXT | WRITE, 1);
	queue_set(queue, 1, buffer, 16, 0, 0);
	queue_offer(queue, 0);
}

static void by_table(struct queue *queue, const void *at, uint32_t len, uint16_t flags)
{
	queue_set(queue, 0, at, len, INDIRECT | flags, 1);
	queue_set(queue, 1, buffer, 16, WRITE, 0);
	queue_offer(queue, 0);
}

static void table_in_a_table(struct queue *queue, struct vring_desc *last)
{
	table[0] = (struct vring_desc){ (uint32_t)table, sizeof(table), INDIRECT, 0 };
	by_table(queue, table, sizeof(table), 0);
}

static void table_that_loops(struct queue *queue, struct vring_desc *last)
{
	table[0] = (struct vring_desc){ (uint32_t)buffer, 0, NEXT | WRITE, 0 };
	by_table(queue, table, sizeof(table), 0);
}

static void table_and_more(struct queue *queue, struct vring_desc *last)
{
	table[0] = *last;
	by_table(queue, table, 16, NEXT);
}

static void empty_table(struct queue *queue, struct vring_desc *last)
{
	by_table(queue, table, 0, 0);
}

static void table_and_a_half(struct queue *queue, struct vring_desc *last)
{
	by_table(queue, table, 24, 0);
}

static void endless_table(struct queue *queue, struct vring_desc *last)
{
	by_table(queue, table, 0xfffffff0, 0);
}

static void table_in_the_hole(struct queue *queue, struct vring_desc *last)
{
	by_table(queue, (const void *)HOLE, 16, 0);
}

/* ---- which a device may answer, or not ---- */

static void nothing_at_all(struct queue *queue, struct vring_desc *last)
{
	queue_set(queue, 0, (const void *)HOLE, 0, WRITE, 0);
	queue_offer(queue, 0);
}

static void only_to_read(struct queue *queue, struct vring_desc *last)
{
	queue_set(queue, 0, buffer, 16, 0, 0);
	queue_offer(queue, 0);
}

static void a_byte_to_write(struct queue *queue, struct vring_desc *last)
{
	queue_set(queue, 0, buffer, 1, WRITE, 0);
	queue_offer(queue, 0);
}

/* What a device writes is where it reads from, or writes to itself. */
static void into_the_descriptors(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, (uint32_t)queue->desc, sizeof(queue->desc));
}

static void into_the_available(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, (uint32_t)&queue->avail, sizeof(queue->avail));
}

static void into_the_used(struct queue *queue, struct vring_desc *last)
{
	point(queue, last, (uint32_t)&queue->used, sizeof(queue->used));
}

/* The same request again and again, while it is under way. */
static void the_same_head(struct queue *queue, struct vring_desc *last)
{
	for (unsigned int i = 0; i < QUEUE_SIZE; i++)
		queue_offer(queue, 0);
}

/* Between right and wrong, while the device reads it: the kick has been. */
static void memory_changes(struct queue *queue, struct vring_desc *last)
{
	volatile struct vring_desc *desc = last;
	const struct vring_desc right = *last;

	for (unsigned int i = 0; i < QUEUE_SIZE; i++)
		queue_offer(queue, 0);
	queue_kick(queue);
	for (unsigned int i = 0; i < CHANGE; i++) {
		desc->addr = i & 1 ? right.addr : HOLE;
		desc->len = i & 2 ? right.len : 0xffffffff;
		desc->flags = i & 4 ? right.flags : NEXT | INDIRECT;
		desc->next = i & 8 ? 0 : 0xffff;
	}
}

static void index_changes(struct queue *queue, struct vring_desc *last)
{
	queue_offer(queue, 0);
	queue_kick(queue);
	for (unsigned int i = 0; i < CHANGE; i++)
		*(volatile uint16_t *)&queue->avail.idx = (uint16_t)(i * 77);
}

/* ---- which it must not mind ---- */

static void nothing_in_front(struct queue *queue, struct vring_desc *last)
{
	unsigned int n = kind_of(queue->dev)->ask(queue);

	for (; n > 0; n--) {
		queue->desc[n] = queue->desc[n - 1];
		queue->desc[n].next++;
	}
	queue_set(queue, 0, (const void *)HOLE, 0, NEXT, 1);
	queue_offer(queue, 0);
}

static void rings_move_while_in_use(struct queue *queue, struct vring_desc *last)
{
	virtio_set(queue->dev, VIRTIO_MMIO_QUEUE_SEL, queue->index);
	virtio_set(queue->dev, VIRTIO_MMIO_QUEUE_NUM, 0x8000);
	for (uint32_t offset = VIRTIO_MMIO_QUEUE_DESC_LOW; offset < 0xac; offset += 4)
		virtio_set(queue->dev, offset, HOLE + offset);
	virtio_set(queue->dev, VIRTIO_MMIO_QUEUE_READY, 1);
	queue_offer(queue, 0);
}

static void a_storm_of_kicks(struct queue *queue, struct vring_desc *last)
{
	for (unsigned int i = 0; i < STORM; i++)
		virtio_set(
			queue->dev, VIRTIO_MMIO_QUEUE_NOTIFY, i % 8 ? queue->index : i * 0x10001);
	queue_offer(queue, 0);
}

static void features_after_all(struct queue *queue, struct vring_desc *last)
{
	virtio_set(queue->dev, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
	virtio_set(queue->dev, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	queue_offer(queue, 0);
}

/* Of every width but the right one: those that are registers are of 32 bits. */
static void odd_accesses(struct queue *queue, struct vring_desc *last)
{
	for (uint32_t at = queue->dev->base; at < queue->dev->base + 0x100; at++) {
		*(volatile uint8_t *)at = 0;
		(void)*(volatile uint16_t *)at;
		if (at % 4)
			(void)read32(at);
	}
	(void)read32(queue->dev->base + VIRTIO_SIZE - 2);
	queue_offer(queue, 0);
}

enum outcome { BREAKS, ANSWERS, EITHER };

static const struct way {
	enum outcome outcome;
	void (*go)(struct queue *queue, struct vring_desc *last);
	const char *name;
} ways[] = {
	{ BREAKS, loop, "a loop" },
	{ BREAKS, loop_of_nothing, "a loop of nothing" },
	{ BREAKS, wild_next, "a wild next" },
	{ BREAKS, wild_head, "a wild head" },
	{ BREAKS, head_behind_the_last, "a head behind the last" },
	{ BREAKS, index_jumps, "an index that jumps" },
	{ BREAKS, index_goes_back, "an index that goes back" },
	{ BREAKS, index_far_away, "an index far away" },
	{ BREAKS, in_the_hole, "memory that is not there" },
	{ BREAKS, at_its_own_registers, "its own registers as memory" },
	{ BREAKS, at_the_interrupt_controller, "the interrupt controller as memory" },
	{ BREAKS, above_all, "memory above all" },
	{ BREAKS, all_of_memory, "more than all memory" },
	{ BREAKS, it_wraps, "memory around the end of addresses" },
	{ BREAKS, write_before_read, "to write before to read" },
	{ BREAKS, table_in_a_table, "a table in a table" },
	{ BREAKS, table_that_loops, "a table that loops" },
	{ BREAKS, table_and_more, "a table and more" },
	{ BREAKS, empty_table, "an empty table" },
	{ BREAKS, table_and_a_half, "a table of one and a half" },
	{ BREAKS, endless_table, "an endless table" },
	{ BREAKS, table_in_the_hole, "a table that is not there" },
	{ EITHER, nothing_at_all, "a chain of nothing" },
	{ EITHER, only_to_read, "a chain to read alone" },
	{ EITHER, a_byte_to_write, "a chain of a byte" },
	{ EITHER, into_the_descriptors, "its descriptors as buffer" },
	{ EITHER, into_the_available, "its available ring as buffer" },
	{ EITHER, into_the_used, "its used ring as buffer" },
	{ EITHER, the_same_head, "the same request many times" },
	{ EITHER, memory_changes, "descriptors that change" },
	{ EITHER, index_changes, "an index that changes" },
	{ ANSWERS, nothing_in_front, "nothing in front" },
	{ ANSWERS, rings_move_while_in_use, "rings that move while in use" },
	{ ANSWERS, a_storm_of_kicks, "a storm of kicks" },
	{ ANSWERS, features_after_all, "features and status that change" },
	{ ANSWERS, odd_accesses, "accesses of odd widths" },
};

/* ---- without rings ---- */

/* A register of a queue that is not as it should be: the queue does not become ready. */
static bool refuses(struct virtio *dev, uint32_t offset, uint32_t value)
{
	unsigned int index = kind_of(dev)->queue;

	virtio_reset(dev);
	if (!virtio_agree(dev, 0))
		return false;
	virtio_set(dev, VIRTIO_MMIO_QUEUE_SEL, index);
	virtio_write_rings(dev, &dev->queue[index]);
	virtio_set(dev, offset, value);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	if (virtio_get(dev, VIRTIO_MMIO_QUEUE_READY) || !virtio_is_broken(dev))
		return false;
	/* It goes on as if it had not seen that. */
	virtio_set(dev, VIRTIO_MMIO_STATUS, S_RUNNING);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_NOTIFY, index);
	return virtio_is_broken(dev);
}

static bool refuses_rings(struct virtio *dev)
{
	static const uint32_t sizes[] = { 0, 3, 0x8000, 0xffff, 0x10000, 0xffffffff };
	static const struct {
		uint32_t offset, value;
	} rows[] = {
		{ VIRTIO_MMIO_QUEUE_DESC_LOW, HOLE },
		{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0xc0001000 },
		{ VIRTIO_MMIO_QUEUE_USED_LOW, LAPIC },
		{ VIRTIO_MMIO_QUEUE_DESC_LOW, 8 },
		{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, 1 },
		{ VIRTIO_MMIO_QUEUE_USED_LOW, 2 },
		{ VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x100 },
		{ VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0xffffffff },
		{ VIRTIO_MMIO_QUEUE_USED_LOW, 0xfffffffc },
	};
	bool ok = true;

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ok = ok && refuses(dev, VIRTIO_MMIO_QUEUE_NUM, sizes[i]);
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ok = ok && refuses(dev, rows[i].offset, rows[i].value);
	return ok;
}

static bool refuses_features(struct virtio *dev)
{
	virtio_reset(dev);
	virtio_set(dev, VIRTIO_MMIO_STATUS, S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	if (virtio_status(dev) & VIRTIO_CONFIG_S_DRIVER_OK)
		return false;
	virtio_set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	virtio_set(dev, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
	virtio_set(dev, VIRTIO_MMIO_STATUS, S_RUNNING);
	return virtio_status(dev) == S_DRIVER;
}

/* With requests under way. */
static bool survives_resets(struct virtio *dev)
{
	struct queue *queue = queue_of(dev);

	for (unsigned int i = 0; i < 10; i++) {
		if (!virtio_start(dev, 0))
			return false;
		kind_of(dev)->ask(queue);
		for (unsigned int n = 0; n < QUEUE_SIZE; n++)
			queue_offer(queue, 0);
		queue_kick(queue);
		if (i & 1) {
			virtio_set(dev, VIRTIO_MMIO_QUEUE_SEL, queue->index);
			virtio_set(dev, QUEUE_RESET, 1);
		}
	}
	return true;
}

/* ---- all of them ---- */

static void check_named(const struct virtio *dev, bool ok, const char *name)
{
	static char text[80];
	char *to = text;

	if (again && ok)
		return;
	for (const char *from = kind_of(dev)->name; *from;)
		*to++ = *from++;
	*to++ = ':';
	*to++ = ' ';
	while (*name && to < text + sizeof(text) - 1)
		*to++ = *name++;
	*to = 0;
	check(ok, text);
}

static bool others_go_on(const struct virtio *dev)
{
	bool ok = true;

	for (unsigned int i = 0; i < n_devices; i++)
		if (&devices[i] != dev)
			ok = ok && goes_on(&devices[i]);
	return ok;
}

static bool ends_somehow(const struct virtio *dev, const struct queue *queue)
{
	for (unsigned int i = 0; i < SHORT && !queue_has_used(queue); i++)
		if (virtio_is_broken(dev))
			break;
	return true;
}

static bool ends_as(const struct virtio *dev, struct queue *queue, enum outcome outcome)
{
	struct vring_used_elem elem;

	if (by_vhost && outcome != ANSWERS)
		return ends_somehow(dev, queue);
	switch (outcome) {
	case BREAKS: return virtio_wait_broken(dev) && !queue_has_used(queue);
	case ANSWERS: return queue_wait(queue, &elem) && elem.id == 0 && !virtio_is_broken(dev);
	default: queue_wait(queue, &elem); return true;
	}
}

static bool try_way(struct virtio *dev, const struct way *way)
{
	struct queue *queue = queue_of(dev);
	unsigned int n;

	if (!virtio_start(dev, BIT(VIRTIO_RING_F_INDIRECT_DESC)))
		return false;
	n = kind_of(dev)->ask(queue);
	way->go(queue, &queue->desc[n - 1]);
	queue_kick(queue);
	return ends_as(dev, queue, way->outcome) && others_go_on(dev) && works(dev);
}

static void attack(struct virtio *dev)
{
	check_named(dev, works(dev), "it works");
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		check_named(dev, try_way(dev, &ways[i]), ways[i].name);
	check_named(dev, refuses_rings(dev) && works(dev), "rings that cannot be");
	check_named(dev, refuses_features(dev) && works(dev), "features that cannot be");
	check_named(dev, survives_resets(dev) && others_go_on(dev) && works(dev), "resets amid");
}

void guest_main(void)
{
	by_vhost = bytes_equal(command_line(), "vhost", 5);
	again = bytes_equal(command_line(), "again", 5);
	for (unsigned int slot = 0; slot < VIRTIO_SLOTS && n_devices < MAX_DEVICES; slot++)
		if (virtio_find(&devices[n_devices], slot) && kind_of(&devices[n_devices]))
			n_devices++;
	put("# devices ");
	put_number(n_devices);
	put("\n");
	check(n_devices > 0, "there are devices");
	for (unsigned int i = 0; i < n_devices; i++)
		works(&devices[i]);
	do
		for (unsigned int i = 0; i < n_devices; i++)
			attack(&devices[i]);
	while (again && (put("."), true));
	checks_done();
}
