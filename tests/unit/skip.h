/* SPDX-License-Identifier: MIT */
/* skip.h - skip a test with a reason; needs cmocka.h before it */

#ifndef TESTS_UNIT_SKIP_H
#define TESTS_UNIT_SKIP_H

#include <stdio.h>

/* Skip the test that calls this. tap.sh makes WHY the test's reason, which scripts/check shows like
 * pytest's. */
static inline void skip_because(const char *why)
{
	printf("# because %s\n", why);
	skip();
}

#endif
