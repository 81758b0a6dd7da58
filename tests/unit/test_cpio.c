// SPDX-License-Identifier: MIT
/* test_cpio.c - the archive that Linux unpacks, read as Linux reads it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "initramfs/cpio.h"
#include "util/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HEADER 110

struct entry {
	uint32_t field[13]; /* in the header's order */
	const char *name;
	const uint8_t *data;
};

enum { INO, MODE, UID, GID, NLINK, MTIME, SIZE, MAJOR, MINOR, RMAJOR, RMINOR, NAME_SIZE, CHECK };

static uint8_t archive[4096];
static size_t archive_size;

/* Names and contents begin at multiples of four. */
static size_t read_entry(size_t at, struct entry *entry)
{
	char digits[9] = "";

	assert_true(at % 4 == 0 && at + HEADER <= archive_size);
	assert_memory_equal(archive + at, "070701", 6);
	for (size_t i = 0; i < 13; i++) {
		memcpy(digits, archive + at + 6 + 8 * i, 8);
		assert_int_equal(strspn(digits, "0123456789abcdef"), 8);
		entry->field[i] = (uint32_t)strtoul(digits, NULL, 16);
	}
	entry->name = (const char *)archive + at + HEADER;
	assert_int_equal(strlen(entry->name) + 1, entry->field[NAME_SIZE]);
	at = ALIGN_UP(at + HEADER + entry->field[NAME_SIZE], 4);
	entry->data = archive + at;
	return ALIGN_UP(at + entry->field[SIZE], 4);
}

static void check_entry(const struct entry *entry, const char *name, mode_t mode, const char *data)
{
	assert_string_equal(entry->name, name);
	assert_int_equal(entry->field[MODE], mode);
	assert_int_equal(entry->field[UID] | entry->field[GID] | entry->field[CHECK], 0);
	assert_int_equal(entry->field[SIZE], strlen(data));
	assert_memory_equal(entry->data, data, strlen(data));
}

static void finish(struct cpio *cpio)
{
	assert_int_equal(cpio_finish(cpio), 0);
	archive_size = cpio->size;
	assert_in_range(archive_size, 1, sizeof(archive));
	assert_int_equal(pread(cpio->fd, archive, sizeof(archive), 0), (ssize_t)cpio->size);
	close(cpio->fd);
}

static void test_entries(void **state)
{
	struct cpio cpio = { .fd = memfd_create("test", MFD_CLOEXEC) };
	struct entry entry;
	size_t at = 0;

	cpio_add(&cpio, "dir", S_IFDIR | 0755, NULL, 0);
	cpio_add(&cpio, "dir/f", S_IFREG | 0644, "12345", 5);
	cpio_add(&cpio, "dir/empty", S_IFREG | 0600, "", 0);
	cpio_add_device(&cpio, "console", S_IFCHR | 0600, makedev(5, 1));
	finish(&cpio);

	at = read_entry(at, &entry);
	check_entry(&entry, "dir", S_IFDIR | 0755, "");
	at = read_entry(at, &entry);
	check_entry(&entry, "dir/f", S_IFREG | 0644, "12345");
	at = read_entry(at, &entry);
	check_entry(&entry, "dir/empty", S_IFREG | 0600, "");
	assert_int_equal(entry.field[INO], 3); /* else it would be a link to another */
	at = read_entry(at, &entry);
	check_entry(&entry, "console", S_IFCHR | 0600, "");
	assert_int_equal(entry.field[RMAJOR], 5);
	assert_int_equal(entry.field[RMINOR], 1);
	at = read_entry(at, &entry);
	check_entry(&entry, "TRAILER!!!", 0, "");
	assert_int_equal(at, archive_size);
}

/* Of every length, so that each way of filling up to four comes. */
static void test_padding(void **state)
{
	static const char text[] = "abcdefghi";

	for (size_t n = 1; n < sizeof(text); n++) {
		struct cpio cpio = { .fd = memfd_create("test", MFD_CLOEXEC) };
		char name[sizeof(text)] = "", data[sizeof(text)] = "";
		struct entry entry;

		memcpy(name, text, n);
		memcpy(data, text + sizeof(text) - 1 - n, n);
		cpio_add(&cpio, name, S_IFREG, data, n);
		finish(&cpio);
		check_entry((read_entry(0, &entry), &entry), name, S_IFREG, data);
	}
}

/* It is told at the end, and the first one is. */
static void test_failures(void **state)
{
	struct cpio cpio = { .fd = open("/dev/full", O_RDWR | O_CLOEXEC) };

	cpio_add(&cpio, "f", S_IFREG, "1", 1);
	assert_int_equal(cpio_finish(&cpio), -ENOSPC);
	close(cpio.fd);

	cpio = (struct cpio){ .fd = memfd_create("test", MFD_CLOEXEC) };
	cpio_add(&cpio, "f", S_IFREG, "1", (size_t)UINT32_MAX + 1);
	assert_int_equal(cpio_finish(&cpio), -EFBIG);
	close(cpio.fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
