/* SPDX-License-Identifier: MIT */
/* mmio.h - virtio over MMIO: a page of registers and one interrupt a device
 *
 * Source: virtio 1.2, 4.2 (version 2).  The interrupt is an edge: each signal raises it, whether or
 * not the guest has acknowledged the last, so a guest that never does (TamaGo) loses none.
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include "bus/irq.h"
#include "virtio/virtio.h"

struct virtio_mmio {
	struct virtio_transport transport; /* first */
	struct virtio_dev *vdev;
	struct irq_line line;
	uint64_t base; /* guest-physical address of the registers */

	uint32_t offered_select, features_select, queue_select;
	uint32_t interrupt_status; /* VIRTIO_MMIO_INT_* */
};

/* Make the device answer at `base` by the ops that it gets: bus_add() puts it there.  Both outlive
 * the machine's run.
 */
void virtio_mmio_init(
	struct virtio_mmio *mmio, struct virtio_dev *vdev, struct irq_line line, uint64_t base);

/* What a copy of the machine begins with, of the registers. */
extern const struct state_table virtio_mmio_state;

#endif
