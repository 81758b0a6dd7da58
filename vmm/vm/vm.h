/* SPDX-License-Identifier: MIT */
/* vm.h - one virtual machine: assembly and life cycle
 *
 * Everything of the machine is reachable from struct vm.  These functions are the main thread's, in
 * this order:
 *
 *	vm_reserve      guest RAM
 *	vm_init         KVM, devices; the vCPUs' threads begin to make KVM's part
 *	vm_load         kernel and hand-over into guest RAM, meanwhile
 *	vm_run          to the end
 *	vm_fini, vm_release
 *
 * To see what a guest would be handed, vm_reserve() and vm_load() are enough.
 */
#ifndef VM_H
#define VM_H

#include "boot/boot.h"
#include "bus/bus.h"
#include "config/config.h"
#include "dev/ioapic.h"
#include "dev/pc_reset.h"
#include "dev/power.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "exit_codes.h"
#include "host/console.h"
#include "kvm/kvm.h"
#include "kvm/tsc.h"
#include "kvm/vcpu.h"
#include "loop/loop.h"
#include "mem/guest_mem.h"
#include "mem/readers.h"
#include "util/timeline.h"
#include "vm/start.h"

#include <stdatomic.h>

/* What outlives a reboot of the guest. */
struct vm_host {
	const struct config *config;
	struct console *console;   /* there before vm_run() */
	struct timeline *timeline; /* NULL if none is wanted */
};

struct vm {
	const struct vm_host *host; /* not owned */
	struct loop loop;
	struct guest_mem mem;
	struct readers readers; /* main, and the vCPUs' threads before they run guest code */
	struct handover handover;
	struct kvm kvm;
	struct kvm_vm kvm_vm;
	atomic_int tsc_khz; /* KVM's answer to the boot CPU's thread */
	struct tsc_sample tsc_first;
	struct bus pio, mmio;
	struct ioapic ioapic;
	struct serial serial;
	struct power power;
	struct pc_reset pc_reset;
	struct rtc rtc;
	struct vm_start start;
	struct vcpu vcpu[CONFIG_MAX_CPUS];
	unsigned int n_vcpus; /* whose threads were started */

	/* The end: the first reason counts.  -1 while running. */
	atomic_int outcome;
	struct loop_source end; /* eventfd */

	/* The operator's wish to end: signals, and the grace period that follows. */
	struct loop_source signals; /* signalfd */
	struct loop_source grace;   /* timerfd, -1 until the power button was pressed */
	uint32_t grace_ticks;
};

/* All return 0, or -errno and diag. */

int vm_reserve(struct vm *vm, const struct vm_host *host, struct diag *diag);
void vm_release(struct vm *vm);

/* -E2BIG: a setting asks for more than this host has.  The signals of vm_block_signals() must be
 * blocked.
 */
int vm_init(struct vm *vm, struct diag *diag);
void vm_fini(struct vm *vm);

/* The diag names the kernel, or the option that is in the way. */
int vm_load(struct vm *vm, const struct boot_spec *spec, struct diag *diag);

/* The console must be there. */
int vm_run(struct vm *vm, enum exit_code *outcome, struct diag *diag);

/* Block, before any thread starts, the signals that vm_run() takes. */
void vm_block_signals(void);

#endif
