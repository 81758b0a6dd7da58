// SPDX-License-Identifier: MIT
/* test_console.c - the guest's output: whoever reads it, nobody is held up by anybody */

#include "console_rig.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Send until the console says stop; how many bytes that were. */
static size_t fill(struct rig *rig)
{
	uint64_t start = timeline_now();
	size_t n = 0;

	while (n < 4 * OUTPUT_RING_SIZE && send_byte(rig, pattern(n)))
		n++;
	n++;
	assert_true(timeline_now() - start < 1000 * MS);
	assert_true(n >= OUTPUT_RING_SIZE - OUTPUT_RING_SLACK && n < 2 * OUTPUT_RING_SIZE);
	assert_false(can_send(rig));
	return n;
}

/* What reads, and how slowly. */
struct reader {
	pthread_t thread;
	int fd;
	unsigned int pause_ms;
	size_t n, n_wrong;
};

static void *read_all(void *arg)
{
	struct reader *reader = arg;
	uint8_t data[4096];
	ssize_t n;

	while ((n = read(reader->fd, data, sizeof(data))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			reader->n_wrong += data[i] != pattern(reader->n++);
		usleep(reader->pause_ms * 1000);
	}
	return NULL;
}

static void start_reader(struct rig *rig, struct reader *reader, unsigned int pause_ms)
{
	*reader = (struct reader){ .fd = rig->reader, .pause_ms = pause_ms };
	rig->reader = -1;
	assert_int_equal(pthread_create(&reader->thread, NULL, read_all, reader), 0);
}

/* Ours is the last descriptor of the pipe: the reader sees its end. */
static void finish_reader(struct reader *reader)
{
	close(STDOUT_FILENO);
	pthread_join(reader->thread, NULL);
	close(reader->fd);
}

static void test_output(void **state)
{
	struct rig *rig = *state;
	struct reader reader;

	open_stdio(rig, -1);
	attach(rig);
	start_reader(rig, &reader, 0);
	for (size_t i = 0; i < 300000; i++) {
		while (!can_send(rig))
			turn(rig, 1);
		send_byte(rig, pattern(i));
	}
	close_console(rig);
	finish_reader(&reader);
	assert_int_equal(reader.n, 300000);
	assert_int_equal(reader.n_wrong, 0);
}

static ssize_t read_now(struct rig *rig, uint8_t *data, size_t size)
{
	int n;

	assert_int_equal(ioctl(rig->reader, FIONREAD, &n), 0);
	return n ? read(rig->reader, data, size) : 0;
}

/* The first byte goes at once, a line when it is whole, and what is none a little later. */
static void test_output_is_gathered(void **state)
{
	struct rig *rig = *state;
	uint8_t data[256];

	open_stdio(rig, -1);
	attach(rig);
	for (const char *c = "line\nprompt"; *c; c++) {
		send_byte(rig, (uint8_t)*c);
		if (*c == 'l')
			assert_int_equal(read_now(rig, data, sizeof(data)), 1);
		if (*c == '\n')
			assert_int_equal(read_now(rig, data, sizeof(data)), 4);
	}
	assert_int_equal(read_now(rig, data, sizeof(data)), 0);
	turn(rig, 20);
	assert_int_equal(read_now(rig, data, sizeof(data)), 6);
	assert_memory_equal(data, "prompt", 6);
}

/* However standard output can be written to, a reader that sleeps holds nobody. */
static void check_no_waiting(struct rig *rig, enum stream_kind kind)
{
	struct reader reader;
	size_t n;

	assert_int_equal(rig->console->out.stream.kind, kind);
	attach(rig);
	n = fill(rig);
	turn(rig, 20);
	assert_false(can_send(rig));
	start_reader(rig, &reader, 0);
	turn(rig, 500);
	assert_true(can_send(rig));
	send_byte(rig, pattern(n++));
	close_console(rig);
	finish_reader(&reader);
	assert_int_equal(reader.n, n);
	assert_int_equal(reader.n_wrong, 0);
}

static void test_socket_does_not_block(void **state)
{
	struct rig *rig = *state;
	int ends[2];

	open_stdio(rig, -1);
	close_console(rig);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	close(rig->reader);
	rig->reader = ends[0];
	rig->console = open_kind(rig, CONSOLE_STDIO, NULL);
	assert_int_equal(rig->console->out.stream.fd, STDOUT_FILENO);
	check_no_waiting(rig, STREAM_SOCKET);
}

/* Where it cannot be opened once more, as when it is another user's terminal. */
static void test_shared_output_does_not_block(void **state)
{
	struct rig *rig = *state;

	open_stdio(rig, -1);
	assert_int_equal(rig->console->out.stream.kind, STREAM_NON_BLOCKING);
	assert_int_not_equal(rig->console->out.stream.fd, STDOUT_FILENO);
	assert_false(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK);
	close(rig->console->out.stream.fd);
	rig->console->out.stream.is_owned = false;
	rig->console->out.stream.fd = STDOUT_FILENO;
	rig->console->out.stream.kind = STREAM_SHARED;
	check_no_waiting(rig, STREAM_SHARED);
}

/* ptmx opened once more is another terminal. */
static void test_terminal_end_is_not_opened_anew(void **state)
{
	struct rig *rig = *state;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0);
	dup2(master, STDOUT_FILENO);
	rig->console = open_kind(rig, CONSOLE_STDIO, NULL);
	assert_int_equal(rig->console->out.stream.kind, STREAM_SHARED);
	assert_int_equal(rig->console->out.stream.fd, STDOUT_FILENO);
	close(master);
}

/* A terminal's size: at first, and when it has changed; of no other output. */
static void test_size(void **state)
{
	struct rig *rig = *state;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct winsize size = { .ws_col = 100, .ws_row = 40 };

	open_stdio(rig, -1);
	attach(rig);
	console_resize(rig->console);
	assert_int_equal(rig->cols + rig->rows, 0);
	close_console(rig);

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
	dup2(slave, STDOUT_FILENO);
	close(slave);
	rig->console = open_kind(rig, CONSOLE_STDIO, NULL);
	attach(rig);
	assert_int_equal(rig->cols, 100);
	assert_int_equal(rig->rows, 40);
	size.ws_col = 132;
	assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
	console_resize(rig->console);
	assert_int_equal(rig->cols, 132);
	close_console(rig);
	close(master);
}

/* Pieces of any size: what was not taken is told of when there is room, and nothing is lost. */
static void test_pieces_to_a_slow_reader(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	uint8_t piece[5000];
	size_t n = 0, taken;

	open_stdio(rig, -1);
	attach(rig);
	do {
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = pattern(n + i);
		taken = console_write(rig->console, piece, sizeof(piece));
		n += taken;
	} while (taken == sizeof(piece));
	assert_true(n >= OUTPUT_RING_SIZE);
	assert_int_equal(console_write(rig->console, piece, 1), 0);
	turn(rig, 50);
	assert_int_equal(rig->n_room, 0);
	start_reader(rig, &reader, 0);
	turn(rig, 200);
	assert_true(rig->n_room > 0);
	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = pattern(n + i);
	n += console_write(rig->console, piece, sizeof(piece));
	close_console(rig);
	finish_reader(&reader);
	assert_int_equal(reader.n, n);
	assert_int_equal(reader.n_wrong, 0);
}

static void test_slow_reader_holds_nobody_and_loses_nothing(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	size_t n;

	open_stdio(rig, -1);
	attach(rig);
	n = fill(rig);
	/* The driver writes the rest of its FIFO without looking. */
	for (int i = 1; i < OUTPUT_RING_SLACK; i++)
		assert_false(send_byte(rig, pattern(n++)));
	turn(rig, 50);
	assert_int_equal(rig->n_room, 0);
	start_reader(rig, &reader, 0);
	turn(rig, 200);
	assert_true(rig->n_room > 0);
	assert_true(can_send(rig));
	for (int i = 0; i < 1000; i++)
		send_byte(rig, pattern(n++));
	close_console(rig);
	finish_reader(&reader);
	assert_int_equal(reader.n, n);
	assert_int_equal(reader.n_wrong, 0);
}

/* Slower than the patience with a dead reader, in all, but alive. */
static void test_slow_reader_gets_all_at_the_end(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	uint64_t start = timeline_now();
	size_t n;

	open_stdio(rig, -1);
	attach(rig);
	n = fill(rig);
	rig->console->out.stall_ms = 500;
	rig->console->out.finish_ms = 60000;
	start_reader(rig, &reader, 50);
	close_console(rig);
	finish_reader(&reader);
	assert_true(timeline_now() - start > 500 * MS);
	assert_int_equal(reader.n, n);
	assert_int_equal(reader.n_wrong, 0);
}

/* Always alive, and never ready. */
static void test_slow_reader_does_not_hold_the_end(void **state)
{
	struct rig *rig = *state;
	struct reader reader;
	uint64_t start;
	size_t n;

	open_stdio(rig, -1);
	attach(rig);
	n = fill(rig);
	rig->console->out.stall_ms = 60000;
	rig->console->out.finish_ms = 200;
	start_reader(rig, &reader, 50);
	start = timeline_now();
	close_console(rig);
	assert_true(timeline_now() - start < 2000 * MS);
	finish_reader(&reader);
	assert_true(reader.n < n);
	assert_int_equal(reader.n_wrong, 0);
}

static void test_dead_reader(void **state)
{
	struct rig *rig = *state;
	uint64_t start;
	unsigned int n_room;

	open_stdio(rig, -1);
	attach(rig);
	rig->console->out.stall_ms = 400;
	fill(rig);
	turn(rig, 100);
	assert_int_equal(rig->n_room, 0); /* not dead yet */
	while (!rig->n_room)              /* a driver that waits for its interrupt is told */
		turn(rig, 100);
	assert_true(can_send(rig));
	start = timeline_now();
	n_room = rig->n_room;
	for (size_t i = 0; i < 100000; i++)
		assert_true(send_byte(rig, 'x'));
	assert_true(timeline_now() - start < 1000 * MS);
	assert_true(rig->console->out.n_dropped >= 100000 - OUTPUT_RING_SIZE / 4);
	assert_int_equal(rig->n_room, n_room);
	rig->console->out.finish_ms = 60000;
	start = timeline_now();
	close_console(rig); /* it is known to be dead */
	assert_true(timeline_now() - start < 10000 * MS);
}

static void test_end_waits_a_while_for_an_unread_pipe(void **state)
{
	struct rig *rig = *state;
	uint64_t start;

	open_stdio(rig, -1);
	attach(rig);
	fill(rig);
	rig->console->out.stall_ms = 300;
	rig->console->out.finish_ms = 60000;
	start = timeline_now();
	close_console(rig);
	assert_true(timeline_now() - start < 10000 * MS);
	assert_true(timeline_now() - start > 150 * MS);
}

/* A signal, say: what nobody reads is not waited for. */
static void test_end_in_a_hurry(void **state)
{
	struct rig *rig = *state;
	uint64_t start;
	int hurry[2];

	open_stdio(rig, -1);
	attach(rig);
	fill(rig);
	rig->console->out.stall_ms = rig->console->out.finish_ms = 60000;
	assert_int_equal(pipe2(hurry, O_CLOEXEC), 0);
	assert_int_equal(write(hurry[1], "", 1), 1);
	start = timeline_now();
	close_console_in_a_hurry(rig, hurry[0]);
	assert_true(timeline_now() - start < 10000 * MS);
	close(hurry[0]);
	close(hurry[1]);
}

/* A long silence of the guest is not the reader's fault. */
static void test_silence_is_no_stall(void **state)
{
	struct rig *rig = *state;
	uint8_t byte;

	open_stdio(rig, -1);
	attach(rig);
	send_byte(rig, 'x');
	assert_int_equal(read(rig->reader, &byte, 1), 1);
	turn(rig, 20);
	assert_int_equal(rig->console->out.count, 0);
	rig->console->out.progress_ns -= 10 * rig->console->out.stall_ms * MS;
	fill(rig); /* says stop, and drops nothing */
	assert_int_equal(rig->console->out.n_dropped, 0);
}

/* Nor does it cost the end its patience. */
static void test_end_after_a_silence(void **state)
{
	struct rig *rig = *state;
	uint64_t start;
	uint8_t byte;

	open_stdio(rig, -1);
	attach(rig);
	send_byte(rig, 'x');
	assert_int_equal(read(rig->reader, &byte, 1), 1);
	turn(rig, 20);
	rig->console->out.progress_ns -= 10 * rig->console->out.stall_ms * MS;
	start = timeline_now();
	close_console(rig);
	assert_true(timeline_now() - start < 500 * MS);
}

static void test_reader_that_left(void **state)
{
	struct rig *rig = *state;
	uint64_t start = timeline_now();

	open_stdio(rig, -1);
	attach(rig);
	close(rig->reader);
	rig->reader = -1;
	for (size_t i = 0; i < 300000; i++) {
		send_byte(rig, 'x');
		if (i == 1000)
			turn(rig, 50);
	}
	assert_true(can_send(rig));
	close_console(rig);
	assert_true(timeline_now() - start < 1000 * MS);
}

static void test_null(void **state)
{
	struct rig *rig = *state;

	rig->console = open_kind(rig, CONSOLE_NULL, NULL);
	attach(rig);
	for (size_t i = 0; i < 3 * OUTPUT_RING_SIZE; i++)
		assert_true(send_byte(rig, 'x'));
	want_input(rig, 16);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 0);
}

static void test_file(void **state)
{
	struct rig *rig = *state;
	char dir[] = "/tmp/pronto-test-XXXXXX", path[64], data[64];
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, "old contents", 12), 12);
	rig->console = open_kind(rig, CONSOLE_FILE, path);
	attach(rig);
	for (const char *c = "new"; *c; c++)
		send_byte(rig, (uint8_t)*c);
	close_console(rig);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 3);
	assert_memory_equal(data, "new", 3);
	close(fd);
	unlink(path);
	assert_null(open_kind(rig, CONSOLE_FILE, dir));
	assert_non_null(strstr(rig->diag.text, dir));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(open_kind(rig, CONSOLE_FILE, path)); /* nobody reads: no waiting */
	assert_non_null(strstr(rig->diag.text, "FIFO"));
	unlink(path);
	rmdir(dir);
}

static void test_full_device(void **state)
{
	struct rig *rig = *state;

	rig->console = open_kind(rig, CONSOLE_FILE, "/dev/full");
	attach(rig);
	for (size_t i = 0; i < 3 * OUTPUT_RING_SIZE; i++) {
		send_byte(rig, 'x');
		if (i == 100)
			turn(rig, 50);
	}
	assert_true(rig->console->out.is_broken);
	assert_true(can_send(rig));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_output),
		TEST(test_output_is_gathered),
		TEST(test_socket_does_not_block),
		TEST(test_shared_output_does_not_block),
		TEST(test_terminal_end_is_not_opened_anew),
		TEST(test_size),
		TEST(test_pieces_to_a_slow_reader),
		TEST(test_slow_reader_holds_nobody_and_loses_nothing),
		TEST(test_slow_reader_gets_all_at_the_end),
		TEST(test_slow_reader_does_not_hold_the_end),
		TEST(test_dead_reader),
		TEST(test_end_waits_a_while_for_an_unread_pipe),
		TEST(test_end_in_a_hurry),
		TEST(test_silence_is_no_stall),
		TEST(test_end_after_a_silence),
		TEST(test_reader_that_left),
		TEST(test_null),
		TEST(test_file),
		TEST(test_full_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
