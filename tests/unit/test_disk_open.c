// SPDX-License-Identifier: MIT
/* test_disk_open.c - what may be a guest's disk, and who may have it */

#include "disk_rig.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NOBODY 65534

/* The message is the path and WHY, of which %s is the path again. */
static void must_refuse(struct rig *rig, const struct disk_spec *spec, const char *why)
{
	char text[512], rest[400];
	struct diag diag;

	assert_null(disk_open(spec, &diag));
	snprintf(rest, sizeof(rest), why, spec->path); /* NOLINT: the tests' own */
	snprintf(text, sizeof(text), "%s: %s", spec->path, rest);
	assert_string_equal(diag.text, text);
}

/* ---- files that are no disks ---- */

static void test_missing(void **state)
{
	struct rig *rig = *state;
	struct disk_spec spec = rig_spec(rig);

	spec.path = "/missing/disk";
	must_refuse(rig, &spec, "there is no such file; `truncate -s 1G %s` makes an empty disk");
}

static void test_unusual_files(void **state)
{
	static const char neither[] = "is neither a file nor a block device, so it is no disk";
	struct rig *rig = *state;
	struct disk_spec spec = rig_spec(rig);

	for (unsigned int ro = 0; ro < 2; ro++) {
		spec.read_only = ro;
		spec.path = rig->dir;
		must_refuse(rig, &spec, "is a directory; a disk is a file or a block device");
		spec.path = rig->overlay;
		assert_int_equal(mkfifo(rig->overlay, 0600), 0);
		must_refuse(rig, &spec, neither);
		unlink(rig->overlay);
		assert_int_equal(symlink(rig->overlay, rig->overlay), 0);
		must_refuse(rig, &spec, "cannot open: Too many levels of symbolic links");
		unlink(rig->overlay);
		spec.path = "/dev/null";
		must_refuse(rig, &spec, neither);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		off_t size;
		uint64_t seen;
	} sizes[] = { { 0, 0 }, { 1, 0 }, { 511, 0 }, { 512, 512 }, { 1023, 512 }, { 1025, 1024 },
		{ (off_t)GIB(8192) + 100, GIB(8192) } };
	struct rig *rig = *state;
	struct disk_spec spec = rig_spec(rig);

	spec.read_only = true;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(ftruncate(rig->fd, sizes[i].size), 0);
		if (!sizes[i].seen) {
			must_refuse(rig, &spec,
				i ? "is shorter than a block; `truncate -s 1G %s` makes it larger"
				  : "is empty; `truncate -s 1G %s` makes it larger");
			continue;
		}
		rig_open(rig, &spec);
		assert_true(disk_size(rig->disk) == sizes[i].seen);
		assert_int_equal(disk_good_size(rig->disk), 4096);
		rig_close(rig);
	}
}

/* ---- rights ---- */

/* As somebody else, who owns the test's files.  What `run` returns is that process's status. */
static int as_nobody(struct rig *rig, int (*run)(struct rig *rig))
{
	int status;
	pid_t pid;

	if (geteuid())
		skip_because("only root can be somebody else");
	assert_int_equal(chown(rig->dir, NOBODY, NOBODY), 0);
	assert_int_equal(chown(rig->path, NOBODY, NOBODY), 0);
	pid = fork();
	if (!pid)
		_exit(setgid(NOBODY) || setuid(NOBODY) ? 100 : run(rig));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int open_without_rights(struct rig *rig)
{
	struct disk_spec spec = rig_spec(rig);

	chmod(rig->path, 0400);
	must_refuse(rig, &spec,
		"cannot open for reading and writing: Permission denied; `ro` leaves it "
		"unwritten, and so does `overlay`");
	spec.read_only = true;
	rig_open(rig, &spec);
	rig_close(rig);
	spec.read_only = false;
	spec.overlay = DISK_OVERLAY_GONE;
	rig_open(rig, &spec);
	rig_close(rig);
	chmod(rig->path, 0);
	must_refuse(rig, &spec, "cannot open for reading: Permission denied");
	return 7;
}

static void test_no_permission(void **state)
{
	assert_int_equal(as_nobody(*state, open_without_rights), 7);
}

/* ---- who has it ---- */

#define IN_USE                                                                                 \
	"is in use, by another program or as another disk; two cannot write to one: end that " \
	"program, or give the disk `overlay`"
#define WRITTEN "another program writes to it, or another disk; end that program, or copy the file"

static void test_two_disks(void **state)
{
	struct rig *rig = *state;
	struct disk_spec writes = rig_spec(rig), reads = rig_spec(rig), covers = rig_spec(rig);
	struct disk *other;

	reads.read_only = true;
	covers.overlay = DISK_OVERLAY_GONE;
	rig_open(rig, &writes);
	must_refuse(rig, &writes, IN_USE);
	must_refuse(rig, &reads, WRITTEN);
	must_refuse(rig, &covers, WRITTEN);
	rig_close(rig);
	rig_open(rig, &reads);
	must_refuse(rig, &writes, IN_USE);
	other = disk_open(&reads, &rig->diag);
	assert_non_null(other);
	disk_close(other);
	other = disk_open(&covers, &rig->diag);
	assert_non_null(other);
	disk_close(other);
	rig_close(rig);
	rig_open(rig, &writes);
}

/* What is locked by parts, as QEMU does it, is in use, too. */
static void test_other_program(void **state)
{
	struct rig *rig = *state;
	struct disk_spec writes = rig_spec(rig), reads = rig_spec(rig);
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };

	reads.read_only = true;
	assert_int_equal(fcntl(rig->fd, F_OFD_SETLK, &lock), 0);
	must_refuse(rig, &writes, IN_USE);
	rig_open(rig, &reads);
	rig_close(rig);
	lock.l_type = F_WRLCK;
	assert_int_equal(fcntl(rig->fd, F_OFD_SETLK, &lock), 0);
	must_refuse(rig, &reads, WRITTEN);
	lock.l_type = F_UNLCK;
	assert_int_equal(fcntl(rig->fd, F_OFD_SETLK, &lock), 0);
	rig_open(rig, &writes);
}

/* The image as its own overlay, the overlay of another, an overlay of no disk. */
static void test_overlays(void **state)
{
	struct rig *rig = *state;
	struct disk_spec spec = rig_spec(rig);
	char why[256];

	spec.overlay = DISK_OVERLAY_KEPT;
	spec.overlay_path = rig->path;
	snprintf(why, sizeof(why), "overlay: %s: is in use by another program", rig->path);
	must_refuse(rig, &spec, why);
	spec.overlay_path = rig->overlay;
	rig_open(rig, &spec);
	snprintf(why, sizeof(why), "overlay: %s: is in use by another program", rig->overlay);
	must_refuse(rig, &spec, why);
	rig_close(rig);
	assert_int_equal(ftruncate(rig->fd, SIZE / 2), 0);
	snprintf(why, sizeof(why),
		"overlay: %s: belongs to a disk of 1048576 bytes, and this one has 524288",
		rig->overlay);
	must_refuse(rig, &spec, why);
}

/* ---- io_uring ---- */

/* As a container's filter has it. */
static int forbid_io_uring(int err)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int open_without_io_uring(struct rig *rig, int err, const char *why)
{
	struct disk_spec spec = rig_spec(rig);
	uint8_t data[SECTOR];

	if (forbid_io_uring(err))
		return 1;
	spec.engine = DISK_ENGINE_URING;
	must_refuse(rig, &spec, why);
	spec.engine = DISK_ENGINE_AUTO;
	rig_open(rig, &spec);
	assert_int_equal(rig_do(rig, DISK_READ, 0, data, SECTOR), 0);
	assert_int_equal(data[0], rig_byte(0));
	assert_int_equal(rig->n_settled, 0);
	return 7;
}

static void test_no_io_uring(void **state)
{
	static const struct {
		int err;
		const char *why;
	} cases[] = {
		{ ENOSYS,
			"io_uring: this kernel has none; leave engine=uring out, which is slower" },
		{ EPERM, "io_uring: it is forbidden here (sysctl kernel.io_uring_disabled, or a "
			 "filter); leave engine=uring out, which is slower" },
		{ ENOMEM, "io_uring: Cannot allocate memory; leave engine=uring out, which is "
			  "slower" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid = fork();
		int status;

		if (!pid)
			_exit(open_without_io_uring(*state, cases[i].err, cases[i].why));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 7);
	}
}

/* ---- direct I/O ---- */

static void test_direct(void **state)
{
	struct rig *rig = *state;
	struct disk_spec spec = rig_spec(rig);
	uint32_t block;

	spec.direct = true;
	rig_open(rig, &spec);
	block = disk_block_size(rig->disk);
	assert_true(block == 512 || block == 4096);
	rig_close(rig);
	assert_int_equal(ftruncate(rig->fd, 4095 + 8192), 0);
	rig_open(rig, &spec);
	assert_int_equal(disk_size(rig->disk), (4095 + 8192) / block * block);
	rig_close(rig);
	/* A file system without: its files can be read and are no more than that. */
	spec.path = "/proc/self/status";
	spec.read_only = true;
	must_refuse(rig, &spec, "its file system has no direct I/O; leave out `direct`");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SYNC(test_missing),
		WITH_SYNC(test_unusual_files),
		WITH_SYNC(test_sizes),
		WITH_SYNC(test_no_permission),
		WITH_BOTH(test_two_disks),
		WITH_SYNC(test_other_program),
		WITH_SYNC(test_overlays),
		WITH_SYNC(test_no_io_uring),
		WITH_BOTH(test_direct),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
