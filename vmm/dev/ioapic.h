/* SPDX-License-Identifier: MIT */
/* ioapic.h - the I/O APIC: interrupt lines in, messages to the local APICs out
 *
 * Source: Intel 82093AA data sheet.  The local APICs live in the kernel; this half is ours because
 * a VM without the kernel's starts and above all ends faster.  Pins are edge-triggered: a pin that
 * the guest programs as level-triggered delivers each raise once, like an edge.
 */
#ifndef DEV_IOAPIC_H
#define DEV_IOAPIC_H

#include "bus/irq.h"
#include "bus/platform.h"
#include "util/log.h"

#include <stdbool.h>

/* As many writes can have been kept back at a time: more than a page of KVM's holds. */
#define IOAPIC_MAX_LATE 256

/* Called with the device's lock held. */
struct ioapic_ops {
	/* Deliver one message; 0 or -errno. */
	int (*send_msi)(void *ctx, uint64_t address, uint32_t data);
	/* The next of the writes that have been kept back, the oldest first; false: there is none.
	 * NULL: none are ever.
	 */
	bool (*next_write)(void *ctx, uint64_t *offset, uint64_t *value);
};

struct ioapic {
	struct irq_chip chip;
	const struct ioapic_ops *ops;
	void *ctx;
	uint32_t select;
	uint32_t id;
	uint64_t redirection[PLATFORM_N_GSIS];
	struct log_limit limit;
};

void ioapic_init(struct ioapic *ioapic, const struct ioapic_ops *ops, void *ctx);
void ioapic_fini(struct ioapic *ioapic);

#endif
