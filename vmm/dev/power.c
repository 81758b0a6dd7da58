// SPDX-License-Identifier: MIT
/* power.c - sleep, reset, power button, timer, marks */

#include "dev/power.h"

#include "bus/platform.h"
#include "util/random.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Sleep control register: ACPI 6.4, table 4.20 */
#define SLEEP_TYPE(value) ((value) >> 2 & 7)
#define SLEEP_ENABLE      0x20u
/* Sleep status register: table 4.21 */
#define WAKE_STATUS 0x80u

#define TIMER_HZ 3579545u /* 4.8.2.1 */

#define REG(port) ((port)-PLATFORM_PM_PORT)

static uint64_t timer_now(const struct power *power)
{
	return power->ops->now(power->ctx) - power->since_ns;
}

static uint32_t read_timer(const struct power *power)
{
	uint64_t ns = timer_now(power), second = 1000000000u;

	return (uint32_t)(ns / second * TIMER_HZ + ns % second * TIMER_HZ / second);
}

/* For a guest that was just made of another, and has no other way to them yet. */
static uint8_t random_byte(const struct power *power)
{
	uint8_t byte = 0;

	if (power->random_fd >= 0)
		(void)!read(power->random_fd, &byte, sizeof(byte));
	else
		(void)!random_bytes(&byte, sizeof(byte));
	return byte;
}

static uint64_t power_read(struct device *dev, uint64_t offset, unsigned int)
{
	struct power *power = (struct power *)dev;
	uint8_t events = power->events;

	switch (offset) {
	case REG(PLATFORM_PM_SLEEP_STATUS): return power->sleep_status;
	case REG(PLATFORM_PM_EVENTS): power->events = 0; return events;
	case REG(PLATFORM_PM_TIMER): return read_timer(power);
	case REG(PLATFORM_PM_SAVE): return random_byte(power);
	default: return 0;
	}
}

static void power_write(struct device *dev, uint64_t offset, unsigned int, uint64_t value)
{
	struct power *power = (struct power *)dev;

	switch (offset) {
	case REG(PLATFORM_PM_SLEEP_CTL):
		if (value & SLEEP_ENABLE && SLEEP_TYPE(value) == PLATFORM_PM_S5_TYPE)
			power->ops->poweroff(power->ctx);
		break;
	case REG(PLATFORM_PM_SLEEP_STATUS):
		power->sleep_status &= (uint8_t) ~(value & WAKE_STATUS);
		break;
	case REG(PLATFORM_PM_RESET):
		if ((value & 0xff) == PLATFORM_PM_RESET_VALUE)
			power->ops->reset(power->ctx);
		break;
	case REG(PLATFORM_PM_MARK): power->ops->mark(power->ctx, (uint8_t)value); break;
	case REG(PLATFORM_PM_SAVE): power->ops->save(power->ctx); break;
	default: break;
	}
}

static void power_reset(struct device *dev)
{
	struct power *power = (struct power *)dev;

	power->events = 0;
	power->sleep_status = 0;
}

static const struct device_ops power_device_ops = {
	.read = power_read,
	.write = power_write,
	.reset = power_reset,
};

void power_init(struct power *power, struct irq_line line, const struct power_ops *ops, void *ctx)
{
	*power = (struct power){ .ops = ops, .ctx = ctx, .line = line, .random_fd = -1 };
	device_init(&power->dev, "power", &power_device_ops);
}

int power_open_random(struct power *power)
{
	power->random_fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	return power->random_fd < 0 ? -errno : 0;
}

void power_fini(struct power *power)
{
	if (power->random_fd >= 0)
		close(power->random_fd);
	device_fini(&power->dev);
}

static void tell(struct power *power, uint8_t event)
{
	power->events |= event;
	irq_raise(&power->line);
}

void power_press_button(struct power *power)
{
	tell(power, PLATFORM_PM_EVENT_POWER);
}

void power_tell_vmgenid(struct power *power)
{
	tell(power, PLATFORM_PM_EVENT_VMGENID);
}

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_FIELD(struct power, events, 1),
	STATE_FIELD(struct power, sleep_status, 1),
	STATE_FIELD(struct power, timer_ns, 1),
	STATE_END,
};

const struct state_table power_state = { "power", 1, fields };

void power_saving(struct power *power)
{
	power->timer_ns = timer_now(power);
}

int power_load(struct power *power, struct state_reader *reader, struct diag *diag)
{
	int ret = state_load(reader, &power_state, 0, power, diag);

	power->since_ns = power->ops->now(power->ctx) - power->timer_ns;
	return ret;
}
