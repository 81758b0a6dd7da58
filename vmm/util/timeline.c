// SPDX-License-Identifier: MIT
/* timeline.c - when the moments of a boot came */

#include "util/timeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t timeline_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t timeline_now_ms(void)
{
	return timeline_now() / 1000000;
}

void timeline_record(struct timeline *timeline, unsigned int moment)
{
	uint64_t none = 0;

	if (timeline && !atomic_load_explicit(&timeline->at_ns[moment], memory_order_relaxed))
		atomic_compare_exchange_strong(&timeline->at_ns[moment], &none, timeline_now());
}

static int row_compare(const void *a, const void *b)
{
	const struct timeline_row *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return x->moment < y->moment ? -1 : x->moment > y->moment;
}

size_t timeline_rows(const struct timeline *timeline, struct timeline_row rows[TIMELINE_N_MOMENTS])
{
	size_t n = 0;

	for (unsigned int i = 0; i < TIMELINE_N_MOMENTS; i++) {
		uint64_t at_ns = atomic_load(&timeline->at_ns[i]);

		if (at_ns)
			rows[n++] = (struct timeline_row){ at_ns, i };
	}
	qsort(rows, n, sizeof(rows[0]), row_compare);
	return n;
}

void timeline_name(char name[32], unsigned int moment)
{
	static const char *const names[] = {
		[TIMELINE_START] = "VMM start",
		[TIMELINE_ASKED] = "start asked for",
		[TIMELINE_OPENED] = "kernel file open",
		[TIMELINE_LOADED] = "kernel loaded",
		[TIMELINE_KVM] = "KVM open",
		[TIMELINE_VM] = "VM created",
		[TIMELINE_VCPUS] = "vCPUs created",
		[TIMELINE_READY] = "console open",
		[TIMELINE_GUEST] = "first guest instruction",
		[TIMELINE_CONSOLE] = "first console byte",
	};

	if (moment < TIMELINE_MARK)
		snprintf(name, 32, "%s", names[moment]);
	else if (moment == TIMELINE_MARK + TIMELINE_MARK_USER)
		snprintf(name, 32, "user space");
	else if (moment < TIMELINE_MARK_END)
		snprintf(name, 32, "guest's mark %u", moment - TIMELINE_MARK);
	else
		snprintf(name, 32, "%s",
			moment == TIMELINE_END ? "guest's end" : "machine released");
}

void timeline_print(FILE *out, const struct timeline *timeline)
{
	struct timeline_row rows[TIMELINE_N_MOMENTS];
	size_t n = timeline_rows(timeline, rows);

	fprintf(out, "%-24s %10s %10s\n", "timeline", "ms", "+ms");
	for (size_t i = 0; i < n; i++) {
		char name[32];

		timeline_name(name, rows[i].moment);
		fprintf(out, "%-24s %10.3f %10.3f\n", name,
			(double)(rows[i].at_ns - rows[0].at_ns) / 1e6,
			(double)(rows[i].at_ns - rows[i ? i - 1 : 0].at_ns) / 1e6);
	}
}

void timeline_print_json(FILE *out, const struct timeline *timeline)
{
	struct timeline_row rows[TIMELINE_N_MOMENTS];
	size_t n = timeline_rows(timeline, rows);

	fprintf(out, "{\n  \"start_ns\": %" PRIu64 ",\n  \"moments\": [", n ? rows[0].at_ns : 0);
	for (size_t i = 0; i < n; i++) {
		char name[32];

		timeline_name(name, rows[i].moment);
		fprintf(out, "%s\n    {\"name\": \"%s\", \"ns\": %" PRIu64 "}", i ? "," : "", name,
			rows[i].at_ns - rows[0].at_ns);
	}
	fputs("\n  ]\n}\n", out);
}

void timeline_write(FILE *out, const char *path, const struct timeline *timeline)
{
	const char *dot = strrchr(path, '.');

	if (dot && !strcmp(dot, ".svg"))
		timeline_draw(out, timeline);
	else if (dot && !strcmp(dot, ".json"))
		timeline_print_json(out, timeline);
	else
		timeline_print(out, timeline);
}
