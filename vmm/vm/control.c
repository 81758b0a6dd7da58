// SPDX-License-Identifier: MIT
/* control.c - how the operator ends a VM */

#include "vm/control.h"

#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define GRACE_TICK_MS 1000
#define CTRL_C        0x03

/* A signal that our parent had us ignore (nohup, a shell's background job) stays ignored. */
static void control_signals(sigset_t *set)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	struct sigaction action;

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (!sigaction(signals[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(set, signals[i]);
}

void vm_block_signals(void)
{
	sigset_t set;

	control_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* With the power device's lock held. */
static void grace_tick(void *ctx, uint32_t)
{
	struct vm *vm = ctx;

	loop_counter_read(vm->grace.fd);
	if (++vm->grace_ticks * (GRACE_TICK_MS / 1000) >= vm->host->config->grace_s) {
		log_warn("the guest did not power off within %u s; ended",
			vm->host->config->grace_s);
		vm_end(vm, EXIT_KILLED);
		return;
	}
	/* The guest's driver may not have been there for the last press. */
	if (vm->power.events)
		power_press_button(&vm->power);
}

static void request_poweroff(struct vm *vm)
{
	int fd;

	if (vm->grace.fd >= 0 || !vm->host->config->grace_s) {
		log_info("ended by a signal");
		vm_end(vm, EXIT_KILLED);
		return;
	}
	log_info("power button pressed; the guest has %u s", vm->host->config->grace_s);
	pthread_mutex_lock(&vm->power.dev.lock);
	power_press_button(&vm->power);
	pthread_mutex_unlock(&vm->power.dev.lock);
	fd = loop_timer_create(GRACE_TICK_MS, GRACE_TICK_MS);
	vm->grace.fd = fd;
	if (fd < 0 || loop_add(&vm->loop, &vm->grace, EPOLLIN)) {
		log_error("no timer for the grace period: %s", strerror(errno));
		vm_end(vm, EXIT_KILLED);
	}
}

static void type_interrupt(struct vm *vm)
{
	pthread_mutex_lock(&vm->serial.dev.lock);
	console_type(vm->host->console, CTRL_C);
	pthread_mutex_unlock(&vm->serial.dev.lock);
}

static void signal_ready(void *ctx, uint32_t)
{
	struct vm *vm = ctx;
	struct signalfd_siginfo info;

	if (read(vm->signals.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGINT && vm->host->console->is_terminal)
		type_interrupt(vm);
	else
		request_poweroff(vm);
}

int vm_control_init(struct vm *vm, struct diag *diag)
{
	sigset_t set;
	int ret;

	control_signals(&set);
	vm->grace = (struct loop_source){ -1, grace_tick, vm, &vm->power.dev.lock };
	vm->grace_ticks = 0;
	vm->signals = (struct loop_source){ signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		signal_ready, vm, NULL };
	ret = vm->signals.fd < 0 ? -errno : loop_add(&vm->loop, &vm->signals, EPOLLIN);
	if (!ret)
		return 0;
	if (vm->signals.fd >= 0)
		close(vm->signals.fd);
	return diag_fail(diag, -ret, "signalfd: %s", strerror(-ret));
}

void vm_control_fini(struct vm *vm)
{
	if (vm->grace.fd >= 0)
		close(vm->grace.fd);
	close(vm->signals.fd);
}
