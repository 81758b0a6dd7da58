// SPDX-License-Identifier: MIT
/* test_cpuid_cache.c - the host's CPUID: kept, found, and never mistaken for another's */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kvm/cpuid_cache.h"
#include "util/bits.h"

#include <cpuid.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST "0123-abc-1"

union table {
	struct kvm_cpuid2 cpuid;
	uint8_t space[sizeof(struct kvm_cpuid2) + 4 * sizeof(struct kvm_cpuid_entry2)];
};

static char home[64];

static int set_up(void **state)
{
	snprintf(home, sizeof(home), "/tmp/pronto-test-XXXXXX");
	assert_non_null(mkdtemp(home));
	return setenv("XDG_CACHE_HOME", home, 1);
}

static int tear_down(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", home);
	return system(command);
}

static struct cache locate(const char *host)
{
	struct cache cache;

	assert_true(cache_locate_cpuid(&cache, host));
	return cache;
}

static void keep(const char *host, uint32_t nent)
{
	struct cache cache = locate(host);
	union table table = { .cpuid.nent = nent };
	struct diag diag;

	for (uint32_t i = 0; i < nent; i++)
		table.cpuid.entries[i].function = 100 + i;
	assert_int_equal(cpuid_cache_write(&cache, &table.cpuid, &diag), 0);
}

static bool find(const char *host, uint32_t room, uint32_t nent)
{
	struct cache cache = locate(host);
	union table table = { .cpuid.nent = room };

	if (!cpuid_cache_read(&cache, &table.cpuid))
		return false;
	assert_int_equal(table.cpuid.nent, nent);
	for (uint32_t i = 0; i < nent; i++)
		assert_int_equal(table.cpuid.entries[i].function, 100 + i);
	return true;
}

static void path_of(const char *host, char *path, size_t size)
{
	struct cache cache = locate(host);

	assert_true((size_t)snprintf(path, size, "%s/%s", cache.dir, cache.entry) < size);
}

static void test_found_by_its_host_only(void **state)
{
	assert_false(find(HOST, 4, 3));
	keep(HOST, 3);
	assert_true(find(HOST, 4, 3));
	assert_true(find(HOST, 3, 3));
	assert_false(find("0123-abc-2", 4, 3));
	keep(HOST, 3); /* somebody was faster */
	assert_true(find(HOST, 4, 3));
}

static void test_too_large_for_the_table(void **state)
{
	keep(HOST, 4);
	assert_false(find(HOST, 3, 3));
}

/* What was cut, extended, or changed after it was finished is not believed, and made anew. */
static void test_damaged(void **state)
{
	static const char *const how[] = { "truncate -s 50 %s", "truncate -s +1 %s", "touch %s",
		"truncate -s 0 %s", "chmod 0666 %s", "printf x | dd conv=notrunc of=%s 2>&1" };
	char path[PATH_MAX + 200], command[PATH_MAX + 300];

	for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
		keep(HOST, 3);
		assert_true(find(HOST, 4, 3));
		path_of(HOST, path, sizeof(path));
		assert_int_equal(chmod(path, 0600), 0);
		snprintf(command, sizeof(command), how[i], path); // NOLINT: our own formats
		assert_int_equal(system(command), 0);
		assert_false(find(HOST, 4, 3));
	}
}

/* Whole, of the right time, and lying about its own length. */
static void test_lying_about_its_length(void **state)
{
	static const struct timespec times[2];
	char path[PATH_MAX + 200];
	uint32_t nent;
	int fd;

	for (nent = 0; nent < 5; nent++) {
		keep(HOST, 3);
		path_of(HOST, path, sizeof(path));
		assert_int_equal(chmod(path, 0600), 0);
		fd = open(path, O_WRONLY);
		assert_int_equal(pwrite(fd, &nent, sizeof(nent), 0), sizeof(nent));
		assert_int_equal(futimens(fd, times), 0);
		close(fd);
		assert_int_equal(find(HOST, 4, 3), nent == 3);
	}
}

static void test_this_host(void **state)
{
	struct cache cache, again;
	unsigned int eax, ebx, ecx = 0, edx;

	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
	if (!(ecx >> 31)) {
		assert_false(cpuid_cache_locate(&cache)); /* bare metal */
		return;
	}
	if (access("/sys/module/kvm_amd", F_OK) && access("/sys/module/kvm_intel", F_OK) &&
		access("/sys/module/kvm_pvm", F_OK)) {
		assert_false(cpuid_cache_locate(&cache)); /* it cannot be told from others */
		return;
	}
	assert_true(cpuid_cache_locate(&cache));
	assert_true(cpuid_cache_locate(&again));
	assert_string_equal(cache.entry, again.entry);
	unsetenv("XDG_CACHE_HOME");
	unsetenv("HOME");
	assert_false(cpuid_cache_locate(&cache));
}

/* Those of former boots go when there is no room. */
static void test_ages_out(void **state)
{
	setenv("PRONTO_CACHE_SIZE", "200", 1);
	keep(HOST, 3);
	assert_true(find(HOST, 4, 3));
	keep("0123-abc-2", 3);
	assert_false(find(HOST, 4, 3));
	assert_true(find("0123-abc-2", 4, 3));
	unsetenv("PRONTO_CACHE_SIZE");
}

/* The directory cannot be: the caller goes on without it. */
static void test_no_place(void **state)
{
	union table table = { .cpuid.nent = 1 };
	struct cache cache;
	struct diag diag;

	setenv("XDG_CACHE_HOME", "/dev/null", 1);
	cache = locate(HOST);
	assert_true(cpuid_cache_write(&cache, &table.cpuid, &diag) < 0);
	assert_non_null(strstr(diag.text, "/dev/null"));
	assert_false(find(HOST, 4, 3));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_found_by_its_host_only),
		TEST(test_too_large_for_the_table),
		TEST(test_damaged),
		TEST(test_lying_about_its_length),
		TEST(test_ages_out),
		TEST(test_this_host),
		TEST(test_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
