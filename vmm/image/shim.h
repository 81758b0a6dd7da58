/* SPDX-License-Identifier: MIT */
/* shim.h - the bytes of pvh-shim.elf, built from guest/shim
 *
 * Inside image/ only.
 */
#ifndef IMAGE_SHIM_H
#define IMAGE_SHIM_H

#include "util/diag.h"

#include <stdint.h>

extern const uint8_t shim_elf[];
extern const uint8_t shim_elf_end[];

/* Where it is to lie in memory: all its segments are in [*start, *end). */
void shim_range(uint64_t *start, uint64_t *end);

/* In a file of its own: the descriptor, owned by the caller, and its size; or -errno and the
 * reason.
 */
int shim_open(uint64_t *size, struct diag *diag);

#endif
