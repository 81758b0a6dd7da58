/* SPDX-License-Identifier: MIT */
/* instant.h - the bytes of guest/instant, which asks to be saved before a guest's user space begins
 */
#ifndef INITRAMFS_INSTANT_H
#define INITRAMFS_INSTANT_H

#include <stdint.h>

#define INSTANT_NAME "pronto-instant" /* of its file in the first root file system */

extern const uint8_t instant_elf[];
extern const uint8_t instant_elf_end[];

#endif
