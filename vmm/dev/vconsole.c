// SPDX-License-Identifier: MIT
/* vconsole.c - virtio-console, as a console or as a port */

#include "dev/vconsole.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Linux fills a port's queues with a page an entry. */
#define QUEUE_SIZE 32
#define PIECE      4096u  /* that goes from one side to the other at a time */
#define TURN       MIB(1) /* from the guest, then others have theirs: a chain may be of terabytes */
#define SETTLE_MS  1000
#define MAX_NAME   64

#define EVENT(event) (1u << (event))

enum { RX, TX, CONTROL_RX, CONTROL_TX, N_QUEUES };

struct vconsole {
	struct virtio_dev dev; /* first */
	struct virtio_console_config config;
	struct console_line *line; /* the machine's */
	const char *name;          /* of a port, the options'; NULL: it is a console */

	bool guest_ready; /* the guest knows the port */
	bool guest_open;  /* and has it open */
	bool host_open;   /* somebody is at the other end */
	uint32_t due;     /* bit i: the guest is to be told of event i */

	/* Linux throws away what a console is told before it is set up, though it has made buffers
	 * available.  So none is until it has said something, or a while is over.
	 */
	bool is_listening;
	struct loop_source settle; /* timerfd */

	uint64_t n_sent; /* of the chain that waits for room, or for its next turn */
	uint64_t n_turn; /* of all, in this one */

	/* Input on its way into a chain. */
	bool is_taking;
	uint32_t staged_at, n_staged;
	uint8_t stage[PIECE];
};

/* ---- options ---- */

#define AT(member) offsetof(struct vconsole_options, member)

static const struct word ends[] = {
	{ "stdio", CONSOLE_STDIO },
	{ "file:", CONSOLE_FILE },
	{ "pty", CONSOLE_PTY },
	{ "socket:", CONSOLE_SOCKET },
	{ "null", CONSOLE_NULL },
	{ NULL, 0 },
};

#define TO                                                                                        \
	{                                                                                         \
		"to", 0, SETTING_WORD, ANYWHERE, .at = AT(to), .words = ends, .path_at = AT(path) \
	}

static const struct setting hvc_settings[] = { TO };

static const struct setting port_settings[] = {
	TO,
	{ "name", 0, SETTING_TEXT, ANYWHERE, .at = AT(name), .max = MAX_NAME },
};

static void options_init(void *item)
{
	struct vconsole_options *options = item;

	options->to = CONSOLE_NULL;
}

/* Linux's udev makes a file of it. */
static int port_check(void *item, struct diag *diag)
{
	const struct vconsole_options *options = item;

	if (!options->name)
		return diag_fail(diag, EINVAL, "has no name: give name=NAME");
	if (strchr(options->name, '/') || options->name[0] == '.')
		return diag_fail(diag, EINVAL,
			"'%s' is to be a file's name in the guest: without '/', nor '.' in front",
			options->name);
	return 0;
}

const struct schema hvc_schema = {
	.settings = hvc_settings,
	.n = ARRAY_SIZE(hvc_settings),
	.bare = "to",
	.size = sizeof(struct vconsole_options),
	.init = options_init,
};

const struct schema port_schema = {
	.settings = port_settings,
	.n = ARRAY_SIZE(port_settings),
	.bare = "to",
	.size = sizeof(struct vconsole_options),
	.init = options_init,
	.check = port_check,
};

/* ---- from the guest ---- */

/* What nobody is there to read is gone, from a port: whoever comes next has asked for nothing. */
static size_t write_out(struct vconsole *vconsole, const uint8_t *data, size_t size)
{
	if (vconsole->name && !vconsole->host_open)
		return size;
	return console_line_write(vconsole->line, data, size);
}

/* From a copy, as it is looked at more than once; how much was taken. */
static size_t send_segment(struct vconsole *vconsole, const struct iovec *out, size_t from)
{
	uint8_t piece[PIECE];
	size_t done = from;

	while (done < out->iov_len && vconsole->n_turn < TURN) {
		size_t size = out->iov_len - done < PIECE ? out->iov_len - done : PIECE, n;

		memcpy(piece, (const uint8_t *)out->iov_base + done, size);
		n = write_out(vconsole, piece, size);
		done += n;
		vconsole->n_turn += n;
		if (n < size)
			break;
	}
	return done - from;
}

/* A chain that the reader is too slow for, or a turn too short, stays with us, and goes on from
 * where it was.
 */
static int serve_tx(struct vconsole *vconsole, struct virtq *vq, const struct virtq_chain *chain)
{
	uint64_t skip = vconsole->n_sent;

	for (unsigned int i = 0; i < chain->n_out; i++) {
		const struct iovec *out = &chain->iov[i];
		size_t n;

		if (skip >= out->iov_len) {
			skip -= out->iov_len;
			continue;
		}
		n = send_segment(vconsole, out, skip);
		vconsole->n_sent += n;
		if (n < out->iov_len - skip)
			return -EAGAIN;
		skip = 0;
	}
	vconsole->n_sent = 0;
	virtq_push(vq, chain->head, 0);
	return 0;
}

static void output_room(void *ctx)
{
	struct vconsole *vconsole = ctx;

	virtio_serve(&vconsole->dev, virtio_queue(&vconsole->dev, TX));
}

/* 5.3.4: a byte before there are queues. */
static void vconsole_write_config(
	struct virtio_dev *dev, uint32_t offset, unsigned int, uint64_t value)
{
	uint8_t byte = (uint8_t)value;

	if (offset == offsetof(struct virtio_console_config, emerg_wr))
		write_out((struct vconsole *)dev, &byte, 1);
}

/* ---- to the guest ---- */

static bool has_control(const struct vconsole *vconsole)
{
	return virtio_has_feature(&vconsole->dev, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* Who is not listening would lose it. */
static size_t input_room(void *ctx)
{
	struct vconsole *vconsole = ctx;
	bool is_ready = vconsole->dev.status & VIRTIO_CONFIG_S_DRIVER_OK &&
	                !(vconsole->dev.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	bool listens = has_control(vconsole) ? vconsole->guest_open : vconsole->is_listening;

	if (!is_ready || !listens || vconsole->n_staged || vconsole->dev.is_quiet ||
		!virtq_is_pending(virtio_queue(&vconsole->dev, RX)))
		return 0;
	return PIECE;
}

static void take_input(void *ctx, const uint8_t *data, size_t size)
{
	struct vconsole *vconsole = ctx;

	memcpy(vconsole->stage, data, size);
	vconsole->staged_at = 0;
	vconsole->n_staged = (uint32_t)size;
	vconsole->is_taking = true;
	virtio_serve(&vconsole->dev, virtio_queue(&vconsole->dev, RX));
	vconsole->is_taking = false;
}

static int serve_rx(struct vconsole *vconsole, struct virtq *vq, const struct virtq_chain *chain)
{
	size_t n;

	if (!chain->in_size)
		return -EBADMSG;
	if (!vconsole->n_staged)
		return -EAGAIN;
	n = iov_write(chain->iov + chain->n_out, chain->n_in, vconsole->stage + vconsole->staged_at,
		vconsole->n_staged);
	vconsole->staged_at += (uint32_t)n;
	vconsole->n_staged -= (uint32_t)n;
	virtq_push(vq, chain->head, (uint32_t)n);
	return 0;
}

static void want_input(struct vconsole *vconsole)
{
	if (!vconsole->is_taking && input_room(vconsole))
		console_want_input(vconsole->line->console);
}

static void listen_now(struct vconsole *vconsole)
{
	if (vconsole->is_listening)
		return;
	vconsole->is_listening = true;
	want_input(vconsole);
}

static void settled(void *ctx, uint32_t)
{
	struct vconsole *vconsole = ctx;

	loop_counter_read(vconsole->settle.fd);
	if (!vconsole->dev.is_quiet)
		listen_now(vconsole);
}

/* ---- control (5.3.6.2) ---- */

static void tell(struct vconsole *vconsole, unsigned int events)
{
	vconsole->due |= events;
	virtio_serve(&vconsole->dev, virtio_queue(&vconsole->dev, CONTROL_RX));
}

static int serve_control_tx(
	struct vconsole *vconsole, struct virtq *vq, const struct virtq_chain *chain)
{
	struct virtio_console_control message;

	if (chain->out_size < sizeof(message))
		return -EBADMSG;
	iov_read(chain->iov, chain->n_out, &message, sizeof(message));
	virtq_push(vq, chain->head, 0);
	switch (message.event) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		if (message.value)
			vconsole->due |= EVENT(VIRTIO_CONSOLE_PORT_ADD);
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (message.id || !message.value)
			break;
		vconsole->guest_ready = true;
		vconsole->due |= EVENT(VIRTIO_CONSOLE_PORT_NAME) | EVENT(VIRTIO_CONSOLE_PORT_OPEN);
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (!message.id)
			vconsole->guest_open = message.value;
		break;
	default: break;
	}
	return 0;
}

static unsigned int first_due(const struct vconsole *vconsole)
{
	if (vconsole->due & EVENT(VIRTIO_CONSOLE_PORT_ADD))
		return VIRTIO_CONSOLE_PORT_ADD;
	if (vconsole->due & EVENT(VIRTIO_CONSOLE_PORT_NAME))
		return VIRTIO_CONSOLE_PORT_NAME;
	return VIRTIO_CONSOLE_PORT_OPEN;
}

/* What is due is a state, not a list: a guest that asks again and again is not told more often. */
static int serve_control_rx(
	struct vconsole *vconsole, struct virtq *vq, const struct virtq_chain *chain)
{
	struct {
		struct virtio_console_control control;
		char name[MAX_NAME];
	} message = { .control.value = 1 };
	size_t size = sizeof(message.control);
	unsigned int event;

	if (!vconsole->due)
		return -EAGAIN;
	event = first_due(vconsole);
	message.control.event = (uint16_t)event;
	if (event == VIRTIO_CONSOLE_PORT_NAME) {
		memcpy(message.name, vconsole->name, strlen(vconsole->name));
		size += strlen(vconsole->name);
	} else if (event == VIRTIO_CONSOLE_PORT_OPEN) {
		message.control.value = vconsole->host_open;
	}
	if (chain->in_size < size)
		return -EBADMSG;
	iov_write(chain->iov + chain->n_out, chain->n_in, &message, size);
	virtq_push(vq, chain->head, (uint32_t)size);
	vconsole->due &= ~EVENT(event);
	return 0;
}

/* ---- queues ---- */

static int vconsole_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct vconsole *vconsole = (struct vconsole *)dev;

	switch (virtio_index(vq)) {
	case RX: return serve_rx(vconsole, vq, chain);
	case TX: return serve_tx(vconsole, vq, chain);
	case CONTROL_RX: return serve_control_rx(vconsole, vq, chain);
	default: return serve_control_tx(vconsole, vq, chain);
	}
}

static void turn_over(struct vconsole *vconsole, struct virtq *vq)
{
	if (vconsole->n_turn >= TURN)
		virtio_kick_later(vq);
	vconsole->n_turn = 0;
	listen_now(vconsole);
}

static void vconsole_served(struct virtio_dev *dev, struct virtq *vq)
{
	struct vconsole *vconsole = (struct vconsole *)dev;
	unsigned int index = virtio_index(vq);

	if (index == CONTROL_TX && vconsole->due)
		tell(vconsole, 0);
	if (index == CONTROL_TX || index == RX)
		want_input(vconsole);
	else if (index == TX)
		turn_over(vconsole, vq);
}

static void await_settling(struct vconsole *vconsole)
{
	loop_timer_set(vconsole->settle.fd, SETTLE_MS, 0);
}

/* Linux 6.1 looks at the size only when it is told that it has changed. */
static int vconsole_start(struct virtio_dev *dev)
{
	struct vconsole *vconsole = (struct vconsole *)dev;

	await_settling(vconsole);
	if (vconsole->config.cols || vconsole->config.rows)
		virtio_config_changed(dev);
	return 0;
}

static void vconsole_stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	struct vconsole *vconsole = (struct vconsole *)dev;

	if (virtio_index(vq) == TX)
		vconsole->n_sent = 0;
}

static void vconsole_reset(struct virtio_dev *dev)
{
	struct vconsole *vconsole = (struct vconsole *)dev;

	loop_timer_set(vconsole->settle.fd, 0, 0);
	vconsole->is_listening = vconsole->guest_ready = vconsole->guest_open = false;
	vconsole->due = 0;
	vconsole->n_staged = 0;
}

/* The guest was given no time to settle in meanwhile. */
static void vconsole_resume(struct virtio_dev *dev)
{
	struct vconsole *vconsole = (struct vconsole *)dev;

	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK && !vconsole->is_listening)
		await_settling(vconsole);
	want_input(vconsole);
}

/* ---- the host's end ---- */

static void escape(void *ctx)
{
	struct consoles *all = ((struct vconsole *)ctx)->line->all;

	all->escape(all->ctx);
}

static void resized(void *ctx, uint16_t cols, uint16_t rows)
{
	struct vconsole *vconsole = ctx;

	if (vconsole->config.cols == cols && vconsole->config.rows == rows)
		return;
	vconsole->config.cols = cols;
	vconsole->config.rows = rows;
	virtio_config_changed(&vconsole->dev);
}

/* A chain that waits, waits for nobody. */
static void connected(void *ctx, bool is_connected)
{
	struct vconsole *vconsole = ctx;

	vconsole->host_open = is_connected;
	if (vconsole->guest_ready)
		tell(vconsole, EVENT(VIRTIO_CONSOLE_PORT_OPEN));
	if (!is_connected)
		output_room(vconsole);
}

static const struct console_ops console_ops = {
	.input = {
		.room = input_room,
		.take = take_input,
		.escape = escape,
	},
	.output_room = output_room,
	.resized = resized,
	.connected = connected,
};

/* ---- its making ---- */

static void vconsole_close(struct virtio_dev *dev)
{
	close(((struct vconsole *)dev)->settle.fd);
	virtio_dev_fini(dev);
	free(dev);
}

static int open_timer(struct vconsole *vconsole, struct loop *loop, struct diag *diag)
{
	int ret;

	vconsole->settle = (struct loop_source){ -1, settled, vconsole, &vconsole->dev.dev.lock };
	ret = loop_add_timer(loop, &vconsole->settle, 0, 0);
	return ret ? diag_fail(diag, -ret, "timerfd: %s", error_text(-ret)) : 0;
}

static void ask_for_console(struct vconsole *vconsole, const struct vconsole_options *options,
	const struct virtio_env *env)
{
	struct console_spec spec = {
		.option = vconsole->name ? "--port" : "--hvc",
		.name = vconsole->name ? vconsole->name : "virtio console",
		.kind = options->to,
		.path = options->path,
		.is_patient = vconsole->name,
	};

	vconsole->line = consoles_add(
		env->consoles, &spec, &vconsole->dev.dev.lock, &console_ops, vconsole);
}

static struct virtio_dev *open_device(const struct vconsole_options *options,
	const struct virtio_class *class, const struct virtio_env *env, uint64_t features,
	unsigned int n_queues, struct diag *diag)
{
	struct vconsole *vconsole = calloc(1, sizeof(*vconsole));

	if (!vconsole) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	vconsole->name = options->name;
	vconsole->host_open = options->to != CONSOLE_SOCKET;
	vconsole->config.max_nr_ports = 1;
	vconsole->dev.config = &vconsole->config;
	vconsole->dev.config_size = sizeof(vconsole->config);
	if (virtio_dev_init(&vconsole->dev, class, env, features, n_queues, QUEUE_SIZE, diag)) {
		free(vconsole);
		return NULL;
	}
	if (open_timer(vconsole, env->loop, diag)) {
		virtio_dev_fini(&vconsole->dev);
		free(vconsole);
		return NULL;
	}
	ask_for_console(vconsole, options, env);
	return &vconsole->dev;
}

static struct virtio_dev *hvc_open(
	const void *options, const struct virtio_env *env, struct diag *diag)
{
	return open_device(options, &hvc_class, env,
		VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE) | VIRTIO_BIT(VIRTIO_CONSOLE_F_EMERG_WRITE),
		CONTROL_RX, diag);
}

static struct virtio_dev *port_open(
	const void *options, const struct virtio_env *env, struct diag *diag)
{
	return open_device(
		options, &port_class, env, VIRTIO_BIT(VIRTIO_CONSOLE_F_MULTIPORT), N_QUEUES, diag);
}

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_FIELD(struct vconsole, config.cols, 1),
	STATE_FIELD(struct vconsole, config.rows, 1),
	STATE_BOOL(struct vconsole, guest_ready, 1),
	STATE_BOOL(struct vconsole, guest_open, 1),
	STATE_FIELD(struct vconsole, due, 1),
	STATE_BOOL(struct vconsole, is_listening, 1),
	STATE_FIELD(struct vconsole, n_sent, 1),
	STATE_FIELD(struct vconsole, staged_at, 1),
	STATE_FIELD(struct vconsole, n_staged, 1),
	STATE_BLOB(struct vconsole, stage, 1),
	STATE_END,
};

static const struct state_table state = { "console", 1, fields };

/* Who is at the other end now may be another. */
static int vconsole_loaded(struct virtio_dev *dev, struct diag *diag)
{
	struct vconsole *vconsole = (struct vconsole *)dev;

	if (vconsole->staged_at > PIECE || vconsole->n_staged > PIECE - vconsole->staged_at)
		return diag_fail(diag, EBADMSG, "its input is not as it should be");
	vconsole->due &= EVENT(VIRTIO_CONSOLE_PORT_ADD) | EVENT(VIRTIO_CONSOLE_PORT_NAME) |
	                 EVENT(VIRTIO_CONSOLE_PORT_OPEN);
	if (!vconsole->name)
		vconsole->due = 0;
	else if (vconsole->guest_ready)
		vconsole->due |= EVENT(VIRTIO_CONSOLE_PORT_OPEN);
	return 0;
}

const struct virtio_class hvc_class = {
	.name = "virtio console",
	.id = VIRTIO_ID_CONSOLE,
	.serves_at_once = true,
	.options = &hvc_schema,
	.open = hvc_open,
	.serve = vconsole_serve,
	.served = vconsole_served,
	.start = vconsole_start,
	.stop_queue = vconsole_stop_queue,
	.reset = vconsole_reset,
	.resume = vconsole_resume,
	.state = &state,
	.loaded = vconsole_loaded,
	.write_config = vconsole_write_config,
	.close = vconsole_close,
};

const struct virtio_class port_class = {
	.name = "virtio port",
	.id = VIRTIO_ID_CONSOLE,
	.serves_at_once = true,
	.options = &port_schema,
	.open = port_open,
	.serve = vconsole_serve,
	.served = vconsole_served,
	.start = vconsole_start,
	.stop_queue = vconsole_stop_queue,
	.reset = vconsole_reset,
	.resume = vconsole_resume,
	.state = &state,
	.loaded = vconsole_loaded,
	.close = vconsole_close,
};
