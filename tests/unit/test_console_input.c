// SPDX-License-Identifier: MIT
/* test_console_input.c - the guest's input: files, pipes, terminals, and the key to quit */

#include "console_rig.h"

#include "host/terminal.h"
#include "util/bits.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

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
	assert_int_equal(rig->console->in.state, INPUT_ENDED);
	assert_false(rig->console->in.is_watched); /* or the loop would turn for ever */
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
	assert_int_equal(rig->console->in.state, INPUT_ENDED);
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
	assert_int_equal(rig->console->in.state, INPUT_ENDED);
	close_console(rig);

	close(STDIN_FILENO);
	rig->console = open_kind(rig, CONSOLE_STDIO, NULL);
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
		console_detach(rig->console, -1);
		rig->attached = false;
	}
}

/* Two that read one pipe: what the other has taken is not waited for. */
static void test_shared_pipe(void **state)
{
	static const enum stream_kind kinds[] = { STREAM_NON_BLOCKING, STREAM_SHARED };
	struct rig *rig = *state;
	char byte;

	open_stdio(rig, -1);
	attach(rig);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct stream stream = rig->console->in.stream;
		uint8_t data[8];

		if (kinds[i] == STREAM_SHARED)
			stream = (struct stream){ .fd = STDIN_FILENO, .kind = STREAM_SHARED };
		assert_int_equal(stream.kind, kinds[i]);
		assert_int_equal(write(rig->writer, "x", 1), 1);
		assert_int_equal(read(STDIN_FILENO, &byte, 1), 1);
		assert_int_equal(stream_read(&stream, data, sizeof(data)), -EAGAIN);
		assert_int_equal(write(rig->writer, "ab", 2), 2);
		assert_true(stream_read(&stream, data, sizeof(data)) >= 1);
		assert_int_equal(data[0], 'a');
		while (stream_read(&stream, data, sizeof(data)) > 0)
			;
	}
	assert_false(fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK);
}

static void test_socket(void **state)
{
	struct rig *rig = *state;
	uint8_t data[8];
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	open_stdio(rig, ends[0]);
	close(ends[0]);
	assert_int_equal(rig->console->in.stream.kind, STREAM_SOCKET);
	assert_int_equal(stream_read(&rig->console->in.stream, data, sizeof(data)), -EAGAIN);
	attach(rig);
	assert_int_equal(write(ends[1], "in", 2), 2);
	want_input(rig, 16);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 2);
	close(ends[1]);
	turn(rig, 20);
	assert_int_equal(rig->console->in.state, INPUT_ENDED);
}

/* ---- terminals ---- */

/* Standard input is a terminal, not our controlling one; returns the far end. */
static int open_terminal(struct rig *rig)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), slave;
	char name[64];

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	open_stdio(rig, slave);
	close(slave);
	assert_true(rig->console->in.is_terminal);
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
	for (int i = 0; i < 2000; i++)
		assert_int_equal(write(keys, "k", 1), 1);
	assert_int_equal(write(keys, "\001", 1), 1);
	turn(rig, 20);
	assert_int_equal(rig->n_escapes, 0);
	assert_int_equal(write(keys, "x", 1), 1);
	turn(rig, 20);
	assert_int_equal(rig->n_escapes, 1);
	want_input(rig, 4000);
	turn(rig, 20);
	assert_int_equal(rig->n_input, 6 + 2000);
}

static void test_other_escape_keys(void **state)
{
	struct rig *rig = *state;
	int keys = open_terminal(rig);

	rig->console->in.escape_key = 0x1d;
	attach(rig);
	rig->room = 100;
	assert_int_equal(write(keys, "\001x\035\035\035x", 6), 6);
	turn(rig, 20);
	assert_int_equal(rig->n_escapes, 1);
	assert_int_equal(rig->n_input, 3);
	assert_memory_equal(rig->input, "\001x\035", 3);
	rig->console->in.escape_key = INPUT_NO_KEY;
	assert_int_equal(write(keys, "\001x\035x\377x", 6), 6);
	turn(rig, 20);
	assert_int_equal(rig->n_escapes, 1);
	assert_int_equal(rig->n_input, 9);
}

/* Paste as much as is taken without waiting. */
static size_t paste(int keys, size_t from)
{
	uint8_t byte = pattern(from) | 0x80; /* no escape key */
	size_t n = from;

	for (; write(keys, &byte, 1) == 1; byte = pattern(n) | 0x80)
		n++;
	return n - from;
}

/* What the guest has no time for waits, here and in the terminal; nothing is lost, though it is
 * more than both hold.
 */
static void test_paste_arrives_whole(void **state)
{
	struct rig *rig = *state;
	int keys = open_terminal(rig);
	size_t n = 0, before;

	attach(rig);
	for (before = 1; before != n; turn(rig, 20)) {
		before = n;
		n += paste(keys, n);
	}
	assert_true(n > INPUT_AHEAD && n < 2 * INPUT_AHEAD);
	while (rig->n_input < 150000) {
		want_input(rig, 1000);
		turn(rig, 1);
		n += paste(keys, n);
	}
	for (size_t i = 0; i < rig->n_input; i++)
		assert_int_equal(rig->input[i], pattern(i) | 0x80);
	assert_int_equal(rig->console->in.n_dropped, 0);
}

/* Behind more than all of them hold there is the escape key, and the guest is dead. */
static void test_escape_key_behind_a_paste(void **state)
{
	struct rig *rig = *state;
	int keys = open_terminal(rig);
	size_t n = 0, before;

	rig->console->in.stall_ms = 300;
	attach(rig);
	for (before = 1; before != n; turn(rig, 5)) {
		before = n;
		n += paste(keys, n);
	}
	assert_int_equal(rig->console->in.n_dropped, 0);
	while (!rig->n_escapes) {
		if (!rig->console->in.is_dropping)
			paste(keys, 0);
		else
			(void)!write(keys, "\001x", 2);
		turn(rig, 20);
	}
	assert_true(rig->console->in.n_dropped > 0);
	/* It lives after all: what it is typed from now on arrives. */
	while (rig->console->in.count) {
		rig->n_input = 0;
		want_input(rig, 4000);
		turn(rig, 5);
	}
	assert_false(rig->console->in.is_dropping);
	n = rig->console->in.n_dropped;
	assert_int_equal(write(keys, "k", 1), 1);
	rig->n_input = 0;
	want_input(rig, 4000);
	turn(rig, 20);
	assert_int_equal(rig->input[0], 'k');
	assert_int_equal(rig->console->in.n_dropped, n);
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
		console_detach(rig->console, -1);
		rig->attached = false;
		assert_int_equal(tcgetattr(STDIN_FILENO, &after), 0);
		assert_memory_equal(&before, &after, sizeof(after));
	}
	terminal_restore(); /* twice is fine */
}

/* Of whoever has our end: what comes from the far end of a terminal is a pipe's. */
static void test_far_end_of_a_terminal(void **state)
{
	struct rig *rig = *state;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	open_stdio(rig, master);
	close(master);
	assert_false(rig->console->in.is_terminal);
	assert_int_equal(rig->console->in.stream.kind, STREAM_SHARED);
}

/* SIGINT is a key of the guest's where keys are, else whoever asks has to see to it. */
static void test_interrupt(void **state)
{
	struct rig *rig = *state;
	bool is_key;

	open_terminal(rig);
	attach(rig);
	rig->room = 16;
	pthread_mutex_lock(&rig->lock);
	is_key = console_interrupt(rig->console);
	pthread_mutex_unlock(&rig->lock);
	assert_true(is_key);
	assert_int_equal(rig->n_input, 1);
	assert_int_equal(rig->input[0], 3);
	close_console(rig);
	open_stdio(rig, -1);
	attach(rig);
	assert_false(console_interrupt(rig->console));
}

static void test_pty(void **state)
{
	struct rig *rig = *state;
	int saved = dup(STDERR_FILENO), said[2], user;
	char text[128], *name, data[16];
	ssize_t n;

	assert_int_equal(pipe(said), 0);
	dup2(said[1], STDERR_FILENO);
	rig->console = open_kind(rig, CONSOLE_PTY, NULL);
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
		assert_int_equal(rig->console->in.state, INPUT_OPEN);
	}
	close(said[0]);
	close(said[1]);
	close(saved);
}

/* What nobody reads is waited for, and much less long than for a slow reader. */
static void test_pty_that_nobody_reads(void **state)
{
	struct rig *rig = *state;
	uint64_t start;

	rig->console = open_kind(rig, CONSOLE_PTY, NULL);
	assert_non_null(rig->console);
	attach(rig);
	rig->console->out.stall_ms = 100;
	rig->console->out.finish_ms = 600000;
	for (int i = 0; i < 2 * OUTPUT_RING_SIZE; i++) /* more than the terminal takes */
		send_byte(rig, 'o');
	start = timeline_now();
	close_console(rig);
	assert_in_range(timeline_now() - start, 100 * MS, 60000 * MS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_pipe_is_read_as_the_guest_takes_it),
		TEST(test_regular_file_is_read_as_the_guest_takes_it),
		TEST(test_no_standard_input),
		TEST(test_attach_again),
		TEST(test_shared_pipe),
		TEST(test_socket),
		TEST(test_escape_key),
		TEST(test_other_escape_keys),
		TEST(test_paste_arrives_whole),
		TEST(test_escape_key_behind_a_paste),
		TEST(test_terminal_goes_raw_and_back),
		TEST(test_far_end_of_a_terminal),
		TEST(test_interrupt),
		TEST(test_pty),
		TEST(test_pty_that_nobody_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
