// SPDX-License-Identifier: MIT
/* test_mmds.c - the metadata service: what it is told and tells, its networks, its process */

#include "filter/filter.h"
#include "mmds_rig.h"

/* ---- what it is told, and tells ---- */

/* Each change is in force as soon as it was told. */
static void test_values(void **state)
{
	struct rig *rig = rig_of(state);
	char value[40];
	int fd;

	ask("GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n", "200 OK", "null");
	update(rig, "{\"a\":{\"b\":\"c\"},\"d\":1.5}", false);
	ask(GET("/"), "200 OK", "a/\nd");
	ask("GET /d HTTP/1.1\r\nAccept: application/json\r\n\r\n", "200 OK", "1.5");
	ask(GET("/x"), "404 Not Found", "Resource not found: /x.");
	fd = dial();
	for (int i = 0; i < 200; i++) {
		snprintf(value, sizeof(value), "{\"a\":\"%d\"}", i);
		update(rig, value, false);
		tell(fd, GET("/a"));
		snprintf(value, sizeof(value), "%d", i);
		assert_hears(fd, "200 OK", value);
	}
	close(fd);
	rig->store.is_imds = true;
	update(rig, "{\"a\":\"b\"}", false);
	ask("GET /a HTTP/1.1\r\nAccept: application/json\r\n\r\n", "200 OK", "b");
}

static void test_tokens(void **state)
{
	struct rig *rig = rig_of(state);
	char *body, *text, get[200];
	int fd;

	update(rig, "{\"a\":\"b\"}", true);
	ask("GET /a HTTP/1.1\r\nX-metadata-token: x\r\n\r\n", "401 Unauthorized",
		"MMDS token not valid.");
	fd = dial();
	tell(fd, "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 1\r\n\r\n");
	text = hear(fd, &body);
	snprintf(get, sizeof(get), "GET /a HTTP/1.1\r\nX-metadata-token: %s\r\n\r\n", body);
	free(text);
	tell(fd, get);
	assert_hears(fd, "200 OK", "b");
	update(rig, "{\"a\":\"c\"}", true); /* it stays valid */
	tell(fd, get);
	assert_hears(fd, "200 OK", "c");
	sleep(1);
	tell(fd, get);
	assert_hears(fd, "401 Unauthorized", "MMDS token not valid.");
	close(fd);
	assert_int_equal(rig->mmds.counters->invalid_token, 2);
	assert_int_equal(rig->mmds.counters->requests, 5);
}

/* ---- networks ---- */

static void test_other_address(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig other = { 0 };
	int fd;

	disconnect_net(rig);
	start(&other, "169.254.7.9", 2);
	connect_net(&other, "169.254.7.9", 1);
	update(&other, "\"other\"", false);
	fd = dial_to("169.254.7.9");
	tell(fd, GET("/"));
	assert_hears(fd, "200 OK", "other");
	close(fd);
	disconnect_net(&other);
	connect_net(&other, "169.254.7.9", 0);
	fd = dial_to("169.254.7.9");
	tell(fd, GET("/"));
	assert_hears(fd, "200 OK", "other");
	close(fd);
	disconnect_net(&other);
	mmds_end(&other.mmds);
	mmds_store_fini(&other.store);
	/* For tear_down(). */
	mmds_end(&rig->mmds);
	start(rig, MMDS_DEFAULT_ADDRESS, 1);
	connect_net(rig, MMDS_DEFAULT_ADDRESS, 0);
}

/* A guest that knows no way but its gateway's: the frame has another's address on the link. */
static void test_by_gateway(void **state)
{
	struct arpreq neighbour = {
		.arp_pa = in(GATEWAY), .arp_flags = ATF_COM | ATF_PERM, .arp_dev = "eth0"
	};
	int fd;

	rig_of(state);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	memcpy(neighbour.arp_ha.sa_data, "\x02\x99\x88\x77\x66\x55", 6);
	assert_int_equal(ioctl(fd, SIOCSARP, &neighbour), 0);
	add_route(fd, MMDS_DEFAULT_ADDRESS, "255.255.255.255", GATEWAY);
	close(fd);
	ask(GET("/x"), "404 Not Found", "Resource not found: /x.");
}

static void test_bad_starts(void **state)
{
	struct in_addr far = { inet_addr("1.1.1.1") }, here = { inet_addr("169.254.0.1") };
	struct mmds mmds;
	struct diag diag;

	assert_int_equal(mmds_start(&mmds, far, 1, &diag), -EINVAL);
	assert_string_equal(diag.text,
		"1.1.1.1 is no address for the metadata service: take one of 169.254.0.0/16");
	assert_int_equal(mmds_start(&mmds, here, 0, &diag), -EINVAL);
	assert_int_equal(mmds_start(&mmds, here, MMDS_MAX_NETS + 1, &diag), -EINVAL);
}

/* ---- its process ---- */

static char *status_of(pid_t pid)
{
	char path[40], *text = calloc(1, 8192);
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, 8191, file) > 0);
	fclose(file);
	return text;
}

static void test_confined(void **state)
{
	struct rig *rig = rig_of(state);
	char *status = status_of(rig->mmds.child.pid);

	assert_memory_equal(status, "Name:\tmmds\n", 11);
	assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
	assert_non_null(strstr(status, FILTER_FITS ? "\nSeccomp:\t2\n" : "\nSeccomp:\t0\n"));
	assert_non_null(strstr(status, "\nCapPrm:\t0000000000000000\n"));
	assert_non_null(strstr(status, "\nCapEff:\t0000000000000000\n"));
	assert_null(strstr(status, "\nUid:\t0\t"));
	free(status);
}

static void test_ends(void **state)
{
	struct rig *rig = rig_of(state);
	struct pollfd end = { .fd = rig->mmds.child.pidfd, .events = POLLIN };
	struct diag diag;

	assert_int_equal(poll(&end, 1, 0), 0);
	kill(rig->mmds.child.pid, SIGKILL);
	assert_int_equal(poll(&end, 1, 30000), 1);
	assert_int_equal(mmds_update(&rig->mmds, &rig->store, false, &diag), -EPIPE);
	assert_string_equal(diag.text, "the metadata service has ended");
}

/* Who has started it is gone, without a word. */
static void test_orphan(void **state)
{
	pid_t parent, orphan = 0;
	int pipes[2];

	rig_of(state);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	parent = fork();
	if (!parent) {
		struct in_addr at = { inet_addr(MMDS_DEFAULT_ADDRESS) };
		struct mmds mmds;
		struct diag diag;

		if (!mmds_start(&mmds, at, 1, &diag))
			(void)!write(pipes[1], &mmds.child.pid, sizeof(mmds.child.pid));
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(read(pipes[0], &orphan, sizeof(orphan)), sizeof(orphan));
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_int_equal(waitpid(orphan, NULL, 0), orphan);
	close(pipes[0]);
	close(pipes[1]);
}

/* Limits of a user namespace of its own. */
static void test_no_namespaces(void **state)
{
	pid_t pid;
	int status;

	rig_of(state);
	pid = fork();
	if (!pid) {
		struct in_addr at = { inet_addr(MMDS_DEFAULT_ADDRESS) };
		struct diag diag = { 0 };
		struct mmds mmds;
		int fd;

		if (unshare(CLONE_NEWUSER))
			_exit(77);
		fd = open("/proc/sys/user/max_net_namespaces", O_WRONLY);
		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(77);
		if (mmds_start(&mmds, at, 1, &diag) != -ENOSPC)
			_exit(1);
		_exit(strcmp(diag.text,
			"the host permits no network namespace for the metadata service (unshare: "
			"No space left on device); allow user namespaces (`sysctl "
			"user.max_user_namespaces kernel.unprivileged_userns_clone`), or start as root"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip_because("a user namespace's limits cannot be set here");
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_values),
		TEST(test_tokens),
		TEST(test_other_address),
		TEST(test_by_gateway),
		cmocka_unit_test(test_bad_starts),
		TEST(test_confined),
		TEST(test_ends),
		TEST(test_orphan),
		TEST(test_no_namespaces),
	};

	return cmocka_run_group_tests(tests, enter_guest, NULL);
}
