// SPDX-License-Identifier: MIT
/* devices.c - the virtio devices of a machine */

#include "vm/devices.h"

#include "dev/table.h"
#include "vm/pager.h"
#include "vm/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int bind_doorbell(void *ctx, const struct virtio_doorbell *bell, int fd, bool on)
{
	const struct vm *vm = ctx;

	return kvm_vm_bind_event(
		&vm->kvm_vm, bell->gpa, bell->size, bell->has_match ? &bell->match : NULL, fd, on);
}

static int set_routes(void *ctx, const struct message_route *route, unsigned int n)
{
	return kvm_routes_set(&((struct vm *)ctx)->routes, route, n);
}

static int bind_irqfd(void *ctx, unsigned int number, int fd, bool on)
{
	return kvm_routes_bind(&((struct vm *)ctx)->routes, number, fd, on);
}

static int connect_outside(void *ctx, const char *path)
{
	return outside_connect(&((struct vm *)ctx)->outside, path);
}

static const struct irqfd_ops irqfd_ops = { .set_routes = set_routes, .bind = bind_irqfd };

/* Which one of the settings' it is; its slot says so, as they were made in this order. */
static void device_failed(void *ctx, const struct virtio_dev *dev, const char *why)
{
	const struct vm *vm = ctx;
	unsigned int item = 0, kind = 0;

	while (item < vm->devices.n && vm->devices.dev[item] != dev)
		item++;
	if (item == vm->devices.n || !vm->watch || !vm->watch->device_failed)
		return;
	while (item >= vm->config->devices[kind].n)
		item -= (unsigned int)vm->config->devices[kind++].n;
	vm->watch->device_failed(vm->watch_ctx, kind, item, why);
}

static void put_on_mmio(struct vm *vm, unsigned int slot, struct virtio_dev *dev)
{
	struct irq_line line = { &vm->ioapic.chip, PLATFORM_VIRTIO_GSI + slot };
	uint64_t base = PLATFORM_VIRTIO_BASE + slot * PLATFORM_VIRTIO_SIZE;

	virtio_mmio_init(&vm->devices.slot[slot].mmio, dev, line, base);
	bus_add(&vm->mmio, base, PLATFORM_VIRTIO_SIZE, &dev->dev);
}

/* Behind the host bridge. */
static void put_on_pci(struct vm *vm, unsigned int slot, struct virtio_dev *dev)
{
	struct virtio_pci *pci = &vm->devices.slot[slot].pci;

	virtio_pci_init(pci, dev, PLATFORM_PCI_BASE + slot * VIRTIO_PCI_BAR_SIZE, vm_send_msi, vm);
	pci_add(&vm->pci, slot + 1, &pci->function);
}

static void put_into_slot(struct vm *vm, struct virtio_dev *dev)
{
	unsigned int slot = vm->devices.n++;

	vm->devices.dev[slot] = dev;
	for (unsigned int i = 0; i < dev->n_elsewhere; i++)
		dev->queue[i].call.route = vm->devices.n_routes++;
	if (config_has_pci(vm->config))
		put_on_pci(vm, slot, dev);
	else
		put_on_mmio(vm, slot, dev);
}

/* One for each of the kind's items. */
static int open_kind(struct vm *vm, enum device_kind kind, struct diag *diag)
{
	const struct virtio_class *class = device_class[kind];
	const struct setting_list *list = &vm->config->devices[kind];
	struct virtio_env *env = class->moves_data ? &vm->devices.io_env : &vm->devices.env;
	struct diag why;

	for (size_t i = 0; i < list->n; i++) {
		const void *options = (const char *)list->items + i * class->options->size;
		struct virtio_dev *dev;

		env->ordinal = (unsigned int)i;
		dev = class->open(options, env, &why);
		if (!dev)
			return diag_fail(diag, EINVAL, "%s: %s", device_option[kind], why.text);
		put_into_slot(vm, dev);
	}
	return 0;
}

/* Something has data to move, so there is an I/O thread. */
static bool wants_io(const struct config *config)
{
	for (unsigned int kind = 0; kind < N_DEVICE_KINDS; kind++)
		if (config->devices[kind].n && device_class[kind]->moves_data)
			return true;
	return false;
}

int devices_open(struct vm *vm, struct diag *diag)
{
	struct devices *devices = &vm->devices;
	unsigned int n = config_n_devices(vm->config);
	int ret = 0;

	devices->slot = n ? calloc(n, sizeof(*devices->slot)) : NULL;
	if (n && !devices->slot)
		return diag_fail(diag, ENOMEM, "out of memory");

	if (wants_io(vm->config)) {
		ret = io_init(&devices->io, diag);
		if (ret)
			return ret;
		devices->has_io = true;
	}
	devices->env = (struct virtio_env){
		.mem = &vm->mem,
		.loop = &vm->loop,
		.consoles = &vm->consoles,
		.bind = bind_doorbell,
		.irqfds = &irqfd_ops,
		.failed = device_failed,
		.connect = vm->outside.helper.fd < 0 ? NULL : connect_outside,
		.ctx = vm,
	};
	devices->io_env = devices->env;
	devices->io_env.loop = &devices->io.loop;
	for (unsigned int kind = 0; kind < N_DEVICE_KINDS && !ret; kind++)
		ret = open_kind(vm, kind, diag);
	return ret;
}

int devices_start(struct vm *vm, struct diag *diag)
{
	struct io *io = &vm->devices.io;

	if (!vm->devices.has_io)
		return 0;
	io->has_filter = vm->has_filters;
	io->tells_refused = vm->tells_refused;
	/* The order first, so that the thread finds it when it comes to look. */
	if (!vm->snapshot)
		io_resume(io);
	return io_start(io, diag);
}

/* The I/O thread is at none of them, in the middle of nothing. */
void devices_quiesce(struct vm *vm)
{
	struct devices *devices = &vm->devices;

	if (devices->has_io)
		io_pause(&devices->io);
	for (unsigned int i = 0; i < devices->n; i++)
		virtio_quiesce(devices->dev[i]);
}

void devices_resume(struct vm *vm)
{
	struct devices *devices = &vm->devices;

	for (unsigned int i = 0; i < devices->n; i++)
		virtio_resume(devices->dev[i]);
	if (devices->has_io)
		io_resume(&devices->io);
}

/* ---- while it is there ---- */

static struct virtio_dev *find(
	const struct vm *vm, enum device_kind kind, unsigned int item, struct diag *diag)
{
	unsigned int slot = item;

	if (kind >= N_DEVICE_KINDS || item >= vm->config->devices[kind].n) {
		diag_fail(diag, ENODEV, "there is no such device");
		return NULL;
	}
	for (unsigned int before = 0; before < kind; before++)
		slot += (unsigned int)vm->config->devices[before].n;
	return vm->devices.dev[slot];
}

/* On a copy, so that the settings say what the device does. */
static int change(struct virtio_dev *dev, const struct schema *schema, void *options,
	const char *text, const struct virtio_anew *anew, struct diag *diag)
{
	const struct setting whole = { .kind = SETTING_OBJECT, .members = schema };
	void *next = malloc(schema->size);
	int ret;

	if (!next)
		return diag_fail(diag, ENOMEM, "out of memory");
	ret = schema_copy(schema, next, options, diag);
	if (ret)
		goto out;
	if (*text)
		ret = setting_set(&whole, next, text, diag);
	if (!ret)
		ret = dev->class->update(dev, next, anew, diag);
	schema_clear(schema, ret ? next : options);
	if (!ret)
		memcpy(options, next, schema->size);
out:
	free(next);
	return ret;
}

int devices_update(struct vm *vm, enum device_kind kind, unsigned int item, const char *text,
	const struct virtio_anew *anew, struct diag *diag)
{
	struct virtio_dev *dev = find(vm, kind, item, diag);
	bool waits = vm->devices.has_io && !vm_is_paused(vm);
	const struct schema *schema;
	int ret;

	if (!dev)
		return -ENODEV;
	if (!dev->class->update)
		return diag_fail(diag, EOPNOTSUPP, "this device stays as it was made");
	schema = device_class[kind]->options;
	if (waits)
		io_pause(&vm->devices.io);
	pthread_mutex_lock(&dev->dev.lock);
	ret = change(dev, schema, (char *)vm->config->devices[kind].items + item * schema->size,
		text, anew, diag);
	pthread_mutex_unlock(&dev->dev.lock);
	if (waits)
		io_resume(&vm->devices.io);
	return ret;
}

int devices_command(struct vm *vm, enum device_kind kind, unsigned int item, const char *what,
	char *json, size_t size, struct diag *diag)
{
	struct virtio_dev *dev = find(vm, kind, item, diag);
	int ret;

	if (!dev)
		return -ENODEV;
	if (!dev->class->command)
		return diag_fail(diag, EOPNOTSUPP, "nothing is known of this");
	*json = 0;
	pthread_mutex_lock(&dev->dev.lock);
	ret = dev->class->command(dev, what, json, size, diag);
	pthread_mutex_unlock(&dev->dev.lock);
	return ret;
}

int devices_describe(struct vm *vm, enum device_kind kind, unsigned int item, char *json,
	size_t size, struct diag *diag)
{
	struct virtio_dev *dev = find(vm, kind, item, diag);

	if (!dev)
		return -ENODEV;
	if (!dev->class->describe)
		return diag_fail(diag, EOPNOTSUPP, "there is nothing to tell of this device");
	pthread_mutex_lock(&dev->dev.lock);
	dev->class->describe(dev, json, size);
	pthread_mutex_unlock(&dev->dev.lock);
	return 0;
}

/* ---- for a fork ---- */

int devices_check_copies(const struct vm *vm, struct diag *diag)
{
	for (unsigned int i = 0; i < vm->devices.n; i++) {
		const struct virtio_dev *dev = vm->devices.dev[i];
		const char *why = virtio_why_not_saved(dev);

		if (why && (dev->lost || !dev->class->copy))
			return diag_fail(
				diag, EOPNOTSUPP, "%s cannot be forked: %s", dev->dev.name, why);
	}
	return 0;
}

int devices_copy(struct vm *vm, struct device_copies *copies, struct diag *diag)
{
	int ret = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(copies->fd); i++)
		copies->fd[i] = -1;
	for (unsigned int i = 0; i < vm->devices.n && !ret; i++) {
		struct virtio_dev *dev = vm->devices.dev[i];

		if (!dev->class->copy)
			continue;
		pthread_mutex_lock(&dev->dev.lock);
		ret = dev->class->copy(dev, &copies->fd[i], diag);
		pthread_mutex_unlock(&dev->dev.lock);
	}
	if (ret)
		devices_drop_copies(copies);
	return ret;
}

void devices_drop_copies(struct device_copies *copies)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(copies->fd); i++)
		if (copies->fd[i] >= 0)
			close(copies->fd[i]);
}

int devices_take_copies(
	struct vm *vm, struct vm *from, const struct device_copies *copies, struct diag *diag)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->devices.n && !ret; i++) {
		struct virtio_dev *dev = vm->devices.dev[i];

		if (copies->fd[i] < 0)
			continue;
		pthread_mutex_lock(&dev->dev.lock);
		ret = dev->class->take_copy(dev, from->devices.dev[i], copies->fd[i], diag);
		pthread_mutex_unlock(&dev->dev.lock);
	}
	return ret;
}

void devices_close(struct vm *vm)
{
	struct devices *devices = &vm->devices;

	pager_begin(vm->pager);
	if (devices->has_io)
		io_stop(&devices->io);
	pager_end(vm->pager);
	for (unsigned int i = 0; i < devices->n; i++)
		virtio_close(devices->dev[i]);
	devices->n = 0;
	if (devices->has_io)
		io_fini(&devices->io);
	devices->has_io = false;
	free(devices->slot);
	devices->slot = NULL;
}
