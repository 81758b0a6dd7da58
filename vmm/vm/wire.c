// SPDX-License-Identifier: MIT
/* wire.c - what the parts of a machine ask of each other */

#include "vm/wire.h"

#include "bus/platform.h"
#include "confine/confine.h"
#include "util/error.h"
#include "util/log.h"
#include "vm/lost_memory.h"

#include <time.h>

/* ---- the end ---- */

/* Any thread.  The first who asks decides how the run ended. */
static void ask_end(struct vm *vm, enum exit_code outcome)
{
	if (life_ask_end(&vm->life, outcome))
		timeline_record(vm->timeline, TIMELINE_END);
}

/* A vCPU that asked for the end runs no further instruction. */
static void ask_end_by_guest(struct vm *vm, enum exit_code outcome)
{
	crew_order(&vm->crew, CREW_PARK);
	ask_end(vm, outcome);
}

/* ---- devices ---- */

static void guest_poweroff(void *ctx)
{
	ask_end_by_guest(ctx, EXIT_POWEROFF);
}

static void guest_reset(void *ctx)
{
	ask_end_by_guest(ctx, EXIT_REBOOT);
}

static void guest_mark(void *ctx, uint8_t mark)
{
	struct vm *vm = ctx;

	timeline_record(vm->timeline, TIMELINE_MARK + mark);
	if (vm->watch && vm->watch->mark)
		vm->watch->mark(vm->watch_ctx, mark);
}

/* If it is to be, no vCPU runs a further instruction before it has been. */
static void guest_save(void *ctx)
{
	struct vm *vm = ctx;

	if (!vm->template || atomic_exchange(&vm->has_asked_to_be_saved, true))
		return;
	crew_order(&vm->crew, CREW_PARK);
	loop_counter_add(vm->save.fd);
}

static uint64_t host_monotonic(void *)
{
	return timeline_now();
}

static const struct power_ops power_ops = {
	.poweroff = guest_poweroff,
	.reset = guest_reset,
	.mark = guest_mark,
	.save = guest_save,
	.now = host_monotonic,
};

static uint64_t host_time(void *)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What has no room in its rate is dropped: the guest, which does not wait for a line that is not
 * there, is not held, and a log that it fills grows no faster.
 */
static bool has_rate(struct vm *vm)
{
	if (!rate_is_limited(&vm->serial_rate))
		return true;
	if (rate_wait_ns(&vm->serial_rate, timeline_now())) {
		counter_add(&vm->serial.n_dropped, 1);
		return false;
	}
	rate_take(&vm->serial_rate, 1);
	return true;
}

static bool serial_out(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;

	timeline_record(vm->timeline, TIMELINE_CONSOLE);
	if (!has_rate(vm))
		return console_can_send(vm->serial_line->console);
	return console_send(vm->serial_line->console, byte);
}

static bool serial_can_send(void *ctx)
{
	struct vm *vm = ctx;

	return console_can_send(vm->serial_line->console);
}

static void serial_want_input(void *ctx)
{
	struct vm *vm = ctx;

	console_want_input(vm->serial_line->console);
}

static const struct serial_ops serial_ops = {
	.send = serial_out,
	.can_send = serial_can_send,
	.want_input = serial_want_input,
};

/* What nobody listens to may be all that a guest says. */
static void debug_console_out(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;

	if (vm->debug_output) {
		timeline_record(vm->timeline, TIMELINE_CONSOLE);
		output_send(vm->debug_output, byte);
	} else if (!vm->debug_hinted) {
		vm->debug_hinted = true;
		log_info("the guest writes to port 0x%x; --debug-console stderr shows it",
			PLATFORM_DEBUG_CONSOLE_PORT);
	}
}

static void guest_debug_exit(void *ctx, uint8_t status)
{
	ask_end_by_guest(ctx, (enum exit_code)(EXIT_CHOSEN | status));
}

int vm_send_msi(void *ctx, uint64_t address, uint32_t data)
{
	struct vm *vm = ctx;

	return kvm_vm_signal_msi(&vm->kvm_vm, address, data);
}

/* ---- vCPUs ---- */

static uint64_t vcpu_pio_read(void *ctx, uint16_t port, unsigned int size)
{
	return bus_read(&((struct vm *)ctx)->pio, port, size);
}

static void vcpu_pio_write(void *ctx, uint16_t port, unsigned int size, uint64_t value)
{
	bus_write(&((struct vm *)ctx)->pio, port, size, value);
}

static uint64_t vcpu_mmio_read(void *ctx, uint64_t gpa, unsigned int size)
{
	return bus_read(&((struct vm *)ctx)->mmio, gpa, size);
}

static void vcpu_mmio_write(void *ctx, uint64_t gpa, unsigned int size, uint64_t value)
{
	bus_write(&((struct vm *)ctx)->mmio, gpa, size, value);
}

static void vcpu_begun(void *ctx)
{
	const struct vm *vm = ctx;

	if (vm->has_filters)
		confine_thread(FILTER_VCPU, vm->tells_refused);
}

static void vcpu_entering(void *ctx, const struct vcpu *vcpu)
{
	struct vm *vm = ctx;

	if (vcpu->id == 0)
		timeline_record(vm->timeline, TIMELINE_GUEST);
}

/* Some guests have no other way to reset, or to end.  True: this one's is no crash. */
static bool is_wanted(struct vm *vm, const struct vcpu *vcpu)
{
	bool resets = vm->config->on_triple_fault == ON_TRIPLE_FAULT_RESET;

	if (vm->config->on_triple_fault == ON_TRIPLE_FAULT_CRASH)
		return false;
	log_info("triple fault on vCPU %u: taken for a %s", vcpu->id,
		resets ? "reset" : "power-off");
	ask_end_by_guest(vm, resets ? EXIT_REBOOT : EXIT_POWEROFF);
	return true;
}

static void vcpu_ended(void *ctx, const struct vcpu *vcpu, enum vcpu_end end)
{
	if (lost_memory_tell(ctx))
		end = VCPU_END_HOST;
	if (end == VCPU_END_TRIPLE_FAULT) {
		if (is_wanted(ctx, vcpu))
			return;
		log_error("guest crashed: triple fault on vCPU %u", vcpu->id);
	}
	vcpu_log_registers(vcpu);
	ask_end_by_guest(ctx, end == VCPU_END_HOST ? EXIT_HOST_ERROR : EXIT_CRASH);
}

static const struct vcpu_ops vcpu_ops = {
	.pio_read = vcpu_pio_read,
	.pio_write = vcpu_pio_write,
	.mmio_read = vcpu_mmio_read,
	.mmio_write = vcpu_mmio_write,
	.begun = vcpu_begun,
	.entering = vcpu_entering,
	.ended = vcpu_ended,
};

/* Linux visits each input that is counted: as few as there are lines.  Devices on PCI have none. */
static unsigned int n_inputs(const struct config *config)
{
	unsigned int n = config_has_pci(config) ? 0 : config_n_devices(config);

	n = n ? PLATFORM_VIRTIO_GSI + n : 0;
	return n > config->ioapic_inputs ? n : config->ioapic_inputs;
}

static void wire_pci(struct vm *vm)
{
	pci_init(&vm->pci, &vm->pc_reset.control);
	bus_add(&vm->mmio, PLATFORM_ECAM_BASE, PLATFORM_ECAM_SIZE, &vm->pci.ecam);
	bus_ask(&vm->mmio, pci_find, &vm->pci);
}

/* The reset control port lies among those of PCI.  Linux would use these where they are, though two
 * exits are dearer than the one of ECAM.
 */
static void wire_pci_ports(struct vm *vm)
{
	if (config_has_pci(vm->config) && !vm->is_linux)
		bus_add(&vm->pio, PLATFORM_PCI_PORT, PLATFORM_PCI_PORT_SIZE, &vm->pci.ports);
	else
		bus_add(&vm->pio, PLATFORM_RESET_CONTROL_PORT, 1, &vm->pc_reset.control);
}

void wire_init(struct vm *vm)
{
	struct irq_line serial_line = { &vm->ioapic.chip, PLATFORM_SERIAL_GSI };
	struct irq_line power_line = { &vm->ioapic.chip, PLATFORM_GED_GSI };
	enum debug_exit_at exit_port = config_exit_port(vm->config);
	const struct rate_limit no_limit = { 0 };

	ioapic_init(&vm->ioapic, n_inputs(vm->config), vm_send_msi, vm);
	serial_init(&vm->serial, serial_line, &serial_ops, vm);
	rate_set(&vm->serial_rate, &vm->config->console_rate, &no_limit, timeline_now());
	power_init(&vm->power, power_line, &power_ops, vm);
	pc_reset_init(&vm->pc_reset, guest_reset, vm);
	rtc_init(&vm->rtc, host_time, NULL);
	debug_console_init(&vm->debug_console, vm->config->debug_console != DEBUG_CONSOLE_OFF,
		debug_console_out, vm);
	debug_exit_init(&vm->debug_exit, vm->config->exec, guest_debug_exit, vm);
	bus_add(&vm->mmio, PLATFORM_IOAPIC_BASE, PLATFORM_IOAPIC_SIZE, &vm->ioapic.chip.dev);
	bus_add(&vm->pio, PLATFORM_SERIAL_PORT, PLATFORM_SERIAL_PORT_SIZE, &vm->serial.dev);
	bus_add(&vm->pio, PLATFORM_PM_PORT, PLATFORM_PM_PORT_SIZE, &vm->power.dev);
	bus_add(&vm->pio, PLATFORM_KEYBOARD_PORT, 1, &vm->pc_reset.keyboard);
	if (config_has_pci(vm->config))
		wire_pci(vm);
	wire_pci_ports(vm);
	bus_add(&vm->pio, PLATFORM_RTC_PORT, PLATFORM_RTC_PORT_SIZE, &vm->rtc.dev);
	bus_add(&vm->pio, PLATFORM_DEBUG_CONSOLE_PORT, 1, &vm->debug_console.dev);
	if (exit_port != DEBUG_EXIT_OFF)
		bus_add(&vm->pio, exit_port, DEBUG_EXIT_SIZE, &vm->debug_exit.dev);
	for (unsigned int i = 0; i < vm->config->cpus; i++)
		vcpu_init(&vm->vcpu[i], i, &vcpu_ops, vm);
}

void wire_fini(struct vm *vm)
{
	if (config_has_pci(vm->config))
		pci_fini(&vm->pci);
	debug_exit_fini(&vm->debug_exit);
	debug_console_fini(&vm->debug_console);
	rtc_fini(&vm->rtc);
	pc_reset_fini(&vm->pc_reset);
	power_fini(&vm->power);
	serial_fini(&vm->serial);
	ioapic_fini(&vm->ioapic);
}

/* ---- the console; with the serial port's lock held ---- */

static size_t console_input_room(void *ctx)
{
	return serial_receive_room(&((struct vm *)ctx)->serial);
}

static void console_input(void *ctx, const uint8_t *data, size_t size)
{
	serial_receive(&((struct vm *)ctx)->serial, data, size);
}

static void console_output_room(void *ctx)
{
	serial_send_ready(&((struct vm *)ctx)->serial);
}

static void console_escape(void *ctx)
{
	struct vm *vm = ctx;

	log_info("the escape key ends the VM");
	control_demand_end(&vm->control);
}

static const struct console_ops console_ops = {
	.input = {
		.room = console_input_room,
		.take = console_input,
		.escape = console_escape,
	},
	.output_room = console_output_room,
};

void wire_console(struct vm *vm)
{
	const struct console_spec spec = {
		.option = "--console",
		.name = "console",
		.kind = config_serial_console(vm->config),
		.path = vm->config->console_path,
	};

	vm->consoles.timeline = vm->timeline;
	vm->consoles.escape_key = vm->config->escape_key;
	vm->consoles.escape = console_escape;
	vm->consoles.ctx = vm;
	vm->serial_line = consoles_add(
		&vm->consoles, &spec, &vm->serial.dev.lock, &console_ops, vm);
}

/* ---- the debug console ---- */

int wire_debug_console(struct vm *vm, struct diag *diag)
{
	int ret = output_attach(
		vm->debug_output, &vm->loop, &vm->debug_console.dev.lock, NULL, NULL);

	return ret ? diag_fail(diag, -ret, "--debug-console: epoll: %s", error_text(-ret)) : 0;
}

/* ---- the machine's pause ---- */

/* The serial port is the only one that the host's side wakes. */
void wire_quiesce(struct vm *vm)
{
	pthread_mutex_lock(&vm->serial.dev.lock);
	serial_quiesce(&vm->serial);
	pthread_mutex_unlock(&vm->serial.dev.lock);
	consoles_flush(&vm->consoles);
}

void wire_resume(struct vm *vm)
{
	pthread_mutex_lock(&vm->serial.dev.lock);
	serial_resume(&vm->serial);
	pthread_mutex_unlock(&vm->serial.dev.lock);
}

/* ---- the operator ---- */

/* What a guest that waits for its next life has of devices, that life begins without; and one that
 * is paused could not answer.
 */
bool vm_press_button(struct vm *vm)
{
	if (vm->life.state != LIFE_RUNNING)
		return false;
	pthread_mutex_lock(&vm->power.dev.lock);
	power_press_button(&vm->power);
	pthread_mutex_unlock(&vm->power.dev.lock);
	return true;
}

static bool control_press_button(void *ctx)
{
	return vm_press_button(ctx);
}

bool vm_power_off(struct vm *vm)
{
	if (vm->life.state != LIFE_RUNNING)
		return false;
	control_power_off(&vm->control);
	return true;
}

bool vm_ask_reset(struct vm *vm)
{
	if (vm->life.state != LIFE_RUNNING || vm->config->on_reboot != ON_REBOOT_RESTART)
		return false;
	ask_end(vm, EXIT_REBOOT);
	return true;
}

static bool control_type_interrupt(void *ctx)
{
	return consoles_interrupt(&((struct vm *)ctx)->consoles);
}

static void control_stop(void *ctx)
{
	consoles_stop(&((struct vm *)ctx)->consoles);
}

static void control_go_on(void *ctx)
{
	consoles_continue(&((struct vm *)ctx)->consoles);
}

static void control_resize(void *ctx)
{
	consoles_resize(&((struct vm *)ctx)->consoles);
}

static void control_end(void *ctx)
{
	ask_end(ctx, EXIT_KILLED);
}

static const struct control_ops control_ops = {
	.press_button = control_press_button,
	.type_interrupt = control_type_interrupt,
	.stop = control_stop,
	.go_on = control_go_on,
	.resize = control_resize,
	.end = control_end,
};

int wire_control(struct vm *vm, struct diag *diag)
{
	return control_init(
		&vm->control, &vm->loop, vm->config->grace_s * 1000ull, &control_ops, vm, diag);
}
