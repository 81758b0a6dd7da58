// SPDX-License-Identifier: MIT
/* irqfd.c - interrupts that the host's kernel sends by itself */

#include "bus/irqfd.h"

#include "util/bits.h"

static bool has_message(const struct irqfd *irqfd, const struct message *message)
{
	return irqfd->message.address == message->address && irqfd->message.data == message->data;
}

static void bind(const struct irqfd_ops *ops, void *ctx, struct irqfd *irqfd, bool on)
{
	if (irqfd->is_on != on)
		irqfd->is_on = !ops->bind(ctx, irqfd->route, irqfd->fd, on) && on;
}

/* What the kernel refuses it has no message for. */
static void set_routes(
	const struct irqfd_ops *ops, void *ctx, const struct irqfd_change *change, unsigned int n)
{
	struct message_route route[IRQFD_MAX];
	struct irqfd *irqfd[IRQFD_MAX];
	unsigned int n_routes = 0;
	bool is_set;

	for (unsigned int i = 0; i < n; i++) {
		if (!change[i].on || has_message(change[i].irqfd, &change[i].message))
			continue;
		irqfd[n_routes] = change[i].irqfd;
		route[n_routes++] =
			(struct message_route){ change[i].irqfd->route, change[i].message };
	}
	is_set = n_routes && !ops->set_routes(ctx, route, n_routes);
	for (unsigned int i = 0; i < n_routes; i++)
		irqfd[i]->message = is_set ? route[i].message : (struct message){ 0 };
}

/* Nothing goes where it is masked, and none goes a way that is another's already. */
void irqfd_change(
	const struct irqfd_ops *ops, void *ctx, const struct irqfd_change *change, unsigned int n)
{
	BUG_ON(n > IRQFD_MAX);
	for (unsigned int i = 0; i < n; i++)
		if (!change[i].on)
			bind(ops, ctx, change[i].irqfd, false);
	set_routes(ops, ctx, change, n);
	for (unsigned int i = 0; i < n; i++)
		if (change[i].on)
			bind(ops, ctx, change[i].irqfd,
				has_message(change[i].irqfd, &change[i].message));
}
