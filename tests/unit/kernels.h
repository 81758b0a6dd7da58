/* SPDX-License-Identifier: MIT */
/* kernels.h - kernel files made by tests/functional/kernels.py, in a directory of their own */
#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char kernels_dir[] = "/tmp/pronto-kernels-XXXXXX";

static inline int kernels_run(char *const argv[])
{
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ))
		return -1;
	return waitpid(pid, &status, 0) == pid && !status ? 0 : -1;
}

/* Write the named kernels (NULL at the end), or all of them.  0 or -1, as cmocka's fixtures. */
static inline int kernels_make(const char *const *names)
{
	char *argv[64] = { (char *)"/usr/bin/python3", (char *)TESTS_DIR "/functional/kernels.py" };
	size_t n = 2;

	if (!mkdtemp(kernels_dir))
		return -1;
	argv[n++] = kernels_dir;
	for (; names && *names && n < 63; names++)
		argv[n++] = (char *)(uintptr_t)*names;
	return kernels_run(argv);
}

static inline int kernels_remove(void)
{
	char *argv[] = { (char *)"/bin/rm", (char *)"-rf", kernels_dir, NULL };

	return kernels_run(argv);
}

/* Valid until the fourth call from here. */
static inline const char *kernels_path(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", kernels_dir, name);
	return path[turn];
}

/* Open for reading, and its size. */
static inline int kernels_open(const char *name, uint64_t *size)
{
	struct stat st;
	int fd = open(kernels_path(name), O_RDONLY | O_CLOEXEC);

	*size = fd >= 0 && !fstat(fd, &st) ? (uint64_t)st.st_size : 0;
	return fd;
}

#endif
