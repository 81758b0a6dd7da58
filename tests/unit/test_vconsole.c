// SPDX-License-Identifier: MIT
/* test_vconsole.c - virtio-console as a console: what is said, typed, and by whom */

#include "vconsole_rig.h"

#include <sys/resource.h>

/* ---- a console ---- */

static void test_what_it_is(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_FILE);
	assert_int_equal(rig->dev->class->id, 3);
	assert_int_equal(rig->dev->n_queues, 2);
	assert_int_equal(virtio_offered_word(rig->dev, 0) & 0xffffff, 1 | 4);
	assert_int_equal(virtio_read_config(rig->dev, 0, 4), 0);
	assert_int_equal(virtio_read_config(rig->dev, 4, 4), 1);
}

static void test_output(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *ring = &rig->ring[TX];

	make(rig, &hvc_class, CONSOLE_FILE);
	say(rig, "one ");
	assert_int_equal(rig_take(ring).len, 0); /* returned by the kick itself */
	/* Of several segments, one of them empty. */
	memcpy(rig_at(&rig->mem, DATA, 16), "two, and three\n", 16);
	*rig_desc(ring, 4) = (struct vring_desc){ DATA, 4, VRING_DESC_F_NEXT, 5 };
	*rig_desc(ring, 5) = (struct vring_desc){ DATA, 0, VRING_DESC_F_NEXT, 6 };
	*rig_desc(ring, 6) = (struct vring_desc){ DATA + 4, 11, 0, 0 };
	rig_offer(ring, 4);
	locked_kick(rig, TX);
	assert_int_equal(rig_take(ring).id, 4);
	expect_file(rig, "one two, and three\n");
}

/* One chain may say terabytes, in the same memory again and again: others have their turns, too. */
static void test_much_in_one_chain(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *ring = &rig->ring[TX];
	struct stat st;

	make(rig, &hvc_class, CONSOLE_FILE);
	for (uint16_t i = 0; i < SIZE; i++)
		*rig_desc(ring, i) = (struct vring_desc){ DATA, 0x20000,
			i < SIZE - 1 ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1) };
	rig_offer(ring, 0);
	locked_kick(rig, TX);
	assert_int_equal(rig_n_used(ring), 0);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_in_range(st.st_size, 1, SIZE * 0x20000 / 2);
	while (!rig_n_used(ring))
		turn(rig, 1);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_size, SIZE * 0x20000);
}

static void test_output_without_queues(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_FILE);
	virtio_set_status(rig->dev, 0);
	virtio_write_config(rig->dev, 8, 4, 'a');
	virtio_write_config(rig->dev, 8, 1, '\n');
	virtio_write_config(rig->dev, 0, 2, 'b');
	virtio_write_config(rig->dev, 9, 1, 'b');
	turn(rig, 5);
	expect_file(rig, "a\n");
}

static void test_size(void **state)
{
	struct rig *rig = *state;
	struct console_line *line;

	make(rig, &hvc_class, CONSOLE_FILE);
	line = &rig->consoles.line[0];
	line->ops->resized(line->ctx, 80, 25);
	assert_int_equal(virtio_read_config(rig->dev, 0, 2), 80);
	assert_int_equal(virtio_read_config(rig->dev, 2, 2), 25);
	assert_int_equal(rig->n_config_signals, 1);
	line->ops->resized(line->ctx, 80, 25);
	assert_int_equal(rig->n_config_signals, 1);
	virtio_reset(rig->dev);
	line->ops->resized(line->ctx, 81, 25);
	assert_int_equal(rig->n_config_signals, 1);
	assert_int_equal(virtio_read_config(rig->dev, 0, 2), 81);
	/* Linux 6.1 does not look by itself. */
	bring_up(rig);
	assert_int_equal(rig->n_config_signals, 2);
}

/* Linux makes buffers available before it would keep what comes in them. */
static void test_input_waits_for_the_first_word(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	rig->client = connect_to(rig);
	type(rig, "typed early\n");
	assert_null(heard(rig, RX));
	say(rig, "login: ");
	turn(rig, 5);
	assert_string_equal(heard(rig, RX), "typed early\n");
	expect_read(rig->client, "login: ");
}

static void test_input_waits_for_a_while(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	rig->client = connect_to(rig);
	type(rig, "typed early\n");
	turn(rig, 700);
	assert_null(heard(rig, RX));
	turn(rig, 500);
	assert_string_equal(heard(rig, RX), "typed early\n");
}

static void test_input_as_there_is_room(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	say(rig, "-");
	rig->client = connect_to(rig);
	type(rig, "abcdefgh");
	assert_null(heard(rig, RX));
	assert_false(rig->consoles.line[0].console->in.is_watched); /* nor does it turn */
	offer(rig, RX, NULL, 3);
	turn(rig, 5);
	assert_string_equal(heard(rig, RX), "abc");
	assert_null(heard(rig, RX));
	offer(rig, RX, NULL, 3);
	assert_string_equal(heard(rig, RX), "def");
	offer(rig, RX, NULL, 3);
	assert_string_equal(heard(rig, RX), "gh");
	type(rig, "i");
	offer(rig, RX, NULL, 3);
	turn(rig, 5);
	assert_string_equal(heard(rig, RX), "i");
}

/* ---- a socket's visitors ---- */

static void test_what_was_said_before_anybody_came(void **state)
{
	struct rig *rig = *state;
	int other;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	say(rig, "hello\n");
	rig->client = connect_to(rig);
	expect_read(rig->client, "hello\n");
	other = connect_to(rig); /* one at a time */
	assert_int_equal(recv(other, &other, 1, 0), 0);
	close(other);
	close(rig->client);
	turn(rig, 5);
	say(rig, "again\n");
	rig->client = connect_to(rig);
	expect_read(rig->client, "again\n");
}

/* More than the ring holds, to nobody: the guest does not wait, and the first of it is kept. */
static void test_nobody_comes(void **state)
{
	struct rig *rig = *state;
	char line[1025];

	make(rig, &hvc_class, CONSOLE_SOCKET);
	memset(line, 'x', 1023);
	memcpy(line + 1023, "\n", 2);
	for (int i = 0; i < 100; i++) {
		say(rig, line);
		assert_int_equal(rig_take(&rig->ring[TX]).len, 0);
	}
	assert_int_equal(rig->consoles.line[0].console->out.count, OUTPUT_RING_SIZE);
}

/* Without a descriptor for it a client waits, and nobody turns meanwhile. */
static void test_no_descriptors(void **state)
{
	struct rig *rig = *state;
	struct loop_source timer = { loop_timer_create(5, 0), stop, &rig->loop, NULL };
	struct rlimit limit, none;
	struct epoll_event event;
	int other;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	say(rig, "hello\n");
	assert_int_equal(loop_add(&rig->loop, &timer, EPOLLIN), 0);
	rig->client = call(rig);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ 3, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	rig->loop.stopped = false;
	assert_int_equal(loop_run(&rig->loop), 0);
	loop_remove(&rig->loop, &timer);
	assert_int_equal(epoll_wait(rig->loop.epoll_fd, &event, 1, 0), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(timer.fd);
	other = connect_to(rig); /* which wakes us for the first */
	turn(rig, 5);
	expect_read(rig->client, "hello\n");
	close(other);
}

/* It sends its last and waits for the answer. */
static void test_half_a_goodbye(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	say(rig, "");
	say(rig, "?");
	rig->client = connect_to(rig);
	expect_read(rig->client, "?");
	type(rig, "last");
	shutdown(rig->client, SHUT_WR);
	turn(rig, 5);
	assert_string_equal(heard(rig, RX), "last");
	say(rig, "answer\n");
	turn(rig, 5);
	expect_read(rig->client, "answer\n");
}

static void test_socket_file(void **state)
{
	struct rig *rig = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct console_spec spec = { "--hvc", "console", CONSOLE_SOCKET, rig->path, -1, false };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct diag diag;

	/* Somebody's who has not removed it. */
	memcpy(address.sun_path, rig->path, strlen(rig->path) + 1);
	assert_int_equal(bind(fd, (const void *)&address, sizeof(address)), 0);
	close(fd);
	make(rig, &hvc_class, CONSOLE_SOCKET);
	assert_null(console_open(&spec, &diag)); /* and one that is in use */
	assert_string_equal(diag.text + strlen("--hvc socket:") + strlen(rig->path),
		": this file is there already");
	finish(rig);
	assert_int_equal(access(rig->path, F_OK), -1);
	/* No socket: it is not touched. */
	close(open(rig->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_null(console_open(&spec, &diag));
	assert_int_equal(access(rig->path, F_OK), 0);
}

/* A console's guest spins meanwhile: it is not to do so for ever. */
static void test_console_with_a_dead_reader(void **state)
{
	struct rig *rig = *state;
	static uint8_t data[8192];
	unsigned int n = 0;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	rig->client = connect_to(rig);
	rig->consoles.line[0].console->out.stall_ms = 50;
	do
		offer(rig, TX, data, sizeof(data));
	while (rig_n_used(&rig->ring[TX]) == ++n && n < 1000);
	assert_true(n < 1000);
	turn(rig, 20);
	assert_int_equal(rig_n_used(&rig->ring[TX]), n - 1);
	turn(rig, 200);
	assert_int_equal(rig_n_used(&rig->ring[TX]), n);
	assert_true(rig->consoles.line[0].console->out.n_dropped > 0);
	rig->consoles.line[0].console->out.n_dropped = 0; /* say nothing at the end */
}

/* ---- the machine's pause ---- */

/* What is typed meanwhile comes later; a new size is told then. */
static void test_pause(void **state)
{
	struct rig *rig = *state;
	struct console_line *line = &rig->consoles.line[0];

	make(rig, &hvc_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	say(rig, "$ ");
	rig->client = connect_to(rig);
	virtio_quiesce(rig->dev);
	type(rig, "typed meanwhile\n");
	line->ops->resized(line->ctx, 80, 25);
	assert_null(heard(rig, RX));
	assert_int_equal(rig->n_config_signals, 0);
	virtio_resume(rig->dev);
	turn(rig, 5);
	assert_string_equal(heard(rig, RX), "typed meanwhile\n");
	assert_int_equal(rig->n_config_signals, 1);
	type(rig, "still there\n");
	offer(rig, RX, NULL, 4096);
	turn(rig, 5);
	assert_string_equal(heard(rig, RX), "still there\n");
}

/* A chain that waits for its reader goes on where it was. */
static void test_pause_with_a_slow_reader(void **state)
{
	struct rig *rig = *state;
	static uint8_t data[8192], seen[sizeof(data)];
	size_t n_sent = 0, n_read = 0;
	ssize_t n;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	rig->client = connect_to(rig);
	do {
		for (size_t i = 0; i < sizeof(data); i++, n_sent++)
			data[i] = (uint8_t)(n_sent * 7 + n_sent / 256);
		offer(rig, TX, data, sizeof(data));
	} while (n_sent == sizeof(data) * rig_n_used(&rig->ring[TX]));
	virtio_quiesce(rig->dev);
	n = rig_n_used(&rig->ring[TX]);
	for (unsigned int i = 0; n_read < n_sent; i++) {
		ssize_t got = read(rig->client, seen, sizeof(seen));

		for (ssize_t k = 0; k < got; k++, n_read++)
			assert_int_equal(seen[k], (uint8_t)(n_read * 7 + n_read / 256));
		turn(rig, 1);
		assert_true(i < 10000);
		if (i < 100)
			assert_int_equal(rig_n_used(&rig->ring[TX]), n);
		if (i == 100)
			virtio_resume(rig->dev);
	}
	assert_int_equal(rig_n_used(&rig->ring[TX]), n + 1);
}

/* The while that a guest has to set its console up is one that it can use. */
static void test_pause_before_it_listens(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	rig->client = connect_to(rig);
	type(rig, "typed early\n");
	virtio_quiesce(rig->dev);
	turn(rig, 1100);
	virtio_resume(rig->dev);
	turn(rig, 100);
	assert_null(heard(rig, RX));
	turn(rig, 1000);
	assert_string_equal(heard(rig, RX), "typed early\n");
}

/* ---- saved and loaded ---- */

/* What is said and typed goes on, at another end. */
static void test_copy(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	rig->client = connect_to(rig);
	say(rig, "before\n");
	expect_read(rig->client, "before\n");
	offer(rig, RX, NULL, 4096);
	offer(rig, RX, NULL, 4096);
	type(rig, "one\n");
	assert_string_equal(heard(rig, RX), "one\n");
	move(rig, &hvc_class, CONSOLE_SOCKET);
	rig->client = connect_to(rig);
	type(rig, "two\n");
	assert_string_equal(heard(rig, RX), "two\n");
	say(rig, "after\n");
	turn(rig, 5);
	expect_read(rig->client, "after\n");
}

/* Input that was on its way to the guest, and had no buffer. */
static void test_staged_input_in_a_copy(void **state)
{
	struct rig *rig = *state;
	int i;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	say(rig, "x");
	rig->client = connect_to(rig);
	offer(rig, RX, NULL, 3);
	type(rig, "abcdefgh");
	assert_string_equal(heard(rig, RX), "abc");
	for (i = 0; i < 2; i++)
		move(rig, &hvc_class, CONSOLE_SOCKET);
	turn(rig, 5);
	offer(rig, RX, NULL, 2);
	assert_string_equal(heard(rig, RX), "de");
	move(rig, &hvc_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 100);
	assert_string_equal(heard(rig, RX), "fgh");
	offer(rig, RX, NULL, 100);
	assert_null(heard(rig, RX));
}

/* A driver that was told nothing yet has its while to settle in. */
static void test_copy_of_a_new_driver(void **state)
{
	struct rig *rig = *state;

	make(rig, &hvc_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	move(rig, &hvc_class, CONSOLE_SOCKET);
	rig->client = connect_to(rig);
	type(rig, "early\n");
	assert_null(heard(rig, RX));
	turn(rig, 1100);
	assert_string_equal(heard(rig, RX), "early\n");
}

static void test_hostile_stage(void **state)
{
	static const struct {
		uint32_t at, n;
	} cases[] = { { 0, 4097 }, { 1, 4096 }, { 4097, 0 }, { UINT32_MAX, 1 }, { 1, UINT32_MAX } };
	struct rig *rig = *state;
	struct state_writer file;
	struct diag diag;

	make(rig, &hvc_class, CONSOLE_FILE);
	file = save(rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_change(&file, hvc_class.state, 0, "staged_at", cases[i].at);
		rig_change(&file, hvc_class.state, 0, "n_staged", cases[i].n);
		assert_int_equal(load(rig, &hvc_class, CONSOLE_FILE, &file, &diag), -EBADMSG);
		assert_string_equal(
			diag.text, "virtio console in slot 0: its input is not as it should be");
		finish(rig);
		memset(&rig->consoles, 0, sizeof(rig->consoles));
	}
	/* All that there can be, of a chain of which more was sent than it has. */
	rig_change(&file, hvc_class.state, 0, "staged_at", 0);
	rig_change(&file, hvc_class.state, 0, "n_staged", 4096);
	rig_change(&file, hvc_class.state, 0, "n_sent", UINT64_MAX);
	rig_change(&file, hvc_class.state, 0, "due", UINT32_MAX);
	assert_int_equal(load(rig, &hvc_class, CONSOLE_FILE, &file, &diag), 0);
	virtio_resume(rig->dev);
	say(rig, "text");
	assert_int_equal(rig_take(&rig->ring[TX]).len, 0);
	offer(rig, RX, NULL, 8192);
	assert_int_equal(rig_take(&rig->ring[RX]).len, 4096);
	state_free(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_it_is),
		TEST(test_output),
		TEST(test_much_in_one_chain),
		TEST(test_output_without_queues),
		TEST(test_size),
		TEST(test_input_waits_for_the_first_word),
		TEST(test_input_waits_for_a_while),
		TEST(test_input_as_there_is_room),
		TEST(test_what_was_said_before_anybody_came),
		TEST(test_nobody_comes),
		TEST(test_no_descriptors),
		TEST(test_half_a_goodbye),
		TEST(test_socket_file),
		TEST(test_console_with_a_dead_reader),
		TEST(test_pause),
		TEST(test_pause_with_a_slow_reader),
		TEST(test_pause_before_it_listens),
		TEST(test_copy),
		TEST(test_staged_input_in_a_copy),
		TEST(test_copy_of_a_new_driver),
		TEST(test_hostile_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
