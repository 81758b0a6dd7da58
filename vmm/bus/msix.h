/* SPDX-License-Identifier: MIT */
/* msix.h - a function's messages: MSI-X
 *
 * Source: PCI Local Bus 3.0, 6.8.2.  A function's own device sends its messages itself, by what the
 * machine gives it for that; no route of KVM's is needed.  Who has others send them (bus/irqfd.h)
 * asks what they are after each change.  All with the device's lock held.
 */
#ifndef BUS_MSIX_H
#define BUS_MSIX_H

#include "bus/pci.h"
#include "util/message.h"

#define MSIX_MAX        64 /* vectors: the bits of `pending` */
#define MSIX_ENTRY_SIZE 16

struct msix_entry {
	uint64_t address;
	uint32_t data, control; /* PCI_MSIX_ENTRY_CTRL_MASKBIT */
};

struct msix {
	struct pci_function *function;
	unsigned int capability; /* its offset in the configuration space */
	unsigned int n;
	struct msix_entry entry[MSIX_MAX];
	uint64_t pending; /* a bit for each vector that was signalled while it was masked */
	int (*send)(void *ctx, uint64_t address, uint32_t data); /* -errno: names no CPU */
	void *ctx;
};

/* Give the function n vectors, its table at `table` in its BAR, of MSIX_ENTRY_SIZE bytes each, and
 * the pending bits, 8 bytes, at `pending`.
 */
void msix_init(struct msix *msix, struct pci_function *function, unsigned int n, uint32_t table,
	uint32_t pending, int (*send)(void *ctx, uint64_t address, uint32_t data), void *ctx);

/* All vectors masked, nothing pending.  The capability is the function's to reset. */
void msix_reset(struct msix *msix);

/* The guest takes messages. */
bool msix_is_enabled(const struct msix *msix);

/* Signal a vector, which is enabled.  A masked one is sent once it is unmasked. */
void msix_signal(struct msix *msix, unsigned int vector);

/* What a vector's message is; false: none is to be sent now. */
bool msix_message(const struct msix *msix, unsigned int vector, struct message *message);

/* The guest has written to the configuration space: send what is no longer masked. */
void msix_config_written(struct msix *msix);

/* The guest's access to the table or to the pending bits. */
uint64_t msix_read_table(const struct msix *msix, uint64_t offset, unsigned int size);
void msix_write_table(struct msix *msix, uint64_t offset, unsigned int size, uint64_t value);
uint64_t msix_read_pending(const struct msix *msix, uint64_t offset, unsigned int size);

/* What a copy of the machine begins with, after its function's state.  -errno, diag. */
extern const struct state_table msix_state;
int msix_load(struct msix *msix, struct state_reader *reader, uint32_t instance, struct diag *diag);

#endif
