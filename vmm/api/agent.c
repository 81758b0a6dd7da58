// SPDX-License-Identifier: MIT
/* agent.c - the VMM's end of the link */

#include "api/agent.h"

#include "api/link.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "vm/launch.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct agent {
	struct launch launch;
	struct loop_source link;
	atomic_bool has_started;   /* and the API's process knows */
	_Atomic uint64_t marks[4]; /* bit by bit, those that it has been told of */
};

/* Where nobody hears it, the end of the link is about to be seen. */
static void say(struct agent *agent, const struct link_message *message)
{
	(void)link_answer(agent->link.fd, message);
}

static void tell(struct agent *agent, const struct link_message *message)
{
	(void)link_send(agent->link.fd, message);
}

static void answer(struct agent *agent, unsigned int ask, int ret, const char *text)
{
	struct link_message message = { .ask = (uint16_t)ask, .result = ret };

	snprintf(message.text, sizeof(message.text), "%s", text);
	say(agent, &message);
}

/* ---- what is asked ---- */

static int pause_machine(struct vm *vm, struct diag *diag)
{
	return vm_pause(vm) ? 0 : diag_fail(diag, EBUSY, "there is no machine to pause");
}

static int resume_machine(struct vm *vm, struct diag *)
{
	vm_resume(vm);
	return 0;
}

static int press_button(struct vm *vm, struct diag *diag)
{
	if (vm_press_button(vm))
		return 0;
	return diag_fail(diag, EBUSY, "the guest is not running: resume it first");
}

static int power_off(struct vm *vm, struct diag *diag)
{
	if (vm_power_off(vm))
		return 0;
	return diag_fail(diag, EBUSY, "the guest is not running: resume it first");
}

static int reset(struct vm *vm, struct diag *diag)
{
	if (vm_ask_reset(vm))
		return 0;
	return diag_fail(diag, EBUSY,
		"it can be reset only while it runs, and if its settings have \"on-reboot\": \"restart\"");
}

/* ---- of its devices ---- */

static void update_device(
	struct agent *agent, const struct link_message *question, const struct link_files *files)
{
	const struct virtio_anew anew = { .fd = files->n ? files->fd[0] : -1 };
	struct diag diag = { "" };
	int ret = devices_update(&agent->launch.vm, question->kind, question->item, question->text,
		question->anew ? &anew : NULL, &diag);

	answer(agent, LINK_UPDATE, ret, diag.text);
}

static void command_device(struct agent *agent, const struct link_message *question)
{
	struct link_message message = { .ask = LINK_COMMAND };
	struct diag diag;

	message.result = devices_command(&agent->launch.vm, question->kind, question->item,
		question->text, message.text, sizeof(message.text), &diag);
	if (message.result)
		snprintf(message.text, sizeof(message.text), "%s", diag.text);
	say(agent, &message);
}

static void describe_device(struct agent *agent, const struct link_message *question)
{
	struct link_message message = { .ask = LINK_STATS };
	struct diag diag;

	message.result = devices_describe(&agent->launch.vm, question->kind, question->item,
		message.text, sizeof(message.text), &diag);
	if (message.result)
		snprintf(message.text, sizeof(message.text), "%s", diag.text);
	say(agent, &message);
}

static void count(struct agent *agent, uint16_t ask)
{
	struct link_message message = { .ask = ask };

	message.n_counts = counts_take(&agent->launch.vm, message.counts, LINK_COUNTS);
	say(agent, &message);
}

static void tell_timeline(struct agent *agent)
{
	struct link_message message = { .ask = LINK_TIMELINE };
	FILE *out = fmemopen(message.text, sizeof(message.text), "w");

	if (!out) {
		answer(agent, LINK_TIMELINE, -ENOMEM, "out of memory");
		return;
	}
	timeline_print_json(out, &agent->launch.timeline);
	fclose(out);
	say(agent, &message);
}

static void snapshot_done(void *ctx, int ret, const char *why)
{
	struct agent *agent = ctx;
	struct link_message message = { .event = LINK_EVENT_SNAPSHOT, .result = ret };

	snprintf(message.text, sizeof(message.text), "%s", why);
	say(agent, &message);
}

static int begin_snapshot(struct agent *agent, const struct link_message *question,
	struct link_files *files, struct diag *diag)
{
	json_t *json;
	char *note;
	struct snapshot_target target;
	int ret;

	if (files->n != LINK_FILES)
		return diag_fail(diag, EINVAL, "it is not said where to");
	files->n = 0;
	json = json_loads(question->text, 0, NULL);
	note = json_dumps(json_object_get(json, "note"), JSON_COMPACT);
	target = (struct snapshot_target){
		.state_fd = files->fd[0],
		.memory_fd = files->fd[1],
		.is_beside = json_is_true(json_object_get(json, "beside")),
		.only_changed = question->anew,
		.note = note,
	};
	ret = snapshot_begin(&agent->launch.vm, &target, snapshot_done, agent, diag);
	free(note);
	json_decref(json);
	return ret;
}

static void save_machine(
	struct agent *agent, const struct link_message *question, struct link_files *files)
{
	struct diag diag = { "" };
	int ret = begin_snapshot(agent, question, files, &diag);

	answer(agent, LINK_SNAPSHOT, ret, diag.text);
}

static void fork_this(struct agent *agent, const struct link_message *question)
{
	struct fork_target target = { 0 };
	struct diag diag = { "" };
	json_t *json = json_loads(question->text, 0, NULL);
	struct link_message message = { .ask = LINK_FORK };
	int once = 0;
	pid_t pid;

	if (json_unpack(json, "{s:s, s?b}", "path", &target.path, "once", &once))
		pid = diag_fail(&diag, EINVAL, "it is not said where to");
	else {
		target.is_once = once;
		pid = fork_machine(&agent->launch.vm, &target, &diag);
	}
	json_decref(json);
	message.result = pid < 0 ? pid : 0;
	if (pid < 0)
		snprintf(message.text, sizeof(message.text), "%s", diag.text);
	else
		snprintf(message.text, sizeof(message.text), "{\"process_id\":%d}", (int)pid);
	say(agent, &message);
}

static int (*const asked[])(struct vm *vm, struct diag *diag) = {
	[LINK_PAUSE] = pause_machine,
	[LINK_RESUME] = resume_machine,
	[LINK_POWER_BUTTON] = press_button,
	[LINK_POWER_OFF] = power_off,
	[LINK_RESET] = reset,
};

static void do_asked(struct agent *agent, unsigned int ask)
{
	struct diag diag = { "" };
	int ret;

	if (ask >= ARRAY_SIZE(asked) || !asked[ask]) {
		answer(agent, ask, -ENOSYS, "nothing is known of this");
		return;
	}
	ret = asked[ask](&agent->launch.vm, &diag);
	answer(agent, ask, ret, diag.text);
}

static void serve(
	struct agent *agent, const struct link_message *question, struct link_files *files)
{
	switch (question->ask) {
	case LINK_UPDATE: update_device(agent, question, files); break;
	case LINK_COMMAND: command_device(agent, question); break;
	case LINK_STATS: describe_device(agent, question); break;
	case LINK_COUNT:
	case LINK_FLUSH: count(agent, question->ask); break;
	case LINK_TIMELINE: tell_timeline(agent); break;
	case LINK_SNAPSHOT: save_machine(agent, question, files); break;
	case LINK_FORK: fork_this(agent, question); break;
	default: do_asked(agent, question->ask); break;
	}
}

static void link_ready(void *ctx, uint32_t)
{
	struct agent *agent = ctx;
	struct link_message message;
	struct link_files files;
	int ret = link_receive_ask(agent->link.fd, &message, &files);

	if (ret == 1) {
		serve(agent, &message, &files);
		link_close_files(&files);
	} else if (ret != -EAGAIN) {
		loop_remove(&agent->launch.vm.loop, &agent->link);
		control_demand_end(&agent->launch.vm.control);
	}
}

/* ---- what is told ---- */

static void has_started(void *ctx)
{
	struct agent *agent = ctx;

	agent->has_started = true;
	answer(agent, LINK_START, 0, "");
}

static void has_reset(void *ctx)
{
	const struct link_message message = { .event = LINK_EVENT_RESET };

	tell(ctx, &message);
}

static void tell_mark(struct agent *agent, uint8_t mark)
{
	const struct link_message message = { .event = LINK_EVENT_MARK, .item = mark };

	tell(agent, &message);
}

/* Each once: a guest may set them as often as it likes. */
static void has_mark(void *ctx, uint8_t mark)
{
	struct agent *agent = ctx;
	uint64_t bit = UINT64_C(1) << mark % 64;

	if (!(atomic_fetch_or(&agent->marks[mark / 64], bit) & bit))
		tell_mark(agent, mark);
}

static void is_ending(void *ctx)
{
	const struct agent *agent = ctx;
	struct link_message message = { .event = LINK_EVENT_COUNTS };

	message.n_counts = counts_take(&agent->launch.vm, message.counts, LINK_COUNTS);
	tell(ctx, &message);
}

static void has_lost_device(void *ctx, enum device_kind kind, unsigned int item, const char *why)
{
	struct link_message message = { .event = LINK_EVENT_DEVICE, .kind = kind, .item = item };

	snprintf(message.text, sizeof(message.text), "%s", why);
	tell(ctx, &message);
}

static void has_failed(void *ctx, const char *why)
{
	struct agent *agent = ctx;

	if (!agent->has_started)
		answer(agent, LINK_START, -EIO, why);
}

static const struct vm_watch watch = {
	.started = has_started,
	.reset = has_reset,
	.mark = has_mark,
	.device_failed = has_lost_device,
	.failed = has_failed,
	.ending = is_ending,
};

/* ---- */

static enum exit_code live(struct agent *agent)
{
	struct vm *vm = &agent->launch.vm;
	enum exit_code outcome = EXIT_HOST_ERROR;
	struct diag diag;
	int ret = vm_open(vm, &diag);

	if (ret) {
		has_failed(agent, diag.text);
		return outcome;
	}
	vm->watch = &watch;
	vm->watch_ctx = agent;
	ret = loop_add(&vm->loop, &agent->link, EPOLLIN);
	if (ret)
		has_failed(agent, error_text(-ret));
	else
		outcome = vm_live(vm);
	vm_close(vm);
	return outcome;
}

static int open_machine(struct agent *agent, const struct config *config,
	const struct agent_snapshot *from, uint64_t since_ns, struct diag *diag)
{
	struct launch *launch = &agent->launch;
	int ret = from ? launch_open_memory(from->snapshot, from->path, config, diag) : 0;

	if (ret)
		return ret;
	launch->snapshot = from ? from->snapshot : NULL;
	ret = launch_open(launch, config, since_ns, diag);
	launch->vm.begins_paused = from && from->begins_paused;
	return ret;
}

int agent_run(const struct config *config, const struct agent_snapshot *from, int link_fd,
	uint64_t since_ns)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	struct diag diag;
	int ret;

	if (!agent)
		return EXIT_HOST_ERROR;
	agent->link = (struct loop_source){ link_fd, link_ready, agent, NULL };
	agent->launch.has_reader = true;
	timeline_record(&agent->launch.timeline, TIMELINE_ASKED);
	log_set_level(config->log_level);
	control_catch_signals();
	ret = open_machine(agent, config, from, since_ns, &diag);
	if (ret) {
		has_failed(agent, diag.text);
		ret = (int)exit_code_of(-ret);
	} else {
		ret = (int)live(agent);
		if (launch_close(&agent->launch) && !ret)
			ret = EXIT_HOST_ERROR;
	}
	free(agent);
	return ret;
}
