// SPDX-License-Identifier: MIT
/* foreign.c - words for what is no kernel, or a kernel for other doors than PVH's */

#include "image/foreign.h"

#include "util/bits.h"

#include <errno.h>
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
