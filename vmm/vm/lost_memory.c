// SPDX-License-Identifier: MIT
/* lost_memory.c - a machine whose memory is a map of a file, when the file is cut or its disk fails
 *
 * What is file-scope state here is so because a signal's handler has nothing else to find it by.
 */

#include "vm/lost_memory.h"

#include "host/terminal.h"
#include "util/log.h"
#include "vm/snapshot.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHY         "the machine's memory cannot be read any more: the file was cut, or its disk fails"
#define PATIENCE_MS 1000 /* with who reads standard error */

static const struct guest_mem *watched; /* NULL: none */
static char message[1024];
static struct sigaction before;

static bool is_saved(const struct vm *vm)
{
	return vm->mem.saved_fd >= 0 && vm->snapshot;
}

static bool is_ram(const void *at)
{
	for (size_t i = 0; i < watched->n_regions; i++)
		if (range_within((uintptr_t)at, 1, (uintptr_t)watched->region[i].hva,
			    watched->region[i].size))
			return true;
	return false;
}

/* What is called here may be called by a signal's handler. */
static void bus_error(int, siginfo_t *info, void *)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	/* Another's: it comes again, and finds whoever was to be told of it. */
	if (!is_ram(info->si_addr)) {
		sigaction(SIGBUS, &before, NULL);
		return;
	}
	terminal_restore();
	if (poll(&fd, 1, PATIENCE_MS) > 0)
		(void)!write(STDERR_FILENO, message, strlen(message));
	_exit(EXIT_HOST_ERROR);
}

void lost_memory_watch(const struct vm *vm)
{
	struct sigaction action = { .sa_sigaction = bus_error, .sa_flags = SA_SIGINFO };

	if (!is_saved(vm))
		return;
	snprintf(message, sizeof(message), "pronto: error: %.800s: " WHY "\n",
		vm->snapshot->memory_path);
	watched = &vm->mem;
	sigemptyset(&action.sa_mask);
	BUG_ON(sigaction(SIGBUS, &action, &before));
}

void lost_memory_unwatch(const struct vm *vm)
{
	if (!watched || watched != &vm->mem)
		return;
	sigaction(SIGBUS, &before, NULL);
	watched = NULL;
}

bool lost_memory_tell(const struct vm *vm)
{
	off_t size = is_saved(vm) ? lseek(vm->mem.saved_fd, 0, SEEK_END) : -1;

	if (size < 0 || (uint64_t)size >= guest_mem_size(&vm->mem))
		return false;
	log_error("%s: " WHY, vm->snapshot->memory_path);
	return true;
}
