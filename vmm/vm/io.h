/* SPDX-License-Identifier: MIT */
/* io.h - the I/O thread: a loop that serves devices' queues and files
 *
 * Only machines with a device that moves data have one (struct virtio_class, moves_data).  While it
 * is parked nobody is served; what happens meanwhile it finds when it goes on.
 */
#ifndef VM_IO_H
#define VM_IO_H

#include "loop/loop.h"
#include "util/crew.h"
#include "util/diag.h"

#include <pthread.h>
#include <stdbool.h>

struct io {
	struct loop loop;
	struct loop_source call; /* eventfd: look at the crew's order */
	struct crew crew;        /* of one */
	pthread_t thread;
	bool started;
	bool has_filter, tells_refused; /* as the machine's (vm.h); set before it is started */
};

/* The main thread's, all of them.  -errno and diag. */
int io_init(struct io *io, struct diag *diag);
/* It is there, and parked, unless io_resume() was called before. */
int io_start(struct io *io, struct diag *diag);
/* Until it has come back from what it is at, and parked; and let it go on.  Not started: nothing.
 */
void io_pause(struct io *io);
void io_resume(struct io *io);
/* The end of it, parked or not, as io_pause().  Not started, or stopped: nothing. */
void io_stop(struct io *io);
void io_fini(struct io *io);

#endif
