/* SPDX-License-Identifier: MIT */
/* clock.c - wait for the TSC's rate, and hold KVM to it */
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PATIENCE_MS 60000 /* the correction comes a second after the drivers, on an idle host */
#define RECORD_MAX  8192  /* the kernel's own limit for a record of its log */
#define CORRECTION  "tsc: Refined TSC clocksource calibration: %d.%d MHz"
#define COMPLAINT   "user requested TSC rate below hardware speed"

/* The text of the log's next record; NULL if there is none within WAIT_MS. */
static char *next_record(int kmsg, char *record, int wait_ms)
{
	struct pollfd wait = { .fd = kmsg, .events = POLLIN };

	while (poll(&wait, 1, wait_ms) > 0) {
		ssize_t n = read(kmsg, record, RECORD_MAX);
		char *text;

		if (n < 0 && errno == EPIPE)
			continue; /* what was next has been overwritten */
		if (n < 0)
			return NULL;
		record[n] = '\0';
		text = strchr(record, ';');
		return text ? text + 1 : record;
	}
	return NULL;
}

int clock_rate_is_given(void)
{
	char line[4096] = "";
	FILE *file = fopen("/proc/cmdline", "re");

	if (file && !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	return strstr(line, "tsc_early_khz=") != NULL;
}

int clock_await(struct clock *clock)
{
	char record[RECORD_MAX + 1], *text;

	clock->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (clock->kmsg < 0)
		return -errno;
	while ((text = next_record(clock->kmsg, record, PATIENCE_MS))) {
		int mhz, khz;

		if (sscanf(text, CORRECTION, &mhz, &khz) == 2) {
			clock->khz = mhz * 1000 + khz;
			return 0;
		}
	}
	close(clock->kmsg);
	return -ETIME;
}

/* The TSC's rate as KVM has it for a vCPU, or -errno. */
static int rate_of_vcpu(void)
{
	int kvm, vm = -1, vcpu = -1, khz;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm >= 0)
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm >= 0)
		vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	khz = vcpu < 0 ? -errno : ioctl(vcpu, KVM_GET_TSC_KHZ);
	if (vcpu >= 0 && khz < 0)
		khz = -errno;
	close(vcpu);
	close(vm);
	close(kvm);
	return khz;
}

/* In the kernel's log, as an error, which brings it to the console, too.  dprintf() would seek,
 * which this file refuses.
 */
static void complain(int vcpu_khz, int khz)
{
	int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC), size;
	char text[128];

	size = snprintf(text, sizeof(text),
		"<3>lab: KVM takes the TSC's rate for %d kHz, and the kernel for %d\n", vcpu_khz,
		khz);
	if (write(kmsg, text, (size_t)size) < 0)
		printf("%s", text + strlen("<3>"));
	close(kmsg);
}

int clock_check_kvm(struct clock *clock)
{
	char record[RECORD_MAX + 1], *text;
	int khz = rate_of_vcpu(), ret = khz < 0 ? khz : 0;

	while ((text = next_record(clock->kmsg, record, 0)))
		if (strstr(text, COMPLAINT))
			ret = -ERANGE;
	close(clock->kmsg);
	if (khz < 0 || khz == clock->khz)
		return ret;
	complain(khz, clock->khz);
	return -ERANGE;
}
