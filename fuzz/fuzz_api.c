// SPDX-License-Identifier: MIT
/* fuzz_api.c - what a client sends to the control API: HTTP, paths, JSON
 *
 * The input's first byte says in pieces of which size the rest arrives.  There is no VMM: what
 * would start or ask one is answered here.
 */

#include "api/api.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of vmm.c. */
int vmm_start(struct api *api, struct http_answer *answer, struct diag *diag)
{
	struct config config;
	int ret;

	config_init(&config);
	ret = objects_to_config(&api->objects, &config, diag);
	config_fini(&config);
	if (ret)
		return ret;
	api->state = API_RUNNING;
	http_send(answer, 204, NULL);
	return 0;
}

int vmm_restore(struct api *api, struct restore *restore, uint64_t, struct http_answer *answer,
	struct diag *)
{
	objects_take_machine(&api->objects, &restore->objects);
	api->state = API_PAUSED;
	http_send(answer, 204, NULL);
	return 0;
}

int vmm_ask(struct api *, const struct link_message *, const struct link_files *,
	struct http_answer *answer, json_t *object, json_t *change, struct diag *)
{
	if (change)
		objects_note_change(object, change);
	http_send(answer, 204, NULL);
	return 0;
}

void vmm_drop_snapshot(struct api *)
{
}

void vmm_signal(const struct api *, int)
{
}

struct fuzz {
	struct api api;
	int door, client;
};

static void is_quiet(void *ctx)
{
	struct fuzz *fuzz = ctx;

	loop_stop(&fuzz->api.loop);
}

static void serve(struct fuzz *fuzz)
{
	fuzz->api.loop.stopped = false;
	loop_when_quiet(&fuzz->api.loop, 0, is_quiet, fuzz);
	BUG_ON(loop_run(&fuzz->api.loop));
}

static void set_up(struct fuzz *fuzz, const struct api_spec *spec)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(at.sun_family);
	struct diag diag;

	fuzz->api.spec = spec;
	objects_init(&fuzz->api.objects);
	LIST_INIT(&fuzz->api.streams);
	metrics_init(&fuzz->api.metrics);
	metadata_init(&fuzz->api.metadata, &fuzz->api.loop, 512);
	STAILQ_INIT(&fuzz->api.pending);
	BUG_ON(loop_init(&fuzz->api.loop));
	/* An abstract name that the kernel chooses. */
	fuzz->door = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	BUG_ON(bind(fuzz->door, (struct sockaddr *)&at, size) || listen(fuzz->door, 1));
	size = sizeof(at);
	BUG_ON(getsockname(fuzz->door, (struct sockaddr *)&at, &size));
	fuzz->api.http = http_open(
		&fuzz->api.loop, fuzz->door, "x", spec->max_body, &api_http_ops, &fuzz->api, &diag);
	BUG_ON(!fuzz->api.http);
	/* Nobody opens files: what is asked of it does not arrive. */
	fuzz->api.files.helper.fd = fuzz->door;
	fuzz->client = socket(AF_UNIX, SOCK_STREAM, 0);
	BUG_ON(connect(fuzz->client, (struct sockaddr *)&at, size));
}

static void hear(const struct fuzz *fuzz)
{
	char answer[4096];

	while (recv(fuzz->client, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct api_spec spec = { .id = "x", .fd = -1, .max_body = 1024 };
	struct fuzz fuzz = { 0 };
	size_t piece = size ? data[0] + 1u : 1;

	set_up(&fuzz, &spec);
	for (size_t at = 1; at < size; at += piece) {
		if (send(fuzz.client, data + at, size - at < piece ? size - at : piece,
			    MSG_NOSIGNAL) < 0)
			break;
		serve(&fuzz);
		hear(&fuzz);
	}
	shutdown(fuzz.client, SHUT_WR);
	serve(&fuzz);
	hear(&fuzz);
	close(fuzz.client);
	serve(&fuzz);
	http_close(fuzz.api.http);
	close(fuzz.door);
	metadata_fini(&fuzz.api.metadata);
	metrics_fini(&fuzz.api.metrics);
	objects_fini(&fuzz.api.objects);
	loop_fini(&fuzz.api.loop);
	return 0;
}
