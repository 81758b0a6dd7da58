// SPDX-License-Identifier: MIT
/* test_disk_exchange.c - another file behind a disk, or the same one that has become another */

#include "disk_rig.h"
#include "insisting_host.h"

#define FILL 0x77 /* what other files hold */

static struct disk_spec spec_of(const struct rig *rig, const char *path)
{
	struct disk_spec spec = rig_spec(rig);

	spec.path = path;
	return spec;
}

/* At the place of the rig's overlay, which is removed at the end. */
static int make_other(const struct rig *rig, uint64_t size)
{
	int fd = open(rig->overlay, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	uint8_t *data = malloc(size + 1);

	assert_true(fd >= 0);
	memset(data, FILL, size);
	assert_int_equal(file_write_at(fd, data, size, 0), 0);
	free(data);
	return fd;
}

static void must_exchange(struct rig *rig, const struct disk_spec *spec)
{
	if (disk_exchange(rig->disk, spec, -1, &rig->diag))
		fail_msg("%s", rig->diag.text);
}

static void must_hold(struct rig *rig, uint8_t byte)
{
	uint8_t sector[SECTOR];

	memset(sector, byte, SECTOR);
	rig_check(rig, 0, sector, SECTOR);
}

/* The disk that it was, in use and in reach. */
static void must_be_as_made(struct rig *rig)
{
	uint8_t first[SECTOR];

	for (unsigned int i = 0; i < SECTOR; i++)
		first[i] = rig_byte(i);
	assert_int_equal(disk_size(rig->disk), SIZE);
	rig_check(rig, 0, first, SECTOR);
}

static bool is_in_use(struct rig *rig, const char *path)
{
	const struct disk_spec spec = spec_of(rig, path);
	struct disk *disk = disk_open(&spec, &rig->diag);

	if (disk)
		disk_close(disk);
	else
		assert_non_null(strstr(rig->diag.text, "is in use"));
	return !disk;
}

static unsigned int n_open(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_another_file(void **state)
{
	struct rig *rig = *state;
	const struct disk_spec first = rig_spec(rig), other = spec_of(rig, rig->overlay);
	uint8_t data[SECTOR];
	unsigned int before;
	int fd = make_other(rig, SIZE / 2);

	rig_open(rig, &first);
	before = n_open();
	must_exchange(rig, &other);
	assert_int_equal(disk_size(rig->disk), SIZE / 2);
	must_hold(rig, FILL);
	assert_false(is_in_use(rig, rig->path));
	assert_true(is_in_use(rig, rig->overlay));
	/* What is written, cleared and flushed is so there. */
	memset(data, 0x12, SECTOR);
	assert_int_equal(rig_do(rig, DISK_WRITE, 0, data, SECTOR), 0);
	assert_int_equal(rig_do(rig, DISK_ZERO, SECTOR, NULL, SECTOR), 0);
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(file_read_at(fd, data, SECTOR, 0), 0);
	assert_int_equal(data[SECTOR - 1], 0x12);
	assert_int_equal(file_read_at(fd, data, SECTOR, SECTOR), 0);
	assert_int_equal(data[0], 0);
	must_exchange(rig, &first);
	must_be_as_made(rig);
	assert_false(is_in_use(rig, rig->overlay));
	assert_int_equal(n_open(), before);
	close(fd);
}

/* It is locked by nobody but us, and keeps its lock. */
static void test_the_same_file(void **state)
{
	struct rig *rig = *state;
	const struct disk_spec first = rig_spec(rig), linked = spec_of(rig, rig->overlay);
	unsigned int before;

	rig_open(rig, &first);
	before = n_open();
	assert_int_equal(symlink(rig->path, rig->overlay), 0);
	for (unsigned int i = 1; i < 4; i++) {
		assert_int_equal(ftruncate(rig->fd, i * SIZE), 0);
		must_exchange(rig, i % 2 ? &first : &linked);
		assert_int_equal(disk_size(rig->disk), i * SIZE);
		assert_true(is_in_use(rig, rig->path));
		assert_int_equal(n_open(), before);
	}
	assert_int_equal(ftruncate(rig->fd, SIZE), 0);
	must_exchange(rig, &first);
	must_be_as_made(rig);
}

/* A path that leads to another file by now. */
static void test_the_same_path(void **state)
{
	struct rig *rig = *state;
	const struct disk_spec first = rig_spec(rig);
	int fd = make_other(rig, SIZE);

	rig_open(rig, &first);
	assert_int_equal(rename(rig->overlay, rig->path), 0);
	must_be_as_made(rig);
	must_exchange(rig, &first);
	must_hold(rig, FILL);
	close(fd);
}

static void must_refuse(struct rig *rig, const struct disk_spec *spec, const char *why)
{
	unsigned int before = n_open();

	assert_true(disk_exchange(rig->disk, spec, -1, &rig->diag) < 0);
	assert_non_null(strstr(rig->diag.text, why));
	assert_int_equal(n_open(), before);
	must_be_as_made(rig);
	assert_true(is_in_use(rig, rig->path));
}

static void test_refused(void **state)
{
	struct rig *rig = *state;
	const struct disk_spec first = rig_spec(rig), other = spec_of(rig, rig->overlay),
			       directory = spec_of(rig, rig->dir);
	struct disk *holder;

	rig_open(rig, &first);
	must_refuse(rig, &other, "there is no such file");
	must_refuse(rig, &directory, "is a directory");
	close(make_other(rig, 100));
	must_refuse(rig, &other, "is shorter than a block");
	close(make_other(rig, SIZE));
	holder = disk_open(&other, &rig->diag);
	assert_non_null(holder);
	must_refuse(rig, &other, "is in use, by another program or as another disk");
	disk_close(holder);
	must_exchange(rig, &other);
	must_hold(rig, FILL);
}

/* What a guest that knows 512 could not write is not put under it; the other way it is. */
static void test_blocks(void **state)
{
	struct rig *rig = *state;
	struct disk_spec first = rig_spec(rig), other = spec_of(rig, rig->overlay);

	first.direct = other.direct = true;
	close(make_other(rig, 4096 + 1024));
	rig_open(rig, &first);
	if (disk_block_size(rig->disk) == SECTOR) {
		insists = true;
		must_refuse(rig, &other,
			"has blocks of 4096 bytes, and the guest knows the disk by "
			"blocks of 512");
	}
	rig_close(rig);
	insists = true;
	rig_open(rig, &first);
	insists = false;
	must_exchange(rig, &other);
	assert_int_equal(disk_block_size(rig->disk), 4096);
	assert_int_equal(disk_size(rig->disk), 4096);
}

static void test_empty(void **state)
{
	struct rig *rig = *state;
	struct disk_spec first = rig_spec(rig), other = spec_of(rig, rig->overlay);
	uint8_t data[SECTOR];

	close(make_other(rig, 0));
	other.may_be_empty = true;
	rig_open(rig, &other);
	assert_int_equal(disk_size(rig->disk), 0);
	assert_true(rig_do(rig, DISK_READ, 0, data, SECTOR) < 0);
	must_exchange(rig, &first);
	must_be_as_made(rig);
	other.may_be_empty = false;
	must_refuse(rig, &other, "is empty");
	rig_close(rig);
	other.may_be_empty = true;
	other.overlay = DISK_OVERLAY_GONE;
	assert_null(disk_open(&other, &rig->diag));
}

static void test_overlay(void **state)
{
	struct rig *rig = *state;
	const struct disk_spec other = spec_of(rig, rig->overlay);

	close(make_other(rig, SIZE));
	rig_open_overlay(rig, DISK_OVERLAY_GONE);
	assert_int_equal(disk_exchange(rig->disk, &other, -1, &rig->diag), -EOPNOTSUPP);
	assert_non_null(strstr(rig->diag.text, "a disk with one keeps its file"));
	must_be_as_made(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH(test_another_file),
		WITH_BOTH(test_the_same_file),
		WITH_BOTH(test_the_same_path),
		WITH_SYNC(test_refused),
		WITH_SYNC(test_blocks),
		WITH_SYNC(test_empty),
		WITH_SYNC(test_overlay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
