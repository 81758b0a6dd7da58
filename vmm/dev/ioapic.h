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
#include "state/state.h"
#include "util/log.h"

struct ioapic {
	struct irq_chip chip;
	unsigned int n_inputs; /* that the version register counts */
	/* Deliver one message; 0 or -errno.  Called with the device's lock held. */
	int (*send_msi)(void *ctx, uint64_t address, uint32_t data);
	void *ctx;
	uint32_t select;
	uint32_t id;
	uint64_t redirection[PLATFORM_MAX_GSIS];
	uint32_t missed;                        /* pins that were raised while they were masked */
	struct irqfd *irqfd[PLATFORM_MAX_GSIS]; /* of a pin that the kernel may raise; a list */
	const struct irqfd_ops *irqfd_ops;
	void *irqfd_ctx;
	struct log_limit limit;
};

/* n_inputs: PLATFORM_N_GSIS to PLATFORM_MAX_GSIS. */
void ioapic_init(struct ioapic *ioapic, unsigned int n_inputs,
	int (*send_msi)(void *ctx, uint64_t address, uint32_t data), void *ctx);
void ioapic_fini(struct ioapic *ioapic);

/* What a copy of the machine begins with; and have one that was just made, and has no pin connected
 * yet, be so.  -errno, diag.
 */
extern const struct state_table ioapic_state;
int ioapic_load(struct ioapic *ioapic, struct state_reader *reader, struct diag *diag);

#endif
