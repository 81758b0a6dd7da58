// SPDX-License-Identifier: MIT
/* kvm.c - the host's KVM and one VM of it */

#include "kvm/kvm.h"

#include "kvm/cpu_state.h"
#include "kvm/offer.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct {
	long cap;
	const char *name;
	const char *why;
} needed[] = {
#define NEED(cap, why)         \
	{                      \
		cap, #cap, why \
	}
	NEED(KVM_CAP_USER_MEMORY, "guest RAM"),
	NEED(KVM_CAP_SPLIT_IRQCHIP, "local APICs in the kernel, the I/O APIC in pronto"),
	NEED(KVM_CAP_SIGNAL_MSI, "device interrupts"),
	NEED(KVM_CAP_IMMEDIATE_EXIT, "stopping a vCPU"),
	NEED(KVM_CAP_EXT_CPUID, "the guest's CPUID"),
	NEED(KVM_CAP_SET_TSS_ADDR, "starting on older Intel hosts"),
	NEED(KVM_CAP_SET_IDENTITY_MAP_ADDR, "starting on older Intel hosts"),
	NEED(KVM_CAP_MP_STATE, "starting secondary CPUs"),
#undef NEED
};

int kvm_open_device(const char *path, struct diag *diag)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), version, err;

	if (fd < 0) {
		err = errno;
		if (err == ENOENT || err == ENXIO || err == ENODEV)
			return diag_fail(diag, err,
				"%s: there is no KVM here; enable virtualisation in the firmware "
				"and load kvm_intel or kvm_amd, or use the lab (docs/lab.md)",
				path);
		if (err == EACCES || err == EPERM)
			return diag_fail(diag, err,
				"%s: not permitted; join its group (as root: usermod -aG kvm USER, "
				"then log in again)",
				path);
		return diag_fail(diag, err, "%s: cannot open: %s", path, error_text(err));
	}
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		close(fd);
		if (version < 0)
			return diag_fail(diag, ENOTSUP, "%s: is not KVM", path);
		return diag_fail(diag, ENOTSUP, "%s: speaks API version %d; pronto needs %d", path,
			version, KVM_API_VERSION);
	}
	return fd;
}

bool kvm_cap_query(int fd, size_t i, struct kvm_cap_status *status)
{
	if (i >= ARRAY_SIZE(needed))
		return false;
	status->name = needed[i].name;
	status->why = needed[i].why;
	status->value = ioctl(fd, KVM_CHECK_EXTENSION, needed[i].cap);
	return true;
}

int kvm_max_vcpus(int fd)
{
	int n = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	if (n <= 0)
		n = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);
	return n > 0 ? n : 4; /* api.rst: without either capability, 4 */
}

static int kvm_check_caps(const struct kvm *kvm, struct diag *diag)
{
	struct kvm_cap_status status;

	for (size_t i = 0; kvm_cap_query(kvm->fd, i, &status); i++)
		if (status.value <= 0)
			return diag_fail(diag, ENOTSUP,
				"%s lacks %s (%s); a newer host kernel has it", KVM_DEVICE,
				status.name, status.why);
	return 0;
}

int kvm_init(struct kvm *kvm, const struct kvm_extras *extras, struct diag *diag)
{
	int ret;

	kvm->fd = kvm_open_device(KVM_DEVICE, diag);
	if (kvm->fd < 0)
		return kvm->fd;
	ret = kvm_check_caps(kvm, diag);
	if (ret)
		goto err_fd;
	ret = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (ret < (int)sizeof(struct kvm_run)) {
		ret = diag_fail(diag, ENOTSUP, "%s: KVM_GET_VCPU_MMAP_SIZE: %d", KVM_DEVICE, ret);
		goto err_fd;
	}
	kvm->run_size = (size_t)ret;
	kvm->has_tsc_deadline = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	kvm->supported = NULL;
	kvm->extras = *extras;
	return 0;

err_fd:
	close(kvm->fd);
	kvm->fd = -1;
	return ret;
}

void kvm_fini(struct kvm *kvm)
{
	free(kvm->supported);
	close(kvm->fd);
}

/* By the file: three CPUIDs are nothing on bare metal, but 130 us in some virtual machines, where
 * each is an exit.  A host that does not tell leaves the name empty, as KVM does.
 */
static void read_host_name(char *name, size_t size)
{
	static const char key[] = "model name\t: ";
	char text[512];
	int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	const char *at;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, key);
	snprintf(name, size, "%.*s", at ? (int)strcspn(at + sizeof(key) - 1, "\n") : 0,
		at ? at + sizeof(key) - 1 : "");
}

static int ask_cpuid(const struct kvm *kvm, struct diag *diag)
{
	char name[CPU_NAME_SIZE] = "";

	kvm->supported->nent = KVM_CPUID_MAX_ENTRIES;
	if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, kvm->supported))
		return diag_fail(diag, errno, "%s: KVM_GET_SUPPORTED_CPUID: %s", KVM_DEVICE,
			error_text(errno));
	read_host_name(name, sizeof(name));
	cpu_state_name_cpu(kvm->supported, name);
	return 0;
}

int kvm_query_cpuid(struct kvm *kvm, bool kept, struct diag *diag)
{
	struct offer_host host;
	int ret;

	kvm->supported = malloc(
		sizeof(*kvm->supported) + KVM_CPUID_MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2));
	if (!kvm->supported)
		return diag_fail(diag, ENOMEM, "out of memory");
	kept = kept && offer_host_find(&host);
	if (!kept || !offer_find(&host, kvm->supported)) {
		ret = ask_cpuid(kvm, diag);
		if (ret)
			return ret;
		if (kept)
			offer_keep(&host, kvm->supported);
	}
	cpu_state_limit_cpuid(kvm->supported, &kvm->extras);
	return 0;
}

/* Bits of a guest-physical address: CPUID 0x80000008, EAX 7:0 (Intel SDM vol. 2; AMD APM vol. 3).
 */
static unsigned int kvm_address_bits(const struct kvm *kvm)
{
	for (uint32_t i = 0; i < kvm->supported->nent; i++)
		if (kvm->supported->entries[i].function == 0x80000008)
			return kvm->supported->entries[i].eax & 0xff;
	return 36; /* what every 64-bit processor has */
}

int kvm_check_memory(const struct kvm *kvm, const struct guest_mem *mem, struct diag *diag)
{
	const struct mem_region *last = &mem->region[mem->n_regions - 1];
	unsigned int bits = kvm_address_bits(kvm);

	if (bits >= 64 || (last->gpa + last->size - 1) >> bits == 0)
		return 0;
	return diag_fail(diag, E2BIG,
		"--memory: guest memory would end at %llu MiB, and this host's processor addresses "
		"%u bits (%llu MiB); give the VM less",
		(unsigned long long)((last->gpa + last->size) >> 20), bits, 1ull << (bits - 20));
}

/* Memory comes before the interrupt chips: with them present, each change of a memslot waits for
 * readers of the interrupt routes (5 ms on Linux 6.18).
 */
static int kvm_vm_add_memory(
	const struct kvm_vm *vm, const struct guest_mem *mem, struct diag *diag)
{
	for (size_t i = 0; i < mem->n_regions; i++) {
		struct kvm_userspace_memory_region slot = {
			.slot = (uint32_t)i,
			.guest_phys_addr = mem->region[i].gpa,
			.memory_size = mem->region[i].size,
			.userspace_addr = (uintptr_t)mem->region[i].hva,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot))
			return diag_fail(diag, errno,
				"the host cannot address %llu MiB of guest memory at 0x%llx: %s; "
				"give the VM less (--memory)",
				slot.memory_size >> 20, slot.guest_phys_addr, error_text(errno));
	}
	return 0;
}

/* CPUID alone would leave the counters that AMD's processors have without telling.  A KVM that has
 * no counters refuses, and older ones than Linux 5.18 do not know of it.
 */
static void kvm_vm_disable_pmu(const struct kvm_vm *vm)
{
	struct kvm_enable_cap pmu = {
		.cap = KVM_CAP_PMU_CAPABILITY,
		.args = { KVM_PMU_CAP_DISABLE },
	};

	ioctl(vm->fd, KVM_ENABLE_CAP, &pmu);
}

/* A guest that locks the bus, which stops every processor of the host for a moment, leaves to us
 * for each lock, and so makes few (Linux 5.12, where the processor tells); one that keeps its
 * processor from taking an interrupt in an instruction without end is stopped by KVM (6.0).  Who
 * has neither refuses.
 */
static void kvm_vm_hold_back(const struct kvm_vm *vm)
{
	struct kvm_enable_cap bus_locks = {
		.cap = KVM_CAP_X86_BUS_LOCK_EXIT,
		.args = { KVM_BUS_LOCK_DETECTION_EXIT },
	};
	struct kvm_enable_cap endless = {
		.cap = KVM_CAP_X86_NOTIFY_VMEXIT,
		.args = { KVM_X86_NOTIFY_VMEXIT_ENABLED },
	};

	ioctl(vm->fd, KVM_ENABLE_CAP, &bus_locks);
	ioctl(vm->fd, KVM_ENABLE_CAP, &endless);
}

static int kvm_vm_create_irqchip(
	const struct kvm_vm *vm, unsigned int n_gsis, uint64_t reserved, struct diag *diag)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { n_gsis } };

	/* Where Intel hosts without "unrestricted guest" keep what real mode needs. */
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &reserved) ||
		ioctl(vm->fd, KVM_SET_TSS_ADDR, reserved + 4096))
		return diag_fail(diag, errno, "KVM_SET_TSS_ADDR: %s", error_text(errno));
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &split))
		return diag_fail(diag, errno, "KVM_CAP_SPLIT_IRQCHIP: %s", error_text(errno));
	return 0;
}

int kvm_vm_init(struct kvm_vm *vm, const struct kvm *kvm, const struct guest_mem *mem,
	unsigned int n_gsis, uint64_t reserved, struct diag *diag)
{
	int ret;

	do
		vm->fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return diag_fail(diag, errno, "KVM_CREATE_VM: %s", error_text(errno));
	ret = kvm_vm_add_memory(vm, mem, diag);
	if (!ret)
		ret = kvm_vm_create_irqchip(vm, n_gsis, reserved, diag);
	if (ret) {
		kvm_vm_fini(vm);
		return ret;
	}
	kvm_vm_hold_back(vm);
	if (!kvm->extras.pmu)
		kvm_vm_disable_pmu(vm);
	return ret;
}

void kvm_vm_fini(struct kvm_vm *vm)
{
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
}

int kvm_vm_signal_msi(const struct kvm_vm *vm, uint64_t address, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = data,
	};

	return ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

int kvm_vm_bind_event(const struct kvm_vm *vm, uint64_t gpa, uint32_t size, const uint64_t *match,
	int fd, bool on)
{
	struct kvm_ioeventfd event = {
		.addr = gpa,
		.len = size,
		.fd = fd,
		.datamatch = match ? *match : 0,
		.flags = (match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
		         (on ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(vm->fd, KVM_IOEVENTFD, &event) ? -errno : 0;
}
