// SPDX-License-Identifier: MIT
/* cpuid_cache.c - what KVM said of this host's CPUID, kept from one run to the next */

#include "kvm/cpuid_cache.h"

#include "util/bits.h"
#include "util/file.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_ID      "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_SIZE 36

/* Leaf 1: the host is itself a virtual machine. */
#define ECX1_HYPERVISOR (1u << 31)

/* Not the APIC id in EBX: it is another on each processor. */
#define MAX_NAME (BOOT_ID_SIZE + 17 + 3 * 9 + 1)

static bool read_boot_id(char *id)
{
	int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && read(fd, id, BOOT_ID_SIZE) == BOOT_ID_SIZE;

	if (fd >= 0)
		close(fd);
	id[BOOT_ID_SIZE] = '\0';
	return ok && strspn(id, "0123456789abcdef-") == BOOT_ID_SIZE;
}

/* The module of this processor's kind: in sysfs each one loaded has an inode of its own, never
 * given again.  0: not one that is known here.
 */
static uintmax_t module_inode(void)
{
	static const char *const modules[] = { "/sys/module/kvm_amd", "/sys/module/kvm_intel",
		"/sys/module/kvm_pvm" };
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		if (!stat(modules[i], &st))
			return st.st_ino;
	return 0;
}

bool cpuid_cache_locate(struct cache *cache)
{
	char boot_id[BOOT_ID_SIZE + 1], host[MAX_NAME];
	unsigned int eax, ebx, ecx, edx;
	uintmax_t module;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & ECX1_HYPERVISOR))
		return false;
	module = module_inode();
	if (!module || !read_boot_id(boot_id))
		return false;
	snprintf(host, sizeof(host), "%s-%jx-%x-%x-%x", boot_id, module, eax, ecx, edx);
	return cache_locate_cpuid(cache, host);
}

static uint64_t size_of(const struct kvm_cpuid2 *cpuid)
{
	return sizeof(*cpuid) + cpuid->nent * (uint64_t)sizeof(cpuid->entries[0]);
}

bool cpuid_cache_read(const struct cache *cache, struct kvm_cpuid2 *cpuid)
{
	uint64_t room = size_of(cpuid), size;
	int fd = cache_find(cache, &size);
	bool ok;

	if (fd < 0)
		return false;
	ok = size >= sizeof(*cpuid) && size <= room && !file_read_at(fd, cpuid, size, 0) &&
	     size_of(cpuid) == size;
	close(fd);
	return ok;
}

int cpuid_cache_write(struct cache *cache, const struct kvm_cpuid2 *cpuid, struct diag *diag)
{
	int ret = cache_begin(cache, diag);

	if (ret < 0)
		return ret;
	cache_drop(cache); /* one that was found damaged */
	ret = cache_create(cache, diag);
	if (!ret) {
		ret = file_write_at(cache->new_fd, cpuid, size_of(cpuid), 0);
		if (ret < 0)
			cache_explain(cache, ret, diag);
	}
	if (!ret)
		ret = cache_publish(cache, size_of(cpuid), diag);
	cache_end(cache);
	return ret;
}
