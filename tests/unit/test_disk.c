// SPDX-License-Identifier: MIT
/* test_disk.c - a guest's disk on the host: requests, whole and in pieces */

#include "disk_rig.h"

#include <linux/falloc.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- the host's calls, for the engine that makes them ---- */

static struct {
	size_t most;     /* bytes that a call moves; 0: all */
	uintptr_t align; /* of memory, which it insists on */
	int refused;     /* FALLOC_FL_* that the file system has not */
	unsigned int n_calls, n_syncs, n_durable;
	int fail_with; /* from now on */
} host;

static ssize_t move(long call, int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct iovec part[64];
	size_t rest = host.most ? host.most : SIZE_MAX;
	int n_parts = 0;

	host.n_calls++;
	host.n_durable += flags == RWF_DSYNC;
	if (host.fail_with) {
		errno = host.fail_with;
		return -1;
	}
	for (; n_parts < n && rest; n_parts++) {
		assert_true(n_parts < 64);
		part[n_parts] = iov[n_parts];
		if (part[n_parts].iov_len > rest)
			part[n_parts].iov_len = rest;
		rest -= part[n_parts].iov_len;
		if (host.align && ((uintptr_t)iov[n_parts].iov_base | iov[n_parts].iov_len) &
					  (host.align - 1)) {
			errno = EINVAL;
			return -1;
		}
	}
	return syscall(call, fd, part, n_parts, offset, 0, flags);
}

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return move(SYS_preadv2, fd, iov, n, offset, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return move(SYS_pwritev2, fd, iov, n, offset, flags);
}

int fdatasync(int fd)
{
	host.n_syncs++;
	if (host.fail_with) {
		errno = host.fail_with;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	host.n_calls++;
	if (mode & host.refused) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

/* ---- requests ---- */

static uint8_t image[SIZE]; /* as it was made */

static int make_image(void **state)
{
	for (size_t i = 0; i < SIZE; i++)
		image[i] = rig_byte(i);
	return 0;
}

static void open_plain(struct rig *rig)
{
	struct disk_spec spec = rig_spec(rig);

	memset(&host, 0, sizeof(host));
	rig_open(rig, &spec);
}

static void test_read_and_write(void **state)
{
	struct rig *rig = *state;
	uint8_t data[3 * SECTOR];

	open_plain(rig);
	assert_int_equal(disk_size(rig->disk), SIZE);
	assert_int_equal(disk_block_size(rig->disk), SECTOR);
	rig_check(rig, 0, image, SIZE);
	rig_check(rig, SIZE - SECTOR, image + SIZE - SECTOR, SECTOR);
	memset(data, 0xa5, sizeof(data));
	assert_int_equal(rig_do(rig, DISK_WRITE, 5 * SECTOR, data, sizeof(data)), 0);
	rig_check_image(rig, 5 * SECTOR, data, sizeof(data));
	rig_check_image(rig, 0, image, 5 * SECTOR);
	rig_check_image(rig, 8 * SECTOR, image + 8 * SECTOR, SIZE - 8 * SECTOR);
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), 0);
	/* Of no bytes. */
	assert_int_equal(rig_do(rig, DISK_READ, 0, NULL, 0), 0);
	assert_int_equal(rig_do(rig, DISK_WRITE, 0, NULL, 0), 0);
	assert_int_equal(rig_do(rig, DISK_DISCARD, 0, NULL, 0), 0);
	assert_int_equal(rig_do(rig, DISK_ZERO, 0, NULL, 0), 0);
	rig_check_image(rig, 0, image, 5 * SECTOR);
}

/* Segments of any length, as a guest has them. */
static void test_segments(void **state)
{
	struct rig *rig = *state;
	uint8_t data[4 * SECTOR + 64];
	struct iovec iov[] = { { data, 1 }, { data + 2, 1000 }, { data + 1010, 23 },
		{ data + 1040, 1024 } };
	struct disk_io io = {
		.op = DISK_READ, .offset = SECTOR, .size = 2048, .iov = iov, .n_iov = 4
	};

	open_plain(rig);
	memset(data, 0, sizeof(data));
	rig_start(rig, &io);
	rig_finish(rig);
	assert_int_equal(io.result, 0);
	assert_int_equal(data[0], image[SECTOR]);
	assert_int_equal(data[1], 0);
	assert_memory_equal(data + 2, image + SECTOR + 1, 1000);
	assert_memory_equal(data + 1010, image + SECTOR + 1001, 23);
	assert_memory_equal(data + 1040, image + SECTOR + 1024, 1024);
	assert_int_equal(data[1040 + 1024], 0);
}

/* More than are handed to the host in one go, in flight together. */
static void test_many(void **state)
{
	enum { N = 1500 };
	static struct disk_io io[N];
	static struct iovec iov[N];
	static uint8_t data[N][SECTOR];
	struct rig *rig = *state;

	open_plain(rig);
	for (unsigned int i = 0; i < N; i++) {
		iov[i] = (struct iovec){ data[i], SECTOR };
		io[i] = (struct disk_io){
			.op = DISK_READ,
			.offset = i * 1237 % (SIZE / SECTOR) * SECTOR,
			.size = SECTOR,
			.iov = &iov[i],
			.n_iov = 1,
			.result = -1,
		};
		rig_start(rig, &io[i]);
	}
	rig_finish(rig);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(io[i].result, 0);
		assert_memory_equal(data[i], image + i * 1237 % (SIZE / SECTOR) * SECTOR, SECTOR);
	}
}

/* Who waits needs no loop. */
static void test_wait(void **state)
{
	struct rig *rig = *state;
	uint8_t data[SECTOR];
	struct iovec iov = { data, SECTOR };
	struct disk_io io = { .op = DISK_READ, .size = SECTOR, .iov = &iov, .n_iov = 1 };

	open_plain(rig);
	disk_wait(rig->disk);
	rig_start(rig, &io);
	disk_wait(rig->disk); /* nobody has submitted it */
	assert_int_equal(rig->n_done, 1);
	assert_memory_equal(data, image, SECTOR);
}

enum { N_LEFT = 200 };
static struct disk_io left[N_LEFT];

static void *start_and_leave(void *arg)
{
	struct rig *rig = arg;

	for (unsigned int i = 0; i < N_LEFT; i++) {
		left[i] = (struct disk_io){
			.op = i % 2 ? DISK_ZERO : DISK_FLUSH,
			.offset = i * SECTOR,
			.size = i % 2 ? SECTOR : 0,
			.result = -1,
		};
		rig_start(rig, &left[i]);
	}
	disk_submit(rig->disk);
	return NULL;
}

/* As at the machine's end: the kernel cancels what a thread that is gone has left in its hands. */
static void test_thread_is_gone(void **state)
{
	struct rig *rig = *state;
	pthread_t thread;

	open_plain(rig);
	assert_int_equal(pthread_create(&thread, NULL, start_and_leave, rig), 0);
	pthread_join(thread, NULL);
	disk_wait(rig->disk);
	assert_int_equal(rig->n_done, N_LEFT);
	for (unsigned int i = 0; i < N_LEFT; i++)
		assert_int_equal(left[i].result, 0);
}

/* A call that moves less than it was asked to is gone on with, wherever it has stopped. */
static void test_short_calls(void **state)
{
	static const size_t most[] = { 1, 511, 512, 513, 1000, 1024, 4095 };
	struct rig *rig = *state;
	uint8_t data[2][4096];

	open_plain(rig);
	for (size_t i = 0; i < ARRAY_SIZE(most); i++) {
		struct iovec in[] = { { data[0], 100 }, { data[0] + 100, 412 },
			{ data[0] + 512, 3584 } };
		struct iovec out[] = { { data[1], 3000 }, { data[1] + 3000, 1 },
			{ data[1] + 3001, 1095 } };
		struct disk_io io = {
			.op = DISK_READ, .offset = SECTOR, .size = 4096, .iov = in, .n_iov = 3
		};

		host.most = most[i];
		memset(data[0], 0, 4096);
		rig_start(rig, &io);
		rig_finish(rig);
		assert_int_equal(io.result, 0);
		assert_memory_equal(data[0], image + SECTOR, 4096);
		memset(data[1], (int)i + 3, 4096);
		io = (struct disk_io){
			.op = DISK_WRITE, .offset = KIB(64), .size = 4096, .iov = out, .n_iov = 3
		};
		rig_start(rig, &io);
		rig_finish(rig);
		assert_int_equal(io.result, 0);
		rig_check_image(rig, KIB(64), data[1], 4096);
		rig_check_image(rig, KIB(68), image + KIB(68), SECTOR);
	}
}

/* A file that somebody has cut: what is gone is an error, not zeros. */
static void test_cut_file(void **state)
{
	struct rig *rig = *state;
	uint8_t data[4 * SECTOR];

	open_plain(rig);
	assert_int_equal(ftruncate(rig->fd, 10 * SECTOR + 100), 0);
	rig_check(rig, 0, image, 10 * SECTOR);
	assert_int_equal(rig_do(rig, DISK_READ, 9 * SECTOR, data, sizeof(data)), -EIO);
	assert_int_equal(rig_do(rig, DISK_READ, 20 * SECTOR, data, sizeof(data)), -EIO);
	rig_check(rig, 0, image, 10 * SECTOR);
}

/* As much as fits is written; the rest is an error, and the next request is none. */
static void test_file_limit(void **state)
{
	struct rig *rig = *state;
	struct rlimit old, limit;
	uint8_t data[4 * SECTOR];
	int across, behind, before;

	open_plain(rig);
	memset(data, 0x5a, sizeof(data));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = 10 * SECTOR;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	across = rig_do(rig, DISK_WRITE, 8 * SECTOR, data, sizeof(data));
	behind = rig_do(rig, DISK_WRITE, 10 * SECTOR, data, sizeof(data));
	before = rig_do(rig, DISK_WRITE, 6 * SECTOR, data, sizeof(data));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(across, -EFBIG);
	assert_int_equal(behind, -EFBIG);
	assert_int_equal(before, 0);
	rig_check(rig, 6 * SECTOR, data, sizeof(data));
	rig_check(rig, 10 * SECTOR, image + 10 * SECTOR, SIZE - 10 * SECTOR);
}

/* The overlay's place is full: the guest hears of it, and what it had before is there. */
static void test_full_host(void **state)
{
	struct rig *rig = *state;
	static uint8_t data[KIB(256)];
	char place[64];
	int ret, n = 0;

	if (geteuid())
		skip_because("only root may mount");
	snprintf(place, sizeof(place), "%s/full", rig->dir);
	assert_int_equal(mkdir(place, 0700), 0);
	if (mount("none", place, "tmpfs", 0, "size=512k,huge=never")) {
		rmdir(place);
		skip_because("nothing can be mounted here");
	}
	setenv("TMPDIR", place, 1);
	rig_open_overlay(rig, DISK_OVERLAY_GONE);
	unsetenv("TMPDIR");
	memset(data, 1, sizeof(data));
	while (!(ret = rig_do(rig, DISK_WRITE, (uint64_t)n * sizeof(data), data, sizeof(data))) &&
		n < 3)
		n++;
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(n, 2);
	for (int i = 0; i < n; i++)
		rig_check(rig, (uint64_t)i * sizeof(data), data, sizeof(data));
	rig_check(rig, 2 * sizeof(data), image + 2 * sizeof(data), SIZE - 2 * sizeof(data));
	/* Room is given back, and used again. */
	assert_int_equal(rig_do(rig, DISK_DISCARD, 0, NULL, sizeof(data)), 0);
	assert_int_equal(rig_do(rig, DISK_WRITE, 2 * sizeof(data), data, sizeof(data)), 0);
	rig_close(rig);
	assert_int_equal(umount2(place, MNT_DETACH), 0);
	assert_int_equal(rmdir(place), 0);
}

/* ---- zeros and discards ---- */

static uint64_t blocks(const struct rig *rig)
{
	struct stat st;

	assert_int_equal(fsync(rig->fd), 0);
	assert_int_equal(fstat(rig->fd, &st), 0);
	return (uint64_t)st.st_blocks;
}

static void test_zero_and_discard(void **state)
{
	static const uint8_t zeros[SIZE];
	struct rig *rig = *state;
	struct disk_io io = { .op = DISK_ZERO, .offset = KIB(128), .size = KIB(128) };
	uint64_t before;

	open_plain(rig);
	before = blocks(rig);
	rig_start(rig, &io); /* it keeps its room */
	rig_finish(rig);
	assert_int_equal(io.result, 0);
	rig_check(rig, KIB(128), zeros, KIB(128));
	assert_true(blocks(rig) >= before);
	io.unmap = true;
	rig_start(rig, &io);
	rig_finish(rig);
	assert_int_equal(io.result, 0);
	rig_check(rig, KIB(128), zeros, KIB(128));
	if (blocks(rig) >= before)
		skip_because("this file system has no holes");
	assert_true(blocks(rig) <= before - 240);
	assert_int_equal(rig_do(rig, DISK_DISCARD, KIB(512), NULL, KIB(128)), 0);
	assert_true(blocks(rig) <= before - 480);
	/* And not a byte more. */
	assert_int_equal(rig_do(rig, DISK_ZERO, KIB(768) + SECTOR, NULL, SECTOR), 0);
	rig_check(rig, KIB(768), image + KIB(768), SECTOR);
	rig_check(rig, KIB(768) + SECTOR, zeros, SECTOR);
	rig_check(rig, KIB(768) + 2 * SECTOR, image + KIB(768) + 2 * SECTOR, KIB(128));
	rig_check_image(rig, 0, image, KIB(128));
	rig_check_image(rig, KIB(256), image + KIB(256), KIB(256));
}

/* What a file system cannot do is done otherwise; a discard is not done at all. */
static void test_refused_zero(void **state)
{
	static const int refused[] = { FALLOC_FL_ZERO_RANGE, FALLOC_FL_PUNCH_HOLE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE };
	static const uint8_t zeros[KIB(200)];
	struct rig *rig = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(refused) * 2; i++) {
		struct disk_io io = {
			.op = DISK_ZERO, .offset = SECTOR, .size = KIB(200), .unmap = i % 2
		};

		assert_int_equal(file_write_at(rig->fd, image, SIZE, 0), 0);
		open_plain(rig);
		host.refused = refused[i / 2];
		for (unsigned int again = 0; again < 2; again++) {
			io.offset = SECTOR + again * KIB(400);
			host.n_calls = 0;
			rig_start(rig, &io);
			rig_finish(rig);
			assert_int_equal(io.result, 0);
			/* What was refused once is not asked for again. */
			if (again)
				assert_int_equal(host.n_calls, i && i < 4 ? 1 : 4);
			rig_check(rig, io.offset - SECTOR, image + io.offset - SECTOR, SECTOR);
			rig_check(rig, io.offset, zeros, io.size);
			rig_check(rig, io.offset + io.size, image + io.offset + io.size, SECTOR);
		}
		assert_int_equal(rig_do(rig, DISK_DISCARD, KIB(900), NULL, KIB(8)), 0);
		rig_check(rig, KIB(900), i < 2 ? zeros : image + KIB(900), KIB(8));
		rig_close(rig);
	}
}

/* ---- durability ---- */

/* A write that is on stable storage when it is done, or not. */
static int write_sector(struct rig *rig, uint64_t offset, bool durable)
{
	uint8_t data[SECTOR] = { 0 };
	struct iovec iov = { data, SECTOR };
	struct disk_io io = { .op = DISK_WRITE,
		.durable = durable,
		.offset = offset,
		.size = SECTOR,
		.iov = &iov,
		.n_iov = 1 };

	rig_start(rig, &io);
	rig_finish(rig);
	return io.result;
}

static void test_durable(void **state)
{
	struct rig *rig = *state;
	uint8_t data[SECTOR];

	open_plain(rig);
	assert_int_equal(write_sector(rig, 0, false), 0);
	assert_int_equal(host.n_durable + host.n_syncs, 0);
	assert_int_equal(write_sector(rig, 0, true), 0);
	assert_int_equal(host.n_durable, 1);
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(host.n_syncs, 1);
	host.fail_with = EIO;
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), -EIO);
	assert_int_equal(write_sector(rig, 0, false), -EIO);
	assert_int_equal(rig_do(rig, DISK_READ, 0, data, SECTOR), -EIO);
	host.fail_with = 0;
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(rig_do(rig, DISK_READ, 0, data, SECTOR), 0);
}

/* Into a file that is kept: the data, and that it is there. */
static void test_durable_overlay(void **state)
{
	struct rig *rig = *state;

	rig_open_overlay(rig, DISK_OVERLAY_KEPT);
	memset(&host, 0, sizeof(host));
	assert_int_equal(write_sector(rig, 0, true), 0);
	assert_int_equal(host.n_syncs, 2);
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(host.n_syncs, 3);
	assert_int_equal(write_sector(rig, SECTOR, false), 0);
	assert_int_equal(host.n_syncs, 3);
	host.fail_with = EIO;
	assert_int_equal(write_sector(rig, SECTOR, true), -EIO);
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), -EIO);
	host.fail_with = 0;
	rig_close(rig);
	rig_open_overlay(rig, DISK_OVERLAY_GONE);
	memset(&host, 0, sizeof(host));
	assert_int_equal(write_sector(rig, 0, true), 0);
	assert_int_equal(rig_do(rig, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(host.n_syncs, 0); /* nobody comes back to it */
}

/* ---- direct I/O ---- */

/* A guest's memory is aligned as it likes; the host insists. */
static void test_misaligned_direct(void **state)
{
	struct rig *rig = *state;
	struct disk_spec spec = rig_spec(rig);
	static _Alignas(4096) uint8_t data[KIB(512)], seen[KIB(512)];

	spec.direct = true;
	memset(&host, 0, sizeof(host));
	rig_open(rig, &spec);
	for (unsigned int off = 0; off <= 64; off += 32) {
		const size_t size = KIB(256);

		host.align = 512;
		memset(data, (int)off + 1, sizeof(data));
		assert_int_equal(rig_do(rig, DISK_WRITE, KIB(8), data + off, size), 0);
		assert_int_equal(rig_do(rig, DISK_READ, KIB(8), seen + off, size), 0);
		assert_memory_equal(seen + off, data + off, size);
		rig_check_image(rig, 0, image, KIB(8));
		rig_check_image(rig, KIB(8), data + off, size);
		rig_check_image(rig, KIB(8) + size, image + KIB(8) + size, KIB(8));
	}
	host.refused = FALLOC_FL_ZERO_RANGE;
	host.align = 4096;
	assert_int_equal(rig_do(rig, DISK_ZERO, 0, NULL, KIB(256)), 0);
	memset(data, 0, KIB(256));
	rig_check_image(rig, 0, data, KIB(256));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH(test_read_and_write),
		WITH_BOTH(test_segments),
		WITH_BOTH(test_many),
		WITH_BOTH(test_wait),
		WITH_BOTH(test_thread_is_gone),
		WITH_SYNC(test_short_calls),
		WITH_BOTH(test_cut_file),
		WITH_BOTH(test_file_limit),
		WITH_BOTH(test_full_host),
		WITH_BOTH(test_zero_and_discard),
		WITH_SYNC(test_refused_zero),
		WITH_SYNC(test_durable),
		WITH_BOTH(test_durable_overlay),
		WITH_SYNC(test_misaligned_direct),
	};

	return cmocka_run_group_tests(tests, make_image, NULL);
}
