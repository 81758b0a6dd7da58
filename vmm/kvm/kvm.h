/* SPDX-License-Identifier: MIT */
/* kvm.h - the host's KVM and one VM of it
 *
 * Source: the kernel's Documentation/virt/kvm/api.rst.  Only this directory includes <linux/kvm.h>.
 */
#ifndef KVM_KVM_H
#define KVM_KVM_H

#include "mem/guest_mem.h"
#include "util/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_cpuid2;

#define KVM_CPUID_MAX_ENTRIES 256 /* more than a host has */

/* What a guest may use beyond the usual, if the host's KVM offers it. */
struct kvm_extras {
	bool nested; /* virtualisation of its own: VMX or SVM */
	bool pmu;    /* the processor's performance counters */
};

/* The open /dev/kvm and what it offers. */
struct kvm {
	int fd;
	size_t run_size;              /* bytes of a vCPU's shared mapping */
	struct kvm_cpuid2 *supported; /* what a guest is offered; owned; NULL before it was asked */
	bool has_tsc_deadline;
	struct kvm_extras extras;
};

/* A capability that `run` needs, and whether the host has it. */
struct kvm_cap_status {
	const char *name; /* "KVM_CAP_SPLIT_IRQCHIP" */
	const char *why;  /* what a run uses it for */
	int value;        /* KVM_CHECK_EXTENSION's answer; <= 0: missing */
};

#define KVM_DEVICE "/dev/kvm"

/* Open `path` and check the API version.  The descriptor, or -errno with the reason and the way out
 * in diag: -ENOENT no such device, -EACCES not permitted, -ENOTSUP another API version.
 */
int kvm_open_device(const char *path, struct diag *diag);

/* The i-th capability that `run` needs; false past the last. */
bool kvm_cap_query(int fd, size_t i, struct kvm_cap_status *status);
int kvm_max_vcpus(int fd);

/* Open /dev/kvm, check version and capabilities.  -errno and diag. */
int kvm_init(struct kvm *kvm, const struct kvm_extras *extras, struct diag *diag);
void kvm_fini(struct kvm *kvm);

/* Find out what CPUID can say here: what vcpu_set_up() and kvm_check_memory() go by.  To ask KVM
 * takes as long as to create a VM; with `kept`, what a former run has kept of this host's answer
 * will do (offer.h).  -errno and diag.
 */
int kvm_query_cpuid(struct kvm *kvm, bool kept, struct diag *diag);

/* Whether the processor addresses all of `mem`: 0, or -E2BIG and diag. */
int kvm_check_memory(const struct kvm *kvm, const struct guest_mem *mem, struct diag *diag);

struct kvm_vm {
	int fd; /* -1: none */
};

/* Create a VM whose memory is `mem` (which must outlive it), with local APICs in the kernel and the
 * I/O APIC left to us.  n_gsis: pins the kernel keeps routes for; reserved: four pages outside RAM
 * where Intel hosts without "unrestricted guest" keep what real mode needs.  -errno and diag.
 */
int kvm_vm_init(struct kvm_vm *vm, const struct kvm *kvm, const struct guest_mem *mem,
	unsigned int n_gsis, uint64_t reserved, struct diag *diag);
void kvm_vm_fini(struct kvm_vm *vm);

/* Deliver one message-signalled interrupt.  Any thread.  0, or -errno (also for a message that
 * names no CPU: the guest's mistake).
 */
int kvm_vm_signal_msi(const struct kvm_vm *vm, uint64_t address, uint32_t data);

/* Have a guest's write of `size` bytes (0: however many) to `gpa`, of the value *match alone unless
 * that is NULL, add 1 to the eventfd, without an exit to us; or no more.  Any thread.  -errno.
 */
int kvm_vm_bind_event(const struct kvm_vm *vm, uint64_t gpa, uint32_t size, const uint64_t *match,
	int fd, bool on);

#endif
