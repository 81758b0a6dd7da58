/* SPDX-License-Identifier: MIT */
/* vectors.h - the numbers that C and assembly share */
#ifndef GUEST_VECTORS_H
#define GUEST_VECTORS_H

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10

#define N_EXCEPTIONS 32
#define FIRST_VECTOR 32
#define N_VECTORS    4

#endif
