/* SPDX-License-Identifier: MIT */
/* pci.h - a PCI bus: its functions' configuration spaces, and where they answer in memory
 *
 * Sources: PCI Local Bus 3.0, 6 (configuration space) and 3.2.2.3.2 (ports 0xcf8 and 0xcfc); PCI
 * Express Base 4.0, 7.2.2 (ECAM).  One bus, one function a device, one memory BAR a function, no
 * I/O, no pins.  Device 0 is the host bridge.
 *
 * A function is part of a device, whose lock guards all of it: an access to its configuration space
 * takes that lock as one to its memory does.  Order: a configuration window's lock, then the
 * device's, then that of where functions answer, which is a leaf.
 *
 * BARs move, for firmware places them anew without asking where they are, and so do unikernels.
 * Where a function answers is therefore no range of the bus, but asked of here when no range has
 * the address.
 */
#ifndef BUS_PCI_H
#define BUS_PCI_H

#include "bus/bus.h"
#include "state/state.h"

#include <linux/pci_regs.h>
#include <stdbool.h>

#define PCI_SLOTS   32
#define PCI_NOWHERE UINT64_MAX

struct pci;
struct pci_function;

/* With the device's lock held; each may be NULL. */
struct pci_ops {
	/* The guest is about to read from its configuration space: what is not constant there is
	 * to be filled in.
	 */
	void (*reading)(struct pci_function *function, unsigned int offset, unsigned int size);
	/* It has written there what may be written. */
	void (*written)(struct pci_function *function, unsigned int offset, unsigned int size);
	/* function->at has changed. */
	void (*moved)(struct pci_function *function);
};

struct pci_function {
	struct device *dev; /* answers in its memory */
	const struct pci_ops *ops;
	uint8_t config[PCI_CFG_SPACE_SIZE];
	uint8_t writable[PCI_CFG_SPACE_SIZE]; /* bits that the guest may change */
	uint8_t fresh[PCI_CFG_SPACE_SIZE];    /* as it is put into its slot */
	unsigned int free, link;              /* for the next capability; what leads to it */
	uint64_t bar_size;                    /* 0: none */
	uint64_t at;                          /* where its memory is, or PCI_NOWHERE */
	struct pci *pci;                      /* NULL: in no slot yet */
	unsigned int slot;
};

struct pci_id {
	uint16_t vendor, device;
	uint8_t revision;
	uint32_t class; /* base class, sub-class, interface: 24 bits */
	uint16_t subsystem_vendor, subsystem;
};

/* ---- for devices; before the VM runs ---- */

/* `dev` outlives it.  It has neither BAR nor capabilities. */
void pci_function_init(struct pci_function *function, const struct pci_id *id, struct device *dev,
	const struct pci_ops *ops);

/* Append a capability of `size` bytes, a multiple of 4: its id, a link, then what follows behind
 * these two in `body`.  Where it lies.
 */
unsigned int pci_add_capability(
	struct pci_function *function, uint8_t id, const void *body, unsigned int size);

/* BAR 0 and 1: 64 bits wide, at `base`, which is a multiple of `size`, a power of two. */
void pci_set_bar(struct pci_function *function, uint64_t base, uint64_t size);

/* Little-endian, within the configuration space. */
uint16_t pci_get16(const struct pci_function *function, unsigned int offset);
uint32_t pci_get32(const struct pci_function *function, unsigned int offset);
void pci_set16(struct pci_function *function, unsigned int offset, uint16_t value);
void pci_set32(struct pci_function *function, unsigned int offset, uint32_t value);

/* ---- the bus ---- */

struct pci {
	struct device ecam;  /* at PLATFORM_ECAM_BASE */
	struct device ports; /* at PLATFORM_PCI_PORT */
	/* Port 0xcf9 lies within the latter: an access of one byte there is for this device. */
	struct device *reset_control;
	uint32_t address; /* port 0xcf8 */
	struct device bridge_dev;
	struct pci_function bridge;
	struct pci_function *slot[PCI_SLOTS]; /* constant once the VM runs */
	pthread_mutex_t lock;                 /* of each function's `at` */
};

/* A bus with the host bridge alone.  `reset_control` is on no bus itself. */
void pci_init(struct pci *pci, struct device *reset_control);
void pci_fini(struct pci *pci);

/* Before the VM runs; `function` outlives it, and is complete but for what the guest will change.
 */
void pci_add(struct pci *pci, unsigned int slot, struct pci_function *function);

/* Who answers at an address, and at which offset into its memory.  For bus_ask(). */
struct device *pci_find(void *pci, uint64_t addr, unsigned int size, uint64_t *offset);

/* An access to the configuration space of device `slot`; all ones and ignored if there is none.
 * What is not within its 256 bytes likewise.
 */
uint64_t pci_read(struct pci *pci, unsigned int slot, unsigned int offset, unsigned int size);
void pci_write(
	struct pci *pci, unsigned int slot, unsigned int offset, unsigned int size, uint64_t value);

/* ---- a copy of it ----
 *
 * Of a function what the guest may change in its configuration space, by its slot.  -errno, diag.
 */
extern const struct state_table pci_state, pci_function_state;
int pci_load_function(
	struct pci_function *function, struct state_reader *reader, struct diag *diag);

#endif
