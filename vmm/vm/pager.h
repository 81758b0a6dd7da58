/* SPDX-License-Identifier: MIT */
/* pager.h - a machine whose memory another process brings, page by page, as it is touched
 *
 * That process, the handler, listens at a Unix socket.  It is told in one message where RAM lies in
 * this process, and is given the userfaultfd by which it brings pages; nothing else is ever said.
 * Both are as Firecracker has them, so that handlers which were written for it work.
 *
 * Whoever touches a page waits until it is there, and may wait for ever: a vCPU in the kernel, the
 * I/O thread, the control thread.  None of them can be called back, and a page that is not the
 * right one must never come instead.  So where the wait has no end, the process is ended, by a
 * thread that touches no guest memory: when the handler is gone; when a step that the control
 * thread has to come back from takes PAGER_PATIENCE_MS, or PAGER_HURRY_MS where the operator has
 * asked for the end and the guest has had its time; and when nobody takes a signal for as long as
 * that time is.
 */
#ifndef VM_PAGER_H
#define VM_PAGER_H

#include "util/diag.h"

#include <stdbool.h>

#define PAGER_PATIENCE_MS 30000
#define PAGER_HURRY_MS    1000

struct vm;
struct pager;

/* Make vm->mem, of the size that the settings have, served by who listens where they say.  -errno
 * and diag: nothing was made.  The control thread, before devices have their memory.
 */
int pager_open(struct vm *vm, struct diag *diag);

/* Before RAM is given back, when neither vCPUs nor devices are there any more.  NULL: nothing. */
void pager_close(struct pager *pager);

/* The machine begins anew, with memory of its own: the handler may go.  NULL: nothing. */
void pager_forget(struct pager *pager);

/* The control thread begins what it comes back from only if no page is missing that somebody waits
 * for, and has come back.  NULL: nothing.
 */
void pager_begin(struct pager *pager);
void pager_end(struct pager *pager);

/* Have the machine's worker bring all of RAM, while the machine does what it likes.  `done` is
 * called on the control thread, with 0 or -errno, unless pager_leave() comes before.  One at a
 * time.  The control thread.  -errno: nothing was begun.
 */
int pager_fetch(struct pager *pager, void (*done)(void *ctx, int ret), void *ctx);
void pager_leave(struct pager *pager);

#endif
