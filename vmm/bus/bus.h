/* SPDX-License-Identifier: MIT */
/* bus.h - from an address that the guest touched to the device that answers
 *
 * Two buses, ports and MMIO, each a table that is filled before the VM runs and constant after;
 * what moves is behind bus_ask().
 * bus_read() and bus_write() take the device's lock around its callback; with loop.h's sources they
 * are the only takers, so device code always holds its lock and never takes it.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <pthread.h>
#include <stdint.h>

struct device;

struct device_ops {
	/* `offset` is relative to the range; size is 1, 2, 4 or 8 and within the range.  read
	 * returns the value in its low bytes.  Guest-driven: never fails, never blocks.
	 */
	uint64_t (*read)(struct device *dev, uint64_t offset, unsigned int size);
	void (*write)(struct device *dev, uint64_t offset, unsigned int size, uint64_t value);
	/* As it was when it was made.  NULL: the guest changes nothing in it. */
	void (*reset)(struct device *dev);
};

/* Embedded first in every device. */
struct device {
	const char *name;
	const struct device_ops *ops;
	pthread_mutex_t lock;
};

void device_init(struct device *dev, const char *name, const struct device_ops *ops);
void device_fini(struct device *dev);

#define BUS_MAX_RANGES 32

struct bus_range {
	uint64_t base, size;
	struct device *dev;
};

struct bus {
	struct bus_range range[BUS_MAX_RANGES]; /* sorted by base, disjoint */
	unsigned int n_ranges;
	/* See bus_ask(). */
	struct device *(*find)(void *ctx, uint64_t addr, unsigned int size, uint64_t *offset);
	void *find_ctx;
};

/* Before the VM runs.  An overlap or a full table is our bug. */
void bus_add(struct bus *bus, uint64_t base, uint64_t size, struct device *dev);

/* Before the VM runs.  Who answers at an address in no range, and at which offset, is to be asked
 * of `find` at each access, for the guest may change it: any vCPU's thread, no lock held.  NULL:
 * nobody.  Devices that are found so are not bus_reset()'s.
 */
void bus_ask(struct bus *bus,
	struct device *(*find)(void *ctx, uint64_t addr, unsigned int size, uint64_t *offset),
	void *ctx);

/* Any vCPU thread.  What nobody claims, or an access that crosses a range's end, reads as all ones
 * and ignores writes, as an empty bus does.
 */
uint64_t bus_read(const struct bus *bus, uint64_t addr, unsigned int size);
void bus_write(const struct bus *bus, uint64_t addr, unsigned int size, uint64_t value);

/* Reset every device, while no vCPU runs.  The loop's thread. */
void bus_reset(const struct bus *bus);

#endif
