// SPDX-License-Identifier: GPL-2.0 OR MIT
/* main.c - pid 1 of a guest whose root is a directory of the host: the beginning and the end */

#include "init.h"
#include "sys.h"

#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/reboot.h>

#define MARK_PORT       0x60c /* PLATFORM_PM_MARK in vmm/bus/platform.h */
#define MARK_USER_SPACE 1

/* ---- words to the operator ---- */

static void say(const char *text)
{
	sys_write(2, text, text_size(text));
}

static void say_number(unsigned long n)
{
	char digits[20], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	sys_write(2, at, (unsigned long)(digits + sizeof(digits) - at));
}

/* In words, of those that come; a number says the rest. */
static void say_error(long err)
{
	switch (-err) {
	case ENOENT: say("no such file or directory"); break;
	case ENOEXEC: say("not of this kernel's format"); break;
	case ENODEV: say("no such device"); break;
	case EINVAL: say("invalid argument"); break;
	case EROFS: say("read-only file system"); break;
	default: say("error "); say_number((unsigned long)-err);
	}
}

void complain(const char *what, const char *whom, long err, const char *hint)
{
	say("init: ");
	say(what);
	say(" ");
	say(whom);
	if (err) {
		say(": ");
		say_error(err);
	}
	if (hint) {
		say("; ");
		say(hint);
	}
	say("\n");
}

/* ---- the end ---- */

static void write_port(unsigned short port, unsigned char value)
{
	if (!sys3(__NR_ioperm, port, 1, 1))
		__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static _Noreturn void end(unsigned int how)
{
	/* What the console has not sent would go with the machine. */
	sys_ioctl(2, TCSBRK, (const void *)1);
	sys3(__NR_sync, 0, 0, 0);
	sys6(__NR_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, (long)how, 0, 0, 0);
	for (;;)
		sys3(__NR_pause, 0, 0, 0);
}

_Noreturn void give_up(const char *what, const char *whom, long err, const char *hint)
{
	complain(what, whom, err, hint);
	end(LINUX_REBOOT_CMD_RESTART);
}

/* As a shell tells it. */
static unsigned char exit_code(int status)
{
	unsigned char sig = status & 0x7f;

	return sig ? (unsigned char)(128 + sig) : (unsigned char)(status >> 8);
}

void init_main(void);
void init_main(void)
{
	const struct settings *settings = settings_read();
	unsigned char code;

	root_enter(settings);
	write_port(MARK_PORT, MARK_USER_SPACE);
	if (settings->init)
		session_become(settings);
	code = exit_code(session_run(settings));
	sys3(__NR_kill, -1, SIGKILL, 0);
	sys3(__NR_sync, 0, 0, 0);
	if (settings->exec) {
		sys_ioctl(2, TCSBRK, (const void *)1);
		/* Of 0 as well: else the kernel has the last word on the console. */
		write_port(settings->port, code);
		if (code)
			give_up("the command has failed; its status needs", "ioperm()", 0,
				"build the kernel with CONFIG_X86_IOPL_IOPERM=y");
	}
	end(LINUX_REBOOT_CMD_POWER_OFF);
}
