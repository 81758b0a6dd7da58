// SPDX-License-Identifier: MIT
/* fuzz_balloon.c - virtio-balloon and a driver that keeps no rule: which pages go, and no others
 *
 * Bit 0 of the first byte: free pages are reported, bit 1: there are statistics, bit 2: free pages
 * are hinted at.  Then there is a row of steps.  The upper two bits of the first byte say what it
 * is:
 *
 * - 0: a descriptor, as machine_describe() has it; bits 1:0 which queue, bit 2: times 64, bit 3:
 *   above 4 GiB
 * - 1: a chain is offered, as many times as bits 4:2 say and once more; bits 1:0 the queue; its
 *   head
 * - 2: numbers of pages are written to PFNS_AT on, as many as bits 5:0 say: see page_number()
 * - 3: bits 1:0: the driver starts anew (features, the rings' size); the statistics are due, or
 *   (bits 3:2 not 0) hints are asked for: see COMMANDS; the configuration space is written (offset,
 * 1 << bits 3:2 bytes); a queue is reset (bits 3:2)
 *
 * Each page but those of rings and numbers has a mark at its ends, by which it is seen to go.
 */

#include "class_machine.h"
#include "dev/balloon.h"

#include <linux/virtio_balloon.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PAGE     GUEST_MEM_PAGE
#define PFNS_AT  0x6000
#define FIRST    8u                  /* page with marks */
#define N_REGION (RIG_REGION / PAGE) /* pages */
#define N_PAGES  (2 * N_REGION)
#define MAX_PFNS 4096u
#define MARK     UINT64_C(0x5a17c0de5a17c0de)

static struct {
	struct class_machine m;
	bool reports, has_stats;
	int timer;           /* -1: none */
	struct virtq *holds; /* the statistics' buffer is held, of this queue */
	uint32_t word;       /* the guest's last, of hints */
	bool has_word, ends_itself;
	bool may_go[N_PAGES], must_go[N_PAGES];
} b;

/* The timer, which here is due when the input says so. */
int timerfd_create(int, int)
{
	b.timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return b.timer;
}

int timerfd_settime(int, int, const struct itimerspec *, struct itimerspec *)
{
	return 0;
}

/* ---- pages ---- */

static uint64_t *marks(unsigned int page, unsigned int which)
{
	uint8_t *at = b.m.mem.region[page / N_REGION].hva + (size_t)(page % N_REGION) * PAGE;

	return (uint64_t *)(which ? at + PAGE - sizeof(uint64_t) : at);
}

static void mark(unsigned int page)
{
	*marks(page, 0) = *marks(page, 1) = MARK;
}

/* The number of the page, or of none: N_PAGES. */
static unsigned int page_at(uint64_t gpa)
{
	if (gpa < RIG_REGION)
		return (unsigned int)(gpa / PAGE);
	if (gpa >= RIG_HIGH && gpa < RIG_HIGH + RIG_REGION)
		return N_REGION + (unsigned int)((gpa - RIG_HIGH) / PAGE);
	return N_PAGES;
}

static void check_pages(void)
{
	for (unsigned int i = FIRST; i < N_PAGES; i++) {
		uint64_t first = *marks(i, 0), last = *marks(i, 1);

		BUG_ON(first != last || (first && first != MARK));
		BUG_ON(first ? b.must_go[i] : !b.may_go[i]);
		if (!first)
			mark(i);
	}
	memset(b.may_go, 0, sizeof(b.may_go));
	memset(b.must_go, 0, sizeof(b.must_go));
}

/* ---- the device's queues, looked at ---- */

/* Beside a number that is no page's, another may be passed over. */
static void expect_inflate(const struct virtq_chain *chain)
{
	static uint32_t pfn[MAX_PFNS];
	size_t n = iov_read(chain->iov, chain->n_out, pfn, sizeof(pfn)) / sizeof(pfn[0]);
	bool all = true;

	for (size_t i = 0; i < n; i++)
		all &= page_at((uint64_t)pfn[i] * PAGE) < N_PAGES;
	for (size_t i = 0; i < n && chain->out_size <= sizeof(pfn); i++) {
		unsigned int page = page_at((uint64_t)pfn[i] * PAGE);

		if (page == N_PAGES)
			continue;
		b.may_go[page] = true;
		b.must_go[page] |= all;
	}
}

static void expect_buffers(const struct virtq_chain *chain)
{
	for (unsigned int i = 0; i < chain->n_in; i++) {
		const struct iovec *iov = &chain->iov[chain->n_out + i];

		for (unsigned int page = 0; page < N_PAGES; page++)
			if (range_within((uintptr_t)marks(page, 0), PAGE, (uintptr_t)iov->iov_base,
				    iov->iov_len))
				b.may_go[page] = b.must_go[page] = true;
	}
}

static void expect_report(const struct virtq_chain *chain)
{
	uint32_t poison = (uint32_t)virtio_read_config(
		b.m.dev, offsetof(struct virtio_balloon_config, poison_val), 4);

	if (!virtio_has_feature(b.m.dev, VIRTIO_BALLOON_F_PAGE_POISON) || !poison)
		expect_buffers(chain);
}

static uint32_t asked_hints(void)
{
	return (uint32_t)virtio_read_config(
		b.m.dev, offsetof(struct virtio_balloon_config, free_page_hint_cmd_id), 4);
}

/* Returns what is asked of the guest afterwards. */
static uint32_t expect_hint(const struct virtq_chain *chain)
{
	uint32_t asked = asked_hints(), before = b.word;
	bool had_word = b.has_word;

	if (chain->n_out && chain->out_size != 4)
		return asked;
	if (chain->n_out) {
		iov_read(chain->iov, chain->n_out, &b.word, 4);
		b.has_word = true;
	}
	if (asked > VIRTIO_BALLOON_CMD_ID_DONE && b.has_word && b.word == asked)
		expect_buffers(chain);
	if (asked > VIRTIO_BALLOON_CMD_ID_DONE && chain->n_out && !b.word && had_word &&
		before == asked && b.ends_itself)
		return VIRTIO_BALLOON_CMD_ID_DONE;
	return asked;
}

static bool is_hints(const struct virtio_dev *dev, const struct virtq *vq)
{
	unsigned int index = 2 + virtio_has_feature(dev, VIRTIO_BALLOON_F_STATS_VQ);

	return virtio_has_feature(dev, VIRTIO_BALLOON_F_FREE_PAGE_HINT) &&
	       virtio_index(vq) == index;
}

static int serve_hint(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	uint32_t asked = expect_hint(chain);
	bool is_bad = chain->n_out && chain->out_size != 4;
	int ret = balloon_class.serve(dev, vq, chain);

	BUG_ON(ret != (is_bad ? -EBADMSG : 0) || asked_hints() != asked);
	return ret;
}

static int serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	bool is_stats = vq == virtio_queue(dev, 2) &&
	                virtio_has_feature(dev, VIRTIO_BALLOON_F_STATS_VQ);
	bool is_inflate = vq == virtio_queue(dev, 0);
	uint16_t used = vq->next_used;
	int ret;

	BUG_ON(!machine_runs(&b.m));
	if (is_hints(dev, vq))
		return serve_hint(dev, vq, chain);
	if (is_inflate)
		expect_inflate(chain);
	else if (!is_stats && vq != virtio_queue(dev, 1))
		expect_report(chain);
	ret = balloon_class.serve(dev, vq, chain);
	if (is_stats) {
		BUG_ON(ret != (b.holds ? -EBADMSG : 0) || vq->next_used != used);
		b.holds = vq;
		return ret;
	}
	BUG_ON(ret != (is_inflate && chain->out_size > 4 * MAX_PFNS ? -EBADMSG : 0));
	BUG_ON((uint16_t)(vq->next_used - used) != !ret);
	return ret;
}

static void stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	balloon_class.stop_queue(dev, vq);
	if (b.holds == vq)
		b.holds = NULL;
}

/* ---- the machine ---- */

static void start(uint8_t chosen, uint16_t size)
{
	uint64_t features = 0;

	if (!(chosen & 1))
		features |= VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING);
	if (!(chosen & 2))
		features |= VIRTIO_BIT(VIRTIO_BALLOON_F_STATS_VQ);
	if (!(chosen & 16))
		features |= VIRTIO_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT);
	if (chosen & 4)
		features |= VIRTIO_BIT(VIRTIO_BALLOON_F_PAGE_POISON);
	if (chosen & 8)
		features |= VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	b.has_word = false;
	machine_start(&b.m, features, size);
	machine_run(&b.m);
}

static void set_up(uint8_t what)
{
	const struct balloon_options options = {
		.size = MIB(1),
		.reporting = what & 1,
		.stats_s = what >> 1 & 1,
		.hinting = what >> 2 & 1,
	};
	struct diag diag;

	b.timer = -1;
	b.holds = NULL;
	machine_init(&b.m);
	for (unsigned int i = FIRST; i < N_PAGES; i++)
		mark(i);
	machine_plug(&b.m, balloon_class.open(&options, &b.m.env, &diag), serve);
	b.m.class.stop_queue = stop_queue;
	start(0, 64);
}

static void tear_down(void)
{
	virtio_close(b.m.dev);
	machine_fini(&b.m);
}

/* ---- steps ---- */

static unsigned int queue_of(uint8_t what)
{
	return (what & 3u) % b.m.dev->n_queues;
}

/* Mostly of a page that there is, or of one beside. */
static uint32_t page_number(struct fuzz_input *input)
{
	uint8_t code = take8(input);

	if (code < N_REGION + 2)
		return code;
	if (code < 2 * N_REGION + 6)
		return (uint32_t)(RIG_HIGH / PAGE + code - N_REGION - 4);
	return take32(input);
}

static void write_numbers(struct fuzz_input *input, unsigned int n)
{
	uint32_t *at = rig_at(&b.m.mem, PFNS_AT, n * sizeof(*at));

	for (unsigned int i = 0; i < n; i++)
		at[i] = page_number(input);
}

static void tick(void)
{
	const struct virtq *vq = b.holds;
	uint16_t used = vq ? vq->next_used : 0;

	b.holds = NULL;
	if (b.timer >= 0)
		loop_counter_add(b.timer);
	machine_run(&b.m);
	BUG_ON(vq && (uint16_t)(vq->next_used - used) != 1);
}

static void command(unsigned int which)
{
	static const char *const COMMANDS[] = { BALLOON_HINTS_START, BALLOON_HINTS_START_KEEPING,
		BALLOON_HINTS_STOP };
	uint32_t before = asked_hints();
	struct diag diag;
	char json[64] = "";
	int ret;

	machine_lock(&b.m);
	ret = balloon_class.command(b.m.dev, COMMANDS[which], json, sizeof(json), &diag);
	BUG_ON(*json || (ret && asked_hints() != before));
	machine_unlock(&b.m);
	if (!ret && which < 2) {
		b.ends_itself = !which;
		BUG_ON(asked_hints() <= VIRTIO_BALLOON_CMD_ID_DONE || asked_hints() == before);
	}
	machine_run(&b.m);
}

static void write_config(struct fuzz_input *input, unsigned int size)
{
	uint64_t num_pages = virtio_read_config(b.m.dev, 0, 4);
	uint8_t offset = take8(input);

	machine_lock(&b.m);
	virtio_write_config(b.m.dev, offset, size, take(input, size));
	machine_unlock(&b.m);
	BUG_ON(virtio_read_config(b.m.dev, 0, 4) != num_pages);
}

static void others(struct fuzz_input *input, uint8_t what)
{
	uint8_t chosen;

	switch (what & 3) {
	case 0:
		chosen = take8(input);
		start(chosen, (uint16_t)(1 << take8(input) % 8));
		break;
	case 1:
		if (what >> 2 & 3)
			command((what >> 2 & 3) - 1u);
		else
			tick();
		break;
	case 2: write_config(input, 1u << (what >> 2 & 3)); break;
	default: machine_reset_queue(&b.m, queue_of((uint8_t)(what >> 2)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	set_up(take8(&input));
	while (input.size) {
		uint8_t what = take8(&input);

		switch (what >> 6) {
		case 0:
			machine_describe(&b.m, queue_of(what), what & 8 ? RIG_HIGH : 0,
				what & 4 ? 64 : 1, &input);
			break;
		case 1:
			machine_offer(&b.m, queue_of(what), take8(&input), (what >> 2 & 7) + 1u);
			break;
		case 2: write_numbers(&input, what & 0x3f); break;
		default: others(&input, what); break;
		}
		machine_check(&b.m);
		check_pages();
	}
	tear_down();
	return 0;
}
