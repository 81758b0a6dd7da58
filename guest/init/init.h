/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* init.h - pid 1 of a guest whose root is a directory of the host */
#ifndef INIT_INIT_H
#define INIT_INIT_H

#include <stdbool.h>
#include <stddef.h>

#define MAX_MODULES 64

/* What /settings in the initramfs says, as strings KEY=VALUE; vmm/vm/root.c writes them. */
struct settings {
	const char *module[MAX_MODULES]; /* in /modules, in the order to load them */
	unsigned int n_modules;
	const char *transport; /* how the guest reaches the device, for people */
	bool overlay, writable;
	const char *init; /* to go on as, as pid 1; NULL: a shell as its child */
	const char *exec; /* the command for that shell; NULL: it talks to the operator */
	const char *dir;  /* where it begins; NULL: / */
	const char *term; /* "TERM=..." */
	bool plain;       /* nobody looks at the terminal: what is written is to come as it is */
	unsigned short rows, columns; /* 0: nobody knows */
	unsigned short port;          /* by which to tell how the command ended; 0: there is none */
};

/* Read it.  A static struct. */
const struct settings *settings_read(void);

/* Up to the root file system, entered. */
void root_enter(const struct settings *settings);

/* Run the shell in a session of its own, with the console as its terminal: what wait(2) tells of
 * its end.
 */
int session_run(const struct settings *settings);

/* Become the operator's own pid 1. */
void session_become(const struct settings *settings);

/* "init: WHAT WHOM: ERROR; HINT" on the console; err is -errno, or 0 and not said; hint may be
 * NULL.
 */
void complain(const char *what, const char *whom, long err, const char *hint);

/* As complain(), then restart the machine, as a panic would. */
_Noreturn void give_up(const char *what, const char *whom, long err, const char *hint);

size_t text_size(const char *text);
bool text_begins(const char *text, const char *with);
unsigned int text_number(const char *text, const char **end);

#endif
