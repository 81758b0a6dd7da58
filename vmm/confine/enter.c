// SPDX-License-Identifier: MIT
/* enter.c - the stages of confinement that come before guest memory and KVM */

#include "confine/confine.h"

#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- which descriptors stay ---- */

void confine_keep(struct confine_kept *kept, int fd)
{
	if (fd > STDERR_FILENO && kept->n < CONFINE_MAX_KEPT)
		kept->fd[kept->n++] = fd;
}

static void keep_number(struct confine_kept *kept, const char *text)
{
	char *end;
	unsigned long n;

	if (*text < '0' || *text > '9')
		return;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (!errno && n <= INT32_MAX)
		confine_keep(kept, (int)n);
}

void confine_keep_words(struct confine_kept *kept, int argc, char *const *argv)
{
	for (int i = 1; i < argc; i++) {
		const char *name = strstr(argv[i], "/fd/");

		if (name)
			keep_number(kept, name + strlen("/fd/"));
	}
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void confine_close_others(struct confine_kept *kept)
{
	unsigned int from = STDERR_FILENO + 1;
	int ret = 0;

	qsort(kept->fd, kept->n, sizeof(kept->fd[0]), compare);
	for (size_t i = 0; i < kept->n; i++) {
		unsigned int fd = (unsigned int)kept->fd[i];

		if (fd > from)
			ret |= close_range(from, fd - 1, 0);
		from = fd + 1;
	}
	if (close_range(from, ~0u, 0) || ret)
		log_warn("what others left open stays so: close_range: %s", error_text(errno));
}

/* ---- the stages ---- */

/* Standard error may have been opened anew, for a message: it is so again for the next. */
void confine_enter(struct confine_kept *kept)
{
	const struct rlimit none = { 0, 0 };

	log_open();
	confine_close_others(kept);
	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		log_warn("a crash may leave a core file: %s", error_text(errno));
}

void confine_enter_as(const struct config *config, const struct confine_kept *ours)
{
	struct confine_kept kept = { 0 };
	int fds[CONFINE_MAX_KEPT];
	size_t n;

	if (config->confine == CONFINE_OFF)
		return;
	if (ours)
		kept = *ours;
	n = config_descriptors(config, fds, CONFINE_MAX_KEPT);
	for (size_t i = 0; i < n; i++)
		confine_keep(&kept, fds[i]);
	confine_enter(&kept);
}

int confine_can_own_cores(void)
{
	unsigned long cookie;

	if (!prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie))
		return 1;
	return errno == ENODEV ? 0 : -errno;
}

int confine_own_cores(struct diag *diag)
{
	if (!prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0) ||
		errno == ENODEV)
		return 0;
	if (errno == EINVAL)
		return diag_fail(diag, EINVAL,
			"this kernel has no core scheduling (Linux 5.14, CONFIG_SCHED_CORE)");
	return diag_fail(diag, errno, "%s", error_text(errno));
}

/* Not before: virtiofsd of a user without rights has its ids mapped by newuidmap(1), which is
 * set-user-ID, and may open more files than we do.
 */
void confine_settle(void)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_max > files.rlim_cur) {
		files.rlim_max = files.rlim_cur;
		if (setrlimit(RLIMIT_NOFILE, &files))
			log_warn("the limit of open files stays as it is: %s", error_text(errno));
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		log_warn("no_new_privs: %s", error_text(errno));
}
