/* SPDX-License-Identifier: MIT */
/* clock.h - that KVM and the kernel agree how fast the processor's TSC is
 *
 * A kernel that boots takes the TSC's rate from a short measurement, and corrects it by a long one
 * a second later: by 0.1 % in an emulated machine whose host is busy.  KVM remembers the rate that
 * it finds when its module is loaded, and cannot give a vCPU one more than 250 ppm away from the
 * processor's.  With one from before the correction it reckons guests' timers wrongly, for good: a
 * halted guest is not woken in time.
 */
#ifndef CLOCK_H
#define CLOCK_H

struct clock {
	int kmsg; /* the kernel's log, read up to the correction */
	int khz;  /* the TSC's rate after it */
};

/* Whether the kernel's command line has a rate (tsc_early_khz=): by who wants a KVM with the fault.
 */
int clock_rate_is_given(void);

/* Wait until the kernel has corrected the rate.  Before KVM's modules are loaded.  0 or -errno. */
int clock_await(struct clock *clock);

/* After that, once, with KVM's modules: whether KVM gives a vCPU this rate, and does not complain.
 * 0 or -errno.
 */
int clock_check_kvm(struct clock *clock);

#endif
