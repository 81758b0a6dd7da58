// SPDX-License-Identifier: MIT
/* test_lost_memory.c - who touches memory whose file was cut, and what is said of it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vm/lost_memory.h"
#include "vm/snapshot.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE MIB(2)
#define MESSAGE                                                                              \
	"pronto: error: dir/memory: the machine's memory cannot be read any more: the file " \
	"was cut, or its disk fails\n"

static struct vm vm;
static struct snapshot snapshot = { .memory_path = (char *)"dir/memory" };

static int set_up(void **)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(guest_mem_init_saved(&vm.mem, SIZE, fd), 0);
	vm.snapshot = &snapshot;
	return 0;
}

static int tear_down(void **)
{
	close(vm.mem.saved_fd);
	guest_mem_fini(&vm.mem);
	return 0;
}

/* Its status, when a child has done this; what it said is in `text`. */
static int in_child(void (*act)(void), char text[512])
{
	int said[2], status;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(said), 0);
	child = fork();
	if (!child) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		signal(SIGBUS, SIG_DFL);
		dup2(said[1], STDERR_FILENO);
		act();
		_exit(0);
	}
	close(said[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	n = read(said[0], text, 511);
	text[n > 0 ? n : 0] = '\0';
	close(said[0]);
	return status;
}

static uint8_t touch(gpa_t gpa)
{
	return *(volatile uint8_t *)guest_mem_at(&vm.mem, gpa, 1);
}

static void cut_and_read(void)
{
	lost_memory_watch(&vm);
	*(volatile uint8_t *)guest_mem_at(&vm.mem, SIZE - 1, 1) = 1; /* also what is its own */
	if (ftruncate(vm.mem.saved_fd, SIZE / 2) || touch(0))
		_exit(9);
	touch(SIZE - 1);
}

static void test_cut(void **)
{
	char text[512];
	int status = in_child(cut_and_read, text);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_HOST_ERROR);
	assert_string_equal(text, MESSAGE);
}

/* Nobody reads standard error, and it is full. */
static void cut_with_full_pipe(void)
{
	int full[2];
	char c[4096] = { 0 };

	if (pipe2(full, O_NONBLOCK))
		_exit(9);
	while (write(full[1], c, sizeof(c)) > 0)
		continue;
	fcntl(full[1], F_SETFL, 0);
	dup2(full[1], STDERR_FILENO);
	cut_and_read();
}

static void test_nobody_is_waited_for(void **)
{
	char text[512];
	int status = in_child(cut_with_full_pipe, text);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_HOST_ERROR);
}

static void touch_another_map(void)
{
	int fd = memfd_create("other", 0);
	volatile uint8_t *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	lost_memory_watch(&vm);
	(void)*map;
}

static void unwatch_and_read(void)
{
	lost_memory_watch(&vm);
	lost_memory_unwatch(&vm);
	if (!ftruncate(vm.mem.saved_fd, 0))
		touch(0);
}

/* What is not the machine's memory ends the process as ever; so does all when it is over. */
static void test_others(void **)
{
	static void (*const acts[])(void) = { touch_another_map, unwatch_and_read };

	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		char text[512];
		int status = in_child(acts[i], text);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGBUS);
		assert_string_equal(text, "");
	}
}

/* ---- of a system call that fails ---- */

static void tell(void)
{
	if (lost_memory_tell(&vm))
		_exit(9);
}

static void cut_and_tell(void)
{
	if (ftruncate(vm.mem.saved_fd, SIZE - 1) || !lost_memory_tell(&vm))
		_exit(9);
}

static void tell_of_another(void)
{
	vm.mem.saved_fd = -1;
	tell();
}

static void test_told(void **)
{
	char text[512];

	assert_int_equal(in_child(tell, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(in_child(tell_of_another, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(in_child(cut_and_tell, text), 0);
	assert_string_equal(text, MESSAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_cut),
		TEST(test_nobody_is_waited_for),
		TEST(test_others),
		TEST(test_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
