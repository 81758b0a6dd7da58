/* SPDX-License-Identifier: MIT */
/* error.h - errors of system calls, for people */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include <string.h>

/* What an errno means, in English; static.  strerror() looks for a translation first, for which the
 * C library of Debian 13 takes memory, by system calls that a confined vCPU has not.  Any thread's.
 */
static inline const char *error_text(int err)
{
	const char *text = strerrordesc_np(err);

	return text ? text : "unknown error";
}

#endif
