// SPDX-License-Identifier: MIT
/* vcpu.c - one virtual CPU: creation, thread, exits */

#include "kvm/vcpu.h"

#include "kvm/cpu_state.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The shared page of the vCPU that this thread runs: all that the kick's handler may know. */
static __thread struct kvm_run *volatile kick_run;

#define KICK_SIGNAL SIGRTMIN

const struct counter vcpu_counters[] = {
	{ "exit_io_in", offsetof(struct vcpu, n_pio_reads) },
	{ "exit_io_out", offsetof(struct vcpu, n_pio_writes) },
	{ "exit_mmio_read", offsetof(struct vcpu, n_mmio_reads) },
	{ "exit_mmio_write", offsetof(struct vcpu, n_mmio_writes) },
	{ NULL, 0 },
};

/* The signal ends KVM_RUN if the vCPU is in it; immediate_exit ends the next KVM_RUN if the signal
 * came just before.
 */
static void kick_handler(int sig)
{
	(void)sig;
	if (kick_run)
		kick_run->immediate_exit = 1;
}

void vcpu_install_kick_handler(void)
{
	struct sigaction action = { .sa_handler = kick_handler };

	sigemptyset(&action.sa_mask);
	BUG_ON(sigaction(KICK_SIGNAL, &action, NULL));
}

void vcpu_init(struct vcpu *vcpu, unsigned int id, const struct vcpu_ops *ops, void *ctx)
{
	*vcpu = (struct vcpu){ .id = id, .fd = -1, .ops = ops, .ctx = ctx };
}

int vcpu_create(
	struct vcpu *vcpu, const struct kvm *kvm, const struct kvm_vm *vm, struct diag *diag)
{
	int ret;

	vcpu->run_size = kvm->run_size;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, vcpu->id);
	if (vcpu->fd < 0)
		return diag_fail(
			diag, errno, "KVM_CREATE_VCPU %u: %s", vcpu->id, error_text(errno));
	vcpu->run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run != MAP_FAILED) {
		/* A fork could do nothing with it, but would keep the VM from ending. */
		madvise(vcpu->run, kvm->run_size, MADV_DONTFORK);
		return 0;
	}
	ret = diag_fail(diag, errno, "vCPU %u: mmap: %s", vcpu->id, error_text(errno));
	close(vcpu->fd);
	vcpu->fd = -1;
	return ret;
}

int vcpu_set_up(struct vcpu *vcpu, const struct kvm *kvm, unsigned int n_vcpus, struct diag *diag)
{
	union cpuid_table cpuid;
	int ret;

	cpu_state_make_cpuid(&cpuid, vcpu, kvm, n_vcpus);
	ret = cpu_state_set_cpuid(vcpu, &cpuid, diag);
	if (!ret)
		ret = cpu_state_set_msrs(vcpu, diag);
	if (!ret && n_vcpus > 1)
		ret = cpu_state_announce_apic(vcpu, diag);
	return ret;
}

void vcpu_fini(struct vcpu *vcpu)
{
	if (vcpu->fd < 0)
		return;
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
	vcpu->fd = -1;
}

/* One KVM_EXIT_IO is `count` accesses of one port: a string instruction's, in memory order. */
static void vcpu_handle_io(struct vcpu *vcpu)
{
	uint8_t *data = (uint8_t *)vcpu->run + vcpu->run->io.data_offset;
	unsigned int size = vcpu->run->io.size;

	counter_add(vcpu->run->io.direction == KVM_EXIT_IO_OUT ? &vcpu->n_pio_writes
							       : &vcpu->n_pio_reads,
		1);
	for (uint32_t i = 0; i < vcpu->run->io.count; i++, data += size) {
		uint64_t value = 0;

		if (vcpu->run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, size);
			vcpu->ops->pio_write(vcpu->ctx, vcpu->run->io.port, size, value);
		} else {
			value = vcpu->ops->pio_read(vcpu->ctx, vcpu->run->io.port, size);
			memcpy(data, &value, size);
		}
	}
}

static void vcpu_handle_mmio(struct vcpu *vcpu)
{
	uint32_t size = vcpu->run->mmio.len;
	uint64_t gpa = vcpu->run->mmio.phys_addr, value = 0;

	counter_add(vcpu->run->mmio.is_write ? &vcpu->n_mmio_writes : &vcpu->n_mmio_reads, 1);
	/* An access that no device takes: an empty bus. */
	if (!is_power_of_2(size) || size > sizeof(value)) {
		memset(vcpu->run->mmio.data, 0xff, sizeof(vcpu->run->mmio.data));
		return;
	}
	if (vcpu->run->mmio.is_write) {
		memcpy(&value, vcpu->run->mmio.data, size);
		vcpu->ops->mmio_write(vcpu->ctx, gpa, size, value);
	} else {
		value = vcpu->ops->mmio_read(vcpu->ctx, gpa, size);
		memcpy(vcpu->run->mmio.data, &value, size);
	}
}

static void vcpu_log_internal_error(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	char insn[3 * sizeof(run->emulation_failure.insn_bytes) + 1] = "";

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && run->internal.ndata >= 3 &&
		run->emulation_failure.flags &
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		size_t size = run->emulation_failure.insn_size;

		if (size > sizeof(run->emulation_failure.insn_bytes))
			size = sizeof(run->emulation_failure.insn_bytes);
		for (size_t i = 0; i < size; i++)
			snprintf(insn + 3 * i, 4, " %02x", run->emulation_failure.insn_bytes[i]);
	}
	log_error(
		"guest crashed: KVM cannot go on from vCPU %u's instruction (internal error %u%s%s)",
		vcpu->id, run->internal.suberror, *insn ? ":" : "", insn);
}

/* KVM has stopped an instruction without end; the guest goes on if KVM knows where it is. */
static bool vcpu_handle_notify(const struct vcpu *vcpu, enum vcpu_end *end)
{
	if (!(vcpu->run->notify.flags & KVM_NOTIFY_CONTEXT_INVALID))
		return true;
	log_error("guest crashed: an instruction of vCPU %u's had no end", vcpu->id);
	*end = VCPU_END_CRASH;
	return false;
}

bool vcpu_handle_exit(struct vcpu *vcpu, enum vcpu_end *end)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO: vcpu_handle_io(vcpu); return true;
	case KVM_EXIT_MMIO: vcpu_handle_mmio(vcpu); return true;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_X86_BUS_LOCK:
	case KVM_EXIT_IOAPIC_EOI: return true;
	case KVM_EXIT_NOTIFY: return vcpu_handle_notify(vcpu, end);
	case KVM_EXIT_SHUTDOWN: *end = VCPU_END_TRIPLE_FAULT; return false;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_log_internal_error(vcpu);
		*end = VCPU_END_CRASH;
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		log_error("vCPU %u: the processor refuses to enter the guest (reason 0x%llx)",
			vcpu->id, vcpu->run->fail_entry.hardware_entry_failure_reason);
		*end = VCPU_END_HOST;
		return false;
	default:
		log_error("vCPU %u: exit %u is not known here", vcpu->id, vcpu->run->exit_reason);
		*end = VCPU_END_HOST;
		return false;
	}
}

/* Once a kick has done its work the flag would end each KVM_RUN.  A kick that comes meanwhile sets
 * it again, and the order that it was sent for is seen before the next KVM_RUN.
 */
static void forget_kick(struct vcpu *vcpu)
{
	*(volatile __u8 *)&vcpu->run->immediate_exit = 0;
}

/* A signal has ended KVM_RUN: a kick, or the process was stopped, or frozen with its cgroup or its
 * host, and goes on after a time.  The guest's clock went on meanwhile; KVM tells a guest that has
 * kvmclock that it stood still, so that its watchdogs look away once
 * (Documentation/virt/kvm/api.rst, KVM_KVMCLOCK_CTRL).  Others have nothing to be told.
 */
static void excuse_pause(const struct vcpu *vcpu)
{
	ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
}

/* One KVM_RUN and what it leads to.  False: back to the crew.  A vCPU that is called there has
 * KVM finish the instruction it left for us, and runs no other.
 */
static bool vcpu_turn(struct vcpu *vcpu)
{
	bool called = crew_is_called(vcpu->crew);
	enum vcpu_end end = VCPU_END_HOST;
	int ret;

	if (called)
		vcpu->run->immediate_exit = 1;
	ret = ioctl(vcpu->fd, KVM_RUN, 0);
	vcpu->n_exits++;
	if (ret < 0 && errno == EINTR) {
		forget_kick(vcpu);
		excuse_pause(vcpu);
		return !called;
	}
	if (ret < 0 && errno == EAGAIN)
		return true;
	if (ret < 0)
		log_error("vCPU %u: KVM_RUN: %s", vcpu->id, error_text(errno));
	else if (vcpu_handle_exit(vcpu, &end))
		return true;
	vcpu->ops->ended(vcpu->ctx, vcpu, end);
	return false;
}

static void vcpu_work(struct vcpu *vcpu)
{
	kick_run = vcpu->run;
	atomic_store(&vcpu->working, true);
	vcpu->ops->entering(vcpu->ctx, vcpu);
	while (vcpu_turn(vcpu))
		continue;
	atomic_store(&vcpu->working, false);
	kick_run = NULL;
	/* Of a kick that came when there was nothing to leave. */
	forget_kick(vcpu);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	vcpu->ops->begun(vcpu->ctx);
	while (crew_park(vcpu->crew))
		vcpu_work(vcpu);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu, struct crew *crew, struct diag *diag)
{
	int err;

	vcpu->crew = crew;
	err = crew_start(crew, &vcpu->thread, vcpu_thread, vcpu);
	if (err)
		return diag_fail(diag, err, "cannot start the thread of vCPU %u: %s", vcpu->id,
			error_text(err));
	vcpu->started = true;
	return 0;
}

/* A thread that is not at work looks at the order before it is. */
void vcpu_kick(struct vcpu *vcpu)
{
	if (atomic_load(&vcpu->working))
		pthread_kill(vcpu->thread, KICK_SIGNAL);
}

void vcpu_join(struct vcpu *vcpu)
{
	if (vcpu->started)
		pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}
