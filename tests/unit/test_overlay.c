// SPDX-License-Identifier: MIT
/* test_overlay.c - what was written to a disk whose image stays as it is */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/overlay.h"

#include "skip.h"
#include "util/bits.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u
#define SIZE   MIB(64) /* of most disks here: four pages of bits */
#define BITS   4096    /* where they are in a kept file */

/* ---- what reaches stable storage, in the place of fdatasync(2) ---- */

static struct {
	unsigned int n, fail_at; /* calls; the one that fails, from 1 on */
	uint8_t first_bits[8];   /* what the file held at each */
} syncs;

int fdatasync(int fd)
{
	unsigned int i = syncs.n++;

	if (i < sizeof(syncs.first_bits))
		assert_int_equal(file_read_at(fd, &syncs.first_bits[i], 1, BITS), 0);
	if (syncs.n == syncs.fail_at) {
		errno = EIO;
		return -1;
	}
	return 0;
}

/* ---- */

struct rig {
	char dir[32], path[64], message[400];
	struct diag diag;
};

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	memcpy(rig->dir, "/tmp/pronto-test-XXXXXX", 24);
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/kept", rig->dir);
	memset(&syncs, 0, sizeof(syncs));
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	unlink(rig->path);
	assert_int_equal(rmdir(rig->dir), 0); /* so nothing else is left */
	free(rig);
	return 0;
}

static struct overlay *keep(struct rig *rig)
{
	struct overlay *overlay = overlay_open(rig->path, SIZE, NULL, &rig->diag);

	if (!overlay)
		fail_msg("%s", rig->diag.text);
	return overlay;
}

static void must_refuse(struct rig *rig, uint64_t size, const char *why)
{
	struct diag diag;

	snprintf(rig->message, sizeof(rig->message), "%s: %s", rig->path, why);
	assert_null(overlay_open(rig->path, size, NULL, &diag));
	assert_string_equal(diag.text, rig->message);
}

/* Whether all of [offset, offset + size) is there, or none of it. */
static bool is_here(const struct overlay *overlay, uint64_t offset, uint64_t size)
{
	bool here;

	assert_int_equal(overlay_run(overlay, offset, size, &here), size);
	return here;
}

/* ---- the bits ---- */

static void test_runs(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay = overlay_create(SIZE, &rig->diag);
	bool here;

	assert_non_null(overlay);
	assert_false(is_here(overlay, 0, SIZE));
	overlay_mark(overlay, 3 * SECTOR, 2 * SECTOR);
	assert_int_equal(overlay_run(overlay, 0, SIZE, &here), 3 * SECTOR);
	assert_false(here);
	assert_int_equal(overlay_run(overlay, 3 * SECTOR, SIZE - 3 * SECTOR, &here), 2 * SECTOR);
	assert_true(here);
	assert_int_equal(overlay_run(overlay, 3 * SECTOR, SECTOR, &here), SECTOR);
	assert_int_equal(overlay_run(overlay, 4 * SECTOR, SIZE - 4 * SECTOR, &here), SECTOR);
	assert_int_equal(
		overlay_run(overlay, 5 * SECTOR, SIZE - 5 * SECTOR, &here), SIZE - 5 * SECTOR);
	assert_false(here);
	overlay_mark(overlay, SIZE - SECTOR, SECTOR);
	assert_true(is_here(overlay, SIZE - SECTOR, SECTOR));
	overlay_mark(overlay, 0, SIZE);
	assert_true(is_here(overlay, 0, SIZE));
	overlay_close(overlay);
}

/* Marks at random, against one byte a sector. */
static void test_model(void **state)
{
	static bool model[SIZE / SECTOR];
	struct rig *rig = *state;
	struct overlay *overlay = overlay_create(SIZE, &rig->diag);
	const uint64_t n = SIZE / SECTOR;

	assert_non_null(overlay);
	memset(model, 0, sizeof(model));
	srandom(1);
	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t at = (uint64_t)random() % n, run, m;
		uint64_t size = (uint64_t)random() % (random() % 8 ? 64 : 4096) + 1;
		bool here;

		if (size > n - at)
			size = n - at;
		if (random() % 2) {
			overlay_mark(overlay, at * SECTOR, size * SECTOR);
			memset(model + at, 1, size);
		}
		at = (uint64_t)random() % n;
		run = overlay_run(overlay, at * SECTOR, (n - at) * SECTOR, &here);
		for (m = 1; at + m < n && model[at + m] == model[at];)
			m++;
		assert_int_equal(here, model[at]);
		assert_int_equal(run, m * SECTOR);
	}
	overlay_close(overlay);
}

/* ---- one that goes with the process ---- */

/* Set TMPDIR while an overlay is made. */
static struct overlay *create_in(const char *dir, struct diag *diag)
{
	struct overlay *overlay;

	setenv("TMPDIR", dir, 1);
	overlay = overlay_create(SIZE, diag);
	unsetenv("TMPDIR");
	return overlay;
}

static void test_unnamed(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay = create_in(rig->dir, &rig->diag);
	struct stat st, dir;

	assert_non_null(overlay);
	assert_int_equal(fstat(overlay_fd(overlay), &st), 0);
	assert_int_equal(stat(rig->dir, &dir), 0);
	assert_int_equal(st.st_dev, dir.st_dev);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(overlay_base(overlay), 0);
	assert_int_equal(rmdir(rig->dir), 0); /* it is empty */
	assert_int_equal(mkdir(rig->dir, 0700), 0);
	overlay_mark(overlay, 0, SIZE);
	assert_int_equal(overlay_sync(overlay), 0);
	assert_int_equal(overlay_close(overlay), 0);
	assert_int_equal(syncs.n, 0); /* nobody will read it */
}

static void test_no_place(void **state)
{
	struct rig *rig = *state;
	char missing[64], text[256];

	snprintf(missing, sizeof(missing), "%s/missing", rig->dir);
	assert_null(create_in(missing, &rig->diag));
	snprintf(text, sizeof(text),
		"%s: cannot make a file: No such file or directory; TMPDIR names another place",
		missing);
	assert_string_equal(rig->diag.text, text);
	assert_null(create_in("/proc/self/exe", &rig->diag));
	assert_string_equal(rig->diag.text,
		"/proc/self/exe: cannot make a file: Not a directory; TMPDIR names another place");
	assert_null(create_in("/proc", &rig->diag));
}

static void test_default_place(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay = create_in("", &rig->diag);
	struct stat st, var;

	assert_non_null(overlay);
	assert_int_equal(fstat(overlay_fd(overlay), &st), 0);
	assert_int_equal(stat("/var/tmp", &var), 0);
	assert_int_equal(st.st_dev, var.st_dev);
	overlay_close(overlay);
}

/* ---- one that is kept ---- */

static void test_kept(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay = keep(rig);
	uint64_t base = overlay_base(overlay);
	struct stat st;

	assert_false(is_here(overlay, 0, SIZE));
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_size, base + SIZE);
	assert_true(base >= BITS + SIZE / SECTOR / 8);
	assert_int_equal(base % MIB(1), 0);
	overlay_mark(overlay, 5 * SECTOR, SECTOR);
	overlay_mark(overlay, SIZE - SECTOR, SECTOR);
	assert_int_equal(overlay_sync(overlay), 0);
	assert_int_equal(overlay_close(overlay), 0);

	overlay = keep(rig);
	assert_int_equal(overlay_base(overlay), base);
	assert_false(is_here(overlay, 0, 5 * SECTOR));
	assert_true(is_here(overlay, 5 * SECTOR, SECTOR));
	assert_false(is_here(overlay, 6 * SECTOR, SIZE - 7 * SECTOR));
	assert_true(is_here(overlay, SIZE - SECTOR, SECTOR));
	/* Without a word from the guest, too, when there is time for it. */
	overlay_mark(overlay, 0, SECTOR);
	assert_int_equal(overlay_close(overlay), 0);
	overlay = keep(rig);
	assert_true(is_here(overlay, 0, SECTOR));
	overlay_close(overlay);
}

/* The sectors first, then the bits that tell of them: so a bit never tells of what is not there. */
static void test_order(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay = keep(rig);
	uint8_t bits;

	overlay_mark(overlay, 0, SECTOR);
	assert_int_equal(file_read_at(overlay_fd(overlay), &bits, 1, BITS), 0);
	assert_int_equal(bits, 0);
	assert_int_equal(overlay_sync(overlay), 0);
	assert_int_equal(syncs.n, 2);
	assert_int_equal(syncs.first_bits[0], 0);
	assert_int_equal(syncs.first_bits[1], 1);
	/* What was there before is written again without a new bit. */
	overlay_mark(overlay, 0, SECTOR);
	assert_int_equal(overlay_sync(overlay), 0);
	assert_int_equal(syncs.n, 3);
	assert_int_equal(overlay_close(overlay), 0);
	assert_int_equal(syncs.n, 3);
}

/* Only what has changed is saved: another's page stays as it is in the file. */
static void test_pages(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay = keep(rig);
	const uint64_t page = 4096 * 8 * SECTOR; /* of the disk, to a page of bits */
	uint8_t mark = 0xff, bits;

	overlay_mark(overlay, 0, SECTOR);
	overlay_mark(overlay, 2 * page, SECTOR);
	assert_int_equal(file_write_at(overlay_fd(overlay), &mark, 1, BITS + 4096), 0);
	assert_int_equal(overlay_sync(overlay), 0);
	for (unsigned int i = 0; i < 4; i++) {
		static const uint8_t saved[] = { 1, 0xff, 1, 0 };

		assert_int_equal(file_read_at(overlay_fd(overlay), &bits, 1, BITS + 4096 * i), 0);
		assert_int_equal(bits, saved[i]);
	}
	overlay_close(overlay);
}

/* Linux tells of a page that could not be written once, and not again: the next call says it is
 * well.
 */
static void test_failing_storage(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay = keep(rig);
	uint8_t zero = 0, bits;

	for (unsigned int at = 1; at <= 2; at++) {
		memset(&syncs, 0, sizeof(syncs));
		syncs.fail_at = at;
		overlay_mark(overlay, at * SECTOR, SECTOR);
		assert_int_equal(overlay_sync(overlay), -EIO);
		/* What was written is lost. */
		assert_int_equal(file_write_at(overlay_fd(overlay), &zero, 1, BITS), 0);
		assert_int_equal(overlay_sync(overlay), 0);
		assert_int_equal(syncs.n, at + 2);
		assert_int_equal(file_read_at(overlay_fd(overlay), &bits, 1, BITS), 0);
		assert_int_equal(bits, at == 1 ? 2 : 6);
	}
	memset(&syncs, 0, sizeof(syncs));
	syncs.fail_at = 1;
	overlay_mark(overlay, 3 * SECTOR, SECTOR);
	assert_int_equal(overlay_close(overlay), -EIO);
}

static void test_foreign(void **state)
{
	struct rig *rig = *state;
	int fd = open(rig->path, O_CREAT | O_RDWR, 0600);

	assert_int_equal(write(fd, "notes\n", 6), 6);
	must_refuse(rig, SIZE, "is there, and is no overlay of pronto's");
	assert_int_equal(ftruncate(fd, MIB(80)), 0);
	must_refuse(rig, SIZE, "is there, and is no overlay of pronto's");
	close(fd);
	unlink(rig->path);
	overlay_close(keep(rig));
	must_refuse(
		rig, SIZE / 2, "belongs to a disk of 67108864 bytes, and this one has 33554432");
	must_refuse(rig, SIZE + SECTOR,
		"belongs to a disk of 67108864 bytes, and this one has 67109376");
}

/* It belongs to the image as it was. */
static void test_changed_image(void **state)
{
	static const char message[] =
		"the image has been changed since this was made for it, and the two no longer fit; "
		"name another file, or, if what the image holds is the same, `touch -d "
		"@1700000000.000000007` it";
	struct rig *rig = *state;
	const struct timespec made = { 1700000000, 7 };
	const struct timespec fine[] = { { 1700000000, 7 }, { 1700000000, 0 } };
	const struct timespec other[] = { { 1700000000, 8 }, { 1700000001, 7 }, { 1, 0 } };
	struct overlay *overlay = overlay_open(rig->path, SIZE, &made, &rig->diag);

	assert_non_null(overlay);
	overlay_mark(overlay, 0, SECTOR);
	assert_int_equal(overlay_close(overlay), 0);
	snprintf(rig->message, sizeof(rig->message), "%s: %s", rig->path, message);
	for (unsigned int i = 0; i < ARRAY_SIZE(other); i++) {
		assert_null(overlay_open(rig->path, SIZE, &other[i], &rig->diag));
		assert_string_equal(rig->diag.text, rig->message);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(fine); i++) {
		overlay = overlay_open(rig->path, SIZE, &fine[i], &rig->diag);
		assert_non_null(overlay);
		assert_true(is_here(overlay, 0, SECTOR));
		overlay_close(overlay);
	}
	overlay_close(keep(rig)); /* one that nobody knows of */
}

static void test_image_that_does_not_tell(void **state)
{
	struct rig *rig = *state;
	const struct timespec now = { 1700000000, 7 };
	struct overlay *overlay;

	overlay_close(keep(rig));
	overlay = overlay_open(rig->path, SIZE, &now, &rig->diag);
	assert_non_null(overlay);
	overlay_close(overlay);
}

/* Whatever has become of the file: it is refused, or its size is right. */
static void test_damaged(void **state)
{
	struct rig *rig = *state;
	uint8_t version = 1;
	uint64_t base;
	struct overlay *overlay = keep(rig);
	int fd;

	base = overlay_base(overlay);
	overlay_mark(overlay, 0, SIZE);
	overlay_close(overlay);
	fd = open(rig->path, O_RDWR);
	for (uint64_t size = base + SIZE - 1; size > 39; size = size / 2) {
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		must_refuse(rig, SIZE, "has been cut short");
	}
	assert_int_equal(ftruncate(fd, 39), 0);
	must_refuse(rig, SIZE, "is there, and is no overlay of pronto's");
	assert_int_equal(ftruncate(fd, 0), 0);
	overlay = keep(rig); /* an empty file is as good as none */
	assert_false(is_here(overlay, 0, SIZE));
	overlay_close(overlay);
	assert_int_equal(file_write_at(fd, &version, 1, 16), 0);
	must_refuse(rig, SIZE, "is of version 1, and this is 2");
	close(fd);
}

static void test_unusual_files(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(mkdir(rig->path, 0700), 0);
	must_refuse(rig, SIZE, "cannot open: Is a directory");
	assert_int_equal(rmdir(rig->path), 0);
	assert_int_equal(mkfifo(rig->path, 0600), 0);
	must_refuse(rig, SIZE, "is no regular file");
	unlink(rig->path);
	assert_int_equal(symlink(rig->path, rig->path), 0);
	must_refuse(rig, SIZE, "cannot open: Too many levels of symbolic links");
	unlink(rig->path);
	assert_null(overlay_open("/missing/kept", SIZE, NULL, &rig->diag));
	assert_string_equal(
		rig->diag.text, "/missing/kept: cannot open: No such file or directory");
}

static void test_lock(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay = keep(rig);

	must_refuse(rig, SIZE, "is in use by another program");
	overlay_close(overlay);
	overlay_close(keep(rig));
}

/* There is no room for the file: none is left that would be refused the next time. */
static void test_full_host(void **state)
{
	struct rig *rig = *state;
	struct overlay *overlay;
	char fill[64];
	int fd;

	if (geteuid() || mount("none", rig->dir, "tmpfs", 0, "size=64k,huge=never"))
		skip_because("only root may mount");
	snprintf(fill, sizeof(fill), "%s/fill", rig->dir);
	fd = open(fill, O_CREAT | O_RDWR, 0600);
	assert_int_equal(fallocate(fd, 0, 0, KIB(64)), 0);
	must_refuse(rig, SIZE, "cannot write: No space left on device");
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	overlay = keep(rig);
	overlay_close(overlay);
	assert_int_equal(umount2(rig->dir, MNT_DETACH), 0);
}

/* ---- a fork's ---- */

static void put(struct overlay *overlay, uint64_t offset, uint8_t fill)
{
	uint8_t sector[SECTOR];

	memset(sector, fill, SECTOR);
	assert_int_equal(
		file_write_at(overlay_fd(overlay), sector, SECTOR, overlay_base(overlay) + offset),
		0);
	overlay_mark(overlay, offset, SECTOR);
}

/* 0: it is not there. */
static uint8_t get(const struct overlay *overlay, uint64_t offset)
{
	uint8_t sector[SECTOR];
	bool here;

	overlay_run(overlay, offset, SECTOR, &here);
	if (!here)
		return 0;
	assert_int_equal(
		file_read_at(overlay_fd(overlay), sector, SECTOR, overlay_base(overlay) + offset),
		0);
	assert_memory_equal(sector, sector + 1, SECTOR - 1);
	return sector[0];
}

/* Each begins with what was there when the copy was made, and has no more of the other. */
static void test_copy(void **state)
{
	struct rig *rig = *state;
	struct overlay *first = overlay_create(SIZE, &rig->diag), *as_it_was,
		       *other = overlay_create(SIZE, &rig->diag);
	struct stat st;
	int fd;

	put(first, 0, 1);
	put(first, MIB(20), 2);
	put(first, SIZE - SECTOR, 3);
	fd = overlay_copy(first, SIZE, &rig->diag);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	assert_true((uint64_t)st.st_blocks * 512 <= KIB(256)); /* holes stay holes */
	put(first, 0, 9);
	/* In a process that was forked it would be there still. */
	as_it_was = overlay_create(SIZE, &rig->diag);
	put(as_it_was, 0, 7);
	put(as_it_was, MIB(20), 7);
	put(as_it_was, SIZE - SECTOR, 7);
	assert_int_equal(overlay_take(other, as_it_was, fd, SIZE, &rig->diag), 0);
	assert_int_equal(overlay_close(as_it_was), 0);
	put(other, SECTOR, 5);
	assert_int_equal(get(other, 0), 1);
	assert_int_equal(get(other, SECTOR), 5);
	assert_int_equal(get(other, MIB(20)), 2);
	assert_int_equal(get(other, MIB(20) + SECTOR), 0);
	assert_int_equal(get(other, SIZE - SECTOR), 3);
	assert_int_equal(get(first, 0), 9);
	assert_int_equal(get(first, SECTOR), 0);
	close(fd);
	assert_int_equal(overlay_close(other), 0);
	assert_int_equal(overlay_close(first), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_runs),
		TEST(test_model),
		TEST(test_unnamed),
		TEST(test_no_place),
		TEST(test_default_place),
		TEST(test_kept),
		TEST(test_order),
		TEST(test_pages),
		TEST(test_failing_storage),
		TEST(test_foreign),
		TEST(test_changed_image),
		TEST(test_image_that_does_not_tell),
		TEST(test_damaged),
		TEST(test_unusual_files),
		TEST(test_lock),
		TEST(test_full_host),
		TEST(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
