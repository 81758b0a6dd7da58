// SPDX-License-Identifier: MIT
/* tsc.c - whether KVM knows how fast the host's TSC is */

#include "kvm/tsc.h"

#include "kvm/vcpu.h"
#include "util/error.h"

#include <errno.h>
#include <linux/kvm.h>
#include <math.h>
#include <sys/ioctl.h>
#include <time.h>
#include <x86intrin.h>

#define SAMPLE_TRIES 4

void tsc_sample(struct tsc_sample *sample)
{
	sample->width = UINT64_MAX;
	for (int i = 0; i < SAMPLE_TRIES; i++) {
		uint64_t before = __rdtsc(), width;
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		_mm_lfence(); /* or the processor reads the TSC ahead of the clock */
		width = __rdtsc() - before;
		if (width >= sample->width)
			continue;
		*sample = (struct tsc_sample){
			.ticks = before,
			.width = width,
			.ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
		};
	}
}

struct tsc_rate tsc_rate_between(const struct tsc_sample *first, const struct tsc_sample *second)
{
	double ticks = (double)(second->ticks - first->ticks);
	double ns = (double)(second->ns - first->ns);
	/* The clock ticks in whole nanoseconds. */
	double ns_error = 1 / ns, ticks_error = (double)(first->width + second->width) / ticks;

	if (second->ns <= first->ns || second->ticks <= first->ticks)
		return (struct tsc_rate){ 0, INFINITY };
	return (struct tsc_rate){ ticks * 1e6 / ns, (ticks_error + ns_error) * 1e6 };
}

enum tsc_verdict tsc_judge(int vcpu_khz, const struct tsc_rate *host)
{
	double off;

	if (vcpu_khz < 0)
		return TSC_UNKNOWN;
	if (vcpu_khz == 0)
		return TSC_WRONG;
	if (isinf(host->error_ppm))
		return TSC_UNKNOWN;
	off = fabs(vcpu_khz - host->khz) / host->khz * 1e6;
	if (off - host->error_ppm > TSC_TOLERANCE_PPM)
		return TSC_WRONG;
	return off + host->error_ppm <= TSC_TOLERANCE_PPM ? TSC_RIGHT : TSC_UNKNOWN;
}

/* Of a VM it is asked without loading the vCPU onto the processor, which some KVMs take long for;
 * before Linux 5.18 only of a vCPU.
 */
int tsc_khz_of_vcpu(const struct kvm_vm *vm, const struct vcpu *vcpu)
{
	int khz = ioctl(vm->fd, KVM_GET_TSC_KHZ);

	if (khz < 0)
		khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ);
	return khz < 0 ? -errno : khz;
}

enum tsc_verdict tsc_check(int vcpu_khz, const struct tsc_sample *first, struct diag *finding)
{
	enum tsc_verdict verdict;
	struct tsc_sample now;
	struct tsc_rate host;

	tsc_sample(&now);
	host = tsc_rate_between(first, &now);
	verdict = tsc_judge(vcpu_khz, &host);
	if (vcpu_khz < 0)
		diag_fail(finding, -vcpu_khz, "KVM does not tell what it takes it for: %s",
			error_text(-vcpu_khz));
	else if (verdict == TSC_UNKNOWN)
		diag_fail(finding, 0,
			"KVM takes it for %d kHz; this host's clock is too coarse to tell",
			vcpu_khz);
	else if (verdict == TSC_RIGHT)
		diag_fail(finding, 0, "%d kHz", vcpu_khz);
	else
		diag_fail(finding, 0,
			"KVM takes it for %d kHz, and it is %.0f: guests' timers may come late, "
			"by minutes; unload KVM's modules and load them again",
			vcpu_khz, host.khz);
	return verdict;
}
