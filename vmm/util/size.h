/* SPDX-License-Identifier: MIT */
/* size.h - sizes as people write them, on a command line, in a file or in the environment
 *
 * A whole number is bytes.  With K, M, G or T it counts units of 1024 and its powers, and may have
 * a fraction: "512M", "1.5G".  "B" or "iB" may follow, and all may be small letters: "512MiB",
 * "512mb".
 */
#ifndef UTIL_SIZE_H
#define UTIL_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* The bytes of `text`, what is less than a byte cut off; false if it is no size, or 2^64 and more.
 */
bool size_parse(const char *text, uint64_t *size);

/* Write a size with the largest unit that leaves a whole number: "512M", "1536M", "1G". */
#define SIZE_TEXT 24
void size_print(char text[SIZE_TEXT], uint64_t size);

#endif
