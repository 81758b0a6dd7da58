// SPDX-License-Identifier: MIT
/* test_blk_remote.c - virtio-blk that another process serves: what disk it has, and has later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/blk.h"
#include "vhost_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#define N_QUEUES 2

struct rig {
	struct backend backend;
	int door;
	char dir[32], path[48];
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct blk_options options;
	struct virtio_dev *dev;
};

static void *accept_and_serve(void *arg)
{
	struct rig *rig = arg;

	rig->backend.fd = accept4(rig->door, NULL, NULL, SOCK_CLOEXEC);
	return v_serve(&rig->backend);
}

static void set_capacity(struct rig *rig, uint64_t n_sectors)
{
	memcpy(rig->backend.config, &n_sectors, sizeof(n_sectors));
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct diag diag;

	memcpy(rig->dir, "/var/tmp/pronto-test-XXXXXX", 28);
	assert_non_null(mkdtemp(rig->dir));
	snprintf(rig->path, sizeof(rig->path), "%s/door", rig->dir);
	memcpy(at.sun_path, rig->path, strlen(rig->path));
	rig->door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(rig->door, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(rig->door, 1), 0);
	rig->backend = backend_usual();
	memset(rig->backend.config, 0, sizeof(rig->backend.config));
	set_capacity(rig, 100);
	v_is_silent = false;
	assert_int_equal(pthread_create(&rig->backend.thread, NULL, accept_and_serve, rig), 0);
	assert_int_equal(guest_mem_init_shared(&rig->mem, MIB(1)), 0);
	assert_int_equal(loop_init(&rig->loop), 0);
	rig->env = (struct virtio_env){ .mem = &rig->mem, .loop = &rig->loop };
	rig->options = (struct blk_options){ .vhost_user = rig->path, .n_queues = N_QUEUES };
	rig->dev = blk_class.open(&rig->options, &rig->env, &diag);
	if (!rig->dev)
		fail_msg("%s", diag.text);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	virtio_close(rig->dev);
	backend_join(&rig->backend);
	loop_fini(&rig->loop);
	guest_mem_fini(&rig->mem);
	close(rig->door);
	unlink(rig->path);
	rmdir(rig->dir);
	free(rig);
	return 0;
}

static uint64_t config(const struct rig *rig, size_t at, unsigned int size)
{
	return virtio_read_config(rig->dev, at, size);
}

#define CONFIG(rig, member)                                     \
	config(rig, offsetof(struct virtio_blk_config, member), \
		sizeof(((struct virtio_blk_config *)NULL)->member))

static int update(struct rig *rig, bool anew, struct diag *diag)
{
	const struct virtio_anew look = { .fd = -1 };
	const struct virtio_class *class = rig->dev->class;

	return class->update(rig->dev, &rig->options, anew ? &look : NULL, diag);
}

/* Its disk has grown, and the guest is told if we are. */
static void test_another_size(void **state)
{
	struct rig *rig = *state;
	struct diag diag;

	assert_int_equal(CONFIG(rig, capacity), 100);
	set_capacity(rig, 200);
	rig->backend.config[offsetof(struct virtio_blk_config, wce)] = 1;
	assert_int_equal(update(rig, false, &diag), 0);
	assert_int_equal(CONFIG(rig, capacity), 100);
	assert_int_equal(rig->dev->config_generation, 0);
	assert_int_equal(update(rig, true, &diag), 0);
	assert_int_equal(CONFIG(rig, capacity), 200);
	assert_int_equal(rig->dev->config_generation, 1);
	/* These were agreed upon. */
	assert_int_equal(CONFIG(rig, num_queues), N_QUEUES);
	assert_int_equal(CONFIG(rig, wce), 0);
}

static void test_it_is_gone(void **state)
{
	struct rig *rig = *state;
	struct diag diag;

	rig->backend.misdeed_at = rig->backend.n;
	rig->backend.misdeed = CLOSES;
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(update(rig, true, &diag) < 0);
		assert_non_null(strstr(diag.text, rig->path));
		assert_true(rig->dev->lost);
		assert_int_equal(CONFIG(rig, capacity), 100);
	}
}

/* Nothing can be said of it, whether it is there or not. */
static void test_nothing_can_be_said(void **state)
{
	struct rig *rig = *state;
	struct blk_options said[] = { rig->options, rig->options, rig->options };
	struct diag diag;

	said[0].path = rig->path;
	said[1].rate = rate_per_second(5);
	said[2].ops = rate_per_second(5);
	assert_int_equal(blk_schema.check(&rig->options, &diag), 0);
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		assert_true(blk_schema.check(&said[i], &diag) < 0);
		assert_non_null(strstr(diag.text, "only `queues` can be said here"));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_another_size),
		TEST(test_it_is_gone),
		TEST(test_nothing_can_be_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
