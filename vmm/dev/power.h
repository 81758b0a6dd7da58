/* SPDX-License-Identifier: MIT */
/* power.h - sleep, reset, the power button and other events, the timer, and the guest's marks on
 * the timeline
 *
 * The register block at PLATFORM_PM_PORT.  Source: ACPI 6.4, 4.8.3.3 (timer), 4.8.3.6 (reset),
 * 4.8.3.7 (sleep control and status), 5.6.9 (generic event device).  ACPI tells of no timer: it is
 * for firmware, which knows it by its place.
 */
#ifndef DEV_POWER_H
#define DEV_POWER_H

#include "bus/irq.h"
#include "state/state.h"

/* What the guest asks for; called on its vCPU's thread with the device's lock held. */
struct power_ops {
	void (*poweroff)(void *ctx);
	void (*reset)(void *ctx);
	void (*mark)(void *ctx, uint8_t mark);
	uint64_t (*now)(void *ctx); /* nanoseconds of a clock that never goes back */
	void (*save)(void *ctx);    /* it is to be kept as it is now, if anybody wants to */
};

struct power {
	struct device dev;
	const struct power_ops *ops;
	void *ctx;
	struct irq_line line;
	uint8_t events; /* pending: PLATFORM_PM_EVENT_* */
	uint8_t sleep_status;
	int random_fd;     /* -1: random bytes are had by a call */
	uint64_t since_ns; /* of that clock, when the timer was at 0: it goes on in a copy */
	uint64_t timer_ns; /* where it was when the machine was saved */
};

void power_init(struct power *power, struct irq_line line, const struct power_ops *ops, void *ctx);
void power_fini(struct power *power);

/* Have random bytes from a file from now on: a vCPU that is confined has no call for them.  Before
 * vCPUs run.  -errno.
 */
int power_open_random(struct power *power);

/* Press the button.  A guest that has not yet taken a former press is interrupted again.  With the
 * device's lock held: the loop's side.
 */
void power_press_button(struct power *power);

/* Say that the machine's generation ID is another.  The same rules. */
void power_tell_vmgenid(struct power *power);

/* What a copy of the machine begins with: power_saving() before that is saved, and have one that
 * was just made be so.  -errno, diag.
 */
extern const struct state_table power_state;
void power_saving(struct power *power);
int power_load(struct power *power, struct state_reader *reader, struct diag *diag);

#endif
