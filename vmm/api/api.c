// SPDX-License-Identifier: MIT
/* api.c - the API's process */

#include "api/api.h"

#include "api/object_parts.h"
#include "confine/confine.h"
#include "exit_codes.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/listener.h"
#include "util/log.h"
#include "util/schema.h"
#include "util/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG SOMAXCONN
#define SERVER  "Firecracker API"

const char *api_state_name(enum api_state state)
{
	switch (state) {
	case API_RUNNING: return "Running";
	case API_PAUSED: return "Paused";
	default: return "Not started";
	}
}

void api_send_fault(struct http_answer *answer, int status, const char *fault)
{
	log_info("Received Error. Status code: %d %s. Message: %s", status,
		http_status_text(status), fault);
	http_send(answer, status, json_pack("{s:s}", "fault_message", fault));
}

void api_restore_failed(struct api *api)
{
	if (!api->spec->as_firecracker)
		return;
	api->status = EXIT_HOST_ERROR;
	loop_stop(&api->loop);
}

void api_tell(struct api *api, const char *event, json_t *fields)
{
	struct api_stream *stream;
	json_t *line = json_pack(
		"{s:s, s:I}", "event", event, "monotonic_ns", (json_int_t)timeline_now());
	char *text;

	json_object_update(line, fields);
	json_decref(fields);
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	LIST_FOREACH(stream, &api->streams, next)
	http_stream_line(stream->answer, text);
	free(text);
}

int api_open_sink(const char *path, struct diag *diag)
{
	int fd = open(path, O_RDWR | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? diag_fail(diag, errno, "%.200s: cannot open: %s", path, error_text(errno))
	              : fd;
}

void api_send_metrics(struct api *api, struct http_answer *answer)
{
	char *text = metrics_show(api);

	http_send_text(answer, text ? 200 : 500, "text/plain; version=0.0.4", text);
	free(text);
}

int api_set_log(struct api *api, const char *path, const char *level, struct diag *diag)
{
	static const struct word levels[] = {
		{ "off", LOG_LEVEL_ERROR },
		{ "error", LOG_LEVEL_ERROR },
		{ "warn", LOG_LEVEL_WARN },
		{ "warning", LOG_LEVEL_WARN },
		{ "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
		{ "trace", LOG_LEVEL_DEBUG },
		{ NULL, 0 },
	};
	const struct word *word = levels;
	int fd, ret;

	while (level && word->word && strcasecmp(word->word, level))
		word++;
	if (!word->word)
		return diag_fail(diag, EINVAL,
			"unknown level `%.16s`, expected one of `Off`, `Trace`, `Debug`, `Info`, "
			"`Warn`, `Error`",
			level);
	if (path) {
		fd = api_open_sink(path, diag);
		if (fd < 0)
			return fd;
		ret = log_use(fd);
		close(fd);
		if (ret)
			return diag_fail(diag, -ret, "%.200s: %s", path, error_text(-ret));
	}
	if (level) {
		api->log_level = (enum log_level)word->value;
		log_set_level(api->log_level);
	}
	return 0;
}

int api_use_logger(struct api *api, const json_t *logger, struct diag *diag)
{
	int ret = api_set_log(api, text_of(logger, "log_path"), text_of(logger, "level"), diag);

	if (ret)
		return ret;
	api->show_level = flag_of(logger, "show_level");
	api_name_messages(api, "fc_api");
	return 0;
}

void api_name_messages(const struct api *api, const char *part)
{
	if (api->spec->as_firecracker)
		log_set_name(api->spec->id, part, api->show_level);
}

static void client_gone(void *ctx, struct http_answer *answer)
{
	struct api *api = ctx;
	struct api_pending *pending;
	struct api_stream *stream;

	STAILQ_FOREACH(pending, &api->pending, next)
	if (pending->answer == answer)
		pending->answer = NULL;
	if (api->saving == answer)
		api->saving = NULL;
	LIST_FOREACH(stream, &api->streams, next)
	{
		if (stream->answer == answer) {
			LIST_REMOVE(stream, next);
			free(stream);
			return;
		}
	}
}

static void client_answered(void *ctx, unsigned int tag, int status)
{
	struct api *api = ctx;

	api->requests[tag - 1].n++;
	api->requests[tag - 1].n_failed += status >= 400;
	if (status < 400)
		log_info("The request was executed successfully. Status code: %d %s.", status,
			http_status_text(status));
}

const struct http_ops api_http_ops = {
	.request = api_request,
	.gone = client_gone,
	.answered = client_answered,
};

/* ---- what it gives up ---- */

static bool is_filtered(const struct api_spec *spec)
{
	return spec->confine != CONFINE_OFF && spec->confine != CONFINE_BASIC && filter_is_there();
}

/* What this host lacks the machine's process has told, or refused to do without. */
void api_close_in(struct api *api)
{
	struct diag diag;

	if (files_start(&api->files, &diag))
		log_warn("no file can be opened any more: %s", diag.text);
	if (!is_filtered(api->spec))
		return;
	confine_settle();
	log_prepare();
	if (api->spec->confine == CONFINE_TELL)
		confine_tell();
	(void)confine_close_in(CONFINE_MAY_SIGNAL, &diag);
	confine_thread(FILTER_API, api->spec->confine == CONFINE_TELL);
}

/* ---- the process ---- */

struct server {
	struct api api;
	struct listener listener;
	struct loop_source signals; /* signalfd */
};

/* Firecracker ends at once; otherwise the VMM gives its guest the time that it has. */
static void signal_ready(void *ctx, uint32_t)
{
	struct server *server = ctx;
	struct api *api = &server->api;
	struct signalfd_siginfo info;

	if (read(server->signals.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (api->vmm && !api->spec->as_firecracker) {
		vmm_signal(api, (int)info.ssi_signo);
		return;
	}
	log_info("ended by a signal");
	vmm_signal(api, SIGKILL);
	api->status = EXIT_KILLED;
	loop_stop(&api->loop);
}

static int watch_signals(struct server *server)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	struct sigaction action;
	sigset_t set;

	/* What our parent had us ignore stays ignored. */
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (!sigaction(ends[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(&set, ends[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	server->signals = (struct loop_source){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.ready = signal_ready,
		.ctx = server,
	};
	if (server->signals.fd < 0)
		return -errno;
	return loop_add(&server->api.loop, &server->signals, EPOLLIN);
}

static int listen_at(struct server *server, const char *path, struct diag *diag)
{
	int ret = listener_open(&server->listener, path, BACKLOG);

	if (ret == -EADDRINUSE)
		return diag_fail(diag, EINVAL,
			"Failed to open the API socket at: %s. Check that it is not already used.",
			path);
	return ret ? diag_fail(diag, -ret, "%s: cannot listen: %s", path, error_text(-ret)) : 0;
}

static int open_socket(struct server *server, struct diag *diag)
{
	const struct api_spec *spec = server->api.spec;
	int fd = spec->fd, ret = 0;

	if (fd < 0 && !spec->socket)
		return 0;
	if (fd < 0)
		ret = listen_at(server, spec->socket, diag);
	if (ret)
		return ret;
	server->api.http = http_open(&server->api.loop, fd < 0 ? server->listener.fd : fd, SERVER,
		spec->max_body, &api_http_ops, &server->api, diag);
	return server->api.http ? 0 : -ENOMEM;
}

/* Where messages and metrics go, by the command line and by a --config-file. */
static int open_sinks(struct api *api, struct diag *diag)
{
	const json_t *logger = api->objects.of[OBJECT_LOGGER];
	const char *metrics = text_of(api->objects.of[OBJECT_METRICS], "metrics_path");
	int ret = api_set_log(api, api->spec->log_path, api->spec->level, diag);

	if (!ret && logger)
		ret = api_use_logger(api, logger, diag);
	if (!ret && api->spec->metrics_path)
		ret = metrics_open(&api->metrics, api->spec->metrics_path, diag);
	if (!ret && metrics)
		ret = metrics_open(&api->metrics, metrics, diag);
	return ret;
}

static void note_ready(struct api *api)
{
	struct timespec cpu = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	api->metrics.ready_us = (timeline_now() - api->spec->since_ns) / 1000;
	api->metrics.ready_cpu_us = api->spec->cpu_before_us + (uint64_t)cpu.tv_sec * 1000000 +
	                            (uint64_t)cpu.tv_nsec / 1000;
}

static int run(struct server *server, bool start, struct diag *diag)
{
	int ret = watch_signals(server);

	if (ret)
		return diag_fail(diag, -ret, "signalfd: %s", error_text(-ret));
	server->api.show_level = server->api.spec->show_level;
	api_name_messages(&server->api, "fc_api");
	ret = open_sinks(&server->api, diag);
	if (ret)
		return ret;
	log_info("Running Firecracker v" API_FIRECRACKER_VERSION " (Pronto " PRONTO_VERSION ")");
	if (server->api.spec->metadata)
		ret = mmds_store_put(&server->api.metadata.store, server->api.spec->metadata, diag);
	if (ret)
		return ret;
	ret = open_socket(server, diag);
	if (!ret && server->api.http)
		log_info("API server started.");
	note_ready(&server->api);
	if (!ret && start)
		ret = vmm_start(&server->api, NULL, diag);
	if (ret)
		return ret;
	ret = loop_run(&server->api.loop);
	return ret ? diag_fail(diag, -ret, "epoll: %s", error_text(-ret)) : 0;
}

int api_serve(const struct api_spec *spec, struct objects *objects, bool start)
{
	struct server server = {
		.api = { .spec = spec,
			.objects = *objects,
			.link.fd = -1,
			.log_level = spec->log_level },
		.listener.fd = -1,
		.signals.fd = -1,
	};
	struct diag diag;
	int ret = loop_init(&server.api.loop);

	STAILQ_INIT(&server.api.pending);
	LIST_INIT(&server.api.streams);
	metrics_init(&server.api.metrics);
	files_init(&server.api.files, &server.listener, is_filtered(spec));
	metadata_init(&server.api.metadata, &server.api.loop, spec->mmds_limit);
	if (ret)
		diag_fail(&diag, -ret, "epoll: %s", error_text(-ret));
	else
		ret = run(&server, start, &diag);
	if (ret) {
		log_error("%s", diag.text);
		server.api.status = (int)exit_code_of(-ret);
	}
	metrics_end(&server.api);
	http_close(server.api.http);
	files_end(&server.api.files);
	if (server.listener.fd >= 0)
		close(server.listener.fd);
	if (server.signals.fd >= 0)
		close(server.signals.fd);
	metadata_fini(&server.api.metadata);
	metrics_fini(&server.api.metrics);
	objects_fini(&server.api.objects);
	loop_fini(&server.api.loop);
	return server.api.status;
}
