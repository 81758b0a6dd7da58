/* SPDX-License-Identifier: MIT */
/* devices.h - the virtio devices of a machine: which there are, where, and who serves them */
#ifndef VM_DEVICES_H
#define VM_DEVICES_H

#include "bus/platform.h"
#include "dev/table.h"
#include "util/diag.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"
#include "virtio/virtio.h"
#include "vm/io.h"

struct vm;

struct devices {
	struct virtio_env env, io_env; /* by who serves: the control thread, or the I/O thread */
	struct virtio_dev *dev[PLATFORM_VIRTIO_SLOTS]; /* in the order of their slots */
	unsigned int n;
	union slot {
		struct virtio_mmio mmio;
		struct virtio_pci pci;
	} * slot; /* by how the guest reaches them; owned, for a machine without has none */
	unsigned int n_routes; /* of interrupts that KVM may send by itself (kvm/irq.h) */
	bool has_io;           /* there is something for the I/O thread to do */
	struct io io;
};

/* By slot; -1: there is nothing. */
struct device_copies {
	int fd[PLATFORM_VIRTIO_SLOTS];
};

/* The main thread's, all of them.  -errno and diag.
 *
 * Take what they need of the host, and put each into its slot.  On failure there are none.
 */
int devices_open(struct vm *vm, struct diag *diag);
/* Serve them; after it no vCPU has run. */
int devices_start(struct vm *vm, struct diag *diag);
/* While no vCPU runs: none of them does anything of its own accord, or all go on.  The I/O thread
 * is parked meanwhile.
 */
void devices_quiesce(struct vm *vm);
void devices_resume(struct vm *vm);
/* Change options of a device while it is there: `text` is as on the command line, "KEY=VALUE,...",
 * or "".  `anew`: it is to look once more at what it has of the host; NULL: it is not.  `item`
 * counts from 0 among its kind.  On failure all is as it was.
 */
int devices_update(struct vm *vm, enum device_kind kind, unsigned int item, const char *text,
	const struct virtio_anew *anew, struct diag *diag);
/* Do what its class knows by this name; an answer is a JSON object. */
int devices_command(struct vm *vm, enum device_kind kind, unsigned int item, const char *what,
	char *json, size_t size, struct diag *diag);
/* What there is to tell of it, as a JSON object. */
int devices_describe(struct vm *vm, enum device_kind kind, unsigned int item, char *json,
	size_t size, struct diag *diag);
/* Of a machine that is to be forked, while it is quiet: whether its devices allow it, and what a
 * fork would not find again, in files that are given back then (virtio.h).
 */
int devices_check_copies(const struct vm *vm, struct diag *diag);
int devices_copy(struct vm *vm, struct device_copies *copies, struct diag *diag);
void devices_drop_copies(struct device_copies *copies);
/* And in the fork, where `from` is as it was: have the devices of another, which were loaded, begin
 * with that.
 */
int devices_take_copies(
	struct vm *vm, struct vm *from, const struct device_copies *copies, struct diag *diag);
/* No vCPU runs any more: wait for what is in flight, and give all back. */
void devices_close(struct vm *vm);

#endif
