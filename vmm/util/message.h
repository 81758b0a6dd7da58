/* SPDX-License-Identifier: MIT */
/* message.h - message-signalled interrupts, as values */
#ifndef UTIL_MESSAGE_H
#define UTIL_MESSAGE_H

#include <stdint.h>

/* The guest's idea of it: it may be one that no CPU takes. */
struct message {
	uint64_t address;
	uint32_t data;
};

/* By a number that a machine has for it. */
struct message_route {
	unsigned int number;
	struct message message;
};

#endif
