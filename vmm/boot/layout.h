/* SPDX-License-Identifier: MIT */
/* layout.h - where the hand-over lies in guest memory
 *
 *   0x00000000  zero: page 0, the BIOS data area (Linux reads 0x40e and 0x413, they must read 0)
 *   0x00001000  free: OSv and Xen put their own early data between 0x1000 and 0x7c00
 *   0x00080000  start info, module list, memory map, each 8-aligned, in writable RAM
 *   0x00080d00  GDT, for guests that reload a segment before they have a table of their own
 *   0x00081000  a page of stack, for guests that call before they have set ESP
 *   0x00082000  kernel command line (Linux copies 2048 bytes from here, NUL or not: all is RAM)
 *   0x000a0000  hole
 *   0x000f0000  ACPI tables, RSDP first, and among them the generation ID; then the MP table: where
 *               guests that are told no address search for both.  Reserved in the map to 1 MiB, but
 *               a kernel may be linked to what lies behind them
 *   0x000ffff0  a few instructions at the reset vector: they ask for a reset
 *   0x00100000  kernel where it asks to be; initrd at the top of RAM below 1 GiB
 *
 * Everything is below 1 GiB for kernels that read it through an early 1 GiB mapping, and below the
 * kernel because FreeBSD takes memory upwards from the end of the last structure it knows of.
 */
#ifndef BOOT_LAYOUT_H
#define BOOT_LAYOUT_H

#define LAYOUT_START_INFO   0x80000u
#define LAYOUT_MODLIST      0x80040u
#define LAYOUT_MEMMAP       0x80100u
#define LAYOUT_GDT          0x80d00u
#define LAYOUT_STACK        0x82000u /* the stack's end: it grows down to the GDT */
#define LAYOUT_CMDLINE      0x82000u
#define LAYOUT_CMDLINE_SIZE 0x10000u /* with the NUL */
#define LAYOUT_LOW_RAM_END  0xa0000u
#define LAYOUT_ACPI         0xf0000u
#define LAYOUT_ACPI_SIZE    0xf000u
#define LAYOUT_FEW_TABLES   0xf1000u /* the end of the tables for no more than a few CPUs */
#define LAYOUT_RESET_VECTOR 0xffff0u
#define LAYOUT_HIGH_RAM     0x100000u

#endif
