// SPDX-License-Identifier: MIT
/* test_disk_model.c - a disk against a model of it, by requests at random */

#include "disk_rig.h"

static uint8_t image[SIZE]; /* as it was made */

static int make_image(void **state)
{
	for (size_t i = 0; i < SIZE; i++)
		image[i] = rig_byte(i);
	return 0;
}

static void open_image(struct rig *rig)
{
	struct disk_spec spec = rig_spec(rig);

	rig_open(rig, &spec);
}

/* Cut [data, data + size) into segments at random. */
static unsigned int fragment(struct iovec *iov, unsigned int most, uint8_t *data, size_t size)
{
	unsigned int n = 0;

	while (size) {
		size_t some = (size_t)random() % size + 1;

		if (n == most - 1)
			some = size;
		iov[n++] = (struct iovec){ data, some };
		data += some;
		size -= some;
	}
	return n;
}

static void do_at_random(struct rig *rig, uint8_t *model, bool discard_clears)
{
	static uint8_t data[KIB(64)];
	uint64_t sector = (uint64_t)random() % (SIZE / SECTOR);
	uint64_t n = (uint64_t)random() % (random() % 4 ? 8 : 128) + 1;
	struct iovec iov[8];
	struct disk_io io = { .iov = iov, .durable = !(random() % 16), .result = -1 };

	if (n > SIZE / SECTOR - sector)
		n = SIZE / SECTOR - sector;
	io.offset = sector * SECTOR;
	io.size = n * SECTOR;
	io.op = (enum disk_op)(random() % 8);
	if (io.op > DISK_ZERO)
		io.op = random() % 2 ? DISK_READ : DISK_WRITE;
	io.unmap = random() % 2;
	io.n_iov = fragment(iov, ARRAY_SIZE(iov), data, io.size);
	if (io.op == DISK_DISCARD && !discard_clears)
		return;
	memset(data, io.op == DISK_WRITE ? (int)random() : 0, io.size);
	rig_start(rig, &io);
	rig_finish(rig);
	assert_int_equal(io.result, 0);
	if (io.op == DISK_READ)
		assert_memory_equal(data, model + io.offset, io.size);
	else if (io.op != DISK_FLUSH)
		memcpy(model + io.offset, data, io.size);
}

static bool discard_clears(struct rig *rig)
{
	uint8_t byte = 1;
	bool clears;

	assert_int_equal(rig_do(rig, DISK_DISCARD, 0, NULL, KIB(4)), 0);
	assert_int_equal(file_read_at(rig->fd, &byte, 1, 0), 0);
	clears = !byte;
	assert_int_equal(file_write_at(rig->fd, image, KIB(4), 0), 0);
	return clears;
}

static void test_model(void **state)
{
	static uint8_t model[SIZE];
	struct rig *rig = *state;
	bool clears;

	memcpy(model, image, SIZE);
	srandom(2);
	open_image(rig);
	clears = discard_clears(rig);
	for (unsigned int i = 0; i < 1000; i++)
		do_at_random(rig, model, clears);
	rig_check(rig, 0, model, SIZE);
	rig_check_image(rig, 0, model, SIZE);
}

static void test_model_of_overlay(void **state)
{
	static uint8_t model[SIZE];
	struct rig *rig = *state;
	bool clears;

	memcpy(model, image, SIZE);
	srandom(3);
	open_image(rig);
	clears = discard_clears(rig); /* so does the overlay, which is beside it */
	for (unsigned int life = 0; life < 4; life++) {
		rig_close(rig);
		rig_open_overlay(rig, DISK_OVERLAY_KEPT);
		rig_check(rig, 0, model, SIZE);
		for (unsigned int i = 0; i < 300; i++)
			do_at_random(rig, model, clears);
		rig_check(rig, 0, model, SIZE);
	}
	rig_check_image(rig, 0, image, SIZE);
	/* Nothing of the other kind stays. */
	rig_close(rig);
	rig_open_overlay(rig, DISK_OVERLAY_GONE);
	rig_check(rig, 0, image, SIZE);
	assert_int_equal(rig_do(rig, DISK_WRITE, 0, model, SIZE), 0);
	rig_check(rig, 0, model, SIZE);
	rig_close(rig);
	rig_check_image(rig, 0, image, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH(test_model),
		WITH_BOTH(test_model_of_overlay),
	};

	return cmocka_run_group_tests(tests, make_image, NULL);
}
