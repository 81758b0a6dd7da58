/* SPDX-License-Identifier: MIT */
/* init.h - the bytes of guest/init, pid 1 of a guest whose root is a directory of the host */
#ifndef INITRAMFS_INIT_H
#define INITRAMFS_INIT_H

#include <stdint.h>

extern const uint8_t init_elf[];
extern const uint8_t init_elf_end[];

#endif
