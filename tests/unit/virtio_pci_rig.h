/* SPDX-License-Identifier: MIT */
/* virtio_pci_rig.h - the fake device behind a PCI bus, and a driver for it
 *
 * For test_virtio_pci.c; needs cmocka.h before it.
 */
#ifndef TESTS_UNIT_VIRTIO_PCI_RIG_H
#define TESTS_UNIT_VIRTIO_PCI_RIG_H

#include "bus/platform.h"
#include "virtio/pci.h"
#include "virtio_fake.h"

#include <linux/virtio_pci.h>

#define BASE     0xc0000000u
#define MOVED    UINT64_C(0x140000000) /* where TamaGo puts it */
#define SLOT     1
#define N_VECTOR (FAKE_QUEUES + 1)
#define COMMON   60u /* bytes of it */

struct rig {
	struct fake_machine *machine;
	struct virtio_dev *dev;
	struct rig_ring *ring;
	struct virtio_pci function;
	struct pci pci;
	struct device control;
	struct bus bus;
	gpa_t base; /* where the guest has the BAR */
	/* By capability: where in the BAR. */
	uint32_t common, notify, isr, config, multiplier;
	unsigned int window;
	gpa_t bell[FAKE_QUEUES]; /* bound there; 0: not */
	unsigned int n_sent;
	uint32_t data;
};

static struct rig *the_rig;

static inline int send(void *ctx, uint64_t address, uint32_t data)
{
	struct rig *rig = ctx;

	assert_true(address == 0xfee00000);
	rig->n_sent++;
	rig->data = data;
	return 0;
}

static inline int bind_bell(void *, const struct virtio_doorbell *bell, int fd, bool on)
{
	struct rig *rig = the_rig;

	assert_true(!bell->has_match && bell->size == 0);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++) {
		if (fd != rig->dev->queue[i].kick.fd)
			continue;
		assert_true(on ? !rig->bell[i] : rig->bell[i] == bell->gpa);
		rig->bell[i] = on ? bell->gpa : 0;
	}
	return 0;
}

static inline uint64_t cfg(struct rig *rig, unsigned int offset, unsigned int size)
{
	return pci_read(&rig->pci, SLOT, offset, size);
}

static inline void set_cfg(struct rig *rig, unsigned int offset, unsigned int size, uint64_t value)
{
	pci_write(&rig->pci, SLOT, offset, size, value);
}

/* As drivers do: along the chain; each capability in the BAR and all within it. */
static inline void find_capabilities(struct rig *rig)
{
	unsigned int at = (unsigned int)cfg(rig, PCI_CAPABILITY_LIST, 1), n = 0;

	for (; at; at = (unsigned int)cfg(rig, at + PCI_CAP_LIST_NEXT, 1), n++) {
		uint32_t offset = (uint32_t)cfg(rig, at + VIRTIO_PCI_CAP_OFFSET, 4);
		uint32_t length = (uint32_t)cfg(rig, at + VIRTIO_PCI_CAP_LENGTH, 4);

		assert_true(n < 8 && at % 4 == 0);
		if (cfg(rig, at, 1) != PCI_CAP_ID_VNDR)
			continue;
		assert_int_equal(cfg(rig, at + VIRTIO_PCI_CAP_BAR, 1), 0);
		assert_true(range_within(offset, length, 0, VIRTIO_PCI_BAR_SIZE));
		switch (cfg(rig, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			rig->common = offset;
			assert_int_equal(length, COMMON);
			assert_int_equal(offset % 4, 0);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			rig->notify = offset;
			rig->multiplier = (uint32_t)cfg(rig, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			assert_int_equal(cfg(rig, at + VIRTIO_PCI_CAP_LEN, 1), 20);
			assert_true((FAKE_QUEUES - 1) * rig->multiplier + 2 <= length);
			assert_int_equal(offset % 2, 0);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			rig->isr = offset;
			assert_true(length >= 1);
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			rig->config = offset;
			assert_true(length >= FAKE_CONFIG && offset % 4 == 0);
			break;
		default:
			assert_int_equal(
				cfg(rig, at + VIRTIO_PCI_CAP_CFG_TYPE, 1), VIRTIO_PCI_CAP_PCI_CFG);
			assert_int_equal(cfg(rig, at + VIRTIO_PCI_CAP_LEN, 1), 20);
			rig->window = at;
		}
	}
	assert_true(rig->notify && rig->isr && rig->config && rig->window);
}

static inline int set_up(void **state)
{
	struct rig *rig = the_rig = *state = calloc(1, sizeof(*rig));

	rig->machine = fake_machine_create();
	rig->machine->env.bind = bind_bell;
	rig->dev = &rig->machine->fake.dev;
	rig->ring = rig->machine->ring;
	rig->base = BASE;
	device_init(&rig->control, "control", NULL);
	pci_init(&rig->pci, &rig->control);
	virtio_pci_init(&rig->function, rig->dev, BASE, send, rig);
	pci_add(&rig->pci, SLOT, &rig->function.function);
	bus_add(&rig->bus, PLATFORM_ECAM_BASE, PLATFORM_ECAM_SIZE, &rig->pci.ecam);
	bus_ask(&rig->bus, pci_find, &rig->pci);
	find_capabilities(rig);
	return 0;
}

static inline int tear_down(void **state)
{
	struct rig *rig = *state;

	fake_machine_destroy(rig->machine);
	pci_fini(&rig->pci);
	device_fini(&rig->control);
	free(rig);
	return 0;
}

static inline uint64_t bar(struct rig *rig, uint32_t offset, unsigned int size)
{
	return bus_read(&rig->bus, rig->base + offset, size);
}

static inline void set_bar(struct rig *rig, uint32_t offset, unsigned int size, uint64_t value)
{
	bus_write(&rig->bus, rig->base + offset, size, value);
}

static inline uint32_t get(struct rig *rig, uint32_t field, unsigned int size)
{
	return (uint32_t)bar(rig, rig->common + field, size);
}

static inline void set(struct rig *rig, uint32_t field, unsigned int size, uint64_t value)
{
	set_bar(rig, rig->common + field, size, value);
}

static inline uint8_t status(struct rig *rig)
{
	return (uint8_t)get(rig, VIRTIO_PCI_COMMON_STATUS, 1);
}

/* ---- a driver, in the order of Linux's ---- */

static inline void write_rings(struct rig *rig, const struct rig_ring *ring)
{
	set(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, ring->size);
	set(rig, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)ring->desc_at);
	set(rig, VIRTIO_PCI_COMMON_Q_DESCHI, 4, ring->desc_at >> 32);
	set(rig, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, ring->avail_at);
	set(rig, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)ring->used_at);
	set(rig, VIRTIO_PCI_COMMON_Q_USEDHI, 4, ring->used_at >> 32);
}

static inline void set_up_queue(struct rig *rig, uint16_t index, gpa_t at)
{
	set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2), FAKE_QUEUE_SIZE);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_NOFF, 2), index);
	rig_ring_init(&rig->ring[index], &rig->machine->mem, at, 8);
	write_rings(rig, &rig->ring[index]);
	set(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, index + 1u);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), index + 1u);
	set(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static inline uint32_t table(struct rig *rig)
{
	return (uint32_t)cfg(rig, rig->function.msix.capability + PCI_MSIX_TABLE, 4);
}

static inline void set_msix(struct rig *rig, uint16_t value)
{
	set_cfg(rig, rig->function.msix.capability + PCI_MSIX_FLAGS, 2, value);
}

static inline void set_vector(struct rig *rig, unsigned int vector, bool masked)
{
	uint32_t entry = table(rig) + 16 * vector;

	set_bar(rig, entry, 8, 0xfee00000);
	set_bar(rig, entry + 8, 4, 0x60 + vector);
	set_bar(rig, entry + 12, 4, masked);
}

static inline void agree(struct rig *rig)
{
	uint64_t offered = 0;

	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(status(rig), 0);
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, S_DRIVER);
	for (uint32_t word = 2; word-- > 0;) {
		set(rig, VIRTIO_PCI_COMMON_DFSELECT, 4, word);
		offered = offered << 32 | get(rig, VIRTIO_PCI_COMMON_DF, 4);
	}
	assert_true((offered & FAKE_FEATURES) == FAKE_FEATURES);
	offered &= ~VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX);
	for (uint32_t word = 2; word-- > 0;) {
		set(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		set(rig, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(offered >> 32 * word));
		assert_int_equal(
			get(rig, VIRTIO_PCI_COMMON_GF, 4), (uint32_t)(offered >> 32 * word));
	}
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, S_FEATURES_OK);
	assert_int_equal(status(rig), S_FEATURES_OK);
}

static inline void bring_up(struct rig *rig)
{
	agree(rig);
	set_msix(rig, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int i = 0; i < N_VECTOR; i++)
		set_vector(rig, i, false);
	set(rig, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_MSIX, 2), 0);
	set_up_queue(rig, 0, 0x1000);
	set_up_queue(rig, 1, RIG_HIGH + 0x1000);
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, S_RUNNING);
	assert_int_equal(status(rig), S_RUNNING);
}

static inline void offer(struct rig *rig, unsigned int index)
{
	struct rig_ring *ring = &rig->ring[index];

	rig_offer_one(ring, ring->n_offered % 8, 0x20000, 4, VRING_DESC_F_WRITE);
}

static inline void ask(struct rig *rig, uint16_t index)
{
	offer(rig, index);
	set_bar(rig, rig->notify + index * rig->multiplier, 2, index);
	fake_run_loop(rig->machine);
}

#endif
