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
#include "bus/pci.h"
#include "config/config.h"
#include "confine/outside.h"
#include "dev/debug_console.h"
#include "dev/debug_exit.h"
#include "dev/ioapic.h"
#include "dev/pc_reset.h"
#include "dev/power.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "exit_codes.h"
#include "host/consoles.h"
#include "host/output.h"
#include "kvm/irq.h"
#include "kvm/kvm.h"
#include "kvm/state.h"
#include "kvm/tsc.h"
#include "kvm/vcpu.h"
#include "loop/loop.h"
#include "mem/guest_mem.h"
#include "state/state.h"
#include "util/crew.h"
#include "util/rate.h"
#include "util/timeline.h"
#include "vm/control.h"
#include "vm/devices.h"
#include "vm/fork.h"
#include "vm/life.h"
#include "vm/vmgenid.h"
#include "vm/worker.h"

struct instant;
struct pager;
struct snapshot;
struct snapshot_writer;
struct warm;

/* Who hears of what happens to a machine; each may be NULL.  On the control thread, unless another
 * is named.
 */
struct vm_watch {
	void (*started)(void *ctx); /* for the first time: its vCPUs are let go */
	void (*reset)(void *ctx);   /* it has another life */
	void (*failed)(void *ctx, const char *why);
	void (*ending)(void *ctx); /* it runs no more, and is still all there */
	/* On a vCPU's thread. */
	void (*mark)(void *ctx, uint8_t mark);
	/* The host has no more of what a device needs, for good; `item` counts from 0 among its
	 * kind.  Any thread, with the device's lock held.
	 */
	void (*device_failed)(void *ctx, enum device_kind kind, unsigned int item, const char *why);
};

struct vm {
	/* Not owned, and constant. */
	const struct config *config;
	const struct boot_spec *spec;
	struct timeline *timeline;    /* NULL if none is wanted */
	const struct vm_watch *watch; /* NULL: nobody */
	void *watch_ctx;
	struct snapshot
		*snapshot;        /* that it begins with, not owned; NULL: it begins at its entry */
	const struct warm *warm;  /* and that has its parts ready; not owned; NULL: nobody */
	struct instant *template; /* that it becomes when it asks for that; not owned; NULL: none */
	bool is_template;         /* the snapshot is one; if it is refused, that is no end */
	bool is_refused;          /* and it is */
	bool begins_paused;       /* and stays so until it is resumed */
	bool clock_stands;        /* its clock goes on from where it was then, not from now */
	bool is_linux;

	struct loop loop;
	struct life life;
	struct control control;

	struct guest_mem mem;
	struct pager *pager; /* who brings its pages; NULL: nobody need */
	struct vmgenid vmgenid;

	struct kvm kvm;
	struct kvm_vm kvm_vm;
	struct kvm_routes routes;
	struct crew crew; /* the vCPUs' threads */
	int tsc_khz;      /* of the boot CPU, as KVM has it */
	struct tsc_sample tsc_first;

	struct bus pio, mmio;
	struct pci pci; /* if config_has_pci() */
	struct ioapic ioapic;
	struct serial serial;
	struct rate serial_rate; /* guarded by its lock */
	struct power power;
	struct pc_reset pc_reset;
	struct rtc rtc;
	struct debug_console debug_console;
	struct debug_exit debug_exit;
	struct devices devices;
	struct consoles consoles;
	struct console_line *serial_line;
	struct output *debug_output; /* the debug console's; NULL: none */
	bool debug_hinted;

	struct outside outside;
	struct worker worker; /* if it is confined and may be saved, from the start */

	struct snapshot_writer *snapshot_writer; /* while one is being made */
	struct fork_list forks;
	struct loop_source save;  /* eventfd, if there is a template */
	struct loop_source leash; /* the machine ends with its other end; fd -1: there is none */
	atomic_bool has_asked_to_be_saved;
	bool has_saved_id; /* what was written since the last snapshot is known, while RAM is
	                      watched */
	uint8_t saved_id[STATE_ID_SIZE]; /* that one's */

	bool has_filters;   /* its threads make the system calls of their roles alone */
	bool tells_refused; /* and tell of the one that ends them */

	enum exit_code blame; /* what a failure to start comes to */

	/* Large, and mostly not touched: behind what is. */
	struct handover handover;
	struct vcpu vcpu[CONFIG_MAX_CPUS];
	struct vcpu_state *fresh[CONFIG_MAX_CPUS]; /* of each at entry, if it may come back there */
	struct vcpu_state *saved[CONFIG_MAX_CPUS]; /* of each, by the snapshot that it began with */
};

/* A machine that is configured and nothing else: `vm` is zero, and most of its pages are not
 * touched before they are needed; the three outlive it.  One that is to begin with a snapshot is
 * told so afterwards.
 */
void vm_init(struct vm *vm, const struct config *config, const struct boot_spec *spec,
	struct timeline *timeline);

/* What its life takes: the loop, and what it listens to.  The main thread.  -errno and diag. */
int vm_open(struct vm *vm, struct diag *diag);
void vm_close(struct vm *vm);

/* Create it, run it to its end, and give back all that it took.  What went wrong is in the log. The
 * main thread, after vm_open() and control_catch_signals().
 */
enum exit_code vm_live(struct vm *vm);

/* The operator has it stand still: no vCPU runs, no device touches guest memory or interrupts the
 * guest, until it is resumed; it may end meanwhile.  False: there is no machine yet, or no more. As
 * long as it takes for what is in flight to be done.  The guest's clock goes on.
 *
 * The main thread, from within the loop.  Already so: nothing.
 */
bool vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);

static inline bool vm_is_paused(const struct vm *vm)
{
	return vm->life.is_held;
}

/* Press the power button, or so that the end follows if the guest takes longer than it is given.
 * False: the guest does not run.  The control thread.
 */
bool vm_press_button(struct vm *vm);
bool vm_power_off(struct vm *vm);
/* Have it begin anew, as if the guest had asked for it.  False: it does not run, or is to end when
 * it resets.
 */
bool vm_ask_reset(struct vm *vm);

/* Deliver a message-signalled interrupt.  `ctx` is the machine.  Any thread.  -errno. */
int vm_send_msi(void *ctx, uint64_t address, uint32_t data);

#endif
