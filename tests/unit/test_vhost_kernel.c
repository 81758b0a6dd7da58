// SPDX-License-Identifier: MIT
/* test_vhost_kernel.c - what the host's kernel is told of a ring that stops and goes on */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/vhost_kernel.h"
#include "util/bits.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/ioctl.h>

#define MAX        64
#define SWITCH_OFF 1u /* no ioctl: what the device itself does with a ring */
#define SWITCH_ON  2u

struct call {
	unsigned long request;
	unsigned int index, num;
};

static struct {
	struct call call[MAX];
	unsigned int n;
	unsigned long failing; /* the request that does, 0: none */
	unsigned int base;     /* where rings are */
} kernel;

static void record(unsigned long request, unsigned int index, unsigned int num)
{
	assert_true(kernel.n < MAX);
	kernel.call[kernel.n++] = (struct call){ request, index, num };
}

/* In place of the C library's. */
int ioctl(int, unsigned long request, ...)
{
	struct vhost_vring_state *state;
	va_list args;

	va_start(args, request);
	state = va_arg(args, void *);
	va_end(args);
	if (request == VHOST_GET_FEATURES) {
		*(uint64_t *)state = UINT64_C(1) << VIRTIO_F_VERSION_1;
		return 0;
	}
	if (request == VHOST_GET_VRING_BASE)
		state->num = kernel.base;
	if (request == VHOST_GET_VRING_BASE || request == VHOST_SET_VRING_BASE)
		record(request, state->index, state->num);
	if (request != kernel.failing)
		return 0;
	errno = ENOBUFS;
	return -1;
}

static int switch_ring(struct vhost_kernel *, unsigned int index, bool on)
{
	record(on ? SWITCH_ON : SWITCH_OFF, index, 0);
	return 0;
}

static struct vhost *make(struct vhost_kernel *vhost, unsigned int n)
{
	struct diag diag;

	memset(&kernel, 0, sizeof(kernel));
	*vhost = (struct vhost_kernel){ .switch_ring = switch_ring };
	assert_int_equal(vhost_kernel_init(vhost, "/dev/null", "null", n, &diag), 0);
	return &vhost->vhost;
}

static void check(const struct call *expected, unsigned int n)
{
	assert_int_equal(kernel.n, n);
	assert_memory_equal(kernel.call, expected, n * sizeof(*expected));
	kernel.n = 0;
}

/* Where it is, is asked when it is let be; and told before it runs again.  Of the second device's
 * second ring, here.
 */
static void test_a_ring_keeps_its_place(void **)
{
	static const struct call stopped[] = { { SWITCH_OFF, 3, 0 },
		{ VHOST_GET_VRING_BASE, 1, 1234 } };
	static const struct call again[] = { { VHOST_SET_VRING_BASE, 1, 1234 },
		{ SWITCH_ON, 3, 0 } };
	struct vhost_kernel vhost_kernel;
	struct vhost *vhost = make(&vhost_kernel, 2);
	struct vhost_ring ring = { .index = 3, .size = 8 };

	kernel.base = 1234;
	assert_int_equal(vhost->ops->start_ring(vhost, &ring), 0);
	kernel.n = 0;
	assert_int_equal(vhost->ops->stop_ring(vhost, 3, &ring.base), 0);
	check(stopped, ARRAY_SIZE(stopped));
	assert_int_equal(ring.base, 1234);
	assert_int_equal(vhost->ops->start_ring(vhost, &ring), 0);
	check(again, ARRAY_SIZE(again));
	/* Nobody wants to know. */
	assert_int_equal(vhost->ops->stop_ring(vhost, 3, NULL), 0);
	check(stopped, 1);
	vhost_kernel_close(&vhost_kernel);
}

static void test_failures(void **)
{
	static const unsigned long requests[] = { VHOST_GET_VRING_BASE, VHOST_SET_VRING_BASE };

	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++) {
		struct vhost_kernel vhost_kernel;
		struct vhost *vhost = make(&vhost_kernel, 1);
		struct vhost_ring ring = { .size = 8 };
		int ret;

		kernel.failing = requests[i];
		ret = vhost->ops->start_ring(vhost, &ring);
		if (!ret)
			ret = vhost->ops->stop_ring(vhost, 0, &ring.base);
		assert_int_equal(ret, -ENOBUFS);
		assert_int_equal(vhost->fd, -1);
		assert_int_equal(vhost->ops->stop_ring(vhost, 0, &ring.base), -EPIPE);
		assert_int_equal(vhost->ops->start_ring(vhost, &ring), -EPIPE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_ring_keeps_its_place),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
