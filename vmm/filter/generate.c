// SPDX-License-Identifier: MIT
/* generate.c - print the filters that calls.h describes, as C
 *
 * Runs when Pronto is built.  A filter is a tree of spans of numbers that are answered alike: the
 * call's is found in as many steps as their number has bits, and arguments, where they matter, by
 * one step each.  The kernel translates it at each start, so what counts is that it is short.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <linux/vhost.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>

#include "filter/who.h"
#include "util/pagemap_scan.h"

#define ALL     UINT32_MAX
#define OWN_PID UINT32_MAX /* where filter.c puts it; no call or request has this number */

/* Where a jump leads: to the answers at the end, or to a place that is known by then. */
enum { TO_ALLOW = -1, TO_FAIL = -2, TO_REFUSE = -3, TO_JUDGE = -4 };

/* The answer if args[arg] & mask is value; mask 0: always. */
static const struct row {
	uint32_t nr;
	unsigned int who, arg;
	uint32_t mask, value;
	int answer;
} rows[] = {
#define CALL(name, who, why)  { SYS_##name, who, 0, 0, 0, TO_ALLOW },
#define FAILS(name, who, why) { SYS_##name, who, 0, 0, 0, TO_FAIL },
#define ARG_IS(name, n, value, who, why) \
	{ SYS_##name, who, (n)-1, ALL, (uint32_t)(value), TO_ALLOW },
#define IOCTL(request, who, why)  ARG_IS(ioctl, 2, request, who, why)
#define OWN(name, who, why)       ARG_IS(name, 1, OWN_PID, who, why)
#define DATA_ONLY(name, who, why) { SYS_##name, who, 2, PROT_EXEC, 0, TO_ALLOW },
#include "filter/calls.h"
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct filter {
	const char *name;
	unsigned int who;
} filters[] = {
#define ROLE(constant, word, rows) { #word, rows },
#include "filter/roles.h"
};

/* ---- a filter in the making ---- */

enum { MAX_CODE = 512, MAX_CALLS = 128 };

static struct code {
	uint16_t op;
	uint32_t k;
	int jt, jf; /* places, or the above; of what is no jump 0 */
} code[MAX_CODE];
static int n_code;

static uint32_t calls[MAX_CALLS];
static int n_calls;

static _Noreturn void fail(const char *why)
{
	fprintf(stderr, "generate: %s\n", why);
	exit(1);
}

static int emit(uint16_t op, uint32_t k, int jt, int jf)
{
	if (n_code == MAX_CODE)
		fail("a filter is too long");
	code[n_code] = (struct code){ op, k, jt, jf };
	return n_code++;
}

static void load(size_t at)
{
	emit(BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0);
}

/* Little-endian: the low half comes first, which is all that an ioctl's request and flags have. */
static size_t arg_at(unsigned int arg)
{
	return offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t);
}

/* ---- its parts ---- */

/* What is answered whatever the arguments are that no other row of the call has. */
static int answer_to(unsigned int who, uint32_t nr)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].nr == nr && rows[i].who & who && !rows[i].mask)
			return rows[i].answer;
	return TO_REFUSE;
}

static int has_arguments(unsigned int who, uint32_t nr)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].nr == nr && rows[i].who & who && rows[i].mask)
			return 1;
	return 0;
}

/* The rows of one call, in their order. */
static void judge_arguments(unsigned int who, uint32_t nr)
{
	unsigned int loaded = UINT32_MAX;
	int last = -1;

	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *row = &rows[i];

		if (row->nr != nr || !(row->who & who) || !row->mask)
			continue;
		if (loaded != row->arg || row->mask != ALL)
			load(arg_at(row->arg));
		loaded = row->mask == ALL ? row->arg : UINT32_MAX;
		if (row->mask != ALL)
			emit(BPF_ALU | BPF_AND | BPF_K, row->mask, 0, 0);
		last = emit(BPF_JMP | BPF_JEQ | BPF_K, row->value, row->answer, n_code + 1);
	}
	code[last].jf = answer_to(who, nr);
}

/* Neighbours that are answered alike, up to where the next one begins; between calls that have a
 * row all are refused.
 */
static struct span {
	uint32_t from;
	int answer; /* or TO_JUDGE: it is one call, whose arguments matter */
} spans[2 * MAX_CALLS + 1];
static int n_spans;

static void add_span(uint32_t from, int answer)
{
	if (!n_spans || answer == TO_JUDGE || spans[n_spans - 1].answer != answer)
		spans[n_spans++] = (struct span){ from, answer };
}

static void gather_spans(unsigned int who)
{
	n_spans = 0;
	if (calls[0])
		add_span(0, TO_REFUSE);
	for (int i = 0; i < n_calls; i++) {
		add_span(calls[i],
			has_arguments(who, calls[i]) ? TO_JUDGE : answer_to(who, calls[i]));
		if (i + 1 == n_calls || calls[i + 1] != calls[i] + 1)
			add_span(calls[i] + 1, TO_REFUSE);
	}
}

/* Of spans[from, to); what is to be done for it, an answer or a place.  The arguments of a call are
 * judged right behind where it is found.
 */
static int find(unsigned int who, int from, int to)
{
	int middle = from + (to - from) / 2, place = n_code;

	if (to - from > 1) {
		emit(BPF_JMP | BPF_JGE | BPF_K, spans[middle].from, 0, 0);
		code[place].jf = find(who, from, middle);
		code[place].jt = find(who, middle, to);
	} else if (spans[from].answer == TO_JUDGE) {
		judge_arguments(who, spans[from].from);
	} else {
		return spans[from].answer;
	}
	return place;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void gather_calls(unsigned int who)
{
	n_calls = 0;
	for (size_t i = 0; i < N_ROWS; i++) {
		int known = !(rows[i].who & who);

		for (int j = 0; j < n_calls; j++)
			known |= calls[j] == rows[i].nr;
		if (!known && n_calls == MAX_CALLS)
			fail("too many calls");
		if (!known)
			calls[n_calls++] = rows[i].nr;
	}
	qsort(calls, (size_t)n_calls, sizeof(calls[0]), compare);
}

/* ---- all of it ---- */

static int distance(int from, int place)
{
	int to = place < 0 ? n_code - place - 1 : place;

	if (to - from - 1 > UINT8_MAX)
		fail("a jump is too far");
	return to - from - 1;
}

/* Those that are not only there to fail. */
static int count_allowed(unsigned int who)
{
	int n = 0;

	for (int i = 0; i < n_calls; i++)
		n += has_arguments(who, calls[i]) || answer_to(who, calls[i]) == TO_ALLOW;
	return n;
}

static void print(const struct filter *filter)
{
	printf("static const struct sock_filter %s_filter[] = {\n", filter->name);
	for (int i = 0; i < n_code; i++) {
		const struct code *c = &code[i];
		int jumps = BPF_CLASS(c->op) == BPF_JMP;

		printf("\t{ 0x%x, %d, %d, 0x%x },\n", (unsigned int)c->op,
			jumps ? distance(i, c->jt) : 0, jumps ? distance(i, c->jf) : 0,
			(unsigned int)c->k);
	}
	printf("\t{ 0x%x, 0, 0, 0x%x },\n", BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	printf("\t{ 0x%x, 0, 0, 0x%x },\n", BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	printf("\t{ 0x%x, 0, 0, 0x%x },\n", BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	printf("}; /* %d calls */\n\n", count_allowed(filter->who));
}

static void generate(const struct filter *filter)
{
	n_code = 0;
	gather_calls(filter->who);
	gather_spans(filter->who);
	load(offsetof(struct seccomp_data, arch));
	emit(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, n_code + 1, TO_REFUSE);
	load(offsetof(struct seccomp_data, nr));
	find(filter->who, 0, n_spans);
	print(filter);
}

int main(void)
{
	printf("/* Made by generate.c of calls.h. */\n\n#include <linux/filter.h>\n\n");
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		generate(&filters[i]);
	return 0;
}
