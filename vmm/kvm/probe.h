/* SPDX-License-Identifier: MIT */
/* probe.h - how fast a guest's kernel mode really is on this host */
#ifndef KVM_PROBE_H
#define KVM_PROBE_H

#include "kvm/kvm.h"

/* Run a loop of two instructions in 32-bit protected mode for a few milliseconds, 100 at most, and
 * return guest instructions per second, or -errno and diag.  Hardware gives a billion or more; a
 * KVM that interprets the guest's kernel mode, a few million.
 */
int64_t kvm_probe_speed(struct diag *diag);

#endif
