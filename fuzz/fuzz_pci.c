// SPDX-License-Identifier: MIT
/* fuzz_pci.c - a driver that keeps no rule, at a PCI bus with two virtio functions
 *
 * The input is a row of steps.  The upper two bits of the first byte say what it is; bit 0 which
 * function, bit 1 that it is a write, bits 3:2 the size:
 * 0	configuration space by ECAM: slot (1 byte), offset (2), value
 * 1	a configuration port: which (1), value
 * 2	the function's memory, where it is just now: offset (2), value; bit 4: an address (8)
 * 3	what others do: see others()
 */

#include "../tests/unit/virtio_rig.h"
#include "bus/platform.h"
#include "input.h"
#include "virtio/pci.h"

#define N_FUNCTIONS 2
#define N_QUEUES    2
#define N_VECTORS   (N_QUEUES + 1)
#define BASE(i)     (PLATFORM_PCI_BASE + (i)*VIRTIO_PCI_BAR_SIZE)
#define SLOT(i)     ((i) + 1)
#define CONFIG      5 /* bytes */

struct bell {
	uint64_t gpa;
	bool bound;
};

static struct machine {
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct bus mmio, pio;
	struct pci pci;
	struct device reset_control;
	struct virtio_dev dev[N_FUNCTIONS];
	struct virtio_pci function[N_FUNCTIONS];
	struct bell bell[N_FUNCTIONS][N_QUEUES];
	unsigned int n_sent;
} machine;

static const uint8_t config[CONFIG] = { 1, 2, 3, 4, 5 };

/* ---- the machine ---- */

static int serve(struct virtio_dev *, struct virtq *vq, const struct virtq_chain *chain)
{
	virtq_push(vq, chain->head, 0);
	return 0;
}

static void write_config(struct virtio_dev *, uint32_t offset, unsigned int size, uint64_t)
{
	BUG_ON(offset + size > CONFIG);
}

static const struct virtio_class class = {
	.name = "sink",
	.id = VIRTIO_ID_BLOCK,
	.serve = serve,
	.write_config = write_config,
	.close = virtio_dev_fini,
};

/* A message is that of an entry which lets it through, and nothing else. */
static int send(void *ctx, uint64_t address, uint32_t data)
{
	const struct virtio_pci *pci = ctx;
	uint16_t control = pci_get16(&pci->function, pci->msix.capability + PCI_MSIX_FLAGS);
	bool found = false;

	BUG_ON(!(control & PCI_MSIX_FLAGS_ENABLE) || control & PCI_MSIX_FLAGS_MASKALL);
	for (unsigned int i = 0; i < N_VECTORS; i++) {
		const struct msix_entry *entry = &pci->msix.entry[i];

		found |= entry->address == address && entry->data == data && !entry->control;
	}
	BUG_ON(!found || ++machine.n_sent > N_VECTORS);
	return 0;
}

/* A doorbell is bound once, and unbound where it was. */
static int bind_doorbell(void *, const struct virtio_doorbell *doorbell, int fd, bool on)
{
	for (unsigned int i = 0; i < N_FUNCTIONS; i++)
		for (unsigned int q = 0; q < N_QUEUES; q++) {
			struct bell *bell = &machine.bell[i][q];

			if (fd != machine.dev[i].queue[q].kick.fd)
				continue;
			BUG_ON(bell->bound == on || doorbell->size || doorbell->has_match);
			BUG_ON(!on && bell->gpa != doorbell->gpa);
			*bell = (struct bell){ doorbell->gpa, on };
			return 0;
		}
	BUG_ON(true);
}

static uint64_t control_read(struct device *, uint64_t, unsigned int size)
{
	BUG_ON(size != 1);
	return 0;
}

static void control_write(struct device *, uint64_t, unsigned int size, uint64_t)
{
	BUG_ON(size != 1);
}

static const struct device_ops control_ops = { .read = control_read, .write = control_write };

static void init(void)
{
	struct guest_mem mem = machine.mem;
	struct diag diag;

	if (!mem.n_regions)
		rig_mem_init(&mem);
	for (size_t i = 0; i < mem.n_regions; i++)
		memset(mem.region[i].hva, 0, RIG_REGION);
	memset(&machine, 0, sizeof(machine));
	machine.mem = mem;
	log_set_level(LOG_LEVEL_ERROR);
	BUG_ON(loop_init(&machine.loop));
	machine.env = (struct virtio_env){
		.mem = &machine.mem, .loop = &machine.loop, .bind = bind_doorbell
	};
	device_init(&machine.reset_control, "reset control", &control_ops);
	pci_init(&machine.pci, &machine.reset_control);
	bus_add(&machine.pio, PLATFORM_PCI_PORT, PLATFORM_PCI_PORT_SIZE, &machine.pci.ports);
	bus_add(&machine.mmio, PLATFORM_ECAM_BASE, PLATFORM_ECAM_SIZE, &machine.pci.ecam);
	bus_ask(&machine.mmio, pci_find, &machine.pci);
	for (unsigned int i = 0; i < N_FUNCTIONS; i++) {
		struct virtio_dev *dev = &machine.dev[i];
		struct virtio_pci *pci = &machine.function[i];

		dev->config = config;
		dev->config_size = CONFIG;
		BUG_ON(virtio_dev_init(dev, &class, &machine.env, 0, N_QUEUES, 64, &diag));
		virtio_pci_init(pci, dev, BASE(i), send, pci);
		pci_add(&machine.pci, SLOT(i), &pci->function);
	}
}

static void fini(void)
{
	for (unsigned int i = 0; i < N_FUNCTIONS; i++)
		virtio_close(&machine.dev[i]);
	pci_fini(&machine.pci);
	device_fini(&machine.reset_control);
	loop_fini(&machine.loop);
}

/* ---- what holds after every step ---- */

static void check_lock(pthread_mutex_t *lock)
{
	BUG_ON(pthread_mutex_trylock(lock));
	pthread_mutex_unlock(lock);
}

/* What the guest may not write is as it was. */
static void check_config(const struct pci_function *function)
{
	const struct virtio_pci *pci =
		(const void *)((const char *)function - offsetof(struct virtio_pci, function));
	unsigned int data = pci->window + 16; /* filled in as it is read */

	for (unsigned int i = 0; i < PCI_CFG_SPACE_SIZE; i++)
		BUG_ON((function->config[i] ^ function->fresh[i]) & ~function->writable[i] &&
			(i < data || i >= data + 4));
}

/* It answers where its BAR says, if at all, and its doorbells ring there. */
static void check_place(unsigned int i)
{
	const struct pci_function *function = &machine.function[i].function;
	const struct virtio_dev *dev = &machine.dev[i];
	bool on = pci_get16(function, PCI_COMMAND) & PCI_COMMAND_MEMORY;
	bool runs = dev->status & VIRTIO_CONFIG_S_DRIVER_OK &&
	            !(dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);

	BUG_ON(on == (function->at == PCI_NOWHERE));
	BUG_ON(on && function->at % VIRTIO_PCI_BAR_SIZE);
	for (unsigned int q = 0; q < N_QUEUES; q++) {
		const struct bell *bell = &machine.bell[i][q];

		BUG_ON(bell->bound != dev->queue[q].bound);
		BUG_ON(bell->bound && bell->gpa != function->at + 0x2000 + 4 * q);
		BUG_ON(runs && (bell->bound != (on && dev->queue[q].vq.enabled)));
	}
}

static void check_vectors(const struct virtio_pci *pci)
{
	BUG_ON(pci->msix.pending >> N_VECTORS);
	BUG_ON(pci->config_vector >= N_VECTORS && pci->config_vector != 0xffff);
	for (unsigned int q = 0; q < VIRTIO_MAX_QUEUES; q++) {
		uint16_t vector = pci->queue_vector[q];

		BUG_ON(vector != 0xffff && (q >= N_QUEUES || vector >= N_VECTORS));
	}
	for (unsigned int i = 0; i < N_VECTORS; i++)
		BUG_ON(pci->msix.entry[i].control > 1 || pci->msix.entry[i].address & 3);
}

static void check(void)
{
	BUG_ON(machine.pci.address & 0x7f000003);
	for (unsigned int i = 0; i < N_FUNCTIONS; i++) {
		check_config(&machine.function[i].function);
		check_place(i);
		check_vectors(&machine.function[i]);
		check_lock(&machine.dev[i].dev.lock);
	}
	check_lock(&machine.pci.ecam.lock);
	check_lock(&machine.pci.ports.lock);
	check_lock(&machine.pci.lock);
}

/* ---- steps ---- */

static void access_bus(struct fuzz_input *input, const struct bus *bus, uint64_t addr,
	unsigned int size, bool is_write)
{
	if (is_write)
		bus_write(bus, addr, size, take(input, size));
	else
		bus_read(bus, addr, size);
}

/* The same by both ways. */
static void access_config(
	struct fuzz_input *input, uint8_t slot, uint16_t offset, unsigned int size, bool is_write)
{
	uint64_t addr = PLATFORM_ECAM_BASE + ((slot % 4u) << 15) + (offset & 0x7fff);
	uint64_t mask = UINT64_MAX >> (64 - 8 * size), by_ecam, by_port;

	if (is_write) {
		access_bus(input, &machine.mmio, addr, size, true);
		return;
	}
	by_ecam = bus_read(&machine.mmio, addr, size) & mask;
	if (offset & 0x7f00 || (offset & 3) + size > 4)
		return;
	bus_write(&machine.pio, PLATFORM_PCI_PORT, 4,
		0x80000000u | (slot % 4u) << 11 | (offset & 0xfcu));
	by_port = bus_read(&machine.pio, PLATFORM_PCI_PORT + 4 + (offset & 3), size) & mask;
	/* The first may have read the ISR, by the capability for that. */
	BUG_ON(by_ecam != by_port && (offset & 0xff) < 0x40);
}

static void access_memory(struct fuzz_input *input, uint8_t what, unsigned int size)
{
	const struct pci_function *function = &machine.function[what & 1].function;
	uint64_t addr = take(input, what & 0x10 ? 8 : 2);

	if (!(what & 0x10))
		addr = function->at + addr % VIRTIO_PCI_BAR_SIZE;
	access_bus(input, &machine.mmio, addr, size, what & 2);
}

/* Whatever the guest did before, it finds the functions as they were at first. */
static void reset(void)
{
	bus_reset(&machine.pio);
	bus_reset(&machine.mmio);
	for (unsigned int i = 0; i < N_FUNCTIONS; i++) {
		const struct pci_function *function = &machine.function[i].function;

		BUG_ON(memcmp(function->config, function->fresh, sizeof(function->config)) != 0);
		BUG_ON(function->at != BASE(i) || machine.function[i].msix.pending);
		BUG_ON(bus_read(&machine.mmio, BASE(i) + 20, 1) != 0); /* device_status */
		for (unsigned int v = 0; v < N_VECTORS; v++)
			BUG_ON(bus_read(&machine.mmio, BASE(i) + 0x3000 + 16 * v + 8, 8) !=
				1ull << 32);
	}
	BUG_ON(machine.n_sent || machine.pci.address);
}

static void others(uint8_t what)
{
	struct virtio_pci *pci = &machine.function[what & 1];

	if ((what & 0x3e) == 0x3e) {
		reset();
		return;
	}
	pthread_mutex_lock(&pci->vdev->dev.lock);
	if (what & 2)
		virtio_config_changed(pci->vdev);
	else
		pci->transport.signal_queue(&pci->transport, what >> 2 & 1);
	pthread_mutex_unlock(&pci->vdev->dev.lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	init();
	while (input.size) {
		uint8_t what = take8(&input);
		unsigned int n = 1u << (what >> 2 & 3);
		uint8_t where;

		machine.n_sent = 0;
		switch (what >> 6) {
		case 0:
			where = take8(&input);
			access_config(&input, where, take16(&input), n, what & 2);
			break;
		case 1:
			where = take8(&input);
			access_bus(
				&input, &machine.pio, PLATFORM_PCI_PORT + where % 8u, n, what & 2);
			break;
		case 2: access_memory(&input, what, n); break;
		default: others(what); break;
		}
		check();
	}
	fini();
	return 0;
}
