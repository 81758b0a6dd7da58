// SPDX-License-Identifier: MIT
/* vmm.c - the VMM's process, as the API's has it: its start, what it is asked, its end */

#include "api/agent.h"
#include "api/api.h"
#include "exit_codes.h"
#include "util/error.h"
#include "util/log.h"
#include "util/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK         200
#define NO_CONTENT 204
#define BAD        400

/* ---- answers ---- */

static void forget_pending(struct api *api, struct api_pending *pending)
{
	STAILQ_REMOVE(&api->pending, pending, api_pending, next);
	json_decref(pending->object);
	json_decref(pending->change);
	free(pending);
}

static const char *fault_prefix(enum link_ask ask)
{
	switch (ask) {
	case LINK_START: return "Start microvm error: ";
	case LINK_UPDATE:
	case LINK_COMMAND:
	case LINK_STATS: return "Device update error: ";
	case LINK_SNAPSHOT: return "Create snapshot error: ";
	case LINK_FORK: return "Fork error: ";
	default: return "Internal VMM error: ";
	}
}

static void send_answer(
	struct http_answer *answer, enum link_ask ask, const struct link_message *message)
{
	char fault[LINK_TEXT + 64];

	if (message->result) {
		snprintf(fault, sizeof(fault), "%s%s", fault_prefix(ask), message->text);
		api_send_fault(answer, BAD, fault);
	} else if (message->text[0]) {
		json_t *body = json_loads(message->text, 0, NULL);

		http_send(answer, body ? OK : BAD, body);
	} else {
		http_send(answer, NO_CONTENT, NULL);
	}
}

/* Whoever has asked for them, or nobody: they are due at the start, and from time to time. */
static void take_counts(
	struct api *api, const struct link_message *message, struct http_answer *answer)
{
	struct diag diag, why;
	int ret;

	metrics_take(&api->metrics, message);
	if (message->ask == LINK_COUNT) {
		if (answer)
			api_send_metrics(api, answer);
		return;
	}
	ret = metrics_write(api, &why);
	if (!answer && ret)
		log_warn("metrics: %s", why.text);
	if (!answer)
		return;
	if (!ret) {
		http_send(answer, NO_CONTENT, NULL);
		return;
	}
	diag_fail(&diag, EIO, "Metrics error: %s", why.text);
	api_send_fault(answer, BAD, diag.text);
}

/* It has begun: who has asked waits for its end. */
static void await_snapshot(struct api *api, const struct api_pending *pending)
{
	api->saving = pending->answer;
	api->saving_since_ns = pending->since_ns;
	api->saves_changes = pending->anew;
}

static uint64_t us_since(uint64_t ns)
{
	return (timeline_now() - ns) / 1000;
}

/* The files are written: they get their names. */
static void settle_snapshot(struct api *api, struct link_message *message)
{
	struct diag diag;

	api->is_saving = false;
	message->result = files_settle_snapshot(&api->files, &diag);
	if (message->result)
		snprintf(message->text, sizeof(message->text), "%s", diag.text);
}

void vmm_drop_snapshot(struct api *api)
{
	if (api->is_saving)
		files_drop_snapshot(&api->files);
	api->is_saving = false;
}

static void snapshot_done(struct api *api, struct link_message *message)
{
	struct http_answer *answer = api->saving;

	if (!api->is_saving)
		return;
	if (!message->result)
		settle_snapshot(api, message);
	vmm_drop_snapshot(api);
	api->saving = NULL;
	if (!message->result) {
		*(api->saves_changes ? &api->metrics.save_changes_us : &api->metrics.save_us) =
			us_since(api->saving_since_ns);
		api_tell(api, "snapshot", NULL);
	}
	if (answer)
		send_answer(answer, LINK_SNAPSHOT, message);
}

/* Who hears of events knows a restored machine for one that stands, until it is resumed. */
static void note_restored(struct api *api)
{
	api->metrics.restore_us = us_since(api->restore_since_ns);
	log_info("'load snapshot' API request took %llu us.",
		(unsigned long long)api->metrics.restore_us);
	api_tell(api, "restored", NULL);
	if (!api->begins_paused)
		api_tell(api, "resumed", NULL);
}

static void note_start(struct api *api)
{
	int ret = metrics_begin(api);

	if (ret)
		log_warn("metrics: %s", error_text(-ret));
	api->state = api->begins_paused ? API_PAUSED : API_RUNNING;
	if (api->is_restored)
		note_restored(api);
	else
		api_tell(api, "started", NULL);
}

static void note_answer(
	struct api *api, const struct link_message *message, const struct api_pending *pending)
{
	if (message->result)
		return;
	switch (message->ask) {
	case LINK_START: note_start(api); break;
	case LINK_PAUSE:
		api->metrics.pause_us = us_since(pending->since_ns);
		if (api->state != API_PAUSED)
			api_tell(api, "paused", NULL);
		api->state = API_PAUSED;
		break;
	case LINK_RESUME:
		api->metrics.resume_us = us_since(pending->since_ns);
		if (api->state != API_RUNNING)
			api_tell(api, "resumed", NULL);
		api->state = API_RUNNING;
		break;
	default: break;
	}
}

/* Of a start that fails the client hears when another may follow. */
static void take_answer(struct api *api, const struct link_message *message)
{
	struct api_pending *pending = STAILQ_FIRST(&api->pending);

	/* Whoever answers what nobody asked is not as it was made. */
	if (!pending || pending->ask != message->ask)
		return;
	if (message->ask == LINK_START && message->result) {
		memcpy(api->failure, message->text, sizeof(api->failure));
		return;
	}
	if (message->ask == LINK_SNAPSHOT && message->result)
		vmm_drop_snapshot(api);
	note_answer(api, message, pending);
	if (!message->result && pending->change)
		objects_note_change(pending->object, pending->change);
	if (message->ask == LINK_COUNT || message->ask == LINK_FLUSH)
		take_counts(api, message, pending->answer);
	else if (message->ask == LINK_SNAPSHOT && !message->result)
		await_snapshot(api, pending);
	else if (pending->answer)
		send_answer(pending->answer, message->ask, message);
	forget_pending(api, pending);
	if (message->ask == LINK_START)
		api_close_in(api);
}

/* By the name that its client gave it, too, if it has one. */
static void tell_device_failed(struct api *api, const struct link_message *message)
{
	static const enum object_kind object[N_DEVICE_KINDS] = {
		[DEVICE_disk] = OBJECT_DRIVE,
		[DEVICE_net] = OBJECT_NET,
		[DEVICE_share] = OBJECT_SHARE,
	};
	const char *id_field;
	json_t *fields, *id;

	if (message->kind >= N_DEVICE_KINDS)
		return;
	fields = json_pack("{s:s, s:I, s:s}", "device", device_option[message->kind] + 2, "index",
		(json_int_t)message->item, "why", message->text);
	id_field = object_class[object[message->kind]].id;
	if (id_field) {
		id = json_array_get(api->objects.of[object[message->kind]], message->item);
		json_object_set(fields, "id", json_object_get(id, id_field));
	}
	api_tell(api, "device-failed", fields);
}

static void take_event(struct api *api, struct link_message *message)
{
	switch (message->event) {
	case LINK_EVENT_DEVICE: tell_device_failed(api, message); break;
	case LINK_EVENT_RESET: api_tell(api, "reset", NULL); break;
	case LINK_EVENT_MARK:
		api_tell(api, "mark", json_pack("{s:i}", "mark", (int)(message->item & 0xff)));
		break;
	case LINK_EVENT_SNAPSHOT: snapshot_done(api, message); break;
	case LINK_EVENT_COUNTS: metrics_take(&api->metrics, message); break;
	default: break;
	}
}

/* ---- its end ---- */

static const char *describe_end(const siginfo_t *end, int *code)
{
	*code = end->si_code == CLD_EXITED ? end->si_status : 128 + end->si_status;
	if (end->si_code != CLD_EXITED)
		return "killed";
	switch (*code) {
	case EXIT_POWEROFF: return "power-off";
	case EXIT_REBOOT: return "reboot";
	case EXIT_CRASH: return "crash";
	case EXIT_KILLED: return "ended";
	default: return "error";
	}
}

/* Nobody will answer them any more. */
static void fail_pending(struct api *api, const char *why)
{
	struct api_pending *pending;

	vmm_drop_snapshot(api);
	if (api->saving)
		api_send_fault(api->saving, BAD, why);
	api->saving = NULL;
	while ((pending = STAILQ_FIRST(&api->pending))) {
		if (pending->answer)
			api_send_fault(pending->answer, BAD, why);
		forget_pending(api, pending);
	}
}

static void forget_restored(struct api *api)
{
	if (api->is_restored)
		objects_forget_machine(&api->objects);
	api->is_restored = api->begins_paused = false;
}

/* A machine that did not start may be configured anew, and tried again, if there is somebody to ask
 * for it.
 */
static void start_failed(struct api *api, int code)
{
	bool was_restored = api->is_restored;
	char fault[LINK_TEXT + 64];

	snprintf(fault, sizeof(fault), "%s%s",
		was_restored ? "Load snapshot error: " : fault_prefix(LINK_START),
		api->failure[0] ? api->failure : "the VMM has ended");
	api->state = API_NOT_STARTED;
	api->failure[0] = 0;
	metadata_end(&api->metadata);
	forget_restored(api);
	fail_pending(api, fault);
	if (was_restored)
		api_restore_failed(api);
	if (api->http)
		return;
	api->status = code ? code : EXIT_HOST_ERROR;
	loop_stop(&api->loop);
}

static void vmm_ended(struct api *api)
{
	siginfo_t end = { 0 };
	int code;
	const char *how;

	loop_remove(&api->loop, &api->link);
	close(api->link.fd);
	api->link.fd = -1;
	while (waitid(P_PID, (id_t)api->vmm, &end, WEXITED) && errno == EINTR)
		continue;
	close(api->vmm_pidfd);
	api->vmm = 0;
	how = describe_end(&end, &code);
	if (api->state == API_STARTING) {
		start_failed(api, code);
		return;
	}
	fail_pending(api, "The microVM has ended.");
	api->state = API_ENDED;
	api_tell(api, "ended", json_pack("{s:s, s:i}", "how", how, "status", code));
	api->status = code;
	if (api->spec->as_firecracker && code == EXIT_REBOOT)
		api->status = 0;
	loop_stop(&api->loop);
}

static void link_ready(void *ctx, uint32_t)
{
	struct api *api = ctx;
	struct link_message message;
	int ret;

	while ((ret = link_receive(api->link.fd, &message)) == 1) {
		if (message.event)
			take_event(api, &message);
		else
			take_answer(api, &message);
	}
	if (ret == -EAGAIN)
		return;
	/* One that does not speak as it should is not to go on. */
	if (ret < 0)
		vmm_signal(api, SIGKILL);
	vmm_ended(api);
}

/* ---- its start ---- */

static int expect(struct api *api, const struct link_message *question, struct http_answer *answer,
	json_t *object, json_t *change)
{
	struct api_pending *pending = calloc(1, sizeof(*pending));

	if (!pending)
		return -ENOMEM;
	pending->ask = question->ask;
	pending->anew = question->anew;
	pending->answer = answer;
	pending->since_ns = timeline_now();
	pending->object = json_incref(object);
	pending->change = json_incref(change);
	STAILQ_INSERT_TAIL(&api->pending, pending, next);
	return 0;
}

#define LINK_FD      (STDERR_FILENO + 1)
#define FIRST_TAP_FD (LINK_FD + 1)

/* Of what the API's process has open the VMM is to have nothing but its end of the link, and the
 * metadata service's taps: neither clients, nor the socket that they come to.  They get the first
 * numbers there are; what has these may be one of them, and so goes to a higher one before.
 */
static int keep_only(const int *fds, unsigned int n)
{
	int high[1 + MMDS_MAX_NETS];

	for (unsigned int i = 0; i < n; i++) {
		high[i] = fcntl(fds[i], F_DUPFD, LINK_FD + (int)n);
		if (high[i] < 0)
			return -errno;
	}
	for (unsigned int i = 0; i < n; i++)
		if (dup3(high[i], LINK_FD + (int)i, O_CLOEXEC) < 0)
			return -errno;
	return close_range((unsigned int)LINK_FD + n, ~0u, 0) ? -errno : 0;
}

static int run_agent(struct api *api, const struct config *config, struct restore *restore)
{
	struct agent_snapshot from;

	if (!restore)
		return agent_run(config, NULL, LINK_FD, api->spec->since_ns);
	from = (struct agent_snapshot){ &restore->snapshot, restore->path, restore->begins_paused };
	return agent_run(config, &from, LINK_FD, api->spec->since_ns);
}

static _Noreturn void be_vmm(
	struct api *api, struct config *config, struct restore *restore, int link_fd, pid_t parent)
{
	struct metadata *metadata = &api->metadata;
	unsigned int n_taps = metadata->is_there ? metadata->n : 0;
	int fds[1 + MMDS_MAX_NETS] = { link_fd }, ret;
	struct diag diag;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_KILLED);
	/* Where messages go it opens anew. */
	log_open();
	api_name_messages(api, "main");
	memcpy(fds + 1, metadata->service.tap_fd, n_taps * sizeof(*fds));
	ret = keep_only(fds, 1 + n_taps);
	if (!ret && n_taps)
		ret = metadata_adopt(metadata, &api->objects, FIRST_TAP_FD, config, &diag);
	ret = ret ? EXIT_HOST_ERROR : run_agent(api, config, restore);
	log_finish();
	_exit(ret);
}

/* As a descriptor: signals go to nobody else. */
static int hold_vmm(struct api *api, struct diag *diag)
{
	int err = errno;

	if (api->vmm > 0) {
		api->vmm_pidfd = (int)syscall(SYS_pidfd_open, api->vmm, 0);
		if (api->vmm_pidfd >= 0)
			return 0;
		err = errno;
		kill(api->vmm, SIGKILL);
		waitpid(api->vmm, NULL, 0);
	}
	api->vmm = 0;
	return diag_fail(diag, err, "the VMM's process cannot be made: %s", error_text(err));
}

void vmm_signal(const struct api *api, int signal)
{
	if (api->vmm)
		syscall(SYS_pidfd_send_signal, api->vmm_pidfd, signal, NULL, 0);
}

static int make_vmm(struct api *api, struct config *config, struct restore *restore,
	struct http_answer *answer, struct diag *diag)
{
	const struct link_message start = { .ask = LINK_START };
	pid_t parent = getpid();
	int fds[2], ret = metadata_start(&api->metadata, &api->objects, diag);

	if (ret)
		return ret;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds)) {
		ret = diag_fail(diag, errno, "socketpair: %s", error_text(errno));
		goto out;
	}
	api->vmm = fork();
	if (api->vmm == 0)
		be_vmm(api, config, restore, fds[1], parent);
	ret = hold_vmm(api, diag);
	close(fds[1]);
	if (api->metadata.is_there)
		metadata_gave(&api->metadata);
	if (ret) {
		close(fds[0]);
		goto out;
	}
	api->link = (struct loop_source){ fds[0], link_ready, api, NULL };
	api->state = API_STARTING;
	ret = loop_add(&api->loop, &api->link, EPOLLIN);
	if (!ret)
		ret = expect(api, &start, answer, NULL, NULL);
	if (ret)
		ret = diag_fail(diag, -ret, "%s", error_text(-ret));
out:
	if (ret && !api->vmm)
		metadata_end(&api->metadata);
	return ret;
}

int vmm_start(struct api *api, struct http_answer *answer, struct diag *diag)
{
	struct config config;
	int ret;

	config_init(&config);
	if (api->spec->has_pci)
		config.transport = TRANSPORT_PCI;
	config.confine = api->spec->confine;
	config.log_level = api->log_level;
	ret = objects_to_config(&api->objects, &config, diag);
	if (!ret)
		ret = make_vmm(api, &config, NULL, answer, diag);
	config_fini(&config);
	return ret;
}

int vmm_restore(struct api *api, struct restore *restore, uint64_t since_ns,
	struct http_answer *answer, struct diag *diag)
{
	int ret;

	restore->config.log_level = api->log_level;
	restore->config.confine = api->spec->confine;
	objects_take_machine(&api->objects, &restore->objects);
	api->is_restored = true;
	api->begins_paused = restore->begins_paused;
	api->restore_since_ns = since_ns;
	ret = make_vmm(api, &restore->config, restore, answer, diag);
	if (ret)
		forget_restored(api);
	return ret;
}

int vmm_ask(struct api *api, const struct link_message *question, const struct link_files *files,
	struct http_answer *answer, json_t *object, json_t *change, struct diag *diag)
{
	int ret = link_ask(api->link.fd, question, files);

	if (ret)
		return diag_fail(diag, -ret, "the VMM cannot be asked: %s", error_text(-ret));
	ret = expect(api, question, answer, object, change);
	return ret ? diag_fail(diag, ENOMEM, "out of memory") : 0;
}
