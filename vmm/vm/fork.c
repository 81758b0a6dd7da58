// SPDX-License-Identifier: MIT
/* fork.c - a machine that runs is copied into another process, from which others go on
 *
 * The child has one thread, and all that its parent had.  Nobody held a lock then: the vCPUs and
 * the I/O thread were parked, and libc sees to its own.  It takes guest memory, what KVM offers,
 * and the state in a form that names no descriptor; all else is its parent's, is never touched, and
 * is closed.  KVM's VM above all, which heeds none but the process that has made it.
 */

#include "vm/fork.h"

#include "host/terminal.h"
#include "util/error.h"
#include "util/log.h"
#include "util/random.h"
#include "vm/confined.h"
#include "vm/saved.h"
#include "vm/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct fork_child {
	struct vm *vm;
	struct fork_child *next;
	pid_t pid;
	struct loop_source end; /* pidfd */
};

/* What the child begins with. */
struct origin {
	struct vm *vm;
	struct state_writer state;
	struct device_copies copies;
	struct listener listener;
	bool is_once;
};

/* ---- the child ---- */

/* Those that were ignored stay so, as for a program that is begun. */
static void let_signals_end_us(void)
{
	struct sigaction action, by_default = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		if (!sigaction(sig, NULL, &action) && action.sa_handler != SIG_IGN)
			sigaction(sig, &by_default, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Standard files are those of clients that come. */
static int drop_standard_files(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (dup2(fd, i) < 0)
			ret = -errno;
	return ret;
}

/* Descriptors below it are done. */
static int close_up_to(int *done, int kept)
{
	int ret = 0;

	if (kept > *done + 1)
		ret = close_range((unsigned int)*done + 1, (unsigned int)kept - 1, 0) ? -errno : 0;
	*done = kept;
	return ret;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int close_others(int *kept, size_t n)
{
	int done = STDERR_FILENO, ret = 0;

	qsort(kept, n, sizeof(*kept), by_number);
	for (size_t i = 0; i < n && !ret; i++)
		if (kept[i] >= 0)
			ret = close_up_to(&done, kept[i]);
	return ret ? ret : close_range((unsigned int)done + 1, ~0u, 0) ? -errno : 0;
}

static int leave_parent(const struct origin *origin)
{
	const struct vm *vm = origin->vm;
	int kept[PLATFORM_VIRTIO_SLOTS + 3], ret;

	memcpy(kept, origin->copies.fd, sizeof(origin->copies.fd));
	kept[PLATFORM_VIRTIO_SLOTS] = vm->kvm.fd;
	kept[PLATFORM_VIRTIO_SLOTS + 1] = vm->mem.saved_fd;
	kept[PLATFORM_VIRTIO_SLOTS + 2] = origin->listener.fd;

	let_signals_end_us();
	terminal_forget();
	setsid();
	ret = drop_standard_files();
	if (!ret)
		ret = close_others(kept, ARRAY_SIZE(kept));
	log_begin_anew();
	return ret;
}

_Noreturn static void be_server(struct origin *origin)
{
	struct warm warm;
	struct diag diag;

	if (leave_parent(origin) || warm_open_copy(&warm, origin->vm, &origin->copies,
					    origin->state.data, origin->state.size, &diag))
		_exit(EXIT_HOST_ERROR);
	_exit(origin->is_once ? server_run_once(&warm, &origin->listener)
			      : server_run(&warm, &origin->listener));
}

/* ---- the parent: who has ended ---- */

static void forget(struct fork_child **at)
{
	struct fork_child *child = *at;

	*at = child->next;
	close(child->end.fd);
	free(child);
}

static void child_ended(void *ctx, uint32_t)
{
	struct fork_child *child = ctx, **at = &child->vm->forks.first;

	loop_remove(&child->vm->loop, &child->end);
	waitpid(child->pid, NULL, 0);
	while (*at != child)
		at = &(*at)->next;
	forget(at);
}

void fork_forget(struct vm *vm)
{
	while (vm->forks.first)
		forget(&vm->forks.first);
}

/* One that cannot be watched is left over when it has ended, until we end. */
static void watch(struct vm *vm, pid_t pid)
{
	struct fork_child *child = calloc(1, sizeof(*child));

	if (!child)
		return;
	*child = (struct fork_child){ vm, vm->forks.first, pid,
		{ pidfd_open(pid, 0), child_ended, child, NULL } };
	if (child->end.fd < 0 || loop_add(&vm->loop, &child->end, EPOLLIN)) {
		if (child->end.fd >= 0)
			close(child->end.fd);
		free(child);
		return;
	}
	vm->forks.first = child;
}

/* ---- the copy ---- */

static unsigned long long us_since(uint64_t ns)
{
	return (timeline_now() - ns) / 1000;
}

/* A machine that began with a snapshot is one of its pages still, and what has changed is told by
 * that one's id.
 */
static int begin_state(struct origin *origin, struct diag *diag)
{
	const struct snapshot *snapshot = origin->vm->snapshot;
	uint8_t id[STATE_ID_SIZE];

	if (snapshot)
		memcpy(id, snapshot->reader.id, sizeof(id));
	else if (random_bytes(id, sizeof(id)) != (ssize_t)sizeof(id))
		return diag_fail(diag, EIO, "there is no random number for its name");
	state_begin(&origin->state, id);
	return 0;
}

static int write_state(struct origin *origin, struct diag *diag)
{
	int ret = devices_check_copies(origin->vm, diag);

	if (!ret)
		ret = begin_state(origin, diag);
	if (!ret)
		ret = saved_write(origin->vm, &origin->state, diag);
	if (ret)
		return ret;
	ret = state_finish(&origin->state);
	return ret ? diag_fail(diag, -ret, "the state cannot be kept: %s", error_text(-ret)) : 0;
}

static pid_t fork_server(struct origin *origin, struct diag *diag)
{
	pid_t pid = fork();

	if (!pid)
		be_server(origin);
	return pid < 0 ? diag_fail(diag, errno, "cannot fork: %s", error_text(errno)) : pid;
}

static pid_t copy_machine(struct origin *origin, struct diag *diag)
{
	uint64_t since;
	pid_t ret = write_state(origin, diag);

	if (!ret)
		ret = devices_copy(origin->vm, &origin->copies, diag);
	if (ret)
		return ret;
	since = timeline_now();
	ret = fork_server(origin, diag);
	log_info("fork(2) took %llu us", us_since(since));
	devices_drop_copies(&origin->copies);
	return ret;
}

/* What is no copying is done before, or after. */
static pid_t pause_and_copy(struct origin *origin, struct diag *diag)
{
	struct vm *vm = origin->vm;
	bool was_held = vm_is_paused(vm);
	uint64_t since = timeline_now();
	pid_t ret;

	if (!vm_pause(vm))
		return diag_fail(diag, EBUSY, "there is no machine to fork");
	ret = copy_machine(origin, diag);
	if (was_held)
		return ret;
	vm_resume(vm);
	log_info("the guest stood still for %llu us", us_since(since));
	return ret;
}

static int check(const struct vm *vm, struct diag *diag)
{
	if (vm->snapshot_writer)
		return diag_fail(diag, EBUSY, "a snapshot is being made: wait for it");
	if (vm->mem.is_shared)
		return diag_fail(diag, EOPNOTSUPP,
			"another process serves one of its devices from its memory (vhost-user), which "
			"can be copied only byte by byte: save it, and have others go on from there");
	if (vm->mem.is_served)
		return diag_fail(diag, EOPNOTSUPP,
			"a handler brings its memory, and would not bring a fork's: save it, and have "
			"others go on from there");
	return confined_may_fork(vm, diag);
}

/* The name is the server's, in the end as well. */
static void give_listener(struct listener *listener, bool is_served)
{
	if (is_served)
		close(listener->fd);
	else
		listener_close(listener);
}

pid_t fork_machine(struct vm *vm, const struct fork_target *target, struct diag *diag)
{
	struct origin origin = { .vm = vm, .is_once = target->is_once };
	int ret = check(vm, diag);
	pid_t pid;

	if (ret)
		return ret;
	ret = server_listen(&origin.listener, target->path);
	if (ret)
		return diag_fail(diag, -ret, "%.300s: cannot listen there: %s", target->path,
			error_text(-ret));
	pid = pause_and_copy(&origin, diag);
	give_listener(&origin.listener, pid > 0);
	state_free(&origin.state);
	if (pid > 0)
		watch(vm, pid);
	return pid;
}
