// SPDX-License-Identifier: MIT
/* test_pci.c - a PCI bus: configuration by ECAM and by ports, and BARs that move */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/pci.h"
#include "bus/platform.h"
#include "util/bits.h"

#include <errno.h>
#include <string.h>

#define DATA_PORT  (PLATFORM_PCI_PORT + 4)
#define N_BARS     2
#define BAR_SIZE   0x4000u
#define BAR(slot)  (0xc0000000u + (slot)*BAR_SIZE)
#define ONES(size) (UINT64_MAX >> (64 - 8 * (size)))

/* A device whose memory tells where it was asked. */
struct probe {
	struct device dev; /* first */
	struct pci_function function;
	unsigned int n_reads, n_written, n_moved, n_resets;
	uint64_t at; /* as it was last told */
};

struct rig {
	struct pci pci;
	struct bus mmio, pio;
	struct device reset_control;
	uint8_t reset_value;
	struct probe probe[N_BARS]; /* in the slots 1 and 5 */
};

static struct rig rig;
static const unsigned int slot_of[N_BARS] = { 1, 5 };

static void assert_locked(struct device *dev)
{
	assert_int_equal(pthread_mutex_trylock(&dev->lock), EBUSY);
}

static uint64_t probe_read(struct device *dev, uint64_t offset, unsigned int size)
{
	assert_locked(dev);
	assert_true(range_within(offset, size, 0, BAR_SIZE));
	((struct probe *)dev)->n_reads++;
	return offset;
}

static void probe_write(struct device *dev, uint64_t, unsigned int, uint64_t)
{
	assert_locked(dev);
}

static void probe_reset(struct device *dev)
{
	assert_locked(dev);
	((struct probe *)dev)->n_resets++;
}

static const struct device_ops probe_ops = { probe_read, probe_write, probe_reset };

static struct probe *probe_of(struct pci_function *function)
{
	return (struct probe *)((char *)function - offsetof(struct probe, function));
}

static void reading(struct pci_function *function, unsigned int offset, unsigned int size)
{
	assert_locked(function->dev);
	assert_true(range_within(offset, size, 0, 256));
}

static void written(struct pci_function *function, unsigned int offset, unsigned int size)
{
	reading(function, offset, size);
	probe_of(function)->n_written++;
}

static void moved(struct pci_function *function)
{
	struct probe *probe = probe_of(function);

	assert_locked(function->dev);
	assert_true(probe->at != function->at);
	probe->at = function->at;
	probe->n_moved++;
}

static const struct pci_ops ops = { reading, written, moved };

static uint64_t control_read(struct device *, uint64_t offset, unsigned int size)
{
	assert_true(offset == 0 && size == 1);
	return rig.reset_value;
}

static void control_write(struct device *, uint64_t offset, unsigned int size, uint64_t value)
{
	assert_true(offset == 0 && size == 1);
	rig.reset_value = (uint8_t)value;
}

static void control_reset(struct device *)
{
	rig.reset_value = 0;
}

static const struct device_ops control_ops = { control_read, control_write, control_reset };

static void put(struct probe *probe, unsigned int slot)
{
	const struct pci_id id = { 0x1234, (uint16_t)(0x5670 + slot), 3, 0x010203, 0xabcd, 0xef01 };
	uint8_t body[8] = { 0, 0, 8, 0x5a, 1, 2, 3, 4 };

	device_init(&probe->dev, "probe", &probe_ops);
	pci_function_init(&probe->function, &id, &probe->dev, &ops);
	assert_int_equal(pci_add_capability(&probe->function, 9, body, 8), 0x40);
	assert_int_equal(pci_add_capability(&probe->function, 0x11, body, 8), 0x48);
	pci_set_bar(&probe->function, BAR(slot), BAR_SIZE);
	pci_add(&rig.pci, slot, &probe->function);
	probe->at = probe->function.at;
}

static int set_up(void **)
{
	memset(&rig, 0, sizeof(rig));
	device_init(&rig.reset_control, "reset control", &control_ops);
	pci_init(&rig.pci, &rig.reset_control);
	bus_add(&rig.pio, PLATFORM_PCI_PORT, PLATFORM_PCI_PORT_SIZE, &rig.pci.ports);
	bus_add(&rig.mmio, PLATFORM_ECAM_BASE, PLATFORM_ECAM_SIZE, &rig.pci.ecam);
	bus_ask(&rig.mmio, pci_find, &rig.pci);
	for (unsigned int i = 0; i < N_BARS; i++)
		put(&rig.probe[i], slot_of[i]);
	return 0;
}

static int tear_down(void **)
{
	for (unsigned int i = 0; i < N_BARS; i++)
		device_fini(&rig.probe[i].dev);
	pci_fini(&rig.pci);
	device_fini(&rig.reset_control);
	return 0;
}

static uint64_t ecam_at(unsigned int slot, unsigned int offset)
{
	return PLATFORM_ECAM_BASE + ((uint64_t)slot << 15) + offset;
}

static uint64_t get(unsigned int slot, unsigned int offset, unsigned int size)
{
	return bus_read(&rig.mmio, ecam_at(slot, offset), size) & ONES(size);
}

static void set(unsigned int slot, unsigned int offset, unsigned int size, uint64_t value)
{
	bus_write(&rig.mmio, ecam_at(slot, offset), size, value);
}

static void choose(unsigned int slot, unsigned int offset)
{
	bus_write(&rig.pio, PLATFORM_PCI_PORT, 4, 0x80000000u | slot << 11 | (offset & 0xfc));
}

static uint64_t port_get(unsigned int slot, unsigned int offset, unsigned int size)
{
	choose(slot, offset);
	return bus_read(&rig.pio, DATA_PORT + (offset & 3), size) & ONES(size);
}

/* ---- configuration ---- */

static void test_header(void **)
{
	assert_int_equal(get(1, PCI_VENDOR_ID, 4), 0x56711234);
	assert_int_equal(get(1, PCI_CLASS_REVISION, 4), 0x01020303);
	assert_int_equal(get(1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xef01abcd);
	assert_int_equal(get(1, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_NORMAL);
	assert_int_equal(get(1, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(get(1, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_int_equal(get(0, PCI_VENDOR_ID, 4), 0x0d578086);
	assert_int_equal(get(0, PCI_CLASS_DEVICE, 2), 0x0600);
	assert_int_equal(get(0, PCI_STATUS, 2), 0);
	assert_int_equal(get(0, PCI_BASE_ADDRESS_0, 4), 0);
}

static void test_capabilities(void **)
{
	assert_int_equal(get(1, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(get(1, PCI_CAPABILITY_LIST, 1), 0x40);
	assert_int_equal(get(1, 0x40, 4), 0x5a084809);
	assert_int_equal(get(1, 0x48, 4), 0x5a080011);
	assert_int_equal(get(1, 0x4c, 4), 0x04030201);
}

/* What is not there, and what a function has no more of, reads as ones. */
static void test_absent(void **)
{
	for (unsigned int size = 1; size <= 8; size *= 2) {
		assert_true(get(2, 0, size) == ONES(size));
		assert_true(get(31, 0, size) == ONES(size));
		assert_true(get(1, 0x1000, size) == ONES(size)); /* function 1 */
		assert_true(get(1, 0x7000, size) == ONES(size));
		assert_true(get(1, 0x100, size) == ONES(size));
		set(2, 0, size, 0);
		set(1, 0x100, size, 0);
	}
	assert_true(get(1, 0xfe, 4) == ONES(4)); /* across the end */
	assert_int_equal(get(1, 0xfc, 4), 0);
	assert_int_equal(rig.probe[0].n_written, 0);
}

static void test_ports_are_the_same(void **)
{
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++)
		for (unsigned int offset = 0; offset < 256; offset++)
			for (unsigned int size = 1; size <= 4 - (offset & 3) && size <= 4;
				size *= 2)
				assert_int_equal(
					port_get(slot, offset, size), get(slot, offset, size));
	for (unsigned int i = 0; i < 4; i++) {
		choose(5, PCI_BASE_ADDRESS_1);
		bus_write(&rig.pio, DATA_PORT + i, 1, 0x10 + i);
	}
	assert_int_equal(get(5, PCI_BASE_ADDRESS_1, 4), 0x13121110);
	choose(5, PCI_BASE_ADDRESS_1);
	bus_write(&rig.pio, DATA_PORT + 2, 2, 0xbeef);
	assert_int_equal(get(5, PCI_BASE_ADDRESS_1, 4), 0xbeef1110);
}

static uint32_t address(void)
{
	return (uint32_t)bus_read(&rig.pio, PLATFORM_PCI_PORT, 4);
}

static void test_address_port(void **)
{
	static const uint32_t nobody[] = { 0x00000800, 0x80010800, 0x80ff0800, 0x80000900 };

	bus_write(&rig.pio, PLATFORM_PCI_PORT + 3, 1, 1); /* Linux's first act */
	assert_int_equal(address(), 0);
	bus_write(&rig.pio, PLATFORM_PCI_PORT, 4, 0xffffffff);
	assert_int_equal(address(), 0x80fffffc);
	bus_write(&rig.pio, PLATFORM_PCI_PORT, 4, 0x80000000);
	assert_int_equal(address(), 0x80000000);
	bus_write(&rig.pio, PLATFORM_PCI_PORT, 2, 0x1234);
	bus_write(&rig.pio, PLATFORM_PCI_PORT + 2, 2, 0x1234);
	assert_int_equal(address(), 0x80000000);
	assert_int_equal(bus_read(&rig.pio, PLATFORM_PCI_PORT, 1) & 0xff, 0xff);
	assert_int_equal(bus_read(&rig.pio, PLATFORM_PCI_PORT, 2) & 0xffff, 0xffff);
	for (unsigned int i = 0; i < ARRAY_SIZE(nobody); i++) {
		bus_write(&rig.pio, PLATFORM_PCI_PORT, 4, nobody[i]);
		assert_int_equal(bus_read(&rig.pio, DATA_PORT, 4) & ONES(4), ONES(4));
	}
	assert_int_equal(port_get(1, 0, 4), 0x56711234);
}

static void test_reset_control(void **)
{
	bus_write(&rig.pio, PLATFORM_RESET_CONTROL_PORT, 1, 6);
	assert_int_equal(rig.reset_value, 6);
	assert_int_equal(bus_read(&rig.pio, PLATFORM_RESET_CONTROL_PORT, 1), 6);
	bus_write(&rig.pio, PLATFORM_RESET_CONTROL_PORT, 2, 0x0e0e);
	bus_write(&rig.pio, PLATFORM_PCI_PORT, 4, 0x80000e00);
	assert_int_equal(rig.reset_value, 6);
	assert_int_equal(bus_read(&rig.pio, PLATFORM_RESET_CONTROL_PORT, 2) & 0xffff, 0xffff);
}

/* ---- BARs ---- */

static uint64_t at(uint64_t gpa)
{
	return bus_read(&rig.mmio, gpa, 4);
}

static void test_bar_is_sized(void **)
{
	set(1, PCI_COMMAND, 2, 0);
	set(1, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	set(1, PCI_BASE_ADDRESS_1, 4, 0xffffffff);
	assert_int_equal(
		get(1, PCI_BASE_ADDRESS_0, 4), (uint32_t)-BAR_SIZE | PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(get(1, PCI_BASE_ADDRESS_1, 4), 0xffffffff);
	for (unsigned int bar = 2; bar < 6; bar++) {
		set(1, PCI_BASE_ADDRESS_0 + 4 * bar, 4, 0xffffffff);
		assert_int_equal(get(1, PCI_BASE_ADDRESS_0 + 4 * bar, 4), 0);
	}
	set(1, PCI_ROM_ADDRESS, 4, 0xffffffff);
	assert_int_equal(get(1, PCI_ROM_ADDRESS, 4), 0);
	set(1, PCI_BASE_ADDRESS_0, 4, BAR(1));
	set(1, PCI_BASE_ADDRESS_1, 4, 0);
	set(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(at(BAR(1) + 0x123c), 0x123c);
	assert_int_equal(rig.probe[0].n_moved, 2); /* away, and back */
}

static void test_bar_moves(void **)
{
	assert_int_equal(at(BAR(5) + 8), 8);
	set(5, PCI_BASE_ADDRESS_0, 4, 0x40000000);
	set(5, PCI_BASE_ADDRESS_1, 4, 1);
	assert_true(at(BAR(5) + 8) == UINT64_MAX);
	assert_int_equal(at(0x140000008), 8);
	assert_true(rig.probe[1].at == 0x140000000);
	assert_int_equal(rig.probe[1].n_reads, 2);
	set(5, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_true(at(0x140000008) == UINT64_MAX);
	assert_true(rig.probe[1].at == PCI_NOWHERE);
	set(5, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_int_equal(at(0x140000008), 8);
}

/* The first of two at one place, ranges of the bus before either; nothing at the end wraps. */
static void test_bars_collide(void **)
{
	set(5, PCI_BASE_ADDRESS_0, 4, BAR(1));
	assert_int_equal(at(BAR(1) + 4), 4);
	assert_int_equal(rig.probe[0].n_reads, 1);
	assert_int_equal(rig.probe[1].n_reads, 0);
	set(5, PCI_BASE_ADDRESS_0, 4, PLATFORM_ECAM_BASE);
	assert_int_equal(get(1, 0, 4), 0x56711234);
	set(5, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	set(5, PCI_BASE_ADDRESS_1, 4, 0xffffffff);
	assert_int_equal(at(UINT64_MAX - 3), BAR_SIZE - 4);
	assert_true(at(UINT64_MAX - 2) == UINT64_MAX);
	assert_true(at(UINT64_MAX) == UINT64_MAX);
}

static void test_edges_of_a_bar(void **)
{
	assert_int_equal(at(BAR(1)), 0);
	assert_int_equal(at(BAR(1) + BAR_SIZE - 4), BAR_SIZE - 4);
	assert_true(at(BAR(1) + BAR_SIZE - 2) == UINT64_MAX);
	assert_true(at(BAR(1) - 4) == UINT64_MAX);
	assert_int_equal(rig.probe[0].n_reads, 2);
}

/* ---- a hostile guest ---- */

static void test_what_cannot_be_written(void **)
{
	uint8_t before[256];

	for (unsigned int slot = 0; slot <= 5; slot += 5) {
		for (unsigned int i = 0; i < 256; i++)
			before[i] = (uint8_t)get(slot, i, 1);
		for (unsigned int i = 0; i < 256; i++)
			set(slot, i, 1, ~get(slot, i, 1));
		for (unsigned int i = 0; i < 256; i++) {
			bool may = i == PCI_COMMAND || i == PCI_COMMAND + 1 ||
			           i == PCI_CACHE_LINE_SIZE || i == PCI_INTERRUPT_LINE ||
			           (slot && i >= PCI_BASE_ADDRESS_0 && i < PCI_BASE_ADDRESS_2);

			assert_true(may || get(slot, i, 1) == before[i]);
		}
		assert_int_equal(get(slot, PCI_COMMAND, 2) | 0x406, 0x406);
	}
}

static void test_reset(void **)
{
	static const uint64_t junk = 0xffffffffffffffff;

	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++)
		for (unsigned int offset = 0; offset < 0x1000; offset += 8)
			set(slot, offset, 8, junk);
	bus_write(&rig.pio, PLATFORM_PCI_PORT, 4, 0x80001234);
	bus_write(&rig.pio, PLATFORM_RESET_CONTROL_PORT, 1, 2);
	bus_reset(&rig.pio);
	bus_reset(&rig.mmio);
	assert_int_equal(address(), 0);
	assert_int_equal(rig.reset_value, 0);
	for (unsigned int i = 0; i < N_BARS; i++) {
		assert_int_equal(rig.probe[i].n_resets, 1);
		assert_true(rig.probe[i].at == BAR(slot_of[i]));
		assert_int_equal(at(BAR(slot_of[i]) + 12), 12);
		assert_int_equal(get(slot_of[i], PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	}
	assert_int_equal(get(0, PCI_COMMAND, 2), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_header),
		TEST(test_capabilities),
		TEST(test_absent),
		TEST(test_ports_are_the_same),
		TEST(test_address_port),
		TEST(test_reset_control),
		TEST(test_bar_is_sized),
		TEST(test_bar_moves),
		TEST(test_bars_collide),
		TEST(test_edges_of_a_bar),
		TEST(test_what_cannot_be_written),
		TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
