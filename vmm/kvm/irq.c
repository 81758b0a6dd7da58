// SPDX-License-Identifier: MIT
/* irq.c - interrupts that KVM sends by itself */

#include "kvm/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int kvm_routes_init(
	struct kvm_routes *routes, const struct kvm_vm *vm, unsigned int first_gsi, unsigned int n)
{
	*routes = (struct kvm_routes){ .vm = vm, .first_gsi = first_gsi };
	pthread_mutex_init(&routes->lock, NULL);
	if (!n)
		return 0;
	routes->table = calloc(1, sizeof(*routes->table) + n * sizeof(routes->table->entries[0]));
	if (!routes->table)
		return -ENOMEM;
	routes->table->nr = n;
	for (unsigned int i = 0; i < n; i++) {
		routes->table->entries[i].gsi = first_gsi + i;
		routes->table->entries[i].type = KVM_IRQ_ROUTING_MSI;
	}
	return 0;
}

void kvm_routes_fini(struct kvm_routes *routes)
{
	free(routes->table);
	pthread_mutex_destroy(&routes->lock);
}

static void set_message(
	const struct kvm_routes *routes, unsigned int number, const struct message *message)
{
	struct kvm_irq_routing_entry *entry = &routes->table->entries[number];

	entry->u.msi.address_lo = (uint32_t)message->address;
	entry->u.msi.address_hi = (uint32_t)(message->address >> 32);
	entry->u.msi.data = message->data;
}

/* One that the kernel refuses must not stay, or it would refuse what others change. */
int kvm_routes_set(struct kvm_routes *routes, const struct message_route *route, unsigned int n)
{
	static const struct message none;
	int ret;

	pthread_mutex_lock(&routes->lock);
	for (unsigned int i = 0; i < n; i++)
		set_message(routes, route[i].number, &route[i].message);
	ret = ioctl(routes->vm->fd, KVM_SET_GSI_ROUTING, routes->table) ? -errno : 0;
	for (unsigned int i = 0; i < n && ret; i++)
		set_message(routes, route[i].number, &none);
	pthread_mutex_unlock(&routes->lock);
	return ret;
}

int kvm_routes_bind(const struct kvm_routes *routes, unsigned int number, int fd, bool on)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)fd,
		.gsi = routes->first_gsi + number,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(routes->vm->fd, KVM_IRQFD, &irqfd) ? -errno : 0;
}
