/* SPDX-License-Identifier: MIT */
/* irq.h - interrupt lines, from a device to whatever chip they end in
 *
 * Lines are edge-triggered: a device raises, the chip turns that into one message.  Lock order: a
 * device's lock, then the chip's.
 */
#ifndef BUS_IRQ_H
#define BUS_IRQ_H

#include "bus/bus.h"
#include "bus/irqfd.h"

struct irq_chip {
	struct device dev;
	/* Called with dev.lock held, both. */
	void (*raise)(struct irq_chip *chip, unsigned int gsi);
	/* The kernel is to raise it for those of the list that are wanted, as `ops` have it; they
	 * stay the chip's, which follows what the guest says of the pin.  NULL: it cannot.
	 */
	void (*connect)(struct irq_chip *chip, unsigned int gsi, struct irqfd *list,
		const struct irqfd_ops *ops, void *ctx);
};

struct irq_line {
	struct irq_chip *chip;
	unsigned int gsi;
};

/* Any thread; not from code that holds the chip's lock. */
static inline void irq_raise(const struct irq_line *line)
{
	pthread_mutex_lock(&line->chip->dev.lock);
	line->chip->raise(line->chip, line->gsi);
	pthread_mutex_unlock(&line->chip->dev.lock);
}

#endif
