// SPDX-License-Identifier: MIT
/* metadata.c - the machine's metadata service, as clients of the API configure and fill it */

#include "api/metadata.h"

#include "api/object_parts.h"
#include "host/tap.h"
#include "util/error.h"
#include "util/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

void metadata_init(struct metadata *metadata, struct loop *loop, size_t limit)
{
	*metadata = (struct metadata){ .loop = loop };
	mmds_store_init(&metadata->store, limit);
}

void metadata_fini(struct metadata *metadata)
{
	metadata_end(metadata);
	mmds_store_fini(&metadata->store);
}

int metadata_check(const struct objects *objects, const json_t *config, struct diag *diag)
{
	const json_t *names = json_object_get(config, "network_interfaces"), *name;
	size_t i;

	json_array_foreach((json_t *)names, i, name)
	{
		const char *id = json_string_value(name);
		int index;

		if (!id || !objects_find(objects, OBJECT_NET, id, &index))
			return diag_fail(diag, EINVAL,
				"The list of network interface IDs provided contains at least one ID "
				"that does not correspond to any existing network interface: %.64s",
				id ? id : "no text");
	}
	if (i > MMDS_MAX_NETS)
		return diag_fail(diag, EINVAL, "At most %u network interfaces can reach the MMDS.",
			MMDS_MAX_NETS);
	return 0;
}

static bool needs_token(const struct objects *objects)
{
	const char *version = text_of(objects->of[OBJECT_MMDS], "version");

	return version && !strcmp(version, "V2");
}

static struct in_addr address_of(const struct objects *objects)
{
	const char *text = text_of(objects->of[OBJECT_MMDS], "ipv4_address");
	struct in_addr address = { 0 };

	if (text)
		inet_pton(AF_INET, text, &address);
	return address;
}

/* ---- its life ---- */

static void service_ended(void *ctx, uint32_t)
{
	struct metadata *metadata = ctx;
	struct diag how;

	child_describe_end(&metadata->service.child, &how);
	log_error("the metadata service has ended: %s; guests get no answer from it any more",
		how.text);
	metadata_end(metadata);
}

int metadata_start(struct metadata *metadata, const struct objects *objects, struct diag *diag)
{
	const json_t *config = objects->of[OBJECT_MMDS], *name;
	int ret;
	size_t i;

	if (!config)
		return 0;
	ret = metadata_check(objects, config, diag);
	if (ret)
		return ret;
	metadata->n = 0;
	json_array_foreach(json_object_get(config, "network_interfaces"), i, name)
	{
		int index;

		objects_find(objects, OBJECT_NET, json_string_value(name), &index);
		metadata->item[metadata->n++] = (unsigned int)index;
	}
	metadata->store.is_imds = flag_of(config, "imds_compat");
	ret = mmds_start(&metadata->service, address_of(objects), metadata->n, diag);
	if (ret)
		return ret;
	metadata->is_there = true;
	metadata->ended = (struct loop_source){
		.fd = metadata->service.child.pidfd,
		.ready = service_ended,
		.ctx = metadata,
	};
	ret = loop_add(metadata->loop, &metadata->ended, EPOLLIN);
	ret = ret ? diag_fail(diag, -ret, "epoll: %s", error_text(-ret))
	          : metadata_changed(metadata, objects, diag);
	if (ret)
		metadata_end(metadata);
	return ret;
}

void metadata_end(struct metadata *metadata)
{
	if (!metadata->is_there)
		return;
	metadata->is_there = false;
	loop_remove(metadata->loop, &metadata->ended);
	mmds_end(&metadata->service);
}

int metadata_changed(struct metadata *metadata, const struct objects *objects, struct diag *diag)
{
	if (!metadata->is_there)
		return 0;
	return mmds_update(&metadata->service, &metadata->store, needs_token(objects), diag);
}

/* ---- the VMM's part ---- */

int metadata_adopt(struct metadata *metadata, const struct objects *objects, int first,
	struct config *config, struct diag *diag)
{
	struct net_options *nets = config->devices[DEVICE_net].items;

	for (unsigned int i = 0; i < metadata->n; i++) {
		struct net_mmds_options *options = &metadata->options[i];

		options->address = address_of(objects);
		options->link = tap_adopt(first + (int)i, diag);
		if (!options->link)
			return -EIO;
		nets[metadata->item[i]].mmds = options;
	}
	return 0;
}

void metadata_gave(struct metadata *metadata)
{
	for (unsigned int i = 0; i < metadata->n; i++) {
		close(metadata->service.tap_fd[i]);
		metadata->service.tap_fd[i] = -1;
	}
}
