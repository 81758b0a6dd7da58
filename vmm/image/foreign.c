// SPDX-License-Identifier: MIT
/* foreign.c - words for what is no kernel, or a kernel for other doors than PVH's */

#include "image/foreign.h"

#include "image/bzimage.h"
#include "util/bits.h"
#include "util/file.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct kind {
	size_t offset;
	const char *magic;
	const char *name;
} kinds[] = {
	{ 0, "07070", "an initrd (a cpio archive): are kernel and initrd swapped?" },
	{ 0, "MZ", "an EFI program: give the kernel that it loads" },
	{ 0, "QFI\xfb", "a disk image (qcow2): give the kernel in it" },
	{ 0, "#!", "a script" },
	{ 40, "_FVH", "EFI firmware for other machines: here there is none" },
	{ 510, "\x55\xaa", "a boot sector or a disk image: give the kernel in it" },
};

const char *foreign_name(const uint8_t *head, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t size = strlen(kinds[i].magic);

		if (n >= kinds[i].offset + size &&
			!memcmp(head + kinds[i].offset, kinds[i].magic, size))
			return kinds[i].name;
	}
	return NULL;
}

int foreign_refuse(const uint8_t *head, size_t n, struct diag *diag)
{
	const char *name = foreign_name(head, n);

	if (name)
		return diag_fail(diag, ENOEXEC, "it is no kernel: it looks like %s", name);
	return diag_fail(diag, ENOEXEC,
		"it is no kernel: neither an ELF, nor a bzImage, nor one of them compressed (or it is truncated)");
}

const char *foreign_kernel_name(int fd)
{
	uint8_t head[1024];
	int64_t n = file_read_some(fd, head, sizeof(head), 0);

	if (n >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG))
		return "an ELF";
	return n > 0 && bzimage_detect(head, (size_t)n) ? "a bzImage" : NULL;
}

/* Multiboot Specification 0.6.96, 3.1.1, and 2.0, 3.1: a header near the start of the file, whose
 * fields sum up to 0.
 */
#define MULTIBOOT_1      0x1badb002u
#define MULTIBOOT_1_SIZE 8192u
#define MULTIBOOT_2      0xe85250d6u
#define MULTIBOOT_2_SIZE 32768u

/* U-Boot's name and version lie among its constants. */
#define UBOOT_SEARCHED MIB(1)
#define UBOOT          "U-Boot 20"

static bool has_multiboot(
	const uint8_t *data, size_t n, uint32_t magic, size_t step, size_t n_fields)
{
	for (size_t at = 0; at + 4 * n_fields <= n; at += step) {
		uint32_t first, sum = 0;

		memcpy(&first, data + at, sizeof(first));
		if (le32toh(first) != magic)
			continue;
		for (size_t i = 0; i < n_fields; i++) {
			uint32_t field;

			memcpy(&field, data + at + 4 * i, sizeof(field));
			sum += le32toh(field);
		}
		if (!sum)
			return true;
	}
	return false;
}

static const char *find_door(const uint8_t *data, size_t n)
{
	/* Some U-Boots have a Multiboot header, too. */
	if (memmem(data, n, UBOOT, sizeof(UBOOT) - 1))
		return "it is U-Boot, which takes the place of firmware: give the kernel that it would load";
	if (has_multiboot(data, n < MULTIBOOT_1_SIZE ? n : MULTIBOOT_1_SIZE, MULTIBOOT_1, 4, 3) ||
		has_multiboot(data, n < MULTIBOOT_2_SIZE ? n : MULTIBOOT_2_SIZE, MULTIBOOT_2, 8, 4))
		return "it is made for a Multiboot loader, as GRUB is one, and Pronto is none";
	return "it is entered in some other way, and has to be built with such a note";
}

const char *foreign_door(int fd, uint64_t size)
{
	size_t n = size < UBOOT_SEARCHED ? (size_t)size : UBOOT_SEARCHED;
	uint8_t *data = malloc(n);
	const char *door = "no memory is left to see how it is entered";
	int64_t got;

	if (!data)
		return door;
	got = file_read_some(fd, data, n, 0);
	door = find_door(data, got > 0 ? (size_t)got : 0);
	free(data);
	return door;
}
