/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* layout.h - what the assembly and the C of pvh-check agree on */
#ifndef CHECK_LAYOUT_H
#define CHECK_LAYOUT_H

/* Selectors */
#define KERNEL_CS   0x08
#define KERNEL_DS   0x10
#define KERNEL_CS64 0x28

#define N_EXCEPTIONS 32

#define COM1     0x3f8
#define DEBUGCON 0xe9
#define PATTERN  0x600dcafe

/* How often the serial port is asked whether it takes a byte; then it gets it all the same. */
#define SERIAL_PATIENCE 0x10000

#define CR0_PG          0x80000000
#define CR4_PAE         0x20
#define MSR_EFER        0xc0000080
#define MSR_SYSENTER_CS 0x174
#define EFER_LME        0x100

/* Memory of the image that is neither in its file nor ever written. */
#define UNTOUCHED_SIZE 8192

/* struct entry_state */
#define ENTRY_EAX    0
#define ENTRY_EBX    4
#define ENTRY_ECX    8
#define ENTRY_EDX    12
#define ENTRY_ESI    16
#define ENTRY_EDI    20
#define ENTRY_EBP    24
#define ENTRY_ESP    28
#define ENTRY_CR0    32
#define ENTRY_CR3    36
#define ENTRY_CR4    40
#define ENTRY_EFLAGS 44
#define ENTRY_CS     48
#define ENTRY_DS     50
#define ENTRY_ES     52
#define ENTRY_SS     54
#define ENTRY_TR     56
#define ENTRY_LDTR   58
#define ENTRY_BAD    60
#define ENTRY_SIZE   64

/* entry_state.bad: segments that are not what they must be */
#define BAD_CS 1
#define BAD_DS 2
#define BAD_ES 4
#define BAD_SS 8

#endif
