// SPDX-License-Identifier: MIT
/* metrics.c - what the machine and its API have counted */

#include "api/metrics.h"

#include "api/object_parts.h"
#include "api/route_parts.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_MS 60000
#define NO_OBJECT N_OBJECT_KINDS

/* What counts are told under. */
static const struct group {
	const char *name;
	enum object_kind ids; /* each has its own, by its id; NO_OBJECT: there is one */
} groups[N_COUNT_KINDS] = {
	[DEVICE_disk] = { "block", OBJECT_DRIVE },
	[DEVICE_net] = { "net", OBJECT_NET },
	[DEVICE_vsock] = { "vsock", NO_OBJECT },
	[DEVICE_balloon] = { "balloon", NO_OBJECT },
	[DEVICE_rng] = { "entropy", NO_OBJECT },
	[COUNTS_VCPU] = { "vcpu", NO_OBJECT },
	[COUNTS_UART] = { "uart", NO_OBJECT },
};

void metrics_init(struct metrics *metrics)
{
	*metrics = (struct metrics){ .fd = -1, .timer.fd = -1, .told = json_object() };
}

void metrics_fini(struct metrics *metrics)
{
	if (metrics->fd >= 0)
		close(metrics->fd);
	if (metrics->timer.fd >= 0)
		close(metrics->timer.fd);
	json_decref(metrics->told);
}

int metrics_open(struct metrics *metrics, const char *path, struct diag *diag)
{
	if (metrics->fd >= 0)
		return diag_fail(diag, EEXIST, "Reinitialization of metrics not allowed.");
	metrics->fd = api_open_sink(path, diag);
	return metrics->fd < 0 ? metrics->fd : 0;
}

static void timer_ready(void *ctx, uint32_t)
{
	const struct link_message question = { .ask = LINK_FLUSH };
	struct api *api = ctx;
	struct diag diag;

	loop_counter_read(api->metrics.timer.fd);
	if (vmm_ask(api, &question, NULL, NULL, NULL, NULL, &diag))
		log_warn("metrics: %s", diag.text);
}

int metrics_begin(struct api *api)
{
	if (api->metrics.fd < 0)
		return 0;
	api->metrics.timer = (struct loop_source){ -1, timer_ready, api, NULL };
	return loop_add_timer(&api->loop, &api->metrics.timer, 1, PERIOD_MS);
}

void metrics_end(struct api *api)
{
	struct diag diag;

	if (api->metrics.timer.fd >= 0 && metrics_write(api, &diag))
		log_warn("metrics: %s", diag.text);
}

void metrics_take(struct metrics *metrics, const struct link_message *message)
{
	metrics->n = message->n_counts;
	memcpy(metrics->counts, message->counts, metrics->n * sizeof(metrics->counts[0]));
}

/* ---- as JSON ---- */

static json_t *group_of(json_t *all, const char *name)
{
	json_t *group = json_object_get(all, name);

	if (!group)
		json_object_set_new(all, name, group = json_object());
	return group;
}

static void add(json_t *group, const char *name, uint64_t n)
{
	uint64_t sum = number_of(group, name) + n;

	json_object_set_new(group, name, json_integer((json_int_t)(sum & INT64_MAX)));
}

/* Of those whose settings are no objects of the API, their number.  A file's ids may be anything,
 * and are cut: what is neither letter nor digit is an underscore here.
 */
static void id_of(const struct api *api, const struct count *count, char *id, size_t size)
{
	enum object_kind kind = groups[count->kind].ids;
	const json_t *object = json_array_get(api->objects.of[kind], count->item);

	if (object)
		snprintf(id, size, "%s", text_of(object, object_class[kind].id));
	else
		snprintf(id, size, "%u", count->item);
	for (char *c = id; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
}

static void add_counts(const struct api *api, json_t *all)
{
	const struct metrics *metrics = &api->metrics;

	for (unsigned int kind = 0; kind < N_COUNT_KINDS; kind++) {
		const struct counter *names = groups[kind].name ? counts_names(kind) : NULL;

		for (; names && names->name; names++)
			add(group_of(all, groups[kind].name), names->name, 0);
	}
	for (unsigned int i = 0; i < metrics->n; i++) {
		const struct count *count = &metrics->counts[i];
		const char *name = counts_name(count);
		char id[160], own[200];

		if (!name || !groups[count->kind].name)
			continue;
		add(group_of(all, groups[count->kind].name), name, count->value);
		if (groups[count->kind].ids == NO_OBJECT)
			continue;
		id_of(api, count, id, sizeof(id));
		snprintf(own, sizeof(own), "%s_%s", groups[count->kind].name, id);
		add(group_of(all, own), name, count->value);
	}
}

static void add_requests(const struct api *api, json_t *all)
{
	const char *method, *what;

	for (unsigned int i = 0; (what = route_counted(i, &method)); i++) {
		char group[32], name[64];

		if (!*what)
			continue;
		snprintf(group, sizeof(group), "%s_api_requests", method);
		for (char *c = group; *c; c++)
			*c = (char)tolower(*c);
		snprintf(name, sizeof(name), "%s_count", what);
		add(group_of(all, group), name, api->requests[i].n);
		if (!strcmp(method, "GET"))
			continue;
		snprintf(name, sizeof(name), "%s_fails", what);
		add(group_of(all, group), name, api->requests[i].n_failed);
	}
}

/* What grows. */
static json_t *growing(const struct api *api)
{
	json_t *all = json_object();

	add_counts(api, all);
	add_requests(api, all);
	add(group_of(all, "logger"), "missed_metrics_count", api->metrics.n_missed);
	return all;
}

/* What does not. */
static json_t *standing(const struct api *api)
{
	const struct metrics *metrics = &api->metrics;

	return json_pack("{s:{s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I}}", "api_server",
		"process_startup_time_us", (json_int_t)metrics->ready_us,
		"process_startup_time_cpu_us", (json_int_t)metrics->ready_cpu_us, "latencies_us",
		"pause_vm", (json_int_t)metrics->pause_us, "resume_vm",
		(json_int_t)metrics->resume_us, "full_create_snapshot",
		(json_int_t)metrics->save_us, "diff_create_snapshot",
		(json_int_t)metrics->save_changes_us, "load_snapshot",
		(json_int_t)metrics->restore_us);
}

/* Since `before`; what has begun anew meanwhile, since then. */
static json_t *growth(const json_t *now, const json_t *before)
{
	json_t *all = json_object(), *group, *value;
	const char *name, *field;

	json_object_foreach((json_t *)now, name, group)
	{
		json_t *to = group_of(all, name);
		const json_t *from = json_object_get(before, name);

		json_object_foreach(group, field, value)
		{
			uint64_t n = (uint64_t)json_integer_value(value);
			uint64_t was = number_of(from, field);

			add(to, field, n < was ? n : n - was);
		}
	}
	return all;
}

/* A FIFO whose reader is slow takes a whole line or none: one write of more than PIPE_BUF may end
 * in its midst (pipe(7)).  Bytes lie in pages, of which the first and the last may be begun.
 */
static bool has_room(int fd, size_t size)
{
	int most = fcntl(fd, F_GETPIPE_SZ), n = 0;

	if (most < 0 || ioctl(fd, FIONREAD, &n))
		return true;
	return (size_t)n + size + 2 * (size_t)sysconf(_SC_PAGESIZE) <= (size_t)most;
}

/* What is torn by a full disk is no line; the next begins anew. */
static int write_line(struct metrics *metrics, const char *line)
{
	struct iovec iov[] = {
		{ "\n", metrics->is_torn },
		{ (char *)line, strlen(line) },
		{ "\n", 1 },
	};
	size_t size = iov[0].iov_len + iov[1].iov_len + iov[2].iov_len;
	ssize_t n;

	if (!has_room(metrics->fd, size))
		return -EAGAIN;
	n = writev(metrics->fd, iov, ARRAY_SIZE(iov));
	if (n < 0)
		return -errno;
	metrics->is_torn = (size_t)n < size;
	return metrics->is_torn ? -ENOSPC : 0;
}

int metrics_write(struct api *api, struct diag *diag)
{
	struct metrics *metrics = &api->metrics;
	json_t *now, *line, *what;
	struct timespec at;
	char *text;
	int ret;

	if (metrics->fd < 0)
		return 0;
	clock_gettime(CLOCK_REALTIME, &at);
	now = growing(api);
	line = json_pack(
		"{s:I}", "utc_timestamp_ms", (json_int_t)at.tv_sec * 1000 + at.tv_nsec / 1000000);
	what = standing(api);
	json_object_update(line, what);
	json_decref(what);
	what = growth(now, metrics->told);
	json_object_update(line, what);
	json_decref(what);
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	ret = text ? write_line(metrics, text) : -ENOMEM;
	free(text);
	if (ret) {
		metrics->n_missed++;
		json_decref(now);
		return diag_fail(diag, -ret, "the line found no room: %s", error_text(-ret));
	}
	json_decref(metrics->told);
	metrics->told = now;
	return 0;
}

/* ---- for Prometheus ---- */

static void show_type(FILE *out, const char *group, const char *name, const char *type)
{
	fprintf(out, "# TYPE pronto_%s_%s %s\n", group, name, type);
}

/* One for all, or one for each with its id. */
static void show_counts(FILE *out, const struct api *api, const struct group *group,
	unsigned int kind, uint32_t index)
{
	const struct metrics *metrics = &api->metrics;
	const char *name = counts_names(kind)[index].name;

	show_type(out, group->name, name, "counter");
	for (unsigned int i = 0; i < metrics->n; i++) {
		const struct count *count = &metrics->counts[i];
		char id[160];

		if (count->kind != kind || count->index != index)
			continue;
		fprintf(out, "pronto_%s_%s", group->name, name);
		if (group->ids != NO_OBJECT) {
			id_of(api, count, id, sizeof(id));
			fprintf(out, "{id=\"%s\"}", id);
		}
		fprintf(out, " %llu\n", (unsigned long long)count->value);
	}
}

static void show_group(FILE *out, const json_t *all, const char *group, const char *type)
{
	json_t *value;
	const char *name;

	json_object_foreach(json_object_get(all, group), name, value)
	{
		show_type(out, group, name, type);
		fprintf(out, "pronto_%s_%s %lld\n", group, name,
			(long long)json_integer_value(value));
	}
}

static void show(FILE *out, const struct api *api)
{
	static const char *const counted[] = { "get_api_requests", "put_api_requests",
		"patch_api_requests", "logger" };
	json_t *grown = growing(api), *others = standing(api);

	fprintf(out, "# TYPE pronto_state gauge\npronto_state{state=\"%s\"} 1\n",
		api_state_name(api->state));
	for (unsigned int kind = 0; kind < N_COUNT_KINDS; kind++) {
		const struct counter *names = groups[kind].name ? counts_names(kind) : NULL;

		for (uint32_t i = 0; names && names[i].name; i++)
			show_counts(out, api, &groups[kind], kind, i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
		show_group(out, grown, counted[i], "counter");
	show_group(out, others, "api_server", "gauge");
	show_group(out, others, "latencies_us", "gauge");
	json_decref(grown);
	json_decref(others);
}

char *metrics_show(struct api *api)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	show(out, api);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

/* ---- what is asked ---- */

void put_metrics(struct call *call)
{
	struct api *api = call->api;
	struct diag diag, why;
	char text[sizeof(why.text) + 32];

	if (api->metrics.fd < 0 && objects_put(&api->objects, OBJECT_METRICS, call->body, &diag)) {
		call_fault(call, diag.text);
		return;
	}
	if (!metrics_open(&api->metrics, text_of(api->objects.of[OBJECT_METRICS], "metrics_path"),
		    &why)) {
		call_done(call);
		return;
	}
	if (api->metrics.fd < 0) {
		json_decref(api->objects.of[OBJECT_METRICS]);
		api->objects.of[OBJECT_METRICS] = NULL;
	}
	snprintf(text, sizeof(text), "Metrics error: %s", why.text);
	call_fault(call, text);
}

void get_metrics(struct call *call)
{
	const struct link_message question = { .ask = LINK_COUNT };

	if (call->api->state == API_RUNNING || call->api->state == API_PAUSED)
		call_ask_vmm(call, &question, NULL, NULL);
	else
		api_send_metrics(call->api, call->answer);
}
