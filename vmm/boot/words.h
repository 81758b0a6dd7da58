/* SPDX-License-Identifier: MIT */
/* words.h - what on a Linux command line cannot end well on this machine */
#ifndef BOOT_WORDS_H
#define BOOT_WORDS_H

/* The first word of `cmdline` that has Linux do without what this machine has nothing else for, or
 * NULL. A static string.  What stands behind a "--" is for init.
 */
const char *words_find_fatal(const char *cmdline);

#endif
