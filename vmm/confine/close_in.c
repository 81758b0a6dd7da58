// SPDX-License-Identifier: MIT
/* close_in.c - no file system, and no rights of root, once all is open */

#include "confine/confine.h"
#include "util/error.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How many kinds of access each version of Landlock knows, from the first; a later one's are those
 * of the last that is known here (linux/landlock.h).
 */
static const unsigned int n_accesses[] = { 0, 13, 14, 15, 15, 16 };
#define LAST (sizeof(n_accesses) / sizeof(n_accesses[0]) - 1)

int confine_landlock_version(void)
{
	long version = syscall(
		SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? 0 : (int)version;
}

/* A set of rules that allows nothing of all that it judges. */
static int deny_files(int version)
{
	unsigned int n = n_accesses[(size_t)version < LAST ? (size_t)version : LAST];
	struct landlock_ruleset_attr attr = { .handled_access_fs = (UINT64_C(1) << n) - 1 };
	int fd = (int)syscall(
		SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	int ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_landlock_restrict_self, fd, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* Nobody gets what he has not. */
int confine_drop_rights(enum confine_rights rights)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3] = { 0 },
				      stays[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (rights == CONFINE_MAY_SIGNAL && !syscall(SYS_capget, &header, has))
		stays[0].effective = stays[0].permitted = has[0].permitted & CAP_TO_MASK(CAP_KILL);
	return syscall(SYS_capset, &header, stays) ? -errno : 0;
}

int confine_close_in(enum confine_rights rights, struct diag *diag)
{
	int version = confine_landlock_version(), ret;

	ret = confine_drop_rights(rights);
	if (ret)
		return diag_fail(
			diag, -ret, "capabilities cannot be dropped: %s", error_text(-ret));
	if (!version)
		return diag_fail(diag, ENOSYS,
			"this kernel has no Landlock, or it is off (lsm=landlock,...)");
	ret = deny_files(version);
	return ret ? diag_fail(diag, -ret, "Landlock: %s", error_text(-ret)) : 0;
}
