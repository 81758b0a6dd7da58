/* SPDX-License-Identifier: MIT */
/* vm.h - one virtual machine: assembly and life cycle
 *
 * Everything of the machine is reachable from struct vm.  Created, run and destroyed by one thread,
 * the main one; vCPUs have threads of their own between vm_run()'s beginning and end.
 */
#ifndef VM_H
#define VM_H

#include "boot/boot.h"
#include "bus/bus.h"
#include "config.h"
#include "dev/console.h"
#include "dev/ioapic.h"
#include "dev/power.h"
#include "dev/serial.h"
#include "exit_codes.h"
#include "kvm/kvm.h"
#include "kvm/vcpu.h"
#include "loop/loop.h"
#include "mem/guest_mem.h"
#include "util/timeline.h"

#include <stdatomic.h>

/* What outlives a reboot of the guest. */
struct vm_host {
	const struct config *config;
	struct console *console; /* there before vm_run() */
	struct timeline *timeline; /* NULL if none is wanted */
};

struct vm {
	const struct vm_host *host; /* not owned */
	struct loop loop;
	struct guest_mem mem;
	struct handover handover;
	struct kvm kvm;
	struct kvm_vm kvm_vm;
	struct bus pio, mmio;
	struct ioapic ioapic;
	struct serial serial;
	struct power power;
	struct vcpu vcpu[CONFIG_MAX_CPUS];
	unsigned int n_vcpus;

	/* The end: the first reason counts.  -1 while running. */
	atomic_int outcome;
	struct loop_source end; /* eventfd */

	/* The operator's wish to end: signals, and the grace period that follows. */
	struct loop_source signals; /* signalfd */
	struct loop_source grace;   /* timerfd, -1 until the power button was pressed */
	uint32_t grace_ticks;
};

/* Build guest RAM with all that is handed over.  0 or -errno and diag; also for --dry-run. */
int vm_load(struct vm *vm, const struct vm_host *host, const struct boot_params *params,
	struct diag *diag);
void vm_unload(struct vm *vm);

/* Make the machine around a loaded `vm`.  0 or -errno and diag; -E2BIG: a setting asks for more
 * than this host has.
 */
int vm_init(struct vm *vm, struct diag *diag);
void vm_fini(struct vm *vm);

/* Run to the end.  The signals of vm_block_signals() must be blocked.  -errno and diag if it could
 * not be started.
 */
int vm_run(struct vm *vm, enum exit_code *outcome, struct diag *diag);

/* Block, before any thread starts, the signals that vm_run() takes. */
void vm_block_signals(void);

#endif
