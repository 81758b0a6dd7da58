// SPDX-License-Identifier: MIT
/* test_apart.c - work in a process that has nothing else: what it says, how it dies, what it lacks
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "filter/filter.h"
#include "image/apart.h"
#include "skip.h"
#include "util/bits.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IN = 20, OUT = 25, OTHER = 22, LAST = 30 };

static int set_up(void **)
{
	int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);

	assert_int_equal(file_write_at(in, "kernel", 6, 0), 0);
	assert_int_equal(dup2(in, IN), IN);
	assert_int_equal(dup2(in, OTHER), OTHER);
	assert_int_equal(dup2(in, LAST), LAST);
	assert_int_equal(dup2(out, OUT), OUT);
	close(in);
	close(out);
	return 0;
}

/* Nobody is left. */
static int tear_down(void **)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	close(IN);
	close(OUT);
	close(OTHER);
	close(LAST);
	return 0;
}

static struct unpack_job job_here(void)
{
	return (struct unpack_job){
		.in_fd = IN, .out_fd = OUT, .max_size = MIB(1), .out_size = 77
	};
}

/* It fails so. */
static void expect(apart_work work, int ret, const char *text)
{
	struct unpack_job job = job_here();
	struct diag diag = { "" };

	assert_int_equal(apart_unpack(work, IMAGE_ZSTD, &job, &diag), ret);
	assert_string_equal(diag.text, text);
	assert_int_equal(job.out_err, 0);
}

static void skip_if_free(void)
{
#ifdef PRONTO_INSTRUMENTED
	skip_because("a sanitizer's runtime has its own ways");
#endif
	if (!filter_is_there())
		skip_because("this kernel has no seccomp filters");
}

/* ---- what it does, and says ---- */

static int copy(enum image_compression compression, struct unpack_job *job, struct diag *)
{
	char text[6];
	int ret = compression == IMAGE_ZSTD ? file_read_at(job->in_fd, text, sizeof(text), 0)
	                                    : -EINVAL;

	if (!ret)
		ret = file_write_at(job->out_fd, text, sizeof(text), 3);
	job->out_size = 9;
	return ret;
}

static void test_copy(void **state)
{
	struct unpack_job job = job_here();
	char seen[9];
	struct diag diag;

	assert_int_equal(apart_unpack(copy, IMAGE_ZSTD, &job, &diag), 0);
	assert_int_equal(job.out_size, 9);
	assert_int_equal(file_read_at(OUT, seen, sizeof(seen), 0), 0);
	assert_memory_equal(seen, "\0\0\0kernel", 9);
}

/* Whose children's ends nobody waits for. */
static void test_nobody_waits(void **state)
{
	struct unpack_job job = job_here();
	struct diag diag;

	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(apart_unpack(copy, IMAGE_ZSTD, &job, &diag), 0);
	signal(SIGCHLD, SIG_DFL);
}

static int refuse(enum image_compression, struct unpack_job *, struct diag *diag)
{
	return diag_fail(diag, E2BIG, "it has %d pieces", 5);
}

static void test_its_words(void **state)
{
	expect(refuse, -E2BIG, "it has 5 pieces");
}

static int have_no_room(enum image_compression, struct unpack_job *job, struct diag *diag)
{
	job->out_err = -ENOSPC;
	return diag_fail(diag, ENOSPC, "no room");
}

static void test_no_room(void **state)
{
	struct unpack_job job = job_here();
	struct diag diag;

	assert_int_equal(apart_unpack(have_no_room, IMAGE_ZSTD, &job, &diag), -ENOSPC);
	assert_int_equal(job.out_err, -ENOSPC);
	assert_string_equal(diag.text, "no room");
}

/* ---- what it says is judged ---- */

#define SILENT "cannot be unpacked: what unpacks zstd has ended and not said how"

static int say_another_size(enum image_compression, struct unpack_job *job, struct diag *)
{
	job->out_size = 10;
	return 0;
}

static int say_half(enum image_compression, struct unpack_job *job, struct diag *)
{
	job->out_err = -EIO;
	job->out_size = 0;
	return 0;
}

static int say_nonsense(enum image_compression, struct unpack_job *, struct diag *diag)
{
	strcpy(diag->text, "words");
	return 5;
}

static int say_nothing(enum image_compression, struct unpack_job *, struct diag *)
{
	_exit(0);
}

static void test_lies(void **state)
{
	static const apart_work lies[] = { say_another_size, say_half, say_nonsense, say_nothing };

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
		expect(lies[i], -ENOEXEC, SILENT);
}

static int play_with_terminals(enum image_compression, struct unpack_job *, struct diag *diag)
{
	memset(diag->text, 'x', sizeof(diag->text));
	memcpy(diag->text, "\033[2J", 4);
	return -EINVAL;
}

static void test_words_are_fit_for_a_terminal(void **state)
{
	struct unpack_job job = job_here();
	struct diag diag;

	assert_int_equal(apart_unpack(play_with_terminals, IMAGE_ZSTD, &job, &diag), -EINVAL);
	assert_int_equal(strlen(diag.text), sizeof(diag.text) - 1);
	assert_memory_equal(diag.text, "?[2Jxxx", 7);
}

/* ---- what it has not ---- */

static int count_files(enum image_compression, struct unpack_job *job, struct diag *diag)
{
	char byte;
	int n = 0;

	for (int fd = 0; fd < 100; fd++)
		n += pread(fd, &byte, 1, 0) >= 0 || errno != EBADF;
	return diag_fail(diag, EINVAL, "%d files, %zd %zd", n, pread(job->in_fd, &byte, 1, 0),
		pread(job->out_fd, &byte, 1, 0));
}

static void test_files(void **state)
{
	skip_if_free();
	expect(count_files, -EINVAL, "2 files, 1 0");
}

static int open_file(enum image_compression, struct unpack_job *, struct diag *)
{
	return open("/", O_RDONLY);
}

static int make_socket(enum image_compression, struct unpack_job *, struct diag *)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int run_program(enum image_compression, struct unpack_job *, struct diag *)
{
	return execl("/bin/true", "true", NULL);
}

static int make_process(enum image_compression, struct unpack_job *, struct diag *)
{
	return fork();
}

static int end_parent(enum image_compression, struct unpack_job *, struct diag *)
{
	return kill(getppid(), SIGKILL);
}

static int raise_limit(enum image_compression, struct unpack_job *, struct diag *)
{
	return setrlimit(RLIMIT_CPU, &(struct rlimit){ 1000, 1000 });
}

static int make_code(enum image_compression, struct unpack_job *, struct diag *)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int wait_for_ever(enum image_compression, struct unpack_job *, struct diag *)
{
	return pause();
}

static void test_breaches(void **state)
{
	static const apart_work breaches[] = { open_file, make_socket, run_program, make_process,
		end_parent, raise_limit, make_code, wait_for_ever };

	skip_if_free();
	for (size_t i = 0; i < ARRAY_SIZE(breaches); i++)
		expect(breaches[i], -ENOEXEC,
			"cannot be unpacked: what unpacks zstd made a system call that it has no use "
			"for, and was ended (signal 31): the file is made to do harm");
}

static int take_memory(enum image_compression, struct unpack_job *, struct diag *diag)
{
	size_t n = 0;

	while (n < 100 && malloc(MIB(16)))
		n++;
	return diag_fail(diag, ENOMEM, "%s",
		n < 10   ? "too little"
		: n < 40 ? "enough"
			 : "too much");
}

static void test_memory(void **state)
{
	skip_if_free();
	expect(take_memory, -ENOMEM, "enough");
}

static int write_far(enum image_compression, struct unpack_job *job, struct diag *diag)
{
	int within = file_write_at(job->out_fd, "x", 1, MIB(1) - 1);

	return diag_fail(diag, EINVAL, "%d %d", within, file_write_at(job->out_fd, "x", 1, MIB(1)));
}

static void test_file_size(void **state)
{
	signal(SIGXFSZ, SIG_IGN); /* as main() has it */
	expect(write_far, -EINVAL, "0 -27");
}

/* ---- how it dies ---- */

static int crash(enum image_compression, struct unpack_job *, struct diag *)
{
	__builtin_trap();
}

static void test_crash(void **state)
{
	skip_if_free();
	expect(crash, -ENOEXEC,
		"cannot be unpacked: what unpacks zstd was ended by signal 4 (Illegal instruction): "
		"the file is damaged, or made to do harm");
	signal(SIGCHLD, SIG_IGN);
	expect(crash, -ENOEXEC, SILENT);
	signal(SIGCHLD, SIG_DFL);
}

static int spin(enum image_compression, struct unpack_job *, struct diag *)
{
	volatile bool is_over = false;

	while (!is_over)
		continue;
	return 0;
}

static void test_time(void **state)
{
	struct rlimit limit, soon;

	getrlimit(RLIMIT_CPU, &limit);
	soon = (struct rlimit){ 1, limit.rlim_max }; /* of which this process has used little */
	setrlimit(RLIMIT_CPU, &soon);
	expect(spin, -ENOEXEC,
		"cannot be unpacked: that took all the processor time that it may have (900 s, or "
		"ulimit -t)");
	setrlimit(RLIMIT_CPU, &limit);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_copy),
		TEST(test_nobody_waits),
		TEST(test_its_words),
		TEST(test_no_room),
		TEST(test_lies),
		TEST(test_words_are_fit_for_a_terminal),
		TEST(test_files),
		TEST(test_breaches),
		TEST(test_memory),
		TEST(test_file_size),
		TEST(test_crash),
		TEST(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
