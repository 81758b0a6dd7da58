/* SPDX-License-Identifier: MIT */
/* snapshot.h - a machine's state and memory into two files, and what is in these
 *
 * The state's file (state/state.h) has all but RAM: settings, KVM's part, devices.  It names the
 * other, which is RAM as it is, with holes for zeros, and at its end a page with the snapshot's id,
 * by which one knows that the two belong together.  docs/snapshot.md has both byte by byte.
 *
 * A snapshot is there when its state's file is, which comes last, by a rename: until then what was
 * there before is whole.
 */
#ifndef VM_SNAPSHOT_H
#define VM_SNAPSHOT_H

#include "config/config.h"
#include "state/state.h"
#include "util/diag.h"
#include "vm/working_set.h"

#include <stdbool.h>
#include <stdint.h>

#define SNAPSHOT_STATE_FILE "state" /* of a directory that is a snapshot */

struct vm;

/* What the machine says of itself as a whole. */
struct snapshot_machine {
	uint64_t memory; /* bytes of RAM */
	uint32_t n_cpus, n_devices;
	bool has_pci, is_linux;
	uint64_t clock_ns;    /* of the guests' clock (kvmclock) */
	uint64_t realtime_ns; /* since 1970, when it was saved */
	uint64_t vmgenid;     /* where in RAM the generation ID is */
	uint32_t n_version;
	char version[32]; /* of the pronto that has saved it */
};

extern const struct state_table snapshot_machine_state;

/* ---- to be restored from ---- */

struct snapshot {
	uint8_t *data; /* of the state's file; owned */
	size_t size;
	struct state_reader reader;
	struct snapshot_machine machine;
	const char *config; /* JSON, as config_parse_json() takes it; in data */
	size_t config_size;
	const char *note; /* NULL: there is none; in data */
	size_t note_size;
	int memory_fd;     /* -1: it is not open */
	char *memory_path; /* of that; owned */
	struct working_set working_set;
};

/* Read the state of one that is in a directory, or whose state's file this is.  -errno and diag,
 * and nothing is open.
 */
int snapshot_open_state(struct snapshot *snapshot, const char *path, struct diag *diag);

/* The same of bytes that came from malloc(), and are the snapshot's then.  -errno and diag. */
int snapshot_take_state(struct snapshot *snapshot, uint8_t *data, size_t size, struct diag *diag);

/* The machine's settings, into a config that was initialised; they are complete.  -errno, diag. */
int snapshot_load_config(const struct snapshot *snapshot, const char *path, struct config *config,
	struct diag *diag);

/* Open its memory: NULL: where the state says, in its directory.  -errno and diag. */
int snapshot_open_memory(
	struct snapshot *snapshot, const char *path, const char *memory_path, struct diag *diag);

void snapshot_close(struct snapshot *snapshot);

/* ---- to be looked at ---- */

/* Whether `path` is meant as one: a directory, or what begins as a state's file does. */
bool snapshot_is_meant(const char *path);

/* What there is of memory beside the state. */
struct snapshot_memory {
	char *path;             /* the caller's, to be freed; NULL: the state names none */
	uint64_t size, on_disk; /* bytes of the file, and those that are no holes */
	bool is_whole;          /* or else it has what has changed since: */
	uint8_t base[STATE_ID_SIZE];
};

/* Open it, whole or not, as snapshot_open_memory() of a directory.  -errno and diag. */
int snapshot_look_at_memory(struct snapshot *snapshot, const char *path,
	struct snapshot_memory *memory, struct diag *diag);

/* ---- of what has changed ---- */

/* Make the snapshot `changes_path`, which has of memory only what has changed since the one at
 * `base_path`, whole.  Until it is, it is as it was.  -errno and diag.
 */
int snapshot_merge(const char *base_path, const char *changes_path, struct diag *diag);

/* ---- to be saved to ---- */

/* A snapshot of the machine is being made: it is paused for what of it is small, and goes on,
 * unless the operator holds it.  Its memory is written before that, or afterwards
 * (snapshot_memory.h).
 */
struct snapshot_writer;

struct snapshot_target {
	/* Empty files, for reading and writing; the snapshot's, whatever becomes of it. */
	int state_fd, memory_fd;
	bool is_beside; /* the state names its memory, which is to be beside it */
	/* Of memory, what has changed: since the last snapshot, if its pages are tracked; since the
	 * one that the machine began with, if it did; else all of it.
	 */
	bool only_changed;
	bool is_at_rest;  /* the guest waits for it */
	const char *note; /* that is kept with it, for who has asked for it; NULL: none */
};

/* Begin.  When all of both files is on the disk, or it cannot be, `done` is called: 0, or -errno
 * and why.  Their names are the business of who has opened them (snapshot_place.h).  One at a time.
 * The control thread, from within the loop.  -errno and diag: nothing was begun.
 */
int snapshot_begin(struct vm *vm, const struct snapshot_target *target,
	void (*done)(void *ctx, int ret, const char *why), void *ctx, struct diag *diag);

/* While one is being made that needs the machine to stand still: it does, and goes on afterwards or
 * not.  False: there is none such.
 */
bool snapshot_takes_over(struct vm *vm, bool goes_on);

/* One that is being made, if the machine has not been paused for it yet, comes to nothing. */
void snapshot_abandon(struct vm *vm, const char *why);

/* Wait for one that is being made, if there is one: the machine ends. */
void snapshot_finish(struct vm *vm);

#endif
