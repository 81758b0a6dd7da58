// SPDX-License-Identifier: MIT
/* test_virtio_pci_state.c - a virtio device on PCI, saved and loaded: BAR, registers, messages */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "state_rig.h"
#include "virtio_pci_rig.h"

#include <errno.h>

static struct state_writer save(struct rig *rig)
{
	struct state_writer file = rig_file();
	struct diag diag;

	virtio_quiesce(rig->dev);
	state_save(&file, &pci_state, 0, &rig->pci);
	virtio_pci_save(&rig->function, &file, 0);
	assert_int_equal(virtio_save(rig->dev, &file, 0, &diag), 0);
	assert_int_equal(state_finish(&file), 0);
	return file;
}

static int load(struct rig *rig, const struct state_writer *file, struct diag *diag)
{
	struct state_reader reader = rig_open_file(file);
	int ret = state_load(&reader, &pci_state, 0, &rig->pci, diag);

	the_rig = rig;
	if (!ret)
		ret = virtio_pci_load(&rig->function, &reader, 0, diag);
	if (!ret)
		ret = virtio_load(rig->dev, &reader, 0, diag);
	if (!ret)
		ret = state_check_all_loaded(&reader, diag);
	state_close(&reader);
	return ret;
}

/* Another machine, whose RAM is as this one's. */
static struct rig *make_other(const struct rig *rig)
{
	struct rig *other;

	set_up((void **)&other);
	for (size_t i = 0; i < 2; i++) {
		memcpy(other->machine->mem.region[i].hva, rig->machine->mem.region[i].hva,
			RIG_REGION);
		other->ring[i] = rig->ring[i];
		other->ring[i].mem = &other->machine->mem;
	}
	return other;
}

static void drop(struct rig *rig)
{
	the_rig = rig;
	tear_down((void **)&rig);
}

/* A machine that goes on from where this one is. */
static struct rig *copy_of(struct rig *rig)
{
	struct state_writer file = save(rig);
	struct rig *other = make_other(rig);
	struct diag diag;

	if (load(other, &file, &diag))
		fail_msg("%s", diag.text);
	virtio_resume(other->dev);
	state_free(&file);
	return other;
}

/* ---- */

static void test_in_use(void **state)
{
	struct rig *rig = *state, *copy;

	bring_up(rig);
	ask(rig, 1);
	set(rig, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	set(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	copy = copy_of(rig);
	assert_int_equal(status(copy), S_RUNNING);
	assert_int_equal(get(copy, VIRTIO_PCI_COMMON_DF, 4), copy->dev->offered >> 32);
	assert_int_equal(get(copy, VIRTIO_PCI_COMMON_Q_MSIX, 2), 2);
	assert_int_equal(get(copy, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_int_equal(get(copy, VIRTIO_PCI_COMMON_MSIX, 2), 0);
	assert_true(copy->bell[1] == BASE + copy->notify + copy->multiplier);
	assert_int_equal(copy->n_sent, 0);
	ask(copy, 1);
	assert_int_equal(copy->n_sent, 1);
	assert_int_equal(copy->data, 0x62);
	assert_int_equal(rig_n_used(&copy->ring[1]), 2);
	drop(copy);
	the_rig = rig;
}

static void test_bar_that_was_moved(void **state)
{
	struct rig *rig = *state, *copy;

	bring_up(rig);
	set_cfg(rig, PCI_BASE_ADDRESS_0, 4, (uint32_t)MOVED);
	set_cfg(rig, PCI_BASE_ADDRESS_1, 4, MOVED >> 32);
	copy = copy_of(rig);
	copy->base = MOVED;
	assert_int_equal(status(copy), S_RUNNING);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		assert_true(copy->bell[i] == MOVED + copy->notify + i * copy->multiplier);
	drop(copy);
	/* And one that is nowhere for now. */
	the_rig = rig;
	rig->base = MOVED;
	virtio_resume(rig->dev);
	set_cfg(rig, PCI_COMMAND, 2, 0);
	copy = copy_of(rig);
	assert_true(!copy->bell[0] && !copy->bell[1]);
	set_cfg(copy, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(copy->bell[0] == MOVED + copy->notify);
	drop(copy);
	the_rig = rig;
}

/* Its message waits in the copy, and is sent once. */
static void test_message_that_waits(void **state)
{
	struct rig *rig = *state, *copy;

	bring_up(rig);
	set_vector(rig, 2, true);
	ask(rig, 1);
	copy = copy_of(rig);
	assert_int_equal(copy->n_sent, 0);
	set_vector(copy, 2, false);
	assert_int_equal(copy->n_sent, 1);
	assert_int_equal(copy->data, 0x62);
	set_vector(copy, 2, true);
	set_vector(copy, 2, false);
	assert_int_equal(copy->n_sent, 1);
	drop(copy);
	the_rig = rig;
}

static void test_driver_without_messages(void **state)
{
	struct rig *rig = *state, *copy;

	bring_up(rig);
	set_msix(rig, 0);
	ask(rig, 1);
	copy = copy_of(rig);
	assert_int_equal(bar(copy, copy->isr, 1), 1);
	assert_int_equal(bar(copy, copy->isr, 1), 0);
	drop(copy);
	the_rig = rig;
}

/* ---- hostile files ---- */

/* What a driver cannot have written is not there. */
static void test_values_that_cannot_be(void **state)
{
	struct rig *rig = *state, *copy = make_other(rig);
	struct state_writer file;
	uint8_t *config;
	struct diag diag;

	the_rig = rig;
	bring_up(rig);
	file = save(rig);
	rig_change(&file, &virtio_pci_state, 0, "config_vector", N_VECTOR);
	rig_change(&file, &virtio_pci_state, 0, "queue_vector", 0xfffe);
	rig_change(&file, &virtio_pci_state, 0, "queue_select", 0xffff);
	rig_change(&file, &msix_state, 0, "entry", 0xfee00003);
	config = rig_section(&file, "pci-function", SLOT);
	memset(config, 0xff, PCI_CFG_SPACE_SIZE);
	rig_seal(file.data, file.size);
	memcpy(copy->machine->mem.region[0].hva, rig->machine->mem.region[0].hva, RIG_REGION);
	memcpy(copy->machine->mem.region[1].hva, rig->machine->mem.region[1].hva, RIG_REGION);
	assert_int_equal(load(copy, &file, &diag), 0);
	virtio_resume(copy->dev);
	assert_int_equal(cfg(copy, PCI_VENDOR_ID, 4), (0x1040u + FAKE_ID) << 16 | 0x1af4);
	assert_int_equal(cfg(copy, PCI_CAPABILITY_LIST, 1), cfg(rig, PCI_CAPABILITY_LIST, 1));
	assert_int_equal(cfg(copy, PCI_BASE_ADDRESS_0, 4) & 0xf, PCI_BASE_ADDRESS_MEM_TYPE_64);
	copy->base = copy->function.function.at;
	assert_true(copy->base % VIRTIO_PCI_BAR_SIZE == 0);
	assert_int_equal(get(copy, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(get(copy, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	set(copy, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	assert_int_equal(get(copy, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(bar(copy, table(copy), 4), 0xfee00000);
	drop(copy);
	the_rig = rig;
	state_free(&file);
}

/* A device of fewer vectors, and one of more than there can be. */
static void test_other_number_of_vectors(void **state)
{
	static const uint32_t numbers[] = { 0, 2, 4, MSIX_MAX };
	struct rig *rig = *state, *copy = make_other(rig);

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct state_writer file = rig_file();
		struct msix other = { .n = numbers[i] };
		struct diag diag;

		state_save(&file, &pci_state, 0, &rig->pci);
		state_save(&file, &virtio_pci_state, 0, &rig->function);
		state_save(&file, &pci_function_state, SLOT, &rig->function.function);
		state_save(&file, &msix_state, 0, &other);
		assert_int_equal(state_finish(&file), 0);
		assert_int_equal(load(copy, &file, &diag), -EBADMSG);
		assert_int_equal(copy->function.msix.n, N_VECTOR);
		state_free(&file);
	}
	drop(copy);
	the_rig = rig;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_in_use),
		TEST(test_bar_that_was_moved),
		TEST(test_message_that_waits),
		TEST(test_driver_without_messages),
		TEST(test_values_that_cannot_be),
		TEST(test_other_number_of_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
