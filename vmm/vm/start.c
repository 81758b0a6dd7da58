// SPDX-License-Identifier: MIT
/* start.c - the stages of a machine's start */

#include "vm/start.h"

#include "util/bits.h"

void vm_start_init(struct vm_start *start, unsigned int n_vcpus)
{
	*start = (struct vm_start){
		.missing = {
			[VM_STAGE_CPUID] = 1,
			[VM_STAGE_CREATED] = 1,
			[VM_STAGE_LOADED] = 1,
			[VM_STAGE_GO] = 1 + n_vcpus,
		},
	};
	pthread_mutex_init(&start->lock, NULL);
	pthread_cond_init(&start->changed, NULL);
}

void vm_start_fini(struct vm_start *start)
{
	pthread_cond_destroy(&start->changed);
	pthread_mutex_destroy(&start->lock);
}

void vm_start_reach(struct vm_start *start, enum vm_stage stage)
{
	pthread_mutex_lock(&start->lock);
	BUG_ON(!start->missing[stage]);
	if (!--start->missing[stage])
		pthread_cond_broadcast(&start->changed);
	pthread_mutex_unlock(&start->lock);
}

void vm_start_fail(struct vm_start *start, int error, const struct diag *diag)
{
	pthread_mutex_lock(&start->lock);
	if (!start->error) {
		start->error = error;
		start->diag = *diag;
		pthread_cond_broadcast(&start->changed);
	}
	pthread_mutex_unlock(&start->lock);
}

/* With start->lock held. */
static int failure(const struct vm_start *start, struct diag *diag)
{
	if (start->error)
		*diag = start->diag;
	return start->error;
}

int vm_start_error(struct vm_start *start, struct diag *diag)
{
	int error;

	pthread_mutex_lock(&start->lock);
	error = failure(start, diag);
	pthread_mutex_unlock(&start->lock);
	return error;
}

int vm_start_await(struct vm_start *start, enum vm_stage stage, struct diag *diag)
{
	int error;

	pthread_mutex_lock(&start->lock);
	while (start->missing[stage] && !start->error)
		pthread_cond_wait(&start->changed, &start->lock);
	error = failure(start, diag);
	pthread_mutex_unlock(&start->lock);
	return error;
}
