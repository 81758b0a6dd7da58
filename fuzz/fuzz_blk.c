// SPDX-License-Identifier: MIT
/* fuzz_blk.c - what a driver asks of a disk: any request, in descriptors of any length
 *
 * The first byte says what disk it is: see open_disk().  Then there is a row of steps.  A step's
 * first byte says what it is:
 * 0..199	a request: a byte for the type; the sector, in a byte, or after 255 in eight; then
 *		its descriptors, to read and to write: for each kind how many there are, and of each
 *		the length in two bytes; the data, of which the first 80 bytes are the input's
 * 200..218	a byte of the configuration space is written: offset, value
 * 219		the other file is put behind the disk, which is smaller, or the first again
 * 220..239	the queue is reset, and placed again
 * 240..255	the device is reset; the features that the next driver takes
 *
 * What comes of each request is reckoned a second time, here, and compared.
 */

#include "../tests/unit/virtio_rig.h"
#include "dev/blk.h"
#include "input.h"
#include "util/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SECTOR     512u
#define N_SECTORS  96u
#define DISK_SIZE  (N_SECTORS * SECTOR)
#define N_OTHER    40u /* sectors of the other file */
#define QUEUE_SIZE 256u
#define RING       0x1000
#define ARENA      0x8000 /* of all segments, one after the other */
#define ARENA_SIZE KIB(64)
#define HEADER     sizeof(struct virtio_blk_outhdr)
#define MOST       258 /* descriptors of a kind */
#define FED        80u

struct machine {
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct virtio_transport transport;
	struct blk_options options;
	struct rig_ring ring;
	struct virtio_dev *dev;
	struct file {
		int fd;
		char path[40];
		uint32_t size;
		uint8_t model[DISK_SIZE]; /* what it holds */
	} files[2], *file;
	uint8_t arena[ARENA_SIZE]; /* as it has to be */
};

static const uint8_t *image(void)
{
	static uint8_t bytes[DISK_SIZE];

	for (unsigned int i = 0; !bytes[DISK_SIZE - 1] && i < DISK_SIZE; i++)
		bytes[i] = (uint8_t)(i * 5 + i / SECTOR + 1);
	return bytes;
}

/* ---- the machine ---- */

static void signal_queue(struct virtio_transport *, unsigned int index)
{
	BUG_ON(index);
}

static unsigned int n_config_signals;

static void signal_config(struct virtio_transport *)
{
	n_config_signals++;
}

static bool doorbell(const struct virtio_transport *, unsigned int, struct virtio_doorbell *)
{
	return false;
}

static void place_ring(struct machine *m)
{
	rig_ring_init(&m->ring, &m->mem, RING, QUEUE_SIZE);
	rig_place(&m->ring, virtio_queue(m->dev, 0));
	virtio_enable_queue(m->dev, 0);
}

static void drive(struct machine *m, uint32_t features)
{
	virtio_set_status(m->dev, 0);
	BUG_ON(m->dev->status || m->dev->features);
	virtio_set_features_word(m->dev, 0, features & (uint32_t)m->dev->offered);
	virtio_set_features_word(m->dev, 1, VIRTIO_BIT(VIRTIO_F_VERSION_1) >> 32);
	virtio_set_status(m->dev,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	place_ring(m);
	virtio_set_status(m->dev, m->dev->status | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* A file in memory, which has a name as long as it is open. */
static void make_file(struct file *file, uint32_t size)
{
	file->fd = memfd_create("disk", MFD_CLOEXEC);
	BUG_ON(file->fd < 0 || file_write_at(file->fd, image(), size, 0));
	file->size = size;
	memcpy(file->model, image(), size);
	snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
}

static void open_disk(struct machine *m, uint8_t what)
{
	static char serial[] = "serial";
	struct diag diag;

	make_file(&m->files[0], DISK_SIZE);
	make_file(&m->files[1], N_OTHER * SECTOR);
	m->file = m->files;
	m->options = (struct blk_options){
		.path = m->file->path,
		.serial = what & 1 ? serial : NULL,
		.read_only = (what & 6) == 2,
		.overlay = (what & 6) == 4 ? DISK_OVERLAY_GONE : DISK_OVERLAY_NONE,
		.engine = DISK_ENGINE_SYNC,
		.n_queues = 1,
	};
	m->dev = blk_class.open(&m->options, &m->env, &diag);
	BUG_ON(!m->dev);
	m->dev->transport = &m->transport;
	drive(m, UINT32_MAX);
}

static void init(struct machine *m, uint8_t what)
{
	setenv("TMPDIR", "/dev/shm", 1);
	log_set_level(LOG_LEVEL_ERROR);
	rig_mem_init(&m->mem);
	memset(m->arena, 0, ARENA_SIZE);
	BUG_ON(loop_init(&m->loop));
	m->env = (struct virtio_env){ .mem = &m->mem, .loop = &m->loop };
	m->transport = (struct virtio_transport){
		.signal_queue = signal_queue, .signal_config = signal_config, .doorbell = doorbell
	};
	open_disk(m, what);
}

/* The images are as they were, or as the models have them. */
static void fini(struct machine *m)
{
	bool stays = m->options.read_only || m->options.overlay;
	static uint8_t seen[DISK_SIZE];

	virtio_close(m->dev);
	for (struct file *file = m->files; file < m->files + ARRAY_SIZE(m->files); file++) {
		BUG_ON(file_read_at(file->fd, seen, file->size, 0));
		BUG_ON(memcmp(seen, stays ? image() : file->model, file->size) != 0);
		close(file->fd);
	}
	loop_fini(&m->loop);
	rig_mem_fini(&m->mem);
}

/* ---- what must come of a request ---- */

struct request {
	struct virtio_blk_outhdr header;
	uint8_t *out; /* the arena's model: header and data, then the answer, then the status */
	uint32_t out_size, in_size, n_segments;
};

static bool on_disk(const struct machine *m, uint64_t sector, uint64_t size)
{
	return size <= DISK_SIZE && sector <= N_SECTORS && sector * SECTOR + size <= m->file->size;
}

static uint8_t expect_move(struct machine *m, const struct request *r, bool is_write)
{
	uint32_t size = is_write ? r->out_size - (uint32_t)HEADER : r->in_size - 1;

	if ((is_write && m->options.read_only) || size % SECTOR ||
		!on_disk(m, r->header.sector, size))
		return VIRTIO_BLK_S_IOERR;
	if (is_write)
		memcpy(m->file->model + r->header.sector * SECTOR, r->out + HEADER, size);
	else
		memcpy(r->out + r->out_size, m->file->model + r->header.sector * SECTOR, size);
	return VIRTIO_BLK_S_OK;
}

static uint8_t expect_id(const struct machine *m, const struct request *r)
{
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };
	uint32_t size = r->in_size - 1 < sizeof(id) ? r->in_size - 1 : sizeof(id);

	if (m->options.serial)
		memcpy(id, m->options.serial, strlen(m->options.serial));
	memcpy(r->out + r->out_size, id, size);
	return VIRTIO_BLK_S_OK;
}

static uint8_t expect_clear(struct machine *m, const struct request *r, bool is_zero)
{
	struct virtio_blk_discard_write_zeroes range;
	uint32_t size = r->out_size - (uint32_t)HEADER, n = size / sizeof(range);

	if (m->options.read_only || !n || n > 64 || size % sizeof(range))
		return VIRTIO_BLK_S_IOERR;
	for (unsigned int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < n; i++) {
			memcpy(&range, r->out + HEADER + i * sizeof(range), sizeof(range));
			if (pass) {
				memset(m->file->model + range.sector * SECTOR, 0,
					(uint64_t)range.num_sectors * SECTOR);
				continue;
			}
			if (range.flags & ~(is_zero ? 1u : 0))
				return VIRTIO_BLK_S_UNSUPP;
			if (!on_disk(m, range.sector, (uint64_t)range.num_sectors * SECTOR))
				return VIRTIO_BLK_S_IOERR;
		}
	return VIRTIO_BLK_S_OK;
}

/* The status; model and arena are what they must be afterwards. */
static uint8_t expect(struct machine *m, const struct request *r)
{
	switch (r->header.type) {
	case VIRTIO_BLK_T_IN: return expect_move(m, r, false);
	case VIRTIO_BLK_T_OUT: return expect_move(m, r, true);
	case VIRTIO_BLK_T_FLUSH: return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID: return expect_id(m, r);
	case VIRTIO_BLK_T_DISCARD: return expect_clear(m, r, false);
	case VIRTIO_BLK_T_WRITE_ZEROES: return expect_clear(m, r, true);
	default: return VIRTIO_BLK_S_UNSUPP;
	}
}

/* ---- steps ---- */

/* Descriptors of one kind, from `at` in the arena on; how many bytes. */
static uint32_t add_segments(
	struct machine *m, struct fuzz_input *input, struct request *r, uint32_t at, uint16_t flags)
{
	uint32_t n = (uint32_t)take(input, 1), size = 0;

	n = n == 255 ? MOST : n;
	for (uint32_t i = 0; i < n && r->n_segments < QUEUE_SIZE; i++) {
		uint16_t d = (uint16_t)r->n_segments++;
		uint32_t len = (uint32_t)take(input, 2);

		if (len > ARENA_SIZE - at - size)
			len = 0;
		*rig_desc(&m->ring, d) = (struct vring_desc){ ARENA + at + size, len,
			flags | VRING_DESC_F_NEXT, (uint16_t)(d + 1) };
		size += len;
	}
	return size;
}

static void fill(struct machine *m, struct fuzz_input *input, struct request *r)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH,
		VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	uint8_t type = take8(input);

	r->header.type = type < 192 ? types[type % ARRAY_SIZE(types)] : take32(input);
	r->header.sector = take(input, 1);
	if (r->header.sector == 255)
		r->header.sector = take(input, 8);
	r->out_size = add_segments(m, input, r, 0, 0);
	r->in_size = add_segments(m, input, r, r->out_size, VRING_DESC_F_WRITE);
	r->out = m->arena;
	memset(m->arena, 0, ARENA_SIZE);
	if (r->out_size < HEADER)
		return;
	memcpy(m->arena, &r->header, HEADER);
	for (uint32_t i = HEADER; i < r->out_size; i++)
		m->arena[i] = i < HEADER + FED ? take8(input) : (uint8_t)(i * 3);
}

static void ask(struct machine *m, struct fuzz_input *input)
{
	struct request r = { 0 };
	struct vring_used_elem used;
	uint8_t status;

	fill(m, input, &r);
	if (!r.n_segments)
		return;
	memcpy(rig_at(&m->mem, ARENA, ARENA_SIZE), m->arena, ARENA_SIZE);
	rig_desc(&m->ring, r.n_segments - 1)->flags &= VRING_DESC_F_WRITE;
	rig_offer(&m->ring, 0);
	virtio_serve(m->dev, virtio_queue(m->dev, 0));
	if (r.out_size < HEADER || !r.in_size) {
		BUG_ON(!(m->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET) || rig_n_used(&m->ring));
		drive(m, UINT32_MAX);
		return;
	}
	BUG_ON(m->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET || rig_n_used(&m->ring) != 1);
	used = rig_take(&m->ring);
	BUG_ON(used.id || !used.len || used.len > r.in_size);
	status = expect(m, &r);
	BUG_ON(status == VIRTIO_BLK_S_OK && r.header.type == VIRTIO_BLK_T_IN &&
		used.len != r.in_size);
	m->arena[r.out_size + r.in_size - 1] = status;
	BUG_ON(memcmp(m->arena, rig_at(&m->mem, ARENA, ARENA_SIZE), ARENA_SIZE) != 0);
}

static void write_config(struct machine *m, struct fuzz_input *input)
{
	uint64_t offset = take(input, 1), value = take(input, 1);
	uint64_t before = virtio_read_config(m->dev, offset, 1), after;

	virtio_write_config(m->dev, offset, 1, value);
	after = virtio_read_config(m->dev, offset, 1);
	if (offset == offsetof(struct virtio_blk_config, wce) &&
		virtio_has_feature(m->dev, VIRTIO_BLK_F_CONFIG_WCE))
		BUG_ON(after != (value & 1));
	else
		BUG_ON(after != before);
}

/* It is told, and what the driver has set stays; with an overlay nothing happens. */
static void exchange(struct machine *m)
{
	const size_t at = offsetof(struct virtio_blk_config, wce);
	const struct virtio_anew look = { .fd = -1 };
	struct file *next = m->file == m->files ? &m->files[1] : m->files;
	struct blk_options options = m->options;
	unsigned int before = n_config_signals;
	uint64_t wce = virtio_read_config(m->dev, at, 1);
	struct diag diag;

	options.path = next->path;
	if (m->options.overlay) {
		BUG_ON(!blk_class.update(m->dev, &options, &look, &diag));
		return;
	}
	BUG_ON(blk_class.update(m->dev, &options, &look, &diag));
	m->file = next;
	BUG_ON(n_config_signals != before + 1 || virtio_read_config(m->dev, at, 1) != wce);
	BUG_ON(virtio_read_config(m->dev, 0, 8) != next->size / SECTOR);
}

static void step(struct machine *m, struct fuzz_input *input)
{
	uint8_t what = take8(input);

	if (what < 200) {
		ask(m, input);
	} else if (what < 219) {
		write_config(m, input);
	} else if (what == 219) {
		exchange(m);
	} else if (what < 240) {
		virtio_reset_queue(m->dev, 0);
		place_ring(m);
	} else {
		drive(m, (uint32_t)take(input, 2));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	static struct machine machine;

	init(&machine, take8(&input));
	while (input.size)
		step(&machine, &input);
	fini(&machine);
	return 0;
}
