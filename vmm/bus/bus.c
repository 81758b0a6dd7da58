// SPDX-License-Identifier: MIT
/* bus.c - address to device dispatch */

#include "bus/bus.h"

#include "util/bits.h"

#include <string.h>

void device_init(struct device *dev, const char *name, const struct device_ops *ops)
{
	dev->name = name;
	dev->ops = ops;
	pthread_mutex_init(&dev->lock, NULL);
}

void device_fini(struct device *dev)
{
	pthread_mutex_destroy(&dev->lock);
}

void bus_add(struct bus *bus, uint64_t base, uint64_t size, struct device *dev)
{
	unsigned int i = bus->n_ranges;

	BUG_ON(i == BUS_MAX_RANGES || !size || base + size < base);
	while (i > 0 && bus->range[i - 1].base > base)
		i--;
	BUG_ON(i > 0 && bus->range[i - 1].base + bus->range[i - 1].size > base);
	BUG_ON(i < bus->n_ranges && base + size > bus->range[i].base);
	memmove(&bus->range[i + 1], &bus->range[i], (bus->n_ranges - i) * sizeof(bus->range[0]));
	bus->range[i] = (struct bus_range){ base, size, dev };
	bus->n_ranges++;
}

void bus_ask(struct bus *bus,
	struct device *(*find)(void *ctx, uint64_t addr, unsigned int size, uint64_t *offset),
	void *ctx)
{
	BUG_ON(bus->find);
	bus->find = find;
	bus->find_ctx = ctx;
}

/* The range that `addr` is in. */
static const struct bus_range *range_at(const struct bus *bus, uint64_t addr)
{
	unsigned int low = 0, high = bus->n_ranges;

	while (low < high) {
		unsigned int mid = (low + high) / 2;
		const struct bus_range *range = &bus->range[mid];

		if (addr < range->base)
			high = mid;
		else if (addr - range->base >= range->size)
			low = mid + 1;
		else
			return range;
	}
	return NULL;
}

static struct device *bus_find(
	const struct bus *bus, uint64_t addr, unsigned int size, uint64_t *offset)
{
	const struct bus_range *range = range_at(bus, addr);

	if (!range)
		return bus->find ? bus->find(bus->find_ctx, addr, size, offset) : NULL;
	*offset = addr - range->base;
	return range_within(addr, size, range->base, range->size) ? range->dev : NULL;
}

uint64_t bus_read(const struct bus *bus, uint64_t addr, unsigned int size)
{
	uint64_t offset, value;
	struct device *dev = bus_find(bus, addr, size, &offset);

	if (!dev)
		return UINT64_MAX;
	pthread_mutex_lock(&dev->lock);
	value = dev->ops->read(dev, offset, size);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

void bus_write(const struct bus *bus, uint64_t addr, unsigned int size, uint64_t value)
{
	uint64_t offset;
	struct device *dev = bus_find(bus, addr, size, &offset);

	if (!dev)
		return;
	pthread_mutex_lock(&dev->lock);
	dev->ops->write(dev, offset, size, value);
	pthread_mutex_unlock(&dev->lock);
}

void bus_reset(const struct bus *bus)
{
	for (unsigned int i = 0; i < bus->n_ranges; i++) {
		struct device *dev = bus->range[i].dev;

		if (!dev->ops->reset)
			continue;
		pthread_mutex_lock(&dev->lock);
		dev->ops->reset(dev);
		pthread_mutex_unlock(&dev->lock);
	}
}
