// SPDX-License-Identifier: MIT
/* test_bus.c - from an address to the device that answers */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct probe {
	struct device dev;
	uint64_t offset, value;
	unsigned int size, n_reads, n_writes, n_resets;
};

static uint64_t probe_read(struct device *dev, uint64_t offset, unsigned int size)
{
	struct probe *probe = (struct probe *)dev;

	assert_int_equal(pthread_mutex_trylock(&dev->lock), EBUSY); /* ours by contract */
	probe->n_reads++;
	probe->offset = offset;
	probe->size = size;
	return 0x1122334455667788;
}

static void probe_write(struct device *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct probe *probe = (struct probe *)dev;

	assert_int_equal(pthread_mutex_trylock(&dev->lock), EBUSY);
	probe->n_writes++;
	probe->offset = offset;
	probe->size = size;
	probe->value = value;
}

static void probe_reset(struct device *dev)
{
	struct probe *probe = (struct probe *)dev;

	assert_int_equal(pthread_mutex_trylock(&dev->lock), EBUSY);
	probe->n_resets++;
}

static const struct device_ops ops = {
	.read = probe_read,
	.write = probe_write,
	.reset = probe_reset,
};

static void probe_init(struct probe *probe)
{
	*probe = (struct probe){ 0 };
	device_init(&probe->dev, "probe", &ops);
}

static void test_dispatch(void **state)
{
	struct probe a, b;
	struct bus bus = { .n_ranges = 0 };

	probe_init(&a);
	probe_init(&b);
	bus_add(&bus, 0x2000, 0x10, &b.dev);
	bus_add(&bus, 0x1000, 8, &a.dev);
	assert_int_equal(bus_read(&bus, 0x1003, 1), 0x1122334455667788);
	assert_int_equal(a.offset, 3);
	assert_int_equal(a.size, 1);
	bus_write(&bus, 0x200c, 4, 0xcafe);
	assert_int_equal(b.offset, 0xc);
	assert_int_equal(b.size, 4);
	assert_int_equal(b.value, 0xcafe);
	assert_int_equal(a.n_reads, 1);
	assert_int_equal(a.n_writes + b.n_reads, 0);
	assert_int_equal(pthread_mutex_trylock(&a.dev.lock), 0); /* given back */
	pthread_mutex_unlock(&a.dev.lock);
}

/* Each device, with its lock held; who has nothing to reset is left alone. */
static void test_reset(void **state)
{
	static const struct device_ops constant = { .read = probe_read, .write = probe_write };
	struct probe a, b;
	struct bus bus = { .n_ranges = 0 };

	probe_init(&a);
	probe_init(&b);
	b.dev.ops = &constant;
	bus_add(&bus, 0x2000, 0x10, &b.dev);
	bus_add(&bus, 0x1000, 8, &a.dev);
	bus_reset(&bus);
	assert_int_equal(a.n_resets, 1);
	assert_int_equal(b.n_resets, 0);
	assert_int_equal(pthread_mutex_trylock(&a.dev.lock), 0); /* given back */
	pthread_mutex_unlock(&a.dev.lock);
}

static void test_nobody(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned int size;
	} wild[] = {
		{ 0, 1 },
		{ 0xfff, 1 },
		{ 0xfff, 2 },
		{ 0x1008, 1 },
		{ 0x1007, 2 },
		{ 0x1005, 4 },
		{ 0x1001, 8 },
		{ 0xfffffffffffffffc, 8 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 8 },
		{ 0x100000000ull + 0x1000, 1 },
	};
	struct probe probe;
	struct bus bus = { .n_ranges = 0 };

	assert_true(bus_read(&bus, 0, 8) == UINT64_MAX);
	probe_init(&probe);
	bus_add(&bus, 0x1000, 8, &probe.dev);
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		assert_true(bus_read(&bus, wild[i].addr, wild[i].size) == UINT64_MAX);
		bus_write(&bus, wild[i].addr, wild[i].size, 0);
	}
	assert_int_equal(probe.n_reads + probe.n_writes, 0);
	assert_true(bus_read(&bus, 0x1000, 8) != UINT64_MAX);
	bus_write(&bus, 0x1007, 1, 0);
	assert_int_equal(probe.n_reads + probe.n_writes, 2);
}

/* Neighbours touch, the table is full, the last byte of the address space is somebody's. */
static void test_full_table(void **state)
{
	struct probe probe[BUS_MAX_RANGES];
	struct bus bus = { .n_ranges = 0 };

	for (unsigned int i = 0; i < BUS_MAX_RANGES; i++) {
		unsigned int at = i * 7 % BUS_MAX_RANGES; /* in no order */

		probe_init(&probe[at]);
		bus_add(&bus, 0x100 * at, 0x100, &probe[at].dev);
	}
	for (unsigned int i = 0; i < BUS_MAX_RANGES; i++) {
		bus_write(&bus, 0x100 * i, 1, 0);
		bus_write(&bus, 0x100 * i + 0xff, 1, 0);
		bus_write(&bus, 0x100 * i + 0xff, 2, 0);
		assert_int_equal(probe[i].n_writes, 2);
		assert_int_equal(probe[i].offset, 0xff);
	}
}

/* True if adding [base, base + size) to a bus that holds [0x1000, 0x2000) is refused as our bug. */
static bool is_bug(uint64_t base, uint64_t size)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct probe probe;
		struct bus bus = { .n_ranges = 0 };

		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		probe_init(&probe);
		bus_add(&bus, 0x1000, 0x1000, &probe.dev);
		bus_add(&bus, base, size, &probe.dev);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_overlap_is_our_bug(void **state)
{
	assert_false(is_bug(0x2000, 1));
	assert_false(is_bug(0xfff, 1));
	assert_true(is_bug(0x1000, 0x1000));
	assert_true(is_bug(0x1fff, 1));
	assert_true(is_bug(0xfff, 2));
	assert_true(is_bug(0, 0x10000));
	assert_true(is_bug(0x3000, 0));
	assert_true(is_bug(UINT64_MAX, 2));
}

static struct device *find(void *ctx, uint64_t addr, unsigned int size, uint64_t *offset)
{
	struct probe *probe = ctx;

	if (addr < 0x5000 || addr - 0x5000 > 0x100 - size)
		return NULL;
	*offset = addr - 0x5000;
	return &probe->dev;
}

/* Who is asked for answers where no range does, and is reset by whoever has put it there. */
static void test_asked_for(void **state)
{
	struct probe fixed, moving;
	struct bus bus = { .n_ranges = 0 };

	probe_init(&fixed);
	probe_init(&moving);
	bus_ask(&bus, find, &moving);
	assert_int_equal(bus_read(&bus, 0x5008, 4), 0x1122334455667788);
	assert_int_equal(moving.offset, 8);
	bus_write(&bus, 0x50ff, 1, 7);
	assert_true(moving.offset == 0xff && moving.value == 7);
	bus_add(&bus, 0x5000, 8, &fixed.dev);
	bus_write(&bus, 0x5000, 4, 1);
	assert_int_equal(fixed.n_writes, 1);
	assert_true(bus_read(&bus, 0x5006, 4) == UINT64_MAX); /* across the range's end */
	assert_true(bus_read(&bus, 0x4000, 1) == UINT64_MAX);
	bus_write(&bus, 0x5100, 1, 0);
	bus_reset(&bus);
	assert_int_equal(moving.n_reads + moving.n_writes, 2);
	assert_int_equal(moving.n_resets, 0);
	assert_int_equal(fixed.n_resets, 1);
	device_fini(&moving.dev);
	device_fini(&fixed.dev);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dispatch),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_asked_for),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_overlap_is_our_bug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
