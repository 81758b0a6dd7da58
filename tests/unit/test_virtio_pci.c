// SPDX-License-Identifier: MIT
/* test_virtio_pci.c - virtio over PCI, in a driver's order and in none */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "virtio_pci_rig.h"

#include <errno.h>
#include <string.h>

static void test_identity(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(cfg(rig, PCI_VENDOR_ID, 4), (0x1040u + FAKE_ID) << 16 | 0x1af4);
	assert_int_equal(cfg(rig, PCI_REVISION_ID, 1), 1);
	assert_true(cfg(rig, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(cfg(rig, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(cfg(rig, rig->function.msix.capability + PCI_MSIX_FLAGS, 2), N_VECTOR - 1);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_NUMQ, 2), FAKE_QUEUES);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(status(rig), 0);
}

static void test_driver_as_linux(void **state)
{
	struct rig *rig = *state;

	for (int life = 0; life < 3; life++) {
		bring_up(rig);
		for (uint16_t index = 0; index < FAKE_QUEUES; index++) {
			assert_true(
				rig->bell[index] == BASE + rig->notify + index * rig->multiplier);
			rig->n_sent = 0;
			ask(rig, index);
			assert_int_equal(rig_n_used(&rig->ring[index]), 1);
			assert_int_equal(rig->n_sent, 1);
			assert_int_equal(rig->data, 0x61 + index);
		}
		virtio_config_changed(rig->dev);
		assert_int_equal(rig->data, 0x60);
		assert_int_equal(bar(rig, rig->isr, 1), 0); /* who takes messages needs none */
		set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		assert_true(!rig->bell[0] && !rig->bell[1]);
		assert_int_equal(get(rig, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
}

static void test_masked_vector(void **state)
{
	struct rig *rig = *state;
	uint32_t pending = (uint32_t)cfg(rig, rig->function.msix.capability + PCI_MSIX_PBA, 4);

	bring_up(rig);
	set_vector(rig, 2, true);
	rig->n_sent = 0;
	ask(rig, 1);
	ask(rig, 1);
	assert_int_equal(rig->n_sent, 0);
	assert_int_equal(bar(rig, pending, 8), 1u << 2);
	set_vector(rig, 2, false);
	assert_int_equal(rig->n_sent, 1);
	assert_int_equal(rig->data, 0x62);
	assert_int_equal(bar(rig, pending, 8), 0);
}

static void test_no_vector(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	rig->n_sent = 0;
	set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	set(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, N_VECTOR);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	set(rig, VIRTIO_PCI_COMMON_MSIX, 2, 0xfffe);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	ask(rig, 0);
	virtio_config_changed(rig->dev);
	assert_int_equal(rig->n_sent, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
}

/* Firmware polls: without messages the ISR says what happened, until it is read. */
static void test_isr(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	set_msix(rig, 0);
	rig->n_sent = 0;
	ask(rig, 0);
	virtio_config_changed(rig->dev);
	assert_int_equal(rig->n_sent, 0);
	assert_int_equal(bar(rig, rig->isr, 1), 3);
	assert_int_equal(bar(rig, rig->isr, 1), 0);
}

static void test_queue_reset(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	ask(rig, 1);
	set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	set(rig, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
	assert_int_equal(rig->machine->fake.n_stopped[1], 1);
	assert_int_equal(rig->machine->fake.n_stopped[0], 0);
	assert_true(rig->bell[0] && !rig->bell[1]);
	set_up_queue(rig, 1, 0x9000);
	assert_true(rig->bell[1] == BASE + rig->notify + rig->multiplier);
	rig->n_sent = 0;
	ask(rig, 1);
	assert_int_equal(rig->n_sent, 1);
	/* 0 means nothing. */
	set(rig, VIRTIO_PCI_COMMON_Q_RESET, 2, 0);
	set(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static void test_doorbells_move(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	set_cfg(rig, PCI_COMMAND, 2, 0);
	assert_true(!rig->bell[0] && !rig->bell[1]);
	assert_true(bar(rig, rig->isr, 1) == UINT64_MAX);
	set_cfg(rig, PCI_BASE_ADDRESS_0, 4, (uint32_t)MOVED);
	set_cfg(rig, PCI_BASE_ADDRESS_1, 4, MOVED >> 32);
	assert_true(!rig->bell[0]);
	set_cfg(rig, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		assert_true(rig->bell[i] == MOVED + rig->notify + i * rig->multiplier);
	rig->base = MOVED;
	assert_int_equal(status(rig), S_RUNNING);
	rig->n_sent = 0;
	ask(rig, 1);
	assert_int_equal(rig->n_sent, 1);
	bus_reset(&rig->bus);
	rig->base = BASE;
	assert_int_equal(status(rig), 0);
	bring_up(rig);
}

static void test_doorbell_that_is_nowhere(void **state)
{
	struct rig *rig = *state;

	agree(rig);
	set_up_queue(rig, 0, 0x1000);
	set_cfg(rig, PCI_COMMAND, 2, 0);
	pthread_mutex_lock(&rig->dev->dev.lock);
	virtio_set_status(rig->dev, S_RUNNING);
	pthread_mutex_unlock(&rig->dev->dev.lock);
	assert_false(rig->bell[0]);
	set_cfg(rig, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(rig->bell[0] == BASE + rig->notify);
}

/* 4.1.4.9: the same registers, by the configuration space. */
static void aim(struct rig *rig, uint32_t offset, uint32_t size)
{
	set_cfg(rig, rig->window + VIRTIO_PCI_CAP_BAR, 1, 0);
	set_cfg(rig, rig->window + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	set_cfg(rig, rig->window + VIRTIO_PCI_CAP_LENGTH, 4, size);
}

static uint32_t window_get(struct rig *rig, uint32_t offset, uint32_t size)
{
	aim(rig, offset, size);
	return (uint32_t)cfg(rig, rig->window + 16, size);
}

static void test_window(void **state)
{
	struct rig *rig = *state;

	bring_up(rig);
	assert_int_equal(window_get(rig, rig->common + VIRTIO_PCI_COMMON_STATUS, 1), S_RUNNING);
	assert_int_equal(window_get(rig, rig->common + VIRTIO_PCI_COMMON_NUMQ, 2), FAKE_QUEUES);
	assert_int_equal(window_get(rig, rig->config, 4), 0xa3a2a1a0);
	set_cfg(rig, PCI_COMMAND, 2, 0); /* decoded or not */
	assert_int_equal(window_get(rig, rig->config + 4, 4), 0xa7a6a5a4);
	window_get(rig, rig->common + VIRTIO_PCI_COMMON_STATUS, 1);
	set_cfg(rig, rig->window + 16, 1, 0);
	assert_int_equal(rig->dev->status, 0);
}

static void test_window_misused(void **state)
{
	struct rig *rig = *state;
	const struct {
		uint32_t offset, size;
	} row[] = {
		{ rig->config, 0 },
		{ rig->config, 3 },
		{ rig->config, 8 },
		{ rig->config + 2, 4 },
		{ rig->config + 1, 2 },
		{ VIRTIO_PCI_BAR_SIZE, 1 },
		{ VIRTIO_PCI_BAR_SIZE, 4 },
		{ UINT32_MAX, 1 },
		{ 0xfffffffc, 4 },
		{ rig->config, UINT32_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		aim(rig, row[i].offset, row[i].size);
		set_cfg(rig, rig->window + 16, 4, 0x12345678);
		assert_int_equal(cfg(rig, rig->window + 16, 4), 0x12345678);
		assert_int_equal(rig->machine->fake.n_writes, 0);
	}
	window_get(rig, rig->config, 4);
	set_cfg(rig, rig->window + VIRTIO_PCI_CAP_BAR, 1, 1);
	set_cfg(rig, rig->window + 16, 4, 0xdeadbeef);
	assert_int_equal(rig->machine->fake.n_writes, 0);
	assert_int_equal(cfg(rig, rig->window + 16, 4), 0xdeadbeef);
}

static void test_config_space(void **state)
{
	struct rig *rig = *state;

	assert_true(bar(rig, rig->config + 8, 8) == 0x000000acabaaa9a8);
	assert_int_equal(bar(rig, rig->config + 0xff8, 8), 0);
	set_bar(rig, rig->config + 5, 1, 0x77);
	assert_int_equal(rig->machine->fake.n_writes, 1);
	assert_int_equal(rig->machine->fake.write_offset, 5);
	set_bar(rig, rig->config + FAKE_CONFIG - 1, 2, 0x77);
	assert_int_equal(rig->machine->fake.n_writes, 1);
}

/* 4.1.3.1: other widths than a field's write nothing; to read they are as good as any. */
static void test_widths(void **state)
{
	struct rig *rig = *state;
	static const uint8_t width[COMMON] = {
		[0] = 4,
		[8] = 4,
		[12] = 4,
		[16] = 2,
		[20] = 1,
		[22] = 2,
		[24] = 2,
		[26] = 2,
		[28] = 2,
		[32] = 4,
		[36] = 4,
		[40] = 4,
		[44] = 4,
		[48] = 4,
		[52] = 4,
		[58] = 2,
	};

	agree(rig);
	for (unsigned int offset = 0; offset < COMMON; offset++)
		for (unsigned int size = 1; size <= 8; size *= 2) {
			uint8_t before[COMMON], after[COMMON];

			if (width[offset] == size ||
				(size == 8 && offset >= 32 && offset <= 48 && offset % 4 == 0))
				continue;
			for (unsigned int i = 0; i < COMMON; i++)
				before[i] = (uint8_t)get(rig, i, 1);
			set(rig, offset, size, 0x0101010101010101);
			for (unsigned int i = 0; i < COMMON; i++)
				after[i] = (uint8_t)get(rig, i, 1);
			assert_memory_equal(before, after, COMMON);
		}
	assert_int_equal(get(rig, VIRTIO_PCI_COMMON_NUMQ, 4), S_FEATURES_OK << 16 | FAKE_QUEUES);
	assert_int_equal(get(rig, COMMON - 2, 4), 0);
}

static void test_no_such_queue(void **state)
{
	struct rig *rig = *state;
	static const uint16_t index[] = { FAKE_QUEUES, VIRTIO_MAX_QUEUES, 0xffff };

	bring_up(rig);
	for (size_t i = 0; i < ARRAY_SIZE(index); i++) {
		set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, index[i]);
		assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		write_rings(rig, &rig->ring[0]);
		set(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
		set(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		set(rig, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
		assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	}
	set_bar(rig, rig->notify + FAKE_QUEUES * rig->multiplier, 2, 0);
	assert_true(rig->bell[0] && rig->bell[1]);
	ask(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
}

/* A queue that runs is no longer the registers' (CVE-2026-5747). */
static void test_rings_of_a_running_queue(void **state)
{
	struct rig *rig = *state;
	struct virtq before;

	bring_up(rig);
	set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	before = rig->dev->queue[0].vq;
	set(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, 0x4000);
	for (uint32_t field = VIRTIO_PCI_COMMON_Q_DESCLO; field < VIRTIO_PCI_COMMON_Q_NDATA;
		field += 4)
		set(rig, field, 4, 0xffffffff);
	set(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_memory_equal(&rig->dev->queue[0].vq, &before, sizeof(before));
	ask(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
}

/* All of the BAR, at every size: nothing but the device may come to harm, and reset mends it. */
static void test_hostile_sweep(void **state)
{
	struct rig *rig = *state;

	for (unsigned int size = 1; size <= 8; size *= 2)
		for (uint32_t offset = 0; offset < VIRTIO_PCI_BAR_SIZE; offset++) {
			bar(rig, offset, size);
			set_bar(rig, offset, size, offset * UINT64_C(0x9e3779b97f4a7c15));
		}
	fake_run_loop(rig->machine);
	bus_reset(&rig->bus);
	test_identity(state);
	bring_up(rig);
	ask(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
}

/* ---- who serves the queues elsewhere interrupts by itself ---- */

static struct {
	unsigned int n_sets, n_routes; /* calls, and what was set by them */
	struct message message[FAKE_QUEUES];
	bool bound[FAKE_QUEUES];
	int ret; /* of set_routes() */
} kernel;

static int set_routes(void *, const struct message_route *route, unsigned int n)
{
	kernel.n_sets++;
	for (unsigned int i = 0; i < n && !kernel.ret; i++, kernel.n_routes++)
		kernel.message[route[i].number - 7] = route[i].message;
	return kernel.ret;
}

static int bind_irqfd(void *, unsigned int number, int fd, bool on)
{
	assert_int_equal(fd, 100 + number);
	assert_int_equal(kernel.bound[number - 7], !on);
	kernel.bound[number - 7] = on;
	return 0;
}

static const struct irqfd_ops irqfd_ops = { .set_routes = set_routes, .bind = bind_irqfd };

/* A driver at a device whose two queues are served elsewhere. */
static void bring_up_elsewhere(struct rig *rig)
{
	memset(&kernel, 0, sizeof(kernel));
	rig->machine->env.irqfds = &irqfd_ops;
	rig->dev->n_elsewhere = FAKE_QUEUES;
	for (unsigned int i = 0; i < FAKE_QUEUES; i++) {
		rig->dev->queue[i].call.fd = 107 + (int)i;
		rig->dev->queue[i].call.route = 7 + i;
		virtio_set_called(&rig->dev->queue[i].vq, true);
	}
	bring_up(rig);
}

static bool are_bound(bool first, bool second)
{
	return kernel.bound[0] == first && kernel.bound[1] == second;
}

static void test_calls(void **state)
{
	struct rig *rig = *state;

	bring_up_elsewhere(rig);
	assert_true(are_bound(true, true));
	for (unsigned int i = 0; i < FAKE_QUEUES; i++) {
		assert_true(kernel.message[i].address == 0xfee00000);
		assert_int_equal(kernel.message[i].data, 0x61 + i);
	}
	/* Those of a vector are off while it is masked, and what comes then is pending. */
	set_bar(rig, table(rig) + 16 * 2 + 12, 4, 1);
	assert_true(are_bound(true, false));
	rig->n_sent = 0;
	rig->dev->transport->signal_queue(rig->dev->transport, 1);
	assert_int_equal(rig->n_sent, 0);
	kernel.n_sets = 0;
	set_bar(rig, table(rig) + 16 * 2 + 12, 4, 0);
	assert_true(are_bound(true, true));
	assert_int_equal(rig->n_sent, 1);
	assert_int_equal(kernel.n_sets, 0); /* it is as it was */
	/* A message that changes, though it is not masked. */
	set_bar(rig, table(rig) + 16 * 1 + 8, 4, 0x99);
	assert_int_equal(kernel.message[0].data, 0x99);
	assert_int_equal(kernel.n_sets, 1);
	assert_true(are_bound(true, true));
}

/* All of them at once: one change of the kernel's table. */
static void test_calls_of_a_function(void **state)
{
	struct rig *rig = *state;

	bring_up_elsewhere(rig);
	set_msix(rig, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_true(are_bound(false, false));
	kernel.n_sets = kernel.n_routes = 0;
	for (unsigned int i = 0; i < N_VECTOR; i++)
		set_bar(rig, table(rig) + 16 * i + 8, 4, 0x70 + i);
	assert_int_equal(kernel.n_sets, 0);
	set_msix(rig, PCI_MSIX_FLAGS_ENABLE);
	assert_true(are_bound(true, true));
	assert_int_equal(kernel.n_sets, 1);
	assert_int_equal(kernel.n_routes, 2);
	set_msix(rig, 0);
	assert_true(are_bound(false, false));
	set_msix(rig, PCI_MSIX_FLAGS_ENABLE);
	/* One without a vector, and one with the other's. */
	set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	set(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	assert_true(are_bound(false, true));
	set(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	assert_true(are_bound(true, true));
	assert_int_equal(kernel.message[0].data, 0x72);
}

/* Of one that is no longer served so, and where the kernel refuses, they are ours again. */
static void test_calls_end(void **state)
{
	struct rig *rig = *state;

	bring_up_elsewhere(rig);
	kernel.ret = -EINVAL;
	set_bar(rig, table(rig) + 16 * 1 + 8, 4, 0x99);
	assert_true(are_bound(false, true));
	kernel.ret = 0;
	set_bar(rig, table(rig) + 16 * 1 + 8, 4, 0x9a);
	assert_true(are_bound(true, true));
	set(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_true(are_bound(false, false));
	assert_int_equal(status(rig), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_driver_as_linux),
		TEST(test_masked_vector),
		TEST(test_no_vector),
		TEST(test_isr),
		TEST(test_queue_reset),
		TEST(test_doorbells_move),
		TEST(test_doorbell_that_is_nowhere),
		TEST(test_window),
		TEST(test_window_misused),
		TEST(test_config_space),
		TEST(test_widths),
		TEST(test_no_such_queue),
		TEST(test_rings_of_a_running_queue),
		TEST(test_hostile_sweep),
		TEST(test_calls),
		TEST(test_calls_of_a_function),
		TEST(test_calls_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
