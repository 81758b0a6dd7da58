/* SPDX-License-Identifier: MIT */
/* probe.h - how this host's KVM runs a guest */
#ifndef KVM_PROBE_H
#define KVM_PROBE_H

#include "kvm/kvm.h"
#include "kvm/tsc.h"

struct kvm_probe {
	/* Guest instructions per second.  Hardware gives a billion or more; a KVM that interprets
	 * the guest's kernel mode, a few million.
	 */
	int64_t speed;
	/* Whether KVM has the TSC's rate right, and a sentence about it. */
	enum tsc_verdict tsc;
	struct diag tsc_finding;
};

/* Run a loop of two instructions in 32-bit protected mode for a few milliseconds, 100 at most, and
 * watch the TSC for 100 more.  0, or -errno and diag.
 */
int kvm_probe(struct kvm_probe *probe, struct diag *diag);

#endif
