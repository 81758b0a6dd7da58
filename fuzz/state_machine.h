/* SPDX-License-Identifier: MIT */
/* state_machine.h - the machine of fuzz_state.c: all that can be saved, but for vCPUs */
#ifndef FUZZ_STATE_MACHINE_H
#define FUZZ_STATE_MACHINE_H

#include "../tests/unit/state_rig.h"
#include "../tests/unit/virtio_rig.h"
#include "bus/platform.h"
#include "dev/ioapic.h"
#include "dev/net.h"
#include "dev/power.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "dev/table.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DISK, NET, VSOCK, BALLOON, RNG, HVC, PORT, N_DEVICES };

#define N_PAIRS   2
#define DISK_SIZE 65536
#define MAC                      \
	{                        \
		2, 0, 0, 0, 0, 1 \
	}

static struct machine {
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct consoles consoles;
	struct ioapic ioapic;
	struct serial serial;
	struct power power;
	struct rtc rtc;
	struct device reset_control;
	struct pci pci;
	bool has_pci;
	struct virtio_dev *dev[N_DEVICES];
	struct virtio_mmio mmio[N_DEVICES];
	struct virtio_pci function[N_DEVICES];
	struct link link[N_PAIRS];
	bool link_is_on[N_PAIRS];
	unsigned int n_messages;
} machine;

static char machine_disk[] = "/dev/shm/fuzz-state-XXXXXX", machine_socket[64];

/* ---- what is around it ---- */

static int send_msi(void *, uint64_t, uint32_t)
{
	machine.n_messages++;
	return 0;
}

static bool send_byte(void *, uint8_t)
{
	return true;
}

static bool can_send(void *)
{
	return true;
}

static void nothing(void *)
{
}

static void no_mark(void *, uint8_t)
{
}

static uint64_t now(void *)
{
	return UINT64_C(123456789012);
}

static const struct serial_ops serial_ops = { send_byte, can_send, nothing };
static const struct power_ops power_ops = { nothing, nothing, no_mark, now, nothing };

static int no_bind(void *, const struct virtio_doorbell *, int, bool)
{
	return -ENOTTY;
}

static int link_send(struct link *, struct iovec *, unsigned int)
{
	return 0;
}

static ssize_t link_receive(struct link *, struct iovec *, unsigned int, size_t, bool)
{
	return -EAGAIN;
}

static void link_set_features(struct link *, uint64_t)
{
}

static void link_switch(struct link *link, bool on)
{
	BUG_ON(machine.link_is_on[link - machine.link] == on);
	machine.link_is_on[link - machine.link] = on;
}

static void link_explain(struct link *, struct diag *diag)
{
	diag_fail(diag, EPIPE, "it has ended");
}

static void link_end(struct link *link)
{
	close(link->fd);
}

static const struct link_ops link_ops = {
	.send = link_send,
	.receive = link_receive,
	.set_features = link_set_features,
	.switch_queue = link_switch,
	.explain_end = link_explain,
	.close = link_end,
};

/* ---- a machine that was just made ---- */

static struct virtio_dev *open_net(struct diag *diag)
{
	static const uint8_t mac[6] = MAC;

	for (unsigned int i = 0; i < N_PAIRS; i++) {
		machine.link[i] = (struct link){
			.ops = &link_ops,
			.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
			.end_fd = -1,
			.mtu = 1500,
			.room = LINK_HEADER + 1518,
			.next = i + 1 < N_PAIRS ? &machine.link[i + 1] : NULL,
		};
		machine.link_is_on[i] = true;
	}
	return net_create(machine.link, &(struct net_options){ 0 }, mac, &machine.env, diag);
}

static void open_devices(void)
{
	const struct blk_options disk = {
		.path = machine_disk, .n_queues = 2, .engine = DISK_ENGINE_SYNC
	};
	const struct vsock_options vsock = { .path = machine_socket, .cid = 3 };
	const struct balloon_options balloon = {
		.size = MIB(1), .reporting = true, .hinting = true, .stats_s = 3600
	};
	const struct rng_options rng = { 0 };
	const struct vconsole_options hvc = { .to = CONSOLE_NULL };
	const struct vconsole_options port = { .to = CONSOLE_NULL, .name = (char *)"port" };
	struct diag diag;

	machine.dev[DISK] = blk_class.open(&disk, &machine.env, &diag);
	machine.dev[NET] = open_net(&diag);
	machine.dev[VSOCK] = vsock_class.open(&vsock, &machine.env, &diag);
	machine.dev[BALLOON] = balloon_class.open(&balloon, &machine.env, &diag);
	machine.dev[RNG] = rng_class.open(&rng, &machine.env, &diag);
	machine.dev[HVC] = hvc_class.open(&hvc, &machine.env, &diag);
	machine.dev[PORT] = port_class.open(&port, &machine.env, &diag);
	for (unsigned int i = 0; i < N_DEVICES; i++)
		BUG_ON(!machine.dev[i]);
}

static void put_into_slot(unsigned int i)
{
	struct irq_line line = { &machine.ioapic.chip, PLATFORM_VIRTIO_GSI + i };

	if (machine.has_pci) {
		virtio_pci_init(&machine.function[i], machine.dev[i],
			PLATFORM_PCI_BASE + i * VIRTIO_PCI_BAR_SIZE, send_msi, NULL);
		pci_add(&machine.pci, i + 1, &machine.function[i].function);
	} else {
		virtio_mmio_init(&machine.mmio[i], machine.dev[i], line,
			PLATFORM_VIRTIO_BASE + i * PLATFORM_VIRTIO_SIZE);
	}
}

static void init(bool has_pci)
{
	struct guest_mem mem = machine.mem;

	memset(&machine, 0, sizeof(machine));
	machine.mem = mem;
	machine.has_pci = has_pci;
	BUG_ON(loop_init(&machine.loop));
	machine.consoles = (struct consoles){ .escape_key = -1, .escape = nothing };
	machine.env = (struct virtio_env){ .mem = &machine.mem,
		.loop = &machine.loop,
		.consoles = &machine.consoles,
		.bind = no_bind };
	ioapic_init(&machine.ioapic, PLATFORM_MAX_GSIS, send_msi, NULL);
	serial_init(
		&machine.serial, (struct irq_line){ &machine.ioapic.chip, 1 }, &serial_ops, NULL);
	power_init(&machine.power, (struct irq_line){ &machine.ioapic.chip, 3 }, &power_ops, NULL);
	rtc_init(&machine.rtc, now, NULL);
	device_init(&machine.reset_control, "reset control", NULL);
	pci_init(&machine.pci, &machine.reset_control);
	open_devices();
	for (unsigned int i = 0; i < N_DEVICES; i++)
		put_into_slot(i);
}

static void fini(void)
{
	consoles_detach(&machine.consoles, -1);
	for (unsigned int i = 0; i < N_DEVICES; i++)
		virtio_close(machine.dev[i]);
	consoles_destroy(&machine.consoles, -1);
	pci_fini(&machine.pci);
	device_fini(&machine.reset_control);
	rtc_fini(&machine.rtc);
	power_fini(&machine.power);
	serial_fini(&machine.serial);
	ioapic_fini(&machine.ioapic);
	loop_fini(&machine.loop);
}

#endif
