// SPDX-License-Identifier: MIT
/* mmds_confine.c - what the metadata service gives up before it hears of a guest */

#include "api/mmds_confine.h"

#include "confine/confine.h"
#include "util/error.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOBODY 65534

/* In some containers root may not, or nobody is there: root without rights then has to do. */
static int leave_root(void)
{
	if (geteuid())
		return 0;
	if (!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
		!setresuid(NOBODY, NOBODY, NOBODY))
		return 0;
	return errno == EINVAL || errno == EPERM ? 0 : -1;
}

/* After the change of user, with which it is forgotten. */
static int end_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -1;
	errno = ESRCH;
	return getppid() == parent ? 0 : -1;
}

int mmds_confine(pid_t parent, struct diag *diag)
{
	int ret = leave_root() ? -errno : confine_drop_rights(CONFINE_NO_RIGHTS);

	if (!ret && (end_with(parent) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
		ret = -errno;
	if (!ret && FILTER_FITS)
		ret = filter_install(FILTER_MMDS, false);
	return ret ? diag_fail(diag, -ret, "the metadata service cannot be confined: %s",
			     error_text(-ret))
	           : 0;
}
