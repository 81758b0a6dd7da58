/* SPDX-License-Identifier: MIT */
/* tsc.h - whether KVM knows how fast the host's TSC is
 *
 * Linux takes the TSC's rate from a short measurement, and corrects it a second later.  KVM can
 * have remembered the first: before Linux 5.18 always, later on hosts whose TSC is not called
 * constant. A vCPU whose rate is more than 250 ppm from the host's (kvm.tsc_tolerance_ppm) needs a
 * processor that scales its TSC.  On another, KVM reckons the guest's timers by a TSC that stands
 * at 0: a halted guest is woken after as long a time as the host has been up.
 */
#ifndef KVM_TSC_H
#define KVM_TSC_H

#include "kvm/kvm.h"

#include <stdint.h>

struct vcpu;

#define TSC_TOLERANCE_PPM 250
#define TSC_WATCH_MS      100 /* in which a clock that takes 2 us to read errs by 40 ppm */

/* The TSC beside CLOCK_MONOTONIC_RAW, which the kernel derives from it by its own rate wherever it
 * can.  ns was read somewhere in [ticks, ticks + width].
 */
struct tsc_sample {
	uint64_t ticks, width;
	uint64_t ns;
};

/* The best of a few readings: a microsecond where the clock is read without the kernel.  Any
 * thread.
 */
void tsc_sample(struct tsc_sample *sample);

/* How fast the host's TSC is, between two samples. */
struct tsc_rate {
	double khz;
	double error_ppm; /* at most; infinite if no time has passed */
};
struct tsc_rate tsc_rate_between(const struct tsc_sample *first, const struct tsc_sample *second);

enum tsc_verdict { TSC_UNKNOWN, TSC_RIGHT, TSC_WRONG };

/* Whether KVM's rate for a vCPU (-errno: not told) is the host's.  TSC_UNKNOWN: the host's is not
 * known well enough to tell.
 */
enum tsc_verdict tsc_judge(int vcpu_khz, const struct tsc_rate *host);

/* What KVM takes for the TSC's rate of the VM's vCPUs, in kHz, or -errno.  While the vCPU does not
 * run. */
int tsc_khz_of_vcpu(const struct kvm_vm *vm, const struct vcpu *vcpu);

/* Judge that by the host's TSC as it has been since `first`; `finding` is the verdict as a
 * sentence. Any thread.
 */
enum tsc_verdict tsc_check(int vcpu_khz, const struct tsc_sample *first, struct diag *finding);

#endif
