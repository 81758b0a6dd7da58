// SPDX-License-Identifier: MIT
/* counts.c - what a machine counts */

#include "vm/counts.h"

#include "vm/vm.h"

static const struct counter *const machine_names[] = {
	[COUNTS_VCPU - N_DEVICE_KINDS] = vcpu_counters,
	[COUNTS_UART - N_DEVICE_KINDS] = serial_counters,
};

const struct counter *counts_names(unsigned int kind)
{
	if (kind >= N_COUNT_KINDS)
		return NULL;
	return kind < N_DEVICE_KINDS ? device_class[kind]->counters
	                             : machine_names[kind - N_DEVICE_KINDS];
}

const char *counts_name(const struct count *count)
{
	const struct counter *counter = counts_names(count->kind);

	for (uint32_t i = 0; counter && counter->name; i++, counter++)
		if (i == count->index)
			return counter->name;
	return NULL;
}

struct taker {
	struct count *counts;
	unsigned int n, max;
};

static void take(struct taker *taker, unsigned int kind, unsigned int item, const void *object)
{
	const struct counter *counter = counts_names(kind);

	for (uint32_t i = 0; counter && counter[i].name && taker->n < taker->max; i++) {
		const void *at = (const char *)object + counter[i].at;

		taker->counts[taker->n++] =
			(struct count){ (uint16_t)kind, (uint16_t)item, i, counter_read(at) };
	}
}

/* As one: the sum of all. */
static void take_vcpus(struct taker *taker, const struct vcpu *vcpu, unsigned int n)
{
	unsigned int first = taker->n;

	take(taker, COUNTS_VCPU, 0, vcpu);
	for (unsigned int i = first; i < taker->n; i++)
		for (unsigned int j = 1; j < n; j++)
			taker->counts[i].value += counter_read(
				(const void *)((const char *)&vcpu[j] +
					       vcpu_counters[i - first].at));
}

unsigned int counts_take(const struct vm *vm, struct count *counts, unsigned int max)
{
	struct taker taker = { counts, 0, max };
	unsigned int slot = 0;

	take_vcpus(&taker, vm->vcpu, vm->config->cpus);
	take(&taker, COUNTS_UART, 0, &vm->serial);
	for (unsigned int kind = 0; kind < N_DEVICE_KINDS; kind++)
		for (unsigned int i = 0; i < vm->config->devices[kind].n; i++, slot++)
			if (slot < vm->devices.n &&
				vm->devices.dev[slot]->class == device_class[kind])
				take(&taker, kind, i, vm->devices.dev[slot]);
	return taker.n;
}
