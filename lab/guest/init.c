/* SPDX-License-Identifier: MIT */
/* init.c - pid 1 of a guest: say that user space is reached, load modules, hand over to the script
 *
 * As `/init mark N` it marks another moment on the monitor's timeline; as `/init drain` it waits
 * until the console has sent what was printed, which the kernel's end does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define MARK_PORT       0x60c /* PLATFORM_PM_MARK in vmm/bus/platform.h */
#define MARK_USER_SPACE 1

/* By ioperm(), as Debian's cloud kernels have no /dev/port.  Under a monitor that knows nothing of
 * the port this does no harm.
 */
static void mark(unsigned char value)
{
	if (ioperm(MARK_PORT, 1, 1) == 0)
		outb(value, MARK_PORT);
}

static void must_mount(const char *source, const char *target, const char *type)
{
	if (mount(source, target, type, 0, NULL) < 0)
		printf("init: cannot mount %s: %s\n", target, strerror(errno));
}

/* Files are named in the order to load them. */
static void load_modules(void)
{
	char name[128], path[160];
	FILE *order = fopen("/modules/order", "re");

	while (order && fgets(name, sizeof(name), order)) {
		int fd;

		name[strcspn(name, "\n")] = '\0';
		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
			printf("init: cannot load %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (order)
		fclose(order);
}

int main(int argc, char *argv[])
{
	if (argc == 3 && strcmp(argv[1], "mark") == 0) {
		mark((unsigned char)atoi(argv[2]));
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "drain") == 0)
		return tcdrain(STDOUT_FILENO) ? 1 : 0;
	if (argc == 2 && strcmp(argv[1], "modules") == 0) {
		load_modules();
		return 0;
	}
	mark(MARK_USER_SPACE);
	must_mount("proc", "/proc", "proc");
	must_mount("sys", "/sys", "sysfs");
	must_mount("dev", "/dev", "devtmpfs");
	sethostname("guest", 5);
	setenv("PATH", "/bin", 1);
	setenv("HOME", "/", 1);
	execl("/bin/sh", "sh", "/guest.sh", (char *)NULL);
	printf("init: cannot run /guest.sh: %s\n", strerror(errno));
	return 1;
}
