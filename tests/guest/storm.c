// SPDX-License-Identifier: MIT
/* storm.c - without an end, and as fast as it can, what the command line says
 *
 *   exits       accesses to ports and memory where nothing is
 *   interrupts  the serial line's, by its transmitter, and one processor's to itself
 *   timer       the local APIC's, as short as it goes
 *   console     lines
 *   log         what is told of a driver: it breaks the rules, and begins anew
 *   kicks       of a queue, with a request each
 */

#include "virtio.h"

#define LVT_TIMER      (LAPIC + 0x320)
#define TIMER_INITIAL  (LAPIC + 0x380)
#define TIMER_DIVIDE   (LAPIC + 0x3e0)
#define TIMER_PERIODIC 0x20000u
#define DIVIDE_BY_1    0xb
#define ICR            (LAPIC + 0x300)
#define ICR_TO_SELF    0x40000u
#define HOLE           0xd8000000u

static uint8_t buffer[64];
static volatile uint32_t n_interrupts;

static void interrupt(void)
{
	n_interrupts++;
}

static void exits(void)
{
	for (;;) {
		outb(0x84, 0);
		(void)inb(0x3e8);
		(void)read32(HOLE);
		write32(HOLE, 0);
		cpuid(0, 0);
	}
}

static void serial_interrupt(void)
{
	(void)inb(SERIAL + 2);
	n_interrupts++;
}

/* Each time that it is switched on the transmitter, which is empty, says so. */
static void interrupts(void)
{
	lapic_enable();
	irq_route(SERIAL_GSI, 0, serial_interrupt);
	vector_handle(1, interrupt);
	outb(SERIAL + 4, 0x0b);
	interrupts_on();
	for (;;) {
		outb(SERIAL + 1, 0x02);
		outb(SERIAL + 1, 0);
		write32(ICR, ICR_TO_SELF | (FIRST_VECTOR + 1));
	}
}

static void timer(void)
{
	lapic_enable();
	vector_handle(0, interrupt);
	write32(TIMER_DIVIDE, DIVIDE_BY_1);
	write32(LVT_TIMER, TIMER_PERIODIC | FIRST_VECTOR);
	write32(TIMER_INITIAL, 1);
	interrupts_on();
	for (;;)
		cpu_relax();
}

static void console(void)
{
	for (;;)
		put("and again it says what nobody has asked for\n");
}

static struct virtio dev;

static struct queue *start_device(void)
{
	if (!virtio_start(&dev, 0)) {
		put("not ok - the device starts\n");
		halt_forever();
	}
	return &dev.queue[0];
}

static void log(void)
{
	for (;;) {
		struct queue *queue = start_device();

		queue_offer(queue, 0xffff);
		queue_kick(queue);
		virtio_wait_broken(&dev);
	}
}

static void kicks(void)
{
	struct queue *queue = start_device();

	for (;;) {
		queue_set(queue, 0, buffer, sizeof(buffer), VRING_DESC_F_WRITE, 0);
		queue_offer(queue, 0);
		queue_kick(queue);
	}
}

void guest_main(void)
{
	static const struct {
		const char *word;
		void (*go)(void);
	} storms[] = {
		{ "exits", exits },
		{ "interrupts", interrupts },
		{ "timer", timer },
		{ "console", console },
		{ "log", log },
		{ "kicks", kicks },
	};
	const char *word = command_line();

	virtio_find_id(&dev, VIRTIO_ID_RNG);
	put("ready\n");
	for (unsigned int i = 0; i < sizeof(storms) / sizeof(storms[0]); i++)
		if (bytes_equal(word, storms[i].word, string_size(storms[i].word)))
			storms[i].go();
	put("not ok - a storm is named\n");
}
