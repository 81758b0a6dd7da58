// SPDX-License-Identifier: MIT
/* test_vhost_user.c - the front end of vhost-user: what it says in which order, and what it bears
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vhost_rig.h"

#include <errno.h>
#include <limits.h>
#include <linux/vhost_types.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define PATIENCE_MS 100

/* In place of the C library's: time passes when nobody is going to say more, and then at once; so
 * that what is answered is never too late, however busy the machine is.
 */
int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	bool was_silent;
	int ret;

	assert_in_range(timeout_ms, 0, PATIENCE_MS);
	do {
		was_silent = v_is_silent;
		ret = ppoll(fds, n, &moment, NULL);
	} while (!ret && !was_silent);
	return ret;
}

/* A whole life, of one ring; the first failure, or 0. */
static int live(struct vhost_user *vu, struct backend *b, const struct guest_mem *mem)
{
	struct vhost_ring ring = {
		.index = 1,
		.size = 64,
		.desc = guest_mem_at(mem, 0x1000, 1),
		.avail = guest_mem_at(mem, 0x2000, 1),
		.used = guest_mem_at(mem, 0x3000, 1),
		.kick_fd = eventfd(0, EFD_NONBLOCK),
		.call_fd = eventfd(0, EFD_NONBLOCK),
	};
	uint8_t config[60], wce = 9;
	uint32_t base = 0;
	struct diag diag;
	int ret = vhost_user_init(vu, b->front_fd, PATIENCE_MS, &diag);

	if (!ret)
		ret = vhost_user_get_config(vu, config, sizeof(config));
	if (!ret)
		assert_memory_equal(config, b->config, sizeof(config));
	for (unsigned int i = 0; i < 2 && !ret; i++) {
		ret = vu->vhost.ops->start(&vu->vhost, 0x100000040, mem);
		ring.base = base;
		if (!ret)
			ret = vu->vhost.ops->start_ring(&vu->vhost, &ring);
		if (!ret)
			ret = vu->vhost.ops->stop_ring(&vu->vhost, ring.index, &base);
	}
	if (!ret)
		ret = vhost_user_set_config(vu, 32, &wce, 1);
	close(ring.kick_fd);
	close(ring.call_fd);
	return ret;
}

static const uint32_t life[] = { V_GET_FEATURES, V_GET_PROTOCOL_FEATURES, V_SET_PROTOCOL_FEATURES,
	V_GET_QUEUE_NUM, V_SET_OWNER, V_GET_CONFIG, V_SET_FEATURES, V_SET_MEM_TABLE,
	V_SET_VRING_NUM, V_SET_VRING_BASE, V_SET_VRING_ADDR, V_SET_VRING_CALL, V_SET_VRING_KICK,
	V_SET_VRING_ENABLE, V_SET_VRING_ENABLE, V_GET_VRING_BASE,
	/* again: memory is given once */
	V_SET_FEATURES, V_SET_VRING_NUM, V_SET_VRING_BASE, V_SET_VRING_ADDR, V_SET_VRING_CALL,
	V_SET_VRING_KICK, V_SET_VRING_ENABLE, V_SET_VRING_ENABLE, V_GET_VRING_BASE, V_SET_CONFIG };

static struct guest_mem make_memory(void)
{
	struct guest_mem mem;

	assert_int_equal(guest_mem_init_shared(&mem, GIB(3) + MIB(1)), 0);
	return mem;
}

static void check_bodies(const struct backend *b, const struct guest_mem *mem)
{
	const struct vhost_vring_addr *addr = (const void *)b->body[10];
	const uint64_t *region = (const uint64_t *)b->body[7];
	const uint32_t *state;

	assert_true(*(const uint64_t *)b->body[2] == (V_ALL & ~(1u << 12)));
	assert_true(*(const uint64_t *)b->body[6] == (V_GATED | 0x100000040));
	assert_int_equal(b->got[7].size, 8 + 2 * 32);
	assert_int_equal(*(const uint32_t *)b->body[7], 2);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(region[1 + 4 * i] == mem->region[i].gpa);
		assert_true(region[2 + 4 * i] == mem->region[i].size);
		assert_true(region[3 + 4 * i] == (uintptr_t)mem->region[i].hva);
		assert_true(region[4 + 4 * i] == mem->region[i].offset);
		assert_true(b->fds[7][i] >= 0);
	}
	state = (const uint32_t *)b->body[8];
	assert_true(state[0] == 1 && state[1] == 64);
	state = (const uint32_t *)b->body[9];
	assert_true(state[0] == 1 && state[1] == 0);
	assert_int_equal(addr->index, 1);
	assert_true(addr->desc_user_addr == (uintptr_t)mem->region[0].hva + 0x1000);
	assert_true(addr->avail_user_addr == (uintptr_t)mem->region[0].hva + 0x2000);
	assert_true(addr->used_user_addr == (uintptr_t)mem->region[0].hva + 0x3000);
	assert_true(b->body[11][0] == 1 && b->fds[11][0] >= 0 && b->fds[11][1] < 0);
	assert_true(b->body[12][0] == 1 && b->fds[12][0] >= 0);
	state = (const uint32_t *)b->body[13];
	assert_true(state[0] == 1 && state[1] == 1);
	state = (const uint32_t *)b->body[14];
	assert_true(state[0] == 1 && state[1] == 0);
	/* Where it was told to go on. */
	state = (const uint32_t *)b->body[18];
	assert_true(state[0] == 1 && state[1] == V_BASE);
	assert_int_equal(b->got[25].size, 12 + 1);
	state = (const uint32_t *)b->body[25];
	assert_true(state[0] == 32 && state[1] == 1 && state[2] == 0);
	assert_int_equal(b->body[25][12], 9);
}

static void test_life(void **)
{
	struct guest_mem mem = make_memory();
	struct backend b = backend_usual();
	struct vhost_user vu;
	uint8_t *view;

	backend_start(&b);
	assert_int_equal(live(&vu, &b, &mem), 0);
	assert_int_equal(vu.vhost.max_queues, 2);
	assert_int_equal(vu.vhost.ops->check(&vu.vhost), 0);
	vhost_user_close(&vu);
	assert_int_equal(pthread_join(b.thread, NULL), 0);
	assert_int_equal(b.n, ARRAY_SIZE(life));
	for (unsigned int i = 0; i < b.n; i++)
		assert_int_equal(b.got[i].request, life[i]);
	check_bodies(&b, &mem);
	/* What it was given is what the guest has. */
	view = mmap(
		NULL, 4096, PROT_READ, MAP_SHARED, b.fds[7][1], (off_t)((uint64_t *)b.body[7])[8]);
	assert_ptr_not_equal(view, MAP_FAILED);
	memcpy(guest_mem_at(&mem, GIB(4), 8), "seen", 5);
	assert_string_equal((char *)view, "seen");
	munmap(view, 4096);
	backend_release(&b);
	guest_mem_fini(&mem);
}

/* Without features of the protocol rings are on when they are kicked. */
static void test_plain(void **)
{
	static const uint32_t expected[] = { V_GET_FEATURES, V_SET_OWNER, V_SET_FEATURES,
		V_SET_MEM_TABLE, V_SET_VRING_NUM, V_SET_VRING_BASE, V_SET_VRING_ADDR,
		V_SET_VRING_CALL, V_SET_VRING_KICK, V_GET_VRING_BASE };
	struct guest_mem mem = make_memory();
	struct backend b = backend_usual();
	struct vhost_user vu;
	struct diag diag;

	b.features &= ~V_GATED;
	backend_start(&b);
	assert_int_equal(vhost_user_init(&vu, b.front_fd, PATIENCE_MS, &diag), 0);
	assert_true(!vu.protocol && vu.vhost.max_queues == UINT_MAX);
	assert_int_equal(vu.vhost.ops->start(&vu.vhost, UINT64_C(1) << 32, &mem), 0);
	assert_int_equal(vu.vhost.ops->start_ring(&vu.vhost, &(struct vhost_ring){ .size = 8 }), 0);
	assert_int_equal(vu.vhost.ops->stop_ring(&vu.vhost, 0, NULL), 0);
	vhost_user_close(&vu);
	backend_join(&b);
	assert_int_equal(b.n, ARRAY_SIZE(expected));
	for (unsigned int i = 0; i < b.n; i++) {
		assert_int_equal(b.got[i].request, expected[i]);
		assert_int_equal(b.got[i].flags, V_VERSION);
	}
	guest_mem_fini(&mem);
}

static void test_too_old(void **)
{
	struct backend b = backend_usual();
	struct vhost_user vu;
	struct diag diag;

	b.features = V_GATED | 1;
	backend_start(&b);
	assert_int_equal(vhost_user_init(&vu, b.front_fd, PATIENCE_MS, &diag), -ENOTSUP);
	assert_int_equal(vu.vhost.fd, -1);
	backend_join(&b);
}

/* ---- misdeeds ---- */

static bool is_answered(uint32_t request)
{
	return request == V_GET_FEATURES || request == V_GET_PROTOCOL_FEATURES ||
	       request == V_GET_QUEUE_NUM || request == V_GET_CONFIG ||
	       request == V_SET_MEM_TABLE || request == V_SET_VRING_ENABLE ||
	       request == V_GET_VRING_BASE || request == V_SET_CONFIG;
}

static bool can_refuse(uint32_t request)
{
	return request == V_GET_CONFIG || request == V_SET_MEM_TABLE ||
	       request == V_SET_VRING_ENABLE || request == V_SET_CONFIG;
}

static int expected(enum misdeed misdeed)
{
	switch (misdeed) {
	case CLOSES:
	case CLOSES_WITHIN: return -EPIPE;
	case SILENT:
	case STALLS: return -ETIMEDOUT;
	case REFUSES: return -EREMOTEIO;
	default: return -EPROTO;
	}
}

/* At each message, each misdeed: it is noticed, in time, and the connection closed. */
static void test_misdeeds(void **)
{
	struct guest_mem mem = make_memory();

	for (unsigned int at = 0; at < ARRAY_SIZE(life); at++)
		for (enum misdeed misdeed = CLOSES; misdeed < N_MISDEEDS; misdeed++) {
			struct backend b = backend_usual();
			struct vhost_user vu;
			int ret;

			if (!is_answered(life[at]) || (misdeed == REFUSES && !can_refuse(life[at])))
				continue;
			b.misdeed = misdeed;
			b.misdeed_at = at;
			backend_start(&b);
			ret = live(&vu, &b, &mem);
			if (ret != expected(misdeed))
				fail_msg("message %u, misdeed %u: %d", at, misdeed, ret);
			assert_int_equal(vu.vhost.fd, -1);
			assert_true(strlen(vhost_user_strerror(ret)) > 0);
			/* Nothing is asked of what is closed. */
			assert_int_equal(vu.vhost.ops->stop_ring(&vu.vhost, 0, NULL), -EPIPE);
			assert_int_equal(vu.vhost.ops->start(&vu.vhost, 0, &mem), -EPIPE);
			assert_int_equal(vu.vhost.ops->check(&vu.vhost), -EPIPE);
			backend_join(&b);
			assert_int_equal(b.n, at + 1);
		}
	guest_mem_fini(&mem);
}

/* It closes at a message that is not answered: that is found out at one of the next. */
static void test_closes_in_between(void **)
{
	struct guest_mem mem = make_memory();

	for (unsigned int at = 0; at < ARRAY_SIZE(life); at++) {
		struct backend b = backend_usual();
		struct vhost_user vu;

		b.misdeed = CLOSES;
		b.misdeed_at = at;
		backend_start(&b);
		assert_int_equal(live(&vu, &b, &mem), -EPIPE);
		assert_int_equal(vu.vhost.fd, -1);
		backend_join(&b);
	}
	guest_mem_fini(&mem);
}

/* ---- the connection, when nothing is asked ---- */

static void test_check(void **)
{
	struct vhost_user vu = { .vhost.ops = &vhost_user_ops, .patience_ms = PATIENCE_MS };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	vu.vhost.fd = pair[0];
	assert_int_equal(vu.vhost.ops->check(&vu.vhost), 0);
	assert_int_equal(write(pair[1], "", 1), 1);
	assert_int_equal(vu.vhost.ops->check(&vu.vhost), -EPROTO);
	assert_int_equal(vu.vhost.fd, -1);
	close(pair[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	vu.vhost.fd = pair[0];
	close(pair[1]);
	assert_int_equal(vu.vhost.ops->check(&vu.vhost), -EPIPE);
	assert_int_equal(vu.vhost.fd, -1);
}

/* Who does not read has us wait, but not for ever. */
static void test_does_not_read(void **)
{
	struct vhost_user vu = {
		.vhost.ops = &vhost_user_ops, .patience_ms = PATIENCE_MS, .has_memory = true
	};
	int pair[2], ret = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	vu.vhost.fd = pair[0];
	v_is_silent = true;
	for (unsigned int i = 0; i < 1000000 && !ret; i++)
		ret = vu.vhost.ops->start(&vu.vhost, 0, NULL);
	assert_int_equal(ret, -ETIMEDOUT);
	assert_int_equal(vu.vhost.fd, -1);
	close(pair[1]);
}

static void test_connect(void **)
{
	char path[200] = "/tmp/";
	struct diag diag;

	assert_int_equal(vhost_user_connect("/nonexistent/socket", &diag), -ENOENT);
	assert_non_null(strstr(diag.text, "start what serves it first"));
	assert_int_equal(vhost_user_connect("/dev/null", &diag), -ECONNREFUSED);
	memset(path + 5, 'x', 150);
	assert_int_equal(vhost_user_connect(path, &diag), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_too_old),
		cmocka_unit_test(test_misdeeds),
		cmocka_unit_test(test_closes_in_between),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_does_not_read),
		cmocka_unit_test(test_connect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
