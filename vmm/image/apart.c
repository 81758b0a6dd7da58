// SPDX-License-Identifier: MIT
/* apart.c - work on what is not trusted, in a process that has nothing else */

#include "image/apart.h"

#include "filter/filter.h"
#include "image/codec.h"
#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The codecs have their own limit, and the words for it: this one is for who has none. */
#define MAX_MEMORY (CODEC_MAX_MEMORY + MIB(256))
/* Of processor time; the largest file there may be, by the slowest of them, takes less. */
#define MAX_SECONDS 900

/* A sanitizer's runtime, and that of coverage, make calls of their own, and take memory as they
 * like; and what they have to say is wanted.
 */
#ifdef PRONTO_INSTRUMENTED
static const bool is_instrumented = true;
#else
static const bool is_instrumented = false;
#endif

/* What the two share.  Nobody but the child writes there; it is read when the child is dead. */
struct answer {
	bool is_given;
	int ret;
	uint64_t out_size;
	int out_err;
	struct diag diag;
};

/* ---- the child ---- */

/* Soft and hard; for processor time the former is a signal that tells what it was. */
static void lower(__rlimit_resource_t resource, rlim_t most, rlim_t hard)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return;
	if (limit.rlim_cur > most)
		limit.rlim_cur = most;
	if (limit.rlim_max > hard)
		limit.rlim_max = hard;
	(void)setrlimit(resource, &limit);
}

static void close_others(int a, int b)
{
	unsigned int low = (unsigned int)(a < b ? a : b), high = (unsigned int)(a < b ? b : a);
	unsigned int from = is_instrumented ? STDERR_FILENO + 1 : 0;

	if (low > from)
		close_range(from, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

/* How it dies is told by its parent; a handler of that one's has other calls. */
static void die_plainly(void)
{
	static const int fatal[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGXCPU };

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		signal(fatal[i], SIG_DFL);
}

static int give_up(const struct unpack_job *job, struct diag *diag)
{
	int ret = 0;

	prctl(PR_SET_NAME, "pronto-unpack");
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	close_others(job->in_fd, job->out_fd);
	lower(RLIMIT_CORE, 0, 0);
	lower(RLIMIT_CPU, MAX_SECONDS, MAX_SECONDS + 1);
	lower(RLIMIT_FSIZE, job->max_size, job->max_size);
	if (is_instrumented)
		return 0;
	die_plainly();
	lower(RLIMIT_AS, MAX_MEMORY, MAX_MEMORY);
	if (filter_is_there())
		ret = filter_install(FILTER_UNPACK, false);
	return ret ? diag_fail(diag, -ret, "cannot be unpacked: seccomp: %s", error_text(-ret)) : 0;
}

_Noreturn static void be_child(struct answer *answer, apart_work work,
	enum image_compression compression, struct unpack_job *job)
{
	answer->ret = give_up(job, &answer->diag);
	if (!answer->ret)
		answer->ret = work(compression, job, &answer->diag);
	answer->out_size = job->out_size;
	answer->out_err = job->out_err;
	answer->is_given = true;
	_exit(0);
}

/* ---- its parent ---- */

static int explain_end(int status, enum image_compression compression, struct diag *diag)
{
	const char *name = image_compression_name(compression);
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	switch (sig) {
	case SIGSYS:
		return diag_fail(diag, ENOEXEC,
			"cannot be unpacked: what unpacks %s made a system call that it has no use for, "
			"and was ended (signal %d): the file is made to do harm",
			name, sig);
	case SIGXCPU:
		return diag_fail(diag, ENOEXEC,
			"cannot be unpacked: that took all the processor time that it may have (%d s, or "
			"ulimit -t)",
			MAX_SECONDS);
	case SIGKILL:
		return diag_fail(diag, ENOMEM,
			"cannot be unpacked: what unpacks %s was ended by signal %d (%s): the host may be "
			"short of memory",
			name, sig, strsignal(sig));
	case 0:
		return diag_fail(diag, ENOEXEC,
			"cannot be unpacked: what unpacks %s has ended and not said how", name);
	default:
		return diag_fail(diag, ENOEXEC,
			"cannot be unpacked: what unpacks %s was ended by signal %d (%s): the file is "
			"damaged, or made to do harm",
			name, sig, strsignal(sig));
	}
}

static bool is_error(int ret)
{
	return ret <= 0 && ret > -4096;
}

/* The child may be somebody else's by now: an error is one, the size is that of the file, and the
 * words are fit for a terminal.
 */
static int take(struct answer *answer, enum image_compression compression, struct unpack_job *job,
	struct diag *diag)
{
	struct stat st;

	job->out_size = answer->out_size;
	job->out_err = answer->out_err;
	if (is_error(answer->ret) && is_error(job->out_err) && answer->ret) {
		answer->diag.text[sizeof(answer->diag.text) - 1] = '\0';
		return diag_fail(diag, -answer->ret, "%s", answer->diag.text);
	}
	if (answer->ret || job->out_err || job->out_size > job->max_size ||
		fstat(job->out_fd, &st) || (uint64_t)st.st_size != job->out_size) {
		job->out_err = 0;
		return explain_end(0, compression, diag);
	}
	return 0;
}

/* One whose children's ends nobody waits for is told of none. */
static int await(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

static int run(struct answer *answer, apart_work work, enum image_compression compression,
	struct unpack_job *job, struct diag *diag)
{
	pid_t parent = getpid(), pid = fork();
	int status;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		be_child(answer, work, compression, job);
	}
	if (pid < 0)
		return diag_fail(diag, errno, "cannot be unpacked: fork: %s", error_text(errno));
	status = await(pid);
	return answer->is_given ? take(answer, compression, job, diag)
	                        : explain_end(status, compression, diag);
}

int apart_unpack(apart_work work, enum image_compression compression, struct unpack_job *job,
	struct diag *diag)
{
	struct answer *answer = mmap(
		NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ret;

	job->out_size = 0;
	job->out_err = 0;
	if (answer == MAP_FAILED)
		return diag_fail(diag, errno, "no memory to unpack it");
	ret = run(answer, work, compression, job, diag);
	munmap(answer, sizeof(*answer));
	return ret;
}
