/* SPDX-License-Identifier: MIT */
/* disk_rig.h - a disk and who uses it, for test_disk*.c; with each engine */
#ifndef TESTS_UNIT_DISK_RIG_H
#define TESTS_UNIT_DISK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/disk.h"

#include "skip.h"
#include "util/bits.h"
#include "util/file.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR DISK_SECTOR
#define SIZE   MIB(1) /* of most images here */

struct rig {
	char dir[32], path[64], overlay[64];
	int fd; /* the image, as others see it */
	struct disk *disk;
	struct loop loop;
	pthread_mutex_t lock;
	struct diag diag;
	enum disk_engine engine;
	unsigned int n_started, n_done, n_settled;
};

static const enum disk_engine rig_engines[] = { DISK_ENGINE_SYNC, DISK_ENGINE_URING };

static inline uint8_t rig_byte(uint64_t at)
{
	return (uint8_t)(at * 7 + at / 512 + at / 65536 * 3 + 1);
}

/* ---- the test's surroundings ---- */

static inline int rig_set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	static uint8_t image[SIZE];

	rig->engine = *(const enum disk_engine *)*state;
	memcpy(rig->dir, "/var/tmp/pronto-test-XXXXXX", 28);
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/image", rig->dir);
	snprintf(rig->overlay, sizeof(rig->overlay), "%s/kept", rig->dir);
	rig->fd = open(rig->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	for (size_t i = 0; i < SIZE; i++)
		image[i] = rig_byte(i);
	assert_int_equal(file_write_at(rig->fd, image, SIZE, 0), 0);
	assert_int_equal(loop_init(&rig->loop), 0);
	pthread_mutex_init(&rig->lock, NULL);
	log_set_level(LOG_LEVEL_ERROR);
	*state = rig;
	return 0;
}

static inline void rig_close(struct rig *rig)
{
	if (rig->disk)
		disk_close(rig->disk);
	rig->disk = NULL;
	loop_fini(&rig->loop);
	assert_int_equal(loop_init(&rig->loop), 0);
}

static inline int rig_tear_down(void **state)
{
	struct rig *rig = *state;

	rig_close(rig);
	loop_fini(&rig->loop);
	pthread_mutex_destroy(&rig->lock);
	close(rig->fd);
	unlink(rig->path);
	unlink(rig->overlay);
	assert_int_equal(rmdir(rig->dir), 0);
	free(rig);
	return 0;
}

/* ---- who uses it ---- */

static inline void rig_on_done(void *ctx, struct disk_io *)
{
	((struct rig *)ctx)->n_done++;
}

static inline void rig_on_settled(void *ctx)
{
	struct rig *rig = ctx;

	assert_int_equal(pthread_mutex_trylock(&rig->lock), EBUSY); /* ours by contract */
	rig->n_settled++;
	loop_stop(&rig->loop);
}

static const struct disk_ops rig_ops = { .done = rig_on_done, .settled = rig_on_settled };

static inline struct disk_spec rig_spec(const struct rig *rig)
{
	return (struct disk_spec){ .path = rig->path, .engine = rig->engine };
}

static inline void rig_open(struct rig *rig, const struct disk_spec *spec)
{
	rig->disk = disk_open(spec, &rig->diag);
	if (!rig->disk && strstr(rig->diag.text, "io_uring: "))
		skip_because("there is no io_uring here");
	if (!rig->disk)
		fail_msg("%s", rig->diag.text);
	assert_int_equal(disk_attach(rig->disk, &rig->loop, &rig->lock, &rig_ops, rig), 0);
}

static inline void rig_open_overlay(struct rig *rig, enum disk_overlay overlay)
{
	struct disk_spec spec = rig_spec(rig);

	spec.overlay = overlay;
	spec.overlay_path = rig->overlay;
	rig_open(rig, &spec);
}

static inline void rig_start(struct rig *rig, struct disk_io *io)
{
	rig->n_started++;
	disk_start(rig->disk, io);
}

static inline void rig_hangs(void *)
{
	fail_msg("what was started does not end");
}

/* Submit, and serve the loop until all is done. */
static inline void rig_finish(struct rig *rig)
{
	disk_submit(rig->disk);
	while (rig->n_done < rig->n_started) {
		rig->loop.stopped = false;
		loop_when_quiet(&rig->loop, 20000, rig_hangs, rig);
		assert_int_equal(loop_run(&rig->loop), 0);
	}
	assert_int_equal(rig->n_done, rig->n_started);
}

/* A request of one segment, to its end. */
static inline int rig_do(
	struct rig *rig, enum disk_op op, uint64_t offset, void *data, uint64_t size)
{
	struct iovec iov = { data, size };
	struct disk_io io = {
		.op = op,
		.offset = offset,
		.size = size,
		.iov = &iov,
		.n_iov = data ? 1 : 0,
		.result = -1,
	};

	rig_start(rig, &io);
	rig_finish(rig);
	return io.result;
}

/* What the disk has there, by way of the disk. */
static inline void rig_check(struct rig *rig, uint64_t offset, const void *data, uint64_t size)
{
	uint8_t *seen = malloc(size);

	assert_int_equal(rig_do(rig, DISK_READ, offset, seen, size), 0);
	assert_memory_equal(seen, data, size);
	free(seen);
}

/* What the image has there, by way of the file. */
static inline void rig_check_image(
	struct rig *rig, uint64_t offset, const void *data, uint64_t size)
{
	uint8_t *seen = malloc(size);

	assert_int_equal(file_read_at(rig->fd, seen, size, offset), 0);
	assert_memory_equal(seen, data, size);
	free(seen);
}

/* Both engines' rows of a table of tests. */
#define WITH_ENGINE(test, engine, text)                                                            \
	{                                                                                          \
#test " (" text ")", test, rig_set_up, rig_tear_down, (void *)&rig_engines[engine] \
	}
#define WITH_SYNC(test) WITH_ENGINE(test, 0, "sync")
#define WITH_BOTH(test) WITH_SYNC(test), WITH_ENGINE(test, 1, "uring")

#endif
