// SPDX-License-Identifier: MIT
/* words.c - words on a kernel's command line */

#include "boot/words.h"
#include "bus/platform.h"
#include "util/bits.h"

#include <stdio.h>
#include <stdlib.h>
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

/* The word at `at`, behind blanks: its size, 0 at the end. */
static size_t next_word(const char **at)
{
	*at += strspn(*at, BLANKS);
	return strcspn(*at, BLANKS);
}

const char *words_find_fatal(const char *cmdline)
{
	const char *at = cmdline;
	size_t size;

	for (; (size = next_word(&at)) > 0; at += size) {
		if (is_word(at, size, "--"))
			return NULL;
		for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
			if (is_word(at, size, fatal[i]))
				return fatal[i];
	}
	return NULL;
}

/* Where the words for the kernel end. */
static const char *kernel_end(const char *cmdline)
{
	const char *at = cmdline;
	size_t size;

	while ((size = next_word(&at)) > 0 && !is_word(at, size, "--"))
		at += size;
	return at;
}

#define SLOT_WORD_MAX sizeof("virtio_mmio.device=4K@0x00000000:00 ")

char *words_name_slots(const char *cmdline, unsigned int n)
{
	const char *end = kernel_end(cmdline);
	size_t before = (size_t)(end - cmdline);
	size_t size = strlen(cmdline) + 2 + n * SLOT_WORD_MAX;
	char *text = malloc(size), *at = text;

	if (!text)
		return NULL;
	memcpy(at, cmdline, before);
	at += before;
	if (before && !strchr(BLANKS, at[-1]))
		*at++ = ' ';
	for (unsigned int i = 0; i < n; i++)
		at += snprintf(at, SLOT_WORD_MAX, "virtio_mmio.device=%uK@0x%x:%u ",
			PLATFORM_VIRTIO_SIZE / 1024,
			PLATFORM_VIRTIO_BASE + i * PLATFORM_VIRTIO_SIZE, PLATFORM_VIRTIO_GSI + i);
	if (*end)
		memcpy(at, end, strlen(end) + 1);
	else
		at[n || before ? -1 : 0] = '\0';
	return text;
}

/* Several are separated by commas. */
static bool has_off(const char *at, const char *end)
{
	size_t size;

	for (; at < end; at += size + 1) {
		size = strcspn(at, "," BLANKS);
		if (is_word(at, size, "off"))
			return true;
	}
	return false;
}

bool words_turn_pci_off(const char *cmdline)
{
	static const char option[] = "pci=";
	const char *at = cmdline, *end = kernel_end(cmdline);
	size_t size;

	for (; (size = next_word(&at)) > 0 && at < end; at += size)
		if (!strncmp(at, option, sizeof(option) - 1) &&
			has_off(at + sizeof(option) - 1, at + size))
			return true;
	return false;
}
