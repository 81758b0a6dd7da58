// SPDX-License-Identifier: MIT
/* words.c - what on a Linux command line cannot end well on this machine */

#include "boot/words.h"
#include "util/bits.h"

#include <stdbool.h>
#include <string.h>

/* ACPI alone tells Linux of its CPUs and interrupts, and these come through the APICs alone: there
 * are no 8259s.  Without them it hangs on its way up, or runs and hears nothing of its devices.
 * Linux turns the I/O APIC off, too, where it is told to have no other CPUs.
 */
static const char *const fatal[] = { "acpi=off", "maxcpus=0", "noapic", "nolapic", "nosmp" };

#define BLANKS " \t\n"

static bool is_word(const char *at, size_t size, const char *word)
{
	return size == strlen(word) && !memcmp(at, word, size);
}

const char *words_find_fatal(const char *cmdline)
{
	const char *at = cmdline + strspn(cmdline, BLANKS);
	size_t size;

	for (; *at; at += size, at += strspn(at, BLANKS)) {
		size = strcspn(at, BLANKS);
		if (is_word(at, size, "--"))
			return NULL;
		for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
			if (is_word(at, size, fatal[i]))
				return fatal[i];
	}
	return NULL;
}
