// SPDX-License-Identifier: MIT
/* test_console_input.c - the guest's input: files, pipes, terminals, and the key to quit */

#include "console_rig.h"

#include "host/terminal.h"

#include <sys/ioctl.h>
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
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
