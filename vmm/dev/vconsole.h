/* SPDX-License-Identifier: MIT */
/* vconsole.h - virtio-console, as a console (hvc0 in Linux) or as a port (/dev/virtio-ports/NAME)
 *
 * Source: virtio 1.2, 5.3.  A device has one of them.  A console does without the control queues,
 * which small guests have no driver for, and tells its size by the configuration space.  A port has
 * them, for its name, and for who is there: to a guest that has opened it, input is given, and the
 * guest hears when somebody connects to a socket, and leaves.
 *
 * A kick is served by the vCPU that makes it, as a byte of the serial line is: Linux waits for a
 * console's output with interrupts off.  With more than a mebibyte the loop goes on.
 */
#ifndef DEV_VCONSOLE_H
#define DEV_VCONSOLE_H

#include "host/consoles.h"
#include "util/schema.h"
#include "virtio/virtio.h"

struct vconsole_options {
	enum console_kind to;
	char *path; /* of a file or a socket; else NULL */
	char *name; /* a port's */
};

/* Of a struct vconsole_options, both. */
extern const struct schema hvc_schema, port_schema;
extern const struct virtio_class hvc_class, port_class;

#endif
