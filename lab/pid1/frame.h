/* SPDX-License-Identifier: MIT */
/* frame.h - what the lab's pid 1 and lab/labkit/session.py say to each other
 *
 * They talk over one virtio-serial port, a byte stream each way, in frames: a header of two 32-bit
 * little-endian words, the type and the number of payload bytes, then the payload.
 *
 * A session: pid 1 says HELLO when it sees the host connect.  The host then sends TIME, DIRECTORY,
 * any number of ENV and ARG, OUT and TERMINAL if wanted, and RUN; from then on STDIN (empty: end of
 * file), WINDOW and KNOCK.  pid 1 answers with STDOUT and STDERR as they come, and EXIT last.  If
 * the host goes away the command is killed.  After either, pid 1 is ready for the next session, and
 * of the last one no process is left and no file outside /dev; what it told the kernel (modules'
 * state, settings) stays.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdint.h>

#define FRAME_PORT_NAME  "pronto.lab"
#define FRAME_MAX        (1u << 18) /* bytes of payload: more than any one argument may have */
#define FRAME_HELLO_TEXT "pronto lab ready, protocol 1"

enum frame_type {
	/* host to lab */
	FRAME_TIME = 1,  /* 8 bytes of ns since 1970, then random bytes for the kernel's pool */
	FRAME_DIRECTORY, /* current directory, a path */
	FRAME_ENV,       /* NAME=VALUE */
	FRAME_ARG,       /* the next element of argv */
	FRAME_OUT,       /* mount the writable share on this path */
	FRAME_TERMINAL,  /* run on a terminal; payload as WINDOW */
	FRAME_WINDOW,    /* two 16-bit words: rows, columns */
	FRAME_RUN,       /* start the command */
	FRAME_STDIN,
	FRAME_KNOCK, /* nothing: its interrupt wakes a machine whose timer was lost */
	/* lab to host */
	FRAME_HELLO = 64, /* FRAME_HELLO_TEXT */
	FRAME_STDOUT,
	FRAME_STDERR,
	FRAME_EXIT, /* 4 bytes: the status as wait(2) has it */
};

struct frame_header {
	uint32_t type;
	uint32_t size;
};

/* The connection, and the frame that is arriving on it. */
struct port {
	int fd; /* non-blocking */
	struct frame_header header;
	uint32_t n_have;             /* bytes of header and payload so far */
	char payload[FRAME_MAX + 1]; /* followed by a NUL once whole */
};

/* Open the port with FRAME_PORT_NAME, waiting for it to appear.  0 or -errno. */
int port_open(struct port *port);

/* Read what has come.  1: a frame is whole, in port->header and port->payload, until the next call;
 * 0: not yet; -EPIPE: the host is not connected (any more), or talks nonsense.
 */
int port_read(struct port *port);

/* Send one frame, waiting for room.  What is sent while no host is connected is lost. */
void port_write(struct port *port, enum frame_type type, const void *payload, uint32_t size);

#endif
