/* SPDX-License-Identifier: MIT */
/* boot.c - the lab's pid 1: bring the machine up, then serve one session after another
 *
 * It comes from the initramfs that lab/labkit/machine.py makes, statically linked and alone in it
 * but for the kernel modules.  When it has opened its port the machine is complete and its clock
 * is right, and that is the state a snapshot keeps.
 */
#include "clock.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MODULES      "/modules/order"
#define KVM_MODULES  "/modules/order-kvm"
#define IDLE_SECONDS 1800 /* a lab that was kept up and forgotten ends itself */

static struct port port; /* too large for the stack */

static void __attribute__((noreturn)) power_off(void)
{
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) give_up(const char *what, int error)
{
	printf("lab: cannot %s: %s\n", what, strerror(error));
	fflush(stdout);
	power_off();
}

static void must_mount(
	const char *source, const char *target, const char *type, const char *options)
{
	mkdir(target, 0755);
	if (mount(source, target, type, 0, options) < 0)
		give_up(target, errno);
}

static void mount_basics(void)
{
	must_mount("dev", "/dev", "devtmpfs", "mode=755");
	/* pid 1 was started without these: the initramfs has no /dev/console. */
	for (int fd = 0; fd < 3; fd++)
		if (dup2(open("/dev/console", O_RDWR), fd) < 0)
			power_off();
	setvbuf(stdout, NULL, _IOLBF, 0);
	must_mount("proc", "/proc", "proc", NULL);
	must_mount("sys", "/sys", "sysfs", NULL);
	must_mount("devpts", "/dev/pts", "devpts", "mode=620,ptmxmode=666,gid=5");
	must_mount("cgroup2", "/sys/fs/cgroup", "cgroup2", NULL);
	mkdir("/dev/shm", 0755);
	if (symlink("/proc/self/fd", "/dev/fd") < 0 || symlink("fd/0", "/dev/stdin") < 0 ||
		symlink("fd/1", "/dev/stdout") < 0 || symlink("fd/2", "/dev/stderr") < 0)
		give_up("make the links in /dev", errno);
	/* Handy for who looks into KVM, and no loss where a kernel lacks them. */
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
}

/* The file LIST has a line for each module: its file, a space, its parameters. */
static void load_modules(const char *list)
{
	char line[256], path[300];
	FILE *order = fopen(list, "re");

	if (!order)
		give_up(list, errno);
	while (fgets(line, sizeof(line), order)) {
		char *parameters = strchr(line, ' ');
		int fd;

		line[strcspn(line, "\n")] = '\0';
		if (parameters)
			*parameters++ = '\0';
		snprintf(path, sizeof(path), "/modules/%s", line);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, parameters ? parameters : "", 0) < 0)
			give_up(path, errno);
		close(fd);
		unlink(path); /* its memory is the command's from now on */
	}
	fclose(order);
}

/* KVM's come when the kernel has corrected the TSC's rate; but before where one was given, by who
 * wants a KVM that has it wrong.
 */
static void load_all_modules(void)
{
	int given = clock_rate_is_given(), ret;
	struct clock clock;

	if (given)
		load_modules(KVM_MODULES);
	load_modules(MODULES);
	ret = clock_await(&clock);
	if (ret < 0)
		give_up("learn the TSC's rate", -ret);
	if (!given)
		load_modules(KVM_MODULES);
	ret = clock_check_kvm(&clock);
	if (ret < 0 && !given)
		give_up("trust KVM's clock", -ret);
}

static void bring_loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		give_up("bring the loopback interface up", errno);
	close(fd);
}

static void open_devices(void)
{
	static const char *const nodes[] = { "/dev/kvm", "/dev/net/tun", "/dev/vhost-net",
		"/dev/vhost-vsock", "/dev/vsock", "/dev/fuse" };

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		chmod(nodes[i], 0666);
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		give_up("find /dev/kvm", errno);
}

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec;
}

/* The driver tells that the host is away by POLLHUP only, at once and always, so look now and then.
 */
static void await_host(void)
{
	const struct timespec delay = { .tv_nsec = 10 * 1000 * 1000 };
	const time_t deadline = now() + IDLE_SECONDS;
	struct pollfd wait = { .fd = port.fd, .events = 0 };

	while (poll(&wait, 1, 0) > 0 && wait.revents & POLLHUP) {
		if (now() >= deadline)
			power_off();
		nanosleep(&delay, NULL);
	}
}

/* The host stays connected for one session; what it sends after is not ours. */
static void await_parting(void)
{
	struct pollfd wait = { .fd = port.fd, .events = POLLIN };

	while (poll(&wait, 1, -1) > 0 && !(wait.revents & POLLHUP))
		if (port_read(&port) < 0)
			break;
}

int main(void)
{
	int ret;

	mount_basics();
	load_all_modules();
	bring_loopback_up();
	open_devices();
	sethostname("lab", 3);
	mkdir("/host", 0755);
	mkdir("/over", 0755);
	mkdir("/root", 0755);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	signal(SIGPIPE, SIG_IGN);
	ret = port_open(&port);
	if (ret < 0)
		give_up("open the control port", -ret);
	for (;;) {
		await_host();
		port_write(&port, FRAME_HELLO, FRAME_HELLO_TEXT, sizeof(FRAME_HELLO_TEXT) - 1);
		ret = session_serve(&port);
		if (ret < 0 && ret != -EPIPE)
			give_up("serve a session", -ret);
		await_parting();
	}
}
