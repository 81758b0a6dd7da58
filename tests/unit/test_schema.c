// SPDX-License-Identifier: MIT
/* test_schema.c - lists of objects, by a schema of the test's own: as text and in JSON
 *
 * The other kinds are tested by what has them, the options of `pronto run`: test_config.c.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/table.h"

#include <errno.h>
#include <string.h>

#define MAX_DISKS 3

enum cache { CACHE_NONE, CACHE_FILE };

struct disk {
	char *path;
	bool ro, user;
	char *serial;
	char *hosts;
	uint64_t size;
	uint32_t queues;
	enum cache cache;
	char *cache_path;
};

struct machine {
	struct setting_list disks;
	struct disk boot;
};

#define AT(member) offsetof(struct disk, member)

static const struct word caches[] = { { "none", CACHE_NONE }, { "file:", CACHE_FILE },
	{ NULL, 0 } };

static const struct setting disk_members[] = {
	{ "path", 0, SETTING_PATH, ANYWHERE, .at = AT(path) },
	{ "ro", 0, SETTING_FLAG, ANYWHERE, .at = AT(ro) },
	{ "user", 0, SETTING_FLAG, ANYWHERE, .at = AT(user) },
	{ "serial", 0, SETTING_TEXT, ANYWHERE, .at = AT(serial), .max = 20 },
	{ "hosts", 0, SETTING_LIST, ANYWHERE, .at = AT(hosts) },
	{ "size", 0, SETTING_SIZE, ANYWHERE, .at = AT(size), .min = 512, .max = GIB(1),
		.step = 512 },
	{ "queues", 0, SETTING_NUMBER, ANYWHERE, .at = AT(queues), .min = 1, .max = 8 },
	{ "cache", 0, SETTING_WORD, ANYWHERE, .at = AT(cache), .words = caches,
		.path_at = AT(cache_path) },
};

static void disk_init(void *item)
{
	struct disk *disk = item;

	disk->queues = 1;
}

static int disk_check(void *item, struct diag *diag)
{
	const struct disk *disk = item;

	if (!disk->path && !disk->user)
		return diag_fail(diag, EINVAL, "no path given; name a file");
	if (disk->ro && disk->size)
		return diag_fail(diag, EINVAL, "what is ro cannot have another size; give one");
	return 0;
}

static const struct schema disk_schema = {
	.settings = disk_members,
	.n = ARRAY_SIZE(disk_members),
	.bare = "path",
	.size = sizeof(struct disk),
	.init = disk_init,
	.check = disk_check,
};

static const struct setting settings[] = {
	{ "disk", 0, SETTING_OBJECTS, ANYWHERE, .at = offsetof(struct machine, disks),
		.members = &disk_schema, .max = MAX_DISKS, .takes = "PATH[,ro][,serial=S]" },
	{ "boot", 0, SETTING_OBJECT, ANYWHERE, .at = offsetof(struct machine, boot),
		.members = &disk_schema },
};

static const struct schema machine_schema = { .settings = settings, .n = ARRAY_SIZE(settings) };
static const struct setting *const disk_setting = &settings[0], *const boot_setting = &settings[1];

static void machine_fini(struct machine *machine)
{
	for (size_t i = 0; i < machine_schema.n; i++)
		setting_clear(&settings[i], machine);
}

static const struct disk *disk_at(const struct machine *machine, size_t i)
{
	assert_true(i < machine->disks.n);
	return (const struct disk *)machine->disks.items + i;
}

static void add_disk(struct machine *machine, const char *text)
{
	struct diag diag = { "" };

	if (setting_set(disk_setting, machine, text, &diag))
		fail_msg("%s: %s", text, diag.text);
}

static void expect_refusal(const char *text, const char *message)
{
	struct machine machine = { 0 };
	struct diag diag = { "" };

	add_disk(&machine, "first");
	assert_int_equal(setting_set(disk_setting, &machine, text, &diag), -EINVAL);
	assert_string_equal(diag.text, message);
	/* No half of it is left. */
	assert_int_equal(machine.disks.n, 1);
	machine_fini(&machine);
}

static int apply(struct machine *machine, const char *text, struct diag *diag)
{
	return config_apply_json(&machine_schema, machine, "x", text, strlen(text), diag);
}

/* Every kind of member, and the defaults of those that are not named. */
static void test_grows(void **state)
{
	struct machine machine = { 0 };

	add_disk(&machine, "a.img");
	add_disk(&machine,
		"path=b.img,serial=12345678901234567890,hosts=h1,hosts=h2,size=1M,queues=4,cache=file:c");
	add_disk(&machine, "c.img,ro,user=on");
	assert_int_equal(machine.disks.n, 3);
	assert_string_equal(disk_at(&machine, 0)->path, "a.img");
	assert_int_equal(disk_at(&machine, 0)->queues, 1);
	assert_false(disk_at(&machine, 0)->ro);
	assert_null(disk_at(&machine, 0)->serial);
	assert_string_equal(disk_at(&machine, 1)->path, "b.img");
	assert_string_equal(disk_at(&machine, 1)->serial, "12345678901234567890");
	assert_string_equal(disk_at(&machine, 1)->hosts, "h1 h2");
	assert_int_equal(disk_at(&machine, 1)->size, MIB(1));
	assert_int_equal(disk_at(&machine, 1)->queues, 4);
	assert_int_equal(disk_at(&machine, 1)->cache, CACHE_FILE);
	assert_string_equal(disk_at(&machine, 1)->cache_path, "c");
	assert_true(disk_at(&machine, 2)->ro);
	assert_true(disk_at(&machine, 2)->user);
	machine_fini(&machine);
	assert_int_equal(machine.disks.n, 0);
	assert_null(machine.disks.items);
	/* It is usable again. */
	add_disk(&machine, "d.img");
	assert_string_equal(disk_at(&machine, 0)->path, "d.img");
	machine_fini(&machine);
}

/* What the first piece is, and commas in it. */
static void test_bare(void **state)
{
	static const struct {
		const char *text;
		const char *path;
		bool ro, user;
	} cases[] = {
		{ "a,ro", "a", true, false },
		{ "user", NULL, false, true },
		{ "user,path=a", "a", false, true },
		{ "path=ro", "ro", false, false },
		{ "path=ro,ro", "ro", true, false },
		{ "path=a=b", "a=b", false, false },
		/* A key that wants a value is not one here. */
		{ "serial", "serial", false, false },
		{ "a,,b", "a,b", false, false },
		{ "a,,", "a,", false, false },
		{ ",,a", ",a", false, false },
		{ "a,,,ro", "a,", true, false },
		{ "a,,,,b,ro", "a,,b", true, false },
		{ "path=a,,ro", "a,ro", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine machine = { 0 };

		add_disk(&machine, cases[i].text);
		if (cases[i].path)
			assert_string_equal(disk_at(&machine, 0)->path, cases[i].path);
		else
			assert_null(disk_at(&machine, 0)->path);
		assert_int_equal(disk_at(&machine, 0)->ro, cases[i].ro);
		assert_int_equal(disk_at(&machine, 0)->user, cases[i].user);
		machine_fini(&machine);
	}
}

static void test_refusals(void **state)
{
#define KEYS  "the keys are path, ro, user, serial, hosts, size, queues, cache"
#define COMMA "; a comma within a value is written ,,"
	expect_refusal("a,foo", "unknown key 'foo'; " KEYS COMMA);
	expect_refusal("foo=a", "unknown key 'foo'; " KEYS COMMA);
	expect_refusal("a,", "unknown key ''; " KEYS COMMA);
	expect_refusal("a,seriall=1", "unknown key 'seriall'; did you mean serial?");
	expect_refusal("a,path", "path needs a value");
	expect_refusal("", "path: the path is empty; name a file");
	expect_refusal(",ro", "path: the path is empty; name a file");
	expect_refusal("a,ro=1", "ro: '1' is not on or off");
	expect_refusal("a,serial=", "serial: '' has 0 bytes; give 1 to 20");
	expect_refusal("a,serial=123456789012345678901",
		"serial: '123456789012345678901' has 21 bytes; give 1 to 20");
	expect_refusal("a,queues=9", "queues: '9' is not a whole number from 1 to 8");
	expect_refusal("a,cache=all", "cache: 'all' is not none or file:PATH");
	expect_refusal("ro", "no path given; name a file");
	expect_refusal("a,size=1M,ro", "what is ro cannot have another size; give one");
#undef KEYS
#undef COMMA
}

static void test_limit(void **state)
{
	struct machine machine = { 0 };
	struct diag diag;

	for (size_t i = 0; i < MAX_DISKS; i++)
		add_disk(&machine, "a");
	assert_int_equal(setting_set(disk_setting, &machine, "b", &diag), -EINVAL);
	assert_string_equal(diag.text, "this would be one too many; there can be at most 3");
	assert_int_equal(machine.disks.n, MAX_DISKS);
	machine_fini(&machine);
}

/* An object that is no item of a list has bare member and check as well. */
static void test_one_object(void **state)
{
	struct machine machine = { 0 };
	struct diag diag;

	assert_int_equal(setting_set(boot_setting, &machine, "a,,b,serial=1", &diag), 0);
	assert_string_equal(machine.boot.path, "a,b");
	assert_string_equal(machine.boot.serial, "1");
	assert_int_equal(apply(&machine, "{\"boot\": {\"size\": 512}}", &diag), 0);
	assert_int_equal(machine.boot.size, 512);
	assert_int_equal(apply(&machine, "{\"boot\": {\"ro\": true}}", &diag), -EINVAL);
	assert_string_equal(
		diag.text, "x: line 1: \"boot\": what is ro cannot have another size; give one");
	machine_fini(&machine);
}

/* A copy is the same, and has nothing of what it was made of. */
static void test_copy(void **state)
{
	struct machine machine = { 0 };
	const struct disk *from;
	struct disk copy;
	struct diag diag;

	add_disk(&machine, "a,serial=S,hosts=h1,size=1K,queues=3,cache=file:c");
	from = disk_at(&machine, 0);
	assert_int_equal(schema_copy(&disk_schema, &copy, from, &diag), 0);
	assert_ptr_not_equal(copy.path, from->path);
	assert_ptr_not_equal(copy.cache_path, from->cache_path);
	machine_fini(&machine);
	assert_string_equal(copy.path, "a");
	assert_string_equal(copy.serial, "S");
	assert_string_equal(copy.hosts, "h1");
	assert_true(copy.size == 1024 && copy.queues == 3 && copy.cache == CACHE_FILE);
	assert_string_equal(copy.cache_path, "c");
	schema_clear(&disk_schema, &copy);
	assert_true(!copy.path && !copy.serial && !copy.hosts && !copy.cache_path);
}

static void test_usage(void **state)
{
	char usage[SETTING_USAGE];

	setting_usage(disk_setting, usage);
	assert_string_equal(usage, "PATH[,ro][,serial=S]");
}

/* A list takes the place of one before; the items are objects, texts, or both. */
static void test_json(void **state)
{
	static const struct {
		const char *text;
		const char *paths[MAX_DISKS];
	} cases[] = {
		{ "{\"disk\": []}", { NULL } },
		{ "{\"disk\": \"b,,c,ro\"}", { "b,c" } },
		{ "{\"disk\": {\"path\": \"b,c\", \"ro\": true}}", { "b,c" } },
		{ "{\"disk\": [{\"path\": \"b\"}, \"c,ro\", {\"path\": \"d\"}]}",
			{ "b", "c", "d" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine machine = { 0 };
		struct diag diag;
		size_t n = 0;

		add_disk(&machine, "a");
		add_disk(&machine, "a");
		assert_int_equal(apply(&machine, cases[i].text, &diag), 0);
		for (; n < MAX_DISKS && cases[i].paths[n]; n++) {
			assert_string_equal(disk_at(&machine, n)->path, cases[i].paths[n]);
			assert_int_equal(disk_at(&machine, n)->queues, 1);
		}
		assert_int_equal(machine.disks.n, n);
		machine_fini(&machine);
	}
}

static void test_json_members(void **state)
{
	struct machine machine = { 0 };
	struct diag diag;

	assert_int_equal(
		apply(&machine,
			"{\"disk\": [{\"path\": \"a\", \"serial\": \"S\", \"hosts\": [\"h1\", \"h2\"],"
			" \"size\": 1024, \"queues\": 2, \"cache\": \"file:c\", \"ro\": false}]}",
			&diag),
		0);
	assert_string_equal(disk_at(&machine, 0)->path, "a");
	assert_string_equal(disk_at(&machine, 0)->serial, "S");
	assert_string_equal(disk_at(&machine, 0)->hosts, "h1 h2");
	assert_int_equal(disk_at(&machine, 0)->size, 1024);
	assert_int_equal(disk_at(&machine, 0)->queues, 2);
	assert_string_equal(disk_at(&machine, 0)->cache_path, "c");
	machine_fini(&machine);
}

static void test_json_refusals(void **state)
{
#define NO_ITEM "the value is not an object, {...}, or a string"
	static const struct {
		const char *text;
		const char *message;
	} cases[] = {
		{ "{\"disk\": 1}", "x: line 1: \"disk\": " NO_ITEM },
		{ "{\"disk\": [\"a\",\n[\"b\"]]}", "x: line 2: \"disk\": item 2: " NO_ITEM },
		{ "{\"disk\": [\n\"a\",\n\"b,foo=1,ro\"\n]}",
			"x: line 3: \"disk\": item 2: unknown key 'foo'; the keys are path, ro,"
			" user, serial, hosts, size, queues, cache; a comma within a value is written ,," },
		{ "{\"disk\": [{\"path\": \"a\"},\n{\"path\": \"b\",\n\"seriall\": 1}]}",
			"x: line 3: \"disk\": item 2: \"seriall\": unknown key; did you mean \"serial\"?" },
		{ "{\"disk\":\n{\"path\": \"b\",\n\"serial\": 1}}",
			"x: line 3: \"disk\": \"serial\": the value is not a string" },
		/* Brackets, commas and quotes in strings are none. */
		{ "{\"disk\": [\"],[{\\\"\",\n\"user\",\n{}]}",
			"x: line 1: \"disk\": item 1: unknown key '[{\"'; the keys are path, ro,"
			" user, serial, hosts, size, queues, cache; a comma within a value is written ,," },
		{ "{\"disk\": [{\"path\": \"],[{\\\"\"},\n{\"hosts\": [\"a\", \"b\"],\n\"user\": true},\n{}]}",
			"x: line 4: \"disk\": item 3: no path given; name a file" },
		{ "{\"disk\": [\"a\", \"a\",\n\"a\",\n{}]}",
			"x: line 3: \"disk\": item 4: this would be one too many; there can be at most 3" },
		/* Of a key with escapes, the line of its item is known. */
		{ "{\"disk\": [\n{\"\\u0072o\": 1},\n{\"ro\": 1}]}",
			"x: line 2: \"disk\": item 1: \"ro\": the value is not true or false" },
		{ "{\"\\u0064isk\": [\n{\"ro\": 1}]}",
			"x: \"disk\": item 1: \"ro\": the value is not true or false" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine machine = { 0 };
		struct diag diag = { "" };

		assert_int_equal(apply(&machine, cases[i].text, &diag), -EINVAL);
		assert_string_equal(diag.text, cases[i].message);
		machine_fini(&machine);
	}
#undef NO_ITEM
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_one_object),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_members),
		cmocka_unit_test(test_json_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
