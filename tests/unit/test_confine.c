// SPDX-License-Identifier: MIT
/* test_confine.c - the stages of confinement, each in a process of its own; the process outside */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config_rig.h"
#include "confine/confine.h"
#include "confine/outside.h"
#include "filter/filter.h"
#include "skip.h"
#include "util/listener.h"
#include "util/rights.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a process ends that does this. */
static int end_of(int (*what)(void))
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(what());
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* ---- stages 1 and 2 ---- */

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int enter(void)
{
	struct confine_kept kept = { 0 };
	struct rlimit core;

	for (int fd = 20; fd < 30; fd++)
		dup2(STDERR_FILENO, fd);
	confine_keep(&kept, 25);
	confine_keep(&kept, 22);
	confine_keep(&kept, STDIN_FILENO);
	confine_keep(&kept, -1);
	confine_enter(&kept);
	for (int fd = 20; fd < 30; fd++)
		if (is_open(fd) != (fd == 22 || fd == 25))
			return fd;
	if (!is_open(STDIN_FILENO) || !is_open(STDOUT_FILENO) || !is_open(STDERR_FILENO))
		return 1;
	getrlimit(RLIMIT_CORE, &core);
	return core.rlim_max || prctl(PR_GET_DUMPABLE);
}

static void test_enter(void **state)
{
	assert_int_equal(end_of(enter), 0);
}

static void test_words(void **state)
{
	char *const argv[] = { "x", "--log-path", "/dev/fd/7", "--config-file", "/proc/self/fd/12",
		"/dev/fd/x", "9" };
	struct confine_kept kept = { 0 };

	confine_keep_words(&kept, ARRAY_SIZE(argv), argv);
	assert_int_equal(kept.n, 2);
	assert_int_equal(kept.fd[0], 7);
	assert_int_equal(kept.fd[1], 12);
}

static int settle(void)
{
	struct rlimit files;

	confine_settle();
	getrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_max != files.rlim_cur || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

static void test_settle(void **state)
{
	assert_int_equal(end_of(settle), 0);
}

/* ---- stage 3 ---- */

static int close_in(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3];
	int before = open("/", O_RDONLY | O_DIRECTORY);
	struct diag diag;

	confine_settle();
	if (confine_close_in(CONFINE_NO_RIGHTS, &diag))
		return 1;
	if (syscall(SYS_capget, &header, now) || now[0].permitted || now[1].permitted)
		return 2;
	if (open("/", O_RDONLY | O_DIRECTORY) >= 0 || errno != EACCES)
		return 3;
	if (openat(before, "etc", O_RDONLY | O_DIRECTORY) >= 0 || errno != EACCES)
		return 4;
	return mkdir("/tmp/test_confine.made", 0700) && errno == EACCES ? 0 : 5;
}

static void test_close_in(void **state)
{
	if (!confine_landlock_version())
		skip_because("this kernel has no Landlock");
	assert_int_equal(end_of(close_in), 0);
}

/* ---- stage 4 ---- */

static enum filter role;
static long call_number;
static long call_args[4];

static int make_call(void)
{
	confine_settle();
	confine_thread(role, false);
	if (syscall(call_number, call_args[0], call_args[1], call_args[2], call_args[3]) >= 0)
		_exit(0);
	_exit(errno);
}

#define REFUSED 1000

/* 0: it was made; REFUSED: it was the end; or an errno. */
static int try_call(enum filter as, long number, long a, long b, long c, long d)
{
	int status;

	role = as;
	call_number = number;
	call_args[0] = a;
	call_args[1] = b;
	call_args[2] = c;
	call_args[3] = d;
	status = end_of(make_call);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return REFUSED;
	}
	return WEXITSTATUS(status);
}

static void skip_where_no_filters(void)
{
	if (!FILTER_FITS)
		skip_because("a sanitizer makes system calls of its own");
	if (!filter_is_there())
		skip_because("this kernel has no seccomp filters");
}

static void test_arguments(void **state)
{
	skip_where_no_filters();
	/* To be read and written, but not to be run. */
	assert_int_equal(try_call(FILTER_IO, SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED), EBADF);
	assert_int_equal(
		try_call(FILTER_IO, SYS_mmap, 0, 4096, PROT_EXEC | PROT_READ, MAP_SHARED), REFUSED);
	assert_int_equal(try_call(FILTER_IO, SYS_mprotect, 0, 0, PROT_EXEC, 0), REFUSED);
	assert_int_equal(try_call(FILTER_IO, SYS_mprotect, 0, 0, PROT_READ, 0), 0);
	/* KVM_RUN is for vCPUs. */
	assert_int_equal(try_call(FILTER_VCPU, SYS_ioctl, -1, 0xae80, 0, 0), EBADF);
	assert_int_equal(try_call(FILTER_IO, SYS_ioctl, -1, 0xae80, 0, 0), REFUSED);
	/* KVM_CREATE_VM, TIOCSTI for nobody. */
	assert_int_equal(try_call(FILTER_VCPU, SYS_ioctl, -1, 0xae01, 0, 0), REFUSED);
	assert_int_equal(try_call(FILTER_CONTROL, SYS_ioctl, -1, 0x5412, 0, 0), REFUSED);
	/* KVM_SET_SREGS where a life may follow. */
	assert_int_equal(try_call(FILTER_CONTROL, SYS_ioctl, -1, 0x4138ae84, 0, 0), REFUSED);
	assert_int_equal(try_call(FILTER_CONTROL_AGAIN, SYS_ioctl, -1, 0x4138ae84, 0, 0), EBADF);
	/* A path may stand with the flag that allows an empty one. */
	assert_int_equal(
		try_call(FILTER_CONTROL, SYS_newfstatat, AT_FDCWD, (long)"/", 0, AT_EMPTY_PATH),
		EPERM);
	assert_int_equal(try_call(FILTER_CONTROL, SYS_fstat, -1, 0, 0, 0), EBADF);
	assert_int_equal(try_call(FILTER_CONTROL, SYS_openat, AT_FDCWD, (long)"/", 0, 0), EPERM);
	assert_int_equal(try_call(FILTER_VCPU, SYS_openat, AT_FDCWD, (long)"/", 0, 0), REFUSED);
	/* Signals are for ourselves; nobody has this number. */
	assert_int_equal(try_call(FILTER_VCPU, SYS_tgkill, getpid(), getpid(), 0, 0), REFUSED);
	assert_int_equal(try_call(FILTER_VCPU, SYS_tgkill, -1, 1, 0, 0), REFUSED);
	/* Neither may whoever is to be told of a descriptor's events be another, nor a group. */
	assert_int_equal(try_call(FILTER_CONTROL, SYS_fcntl, -1, F_DUPFD_CLOEXEC, 0, 0), EBADF);
	assert_int_equal(try_call(FILTER_CONTROL, SYS_fcntl, 0, F_SETOWN, getppid(), 0), REFUSED);
	assert_int_equal(try_call(FILTER_CONTROL, SYS_pidfd_send_signal, -1, 0, 0, 0), EBADF);
	assert_int_equal(try_call(FILTER_CONTROL, SYS_pidfd_send_signal, -1, 0, 0, 4), REFUSED);
	/* AF_UNIX alone. */
	assert_int_equal(try_call(FILTER_OUTSIDE, SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0), 0);
	assert_int_equal(try_call(FILTER_OUTSIDE, SYS_socket, AF_INET, SOCK_STREAM, 0, 0), REFUSED);
}

/* ---- outside ---- */

struct fixture {
	char dir[32], streams[64], door[64], port[80];
	struct config config;
	struct listener streams_at, door_at, port_at;
	struct outside outside;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct diag diag;
	char line[256];

	if (!f)
		return -1;
	memcpy(f->dir, "/tmp/test_confine.XXXXXX", 25);
	*state = f;
	if (!FILTER_FITS)
		return 0; /* the process outside would be ended */
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->streams, sizeof(f->streams), "%s/streams", f->dir);
	snprintf(f->door, sizeof(f->door), "%s/door", f->dir);
	snprintf(f->port, sizeof(f->port), "%s_5", f->streams);
	snprintf(line, sizeof(line), "k --vsock %s,cid=3 --console socket:%s", f->streams, f->door);
	f->outside.helper.fd = -1;
	return parse(&f->config, line, &diag) || listener_open(&f->streams_at, f->streams, 1) ||
	       listener_open(&f->door_at, f->door, 1) || listener_open(&f->port_at, f->port, 1) ||
	       outside_start(&f->outside, &f->config, NULL, &diag) ||
	       outside_settle(&f->outside, &diag);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (!FILTER_FITS) {
		free(f);
		return 0;
	}
	outside_end(&f->outside);
	listener_close(&f->streams_at);
	listener_close(&f->door_at);
	listener_close(&f->port_at);
	unlink(f->door);
	config_fini(&f->config);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void test_outside_connects(void **state)
{
	struct fixture *f = *state;
	int fd = outside_connect(&f->outside, f->port), other;
	char path[96], byte = 7;

	skip_where_no_filters();
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	other = accept(f->port_at.fd, NULL, NULL);
	assert_int_equal(write(fd, &byte, 1), 1);
	assert_int_equal(read(other, &byte, 1), 1);
	close(other);
	close(fd);
	snprintf(path, sizeof(path), "%s_6", f->streams);
	assert_int_equal(outside_connect(&f->outside, path), -ENOENT);
}

static void test_outside_refuses(void **state)
{
	struct fixture *f = *state;
	static const char *const ends[] = { "", "_", "_5x", "_5/../x", "x_5", "_-5" };
	char path[96];

	skip_where_no_filters();
	assert_int_equal(outside_connect(&f->outside, f->door), -EPERM);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(path, sizeof(path), "%s%s", f->streams, ends[i]);
		assert_int_equal(outside_connect(&f->outside, path), -EPERM);
	}
}

static void test_outside_knows_its_own(void **state)
{
	static const struct timespec later[2] = { { 1, 0 }, { 1, 0 } };
	struct fixture *f = *state;
	struct stat st;

	skip_where_no_filters();
	/* As if another one with the same number were there by now. */
	assert_int_equal(utimensat(AT_FDCWD, f->door, later, 0), 0);
	outside_end(&f->outside);
	assert_int_equal(stat(f->door, &st), 0);
	assert_int_not_equal(stat(f->streams, &st), 0);
}

/* Its own, of those that are still its own; the program's beside it is not. */
static void test_outside_removes(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	skip_where_no_filters();
	assert_int_equal(unlink(f->door), 0);
	assert_int_equal(mkdir(f->door, 0700), 0);
	outside_end(&f->outside);
	assert_int_not_equal(stat(f->streams, &st), 0);
	assert_int_equal(stat(f->door, &st), 0);
	assert_int_equal(stat(f->port, &st), 0);
	rmdir(f->door);
}

/* ---- a job ---- */

static int note_job(void *ctx, struct diag *diag)
{
	rights_send(*(const int *)ctx, "job", 3, NULL, 0, 0);
	return diag_fail(diag, ENOSPC, "it is done, and that is why");
}

static void end_job(void *ctx)
{
	rights_send(*(const int *)ctx, "end", 3, NULL, 0, 0);
}

/* With what it takes open, and with its own words; at the end it is told. */
static void test_job(void **)
{
	struct outside outside = { .helper.fd = -1 };
	struct outside_job job = { .run = note_job, .end = end_job };
	struct config config;
	struct diag diag;
	int fds[2];
	char text[8] = "";

	skip_where_no_filters();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	job.ctx = &fds[1];
	job.fds[0] = fds[1];
	assert_int_equal(parse(&config, "k", &diag), 0);
	assert_int_equal(outside_start(&outside, &config, &job, &diag), 0);
	close(fds[1]);
	assert_int_equal(outside_settle(&outside, &diag), 0);
	assert_int_equal(outside_run_job(&outside, &diag), -ENOSPC);
	assert_string_equal(diag.text, "it is done, and that is why");
	assert_int_equal(read(fds[0], text, sizeof(text)), 3);
	assert_string_equal(text, "job");
	outside_end(&outside);
	assert_int_equal(read(fds[0], text, sizeof(text)), 3);
	assert_string_equal(text, "end");
	assert_int_equal(read(fds[0], text, sizeof(text)), 0);
	close(fds[0]);
	config_fini(&config);
}

/* It says of itself why not. */
static void test_no_job(void **state)
{
	struct fixture *f = *state;
	struct diag diag;

	skip_where_no_filters();
	assert_int_equal(outside_run_job(&f->outside, &diag), -ENOSYS);
}

static void test_nothing_outside(void **state)
{
	struct outside outside = { .helper.fd = -1 };
	struct config config;
	struct diag diag;

	assert_int_equal(parse(&config, "k", &diag), 0);
	assert_int_equal(outside_start(&outside, &config, NULL, &diag), 0);
	assert_int_equal(outside.helper.fd, -1);
	assert_int_equal(outside_settle(&outside, &diag), 0);
	outside_end(&outside);
	config_fini(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enter),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_close_in),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test_setup_teardown(test_outside_connects, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_outside_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_outside_removes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_outside_knows_its_own, set_up, tear_down),
		cmocka_unit_test(test_job),
		cmocka_unit_test_setup_teardown(test_no_job, set_up, tear_down),
		cmocka_unit_test(test_nothing_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
