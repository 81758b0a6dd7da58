// SPDX-License-Identifier: MIT
/* bzimage.c - where the compressed kernel lies in a bzImage */

#include "image/bzimage.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/file.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define HEADER_OFFSET    offsetof(struct boot_params, hdr)
#define BOOT_FLAG_OFFSET (HEADER_OFFSET + offsetof(struct setup_header, boot_flag))
#define MAGIC_OFFSET     (HEADER_OFFSET + offsetof(struct setup_header, header))
#define BOOT_FLAG        0xaa55
#define MAGIC            "HdrS"
#define SECTOR           512u

/* Versions of the boot protocol that brought the fields read here. */
#define VERSION_WITH_PAYLOAD   0x208
#define VERSION_WITH_INIT_SIZE 0x20a
#define VERSION_WITH_ENTRY_64  0x20c

bool bzimage_detect(const uint8_t *head, size_t n)
{
	uint16_t boot_flag;

	if (n < MAGIC_OFFSET + sizeof(MAGIC) - 1)
		return false;
	memcpy(&boot_flag, head + BOOT_FLAG_OFFSET, sizeof(boot_flag));
	return boot_flag == BOOT_FLAG && !memcmp(head + MAGIC_OFFSET, MAGIC, sizeof(MAGIC) - 1);
}

/* The real-mode part holds the string, at an offset that skips the boot sector. */
static void read_version(
	struct bzimage *bz, int fd, const struct setup_header *header, uint64_t setup_size)
{
	uint64_t offset = header->kernel_version + (uint64_t)SECTOR;
	size_t room = sizeof(bz->version) - 1;

	if (!header->kernel_version || offset >= setup_size)
		return;
	if (setup_size - offset < room)
		room = (size_t)(setup_size - offset);
	/* Nothing depends on it: what cannot be read is left out. */
	if (file_read_some(fd, bz->version, room, offset) < 0)
		bz->version[0] = '\0';
	for (char *c = bz->version; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
			*c = '?';
}

int bzimage_parse(struct bzimage *bz, int fd, uint64_t size, struct diag *diag)
{
	struct setup_header header;
	uint64_t setup_size;
	int ret;

	memset(bz, 0, sizeof(*bz));
	ret = file_read_at(fd, &header, sizeof(header), HEADER_OFFSET);
	if (ret == -ENODATA)
		return diag_fail(diag, ENOEXEC,
			"it is a truncated bzImage: its %" PRIu64
			" bytes end inside the setup header",
			size);
	if (ret < 0)
		return diag_fail(diag, -ret, "cannot be read: %s", error_text(-ret));
	if (header.version < VERSION_WITH_PAYLOAD)
		return diag_fail(diag, ENOEXEC,
			"it is a bzImage of boot protocol %u.%02u, which does not say where the kernel lies: 2.08 (Linux 2.6.26) or newer is needed",
			header.version >> 8, header.version & 0xff);
	setup_size = ((header.setup_sects ? header.setup_sects : 4) + UINT64_C(1)) * SECTOR;
	read_version(bz, fd, &header, setup_size);
	bz->payload_offset = setup_size + header.payload_offset;
	bz->payload_size = header.payload_length;
	if (header.version >= VERSION_WITH_INIT_SIZE)
		bz->init_size = header.init_size;
	if (header.version >= VERSION_WITH_ENTRY_64) {
		bz->pref_address = header.pref_address;
		bz->has_entry_64 = header.xloadflags & XLF_KERNEL_64;
	}
	if (!bz->payload_size)
		return diag_fail(diag, ENOEXEC,
			"it has a bzImage's header but no kernel to unpack: what calls itself %s is entered by Linux's own protocol alone, and Pronto enters by PVH",
			bz->version[0] ? bz->version : "by no name");
	if (!range_within(bz->payload_offset, bz->payload_size, 0, size))
		return diag_fail(diag, ENOEXEC,
			"it is a bzImage whose header puts the kernel at %" PRIu64 ", %" PRIu64
			" bytes long, beyond the file's %" PRIu64 ": it is truncated or damaged",
			bz->payload_offset, bz->payload_size, size);
	return 0;
}
