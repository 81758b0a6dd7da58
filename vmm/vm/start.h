/* SPDX-License-Identifier: MIT */
/* start.h - the stages of a machine's start
 *
 * While the main thread loads the kernel, the boot CPU's thread makes KVM's part, and each vCPU's
 * thread its vCPU.  Here they meet.  Who comes last to the last stage goes on without having slept:
 * waking a thread costs more than most of what a start consists of.
 */
#ifndef VM_START_H
#define VM_START_H

#include "util/diag.h"

#include <pthread.h>

enum vm_stage {
	VM_STAGE_CPUID,   /* KVM has said what CPUID it can give */
	VM_STAGE_CREATED, /* the VM has its memory and interrupt controller */
	VM_STAGE_LOADED,  /* the kernel and its hand-over are in guest RAM */
	VM_STAGE_GO,      /* every vCPU is ready, and the main thread for what they will say */
	VM_N_STAGES,
};

struct vm_start {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int missing[VM_N_STAGES]; /* calls of vm_start_reach() */
	int error;                         /* of the first failure: -errno, or 0 */
	struct diag diag;
};

void vm_start_init(struct vm_start *start, unsigned int n_vcpus);
void vm_start_fini(struct vm_start *start);

/* The caller's part of a stage is done: VM_STAGE_GO takes the main thread's and each vCPU's. */
void vm_start_reach(struct vm_start *start, enum vm_stage stage);

/* The start fails: nobody waits any longer.  The first reason counts. */
void vm_start_fail(struct vm_start *start, int error, const struct diag *diag);

/* The failure: -errno and diag; or 0. */
int vm_start_error(struct vm_start *start, struct diag *diag);

/* Wait for a stage.  0, or the failure. */
int vm_start_await(struct vm_start *start, enum vm_stage stage, struct diag *diag);

#endif
