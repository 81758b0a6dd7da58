/* SPDX-License-Identifier: MIT */
/* pci.h - virtio over PCI: a function with one BAR, and a message for each queue
 *
 * Source: virtio 1.2, 4.1 (not transitional).  A message is sent by the device itself, as one that
 * names where it goes; nobody else keeps a route for it.
 */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include "bus/msix.h"
#include "bus/pci.h"
#include "virtio/virtio.h"

#define VIRTIO_PCI_BAR_SIZE 0x4000u

struct virtio_pci {
	struct virtio_transport transport; /* first */
	struct virtio_dev *vdev;
	struct pci_function function;
	struct msix msix;
	unsigned int window; /* the capability that reaches the BAR by the configuration space */

	uint32_t offered_select, features_select;
	uint16_t queue_select;
	uint16_t config_vector, queue_vector[VIRTIO_MAX_QUEUES]; /* VIRTIO_MSI_NO_VECTOR: none */
	uint8_t isr;
};

/* Make the device a PCI function, for pci_add(), whose BAR is at `base` to begin with.  Messages
 * are sent by `send` (msix.h).  Both outlive the machine's run.
 */
void virtio_pci_init(struct virtio_pci *pci, struct virtio_dev *vdev, uint64_t base,
	int (*send)(void *ctx, uint64_t address, uint32_t data), void *ctx);

/* Add to a file what a copy of the machine begins with, of this function and its registers; and
 * have one that was just made be as that was.  -EBADMSG and diag.
 */
void virtio_pci_save(const struct virtio_pci *pci, struct state_writer *writer, uint32_t slot);
int virtio_pci_load(
	struct virtio_pci *pci, struct state_reader *reader, uint32_t slot, struct diag *diag);

extern const struct state_table virtio_pci_state;

#endif
