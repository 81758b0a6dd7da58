/* SPDX-License-Identifier: MIT */
/* exit_codes.h - what the process's exit status tells; man/pronto.1 and --help say the same */
#ifndef EXIT_CODES_H
#define EXIT_CODES_H

#include <errno.h>

enum exit_code {
	EXIT_POWEROFF = 0, /* the guest switched itself off; or the command did what it was asked */
	EXIT_HOST_ERROR = 1, /* KVM, memory or a device of the host failed */
	EXIT_OPERATOR = 2,   /* an option, a configuration or a file is not usable */
	EXIT_REBOOT = 3,     /* the guest asked for a reset (a panic with panic=-1 does too) */
	EXIT_CRASH = 4,      /* triple fault, or an instruction KVM cannot go on from */
	EXIT_KILLED = 5, /* ended from outside: escape key, second signal, or grace period over */
	/* With the status that the guest has chosen (--debug-exit) in the low byte, which is all of
	 * it that the process's parent sees.
	 */
	EXIT_CHOSEN = 0x100,
};

/* What it comes to that something which the operator named could not be used: `err` (an errno) may
 * be the host's failure.
 */
static inline enum exit_code exit_code_of(int err)
{
	switch (err) {
	case EIO:
	case ENOMEM:
	case EMFILE:
	case ENFILE: return EXIT_HOST_ERROR;
	default: return EXIT_OPERATOR;
	}
}

#endif
