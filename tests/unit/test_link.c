// SPDX-License-Identifier: MIT
/* test_link.c - what the API's process and the VMM say to each other, and what is no message */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/link.h"
#include "bus/platform.h"
#include "util/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER offsetof(struct link_message, text)

struct ends {
	int a, b;
	struct link_message in, out;
};

static int set_up(void **state)
{
	struct ends *ends = calloc(1, sizeof(*ends));
	int fds[2];

	if (!ends || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -1;
	ends->a = fds[0];
	ends->b = fds[1];
	*state = ends;
	return 0;
}

static int tear_down(void **state)
{
	struct ends *ends = *state;

	close(ends->a);
	close(ends->b);
	free(ends);
	return 0;
}

static void test_text(void **state)
{
	struct ends *ends = *state;

	/* What was received before is no part of it. */
	memset(&ends->in, 'y', sizeof(ends->in));
	ends->out = (struct link_message){ .ask = LINK_UPDATE, .kind = 1, .item = 2 };
	assert_int_equal(link_send(ends->a, &ends->out), 0);
	assert_int_equal(link_receive(ends->b, &ends->in), 1);
	assert_string_equal(ends->in.text, "");
	memset(ends->out.text, 'x', LINK_TEXT - 1);
	assert_int_equal(link_send(ends->a, &ends->out), 0);
	assert_int_equal(link_receive(ends->b, &ends->in), 1);
	assert_int_equal(strlen(ends->in.text), LINK_TEXT - 1);
	assert_int_equal(ends->in.item, 2);
	assert_int_equal(link_receive(ends->b, &ends->in), -EAGAIN);
}

/* They go with a question, and are closed if nobody has taken them; without room for them nobody
 * gets them.
 */
static void test_files(void **state)
{
	struct ends *ends = *state;
	const struct link_files sent = { { STDIN_FILENO, STDOUT_FILENO }, 2 };
	struct link_files files;
	int first;

	ends->out = (struct link_message){ .ask = LINK_SNAPSHOT, .text = "x" };
	assert_int_equal(link_ask(ends->a, &ends->out, &sent), 0);
	assert_int_equal(link_receive_ask(ends->b, &ends->in, &files), 1);
	assert_string_equal(ends->in.text, "x");
	assert_int_equal(files.n, 2);
	first = files.fd[0];
	assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
	close(files.fd[1]);
	files.fd[1] = -1; /* as if taken */
	link_close_files(&files);
	assert_int_equal(fcntl(first, F_GETFD), -1);

	assert_int_equal(link_ask(ends->a, &ends->out, NULL), 0);
	assert_int_equal(link_receive_ask(ends->b, &ends->in, &files), 1);
	assert_int_equal(files.n, 0);
	assert_int_equal(link_receive_ask(ends->b, &ends->in, &files), -EAGAIN);

	assert_int_equal(link_ask(ends->a, &ends->out, &sent), 0);
	assert_int_equal(link_receive(ends->b, &ends->in), 1);
	assert_int_equal(fcntl(first, F_GETFD), -1);
}

static void test_counts(void **state)
{
	struct ends *ends = *state;
	static const struct link_message kinds[] = { { .ask = LINK_COUNT }, { .ask = LINK_FLUSH },
		{ .event = LINK_EVENT_COUNTS } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		ends->out = kinds[i];
		ends->out.n_counts = LINK_COUNTS;
		ends->out.counts[LINK_COUNTS - 1].value = UINT64_MAX;
		assert_int_equal(link_send(ends->a, &ends->out), 0);
		assert_int_equal(link_receive(ends->b, &ends->in), 1);
		assert_int_equal(ends->in.n_counts, LINK_COUNTS);
		assert_true(ends->in.counts[LINK_COUNTS - 1].value == UINT64_MAX);
	}
}

static void test_no_message(void **state)
{
	struct ends *ends = *state;
	static const struct {
		size_t size;
		uint16_t ask, event;
		uint32_t n_counts;
	} bad[] = {
		{ 1, LINK_PAUSE, 0, 0 },
		{ HEADER - 1, LINK_PAUSE, 0, 0 },
		{ HEADER + LINK_TEXT, LINK_PAUSE, 0, 0 },
		/* Counts where a text belongs, of another size, too many. */
		{ HEADER + sizeof(struct count), LINK_START, 0, 1 },
		{ HEADER + sizeof(struct count), LINK_COUNT, LINK_EVENT_MARK, 1 },
		{ HEADER, LINK_COUNT, 0, 1 },
		{ HEADER + sizeof(struct count), LINK_COUNT, 0, 2 },
		{ HEADER + sizeof(struct count), LINK_COUNT, 0, UINT32_MAX },
		{ sizeof(struct link_message), LINK_COUNT, 0, LINK_COUNTS + 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&ends->out, 'x', sizeof(ends->out));
		ends->out.ask = bad[i].ask;
		ends->out.event = bad[i].event;
		ends->out.n_counts = bad[i].n_counts;
		assert_int_equal(send(ends->a, &ends->out, bad[i].size, 0), (ssize_t)bad[i].size);
		assert_int_equal(link_receive(ends->b, &ends->in), -EBADMSG);
	}
}

static void test_gone(void **state)
{
	struct ends *ends = *state;

	shutdown(ends->a, SHUT_RDWR);
	assert_int_equal(link_receive(ends->b, &ends->in), 0);
}

/* All that a machine of as many devices as there can be counts goes into one message. */
static void test_room(void **)
{
	unsigned int most = 0, n = 0, machine = 0;

	for (unsigned int kind = 0; kind < N_COUNT_KINDS; kind++) {
		const struct counter *names = counts_names(kind);

		for (n = 0; names && names[n].name; n++)
			continue;
		if (kind >= N_DEVICE_KINDS)
			machine += n;
		else if (n > most)
			most = n;
	}
	assert_true(most * PLATFORM_VIRTIO_SLOTS + machine <= LINK_COUNTS);
	assert_null(counts_names(N_COUNT_KINDS));
}

static void test_names(void **)
{
	struct count count = { .kind = DEVICE_disk, .index = 0 };

	assert_non_null(counts_name(&count));
	for (count.index = 0; counts_name(&count); count.index++)
		assert_string_equal(
			counts_name(&count), counts_names(DEVICE_disk)[count.index].name);
	count.index = UINT32_MAX;
	assert_null(counts_name(&count));
	count = (struct count){ .kind = UINT16_MAX };
	assert_null(counts_name(&count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_message, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gone, set_up, tear_down),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
