// SPDX-License-Identifier: MIT
/* forward.c - a port of the host that leads to one of the guest */

#include "host/forward.h"

#include "util/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_TEXT 80

/* ---- reading ---- */

static bool parse_port(const char *text, uint16_t *port)
{
	size_t n = text ? strspn(text, "0123456789") : 0;
	unsigned long value = n && n < 6 && !text[n] ? strtoul(text, NULL, 10) : 0;

	*port = (uint16_t)value;
	return value > 0 && value <= UINT16_MAX;
}

static bool parse_address(struct forward *forward, const char *text)
{
	unsigned char binary[sizeof(struct in6_addr)];

	for (forward->family = AF_INET;; forward->family = AF_INET6) {
		if (inet_pton(forward->family, text, binary) == 1)
			break;
		if (forward->family == AF_INET6)
			return false;
	}
	return inet_ntop(forward->family, binary, forward->address, sizeof(forward->address));
}

/* Cut off what stands before the next colon, or in brackets before it; NULL if that is not so. */
static char *take_address(char **rest)
{
	char *text = *rest, *end;

	if (*text != '[')
		return strsep(rest, ":");
	end = strstr(text, "]:");
	if (!end)
		return NULL;
	*end = '\0';
	*rest = end + 2;
	return text + 1;
}

static bool parse(struct forward *forward, char *text)
{
	char *rest = text, *proto = strsep(&rest, ":"), *address, *from;

	forward->is_udp = !strcmp(proto, "udp");
	if ((!forward->is_udp && strcmp(proto, "tcp") != 0) || !rest)
		return false;
	if (*rest == '[' || (strchr(rest, ':') && strchr(rest, ':') != strrchr(rest, ':'))) {
		address = take_address(&rest);
		if (!address || !rest || !parse_address(forward, address))
			return false;
	}
	from = strsep(&rest, ":");
	return parse_port(from, &forward->from) && parse_port(rest, &forward->to);
}

int forward_parse(struct forward *forward, const char *text, struct diag *diag)
{
	char copy[MAX_TEXT];
	size_t size = strlen(text) + 1;

	*forward = (struct forward){ .family = AF_UNSPEC };
	if (size <= sizeof(copy) && parse(forward, memcpy(copy, text, size)))
		return 0;
	return diag_fail(diag, EINVAL,
		"'%.60s' is not PROTO:[ADDRESS:]PORT:PORT, such as tcp:2222:22 or udp:127.0.0.1:5353:53: the host's port, then the guest's",
		text);
}

/* ---- probing ---- */

/* 0, or the errno of who has it, or of who may not. */
static int probe(const struct forward *forward, int family)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(forward->from) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(forward->from) };
	int fd = socket(family, (forward->is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	int one = 1, ret;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : errno;
	if (!forward->is_udp) /* connections that linger do not matter to passt either */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
		inet_pton(AF_INET6, forward->address, &in6.sin6_addr);
		ret = bind(fd, (const struct sockaddr *)&in6, sizeof(in6));
	} else {
		inet_pton(AF_INET, forward->address, &in.sin_addr);
		ret = bind(fd, (const struct sockaddr *)&in, sizeof(in));
	}
	if (!ret && !forward->is_udp)
		ret = listen(fd, 1);
	ret = ret ? errno : 0;
	close(fd);
	return ret;
}

int forward_probe(const struct forward *forward, struct diag *diag)
{
	const char *proto = forward->is_udp ? "udp" : "tcp";
	int err;

	if (forward->family != AF_UNSPEC)
		err = probe(forward, forward->family);
	else
		err = probe(forward, AF_INET);
	if (!err && forward->family == AF_UNSPEC)
		err = probe(forward, AF_INET6);
	if (err == EADDRINUSE)
		return diag_fail(diag, err, "the host's %s port %u is in use; choose another",
			proto, forward->from);
	if (err == EACCES)
		return diag_fail(diag, err,
			"the host's %s port %u is for privileged users; choose one from 1024 on",
			proto, forward->from);
	if (err == EADDRNOTAVAIL)
		return diag_fail(diag, err, "%s is no address of the host", forward->address);
	return err ? diag_fail(diag, err, "the host's %s port %u: %s", proto, forward->from,
			     error_text(err))
	           : 0;
}
