/* SPDX-License-Identifier: MIT */
/* link.h - what the API's process and the VMM say to each other
 *
 * A socket of packets (SOCK_SEQPACKET) lies between the two.  The API's process asks, and the VMM
 * answers each in turn; between its answers it tells events.  The VMM has all that it needs to
 * begin with from its settings, which it inherits; so the first answer is that to a question which
 * nobody has asked: whether the machine runs.
 */
#ifndef API_LINK_H
#define API_LINK_H

#include "vm/counts.h"

#include <stddef.h>
#include <stdint.h>

#define LINK_TEXT   16384 /* bytes, with the NUL: a timeline with all of a guest's marks */
#define LINK_COUNTS 320
#define LINK_FILES  2

enum link_ask {
	LINK_START, /* only answered */
	LINK_PAUSE,
	LINK_RESUME,
	LINK_POWER_BUTTON,
	LINK_POWER_OFF, /* the button, and the end after settings' grace period */
	LINK_RESET,
	/* A device's options: `kind`, `item`, `anew`; text as on the command line.  With a disk's
	 * new file, if it gets one.
	 */
	LINK_UPDATE,
	LINK_COMMAND,  /* what a device's class knows by the text; the answer is JSON, or empty */
	LINK_STATS,    /* a device's figures: JSON */
	LINK_COUNT,    /* what the machine counts, to be shown */
	LINK_FLUSH,    /* the same, to be written */
	LINK_TIMELINE, /* JSON */
	/* Begin a snapshot, with the files that are to become its state and its memory; the text is
	 * JSON: "beside", as in struct snapshot_target; and "note", which is kept with it; `anew`:
	 * only of what has changed.  That it has begun is answered, and an event says how it ended.
	 */
	LINK_SNAPSHOT,
	/* Fork; the text is JSON: "path", and maybe "once".  The answer is JSON. */
	LINK_FORK,
};

enum link_event {
	LINK_EVENT_RESET = 1, /* the guest has another life */
	LINK_EVENT_MARK,      /* it has reached a moment of its own: `item` */
	LINK_EVENT_COUNTS,    /* what the machine has counted, at its end */
	LINK_EVENT_DEVICE,    /* a device has failed: `kind`, `item`, and why */
	LINK_EVENT_SNAPSHOT,  /* one is done: `result`, and why as text */
};

/* Sent only as far as its text, or its counts, go. */
struct link_message {
	uint16_t ask;   /* enum link_ask: a question, or the one that this answers */
	uint16_t event; /* enum link_event: it is none of these */
	int32_t result; /* of an answer, or an end: 0, or -errno and why as text */
	uint32_t kind;  /* enum device_kind, of which `item` is one */
	uint32_t item;  /* from 0 */
	uint32_t anew;  /* 1: of a device, it is to look once more at what it has of the host */
	uint32_t n_counts;
	union {
		char text[LINK_TEXT]; /* unless there are counts */
		struct count counts[LINK_COUNTS];
	};
};

/* Descriptors that go with a question: the VMM opens no files. */
struct link_files {
	int fd[LINK_FILES];
	size_t n;
};

/* A question, or an event, which nobody waits for: -EAGAIN: there is no room for it; -errno. */
int link_send(int fd, const struct link_message *message);
/* The same, with files, which stay the caller's; NULL: none. */
int link_ask(int fd, const struct link_message *message, const struct link_files *files);
/* An answer, which waits for room: who asks always reads.  -errno. */
int link_answer(int fd, const struct link_message *message);
/* 1; 0: the other side is gone; -EAGAIN; -errno. */
int link_receive(int fd, struct link_message *message);
/* The same of a question, with files, which are the caller's then. */
int link_receive_ask(int fd, struct link_message *message, struct link_files *files);

/* Close what of them has not been taken, by -1 in its place. */
void link_close_files(struct link_files *files);

#endif
