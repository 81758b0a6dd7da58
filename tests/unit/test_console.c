// SPDX-License-Identifier: MIT
/* test_console.c - the host's end of the serial line: nobody is held up by anybody */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/console.h"
#include "dev/terminal.h"
#include "util/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define MS 1000000ull

struct rig {
	struct loop loop;
	pthread_mutex_t lock;
	struct console *console;
	struct diag diag;
	int saved[2];       /* standard input and output */
	int reader, writer; /* the far ends: what reads our output, what types our input */
	bool attached;

	/* The guest's side. */
	size_t room, n_input;
	uint8_t input[4096];
	unsigned int n_room, n_escapes;
};

static size_t input_room(void *ctx)
{
	return ((struct rig *)ctx)->room;
}

static void input(void *ctx, const uint8_t *data, size_t size)
{
	struct rig *rig = ctx;

	assert_true(size <= rig->room && rig->n_input + size <= sizeof(rig->input));
	memcpy(rig->input + rig->n_input, data, size);
	rig->n_input += size;
	rig->room -= size;
}

static void output_room(void *ctx)
{
	((struct rig *)ctx)->n_room++;
}

static void escape(void *ctx)
{
	((struct rig *)ctx)->n_escapes++;
}

static const struct console_ops ops = { input_room, input, output_room, escape };

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(loop_init(&rig->loop), 0);
	pthread_mutex_init(&rig->lock, NULL);
	for (int fd = 0; fd < 2; fd++)
		rig->saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	rig->reader = rig->writer = -1;
	*state = rig;
	return 0;
}

/* The program's own input and output, for those who print. */
static void give_back(struct rig *rig)
{
	for (int fd = 0; fd < 2; fd++) {
		dup2(rig->saved[fd], fd);
		close(rig->saved[fd]);
	}
}

static void close_console(struct rig *rig)
{
	if (rig->console && rig->attached)
		console_detach(rig->console);
	if (rig->console)
		console_destroy(rig->console);
	rig->console = NULL;
	rig->attached = false;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	if (rig->reader >= 0)
		close(rig->reader); /* a test that failed need not wait */
	close_console(rig);
	give_back(rig);
	if (rig->writer >= 0)
		close(rig->writer);
	loop_fini(&rig->loop);
	free(rig);
	return 0;
}

static void attach(struct rig *rig)
{
	assert_non_null(rig->console);
	assert_int_equal(
		console_attach(rig->console, &rig->loop, &rig->lock, &ops, rig, &rig->diag), 0);
	rig->attached = true;
}

/* Standard input and output are pipes (or `in`, if it is a descriptor); returns how it went. */
static void open_stdio(struct rig *rig, int in)
{
	int to_us[2], from_us[2];

	assert_int_equal(pipe2(to_us, O_CLOEXEC) | pipe2(from_us, O_CLOEXEC), 0);
	fcntl(from_us[1], F_SETPIPE_SZ, 4096);
	dup2(in >= 0 ? in : to_us[0], STDIN_FILENO);
	dup2(from_us[1], STDOUT_FILENO);
	close(to_us[0]);
	close(from_us[1]);
	rig->writer = to_us[1];
	rig->reader = from_us[0];
	rig->console = console_open_stdio(&rig->diag);
}

static void stop(void *ctx, uint32_t events)
{
	loop_stop(ctx);
}

/* Let the loop work for so long. */
static void turn(struct rig *rig, uint64_t ms)
{
	struct loop_source timer = { loop_timer_create(ms, 0), stop, &rig->loop, NULL };

	rig->loop.stopped = false;
	assert_int_equal(loop_add(&rig->loop, &timer, EPOLLIN), 0);
	assert_int_equal(loop_run(&rig->loop), 0);
	loop_remove(&rig->loop, &timer);
	close(timer.fd);
}

static bool send_byte(struct rig *rig, uint8_t byte)
{
	bool room;

	pthread_mutex_lock(&rig->lock);
	room = console_send(rig->console, byte);
	pthread_mutex_unlock(&rig->lock);
	return room;
}

static bool can_send(struct rig *rig)
{
	bool room;

	pthread_mutex_lock(&rig->lock);
	room = console_can_send(rig->console);
	pthread_mutex_unlock(&rig->lock);
	return room;
}

static void want_input(struct rig *rig, size_t room)
{
	pthread_mutex_lock(&rig->lock);
	rig->room = room;
	console_want_input(rig->console);
	pthread_mutex_unlock(&rig->lock);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 256);
}

/* Send until the console says stop; how many bytes that were. */
static size_t fill(struct rig *rig)
{
	uint64_t start = timeline_now();
	size_t n = 0;

	while (n < 4 * CONSOLE_RING_SIZE && send_byte(rig, pattern(n)))
		n++;
	n++;
	assert_true(timeline_now() - start < 1000 * MS);
	assert_true(n >= CONSOLE_RING_SIZE - CONSOLE_RING_SLACK && n < 2 * CONSOLE_RING_SIZE);
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
			usleep(100);
		send_byte(rig, pattern(i));
	}
	close_console(rig);
	finish_reader(&reader);
	assert_int_equal(reader.n, 300000);
	assert_int_equal(reader.n_wrong, 0);
}

/* A line costs one write, not one a byte. */
static void test_output_is_gathered(void **state)
{
	struct rig *rig = *state;
	uint8_t data[256];

	open_stdio(rig, -1);
	attach(rig);
	for (size_t i = 0; i < 100; i++)
		send_byte(rig, pattern(i));
	assert_int_equal(read(rig->reader, data, sizeof(data)), 100);
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
	for (int i = 1; i < CONSOLE_RING_SLACK; i++)
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
	start_reader(rig, &reader, 180);
	close_console(rig);
	finish_reader(&reader);
	assert_true(timeline_now() - start > CONSOLE_STALL_MS * MS);
	assert_int_equal(reader.n, n);
	assert_int_equal(reader.n_wrong, 0);
}

static void test_dead_reader(void **state)
{
	struct rig *rig = *state;
	uint64_t start;
	unsigned int n_room;

	open_stdio(rig, -1);
	attach(rig);
	fill(rig);
	turn(rig, CONSOLE_STALL_MS / 2);
	assert_int_equal(rig->n_room, 0); /* not dead yet */
	turn(rig, 2 * CONSOLE_STALL_MS);
	assert_true(rig->n_room > 0); /* a driver that waits for its interrupt is told */
	assert_true(can_send(rig));
	start = timeline_now();
	n_room = rig->n_room;
	for (size_t i = 0; i < 100000; i++)
		assert_true(send_byte(rig, 'x'));
	assert_true(timeline_now() - start < 1000 * MS);
	assert_true(rig->console->n_dropped >= 100000 - CONSOLE_RING_SIZE / 4);
	assert_int_equal(rig->n_room, n_room);
	start = timeline_now();
	close_console(rig); /* it is known to be dead */
	assert_true(timeline_now() - start < 500 * MS);
}

static void test_end_waits_a_while_for_an_unread_pipe(void **state)
{
	struct rig *rig = *state;
	uint64_t start;

	open_stdio(rig, -1);
	attach(rig);
	fill(rig);
	start = timeline_now();
	close_console(rig);
	assert_true(timeline_now() - start < (CONSOLE_STALL_MS + 500) * MS);
	assert_true(timeline_now() - start > CONSOLE_STALL_MS / 2 * MS);
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
	pthread_mutex_lock(&rig->console->lock);
	assert_int_equal(rig->console->count, 0);
	rig->console->progress_ns -= 10 * CONSOLE_STALL_MS * MS;
	pthread_mutex_unlock(&rig->console->lock);
	fill(rig); /* says stop, and drops nothing */
	assert_int_equal(rig->console->n_dropped, 0);
}

/* Nor does it cost the end its patience: the writer is alive, and waits for more. */
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
	pthread_mutex_lock(&rig->console->lock);
	rig->console->progress_ns -= 10 * CONSOLE_STALL_MS * MS;
	pthread_mutex_unlock(&rig->console->lock);
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

	rig->console = console_open_null(&rig->diag);
	attach(rig);
	for (size_t i = 0; i < 3 * CONSOLE_RING_SIZE; i++)
		assert_true(send_byte(rig, 'x'));
	want_input(rig, 16);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 0);
	assert_false(rig->console->writer_started);
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
	rig->console = console_open_file(path, &rig->diag);
	attach(rig);
	for (const char *c = "new"; *c; c++)
		send_byte(rig, (uint8_t)*c);
	close_console(rig);
	assert_int_equal(pread(fd, data, sizeof(data), 0), 3);
	assert_memory_equal(data, "new", 3);
	close(fd);
	unlink(path);
	assert_null(console_open_file(dir, &rig->diag));
	assert_non_null(strstr(rig->diag.text, dir));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(console_open_file(path, &rig->diag)); /* nobody reads: no waiting */
	assert_non_null(strstr(rig->diag.text, "FIFO"));
	unlink(path);
	rmdir(dir);
}

static void test_full_device(void **state)
{
	struct rig *rig = *state;

	rig->console = console_open_file("/dev/full", &rig->diag);
	attach(rig);
	for (size_t i = 0; i < 3 * CONSOLE_RING_SIZE; i++) {
		send_byte(rig, 'x');
		if (i == 100)
			turn(rig, 50);
	}
	assert_true(rig->console->broken);
	assert_true(can_send(rig));
}

static void test_pipe_is_read_as_the_guest_takes_it(void **state)
{
	struct rig *rig = *state;
	int waiting;

	open_stdio(rig, -1);
	attach(rig);
	assert_int_equal(write(rig->writer, "0123456789", 10), 10);
	turn(rig, 20);
	assert_int_equal(ioctl(STDIN_FILENO, FIONREAD, &waiting), 0);
	assert_int_equal(waiting, 10); /* the guest has not asked */
	want_input(rig, 4);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 4);
	assert_int_equal(ioctl(STDIN_FILENO, FIONREAD, &waiting), 0);
	assert_int_equal(waiting, 6);
	want_input(rig, 100);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 10);
	assert_memory_equal(rig->input, "0123456789", 10);
	close(rig->writer);
	rig->writer = -1;
	turn(rig, 20);
	assert_true(rig->console->in_ended);
	assert_false(rig->console->in_watched); /* or the loop would turn for ever */
	want_input(rig, 100);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 10);
}

/* epoll does not take regular files. */
static void test_regular_file_is_read_as_the_guest_takes_it(void **state)
{
	struct rig *rig = *state;
	char path[] = "/tmp/pronto-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	for (size_t i = 0; i < 1000; i++) {
		uint8_t byte = pattern(i);

		assert_int_equal(write(fd, &byte, 1), 1);
	}
	lseek(fd, 0, SEEK_SET);
	open_stdio(rig, fd);
	close(fd);
	attach(rig);
	turn(rig, 20);
	assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_CUR), 0);
	want_input(rig, 16);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 16);
	assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_CUR), 16);
	want_input(rig, 4000);
	turn(rig, 50);
	assert_int_equal(rig->n_input, 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(rig->input[i], pattern(i));
	assert_true(rig->console->in_ended);
}

static void test_no_standard_input(void **state)
{
	struct rig *rig = *state;
	int null = open("/dev/null", O_RDONLY);

	open_stdio(rig, null);
	close(null);
	attach(rig);
	want_input(rig, 16);
	turn(rig, 20);
	assert_true(rig->console->in_ended);
	close_console(rig);

	close(STDIN_FILENO);
	rig->console = console_open_stdio(&rig->diag);
	attach(rig);
	want_input(rig, 16);
	turn(rig, 20);
	want_input(rig, 16);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 0);
}

/* A second guest on the same console: reset is no end for it. */
static void test_attach_again(void **state)
{
	struct rig *rig = *state;
	uint8_t data[16];

	open_stdio(rig, -1);
	for (int life = 0; life < 3; life++) {
		attach(rig);
		assert_int_equal(write(rig->writer, "in", 2), 2);
		send_byte(rig, 'o');
		want_input(rig, 16);
		turn(rig, 20);
		assert_int_equal(rig->n_input, 2 * life + 2);
		assert_int_equal(read(rig->reader, data, sizeof(data)), 1);
		console_detach(rig->console);
		rig->attached = false;
	}
}

/* ---- terminals ---- */

/* Standard input is a terminal that the console takes for its own; returns the far end. */
static int open_terminal(struct rig *rig)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	char name[64];

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	open_stdio(rig, slave);
	close(slave);
	/* Not our controlling terminal: left alone until told otherwise. */
	assert_false(rig->console->is_terminal);
	assert_true(rig->console->in_ended);
	rig->console->is_terminal = true;
	rig->console->in_ended = false;
	close(rig->writer);
	rig->writer = master;
	return master;
}

static void test_escape_key(void **state)
{
	struct rig *rig = *state;
	int keys = open_terminal(rig);

	attach(rig);
	rig->room = 100;
	assert_int_equal(write(keys, "a\001\001b\001c\003", 7), 7);
	turn(rig, 20);
	assert_int_equal(rig->n_escapes, 0);
	assert_int_equal(rig->n_input, 6);
	assert_memory_equal(rig->input, "a\001b\001c\003", 6);
	/* Though the guest takes nothing, and however long it has not. */
	rig->room = 0;
	for (int i = 0; i < 2 * CONSOLE_TYPE_AHEAD; i++)
		assert_int_equal(write(keys, "k", 1), 1);
	assert_int_equal(write(keys, "\001", 1), 1);
	turn(rig, 20);
	assert_int_equal(rig->n_escapes, 0);
	assert_int_equal(write(keys, "x", 1), 1);
	turn(rig, 20);
	assert_int_equal(rig->n_escapes, 1);
	/* What was typed ahead is kept up to a limit. */
	want_input(rig, 4000);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 6 + CONSOLE_TYPE_AHEAD);
}

static void test_terminal_goes_raw_and_back(void **state)
{
	struct rig *rig = *state;
	struct termios before = { 0 }, during, after = { 0 };

	open_terminal(rig);
	assert_int_equal(tcgetattr(STDIN_FILENO, &before), 0);
	for (int life = 0; life < 2; life++) {
		attach(rig);
		assert_int_equal(tcgetattr(STDIN_FILENO, &during), 0);
		assert_false(during.c_lflag & (ICANON | ECHO | ISIG));
		console_detach(rig->console);
		rig->attached = false;
		assert_int_equal(tcgetattr(STDIN_FILENO, &after), 0);
		assert_memory_equal(&before, &after, sizeof(after));
	}
	terminal_restore(); /* twice is fine */
	assert_false(terminal_is_ours(STDIN_FILENO));
}

static void test_typed_byte(void **state)
{
	struct rig *rig = *state;

	open_stdio(rig, -1);
	attach(rig);
	pthread_mutex_lock(&rig->lock);
	for (int i = 0; i < 2 * CONSOLE_TYPE_AHEAD; i++)
		console_type(rig->console, 3);
	pthread_mutex_unlock(&rig->lock);
	want_input(rig, 4000);
	turn(rig, 20);
	assert_int_equal(rig->n_input, CONSOLE_TYPE_AHEAD);
	assert_int_equal(rig->input[0], 3);
}

static void test_pty(void **state)
{
	struct rig *rig = *state;
	int saved = dup(STDERR_FILENO), said[2], user;
	char text[128], *name, data[16];
	ssize_t n;

	assert_int_equal(pipe(said), 0);
	dup2(said[1], STDERR_FILENO);
	rig->console = console_open_pty(&rig->diag);
	dup2(saved, STDERR_FILENO);
	n = read(said[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n - 1] = '\0';
	name = strstr(text, "/dev/pts/");
	assert_non_null(name);
	attach(rig);
	for (int i = 0; i < 2; i++) { /* whoever leaves may come back */
		user = open(name, O_RDWR | O_NOCTTY);
		assert_true(user >= 0);
		send_byte(rig, 'o');
		assert_int_equal(read(user, data, sizeof(data)), 1);
		assert_int_equal(data[0], 'o');
		assert_int_equal(write(user, "\003i", 2), 2); /* raw: no signal, no line */
		want_input(rig, 16);
		turn(rig, 20);
		assert_int_equal(rig->n_input, 2 * i + 2);
		close(user);
		turn(rig, 20);
		assert_false(rig->console->in_ended);
	}
	close(said[0]);
	close(said[1]);
	close(saved);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_output),
		TEST(test_output_is_gathered),
		TEST(test_slow_reader_holds_nobody_and_loses_nothing),
		TEST(test_slow_reader_gets_all_at_the_end),
		TEST(test_dead_reader),
		TEST(test_end_waits_a_while_for_an_unread_pipe),
		TEST(test_silence_is_no_stall),
		TEST(test_end_after_a_silence),
		TEST(test_reader_that_left),
		TEST(test_null),
		TEST(test_file),
		TEST(test_full_device),
		TEST(test_pipe_is_read_as_the_guest_takes_it),
		TEST(test_regular_file_is_read_as_the_guest_takes_it),
		TEST(test_no_standard_input),
		TEST(test_attach_again),
		TEST(test_escape_key),
		TEST(test_terminal_goes_raw_and_back),
		TEST(test_typed_byte),
		TEST(test_pty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
