// SPDX-License-Identifier: MIT
/* control.c - how the operator ends a VM: signals, the power button, the grace period */

#include "vm/control.h"

#include "exit_codes.h"
#include "host/terminal.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "util/timeline.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_MS 1000
#define MS      1000000u /* ns */

static const int ends[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0 };
static const int jobs[] = { SIGTSTP, SIGCONT, SIGWINCH, 0 };

/* A signal that our parent had us ignore (nohup, a shell's background job) stays ignored. */
static void add_signals(sigset_t *set, const int *signals)
{
	struct sigaction action;

	for (; *signals; signals++)
		if (!sigaction(*signals, NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(set, *signals);
}

/* What the process holds, the kernel takes back. */
static void end_at_once(int)
{
	terminal_restore();
	_exit(EXIT_KILLED);
}

void control_catch_signals(void)
{
	struct sigaction action = { .sa_handler = end_at_once };

	sigemptyset(&action.sa_mask);
	add_signals(&action.sa_mask, ends);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(&action.sa_mask, sig) > 0)
			BUG_ON(sigaction(sig, &action, NULL));
}

void control_demand_end(struct control *control)
{
	control->deadline_ns = timeline_now();
	loop_timer_set(control->grace.fd, 0, 0);
	control->ops->end(control->ctx);
}

static void set_tick(struct control *control, uint64_t left_ns)
{
	uint64_t left_ms = (left_ns + MS - 1) / MS;

	loop_timer_set(
		control->grace.fd, left_ms < control->tick_ms ? left_ms : control->tick_ms, 0);
}

/* By the clock and not by the number of wake-ups, as we may be stopped, or late.  CLOCK_MONOTONIC
 * stands still while the host is suspended, as the guest does.
 */
static void grace_tick(void *ctx, uint32_t)
{
	struct control *control = ctx;
	uint64_t now = timeline_now();

	loop_counter_read(control->grace.fd);
	if (now >= control->deadline_ns) {
		log_warn("the guest did not power off within %llu s; ended",
			(unsigned long long)control->grace_ms / 1000);
		control_demand_end(control);
		return;
	}
	/* The guest's driver may not have been there for the last press. */
	control->ops->press_button(control->ctx);
	set_tick(control, control->deadline_ns - now);
}

void control_power_off(struct control *control)
{
	if (control_wants_end(control) || !control->grace_ms ||
		!control->ops->press_button(control->ctx)) {
		log_info("ended at once");
		control_demand_end(control);
		return;
	}
	log_info("power button pressed; the guest has %llu s",
		(unsigned long long)control->grace_ms / 1000);
	control->deadline_ns = timeline_now() + control->grace_ms * MS;
	set_tick(control, control->grace_ms * MS);
}

static void signal_ready(void *ctx, uint32_t)
{
	struct control *control = ctx;
	struct signalfd_siginfo info;

	if (read(control->signals.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTSTP: control->ops->stop(control->ctx); break;
	case SIGCONT: control->ops->go_on(control->ctx); break;
	case SIGWINCH: control->ops->resize(control->ctx); break;
	case SIGINT:
		if (!control->ops->type_interrupt(control->ctx))
			control_power_off(control);
		break;
	default: control_power_off(control); break;
	}
}

int control_init(struct control *control, struct loop *loop, uint64_t grace_ms,
	const struct control_ops *ops, void *ctx, struct diag *diag)
{
	int ret;

	*control = (struct control){
		.ops = ops,
		.ctx = ctx,
		.loop = loop,
		.signals = { -1, signal_ready, control, NULL },
		.grace = { loop_timer_create(0, 0), grace_tick, control, NULL },
		.grace_ms = grace_ms,
		.tick_ms = TICK_MS,
	};
	add_signals(&control->ending, ends);
	control->all = control->ending;
	add_signals(&control->all, jobs);
	control->signals.fd = signalfd(-1, &control->all, SFD_CLOEXEC | SFD_NONBLOCK);
	ret = control->signals.fd < 0 ? -errno : loop_add(loop, &control->signals, EPOLLIN);
	if (!ret)
		ret = control->grace.fd < 0 ? control->grace.fd
		                            : loop_add(loop, &control->grace, EPOLLIN);
	if (!ret)
		return 0;
	control_fini(control);
	return diag_fail(diag, -ret, "signalfd, timerfd: %s", error_text(-ret));
}

void control_fini(struct control *control)
{
	if (control->grace.fd >= 0)
		close(control->grace.fd);
	if (control->signals.fd >= 0)
		close(control->signals.fd);
}

void control_take_signals(const struct control *control)
{
	sigprocmask(SIG_BLOCK, &control->all, NULL);
}

void control_leave_signals(const struct control *control)
{
	sigprocmask(SIG_UNBLOCK, &control->ending, NULL);
}

void control_drop_signals(const struct control *control)
{
	struct signalfd_siginfo info;

	while (read(control->signals.fd, &info, sizeof(info)) > 0)
		continue;
	control_leave_signals(control);
}
