// SPDX-License-Identifier: MIT
/* test_offer.c - what KVM offers, kept: for this host and no other */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kvm/cpu_state.h"
#include "kvm/kvm.h"
#include "kvm/offer.h"
#include "util/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_ENTRIES 3
#define DIR_SIZE  64
#define PATH_SIZE 128

static const struct offer_host this_host = {
	.boot = "0f2b7c0e-8a58-4a0a-9d5f-6f0b3c8b7f11",
	.device = 22,
	.inode = 8552,
	.cpuid = { 0xa00f11, 0, 0xfff, 0xffff },
};

static char dir[DIR_SIZE], path[PATH_SIZE];

union table {
	struct kvm_cpuid2 head;
	uint8_t space[sizeof(struct kvm_cpuid2) +
		      KVM_CPUID_MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
};

static union table kept, found;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/offer-XXXXXX");
	if (!mkdtemp(dir) || setenv("XDG_CACHE_HOME", dir, 1))
		return -1;
	snprintf(path, sizeof(path), "%s/pronto/" OFFER_FILE, dir);
	kept.head.nent = N_ENTRIES;
	for (uint32_t i = 0; i < N_ENTRIES; i++)
		kept.head.entries[i] = (struct kvm_cpuid_entry2){ .function = i, .eax = 0x100 + i };
	offer_keep(&this_host, &kept.head);
	return 0;
}

static int teardown(void **state)
{
	char command[PATH_SIZE];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static bool is_found(const struct offer_host *host)
{
	memset(&found, 0, sizeof(found));
	return offer_find(host, &found.head);
}

static void test_what_was_kept_is_found(void **state)
{
	(void)state;
	assert_true(is_found(&this_host));
	assert_int_equal(found.head.nent, N_ENTRIES);
	assert_memory_equal(
		found.head.entries, kept.head.entries, N_ENTRIES * sizeof(struct kvm_cpuid_entry2));
}

static void test_another_host_finds_nothing(void **state)
{
	struct offer_host other = this_host;

	(void)state;
	other.boot[35] ^= 1;
	assert_false(is_found(&other));
	other = this_host;
	other.inode++;
	assert_false(is_found(&other));
	other = this_host;
	other.device++;
	assert_false(is_found(&other));
	for (size_t i = 0; i < ARRAY_SIZE(other.cpuid); i++) {
		other = this_host;
		other.cpuid[i] ^= 1u << 9;
		assert_false(is_found(&other));
	}
	assert_true(is_found(&this_host));
}

static void test_the_last_is_kept(void **state)
{
	struct offer_host other = this_host;

	(void)state;
	other.inode++;
	kept.head.entries[0].eax = 7;
	offer_keep(&other, &kept.head);
	assert_true(is_found(&other));
	assert_int_equal(found.head.entries[0].eax, 7);
	assert_false(is_found(&this_host));
}

static void test_damage_is_not_taken(void **state)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint32_t most = KVM_CPUID_MAX_ENTRIES + 1;
	off_t size;

	(void)state;
	assert_true(fd >= 0 && !fstat(fd, &st));
	size = st.st_size;
	for (off_t cut = 0; cut < size; cut += 7) {
		assert_false(ftruncate(fd, size - cut - 1));
		assert_false(is_found(&this_host));
	}
	assert_false(ftruncate(fd, 0));
	assert_false(is_found(&this_host));
	close(fd);
	/* A count that the file has not, however large it is. */
	offer_keep(&this_host, &kept.head);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(
		pwrite(fd, &most, sizeof(most), 16 + sizeof(struct offer_host)), sizeof(most));
	assert_false(ftruncate(fd, 1 << 20));
	assert_false(is_found(&this_host));
	close(fd);
}

static void test_a_file_of_others_is_not_taken(void **state)
{
	char link_path[PATH_SIZE + 8];

	(void)state;
	assert_false(chmod(path, 0620));
	assert_false(is_found(&this_host));
	assert_false(chmod(path, 0600));
	assert_true(is_found(&this_host));
	snprintf(link_path, sizeof(link_path), "%s.other", path);
	assert_false(rename(path, link_path));
	assert_false(is_found(&this_host));
	assert_false(symlink(link_path, path));
	assert_false(is_found(&this_host));
	assert_false(unlink(path));
	assert_false(mkfifo(path, 0600));
	assert_false(is_found(&this_host));
}

static void test_no_place_is_no_failure(void **state)
{
	char file[PATH_SIZE];
	int fd;

	(void)state;
	snprintf(file, sizeof(file), "%s/file", dir);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	setenv("XDG_CACHE_HOME", file, 1);
	offer_keep(&this_host, &kept.head);
	assert_false(is_found(&this_host));
	setenv("XDG_CACHE_HOME", dir, 1);
	assert_true(is_found(&this_host));
	assert_false(unlink(path));
	setenv("PRONTO_CACHE_SIZE", "0", 1);
	offer_keep(&this_host, &kept.head);
	assert_false(is_found(&this_host));
	unsetenv("PRONTO_CACHE_SIZE");
	unsetenv("XDG_CACHE_HOME");
	unsetenv("HOME");
	offer_keep(&this_host, &kept.head);
	assert_false(is_found(&this_host));
}

/* Twice the same, and not a place of zeros; a host without KVM has none. */
static void test_the_host_is_known(void **state)
{
	static const struct offer_host none;
	struct offer_host first, second;

	(void)state;
	if (access("/sys/devices/virtual/misc/kvm", F_OK)) {
		assert_false(offer_host_find(&first));
		return;
	}
	assert_true(offer_host_find(&first) && offer_host_find(&second));
	assert_memory_equal(&first, &second, sizeof(first));
	assert_memory_not_equal(first.boot, none.boot, sizeof(none.boot));
	assert_int_not_equal(first.inode, 0);
	assert_int_not_equal(first.cpuid[0], 0);
}

/* What is taken from there is held against a snapshot as an answer of KVM's is. */
static void test_a_snapshot_of_another_host_is_refused(void **state)
{
	struct kvm_cpuid_entry2 more[] = { { .function = 0 }, { .function = 1, .edx = 1u << 9 } };
	struct diag diag;

	(void)state;
	kept.head.entries[0] = more[0];
	kept.head.entries[1] = (struct kvm_cpuid_entry2){ .function = 1, .edx = 1u << 8 };
	offer_keep(&this_host, &kept.head);
	assert_true(is_found(&this_host));
	assert_int_equal(cpu_state_check_cpuid(more, 2, &found.head, &diag), -ENOTSUP);
	assert_non_null(strstr(diag.text, "CPUID 0x1.0 EDX, bits 0x200"));
	more[1].edx = 1u << 8;
	assert_int_equal(cpu_state_check_cpuid(more, 2, &found.head, &diag), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_what_was_kept_is_found),
		TEST(test_another_host_finds_nothing),
		TEST(test_the_last_is_kept),
		TEST(test_damage_is_not_taken),
		TEST(test_a_file_of_others_is_not_taken),
		TEST(test_no_place_is_no_failure),
		TEST(test_the_host_is_known),
		TEST(test_a_snapshot_of_another_host_is_refused),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
