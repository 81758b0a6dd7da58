// SPDX-License-Identifier: MIT
/* init.c - pid 1 of a guest that is measured: its first act says that user space is reached
 *
 * It says so on the console, for a clock outside, and by mark 1, for pronto's timeline.  Then it
 * stays, asleep, so that what it cost can be read at leisure; with `bench=off` on the kernel's
 * command line (the kernel makes it a setting of the environment) it powers off.
 */
#include <linux/reboot.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MARK_PORT       0x60c /* PLATFORM_PM_MARK in vmm/bus/platform.h */
#define MARK_USER_SPACE 1

static sigjmp_buf back;

static void refused(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

/* In the lab, a guest of q35 faults at the port although ioperm() has allowed it: no reason to die.
 */
static void mark(void)
{
	if (ioperm(MARK_PORT, 1, 1))
		return;
	signal(SIGSEGV, refused);
	if (!sigsetjmp(back, 1))
		outb(MARK_USER_SPACE, MARK_PORT);
}

int main(void)
{
	static const char text[] = "@@user\n";
	const char *what = getenv("bench");

	mark();
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		return 1;
	if (what && !strcmp(what, "off"))
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			LINUX_REBOOT_CMD_POWER_OFF, NULL);
	for (;;)
		pause();
}
