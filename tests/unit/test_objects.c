// SPDX-License-Identifier: MIT
/* test_objects.c - what Firecracker's objects are in Pronto's words: rate limiters */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/objects.h"
#include "dev/table.h"

#include <string.h>

#define MS UINT64_C(1000000)

#define BUCKET(size, ms, burst) \
	"{\"size\": " #size ", \"refill_time\": " #ms ", \"one_time_burst\": " #burst "}"
#define LIMITER "{\"bandwidth\": " BUCKET(4096, 250, 65536) ", \"ops\": " BUCKET(7, 60000, null) "}"

static json_t *json(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static void put(struct objects *objects, enum object_kind kind, const char *text)
{
	json_t *object = json(text);
	struct diag diag;

	if (objects_put(objects, kind, object, &diag))
		fail_msg("%s", diag.text);
	json_decref(object);
}

static void must_be(
	const struct rate_limit *limit, uint64_t size, uint64_t period_ns, uint64_t burst)
{
	assert_int_equal(limit->tokens, size);
	assert_int_equal(limit->size, size);
	assert_int_equal(limit->period_ns, period_ns);
	assert_int_equal(limit->burst, burst);
}

/* A bucket is what it is there: so large, full again after so long, with a burst before. */
static void test_buckets(void **state)
{
	const struct blk_options *disk;
	const struct net_options *net;
	const struct rng_options *rng;
	struct objects objects;
	struct config config;
	struct diag diag;

	objects_init(&objects);
	config_init(&config);
	put(&objects, OBJECT_BOOT_SOURCE, "{\"kernel_image_path\": \"/dev/null\"}");
	put(&objects, OBJECT_DRIVE,
		"{\"drive_id\": \"a\", \"is_root_device\": false, \"path_on_host\": \"/dev/null\","
		" \"rate_limiter\": " LIMITER "}");
	put(&objects, OBJECT_NET,
		"{\"iface_id\": \"a\", \"host_dev_name\": \"x\", \"tx_rate_limiter\": " LIMITER
		"}");
	put(&objects, OBJECT_ENTROPY, "{\"rate_limiter\": " LIMITER "}");
	if (objects_to_config(&objects, &config, &diag))
		fail_msg("%s", diag.text);
	disk = config.devices[DEVICE_disk].items;
	must_be(&disk->rate, 4096, 250 * MS, 65536);
	must_be(&disk->ops, 7, 60000 * MS, 0);
	assert_true(disk->may_be_empty);
	net = config.devices[DEVICE_net].items;
	must_be(&net->tx_rate, 4096, 250 * MS, 65536);
	must_be(&net->tx_ops, 7, 60000 * MS, 0);
	assert_true(!net->rx_rate.tokens && !net->rx_ops.tokens && !net->rate.tokens);
	rng = config.devices[DEVICE_rng].items;
	must_be(&rng->rate, 4096, 250 * MS, 65536);
	must_be(&rng->ops, 7, 60000 * MS, 0);
	config_fini(&config);
	objects_fini(&objects);
}

static void test_texts(void **state)
{
	static const struct {
		const char *limiter, *text;
	} cases[] = {
		{ LIMITER, "tx-rate=4096/250ms+65536,tx-ops=7/60000ms+0" },
		{ "{\"ops\": " BUCKET(1, 2, 3) "}", "tx-ops=1/2ms+3" },
		{ "{\"bandwidth\": " BUCKET(1, 2, 3) ", \"ops\": null}", "tx-rate=1/2ms+3" },
		{ "{}", "" },
		/* No limit, any more. */
		{ "{\"bandwidth\": " BUCKET(0, 2, 3) ", \"ops\": " BUCKET(1, 0, 3) "}",
			"tx-rate=0,tx-ops=0" },
		/* As much as there can be. */
		{ "{\"ops\": " BUCKET(
			  9223372036854775807, 9223372036854775807, 9223372036854775807) "}",
			"tx-ops=1152921504606846976/31536000000ms+1152921504606846976" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *limiter = json(cases[i].limiter);
		char text[160];

		objects_rate_text(limiter, "tx-", text, sizeof(text));
		assert_string_equal(text, cases[i].text);
		json_decref(limiter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
