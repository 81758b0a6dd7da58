// SPDX-License-Identifier: MIT
/* balloon.c - virtio-balloon */

#include "dev/balloon.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_SIZE 128 /* Linux wants 32 for its reports at least */
#define PAGE       (1u << VIRTIO_BALLOON_PFN_SHIFT)
#define PER_MIB    (1u << (20 - VIRTIO_BALLOON_PFN_SHIFT))

/* Linux gives 256 at once; more than this is no driver. */
#define MAX_PFNS  4096u
#define MAX_STATS 32u

/* Queues, in their order; from STATS on those are left out that the driver does not take. */
enum role { INFLATE, DEFLATE, STATS, HINTS, REPORTS };

#define FIXED_QUEUES 2u

struct balloon {
	struct virtio_dev dev; /* first */
	struct virtio_balloon_config config;
	/* The statistics' buffer, which the guest gave and gets back when it is to fill it anew. */
	struct virtq *stats_vq; /* NULL: we have none */
	bool has_stats_buffer;  /* when the machine was saved */
	uint16_t stats_head;
	bool stats_wanted;            /* the next are logged: no more of them than were asked for */
	struct loop_source stats_due; /* timerfd, or -1 */
	struct virtio_balloon_stat stat[MAX_STATS]; /* the last that the guest gave */
	uint32_t n_stats;
	/* Hints: what we have asked for is config.free_page_hint_cmd_id. */
	uint32_t last_run; /* the id of the run that began last */
	uint32_t said;     /* the guest's last word: a run's id, or that it ends */
	bool has_said;
	bool ends_itself; /* the run is over when the guest has no more to hint at */
	uint64_t n_inflations, n_deflations, n_hints, n_reports, n_stats_taken;
};

static const struct counter counters[] = {
	VIRTIO_COUNTERS,
	{ "inflate_count", offsetof(struct balloon, n_inflations) },
	{ "deflate_count", offsetof(struct balloon, n_deflations) },
	{ "free_page_hint_count", offsetof(struct balloon, n_hints) },
	{ "free_page_report_count", offsetof(struct balloon, n_reports) },
	{ "stats_updates_count", offsetof(struct balloon, n_stats_taken) },
	{ NULL, 0 },
};

/* ---- options ---- */

#define AT(member) offsetof(struct balloon_options, member)

static const struct setting settings[] = {
	{ "size", 0, SETTING_SIZE, ANYWHERE, .at = AT(size), .max = GUEST_MEM_MAX, .step = PAGE },
	{ "reporting", 0, SETTING_FLAG, ANYWHERE, .at = AT(reporting) },
	{ "hinting", 0, SETTING_FLAG, ANYWHERE, .at = AT(hinting) },
	{ "stats", 0, SETTING_NUMBER, ANYWHERE, .at = AT(stats_s), .max = 86400,
		.takes = "SECONDS" },
};

static void options_init(void *item)
{
	struct balloon_options *options = item;

	options->reporting = true;
}

const struct schema balloon_schema = {
	.settings = settings,
	.n = ARRAY_SIZE(settings),
	.size = sizeof(struct balloon_options),
	.init = options_init,
};

/* ---- pages ---- */

/* Runs of pages go back in one call each.  What is no RAM is passed over: the numbers are the
 * guest's.
 */
static void give_back(const struct guest_mem *mem, const uint32_t *pfn, size_t n)
{
	for (size_t i = 0, run; i < n; i += run) {
		void *hva;

		for (run = 1; i + run < n && pfn[i + run] == pfn[i] + run; run++)
			continue;
		hva = guest_mem_at(mem, (gpa_t)pfn[i] * PAGE, run * PAGE);
		if (hva)
			guest_mem_give_back(mem, hva, run * PAGE);
	}
}

/* Page numbers are always of 4 KiB, whatever the guest's pages are (5.5.6). */
static int serve_inflate(struct balloon *balloon, const struct virtq_chain *chain)
{
	uint32_t pfn[MAX_PFNS];
	size_t size;

	if (chain->out_size > sizeof(pfn))
		return -EBADMSG;
	size = iov_read(chain->iov, chain->n_out, pfn, sizeof(pfn));
	counter_add(&balloon->n_inflations, 1);
	give_back(balloon->dev.env->mem, pfn, size / sizeof(pfn[0]));
	return 0;
}

/* Pages that are the buffers themselves. */
static void give_back_buffers(const struct balloon *balloon, const struct virtq_chain *chain)
{
	for (unsigned int i = 0; i < chain->n_in; i++) {
		const struct iovec *pages = &chain->iov[chain->n_out + i];

		guest_mem_give_back(balloon->dev.env->mem, pages->iov_base, pages->iov_len);
	}
}

/* 5.5.6.7: free pages as buffers.  A guest that fills free pages with a value finds it there: what
 * would read as zeros stays.
 */
static void serve_report(struct balloon *balloon, const struct virtq_chain *chain)
{
	counter_add(&balloon->n_reports, 1);
	if (!virtio_has_feature(&balloon->dev, VIRTIO_BALLOON_F_PAGE_POISON) ||
		!balloon->config.poison_val)
		give_back_buffers(balloon, chain);
}

/* ---- hints ----
 *
 * 5.5.6.5: we name a run, the driver says its name and then gives free pages, until it has no more
 * or we end the run.  It keeps the pages until we are done with them; but when it is short of
 * memory it takes some back, and tells nobody.  A page that has gone into use again must not go
 * then.  So hints are served by the vCPU that kicks (at_once): Linux can take a page back only once
 * the kick for it has returned, and by then it has gone.
 */

static bool is_run(uint32_t command)
{
	return command != VIRTIO_BALLOON_CMD_ID_STOP && command != VIRTIO_BALLOON_CMD_ID_DONE;
}

static void command_hints(struct balloon *balloon, uint32_t command)
{
	balloon->config.free_page_hint_cmd_id = command;
	virtio_config_changed(&balloon->dev);
}

/* That it has no more is the end of the run that it named, which may not be ours any more, or none.
 */
static void hear_word(struct balloon *balloon, uint32_t word)
{
	uint32_t command = balloon->config.free_page_hint_cmd_id;
	bool is_over = balloon->has_said && balloon->said == command && is_run(command) &&
	               balloon->ends_itself;

	balloon->said = word;
	balloon->has_said = true;
	if (word == VIRTIO_BALLOON_CMD_ID_STOP && is_over)
		command_hints(balloon, VIRTIO_BALLOON_CMD_ID_DONE);
}

static int serve_hint(struct balloon *balloon, const struct virtq_chain *chain)
{
	uint32_t command = balloon->config.free_page_hint_cmd_id, word;

	if (chain->n_out) {
		if (chain->out_size != sizeof(word))
			return -EBADMSG;
		iov_read(chain->iov, chain->n_out, &word, sizeof(word));
		hear_word(balloon, word);
	}
	if (!is_run(command) || !balloon->has_said || balloon->said != command)
		return 0;
	counter_add(&balloon->n_hints, chain->n_in);
	give_back_buffers(balloon, chain);
	return 0;
}

static int start_hints(struct balloon *balloon, bool ends_itself, struct diag *diag)
{
	if (!virtio_has_feature(&balloon->dev, VIRTIO_BALLOON_F_FREE_PAGE_HINT) ||
		!(balloon->dev.status & VIRTIO_CONFIG_S_DRIVER_OK))
		return diag_fail(diag, EBUSY,
			"the guest has no driver that hints at free pages, or not yet");
	while (!is_run(++balloon->last_run))
		continue;
	balloon->ends_itself = ends_itself;
	command_hints(balloon, balloon->last_run);
	return 0;
}

static void tell_hints(const struct balloon *balloon, char *json, size_t size)
{
	int n = snprintf(json, size,
		"{\"host_cmd\":%u,\"guest_cmd\":", balloon->config.free_page_hint_cmd_id);

	if (balloon->has_said)
		snprintf(json + n, size - (size_t)n, "%u}", balloon->said);
	else
		snprintf(json + n, size - (size_t)n, "null}");
}

static int balloon_command(
	struct virtio_dev *dev, const char *what, char *json, size_t size, struct diag *diag)
{
	struct balloon *balloon = (struct balloon *)dev;

	if (!(dev->offered & VIRTIO_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT)))
		return diag_fail(diag, EINVAL,
			"free page hinting is not enabled; it is to be when the balloon is set");
	if (!strcmp(what, BALLOON_HINTS_START) || !strcmp(what, BALLOON_HINTS_START_KEEPING))
		return start_hints(balloon, !strcmp(what, BALLOON_HINTS_START), diag);
	if (!strcmp(what, BALLOON_HINTS_STATUS))
		tell_hints(balloon, json, size);
	else if (strcmp(what, BALLOON_HINTS_STOP))
		return diag_fail(diag, ENOSYS, "nothing is known of '%.40s'", what);
	else if (balloon->last_run)
		command_hints(balloon, VIRTIO_BALLOON_CMD_ID_DONE);
	return 0;
}

/* ---- statistics ---- */

static const char *stat_name(unsigned int tag)
{
	static const char *const names[] = VIRTIO_BALLOON_S_NAMES;

	return tag < ARRAY_SIZE(names) ? names[tag] : NULL;
}

static void log_stats(const struct virtio_balloon_stat *stat, size_t n)
{
	char text[1024] = "";
	size_t used = 0;

	for (size_t i = 0; i < n && used < sizeof(text); i++)
		if (stat_name(stat[i].tag))
			used += (size_t)snprintf(text + used, sizeof(text) - used, " %s=%llu",
				stat_name(stat[i].tag), (unsigned long long)stat[i].val);
	log_info("balloon:%s", text);
}

/* One buffer goes to and fro; a second one breaks the rules (5.5.6.3). */
static int serve_stats(struct balloon *balloon, struct virtq *vq, const struct virtq_chain *chain)
{
	struct virtio_balloon_stat stat[MAX_STATS];
	size_t size = iov_read(chain->iov, chain->n_out, stat, sizeof(stat));

	if (balloon->stats_vq)
		return -EBADMSG;
	balloon->n_stats = (uint32_t)(size / sizeof(stat[0]));
	memcpy(balloon->stat, stat, size);
	if (balloon->stats_wanted)
		log_stats(stat, balloon->n_stats);
	balloon->stats_wanted = false;
	counter_add(&balloon->n_stats_taken, 1);
	balloon->stats_vq = vq;
	balloon->stats_head = chain->head;
	return 0;
}

static void stats_ready(void *ctx, uint32_t)
{
	struct balloon *balloon = ctx;

	loop_counter_read(balloon->stats_due.fd);
	balloon->stats_wanted = true;
	if (!balloon->stats_vq)
		return;
	virtq_push(balloon->stats_vq, balloon->stats_head, 0);
	virtio_signal(&balloon->dev, balloon->stats_vq);
	balloon->stats_vq = NULL;
}

/* ---- queues ---- */

static enum role role_of(const struct virtio_dev *dev, const struct virtq *vq)
{
	unsigned int role = virtio_index(vq);

	if (role >= STATS && !virtio_has_feature(dev, VIRTIO_BALLOON_F_STATS_VQ))
		role++;
	if (role >= HINTS && !virtio_has_feature(dev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		role++;
	return role < REPORTS ? role : REPORTS;
}

static int balloon_start(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->n_queues; i++) {
		struct virtq *vq = virtio_queue(dev, i);

		virtio_set_at_once(vq, role_of(dev, vq) == HINTS);
	}
	return 0;
}

static int balloon_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct balloon *balloon = (struct balloon *)dev;
	int ret = 0;

	switch (role_of(dev, vq)) {
	case INFLATE: ret = serve_inflate(balloon, chain); break;
	case DEFLATE: counter_add(&balloon->n_deflations, 1); break;
	case STATS: return serve_stats(balloon, vq, chain);
	case HINTS: ret = serve_hint(balloon, chain); break;
	default: serve_report(balloon, chain); break;
	}
	if (!ret)
		virtq_push(vq, chain->head, 0);
	return ret;
}

static void balloon_stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	struct balloon *balloon = (struct balloon *)dev;

	if (balloon->stats_vq == vq)
		balloon->stats_vq = NULL;
}

static void balloon_reset(struct virtio_dev *dev)
{
	struct balloon *balloon = (struct balloon *)dev;

	balloon->config.actual = 0;
	balloon->config.poison_val = 0;
	balloon->config.free_page_hint_cmd_id = VIRTIO_BALLOON_CMD_ID_STOP;
	balloon->has_said = false;
}

static void balloon_write_config(
	struct virtio_dev *dev, uint32_t offset, unsigned int size, uint64_t value)
{
	struct balloon *balloon = (struct balloon *)dev;

	if (size != sizeof(uint32_t))
		return;
	if (offset == offsetof(struct virtio_balloon_config, actual))
		balloon->config.actual = (uint32_t)value;
	else if (offset == offsetof(struct virtio_balloon_config, poison_val))
		balloon->config.poison_val = (uint32_t)value;
}

/* The guest may be asked for more or less, and its statistics looked at more or less often. */
static int balloon_update(
	struct virtio_dev *dev, const void *opts, const struct virtio_anew *, struct diag *diag)
{
	struct balloon *balloon = (struct balloon *)dev;
	const struct balloon_options *options = opts;

	if (!options->stats_s != (balloon->stats_due.fd < 0))
		return diag_fail(diag, EINVAL,
			"statistics cannot be switched on or off while the machine runs");
	if (options->stats_s)
		loop_timer_set(balloon->stats_due.fd, options->stats_s * 1000ull,
			options->stats_s * 1000ull);
	balloon->config.num_pages = (uint32_t)(options->size / PAGE);
	virtio_config_changed(dev);
	return 0;
}

/* By the names that Firecracker has for them. */
static const char *const json_names[] = {
	[VIRTIO_BALLOON_S_SWAP_IN] = "swap_in",
	[VIRTIO_BALLOON_S_SWAP_OUT] = "swap_out",
	[VIRTIO_BALLOON_S_MAJFLT] = "major_faults",
	[VIRTIO_BALLOON_S_MINFLT] = "minor_faults",
	[VIRTIO_BALLOON_S_MEMFREE] = "free_memory",
	[VIRTIO_BALLOON_S_MEMTOT] = "total_memory",
	[VIRTIO_BALLOON_S_AVAIL] = "available_memory",
	[VIRTIO_BALLOON_S_CACHES] = "disk_caches",
	[VIRTIO_BALLOON_S_HTLB_PGALLOC] = "hugetlb_allocations",
	[VIRTIO_BALLOON_S_HTLB_PGFAIL] = "hugetlb_failures",
};

static void balloon_describe(struct virtio_dev *dev, char *json, size_t size)
{
	const struct balloon *balloon = (struct balloon *)dev;
	uint32_t target = balloon->config.num_pages, actual = balloon->config.actual;
	int n = snprintf(json, size,
		"{\"target_pages\":%u,\"actual_pages\":%u,\"target_mib\":%u,\"actual_mib\":%u",
		target, actual, target / PER_MIB, actual / PER_MIB);

	for (size_t i = 0; i < balloon->n_stats && (size_t)n < size; i++) {
		unsigned int tag = balloon->stat[i].tag;

		if (tag < ARRAY_SIZE(json_names) && json_names[tag])
			n += snprintf(json + n, size - (size_t)n, ",\"%s\":%llu", json_names[tag],
				(unsigned long long)balloon->stat[i].val);
	}
	if ((size_t)n < size)
		snprintf(json + n, size - (size_t)n, "}");
}

static void balloon_close(struct virtio_dev *dev)
{
	struct balloon *balloon = (struct balloon *)dev;

	if (balloon->stats_due.fd >= 0)
		close(balloon->stats_due.fd);
	virtio_dev_fini(dev);
	free(balloon);
}

/* ---- its making ---- */

static int open_timer(struct balloon *balloon, const struct balloon_options *options)
{
	balloon->stats_due = (struct loop_source){
		.fd = -1,
		.ready = stats_ready,
		.ctx = balloon,
		.lock = &balloon->dev.dev.lock,
	};
	if (!options->stats_s)
		return 0;
	return loop_add_timer(balloon->dev.env->loop, &balloon->stats_due,
		options->stats_s * 1000ull, options->stats_s * 1000ull);
}

static uint64_t features(const struct balloon_options *options)
{
	uint64_t bits = VIRTIO_BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
	                VIRTIO_BIT(VIRTIO_BALLOON_F_PAGE_POISON);

	if (options->hinting)
		bits |= VIRTIO_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT);
	if (options->reporting)
		bits |= VIRTIO_BIT(VIRTIO_BALLOON_F_REPORTING);
	if (options->stats_s)
		bits |= VIRTIO_BIT(VIRTIO_BALLOON_F_STATS_VQ);
	return bits;
}

static struct virtio_dev *balloon_open(
	const void *opts, const struct virtio_env *env, struct diag *diag)
{
	const struct balloon_options *options = opts;
	struct balloon *balloon = calloc(1, sizeof(*balloon));
	unsigned int n_queues = FIXED_QUEUES + !!options->stats_s + options->hinting +
	                        options->reporting;
	int ret;

	if (!balloon) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	balloon->config.num_pages = (uint32_t)(options->size / PAGE);
	balloon->stats_wanted = true;
	balloon->dev.config = &balloon->config;
	balloon->dev.config_size = sizeof(balloon->config);
	ret = virtio_dev_init(
		&balloon->dev, &balloon_class, env, features(options), n_queues, QUEUE_SIZE, diag);
	if (ret) {
		free(balloon);
		return NULL;
	}
	ret = open_timer(balloon, options);
	if (!ret)
		return &balloon->dev;
	diag_fail(diag, -ret, "timerfd: %s", error_text(-ret));
	balloon_close(&balloon->dev);
	return NULL;
}

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_FIELD(struct balloon, config.actual, 1),
	STATE_FIELD(struct balloon, config.poison_val, 1),
	STATE_FIELD(struct balloon, config.free_page_hint_cmd_id, 1),
	STATE_BOOL(struct balloon, has_stats_buffer, 1),
	STATE_FIELD(struct balloon, stats_head, 1),
	STATE_BOOL(struct balloon, stats_wanted, 1),
	STATE_LIST(struct balloon, stat, n_stats, 1),
	STATE_FIELD(struct balloon, last_run, 1),
	STATE_FIELD(struct balloon, said, 1),
	STATE_BOOL(struct balloon, has_said, 1),
	STATE_BOOL(struct balloon, ends_itself, 1),
	STATE_END,
};

static const struct state_table state = { "balloon", 1, fields };

static int balloon_saving(struct virtio_dev *dev, struct diag *)
{
	struct balloon *balloon = (struct balloon *)dev;

	balloon->has_stats_buffer = balloon->stats_vq;
	return 0;
}

static int balloon_loaded(struct virtio_dev *dev, struct diag *diag)
{
	struct balloon *balloon = (struct balloon *)dev;
	struct virtq *vq = virtio_queue(dev, STATS);

	if (!balloon->has_stats_buffer)
		return 0;
	if (!virtio_has_feature(dev, VIRTIO_BALLOON_F_STATS_VQ) || !vq || !vq->enabled ||
		balloon->stats_head >= vq->size || vq->next_avail == vq->next_used)
		return diag_fail(diag, EBADMSG,
			"the statistics' buffer is none that a driver can have given");
	balloon->stats_vq = vq;
	return 0;
}

const struct virtio_class balloon_class = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.moves_data = true,
	.options = &balloon_schema,
	.open = balloon_open,
	.serve = balloon_serve,
	.start = balloon_start,
	.stop_queue = balloon_stop_queue,
	.reset = balloon_reset,
	.write_config = balloon_write_config,
	.update = balloon_update,
	.command = balloon_command,
	.describe = balloon_describe,
	.state = &state,
	.saving = balloon_saving,
	.loaded = balloon_loaded,
	.counters = counters,
	.close = balloon_close,
};
