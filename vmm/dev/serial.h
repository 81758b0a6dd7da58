/* SPDX-License-Identifier: MIT */
/* serial.h - a 16550A with its interrupt and both FIFOs
 *
 * Source: National Semiconductor PC16550D data sheet; the register names are
 * <linux/serial_reg.h>'s. The line itself is infinitely fast: a byte written is a byte sent, as
 * long as the host's side has room.  When it has none, the transmitter reads as busy: the guest
 * waits as it would for a slow line, and no vCPU is ever held.
 */
#ifndef DEV_SERIAL_H
#define DEV_SERIAL_H

#include "bus/irq.h"
#include "state/state.h"
#include "util/counter.h"

#include <stdbool.h>
#include <stddef.h>

#define SERIAL_FIFO_SIZE 16

/* The host's side.  Called with the device's lock held; neither call blocks. */
struct serial_ops {
	/* Take one byte.  True if there is room for another. */
	bool (*send)(void *ctx, uint8_t byte);
	/* Is there room for a byte? */
	bool (*can_send)(void *ctx);
	/* The guest wants input and the FIFO has room: deliver by serial_receive(). */
	void (*want_input)(void *ctx);
};

struct serial {
	struct device dev;
	const struct serial_ops *ops;
	void *ctx;
	struct irq_line line;
	bool line_high;
	bool is_quiet;         /* the machine is paused */
	bool tx_busy;          /* the host's side is full */
	bool tx_empty_pending; /* "transmitter empty" has not been acknowledged */
	bool rx_overrun;
	bool polls_input; /* the guest is known to poll for input */
	unsigned int n_status_polls;
	uint8_t rx[SERIAL_FIFO_SIZE];
	unsigned int rx_head, rx_count;
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint64_t n_read, n_written; /* bytes, by the guest */
	uint64_t n_dropped;         /* of the latter, by who sends them */
};

extern const struct counter serial_counters[];

void serial_init(
	struct serial *serial, struct irq_line line, const struct serial_ops *ops, void *ctx);
void serial_fini(struct serial *serial);

/* The loop's side, with the device's lock held. */

/* Bytes that serial_receive() would take now; 0 unless the guest is known to take input, in
 * loopback, and while it is quiet.
 */
size_t serial_receive_room(const struct serial *serial);
void serial_receive(struct serial *serial, const uint8_t *data, size_t size);
/* The host's side has room again. */
void serial_send_ready(struct serial *serial);

/* The machine is paused, and goes on: no input is taken and no interrupt raised meanwhile; both are
 * made up for.
 */
void serial_quiesce(struct serial *serial);
void serial_resume(struct serial *serial);

/* What a copy of the machine begins with; and have one that was just made be so.  -EBADMSG, diag.
 */
extern const struct state_table serial_state;
int serial_load(struct serial *serial, struct state_reader *reader, struct diag *diag);

#endif
