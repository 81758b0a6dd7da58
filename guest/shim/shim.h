/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* shim.h - pvh-shim: boot a 64-bit Linux kernel that has no PVH entry
 *
 * From the PVH hand-over to Linux's 64-bit boot protocol (Documentation/arch/x86/boot.rst).  All
 * but the last jump is plain C without globals that reaches memory by pvh_phys() alone, so that
 * tests and fuzzers run it too.  Functions that can fail return NULL, or why not: a sentence
 * without a full stop.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include "pvh/pvh.h"

#include <asm/bootparam.h>
#include <pvh/pack.h>
#include <stdint.h>

#define SHIM_CMDLINE_SIZE 4096 /* Linux takes 2047 bytes */

/* All that must outlive the jump: the kernel reads params and cmdline.  Zero at first. */
struct shim {
	struct boot_params params;
	char cmdline[SHIM_CMDLINE_SIZE];
	struct pvh_info info; /* as the kernel is to see it: module 0 is the initrd, if any */
	uint64_t entry;       /* of the kernel, with params in rsi */
};

/* What is to be found in memory: `size` bytes at a multiple of `align` (a power of two), the first
 * not below `from`, the last not above `max`.
 */
struct shim_want {
	uint64_t size;
	uint64_t align;
	uint64_t from;
	uint64_t max;
};

/* A kernel file in memory, and what it asks for. */
struct shim_kernel {
	struct pvh_range file;
	const uint8_t *data; /* file.size bytes */
	int is_elf;
	struct shim_want want; /* where it is to lie */
	uint64_t entry_offset; /* from there */
	uint64_t initrd_max;   /* greatest address of the initrd's last byte */
	uint64_t cmdline_max;  /* longest command line, without the NUL */
};

/* Choose, place and load what is to be booted: the packed kernel, else module 0; as initrd the
 * next module, else the packed one; the packed command line, then the hand-over's.  image is the
 * range of the running shim, `pack` is relative to its start.  Kernel and initrd may be moved.
 */
const char *shim_prepare(struct shim *shim, const struct pvh_info *info,
	const struct pvh_pack *pack, struct pvh_range image);

/*
 * bzimage.c, elf.c.  data, file.size and file.addr of *kernel are set; parse sets the rest.
 */

int shim_bzimage_detect(const struct shim_kernel *kernel);
const char *shim_bzimage_parse(struct shim_kernel *kernel);
/* Copy the kernel to dest, which may overlap the file, and its setup header into *params. */
const char *shim_bzimage_load(
	const struct shim_kernel *kernel, uint64_t dest, struct boot_params *params);

int shim_elf_detect(const struct shim_kernel *kernel);
const char *shim_elf_parse(struct shim_kernel *kernel);
/* Copy the segments to where they are linked to: no byte of the file lies there. */
const char *shim_elf_load(const struct shim_kernel *kernel, struct boot_params *params);

/*
 * space.c
 */

int shim_overlap(struct pvh_range a, struct pvh_range b);

/* The lowest such place in the RAM between 1 MiB and 4 GiB that touches none of busy; 0: none. */
uint64_t shim_find(const struct pvh_info *info, const struct pvh_range *busy, uint32_t n_busy,
	const struct shim_want *want);

/* Copy, as memmove() does, fast. */
void shim_copy(void *to, const void *from, uint64_t size);

/*
 * jump.S
 */

/* Enter the kernel: long mode, flat segments, interrupts off, rsi = params. */
_Noreturn void shim_jump(uint64_t entry, struct boot_params *params);

#endif
