/* SPDX-License-Identifier: MIT */
/* mmds_rig.h - the metadata service's process, asked through a guest's network, for test_mmds*.c
 *
 * The test's own process is the guest: it lives in a network namespace with a tap of its own, whose
 * frames a thread carries to the service's as a network device does.
 */
#ifndef TESTS_UNIT_MMDS_RIG_H
#define TESTS_UNIT_MMDS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/mmds.h"
#include "dev/net_mmds.h"
#include "host/tap.h"
#include "skip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST     "10.5.0.2"
#define GATEWAY   "10.5.0.1"
#define FRAME     2048
#define GET(path) "GET " path " HTTP/1.1\r\n\r\n"

/* ---- the guest's network, for all tests ---- */

static const char *why_not; /* NULL: there is one */
static int guest_fd = -1;

static inline struct sockaddr in(const char *address)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address) };
	struct sockaddr plain;

	memcpy(&plain, &at, sizeof(plain));
	return plain;
}

static inline void add_route(int fd, const char *to, const char *mask, const char *gateway)
{
	struct rtentry route = {
		.rt_dst = in(to),
		.rt_genmask = in(mask),
		.rt_flags = (unsigned short)(RTF_UP | (gateway ? RTF_GATEWAY : 0)),
		.rt_dev = (char[]){ "eth0" },
	};

	if (gateway)
		route.rt_gateway = in(gateway);
	assert_int_equal(ioctl(fd, SIOCADDRT, &route), 0);
}

static inline void make_guest(void)
{
	struct ifreq req = { .ifr_name = "eth0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), header = LINK_HEADER;

	guest_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (guest_fd < 0 || ioctl(guest_fd, TUNSETIFF, &req)) {
		why_not = "no tap can be made here";
		return;
	}
	assert_int_equal(ioctl(guest_fd, TUNSETVNETHDRSZ, &header), 0);
	req.ifr_addr = in(GUEST);
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &req), 0);
	req.ifr_netmask = in("255.255.255.0");
	assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &req), 0);
	req.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &req), 0);
	add_route(fd, "169.254.0.0", "255.255.0.0", NULL);
	close(fd);
}

static inline int enter_guest(void **state)
{
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		why_not = "the host permits no network namespace";
	else
		make_guest();
	return 0;
}

/* ---- a service, and what carries its frames ---- */

struct rig {
	struct mmds mmds;
	struct net_mmds net;
	struct mmds_store store;
	pthread_t thread;
	int end;               /* eventfd */
	unsigned int n_others; /* of the guest's frames: not for the service */
};

static inline void from_guest(struct rig *rig)
{
	char frame[FRAME];
	struct iovec iov[3];
	ssize_t n;
	int ret;

	while ((n = read(guest_fd, frame, sizeof(frame))) > 0) {
		iov[0] = (struct iovec){ frame, 20 };
		iov[1] = (struct iovec){ frame + 20, (size_t)n - 20 };
		if (!net_mmds_send(&rig->net, iov, 2, &ret))
			rig->n_others++;
	}
}

static inline void to_guest(struct rig *rig)
{
	char frame[FRAME];
	struct iovec iov[2];
	ssize_t n;

	rig->net.has_frames = true;
	for (;;) {
		iov[0] = (struct iovec){ frame, sizeof(frame) };
		n = net_mmds_receive(&rig->net, iov, 1, sizeof(frame), true);
		if (n < 0)
			return;
		(void)!write(guest_fd, frame, (size_t)n);
	}
}

static inline void *carry(void *arg)
{
	struct rig *rig = arg;
	struct pollfd fds[] = { { .fd = guest_fd, .events = POLLIN },
		{ .fd = rig->net.link->fd, .events = POLLIN },
		{ .fd = rig->end, .events = POLLIN } };

	do {
		from_guest(rig);
		to_guest(rig);
		poll(fds, 3, -1);
	} while (!fds[2].revents);
	return NULL;
}

static inline void update(struct rig *rig, const char *text, bool needs_token)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	struct diag diag;

	assert_int_equal(mmds_store_put(&rig->store, value, &diag), 0);
	assert_int_equal(mmds_update(&rig->mmds, &rig->store, needs_token, &diag), 0);
	json_decref(value);
}

/* The network's number of the service at that address. */
static inline void connect_net(struct rig *rig, const char *address, unsigned int number)
{
	struct diag diag;

	rig->end = eventfd(0, 0);
	rig->net = (struct net_mmds){ .address = inet_addr(address) };
	rig->net.link = tap_adopt(rig->mmds.tap_fd[number], &diag);
	assert_non_null(rig->net.link);
	rig->mmds.tap_fd[number] = -1;
	assert_int_equal(pthread_create(&rig->thread, NULL, carry, rig), 0);
}

static inline void disconnect_net(struct rig *rig)
{
	assert_int_equal(eventfd_write(rig->end, 1), 0);
	pthread_join(rig->thread, NULL);
	close(rig->end);
	link_close(rig->net.link);
}

static inline void start(struct rig *rig, const char *address, unsigned int n_nets)
{
	struct in_addr at = { inet_addr(address) };
	struct diag diag = { 0 };
	int ret = mmds_start(&rig->mmds, at, n_nets, &diag);

	assert_string_equal(diag.text, "");
	assert_int_equal(ret, 0);
	mmds_store_init(&rig->store, 2 * MMDS_SIZE_LIMIT);
}

static inline int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	*state = rig;
	if (why_not)
		return 0;
	start(rig, MMDS_DEFAULT_ADDRESS, 1);
	connect_net(rig, MMDS_DEFAULT_ADDRESS, 0);
	return 0;
}

static inline int tear_down(void **state)
{
	struct rig *rig = *state;

	if (!why_not) {
		disconnect_net(rig);
		mmds_end(&rig->mmds);
		mmds_store_fini(&rig->store);
	}
	free(rig);
	return 0;
}

/* ---- a guest's program ---- */

static inline int dial_to(const char *address)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address), .sin_port = htons(80)
	};
	const struct timeval most = { .tv_sec = 30 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static inline int dial(void)
{
	return dial_to(MMDS_DEFAULT_ADDRESS);
}

static inline void tell(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* One answer, whole, the caller's to free; its body in *body. */
static inline char *hear(int fd, char **body)
{
	char *text = calloc(1, 3 * MMDS_SIZE_LIMIT), *length;
	size_t n = 0, size;

	while (n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4))
		assert_int_equal(recv(fd, text + n++, 1, 0), 1);
	*body = text + n;
	length = strstr(text, "Content-Length: ");
	assert_non_null(length);
	size = strtoul(length + 16, NULL, 10);
	assert_in_range(size, 0, 2 * MMDS_SIZE_LIMIT);
	assert_int_equal(recv(fd, *body, size, MSG_WAITALL), size);
	return text;
}

static inline void assert_hears(int fd, const char *status, const char *want)
{
	char *body, *text = hear(fd, &body), first[100];

	snprintf(first, sizeof(first), "HTTP/1.1 %s\r\n", status);
	assert_memory_equal(text, first, strlen(first));
	assert_string_equal(body, want);
	free(text);
}

static inline void assert_closed(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

static inline void assert_open(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static inline void ask(const char *text, const char *status, const char *want)
{
	int fd = dial();

	tell(fd, text);
	assert_hears(fd, status, want);
	close(fd);
}

static inline struct rig *rig_of(void **state)
{
	if (why_not)
		skip_because(why_not);
	return *state;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
