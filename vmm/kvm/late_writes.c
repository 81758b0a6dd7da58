// SPDX-License-Identifier: MIT
/* late_writes.c - writes to a device that KVM keeps until somebody looks ("coalesced MMIO") */

#include "kvm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE 4096u
#define N_ENTRIES \
	((PAGE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

void kvm_vm_keep_writes(struct kvm_vm *vm, const struct vcpu *vcpu, uint64_t gpa, uint32_t size)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = gpa, .size = size };
	void *ring = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd,
		(off_t)KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE);

	if (ring == MAP_FAILED)
		return;
	if (ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone)) {
		munmap(ring, PAGE);
		return;
	}
	vm->kept = ring;
}

bool kvm_vm_next_write(const struct kvm_vm *vm, uint64_t *gpa, uint64_t *value)
{
	struct kvm_coalesced_mmio_ring *ring = vm->kept;
	const struct kvm_coalesced_mmio *entry;
	uint32_t first;

	if (!ring)
		return false;
	first = ring->first;
	if (first == __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) || first >= N_ENTRIES)
		return false;
	entry = &ring->coalesced_mmio[first];
	*gpa = entry->phys_addr;
	*value = 0;
	memcpy(value, entry->data, entry->len < sizeof(*value) ? entry->len : sizeof(*value));
	__atomic_store_n(&ring->first, (first + 1) % (uint32_t)N_ENTRIES, __ATOMIC_RELEASE);
	return true;
}

void kvm_vm_forget_writes(struct kvm_vm *vm)
{
	if (vm->kept)
		munmap(vm->kept, PAGE);
	vm->kept = NULL;
}
