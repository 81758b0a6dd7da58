/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* sys.h - Linux's system calls, for a program without a C library
 *
 * Source: Linux, arch/x86/entry/entry_64.S.  They return -errno, as the kernel does.
 */
#ifndef INIT_SYS_H
#define INIT_SYS_H

#include <asm/unistd_64.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys5(long nr, long a, long b, long c, long d, long e)
{
	return sys6(nr, a, b, c, d, e, 0);
}

static inline long sys3(long nr, long a, long b, long c)
{
	return sys6(nr, a, b, c, 0, 0, 0);
}

static inline long sys_open(const char *path, int flags)
{
	return sys3(__NR_open, (long)path, flags, 0);
}

static inline long sys_read(int fd, void *data, unsigned long size)
{
	return sys3(__NR_read, fd, (long)data, (long)size);
}

static inline long sys_write(int fd, const void *data, unsigned long size)
{
	return sys3(__NR_write, fd, (long)data, (long)size);
}

static inline long sys_close(int fd)
{
	return sys3(__NR_close, fd, 0, 0);
}

static inline long sys_ioctl(int fd, unsigned long what, const void *arg)
{
	return sys3(__NR_ioctl, fd, (long)what, (long)arg);
}

static inline long sys_mkdir(const char *path, int mode)
{
	return sys3(__NR_mkdir, (long)path, mode, 0);
}

static inline long sys_mount(
	const char *source, const char *target, const char *type, long flags, const char *options)
{
	return sys5(__NR_mount, (long)source, (long)target, (long)type, flags, (long)options);
}

static inline long sys_chdir(const char *path)
{
	return sys3(__NR_chdir, (long)path, 0, 0);
}

static inline long sys_execve(const char *path, const char *const *argv, const char *const *env)
{
	return sys3(__NR_execve, (long)path, (long)argv, (long)env);
}

#endif
