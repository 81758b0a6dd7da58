// SPDX-License-Identifier: MIT
/* flow.c - what a measured guest and its host say to each other, and how long it took
 *
 * flow serve PLACE              answer, one peer after the other, for ever
 * flow out PLACE BYTES          send so many bytes, until the other end has them all
 * flow in PLACE BYTES           receive so many
 * flow turns PLACE COUNT        send a byte and wait for one back, so often
 * flow tty PATH BYTES           lines to a terminal, until it has sent them
 *
 * PLACE is tcp:ADDRESS:PORT, vsock:CID:PORT or unix:PATH.  All but `serve` print how many
 * nanoseconds it took.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define LINE 64

struct place {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_vm vm;
		struct sockaddr_un un;
	} addr;
	socklen_t size;
};

/* The peer's first words. */
struct order {
	char what; /* o, i or t, as it sees it */
	uint64_t n;
};

static char data[1 << 16];

_Noreturn static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct place parse_place(const char *text)
{
	struct place place = { .size = 0 };
	char host[64] = "";
	unsigned int port = 0;

	if (sscanf(text, "tcp:%63[^:]:%u", host, &port) == 2) {
		place.addr.in = (struct sockaddr_in){ .sin_family = AF_INET,
			.sin_port = htons((uint16_t)port),
			.sin_addr.s_addr = inet_addr(host) };
		place.size = sizeof(place.addr.in);
	} else if (sscanf(text, "vsock:%63[^:]:%u", host, &port) == 2) {
		place.addr.vm = (struct sockaddr_vm){ .svm_family = AF_VSOCK,
			.svm_cid = (unsigned int)strtoul(host, NULL, 0),
			.svm_port = port };
		place.size = sizeof(place.addr.vm);
	} else if (!strncmp(text, "unix:", 5) &&
		   strlen(text + 5) < sizeof(place.addr.un.sun_path)) {
		place.addr.un.sun_family = AF_UNIX;
		strcpy(place.addr.un.sun_path, text + 5);
		place.size = sizeof(place.addr.un);
	} else {
		fprintf(stderr, "flow: %s is no place\n", text);
		exit(2);
	}
	return place;
}

static int open_socket(const struct place *place)
{
	int fd = socket(place->addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		fail("socket");
	if (place->addr.any.sa_family == AF_INET) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	return fd;
}

static void send_all(int fd, uint64_t n)
{
	while (n) {
		ssize_t done = write(fd, data, n < sizeof(data) ? n : sizeof(data));

		if (done <= 0)
			fail("write");
		n -= (uint64_t)done;
	}
}

static void receive_all(int fd, uint64_t n)
{
	while (n) {
		ssize_t done = read(fd, data, n < sizeof(data) ? n : sizeof(data));

		if (done <= 0)
			fail("read");
		n -= (uint64_t)done;
	}
}

static void answer(int fd)
{
	struct order order;

	while (read(fd, &order, sizeof(order)) == sizeof(order)) {
		if (order.what == 'i')
			send_all(fd, order.n);
		if (order.what == 'o') {
			receive_all(fd, order.n);
			send_all(fd, 1);
		}
		for (uint64_t i = 0; order.what == 't' && i < order.n; i++) {
			receive_all(fd, 1);
			send_all(fd, 1);
		}
	}
}

static void serve(const struct place *place)
{
	int fd = open_socket(place);

	if (bind(fd, &place->addr.any, place->size) || listen(fd, 4))
		fail("listen");
	for (;;) {
		int peer = accept(fd, NULL, NULL);

		if (peer < 0)
			fail("accept");
		answer(peer);
		close(peer);
	}
}

static void ask(const struct place *place, char what, uint64_t n)
{
	const struct order order = { .what = what, .n = n };
	int fd = open_socket(place);

	if (connect(fd, &place->addr.any, place->size))
		fail("connect");
	if (write(fd, &order, sizeof(order)) != sizeof(order))
		fail("write");
	if (what == 'o')
		send_all(fd, n);
	for (uint64_t i = 0; what == 't' && i < n; i++) {
		send_all(fd, 1);
		receive_all(fd, 1);
	}
	if (what != 't')
		receive_all(fd, what == 'i' ? n : 1);
	close(fd);
}

static void print_lines(const char *path, uint64_t n)
{
	int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (i + 1) % LINE ? 'x' : '\n';
	send_all(fd, n);
	if (tcdrain(fd))
		fail("tcdrain");
	close(fd);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t n = argc == 4 ? strtoull(argv[3], NULL, 0) : 0, start = now_ns();
	struct place place;

	if (argc == 4 && !strcmp(argv[1], "tty")) {
		print_lines(argv[2], n);
	} else if (argc == 3 && !strcmp(argv[1], "serve")) {
		place = parse_place(argv[2]);
		serve(&place);
	} else if (argc == 4 && strchr("iot", argv[1][0])) {
		place = parse_place(argv[2]);
		ask(&place, argv[1][0], n);
	} else {
		fputs("usage: flow serve PLACE | flow out|in|turns PLACE N | flow tty PATH BYTES\n",
			stderr);
		return 2;
	}
	printf("%llu\n", (unsigned long long)(now_ns() - start));
	return 0;
}
