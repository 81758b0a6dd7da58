/* SPDX-License-Identifier: MIT */
/* control.h - how the operator ends a VM: signals, the power button, the grace period
 *
 * SIGTERM, SIGINT, SIGHUP and SIGQUIT, as far as our parent did not have us ignore them.  While the
 * loop is served it takes them, for a guest; at any other time there is nobody to ask, and each
 * ends the process at once, whatever it is at.  SIGTSTP and SIGCONT are taken with them, as the
 * terminal changes hands, and SIGWINCH, as its size changes.
 */
#ifndef VM_CONTROL_H
#define VM_CONTROL_H

#include "loop/loop.h"
#include "util/diag.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* What a signal comes to; on the loop's thread. */
struct control_ops {
	/* And again, while it has not been noticed.  False: no guest runs that could. */
	bool (*press_button)(void *ctx);
	bool (*type_interrupt)(void *ctx); /* Ctrl-C; false: there is no terminal for it */
	void (*stop)(void *ctx);           /* SIGTSTP: stop the process, until SIGCONT */
	void (*go_on)(void *ctx);          /* SIGCONT: it was stopped, however */
	void (*resize)(void *ctx);         /* SIGWINCH */
	void (*end)(void *ctx);            /* the guest has had its chance */
};

struct control {
	const struct control_ops *ops;
	void *ctx;
	struct loop *loop;
	sigset_t ending, all;       /* those that we take; the latter with the terminal's */
	struct loop_source signals; /* signalfd */
	struct loop_source grace;   /* timerfd */
	uint64_t grace_ms;          /* from the button to the end; 0: no button is pressed */
	uint64_t tick_ms;           /* between two presses of the button */
	uint64_t deadline_ns;       /* CLOCK_MONOTONIC; 0: nobody has asked for the end */
};

/* Once a process, on its main thread: from now on each of the signals ends it, with
 * EXIT_KILLED, the terminal as it was.
 */
void control_catch_signals(void);

/* The loop outlives it.  -errno and diag. */
int control_init(struct control *control, struct loop *loop, uint64_t grace_ms,
	const struct control_ops *ops, void *ctx, struct diag *diag);
void control_fini(struct control *control);

/* The main thread: a guest runs from now on, or does not for a while.  A signal that has come and
 * was not looked at yet ends the process then.
 */
void control_take_signals(const struct control *control);
void control_leave_signals(const struct control *control);

/* The main thread: no guest runs any more.  Signals that have come asked for the end that is here.
 */
void control_drop_signals(const struct control *control);

/* The loop's thread: press the power button, and end it when the guest has had its time; at once,
 * if that is none or this has been asked before.
 */
void control_power_off(struct control *control);

/* The loop's thread: the operator waits for no power-off. */
void control_demand_end(struct control *control);

/* The operator has asked for the end.  A guest that resets just now is not to return: it may have
 * asked for that before, and the first who asks how a life ends is heard.
 */
static inline bool control_wants_end(const struct control *control)
{
	return control->deadline_ns;
}

#endif
