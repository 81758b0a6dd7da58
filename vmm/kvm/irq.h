/* SPDX-License-Identifier: MIT */
/* irq.h - interrupts that KVM sends by itself: routes, and the eventfds that lead there
 *
 * Source: api.rst, KVM_SET_GSI_ROUTING, KVM_IRQFD.  KVM has one table of all routes, and any change
 * is a new table, for which it waits until nobody reads the old one: milliseconds on some kernels.
 * A machine without such devices never has one.
 */
#ifndef KVM_IRQ_H
#define KVM_IRQ_H

#include "kvm/kvm.h"
#include "util/message.h"

#include <pthread.h>

struct kvm_irq_routing;

struct kvm_routes {
	const struct kvm_vm *vm;
	unsigned int first_gsi; /* of route 0 */
	pthread_mutex_t lock;   /* a leaf, of the table */
	struct kvm_irq_routing *table;
};

/* Room for n routes, whose GSIs are those from first_gsi on.  -ENOMEM. */
int kvm_routes_init(
	struct kvm_routes *routes, const struct kvm_vm *vm, unsigned int first_gsi, unsigned int n);
void kvm_routes_fini(struct kvm_routes *routes);

/* Give n of them new messages.  -errno: then they have none.  Any thread. */
int kvm_routes_set(struct kvm_routes *routes, const struct message_route *route, unsigned int n);

/* Have writes to the eventfd go the way of a route, or no more.  Any thread.  -errno. */
int kvm_routes_bind(const struct kvm_routes *routes, unsigned int number, int fd, bool on);

#endif
