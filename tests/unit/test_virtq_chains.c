// SPDX-License-Identifier: MIT
/* test_virtq_chains.c - what a chain of descriptors comes to, and which are refused */

#include "virtq_rig.h"

#include <errno.h>

#define TABLE 0x8000 /* an indirect one */

/* Descriptors: where, size, flags, next; the ring's own, and those of a table at TABLE.  What comes
 * of the chain that begins with 0: the result of virtq_pop(), and then the segments.
 */
struct chain_case {
	const char *what;
	struct vring_desc desc[4], table[4];
	int ret;
	unsigned int n_out, n_in;
	uint64_t out_size, in_size;
};

#define HOLE  0xc0001000
#define WHOLE ((uint32_t)RIG_REGION)

static const struct chain_case good[] = {
	{ "one to read", { { DATA, 5, 0, 0 } }, { { 0 } }, 1, 1, 0, 5, 0 },
	{ "one to write", { { DATA, 5, WRITE, 0 } }, { { 0 } }, 1, 0, 1, 0, 5 },
	{ "next without NEXT", { { DATA, 5, 0, 77 } }, { { 0 } }, 1, 1, 0, 5, 0 },
	{ "three", { { DATA, 1, NEXT, 3 }, { 0 }, { DATA, 4, WRITE, 0 }, { DATA, 2, NEXT, 2 } },
		{ { 0 } }, 1, 2, 1, 3, 4 },
	{ "unknown flags", { { DATA, 5, 0xfff8, 0 } }, { { 0 } }, 1, 1, 0, 5, 0 },
	{ "all of a region", { { 0, WHOLE, NEXT, 1 }, { RIG_HIGH, WHOLE, WRITE, 0 } }, { { 0 } }, 1,
		1, 1, RIG_REGION, RIG_REGION },
	{ "nothing, anywhere",
		{ { HOLE, 0, NEXT, 1 }, { UINT64_MAX, 0, NEXT, 2 }, { DATA, 3, WRITE, 0 } },
		{ { 0 } }, 1, 0, 1, 0, 3 },
	{ "nothing at all", { { HOLE, 0, WRITE, 0 } }, { { 0 } }, 1, 0, 0, 0, 0 },
	{ "the same bytes twice", { { DATA, 9, NEXT, 1 }, { DATA, 9, WRITE, 0 } }, { { 0 } }, 1, 1,
		1, 9, 9 },
	{ "indirect", { { TABLE, 32, INDIRECT, 0 } },
		{ { DATA, 6, NEXT, 1 }, { DATA, 7, WRITE, 0 } }, 1, 1, 1, 6, 7 },
	{ "indirect, and WRITE, which is ignored", { { TABLE, 32, INDIRECT | WRITE, 0 } },
		{ { DATA, 6, NEXT, 1 }, { DATA, 7, WRITE, 0 } }, 1, 1, 1, 6, 7 },
	{ "indirect, in another order than that of the table", { { TABLE, 64, INDIRECT, 0 } },
		{ { DATA, 1, NEXT, 3 }, { DATA, 4, WRITE, 0 }, { 0 }, { DATA, 2, NEXT, 1 } }, 1, 2,
		1, 3, 4 },
	{ "direct, then indirect", { { DATA, 8, NEXT, 1 }, { TABLE, 16, INDIRECT, 0 } },
		{ { DATA, 9, WRITE, 0 } }, 1, 1, 1, 8, 9 },
	{ "a table of more than the queue has", { { TABLE, 9 * 16, INDIRECT, 0 } },
		{ { DATA, 6, 0, 0 } }, 1, 1, 0, 6, 0 },
	{ "a table as large as a region", { { 0, WHOLE, INDIRECT, 0 } }, { { 0 } }, 1, 0, 0, 0, 0 },
};

static const struct chain_case bad[] = {
	{ .what = "itself", .desc = { { DATA, 1, NEXT, 0 } } },
	{ .what = "a loop", .desc = { { DATA, 1, NEXT, 1 }, { DATA, 1, NEXT, 0 } } },
	{ .what = "a loop of nothing", .desc = { { DATA, 0, NEXT, 1 }, { DATA, 0, NEXT, 0 } } },
	{ .what = "a loop in a table",
		.desc = { { TABLE, 32, INDIRECT, 0 } },
		.table = { { DATA, 0, NEXT, 1 }, { DATA, 0, NEXT, 0 } } },
	{ .what = "next behind the last", .desc = { { DATA, 1, NEXT, 8 } } },
	{ .what = "next of all bits", .desc = { { DATA, 1, NEXT, 0xffff } } },
	{ .what = "next behind the table's last",
		.desc = { { TABLE, 16, INDIRECT, 0 } },
		.table = { { DATA, 1, NEXT, 1 } } },
	{ .what = "a table in a table",
		.desc = { { TABLE, 32, INDIRECT, 0 } },
		.table = { { TABLE, 16, INDIRECT, 0 } } },
	{ .what = "a table, and more",
		.desc = { { TABLE, 16, INDIRECT | NEXT, 1 }, { DATA, 1, 0, 0 } },
		.table = { { DATA, 1, 0, 0 } } },
	{ .what = "an empty table", .desc = { { TABLE, 0, INDIRECT, 0 } } },
	{ .what = "a table of half an entry", .desc = { { TABLE, 8, INDIRECT, 0 } } },
	{ .what = "a table of one and a half",
		.desc = { { TABLE, 24, INDIRECT, 0 } },
		.table = { { DATA, 1, 0, 0 } } },
	{ .what = "a table of the greatest size",
		.desc = { { TABLE, 0xfffffff0, INDIRECT, 0 } },
		.table = { { DATA, 1, 0, 0 } } },
	{ .what = "a table in the hole", .desc = { { HOLE, 16, INDIRECT, 0 } } },
	{ .what = "a table beyond RAM", .desc = { { RIG_REGION - 16, 32, INDIRECT, 0 } } },
	{ .what = "a table that wraps", .desc = { { UINT64_MAX - 15, 32, INDIRECT, 0 } } },
	{ .what = "to write, then to read",
		.desc = { { DATA, 1, WRITE | NEXT, 1 }, { DATA, 1, 0, 0 } } },
	{ .what = "to write, then to read in a table",
		.desc = { { DATA, 1, WRITE | NEXT, 1 }, { TABLE, 16, INDIRECT, 0 } },
		.table = { { DATA, 1, 0, 0 } } },
	{ .what = "in the hole", .desc = { { HOLE, 1, 0, 0 } } },
	{ .what = "a byte beyond RAM", .desc = { { RIG_REGION - 4, 5, WRITE, 0 } } },
	{ .what = "across the hole", .desc = { { RIG_REGION - 4, 0xffffffff, WRITE, 0 } } },
	{ .what = "from the hole to RAM", .desc = { { RIG_HIGH - 1, 2, WRITE, 0 } } },
	{ .what = "beyond all", .desc = { { RIG_HIGH + RIG_REGION, 1, 0, 0 } } },
	{ .what = "wraps to 0", .desc = { { UINT64_MAX, 2, WRITE, 0 } } },
	{ .what = "wraps to RAM", .desc = { { UINT64_MAX - 15, 0x1000, WRITE, 0 } } },
	{ .what = "the last of three is wrong",
		.desc = { { DATA, 1, NEXT, 1 }, { DATA, 1, NEXT, 2 }, { HOLE, 1, WRITE, 0 } } },
};

static int pop_case(struct rig *rig, const struct chain_case *c)
{
	use_ring(rig, 8, false);
	memcpy(rig_at(&rig->mem, TABLE, sizeof(c->table)), c->table, sizeof(c->table));
	memcpy(rig_desc(&rig->ring, 0), c->desc, sizeof(c->desc));
	rig_offer(&rig->ring, 0);
	return virtq_pop(&rig->vq, &rig->chain);
}

static void test_good_chains(void **state)
{
	struct rig *rig = *state;
	const struct virtq_chain *chain = &rig->chain;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint64_t size[2] = { 0 };

		if (pop_case(rig, &good[i]) != 1 || chain->n_out != good[i].n_out ||
			chain->n_in != good[i].n_in || chain->out_size != good[i].out_size ||
			chain->in_size != good[i].in_size)
			fail_msg("%s", good[i].what);
		for (unsigned int s = 0; s < chain->n_out + chain->n_in; s++)
			size[s >= chain->n_out] += chain->iov[s].iov_len;
		assert_true(size[0] == chain->out_size && size[1] == chain->in_size);
		assert_int_equal(chain->head, 0);
		assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 0);
	}
}

static void test_bad_chains(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (pop_case(rig, &bad[i]) != -EBADMSG)
			fail_msg("%s", bad[i].what);
}

static void test_segments_are_where_they_should_be(void **state)
{
	struct rig *rig = *state;
	const struct iovec *iov = rig->iov;

	assert_int_equal(pop_case(rig, &good[3]), 1);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(iov[i].iov_base, rig_at(&rig->mem, DATA, 1));
	assert_true(iov[0].iov_len == 1 && iov[1].iov_len == 2 && iov[2].iov_len == 4);
	assert_int_equal(pop_case(rig, &good[5]), 1);
	assert_ptr_equal(iov[0].iov_base, rig->mem.region[0].hva);
	assert_ptr_equal(iov[1].iov_base, rig->mem.region[1].hva);
}

/* 2.7.5.3.1 asks for no alignment. */
static void test_table_at_an_odd_address(void **state)
{
	struct rig *rig = *state;
	const struct vring_desc table[2] = { { DATA, 6, NEXT, 1 }, { DATA, 7, WRITE, 0 } };

	memcpy(rig_at(&rig->mem, TABLE + 1, sizeof(table)), table, sizeof(table));
	rig_offer_one(&rig->ring, 0, TABLE + 1, sizeof(table), INDIRECT);
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
	assert_true(rig->chain.out_size == 6 && rig->chain.in_size == 7);
}

static void test_wild_heads(void **state)
{
	struct rig *rig = *state;
	const uint16_t head[] = { 8, 9, 256, 0x8000, 0xffff };

	for (size_t i = 0; i < ARRAY_SIZE(head); i++) {
		use_ring(rig, 8, false);
		rig_offer(&rig->ring, head[i]);
		assert_int_equal(virtq_pop(&rig->vq, &rig->chain), -EBADMSG);
	}
}

/* A row of n descriptors in a table, each of one byte. */
static int pop_row(struct rig *rig, unsigned int n, unsigned int max_iov)
{
	struct vring_desc *table = rig_at(&rig->mem, TABLE, 16ull * n);

	use_ring(rig, 8, false);
	for (unsigned int i = 0; i < n; i++)
		table[i] = (struct vring_desc){ DATA, 1, i + 1 < n ? NEXT : 0, (uint16_t)(i + 1) };
	rig_offer_one(&rig->ring, 0, TABLE, 16 * n, INDIRECT);
	rig->chain.max_iov = max_iov;
	return virtq_pop(&rig->vq, &rig->chain);
}

static void test_room_for_segments(void **state)
{
	struct rig *rig = *state;
	struct iovec *iov = calloc(VIRTQ_MAX_CHAIN, sizeof(*iov));

	assert_int_equal(pop_row(rig, MAX_IOV, MAX_IOV), 1);
	assert_int_equal(rig->chain.n_out, MAX_IOV);
	assert_int_equal(pop_row(rig, MAX_IOV + 1, MAX_IOV), -EBADMSG);
	assert_int_equal(pop_row(rig, 1, 0), -EBADMSG);
	rig->chain.iov = iov;
	assert_int_equal(pop_row(rig, VIRTQ_MAX_CHAIN, VIRTQ_MAX_CHAIN), 1);
	assert_int_equal(rig->chain.n_out, VIRTQ_MAX_CHAIN);
	assert_int_equal(pop_row(rig, VIRTQ_MAX_CHAIN + 1, VIRTQ_MAX_CHAIN), -EBADMSG);
	free(iov);
}

/* A chain may be longer than 4 GiB. */
static void test_sizes_beyond_32_bits(void **state)
{
	struct rig *rig = *state;
	struct guest_mem mem;
	struct virtq vq;

	assert_int_equal(guest_mem_init(&mem, GIB(3) + MIB(2)), 0);
	virtq_init(&vq, &mem, MAX_SIZE);
	rig_ring_init(&rig->ring, &mem, RING, 8);
	rig_place(&rig->ring, &vq);
	assert_int_equal(virtq_enable(&vq, false), 0);
	for (uint16_t i = 0; i < 4; i++)
		*rig_desc(&rig->ring, i) = (struct vring_desc){ 0, 0xc0000000,
			(i < 3 ? NEXT : 0) | (i > 1 ? WRITE : 0), (uint16_t)(i + 1) };
	rig_offer(&rig->ring, 0);
	assert_int_equal(virtq_pop(&vq, &rig->chain), 1);
	assert_true(rig->chain.out_size == GIB(6) && rig->chain.in_size == GIB(6));
	guest_mem_fini(&mem);
}

/* Nothing of a chain that was refused is counted: it is found again, and refused again. */
static void test_refused_chain_stays(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(pop_case(rig, &bad[0]), -EBADMSG);
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), -EBADMSG);
	*rig_desc(&rig->ring, 0) = (struct vring_desc){ DATA, 1, 0, 0 };
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_good_chains),
		TEST(test_bad_chains),
		TEST(test_segments_are_where_they_should_be),
		TEST(test_table_at_an_odd_address),
		TEST(test_wild_heads),
		TEST(test_room_for_segments),
		TEST(test_sizes_beyond_32_bits),
		TEST(test_refused_chain_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
