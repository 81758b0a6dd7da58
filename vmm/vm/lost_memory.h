/* SPDX-License-Identifier: MIT */
/* lost_memory.h - a machine whose memory is a map of a file, when the file is cut or its disk fails
 *
 * Whoever touches what is gone is sent SIGBUS, or has a system call fail by EFAULT: then the
 * machine has no memory to go on with, and its operator is to know which file that was.
 */
#ifndef VM_LOST_MEMORY_H
#define VM_LOST_MEMORY_H

#include "vm/vm.h"

/* The process ends by EXIT_HOST_ERROR, with a message that names the file, when somebody touches
 * what is gone; one machine a process.  The main thread, after the consoles are open; until
 * lost_memory_unwatch(), before RAM is given back.  Neither does anything for another machine.
 */
void lost_memory_watch(const struct vm *vm);
void lost_memory_unwatch(const struct vm *vm);

/* A vCPU cannot go on: say so if it can be for this, as whatever the guest does then is.  True: it
 * was said.  Any thread.
 */
bool lost_memory_tell(const struct vm *vm);

#endif
