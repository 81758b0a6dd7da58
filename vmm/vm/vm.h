/* SPDX-License-Identifier: MIT */
/* vm.h - one virtual machine: everything of it is reachable from struct vm
 *
 * life.h says when something happens to it, start.h how it comes to be, wire.h what its parts ask
 * of each other, control.h what the operator asks of it.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "boot/boot.h"
#include "bus/bus.h"
#include "config/config.h"
#include "dev/debug_console.h"
#include "dev/debug_exit.h"
#include "dev/ioapic.h"
#include "dev/pc_reset.h"
#include "dev/power.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "exit_codes.h"
#include "host/console.h"
#include "host/output.h"
#include "kvm/kvm.h"
#include "kvm/state.h"
#include "kvm/tsc.h"
#include "kvm/vcpu.h"
#include "loop/loop.h"
#include "mem/guest_mem.h"
#include "util/crew.h"
#include "util/timeline.h"
#include "vm/control.h"
#include "vm/life.h"

struct vm {
	/* Not owned, and constant. */
	const struct config *config;
	const struct boot_spec *spec;
	struct timeline *timeline; /* NULL if none is wanted */

	struct loop loop;
	struct life life;
	struct control control;

	struct guest_mem mem;
	struct handover handover;

	struct kvm kvm;
	struct kvm_vm kvm_vm;
	struct crew crew; /* the vCPUs' threads */
	struct vcpu vcpu[CONFIG_MAX_CPUS];
	struct vcpu_state *fresh[CONFIG_MAX_CPUS]; /* of each at entry, if it may come back there */
	int tsc_khz;                               /* of the boot CPU, as KVM has it */
	struct tsc_sample tsc_first;

	struct bus pio, mmio;
	struct ioapic ioapic;
	struct serial serial;
	struct power power;
	struct pc_reset pc_reset;
	struct rtc rtc;
	struct debug_console debug_console;
	struct debug_exit debug_exit;
	struct console *console;     /* NULL: not open yet */
	struct output *debug_output; /* the debug console's; NULL: none */
	bool debug_hinted;

	enum exit_code blame; /* what a failure to start comes to */
};

/* A machine that is configured and nothing else; the three outlive it. */
void vm_init(struct vm *vm, const struct config *config, const struct boot_spec *spec,
	struct timeline *timeline);

/* What its life takes: the loop, and what it listens to.  The main thread.  -errno and diag. */
int vm_open(struct vm *vm, struct diag *diag);
void vm_close(struct vm *vm);

/* Create it, run it to its end, and give back all that it took.  What went wrong is in the log. The
 * main thread, after vm_open() and control_catch_signals().
 */
enum exit_code vm_live(struct vm *vm);

#endif
