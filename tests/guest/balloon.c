// SPDX-License-Identifier: MIT
/* balloon.c - with a byte of input, give memory back to the host by virtio-balloon, and see that it
 * is empty, whatever lay there, and that it can be had again
 */

#include "virtio.h"

#include <linux/virtio_balloon.h>

#define PAGE  4096u
#define FIRST 0x1000000u /* in each two pages, of which one is given back */
#define N     8

static struct virtio balloon;
static uint32_t pfns[N];

static volatile uint32_t *page(unsigned int i)
{
	return (volatile uint32_t *)(FIRST + i * PAGE);
}

static void inflate(void)
{
	struct vring_used_elem elem;

	for (unsigned int i = 0; i < N; i++)
		pfns[i] = (FIRST + 2 * i * PAGE) / PAGE;
	queue_set(&balloon.queue[0], 0, pfns, sizeof(pfns), 0, 0);
	queue_offer(&balloon.queue[0], 0);
	queue_kick(&balloon.queue[0]);
	check(queue_wait(&balloon.queue[0], &elem), "the host takes pages");
}

void guest_main(void)
{
	unsigned int n_zero = 0, n_kept = 0;

	for (unsigned int i = 0; i < 2 * N; i++)
		*page(i) = 0xcafe + i;
	check(virtio_find_id(&balloon, VIRTIO_ID_BALLOON), "there is a balloon");
	check(virtio_start(&balloon, 0), "it starts");
	put("ready\n");
	get_char();
	inflate();
	for (unsigned int i = 0; i < 2 * N; i++) {
		n_zero += !*page(i);
		n_kept += *page(i) == 0xcafe + i;
		*page(i) = i;
	}
	check_equal(n_zero, N, "they are empty");
	check_equal(n_kept, N, "and the others are as they were");
	put("given\n");
	get_char();
	for (unsigned int i = 0; i < 2 * N; i++)
		n_kept -= *page(i) != i;
	check_equal(n_kept, N, "what is written there stays");
	checks_done();
}
