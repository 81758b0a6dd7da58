// SPDX-License-Identifier: MIT
/* consoles.c - the consoles of a machine */

#include "host/consoles.h"

#include "host/terminal.h"
#include "util/bits.h"

#include <errno.h>

struct console_line *consoles_add(struct consoles *consoles, const struct console_spec *spec,
	pthread_mutex_t *lock, const struct console_ops *ops, void *ctx)
{
	struct console_line *line = &consoles->line[consoles->n++];

	BUG_ON(consoles->n > CONSOLES_MAX);
	*line = (struct console_line){
		.all = consoles,
		.spec = *spec,
		.lock = lock,
		.ops = ops,
		.ctx = ctx,
	};
	line->spec.escape_key = consoles->escape_key;
	return line;
}

static int open_line(struct console_line *line, struct loop *loop, struct diag *diag)
{
	bool is_file = line->spec.kind == CONSOLE_FILE || line->spec.kind == CONSOLE_SOCKET;
	int ret;

	line->console = console_open(&line->spec, diag);
	if (!line->console)
		return is_file ? -EINVAL : -EIO;
	ret = console_attach(line->console, loop, line->lock, line->ops, line->ctx, diag);
	if (!ret)
		return 0;
	console_destroy(line->console, -1);
	line->console = NULL;
	return -EIO;
}

int consoles_open(struct consoles *consoles, struct loop *loop, struct diag *diag)
{
	int ret = 0;

	for (unsigned int i = 0; i < consoles->n && !ret; i++)
		ret = open_line(&consoles->line[i], loop, diag);
	return ret;
}

void consoles_detach(struct consoles *consoles, int hurry_fd)
{
	for (unsigned int i = 0; i < consoles->n; i++)
		if (consoles->line[i].console)
			console_detach(consoles->line[i].console, hurry_fd);
}

void consoles_destroy(struct consoles *consoles, int hurry_fd)
{
	for (unsigned int i = 0; i < consoles->n; i++)
		if (consoles->line[i].console)
			console_destroy(consoles->line[i].console, hurry_fd);
	consoles->n = 0;
}

/* ---- signals ---- */

/* Who has the operator's terminal, with its device's lock; NULL: nobody. */
static struct console *lock_terminal(struct consoles *consoles, pthread_mutex_t **lock)
{
	for (unsigned int i = 0; i < consoles->n; i++) {
		const struct console_line *line = &consoles->line[i];

		if (!line->console || line->spec.kind != CONSOLE_STDIO)
			continue;
		*lock = line->lock;
		pthread_mutex_lock(*lock);
		return line->console;
	}
	return NULL;
}

bool consoles_interrupt(struct consoles *consoles)
{
	pthread_mutex_t *lock;
	struct console *console = lock_terminal(consoles, &lock);
	bool is_key;

	if (!console)
		return false;
	is_key = console_interrupt(console);
	pthread_mutex_unlock(lock);
	return is_key;
}

void consoles_stop(struct consoles *consoles)
{
	pthread_mutex_t *lock;
	struct console *console = lock_terminal(consoles, &lock);

	if (!console) {
		terminal_stop();
		return;
	}
	console_stop(console);
	pthread_mutex_unlock(lock);
}

void consoles_continue(struct consoles *consoles)
{
	pthread_mutex_t *lock;
	struct console *console = lock_terminal(consoles, &lock);

	if (!console)
		return;
	console_continue(console);
	pthread_mutex_unlock(lock);
}

void consoles_flush(struct consoles *consoles)
{
	for (unsigned int i = 0; i < consoles->n; i++) {
		struct console_line *line = &consoles->line[i];

		if (!line->console)
			continue;
		pthread_mutex_lock(line->lock);
		output_flush(&line->console->out);
		pthread_mutex_unlock(line->lock);
	}
}

void consoles_resize(struct consoles *consoles)
{
	pthread_mutex_t *lock;
	struct console *console = lock_terminal(consoles, &lock);

	if (!console)
		return;
	console_resize(console);
	pthread_mutex_unlock(lock);
}

/* ---- */

size_t console_line_write(struct console_line *line, const uint8_t *data, size_t size)
{
	timeline_record(line->all->timeline, TIMELINE_CONSOLE);
	return console_write(line->console, data, size);
}
