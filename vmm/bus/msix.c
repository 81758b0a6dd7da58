// SPDX-License-Identifier: MIT
/* msix.c - a function's messages: MSI-X */

#include "bus/msix.h"

#include "util/bits.h"

#include <errno.h>
#include <string.h>

_Static_assert(sizeof(struct msix_entry) == MSIX_ENTRY_SIZE, "a table entry");

static uint16_t control_of(const struct msix *msix)
{
	return pci_get16(msix->function, msix->capability + PCI_MSIX_FLAGS);
}

bool msix_is_enabled(const struct msix *msix)
{
	return control_of(msix) & PCI_MSIX_FLAGS_ENABLE;
}

void msix_init(struct msix *msix, struct pci_function *function, unsigned int n, uint32_t table,
	uint32_t pending, int (*send)(void *ctx, uint64_t address, uint32_t data), void *ctx)
{
	uint8_t body[PCI_CAP_MSIX_SIZEOF] = { 0 };

	BUG_ON(!n || n > MSIX_MAX || table % 8 || pending % 8);
	*msix = (struct msix){ .function = function, .n = n, .send = send, .ctx = ctx };
	msix->capability = pci_add_capability(function, PCI_CAP_ID_MSIX, body, sizeof(body));
	pci_set16(function, msix->capability + PCI_MSIX_FLAGS, (uint16_t)(n - 1));
	pci_set32(function, msix->capability + PCI_MSIX_TABLE, table); /* in BAR 0 */
	pci_set32(function, msix->capability + PCI_MSIX_PBA, pending);
	function->writable[msix->capability + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
	msix_reset(msix);
}

void msix_reset(struct msix *msix)
{
	for (unsigned int i = 0; i < msix->n; i++)
		msix->entry[i] = (struct msix_entry){ .control = PCI_MSIX_ENTRY_CTRL_MASKBIT };
	msix->pending = 0;
}

static bool is_masked(const struct msix *msix, unsigned int vector)
{
	return control_of(msix) & PCI_MSIX_FLAGS_MASKALL ||
	       msix->entry[vector].control & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/* A message that names no CPU is the guest's mistake, and nobody's business. */
static void send(struct msix *msix, unsigned int vector)
{
	const struct msix_entry *entry = &msix->entry[vector];

	msix->send(msix->ctx, entry->address, entry->data);
}

void msix_signal(struct msix *msix, unsigned int vector)
{
	if (vector >= msix->n || !msix_is_enabled(msix))
		return;
	if (is_masked(msix, vector))
		msix->pending |= UINT64_C(1) << vector;
	else
		send(msix, vector);
}

bool msix_message(const struct msix *msix, unsigned int vector, struct message *message)
{
	if (vector >= msix->n || !msix_is_enabled(msix) || is_masked(msix, vector))
		return false;
	*message = (struct message){ msix->entry[vector].address, msix->entry[vector].data };
	return true;
}

static void send_pending(struct msix *msix)
{
	for (unsigned int i = 0; i < msix->n && msix->pending; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (!(msix->pending & bit) || is_masked(msix, i))
			continue;
		msix->pending &= ~bit;
		send(msix, i);
	}
}

void msix_config_written(struct msix *msix)
{
	if (msix_is_enabled(msix))
		send_pending(msix);
}

/* ---- the table ---- */

uint64_t msix_read_table(const struct msix *msix, uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	if (range_within(offset, size, 0, msix->n * MSIX_ENTRY_SIZE))
		memcpy(&value, (const char *)msix->entry + offset, size);
	return value;
}

static void write_word(struct msix *msix, uint64_t offset, uint32_t value)
{
	uint32_t *word = (uint32_t *)((char *)msix->entry + offset);

	switch (offset % MSIX_ENTRY_SIZE) {
	case PCI_MSIX_ENTRY_LOWER_ADDR: *word = value & ~3u; break;
	case PCI_MSIX_ENTRY_VECTOR_CTRL: *word = value & PCI_MSIX_ENTRY_CTRL_MASKBIT; break;
	default: *word = value; break;
	}
}

/* 6.8.2: by 4 or 8 bytes, aligned; others are undefined. */
void msix_write_table(struct msix *msix, uint64_t offset, unsigned int size, uint64_t value)
{
	if (size < 4 || offset % size || !range_within(offset, size, 0, msix->n * MSIX_ENTRY_SIZE))
		return;
	write_word(msix, offset, (uint32_t)value);
	if (size == 8)
		write_word(msix, offset + 4, (uint32_t)(value >> 32));
	msix_config_written(msix);
}

uint64_t msix_read_pending(const struct msix *msix, uint64_t offset, unsigned int size)
{
	return range_within(offset, size, 0, sizeof(msix->pending)) ? msix->pending >> 8 * offset
	                                                            : 0;
}

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_LIST(struct msix, entry, n, 1),
	STATE_FIELD(struct msix, pending, 1),
	STATE_END,
};

const struct state_table msix_state = { "msix", 1, fields };

int msix_load(struct msix *msix, struct state_reader *reader, uint32_t instance, struct diag *diag)
{
	struct msix saved = { 0 };
	int ret = state_load(reader, &msix_state, instance, &saved, diag);

	if (ret)
		return ret;
	if (saved.n != msix->n)
		return diag_fail(diag, EBADMSG, "it has %u vectors, and had %u", msix->n, saved.n);
	for (unsigned int i = 0; i < msix->n; i++)
		msix->entry[i] = (struct msix_entry){
			.address = saved.entry[i].address & ~UINT64_C(3),
			.data = saved.entry[i].data,
			.control = saved.entry[i].control & PCI_MSIX_ENTRY_CTRL_MASKBIT,
		};
	msix->pending = saved.pending;
	return 0;
}
