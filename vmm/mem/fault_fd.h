/* SPDX-License-Identifier: MIT */
/* fault_fd.h - a userfaultfd: who has it brings the pages of memory that is registered with it,
 * when somebody touches them
 *
 * It must take faults of the kernel's as well, which KVM's are, and system calls' on guest memory.
 */
#ifndef MEM_FAULT_FD_H
#define MEM_FAULT_FD_H

#include "util/diag.h"

#include <stdint.h>

/* A new one, non-blocking and the caller's, that also tells of memory which is given back.  -errno
 * and diag: the host's kernel has none, or this process may not.
 */
int fault_fd_open(struct diag *diag);

/* From now on each page of [hva, hva + size) that is not there is its holder's to bring.  -errno.
 */
int fault_fd_register(int fd, void *hva, uint64_t size);

/* No more: what is not there is zero, and who waits for a page goes on with that. */
void fault_fd_unregister(int fd, void *hva, uint64_t size);

#endif
