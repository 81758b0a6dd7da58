/* SPDX-License-Identifier: MIT */
/* irqfd.h - interrupts that the host's kernel sends by itself, for who writes to an eventfd
 *
 * Another process or a part of the kernel that serves a device interrupts the guest so with nobody
 * of ours in between.  What an interrupt is then is a message that the guest has programmed, in its
 * I/O APIC or in a function's table, and may change or mask at any time: so who knows of it has the
 * kernel send it (on), and not while it is masked (off).  While it is off, or where the kernel
 * refuses, whoever watches the eventfd hears of it.
 */
#ifndef BUS_IRQFD_H
#define BUS_IRQFD_H

#include "util/message.h"

#include <stdbool.h>

struct irqfd {
	int fd;                 /* eventfd, not owned; -1: none, and never to be on */
	unsigned int route;     /* its number with the machine */
	struct message message; /* that the route has */
	bool is_on;

	/* For a chip whose pin several have, with its lock held. */
	bool is_wanted; /* unless it is masked */
	struct irqfd *next;
};

/* What a machine gives for it. */
struct irqfd_ops {
	/* Give n routes new messages.  -errno: then they have none. */
	int (*set_routes)(void *ctx, const struct message_route *route, unsigned int n);
	/* Have writes to the eventfd go the way of a route, or no more.  -errno. */
	int (*bind)(void *ctx, unsigned int number, int fd, bool on);
};

#define IRQFD_MAX 32 /* that are changed together */

/* One of them is to be on, with this message, or off. */
struct irqfd_change {
	struct irqfd *irqfd;
	bool on;
	struct message message;
};

/* Make n changes, IRQFD_MAX at most: to change what messages are costs the kernel's all at once
 * what one does.  Who calls excludes others.  Any thread.
 */
void irqfd_change(
	const struct irqfd_ops *ops, void *ctx, const struct irqfd_change *change, unsigned int n);

#endif
