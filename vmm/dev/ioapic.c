// SPDX-License-Identifier: MIT
/* ioapic.c - the I/O APIC */

#include "dev/ioapic.h"

/* Memory-mapped registers */
#define IOREGSEL 0x00
#define IOWIN    0x10

/* Registers behind the window */
#define REG_ID          0x00
#define REG_VERSION     0x01
#define REG_ARBITRATION 0x02
#define REG_REDIRECTION 0x10 /* two a pin: low, high */

#define IOAPIC_VERSION 0x11u /* 82093AA; no EOI register */

#define ID_WRITABLE 0x0f000000u

/* Redirection entry */
#define RTE_VECTOR        0xffull
#define RTE_DELIVERY_MODE (7ull << 8)
#define RTE_LOGICAL       (1ull << 11)
#define RTE_READ_ONLY     (1ull << 12 | 1ull << 14) /* delivery status, remote IRR */
#define RTE_LEVEL         (1ull << 15)
#define RTE_MASKED        (1ull << 16)

/* A message is the entry in other clothes (Intel SDM vol. 3, 11.11 "message signalled interrupts").
 */
static struct message message_of(uint64_t entry)
{
	return (struct message){
		.address = PLATFORM_LAPIC_BASE | (entry >> 56) << 12 |
		           (entry & RTE_LOGICAL ? 1u << 2 : 0),
		.data = (uint32_t)(entry & (RTE_VECTOR | RTE_DELIVERY_MODE)),
	};
}

static void raise_pin(struct ioapic *ioapic, unsigned int pin)
{
	uint64_t entry = ioapic->redirection[pin];
	struct message message = message_of(entry);

	if (entry & RTE_MASKED) {
		ioapic->missed |= 1u << pin;
		return;
	}
	if (ioapic->send_msi(ioapic->ctx, message.address, message.data) < 0 &&
		log_limit_ok(&ioapic->limit))
		log_debug("ioapic: pin %u names no CPU that takes it", pin);
}

static void ioapic_raise(struct irq_chip *chip, unsigned int gsi)
{
	struct ioapic *ioapic = (struct ioapic *)chip;

	/* No line is that pin's own: it is the serial port's second. */
	if (gsi >= PLATFORM_MAX_GSIS || gsi == PLATFORM_SERIAL_ISA_IRQ)
		return;
	raise_pin(ioapic, gsi);
	if (gsi == PLATFORM_SERIAL_GSI)
		raise_pin(ioapic, PLATFORM_SERIAL_ISA_IRQ);
}

/* What raises a pin without us. */
static void update_irqfds(const struct ioapic *ioapic, unsigned int pin)
{
	uint64_t entry = ioapic->redirection[pin];
	struct irqfd_change change[IRQFD_MAX];
	unsigned int n = 0;

	for (struct irqfd *irqfd = ioapic->irqfd[pin]; irqfd; irqfd = irqfd->next)
		change[n++] = (struct irqfd_change){
			.irqfd = irqfd,
			.on = irqfd->is_wanted && !(entry & RTE_MASKED),
			.message = message_of(entry),
		};
	if (n)
		irqfd_change(ioapic->irqfd_ops, ioapic->irqfd_ctx, change, n);
}

static void ioapic_connect(struct irq_chip *chip, unsigned int gsi, struct irqfd *list,
	const struct irqfd_ops *ops, void *ctx)
{
	struct ioapic *ioapic = (struct ioapic *)chip;

	ioapic->irqfd[gsi] = list;
	ioapic->irqfd_ops = ops;
	ioapic->irqfd_ctx = ctx;
	update_irqfds(ioapic, gsi);
}

/* While a pin is masked an edge is lost, but a level is still there when it no longer is (82093AA
 * data sheet, 3.2.4), and guests that take our edges for a level count on that: NetBSD masks a pin
 * until it comes to serve it.  The line may have gone down meanwhile, which nobody tells; then the
 * interrupt is one that finds nothing to do.
 */
static void pin_changed(struct ioapic *ioapic, unsigned int pin)
{
	bool missed = ioapic->missed >> pin & 1;

	update_irqfds(ioapic, pin);
	if (ioapic->redirection[pin] & RTE_MASKED)
		return;
	ioapic->missed &= ~(1u << pin);
	if (missed && ioapic->redirection[pin] & RTE_LEVEL)
		raise_pin(ioapic, pin);
}

static uint32_t ioapic_read_register(const struct ioapic *ioapic)
{
	uint32_t pin = (ioapic->select - REG_REDIRECTION) / 2;

	switch (ioapic->select) {
	case REG_ID:
	case REG_ARBITRATION: return ioapic->id;
	case REG_VERSION: return IOAPIC_VERSION | (ioapic->n_inputs - 1) << 16;
	default:
		if (ioapic->select < REG_REDIRECTION || pin >= PLATFORM_MAX_GSIS)
			return 0;
		return (uint32_t)(ioapic->redirection[pin] >> (ioapic->select & 1 ? 32 : 0));
	}
}

static void ioapic_write_register(struct ioapic *ioapic, uint32_t value)
{
	uint32_t pin = (ioapic->select - REG_REDIRECTION) / 2;
	uint64_t *entry;

	if (ioapic->select == REG_ID) {
		ioapic->id = value & ID_WRITABLE;
		return;
	}
	if (ioapic->select < REG_REDIRECTION || pin >= PLATFORM_MAX_GSIS)
		return;
	entry = &ioapic->redirection[pin];
	if (ioapic->select & 1)
		*entry = (*entry & UINT32_MAX) | (uint64_t)value << 32;
	else
		*entry = (*entry & ~(uint64_t)UINT32_MAX) | (value & ~RTE_READ_ONLY);
	pin_changed(ioapic, pin);
}

static uint64_t ioapic_read(struct device *dev, uint64_t offset, unsigned int)
{
	struct ioapic *ioapic = (struct ioapic *)dev;

	if (offset == IOREGSEL)
		return ioapic->select;
	return offset == IOWIN ? ioapic_read_register(ioapic) : 0;
}

static void ioapic_write(struct device *dev, uint64_t offset, unsigned int, uint64_t value)
{
	struct ioapic *ioapic = (struct ioapic *)dev;

	if (offset == IOREGSEL)
		ioapic->select = value & 0xff;
	else if (offset == IOWIN)
		ioapic_write_register(ioapic, (uint32_t)value);
}

static void ioapic_reset(struct device *dev)
{
	struct ioapic *ioapic = (struct ioapic *)dev;

	ioapic->select = 0;
	ioapic->id = 0;
	ioapic->missed = 0;
	for (unsigned int pin = 0; pin < PLATFORM_MAX_GSIS; pin++) {
		ioapic->redirection[pin] = RTE_MASKED;
		update_irqfds(ioapic, pin);
	}
}

static const struct device_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
	.reset = ioapic_reset,
};

void ioapic_init(struct ioapic *ioapic, unsigned int n_inputs,
	int (*send_msi)(void *ctx, uint64_t address, uint32_t data), void *ctx)
{
	*ioapic = (struct ioapic){ .n_inputs = n_inputs, .send_msi = send_msi, .ctx = ctx };
	device_init(&ioapic->chip.dev, "ioapic", &ioapic_ops);
	ioapic->chip.raise = ioapic_raise;
	ioapic->chip.connect = ioapic_connect;
	ioapic_reset(&ioapic->chip.dev);
}

void ioapic_fini(struct ioapic *ioapic)
{
	device_fini(&ioapic->chip.dev);
}

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_FIELD(struct ioapic, select, 1),
	STATE_FIELD(struct ioapic, id, 1),
	STATE_ARRAY(struct ioapic, redirection, 1),
	STATE_FIELD(struct ioapic, missed, 1),
	STATE_END,
};

const struct state_table ioapic_state = { "ioapic", 1, fields };

int ioapic_load(struct ioapic *ioapic, struct state_reader *reader, struct diag *diag)
{
	int ret = state_load(reader, &ioapic_state, 0, ioapic, diag);

	ioapic->select &= 0xff;
	ioapic->id &= ID_WRITABLE;
	ioapic->missed &= (1u << PLATFORM_MAX_GSIS) - 1;
	for (unsigned int pin = 0; pin < PLATFORM_MAX_GSIS; pin++)
		ioapic->redirection[pin] &= ~RTE_READ_ONLY;
	return ret;
}
