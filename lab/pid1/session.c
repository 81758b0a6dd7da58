/* SPDX-License-Identifier: MIT */
/* session.c - run one command for the host and carry its input and output */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_LAB_FAILED 125 /* the lab could not start the command */
#define EXIT_NOT_RUN    126
#define EXIT_NOT_FOUND  127

/* A command that runs.  On a terminal, in and out are the same open file and err is -1. */
struct command {
	struct port *port;
	pid_t pid;
	int status; /* as wait(2) has it; valid once ended */
	int ended;
	int in, out, err, children;
	char *input; /* not yet taken by the command: bytes [input_at, input_size) */
	size_t input_at, input_size;
	int input_eof;
};

/* ---- the request ---- */

static void set_time_and_entropy(const char *payload, uint32_t size)
{
	struct {
		int entropy_count;
		int buf_size;
		char buf[64];
	} pool = { 0 };
	struct timespec now;
	uint64_t ns;
	int fd;

	if (size < sizeof(ns) || size - sizeof(ns) > sizeof(pool.buf))
		return;
	memcpy(&ns, payload, sizeof(ns));
	now.tv_sec = (time_t)(ns / 1000000000u);
	now.tv_nsec = (long)(ns % 1000000000u);
	clock_settime(CLOCK_REALTIME, &now);

	/* Every lab restored from one snapshot would otherwise draw the same random numbers. */
	pool.buf_size = (int)(size - sizeof(ns));
	pool.entropy_count = pool.buf_size * 8;
	memcpy(pool.buf, payload + sizeof(ns), (size_t)pool.buf_size);
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ioctl(fd, RNDADDENTROPY, &pool);
		ioctl(fd, RNDRESEEDCRNG);
		close(fd);
	}
}

static void set_window(struct winsize *window, const char *payload, uint32_t size)
{
	uint16_t words[2];

	if (size != sizeof(words))
		return;
	memcpy(words, payload, sizeof(words));
	window->ws_row = words[0];
	window->ws_col = words[1];
}

static void add_string(char **strings, int *n, const char *text)
{
	if (*n < SESSION_MAX_STRINGS)
		strings[(*n)++] = strdup(text);
}

static void take_frame(struct request *request, const struct port *port)
{
	const char *text = port->payload;

	switch (port->header.type) {
	case FRAME_TIME: set_time_and_entropy(text, port->header.size); break;
	case FRAME_DIRECTORY: request->directory = strdup(text); break;
	case FRAME_OUT: request->out = strdup(text); break;
	case FRAME_ENV: add_string(request->env, &request->n_env, text); break;
	case FRAME_ARG: add_string(request->args, &request->n_args, text); break;
	case FRAME_TERMINAL:
		request->on_terminal = 1;
		set_window(&request->window, text, port->header.size);
		break;
	}
}

static void drop_request(struct request *request)
{
	for (int i = 0; i < request->n_args; i++)
		free(request->args[i]);
	for (int i = 0; i < request->n_env; i++)
		free(request->env[i]);
	free(request->directory);
	free(request->out);
	free(request);
}

/* The request, or NULL if the host goes away before it is whole. */
static struct request *receive_request(struct port *port)
{
	struct request *request = calloc(1, sizeof(*request));
	struct pollfd wait = { .fd = port->fd, .events = POLLIN };
	int ret;

	if (!request)
		return NULL;
	while ((ret = port_read(port)) >= 0) {
		if (ret == 0) {
			poll(&wait, 1, -1);
			continue;
		}
		if (port->header.type == FRAME_RUN && request->directory && request->n_args)
			return request;
		take_frame(request, port);
	}
	drop_request(request);
	return NULL;
}

/* ---- the command's process ---- */

static void __attribute__((noreturn)) exec_command(struct request *request)
{
	sigset_t none;
	const char *what;
	int ret;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	ret = root_enter(request, &what);
	if (ret < 0) {
		dprintf(2, "lab: cannot %s: %s\n", what, strerror(-ret));
		_exit(EXIT_LAB_FAILED);
	}
	environ = request->env;
	execvp(request->args[0], request->args);
	dprintf(2, "lab: %s: %s\n", request->args[0], strerror(errno));
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN);
}

static int start_on_terminal(struct command *command, struct request *request)
{
	command->pid = forkpty(&command->out, NULL, NULL, &request->window);
	if (command->pid == 0)
		exec_command(request);
	if (command->pid < 0)
		return -errno;
	command->in = command->out;
	command->err = -1;
	fcntl(command->out, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int start_on_pipes(struct command *command, struct request *request)
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		return -errno; /* a machine this short of descriptors is thrown away */
	command->pid = fork();
	if (command->pid == 0) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		exec_command(request);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	command->in = in[1];
	command->out = out[0];
	command->err = err[0];
	return command->pid < 0 ? -errno : 0;
}

static int start(struct command *command, struct request *request)
{
	int ret = request->on_terminal ? start_on_terminal(command, request)
	                               : start_on_pipes(command, request);

	if (ret < 0)
		return ret;
	fcntl(command->in, F_SETFL, O_WRONLY | O_NONBLOCK);
	fcntl(command->out, F_SETFL,
		(command->in == command->out ? O_RDWR : O_RDONLY) | O_NONBLOCK);
	if (command->err >= 0)
		fcntl(command->err, F_SETFL, O_RDONLY | O_NONBLOCK);
	return 0;
}

/* ---- input and output ---- */

static void close_input(struct command *command)
{
	if (command->in >= 0 && command->in != command->out)
		close(command->in);
	command->in = -1;
	free(command->input);
	command->input = NULL;
	command->input_at = command->input_size = 0;
}

/* Give the command what is left of the last STDIN frame. */
static void push_input(struct command *command)
{
	while (command->in >= 0 && command->input_at < command->input_size) {
		ssize_t n = write(command->in, command->input + command->input_at,
			command->input_size - command->input_at);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			close_input(command); /* it does not want any more; the rest goes nowhere */
			return;
		}
		command->input_at += (size_t)n;
	}
	if (command->input_eof)
		close_input(command);
}

static void take_input(struct command *command, const struct port *port)
{
	if (command->in < 0)
		return;
	free(command->input);
	command->input_at = 0;
	command->input_size = port->header.size;
	command->input_eof = port->header.size == 0;
	command->input = malloc(port->header.size + 1);
	if (!command->input)
		command->input_size = 0;
	else
		memcpy(command->input, port->payload, port->header.size);
	push_input(command);
}

/* Frames from the host, until one is not wholly taken.  -EPIPE: the host is gone. */
static int hear_host(struct command *command)
{
	int ret = 0;

	while (command->input_at == command->input_size && (ret = port_read(command->port)) > 0) {
		const struct port *port = command->port;

		if (port->header.type == FRAME_STDIN) {
			take_input(command, port);
		} else if (port->header.type == FRAME_WINDOW) {
			struct winsize window = { 0 };

			set_window(&window, port->payload, port->header.size);
			ioctl(command->out, TIOCSWINSZ, &window);
		}
	}
	return ret < 0 ? ret : 0;
}

/* Send what the command has written.  Closes *FD, and sets it to -1, at its end. */
static void pull_output(struct command *command, int *fd, enum frame_type type)
{
	static char buffer[32768]; /* the size of the driver's own buffers */
	ssize_t n;

	while (*fd >= 0 && (n = read(*fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			break; /* EIO: the terminal's last user has closed it */
		port_write(command->port, type, buffer, (uint32_t)n);
	}
	if (*fd < 0)
		return;
	if (fd == &command->out && command->in == command->out)
		close_input(command);
	close(*fd);
	*fd = -1;
}

static void pull_all(struct command *command)
{
	pull_output(command, &command->out, FRAME_STDOUT);
	pull_output(command, &command->err, FRAME_STDERR);
}

/* As pid 1 we are everybody's heir: reap all, remember one. */
static void reap(struct command *command)
{
	struct signalfd_siginfo info;
	pid_t pid;
	int status;

	while (read(command->children, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == command->pid) {
			command->status = status;
			command->ended = 1;
		}
	}
}

/* Carry input and output until the command ends.  -EPIPE: the host is gone. */
static int attend(struct command *command)
{
	while (!command->ended) {
		int backlog = command->input_at < command->input_size;
		struct pollfd fds[] = {
			{ .fd = command->children, .events = POLLIN },
			{ .fd = command->out, .events = POLLIN },
			{ .fd = command->err, .events = POLLIN },
			{ .fd = backlog ? command->in : -1, .events = POLLOUT },
			{ .fd = command->port->fd, .events = backlog ? 0 : POLLIN },
		};
		int ret;

		poll(fds, sizeof(fds) / sizeof(fds[0]), -1);
		reap(command);
		pull_all(command);
		push_input(command);
		ret = fds[4].revents & POLLHUP ? -EPIPE : hear_host(command);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The command is over: what it left behind goes too, and its last words are passed on. */
static void clear_up(struct command *command)
{
	pull_all(command);
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	pull_all(command);
	close_input(command);
	if (command->out >= 0)
		close(command->out);
	if (command->err >= 0)
		close(command->err);
}

static int run(struct port *port, struct request *request, int children)
{
	struct command command = { .port = port, .children = children };
	int ret = start(&command, request);

	if (ret < 0)
		return ret;
	ret = attend(&command);
	clear_up(&command);
	if (ret == 0)
		port_write(port, FRAME_EXIT, &command.status, sizeof(command.status));
	return ret;
}

int session_serve(struct port *port)
{
	struct request *request = receive_request(port);
	sigset_t mask;
	int children, ret;

	if (!request)
		return -EPIPE;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	children = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	ret = children < 0 ? -errno : run(port, request, children);
	if (children >= 0)
		close(children);
	drop_request(request);
	return ret;
}
