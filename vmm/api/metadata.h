/* SPDX-License-Identifier: MIT */
/* metadata.h - the machine's metadata service, as clients of the API configure and fill it
 *
 * The service itself is mmds.h's.  It is there from a start that wants it to the machine's end.
 */
#ifndef API_METADATA_H
#define API_METADATA_H

#include "api/mmds.h"
#include "api/objects.h"
#include "config/config.h"
#include "dev/net_mmds.h"
#include "loop/loop.h"
#include "util/diag.h"

struct metadata {
	struct mmds_store store;
	struct mmds service;
	bool is_there;            /* the service is */
	struct loop_source ended; /* its child's pidfd */
	struct loop *loop;
	unsigned int n;
	unsigned int item[MMDS_MAX_NETS]; /* which interfaces reach it, in the order of its taps */
	struct net_mmds_options options[MMDS_MAX_NETS]; /* theirs, in the VMM's process */
};

void metadata_init(struct metadata *metadata, struct loop *loop, size_t limit);
void metadata_fini(struct metadata *metadata);

/* Whether the interfaces that the objects name are there.  -EINVAL and diag. */
int metadata_check(const struct objects *objects, const json_t *config, struct diag *diag);

/* Start it if the objects want it.  -errno and diag. */
int metadata_start(struct metadata *metadata, const struct objects *objects, struct diag *diag);
void metadata_end(struct metadata *metadata);

/* The store is not as it was. */
int metadata_changed(struct metadata *metadata, const struct objects *objects, struct diag *diag);

/* In the VMM's process: give its taps, which are the descriptors from `first` on, to the interfaces
 * of these settings.  -errno and diag.
 */
int metadata_adopt(struct metadata *metadata, const struct objects *objects, int first,
	struct config *config, struct diag *diag);
/* In the other: they are given away. */
void metadata_gave(struct metadata *metadata);

#endif
