/* SPDX-License-Identifier: MIT */
/* life.h - the life cycle of a machine
 *
 *	configured --create--> created --run--> running --pause--> paused --run--> running
 *	                          ^                                  |
 *	                          +------------- reset --------------+
 *	any --end--> ended
 *
 * Each transition is one function, and all are the control thread's, the one that serves the loop.
 * What a transition does to the machine, the machine's own functions do; here is when.  The end is
 * asked for by anybody; the loop then decides what becomes of it: the end, or another life.
 *
 * The operator's hold lies over these states and is none.  While there is one nothing runs, neither
 * a vCPU nor a device, whatever the guest asked for at the same moment:
 *
 *	running ---hold---> paused, held ---release---> running
 *	                       | the guest had asked for a reset
 *	                       v
 *	                    created, held ---release---> running
 *
 * A machine that begins with a snapshot is created held.
 *
 * A hold goes on through a reset and the wait before it, and does not keep the end off.  Who is
 * released in that wait still waits, for the life to come.
 */
#ifndef VM_LIFE_H
#define VM_LIFE_H

#include "exit_codes.h"
#include "loop/loop.h"
#include "util/diag.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum life_state {
	LIFE_CONFIGURED, /* nothing is there but the settings */
	LIFE_CREATED,    /* the machine is at its entry: no instruction has run */
	LIFE_RUNNING,
	LIFE_PAUSED, /* every vCPU has parked */
	LIFE_ENDED,  /* for good */
};

/* What the machine does in a transition.  create and reset: 0 or -errno and diag. */
struct life_ops {
	int (*create)(void *ctx, struct diag *diag);
	void (*run)(void *ctx);
	void (*pause)(void *ctx);
	/* No vCPU runs: have no device do anything of its own accord; have them go on. */
	void (*quiesce)(void *ctx);
	void (*resume)(void *ctx);
	int (*reset)(void *ctx, struct diag *diag);
	void (*end)(void *ctx);
	/* Whether a guest that asked for this end is to have another life. */
	bool (*returns)(void *ctx, enum exit_code *outcome);
};

#define LIFE_UNDECIDED (-1)

struct life {
	enum life_state state;
	const struct life_ops *ops;
	void *ctx;
	struct loop *loop;
	struct loop_source asked; /* eventfd: somebody asked for the end */
	struct loop_source again; /* timerfd: the next life may begin */
	atomic_int outcome;       /* enum exit_code of the first who asked, or LIFE_UNDECIDED */
	uint64_t since_ns;        /* when the guest was let go, from its entry */
	bool is_held;             /* by the operator */
	bool is_waiting;          /* for its next life */

	/* A guest that resets at once, again and again, is not to keep a processor busy. */
	uint64_t short_ms, first_wait_ms, last_wait_ms;
	uint64_t wait_ms; /* before the next life; 0: the last one was long enough */
	bool warned;

	int error; /* of a reset that failed, with the reason in diag */
	struct diag diag;
};

/* Configured.  The loop outlives it.  -errno and diag. */
int life_init(struct life *life, struct loop *loop, const struct life_ops *ops, void *ctx,
	struct diag *diag);
void life_fini(struct life *life);

/* ---- transitions ---- */

int life_create(struct life *life, struct diag *diag);
void life_run(struct life *life);
/* Already paused: nothing. */
void life_pause(struct life *life);
int life_reset(struct life *life, struct diag *diag);
/* Already ended: nothing. */
void life_end(struct life *life);

/* What was created is as quiet as a hold has it: it is one from the beginning. */
void life_begin_held(struct life *life);
/* Not before it is created, nor after its end.  Already held, or not held: nothing. */
void life_hold(struct life *life);
void life_release(struct life *life);

/* ---- the loop's part ---- */

/* Any thread: this life ends, so.  The first who asks counts.  True for that one. */
bool life_ask_end(struct life *life, enum exit_code outcome);

/* Serve the loop, lives and all, until the end.  Running before, or held; nothing runs after.  0
 * and the outcome; or -errno and diag.
 */
int life_serve(struct life *life, enum exit_code *outcome, struct diag *diag);

#endif
