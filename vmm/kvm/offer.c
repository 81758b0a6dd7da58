// SPDX-License-Identifier: MIT
/* offer.c - what this host's KVM offers by CPUID, kept from one run to the next */

#include "kvm/offer.h"

#include "kvm/kvm.h"
#include "util/bits.h"
#include "util/cachedir.h"
#include "util/file.h"
#include "util/newfile.h"

#include <cpuid.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC        "pronto cpuid 1"
#define BOOT_ID      "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_SIZE 36
/* Is made anew whenever KVM registers its device, and kernfs numbers what it makes without using a
 * number again.
 */
#define REGISTERED "/sys/devices/virtual/misc/kvm"

#define ECX1_OSXSAVE (1u << 27) /* follows the kernel that runs */

_Static_assert(sizeof(struct offer_host) == 40 + 2 * 8 + 4 * 4, "it is compared as bytes");

/* n entries follow. */
struct kept {
	char magic[16];
	struct offer_host host;
	uint32_t n;
};

static size_t entries_size(uint32_t n)
{
	return n * sizeof(struct kvm_cpuid_entry2);
}

bool offer_host_find(struct offer_host *host)
{
	int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	uint32_t *cpuid = host->cpuid;
	ssize_t n = 0;
	struct stat st;

	*host = (struct offer_host){ 0 };
	if (fd >= 0) {
		n = read(fd, host->boot, BOOT_ID_SIZE);
		close(fd);
	}
	if (n != BOOT_ID_SIZE || stat(REGISTERED, &st))
		return false;
	host->device = st.st_dev;
	host->inode = st.st_ino;
	__cpuid(1, cpuid[0], cpuid[1], cpuid[2], cpuid[3]);
	cpuid[1] = 0; /* which processor of the host it was that we were on */
	cpuid[2] &= ~ECX1_OSXSAVE;
	return true;
}

/* The directory, or -1. */
static int open_dir(void)
{
	char path[PATH_MAX];
	struct diag why;

	return cachedir_find(path, sizeof(path)) ? cachedir_open(path, geteuid(), &why) : -1;
}

static bool is_ours(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && cachedir_trusts(&st, geteuid());
}

static bool is_of(const struct kept *kept, const struct offer_host *host)
{
	static const char magic[sizeof(kept->magic)] = MAGIC;

	return !memcmp(kept->magic, magic, sizeof(magic)) &&
	       !memcmp(&kept->host, host, sizeof(*host)) && kept->n > 0 &&
	       kept->n <= KVM_CPUID_MAX_ENTRIES;
}

static bool read_kept(int fd, const struct offer_host *host, struct kvm_cpuid2 *table)
{
	struct kept kept;
	struct iovec part[] = {
		{ &kept, sizeof(kept) },
		{ table->entries, entries_size(KVM_CPUID_MAX_ENTRIES) },
	};
	ssize_t n = readv(fd, part, ARRAY_SIZE(part));

	if (n < (ssize_t)sizeof(kept) || !is_of(&kept, host) ||
		n != (ssize_t)(sizeof(kept) + entries_size(kept.n)))
		return false;
	table->nent = kept.n;
	return true;
}

bool offer_find(const struct offer_host *host, struct kvm_cpuid2 *table)
{
	int dir = open_dir(), fd;
	bool found;

	if (dir < 0)
		return false;
	fd = openat(dir, OFFER_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	close(dir);
	if (fd < 0)
		return false;
	found = is_ours(fd) && read_kept(fd, host, table);
	close(fd);
	return found;
}

static void write_kept(int dir, const struct kept *kept, const struct kvm_cpuid2 *table)
{
	struct newfile file;

	if (newfile_create(&file, dir, 0600, false))
		return;
	if (!file_write_at(file.fd, kept, sizeof(*kept), 0) &&
		!file_write_at(file.fd, table->entries, entries_size(kept->n), sizeof(*kept)))
		(void)newfile_replace(&file, OFFER_FILE);
	newfile_discard(&file);
}

void offer_keep(const struct offer_host *host, const struct kvm_cpuid2 *table)
{
	struct kept kept = { .magic = MAGIC, .host = *host, .n = table->nent };
	char path[PATH_MAX];
	struct diag why;
	uint64_t most;
	int dir;

	if (cachedir_max_size(&most, &why) || most < sizeof(kept) + entries_size(kept.n))
		return;
	if (!cachedir_find(path, sizeof(path)) || cachedir_make(path, &why))
		return;
	dir = cachedir_open(path, geteuid(), &why);
	if (dir < 0)
		return;
	write_kept(dir, &kept, table);
	close(dir);
}
