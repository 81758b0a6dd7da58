// SPDX-License-Identifier: MIT
/* fuzz_state.c - a hostile file of a machine's state, and a machine that begins with it
 *
 * Bit 0 of the first byte: devices are on PCI, else at MMIO.  Bit 1: what follows is a file as it
 * is; else it is a row of changes to one that was saved amid the work of a driver, of 5 bytes each:
 * which section (1 byte; from 0xc0 on: guest memory, 16 KiB further each), where in it (2), how
 * many bytes (1: its lower four bits, and one more), and what they become (1).  Size and checksum
 * are made right, for what follows them to be looked at.
 */

#include "input.h"
#include "state_machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define RING_SIZE  16
#define RING_AT(n) (0x1000 + 0x800ull * (n))
#define DATA_AT    0x20000
#define MOST_TURNS 20000 /* of the loop, whatever there is to do */

/* As a machine was saved, by the transport; and its memory. */
static struct {
	struct state_writer file;
	uint8_t ram[2][RIG_REGION];
} saved[2];

/* ---- one that is saved ---- */

static void start_driver(struct virtio_dev *dev, unsigned int *n_rings)
{
	uint64_t features = dev->offered;

	virtio_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t word = 0; word < 2; word++)
		virtio_set_features_word(dev, word, (uint32_t)(features >> 32 * word));
	virtio_set_status(dev, dev->status | VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int i = 0; i < dev->n_queues; i++) {
		struct rig_ring ring;

		rig_ring_init(&ring, &machine.mem, RING_AT((*n_rings)++), RING_SIZE);
		rig_place(&ring, virtio_queue(dev, i));
		virtio_enable_queue(dev, i);
		if (dev == machine.dev[DISK])
			continue;
		/* What is sent is at odd ones, and the balloon's. */
		rig_offer_one(&ring, 0, DATA_AT, 256,
			dev == machine.dev[BALLOON] || i % 2 ? 0 : VRING_DESC_F_WRITE);
	}
	virtio_set_status(dev, dev->status | VIRTIO_CONFIG_S_DRIVER_OK);
	BUG_ON(!(dev->status & VIRTIO_CONFIG_S_DRIVER_OK));
}

static void write_file(struct state_writer *file)
{
	struct diag diag;

	*file = rig_file();
	power_saving(&machine.power);
	state_save(file, &ioapic_state, 0, &machine.ioapic);
	state_save(file, &serial_state, 0, &machine.serial);
	state_save(file, &power_state, 0, &machine.power);
	state_save(file, &rtc_state, 0, &machine.rtc);
	if (machine.has_pci) {
		state_save(file, &pci_state, 0, &machine.pci);
		state_save(file, &pci_function_state, 0, &machine.pci.bridge);
	}
	for (uint32_t i = 0; i < N_DEVICES; i++) {
		virtio_quiesce(machine.dev[i]);
		if (machine.has_pci)
			virtio_pci_save(&machine.function[i], file, i);
		else
			state_save(file, &virtio_mmio_state, i, &machine.mmio[i]);
		BUG_ON(virtio_save(machine.dev[i], file, i, &diag));
	}
	BUG_ON(state_finish(file));
}

static void open_consoles(void)
{
	struct diag diag;

	BUG_ON(consoles_open(&machine.consoles, &machine.loop, &diag));
}

static void make_saved(bool has_pci)
{
	unsigned int n_rings = 0;

	init(has_pci);
	open_consoles();
	for (unsigned int i = 0; i < N_DEVICES; i++) {
		pthread_mutex_lock(&machine.dev[i]->dev.lock);
		start_driver(machine.dev[i], &n_rings);
		if (i == BALLOON)
			virtio_serve(machine.dev[i], virtio_queue(machine.dev[i], 2));
		pthread_mutex_unlock(&machine.dev[i]->dev.lock);
	}
	write_file(&saved[has_pci].file);
	for (unsigned int i = 0; i < 2; i++)
		memcpy(saved[has_pci].ram[i], machine.mem.region[i].hva, RIG_REGION);
	fini();
}

static void remove_files(void)
{
	unlink(machine_disk);
	unlink(machine_socket);
	state_free(&saved[0].file);
	state_free(&saved[1].file);
}

static void prepare(void)
{
	int fd;

	if (saved[0].file.data)
		return;
	log_set_level(LOG_LEVEL_ERROR);
	fd = mkostemp(machine_disk, O_CLOEXEC);
	BUG_ON(fd < 0 || ftruncate(fd, DISK_SIZE));
	close(fd);
	snprintf(machine_socket, sizeof(machine_socket), "%s.vsock", machine_disk);
	atexit(remove_files);
	rig_mem_init(&machine.mem);
	make_saved(false);
	make_saved(true);
}

/* ---- what holds ---- */

static bool lies_in_ram(const void *at, size_t size)
{
	return rig_is_ram(&machine.mem, at, size);
}

static void check_queue(const struct virtio_dev *dev, const struct virtq *vq)
{
	size_t n = vq->size;

	if (!vq->enabled)
		return;
	BUG_ON(!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK));
	BUG_ON(!is_power_of_2(n) || n > vq->max_size);
	BUG_ON(!lies_in_ram(vq->desc, n * sizeof(*vq->desc)));
	BUG_ON(!lies_in_ram(vq->avail, 6 + n * 2) || !lies_in_ram(vq->used, 6 + n * 8));
	BUG_ON((uint16_t)(vq->next_avail - vq->next_used) > n);
	BUG_ON(vq->event_idx != virtio_has_feature(dev, VIRTIO_RING_F_EVENT_IDX));
}

static void check_device(struct virtio_dev *dev)
{
	bool is_agreed = dev->status & VIRTIO_CONFIG_S_FEATURES_OK;

	BUG_ON(pthread_mutex_trylock(&dev->dev.lock));
	pthread_mutex_unlock(&dev->dev.lock);
	BUG_ON(is_agreed && dev->features & ~dev->offered);
	BUG_ON(is_agreed && !virtio_has_feature(dev, VIRTIO_F_VERSION_1));
	BUG_ON(dev->status & VIRTIO_CONFIG_S_DRIVER_OK && !is_agreed);
	for (unsigned int i = 0; i < dev->n_queues; i++)
		check_queue(dev, virtio_queue(dev, i));
}

/* What the guest may not write is as it was. */
static void check_function(const struct virtio_pci *pci)
{
	const struct pci_function *function = &pci->function;
	bool on = pci_get16(function, PCI_COMMAND) & PCI_COMMAND_MEMORY;

	for (unsigned int i = 0; i < PCI_CFG_SPACE_SIZE; i++)
		BUG_ON((function->config[i] ^ function->fresh[i]) & ~function->writable[i]);
	BUG_ON(on == (function->at == PCI_NOWHERE));
	BUG_ON(on && function->at % VIRTIO_PCI_BAR_SIZE);
	BUG_ON(pci->config_vector >= pci->msix.n && pci->config_vector != 0xffff);
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++)
		BUG_ON(pci->queue_vector[i] >= pci->msix.n && pci->queue_vector[i] != 0xffff);
	for (unsigned int i = 0; i < pci->msix.n; i++)
		BUG_ON(pci->msix.entry[i].address % 4 || pci->msix.entry[i].control > 1);
}

static void check_platform(void)
{
	const struct serial *serial = &machine.serial;

	BUG_ON(serial->rx_head >= SERIAL_FIFO_SIZE || serial->rx_count > SERIAL_FIFO_SIZE);
	BUG_ON(serial->mcr & ~0x1f || serial->ier & ~0x0f);
	BUG_ON(machine.rtc.index > 0x7f || machine.rtc.reg_a & 0x80);
	BUG_ON(machine.ioapic.select > 0xff || machine.ioapic.missed >> PLATFORM_MAX_GSIS);
}

static void check(void)
{
	check_platform();
	for (unsigned int i = 0; i < N_DEVICES; i++) {
		check_device(machine.dev[i]);
		if (machine.has_pci)
			check_function(&machine.function[i]);
	}
	BUG_ON(virtio_read_config(machine.dev[DISK], 0, 8) != DISK_SIZE / 512);
	BUG_ON(!machine.link_is_on[0]);
}

/* ---- a machine that begins with a file ---- */

static int load_platform(struct state_reader *reader, struct diag *diag)
{
	int ret = ioapic_load(&machine.ioapic, reader, diag);

	if (!ret)
		ret = serial_load(&machine.serial, reader, diag);
	if (!ret)
		ret = power_load(&machine.power, reader, diag);
	if (!ret)
		ret = rtc_load(&machine.rtc, reader, diag);
	if (ret || !machine.has_pci)
		return ret;
	ret = state_load(reader, &pci_state, 0, &machine.pci, diag);
	return ret ? ret : pci_load_function(&machine.pci.bridge, reader, diag);
}

static int load(struct state_reader *reader, struct diag *diag)
{
	int ret = load_platform(reader, diag);

	for (uint32_t i = 0; i < N_DEVICES && !ret; i++) {
		if (machine.has_pci)
			ret = virtio_pci_load(&machine.function[i], reader, i, diag);
		else
			ret = state_load(reader, &virtio_mmio_state, i, &machine.mmio[i], diag);
		if (!ret)
			ret = virtio_load(machine.dev[i], reader, i, diag);
	}
	return ret ? ret : state_check_all_loaded(reader, diag);
}

/* Something that has always something to do is none that rests. */
static void run_loop(void)
{
	for (unsigned int i = 0; i < MOST_TURNS; i++) {
		struct epoll_event event;
		struct loop_source *source;

		if (epoll_wait(machine.loop.epoll_fd, &event, 1, 0) <= 0)
			return;
		source = event.data.ptr;
		if (source->lock)
			pthread_mutex_lock(source->lock);
		source->ready(source->ctx, event.events);
		if (source->lock)
			pthread_mutex_unlock(source->lock);
	}
	BUG_ON(true);
}

static void go_on(void)
{
	for (unsigned int i = 0; i < N_DEVICES; i++)
		virtio_resume(machine.dev[i]);
	serial_quiesce(&machine.serial);
	serial_resume(&machine.serial);
	power_press_button(&machine.power);
	for (unsigned int i = 0; i < N_DEVICES; i++)
		for (unsigned int q = 0; q < machine.dev[i]->n_queues; q++) {
			pthread_mutex_lock(&machine.dev[i]->dev.lock);
			virtio_kick(machine.dev[i], q);
			pthread_mutex_unlock(&machine.dev[i]->dev.lock);
		}
	run_loop();
}

/* Whatever was in the file, a reset undoes it. */
static void check_resets(void)
{
	for (unsigned int i = 0; i < N_DEVICES; i++) {
		struct virtio_dev *dev = machine.dev[i];

		pthread_mutex_lock(&dev->dev.lock);
		virtio_reset(dev);
		pthread_mutex_unlock(&dev->dev.lock);
		BUG_ON(dev->status || dev->features);
		for (unsigned int q = 0; q < dev->n_queues; q++)
			BUG_ON(!rig_is_fresh(virtio_queue(dev, q)));
	}
}

/* It can be saved again, and what was saved is taken. */
static void check_copy(void)
{
	struct state_writer file;
	struct state_reader reader;
	struct diag diag;

	write_file(&file);
	fini();
	init(machine.has_pci);
	reader = rig_open_file(&file);
	BUG_ON(load(&reader, &diag));
	check();
	state_close(&reader);
	state_free(&file);
	open_consoles();
}

static void begin_with(const uint8_t *data, size_t size, bool has_pci)
{
	struct state_reader reader;
	struct diag diag = { "" };

	if (state_open(&reader, data, size, &diag))
		return;
	init(has_pci);
	if (load(&reader, &diag)) {
		BUG_ON(!diag.text[0]);
	} else {
		check();
		open_consoles();
		go_on();
		check();
		check_copy();
		go_on();
		check_resets();
	}
	state_close(&reader);
	fini();
}

/* ---- the input ---- */

static void restore_ram(bool has_pci)
{
	for (unsigned int i = 0; i < 2; i++)
		memcpy(machine.mem.region[i].hva, saved[has_pci].ram[i], RIG_REGION);
}

/* Where the n-th section's content is, and its size. */
static uint8_t *section_at(uint8_t *data, size_t size, unsigned int n, size_t *room)
{
	const struct state_reader reader = { .data = data, .size = size };
	struct state_section section;
	size_t at = 0;

	do
		at = state_next(&reader, at, &section);
	while (at && n--);
	*room = at ? section.size : 0;
	return at ? (uint8_t *)section.data : NULL;
}

static void change(uint8_t *data, size_t size, struct fuzz_input *input)
{
	unsigned int n = take8(input);
	size_t offset = take16(input), count = (take8(input) & 15) + 1u, room = KIB(16);
	uint8_t value = take8(input), *at;

	at = n < 0xc0 ? section_at(data, size, n, &room)
	              : machine.mem.region[n >> 4 & 1].hva + (n & 15) * KIB(16);
	if (!at || !room)
		return;
	offset %= room;
	memset(at + offset, value, count < room - offset ? count : room - offset);
}

static void begin_with_changes(struct fuzz_input *input, bool has_pci)
{
	size_t size = saved[has_pci].file.size;
	uint8_t *data = malloc(size);

	BUG_ON(!data);
	memcpy(data, saved[has_pci].file.data, size);
	while (input->size)
		change(data, size, input);
	rig_seal(data, size);
	begin_with(data, size, has_pci);
	free(data);
}

static void begin_with_file(const struct fuzz_input *input, bool has_pci)
{
	uint64_t size = input->size;
	uint8_t *data = malloc(input->size + 1);

	BUG_ON(!data);
	memcpy(data, input->data, input->size);
	if (size >= 24) {
		memcpy(data + 16, &size, sizeof(size));
		rig_seal(data, input->size);
	}
	begin_with(data, input->size, has_pci);
	free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	uint8_t what = take8(&input);

	prepare();
	restore_ram(what & 1);
	if (what & 2)
		begin_with_file(&input, what & 1);
	else
		begin_with_changes(&input, what & 1);
	return 0;
}
