/* SPDX-License-Identifier: MIT */
/* vcpu.h - one virtual CPU: its thread, its exits
 *
 * struct vcpu and its shared page belong to its thread while that works, and to the crew's owner
 * while it is parked.
 */
#ifndef KVM_VCPU_H
#define KVM_VCPU_H

#include "kvm/kvm.h"
#include "util/counter.h"
#include "util/crew.h"
#include "util/diag.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kvm_run;
struct vcpu;

enum vcpu_end {
	VCPU_END_TRIPLE_FAULT,
	VCPU_END_CRASH, /* an instruction KVM cannot go on from */
	VCPU_END_HOST,  /* KVM itself failed */
};

/* What a vCPU asks of the machine around it.  Called on the vCPU's thread. */
struct vcpu_ops {
	uint64_t (*pio_read)(void *ctx, uint16_t port, unsigned int size);
	void (*pio_write)(void *ctx, uint16_t port, unsigned int size, uint64_t value);
	uint64_t (*mmio_read)(void *ctx, uint64_t gpa, unsigned int size);
	void (*mmio_write)(void *ctx, uint64_t gpa, unsigned int size, uint64_t value);
	/* Its thread has begun, and has not been in the guest. */
	void (*begun)(void *ctx);
	/* It enters the guest, after each time it was parked. */
	void (*entering)(void *ctx, const struct vcpu *vcpu);
	/* This vCPU cannot go on, and calls the crew to park.  Why is in the log, but for a triple
	 * fault, which may be what is wanted; vcpu_log_registers() has the rest.
	 */
	void (*ended)(void *ctx, const struct vcpu *vcpu, enum vcpu_end end);
};

struct vcpu {
	unsigned int id; /* also its APIC id */
	int fd;          /* -1: there is no such vCPU in KVM */
	struct kvm_run *run;
	size_t run_size;
	const struct vcpu_ops *ops;
	void *ctx;
	struct crew *crew;
	pthread_t thread;
	bool started;
	atomic_bool working; /* worth a kick */
	uint64_t n_exits;    /* to user space; read while it is parked */
	uint64_t n_pio_reads, n_pio_writes, n_mmio_reads, n_mmio_writes; /* of these */
};

extern const struct counter vcpu_counters[];

/* No KVM, no thread yet. */
void vcpu_init(struct vcpu *vcpu, unsigned int id, const struct vcpu_ops *ops, void *ctx);

/* Create this vCPU.  -errno and diag.  vcpu_fini() may be called in any case. */
int vcpu_create(
	struct vcpu *vcpu, const struct kvm *kvm, const struct kvm_vm *vm, struct diag *diag);
/* Tell it what it is, one of n_vcpus: CPUID with the topology of one socket, MSRs as firmware
 * leaves them.  After kvm_query_cpuid().  -errno and diag.
 */
int vcpu_set_up(struct vcpu *vcpu, const struct kvm *kvm, unsigned int n_vcpus, struct diag *diag);
void vcpu_fini(struct vcpu *vcpu);

/* What the boot CPU starts with.  The segments are those of the GDT in guest memory, which the
 * guest may so load again: selectors 0x8 code, 0x10 data, 0x18 TSS.
 */
struct vcpu_entry {
	uint32_t eip, ebx, esp;
	const uint64_t *gdt; /* four descriptors, Intel SDM vol. 3, 3.4.5 */
	uint32_t gdt_gpa;    /* where the guest has them, and GDTR's limit */
	uint16_t gdt_limit;
};

/* Put the boot CPU at the PVH entry: 32-bit protected mode, paging off (Xen
 * docs/misc/pvh.pandoc).  The others stay as reset left them, waiting for INIT and SIPI.
 */
int vcpu_set_pvh_entry(struct vcpu *vcpu, const struct vcpu_entry *entry, struct diag *diag);

/* Start its thread, a member of `crew`: it parks, and runs the guest when it is ordered to.  -errno
 * and diag.
 */
int vcpu_start(struct vcpu *vcpu, struct crew *crew, struct diag *diag);

/* Have it look at the crew's order.  Any thread. */
void vcpu_kick(struct vcpu *vcpu);

/* Wait until it has left. */
void vcpu_join(struct vcpu *vcpu);

/* Once a process, before the first vcpu_start(): the handler of the signal that vcpu_kick() sends.
 */
void vcpu_install_kick_handler(void);

/* KVM has left the guest for what its shared page says.  False: the vCPU cannot go on, and `end`
 * says why.  Its thread's; here for its test.
 */
bool vcpu_handle_exit(struct vcpu *vcpu, enum vcpu_end *end);

/* Log every register.  Its thread, or while it is parked. */
void vcpu_log_registers(const struct vcpu *vcpu);

#endif
