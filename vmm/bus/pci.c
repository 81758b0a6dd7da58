// SPDX-License-Identifier: MIT
/* pci.c - a PCI bus */

#include "bus/pci.h"

#include "util/bits.h"

#include <string.h>

#define FUNCTION_SHIFT 12 /* of an ECAM address: 4 KiB each, eight of them a device */
#define SLOT_SHIFT     15

/* Port 0xcf8 */
#define ADDRESS_ENABLE   0x80000000u
#define ADDRESS_WRITABLE 0x80fffffcu
#define DATA_OFFSET      4 /* of port 0xcfc */
#define RESET_OFFSET     1 /* of port 0xcf9 */

/* What EDK2 knows Cloud Hypervisor by, and then works as we are: RAM by the PVH memory map. */
static const struct pci_id bridge_id = { .vendor = 0x8086, .device = 0x0d57, .class = 0x060000 };

/* ---- a function's registers ---- */

uint16_t pci_get16(const struct pci_function *function, unsigned int offset)
{
	uint16_t value;

	memcpy(&value, function->config + offset, sizeof(value));
	return value;
}

uint32_t pci_get32(const struct pci_function *function, unsigned int offset)
{
	uint32_t value;

	memcpy(&value, function->config + offset, sizeof(value));
	return value;
}

void pci_set16(struct pci_function *function, unsigned int offset, uint16_t value)
{
	memcpy(function->config + offset, &value, sizeof(value));
}

void pci_set32(struct pci_function *function, unsigned int offset, uint32_t value)
{
	memcpy(function->config + offset, &value, sizeof(value));
}

static void let_write(struct pci_function *function, unsigned int offset, uint32_t mask)
{
	for (unsigned int i = 0; i < 4; i++)
		function->writable[offset + i] |= (uint8_t)(mask >> 8 * i);
}

void pci_function_init(struct pci_function *function, const struct pci_id *id, struct device *dev,
	const struct pci_ops *ops)
{
	*function = (struct pci_function){
		.dev = dev,
		.ops = ops,
		.free = PCI_STD_HEADER_SIZEOF,
		.link = PCI_CAPABILITY_LIST,
		.at = PCI_NOWHERE,
	};
	pci_set16(function, PCI_VENDOR_ID, id->vendor);
	pci_set16(function, PCI_DEVICE_ID, id->device);
	pci_set32(function, PCI_CLASS_REVISION, id->class << 8 | id->revision);
	pci_set16(function, PCI_SUBSYSTEM_VENDOR_ID, id->subsystem_vendor);
	pci_set16(function, PCI_SUBSYSTEM_ID, id->subsystem);
	let_write(function, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	let_write(function, PCI_CACHE_LINE_SIZE, 0xff);
	let_write(function, PCI_INTERRUPT_LINE, 0xff);
}

unsigned int pci_add_capability(
	struct pci_function *function, uint8_t id, const void *body, unsigned int size)
{
	unsigned int at = function->free;

	BUG_ON(size < PCI_CAP_SIZEOF || size % 4 || at + size > PCI_CFG_SPACE_SIZE);
	memcpy(function->config + at, body, size);
	function->config[at + PCI_CAP_LIST_ID] = id;
	function->config[at + PCI_CAP_LIST_NEXT] = 0;
	function->config[function->link] = (uint8_t)at;
	function->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	function->link = at + PCI_CAP_LIST_NEXT;
	function->free = at + size;
	return at;
}

/* All ones, once written, read back as the size. */
void pci_set_bar(struct pci_function *function, uint64_t base, uint64_t size)
{
	BUG_ON(!is_power_of_2(size) || size < 16 || base % size);
	function->bar_size = size;
	pci_set32(function, PCI_BASE_ADDRESS_0, (uint32_t)base | PCI_BASE_ADDRESS_MEM_TYPE_64);
	pci_set32(function, PCI_BASE_ADDRESS_1, (uint32_t)(base >> 32));
	pci_set16(function, PCI_COMMAND, PCI_COMMAND_MEMORY);
	let_write(function, PCI_BASE_ADDRESS_0, (uint32_t)-size);
	let_write(function, PCI_BASE_ADDRESS_1, (uint32_t)(-size >> 32));
	let_write(function, PCI_COMMAND, PCI_COMMAND_MEMORY);
}

static uint64_t bar_of(const struct pci_function *function)
{
	if (!function->bar_size || !(pci_get16(function, PCI_COMMAND) & PCI_COMMAND_MEMORY))
		return PCI_NOWHERE;
	return (uint64_t)pci_get32(function, PCI_BASE_ADDRESS_1) << 32 |
	       (pci_get32(function, PCI_BASE_ADDRESS_0) & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK);
}

static void follow_bar(struct pci_function *function)
{
	uint64_t at = bar_of(function);

	if (at == function->at)
		return;
	pthread_mutex_lock(&function->pci->lock);
	function->at = at;
	pthread_mutex_unlock(&function->pci->lock);
	if (function->ops && function->ops->moved)
		function->ops->moved(function);
}

static uint64_t read_config(struct pci_function *function, unsigned int offset, unsigned int size)
{
	uint64_t value = 0;

	/* Linux would look for extended capabilities behind anything but all ones. */
	if (!range_within(offset, size, 0, PCI_CFG_SPACE_SIZE))
		return UINT64_MAX;
	if (function->ops && function->ops->reading)
		function->ops->reading(function, offset, size);
	memcpy(&value, function->config + offset, size);
	return value;
}

static void write_config(
	struct pci_function *function, unsigned int offset, unsigned int size, uint64_t value)
{
	if (!range_within(offset, size, 0, PCI_CFG_SPACE_SIZE))
		return;
	for (unsigned int i = offset; i < offset + size; i++, value >>= 8)
		function->config[i] = (uint8_t)((function->config[i] & ~function->writable[i]) |
						(value & function->writable[i]));
	follow_bar(function);
	if (function->ops && function->ops->written)
		function->ops->written(function, offset, size);
}

/* ---- the bus ---- */

static struct pci_function *function_at(
	const struct pci *pci, unsigned int slot, unsigned int offset, unsigned int size)
{
	return slot < PCI_SLOTS && range_within(offset, size, 0, PCI_CFG_SPACE_EXP_SIZE)
	               ? pci->slot[slot]
	               : NULL;
}

uint64_t pci_read(struct pci *pci, unsigned int slot, unsigned int offset, unsigned int size)
{
	struct pci_function *function = function_at(pci, slot, offset, size);
	uint64_t value;

	if (!function)
		return UINT64_MAX;
	pthread_mutex_lock(&function->dev->lock);
	value = read_config(function, offset, size);
	pthread_mutex_unlock(&function->dev->lock);
	return value;
}

void pci_write(
	struct pci *pci, unsigned int slot, unsigned int offset, unsigned int size, uint64_t value)
{
	struct pci_function *function = function_at(pci, slot, offset, size);

	if (!function)
		return;
	pthread_mutex_lock(&function->dev->lock);
	write_config(function, offset, size, value);
	pthread_mutex_unlock(&function->dev->lock);
}

struct device *pci_find(void *ctx, uint64_t addr, unsigned int size, uint64_t *offset)
{
	struct pci *pci = ctx;
	struct device *dev = NULL;

	pthread_mutex_lock(&pci->lock);
	for (unsigned int i = 0; i < PCI_SLOTS && !dev; i++) {
		const struct pci_function *function = pci->slot[i];

		if (!function || function->at == PCI_NOWHERE ||
			!range_within(addr, size, function->at, function->bar_size))
			continue;
		*offset = addr - function->at;
		dev = function->dev;
	}
	pthread_mutex_unlock(&pci->lock);
	return dev;
}

/* ---- by memory ---- */

/* Functions beside the first of a device are not there. */
static unsigned int ecam_slot(uint64_t offset)
{
	return offset >> FUNCTION_SHIFT & 7 ? PCI_SLOTS : (unsigned int)(offset >> SLOT_SHIFT);
}

static uint64_t ecam_read(struct device *dev, uint64_t offset, unsigned int size)
{
	struct pci *pci = (struct pci *)((char *)dev - offsetof(struct pci, ecam));

	return pci_read(pci, ecam_slot(offset), offset & (PCI_CFG_SPACE_EXP_SIZE - 1), size);
}

static void ecam_write(struct device *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci *pci = (struct pci *)((char *)dev - offsetof(struct pci, ecam));

	pci_write(pci, ecam_slot(offset), offset & (PCI_CFG_SPACE_EXP_SIZE - 1), size, value);
}

static void reset_function(struct pci_function *function)
{
	struct device *dev = function->dev;

	pthread_mutex_lock(&dev->lock);
	if (dev->ops && dev->ops->reset)
		dev->ops->reset(dev);
	memcpy(function->config, function->fresh, sizeof(function->config));
	follow_bar(function);
	pthread_mutex_unlock(&dev->lock);
}

/* That of all functions, who are on no other bus. */
static void ecam_reset(struct device *dev)
{
	struct pci *pci = (struct pci *)((char *)dev - offsetof(struct pci, ecam));

	for (unsigned int i = 0; i < PCI_SLOTS; i++)
		if (pci->slot[i])
			reset_function(pci->slot[i]);
}

static const struct device_ops ecam_ops = {
	.read = ecam_read,
	.write = ecam_write,
	.reset = ecam_reset,
};

/* ---- by ports ---- */

/* Of bus 0, function 0, while the address is enabled. */
static unsigned int ports_slot(const struct pci *pci)
{
	if (!(pci->address & ADDRESS_ENABLE) || pci->address & 0x00ff0700)
		return PCI_SLOTS;
	return pci->address >> 11 & (PCI_SLOTS - 1);
}

static unsigned int ports_register(const struct pci *pci, uint64_t offset)
{
	return (pci->address & 0xfc) + (unsigned int)(offset - DATA_OFFSET);
}

/* The address is reached by all of its four bytes alone. */
static uint64_t ports_read(struct device *dev, uint64_t offset, unsigned int size)
{
	struct pci *pci = (struct pci *)((char *)dev - offsetof(struct pci, ports));
	struct device *reset = pci->reset_control;

	if (offset >= DATA_OFFSET)
		return pci_read(pci, ports_slot(pci), ports_register(pci, offset), size);
	if (offset == RESET_OFFSET && size == 1)
		return reset->ops->read(reset, 0, size);
	return offset == 0 && size == 4 ? pci->address : UINT64_MAX;
}

static void ports_write(struct device *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci *pci = (struct pci *)((char *)dev - offsetof(struct pci, ports));
	struct device *reset = pci->reset_control;

	if (offset >= DATA_OFFSET)
		pci_write(pci, ports_slot(pci), ports_register(pci, offset), size, value);
	else if (offset == RESET_OFFSET && size == 1)
		reset->ops->write(reset, 0, size, value);
	else if (offset == 0 && size == 4)
		pci->address = (uint32_t)value & ADDRESS_WRITABLE;
}

static void ports_reset(struct device *dev)
{
	struct pci *pci = (struct pci *)((char *)dev - offsetof(struct pci, ports));
	struct device *reset = pci->reset_control;

	pci->address = 0;
	if (reset->ops->reset)
		reset->ops->reset(reset);
}

static const struct device_ops ports_ops = {
	.read = ports_read,
	.write = ports_write,
	.reset = ports_reset,
};

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_FIELD(struct pci, address, 1),
	STATE_END,
};

const struct state_table pci_state = { "pci", 1, fields };

static const struct state_field function_fields[] = {
	STATE_BLOB(struct pci_function, config, 1),
	STATE_END,
};

const struct state_table pci_function_state = { "pci-function", 1, function_fields };

int pci_load_function(struct pci_function *function, struct state_reader *reader, struct diag *diag)
{
	struct pci_function saved = { 0 };
	int ret = state_load(reader, &pci_function_state, function->slot, &saved, diag);

	if (ret)
		return ret;
	for (unsigned int i = 0; i < PCI_CFG_SPACE_SIZE; i++)
		function->config[i] = (uint8_t)((function->config[i] & ~function->writable[i]) |
						(saved.config[i] & function->writable[i]));
	follow_bar(function);
	return 0;
}

/* ---- its making ---- */

void pci_init(struct pci *pci, struct device *reset_control)
{
	*pci = (struct pci){ .reset_control = reset_control };
	pthread_mutex_init(&pci->lock, NULL);
	device_init(&pci->ecam, "PCI configuration", &ecam_ops);
	device_init(&pci->ports, "PCI configuration ports", &ports_ops);
	device_init(&pci->bridge_dev, "PCI host bridge", NULL);
	pci_function_init(&pci->bridge, &bridge_id, &pci->bridge_dev, NULL);
	pci_add(pci, 0, &pci->bridge);
}

void pci_fini(struct pci *pci)
{
	device_fini(&pci->bridge_dev);
	device_fini(&pci->ports);
	device_fini(&pci->ecam);
	pthread_mutex_destroy(&pci->lock);
}

void pci_add(struct pci *pci, unsigned int slot, struct pci_function *function)
{
	BUG_ON(slot >= PCI_SLOTS || pci->slot[slot] || function->pci);
	function->pci = pci;
	function->slot = slot;
	function->at = bar_of(function);
	memcpy(function->fresh, function->config, sizeof(function->fresh));
	pci->slot[slot] = function;
}
