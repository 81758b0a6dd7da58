/* SPDX-License-Identifier: MIT */
/* pagemap_scan.h - what the kernel's headers have since Linux 6.7, for who builds with older ones
 *
 * Source: linux/fs.h (PAGEMAP_SCAN), linux/userfaultfd.h.
 */
#ifndef UTIL_PAGEMAP_SCAN_H
#define UTIL_PAGEMAP_SCAN_H

#include <linux/fs.h>
#include <linux/userfaultfd.h>
#include <stdint.h>

#ifndef PAGEMAP_SCAN
struct page_region {
	uint64_t start, end, categories;
};

struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted,
		category_mask, category_anyof_mask, return_mask;
};

#define PAGEMAP_SCAN          _IOWR('f', 16, struct pm_scan_arg)
#define PM_SCAN_WP_MATCHING   1
#define PM_SCAN_CHECK_WPASYNC 2
#define PAGE_IS_WRITTEN       2
#endif

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#endif
