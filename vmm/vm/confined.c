// SPDX-License-Identifier: MIT
/* confined.c - when a machine's process gives up what */

#include "vm/confined.h"

#include "confine/confine.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>

static bool is_wanted(const struct vm *vm)
{
	enum confine how = vm->config->confine;

	return how != CONFINE_OFF && how != CONFINE_BASIC;
}

/* 0: it goes on without. */
static int lack(struct vm *vm, int ret, const struct diag *why, struct diag *diag)
{
	if (vm->config->confine != CONFINE_STRICT) {
		log_warn("--confine: %s; the guest runs without", why->text);
		return 0;
	}
	vm->blame = EXIT_OPERATOR;
	return diag_fail(diag, -ret, "--confine strict: %s", why->text);
}

int confined_prepare(struct vm *vm, struct diag *diag)
{
	struct diag why;

	if (!is_wanted(vm))
		return 0;
	vm->has_filters = confine_can_filter();
	vm->tells_refused = vm->config->confine == CONFINE_TELL;
	if (!vm->has_filters)
		return lack(vm,
			diag_fail(&why, ENOSYS,
				"this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)"),
			&why, diag);
	return outside_start(&vm->outside, vm->config, diag);
}

int confined_settle(struct vm *vm, struct diag *)
{
	if (vm->config->confine != CONFINE_OFF)
		confine_settle();
	return 0;
}

int confined_close_in(struct vm *vm, struct diag *diag)
{
	struct diag why;
	int ret;

	if (!is_wanted(vm))
		return 0;
	ret = outside_settle(&vm->outside, diag);
	if (ret)
		return ret;
	ret = vm->has_filters ? power_open_random(&vm->power) : 0;
	if (ret)
		return diag_fail(diag, -ret, "/dev/urandom: %s", strerror(-ret));
	log_prepare();
	if (vm->tells_refused)
		confine_tell();
	ret = confine_close_in(&why);
	return ret ? lack(vm, ret, &why, diag) : 0;
}

void confined_control(const struct vm *vm)
{
	bool again = vm->config->on_reboot == ON_REBOOT_RESTART;

	if (vm->has_filters)
		confine_thread(again ? CONFINE_CONTROL_AGAIN : CONFINE_CONTROL, vm->tells_refused);
}

void confined_end(struct vm *vm)
{
	outside_end(&vm->outside);
}

int confined_may_open(const struct vm *vm, struct diag *diag)
{
	if (!is_wanted(vm))
		return 0;
	return diag_fail(diag, EOPNOTSUPP,
		"a machine that runs with --confine on opens no files; have it run with --confine "
		"basic for this");
}
