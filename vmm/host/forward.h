/* SPDX-License-Identifier: MIT */
/* forward.h - a port of the host that leads to one of the guest, as the operator writes it */
#ifndef HOST_FORWARD_H
#define HOST_FORWARD_H

#include "util/diag.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>

struct forward {
	bool is_udp;
	int family;                     /* AF_INET, AF_INET6; AF_UNSPEC: all addresses of both */
	char address[INET6_ADDRSTRLEN]; /* "": all */
	uint16_t from, to;              /* the host's, the guest's */
};

/* "tcp:2222:22", "udp:127.0.0.1:5353:53", "tcp:[::1]:8080:80".  -EINVAL and diag. */
int forward_parse(struct forward *forward, const char *text, struct diag *diag);

/* Whether the host's port can be had now.  -errno and diag. */
int forward_probe(const struct forward *forward, struct diag *diag);

#endif
