/* SPDX-License-Identifier: MIT */
/* offer.h - what this host's KVM offers by CPUID, kept from one run to the next
 *
 * To ask KVM takes a quarter of a whole start, and the answer is the same as long as the host's
 * kernel and KVM's module are: what the user's cache directory has is the answer to this kernel's
 * boot, this registration of /dev/kvm and this processor, or it is not taken.  It is a convenience:
 * no failure here is one of the start.
 */
#ifndef KVM_OFFER_H
#define KVM_OFFER_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_cpuid2;

#define OFFER_FILE "cpuid" /* in the cache directory */

/* Whose answer it is. */
struct offer_host {
	char boot[40];          /* the kernel's boot_id, as it tells it */
	uint64_t device, inode; /* of /dev/kvm in sysfs: another each time when KVM is loaded */
	uint32_t cpuid[4]; /* EAX, 0, ECX, EDX of leaf 1: a host that is a VM itself may have been
	                      moved */
};

/* False: the host does not tell, and then nothing is kept. */
bool offer_host_find(struct offer_host *host);

/* The answer that was kept; `table` has room for KVM_CPUID_MAX_ENTRIES.  False: there is none for
 * this host, or it is not ours, or it is damaged.
 */
bool offer_find(const struct offer_host *host, struct kvm_cpuid2 *table);

/* Keep it, in the place of what was kept. */
void offer_keep(const struct offer_host *host, const struct kvm_cpuid2 *table);

#endif
