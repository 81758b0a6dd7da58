// SPDX-License-Identifier: MIT
/* fault_fd.c - a userfaultfd */

#include "mem/fault_fd.h"

#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEVICE "/dev/userfaultfd"
#define FLAGS  (O_CLOEXEC | O_NONBLOCK)

/* The device asks for no privilege but its permissions; older kernels have the system call alone.
 */
static int create(void)
{
	int device = open(DEVICE, O_RDWR | O_CLOEXEC), fd;

	if (device < 0)
		return (int)syscall(SYS_userfaultfd, FLAGS);
	fd = ioctl(device, USERFAULTFD_IOC_NEW, FLAGS);
	close(device);
	return fd >= 0 ? fd : (int)syscall(SYS_userfaultfd, FLAGS);
}

int fault_fd_open(struct diag *diag)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE };
	int fd = create();

	if (fd < 0 && errno == EPERM)
		return diag_fail(diag, EPERM,
			"this process may not have page faults of the kernel's served (userfaultfd): let "
			"it open " DEVICE ", or give it CAP_SYS_PTRACE, or set the sysctl "
			"vm.unprivileged_userfaultfd to 1");
	if (fd < 0)
		return diag_fail(
			diag, errno, "the host's kernel has no userfaultfd: %s", error_text(errno));
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	diag_fail(diag, EOPNOTSUPP,
		"userfaultfd of the host's kernel does not tell of memory that is given back: %s",
		error_text(errno));
	close(fd);
	return -EOPNOTSUPP;
}

int fault_fd_register(int fd, void *hva, uint64_t size)
{
	struct uffdio_register what = {
		.range = { .start = (uintptr_t)hva, .len = size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return ioctl(fd, UFFDIO_REGISTER, &what) ? -errno : 0;
}

void fault_fd_unregister(int fd, void *hva, uint64_t size)
{
	struct uffdio_range range = { .start = (uintptr_t)hva, .len = size };

	ioctl(fd, UFFDIO_UNREGISTER, &range);
}
