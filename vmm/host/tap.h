/* SPDX-License-Identifier: MIT */
/* tap.h - a tap interface of the host as a guest's link
 *
 * Source: Linux, Documentation/networking/tuntap.rst, drivers/net/tun.c.
 */
#ifndef HOST_TAP_H
#define HOST_TAP_H

#include "host/link.h"
#include "util/diag.h"

#include <net/if.h>

/* Attach to the interface `name`, which there must be, by so many queues, all of them on.  The main
 * thread.  NULL and diag.
 */
struct link *tap_open(const char *name, unsigned int n_queues, struct diag *diag);

/* The descriptor of an attached one, which is taken over; diag says what it is otherwise. */
struct link *tap_adopt(int fd, struct diag *diag);

/* /dev/net/tun, non-blocking, for who makes an interface.  -errno and diag. */
int tap_open_device(struct diag *diag);

/* The interface's name. */
const char *tap_name(const struct link *link);

#endif
