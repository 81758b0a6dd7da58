// SPDX-License-Identifier: MIT
/* test_forward.c - forwarded ports, as they are written, and whether they can be had */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/forward.h"
#include "util/bits.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_read(void **state)
{
	static const struct {
		const char *text;
		struct forward is;
	} good[] = {
		{ "tcp:2222:22", { false, AF_UNSPEC, "", 2222, 22 } },
		{ "udp:53:5353", { true, AF_UNSPEC, "", 53, 5353 } },
		{ "tcp:127.0.0.1:1:65535", { false, AF_INET, "127.0.0.1", 1, 65535 } },
		{ "tcp:[::1]:8080:80", { false, AF_INET6, "::1", 8080, 80 } },
		{ "udp:[FE80:0:0:0:0:0:0:1]:8080:80", { true, AF_INET6, "fe80::1", 8080, 80 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct forward forward;
		struct diag diag;

		assert_int_equal(forward_parse(&forward, good[i].text, &diag), 0);
		assert_int_equal(forward.is_udp, good[i].is.is_udp);
		assert_int_equal(forward.family, good[i].is.family);
		assert_string_equal(forward.address, good[i].is.address);
		assert_int_equal(forward.from, good[i].is.from);
		assert_int_equal(forward.to, good[i].is.to);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"", "tcp", "tcp:", "tcp:22", "tcp:22:", "tcp::22", "sctp:1:2", "TCP:1:2",
		"tcp:0:22", "tcp:22:0", "tcp:65536:1", "tcp:1:99999999999", "tcp:-1:2", "tcp:1:2:3",
		"tcp:1.2.3:1:2", "tcp:localhost:1:2", "tcp::::1:1:2", "tcp:[::1:1:2",
		"tcp:[::1]1:2", "tcp:[1.2.3.4.5]:1:2", "tcp:[]:1:2", "tcp:1:2 ",
		"tcp:127.0.0.1/8:1:2", "tcp:[::1]:1", "tcp:1x:2",
		"tcp:[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:1:2"
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct forward forward;
		struct diag diag;

		assert_int_equal(forward_parse(&forward, bad[i], &diag), -EINVAL);
		assert_non_null(strstr(diag.text, "tcp:2222:22"));
	}
}

static void probe(const char *address, uint16_t port, bool is_udp, int want, const char *says)
{
	struct forward forward = { is_udp, *address ? AF_INET : AF_UNSPEC, "", port, 1 };
	struct diag diag = { "" };

	memcpy(forward.address, address, strlen(address) + 1);
	assert_int_equal(forward_probe(&forward, &diag), want);
	assert_non_null(strstr(diag.text, says));
}

static void test_probe(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(at);

	for (int udp = 0; udp < 2; udp++) {
		int fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
		uint16_t port;

		at.sin_port = 0;
		assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
		if (!udp)
			assert_int_equal(listen(fd, 1), 0);
		assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
		port = ntohs(at.sin_port);
		probe("127.0.0.1", port, udp, -EADDRINUSE, "in use");
		probe("", port, udp, -EADDRINUSE, "in use");
		probe("127.0.0.1", port, !udp, 0, "");
		close(fd);
		probe("127.0.0.1", port, udp, 0, "");
		probe("", port, udp, 0, "");
	}
	probe("192.0.2.77", 40000, false, -EADDRNOTAVAIL, "192.0.2.77");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
