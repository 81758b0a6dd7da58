// SPDX-License-Identifier: MIT
/* test_mmds_conns.c - the metadata service's connections: their requests, how many, how long */

#include "mmds_rig.h"

#include "api/mmds_serve.h"

#include <sys/un.h>

#define MANY 100

static char long_text[MMDS_SIZE_LIMIT / 2];

static void test_pieces(void **state)
{
	static const char text[] = GET("/a") GET("/b") "GET /a HTTP/1.0\r\n\r\n";
	int fd;

	update(rig_of(state), "{\"a\":\"1\",\"b\":\"2\"}", false);
	fd = dial();
	for (size_t i = 0; i < strlen(text); i++) {
		assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
		usleep(i % 8 ? 0 : 500);
	}
	assert_hears(fd, "200 OK", "1");
	assert_hears(fd, "200 OK", "2");
	assert_hears(fd, "200 OK", "1");
	assert_closed(fd);
	fd = dial();
	tell(fd, text);
	assert_hears(fd, "200 OK", "1");
	assert_hears(fd, "200 OK", "2");
	assert_hears(fd, "200 OK", "1");
	assert_closed(fd);
}

/* More than the kernel takes at once, of several answers, to who reads late. */
static void test_long_answers(void **state)
{
	struct rig *rig = rig_of(state);
	char *value = malloc(MMDS_SIZE_LIMIT + 3);
	int fd;

	memset(value, 'x', MMDS_SIZE_LIMIT + 2);
	value[0] = value[MMDS_SIZE_LIMIT + 1] = '"';
	value[MMDS_SIZE_LIMIT + 2] = '\0';
	update(rig, value, false);
	value[MMDS_SIZE_LIMIT + 1] = '\0';
	fd = dial();
	for (int i = 0; i < 60; i++)
		tell(fd, GET("/"));
	for (int i = 0; i < 60; i++)
		assert_hears(fd, "200 OK", value + 1);
	close(fd);
	free(value);
}

/* The answer arrives although what was sent is not read. */
static void test_bodies(void **state)
{
	static const char *const cases[] = {
		"GET / HTTP/1.1\r\nContent-Length: 100\r\n\r\nsome body",
		"PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\nsome body",
		"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"some nonsense\r\n\r\nand more",
	};
	char *many;
	int fd;

	rig_of(state);
	for (unsigned int i = 0; i < 4; i++) {
		fd = dial();
		tell(fd, cases[i]);
		assert_hears(fd, "400 Bad Request", "Invalid request.");
		assert_closed(fd);
	}
	many = malloc(20000);
	memset(many, 'a', 20000);
	many[19999] = '\0';
	fd = dial();
	tell(fd, many);
	assert_hears(fd, "400 Bad Request", "Invalid request.");
	assert_closed(fd);
	free(many);
}

/* The one that has been idle for longest makes room. */
static void test_many_idle(void **state)
{
	int fd[MANY];

	rig_of(state);
	for (int i = 0; i < MANY; i++) {
		fd[i] = dial();
		tell(fd[i], GET("/x"));
		assert_hears(fd[i], "404 Not Found", "Resource not found: /x.");
	}
	for (int i = 0; i < MANY - MMDS_MAX_CONNECTIONS; i++)
		assert_closed(fd[i]);
	for (int i = MANY - MMDS_MAX_CONNECTIONS; i < MANY; i++) {
		assert_open(fd[i]);
		close(fd[i]);
	}
}

/* Who is in the middle of a request is not closed for others: they wait. */
static void test_many_busy(void **state)
{
	struct rig *rig = rig_of(state);
	int fd[MMDS_MAX_CONNECTIONS], late;

	for (int i = 0; i < MMDS_MAX_CONNECTIONS; i++) {
		fd[i] = dial();
		tell(fd[i], "GET /x HTTP/1.1\r\n");
	}
	while (rig->mmds.counters->connections_made < MMDS_MAX_CONNECTIONS)
		usleep(1000);
	usleep(100000);
	late = dial();
	tell(late, GET("/late"));
	usleep(200000);
	assert_open(late);
	assert_int_equal(rig->mmds.counters->connections_made, MMDS_MAX_CONNECTIONS);
	for (int i = 0; i < MMDS_MAX_CONNECTIONS; i++)
		assert_open(fd[i]);
	tell(fd[7], "Connection: close\r\n\r\n");
	assert_hears(fd[7], "404 Not Found", "Resource not found: /x.");
	assert_closed(fd[7]);
	assert_hears(late, "404 Not Found", "Resource not found: /late.");
	close(late);
	for (int i = 0; i < MMDS_MAX_CONNECTIONS; i++)
		if (i != 7)
			close(fd[i]);
}

/* ---- time ---- */

/* The same without a guest's network, and with less patience. */
struct quick {
	struct mmds_service service;
	struct mmds_counters counters;
	struct sockaddr_un at;
	int listen_fd, control[2], ret;
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct quick *quick = arg;

	quick->ret = mmds_serve(&quick->service, &quick->listen_fd, 1, quick->control[1]);
	return NULL;
}

static int set_up_quick(void **state)
{
	struct quick *quick = calloc(1, sizeof(*quick));

	memset(long_text, 'x', sizeof(long_text));
	quick->service.counters = &quick->counters;
	quick->service.patience_ms = 200;
	mmds_store_init(&quick->service.store, MMDS_SIZE_LIMIT);
	quick->service.store.data = json_stringn_nocheck(long_text, sizeof(long_text));
	quick->at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(quick->at.sun_path + 1, sizeof(quick->at.sun_path) - 1, "test_mmds_conns.%d",
		getpid());
	quick->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(
		bind(quick->listen_fd, (struct sockaddr *)&quick->at, sizeof(quick->at)), 0);
	assert_int_equal(listen(quick->listen_fd, 8), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, quick->control), 0);
	assert_int_equal(pthread_create(&quick->thread, NULL, serve, quick), 0);
	*state = quick;
	return 0;
}

/* It ends when who has started it is gone. */
static int tear_down_quick(void **state)
{
	struct quick *quick = *state;

	close(quick->control[0]);
	pthread_join(quick->thread, NULL);
	assert_int_equal(quick->ret, 0);
	assert_int_equal(quick->counters.connections_made, quick->counters.connections_ended);
	close(quick->control[1]);
	close(quick->listen_fd);
	mmds_store_fini(&quick->service.store);
	free(quick);
	return 0;
}

static int dial_quick(struct quick *quick)
{
	const struct timeval most = { .tv_sec = 30 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	assert_int_equal(connect(fd, (struct sockaddr *)&quick->at, sizeof(quick->at)), 0);
	return fd;
}

/* Who says nothing, who begins, who goes on without an end, who has asked before, who does not
 * read, and who does not close what is closed.
 */
static void test_patience(void **state)
{
	struct quick *quick = *state;
	unsigned int n;
	int fd[6];
	char byte;

	for (int i = 0; i < 6; i++)
		fd[i] = dial_quick(quick);
	tell(fd[1], "GET /");
	tell(fd[3], GET("/x"));
	assert_hears(fd[3], "404 Not Found", "Resource not found: /x.");
	for (int i = 0; i < 100; i++)
		tell(fd[4], GET("/"));
	tell(fd[5], "GET /x HTTP/1.0\r\n\r\n");
	assert_hears(fd[5], "404 Not Found", "Resource not found: /x.");
	for (n = 0; send(fd[2], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1; n++)
		usleep(20000);
	assert_true(n < MMDS_HTTP_MAX); /* it was not its length that ended it */
	while (quick->counters.connections_ended < 6)
		usleep(1000);
	for (int i = 0; i < 6; i++) {
		while (i == 4 && recv(fd[i], &byte, 1, 0) == 1)
			continue;
		assert_true(recv(fd[i], &byte, 1, 0) <= 0);
		close(fd[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pieces),
		TEST(test_long_answers),
		TEST(test_bodies),
		TEST(test_many_idle),
		TEST(test_many_busy),
		cmocka_unit_test_setup_teardown(test_patience, set_up_quick, tear_down_quick),
	};

	return cmocka_run_group_tests(tests, enter_guest, NULL);
}
