/* SPDX-License-Identifier: MIT */
/* cpuid_cache.h - what KVM said of this host's CPUID, kept from one run to the next
 *
 * KVM_GET_SUPPORTED_CPUID executes CPUID a hundred times.  Where the host is itself a virtual
 * machine each of them is an exit, and all together a sixth of a start; on bare metal it is quicker
 * to ask.  The answer changes when the host boots, when KVM's module is loaded anew, with other
 * parameters perhaps, and when the host is moved to another processor: all these are in the name
 * under which it is kept.
 */
#ifndef KVM_CPUID_CACHE_H
#define KVM_CPUID_CACHE_H

#include "image/cache.h"

#include <stdbool.h>

struct kvm_cpuid2;

/* Where this host's answer is kept.  False: nowhere, as the host is no virtual machine, or cannot
 * be told from others.
 */
bool cpuid_cache_locate(struct cache *cache);

/* Read it into `cpuid`, which has room for cpuid->nent entries.  False: there is none. */
bool cpuid_cache_read(const struct cache *cache, struct kvm_cpuid2 *cpuid);

/* Keep it.  -errno and diag; the cache is then as it was. */
int cpuid_cache_write(struct cache *cache, const struct kvm_cpuid2 *cpuid, struct diag *diag);

#endif
