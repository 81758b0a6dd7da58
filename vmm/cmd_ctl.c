// SPDX-License-Identifier: MIT
/* cmd_ctl.c - pronto ctl: what people ask of a machine that has an API */

#include "cmd.h"
#include "exit_codes.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/listener.h"
#include "util/log.h"
#include "vm/served.h"

#include <errno.h>
#include <http_parser.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define OK_FROM 200
#define OK_TO   299

static const struct verb {
	const char *name, *method, *path, *body, *help;
} verbs[] = {
	{ "status", "GET", "/", "", "what it is, and whether it runs" },
	{ "config", "GET", "/vm/config", "", "what it is made of" },
	{ "start", "PUT", "/actions", "{\"action_type\":\"InstanceStart\"}", "start it" },
	{ "pause", "PATCH", "/vm", "{\"state\":\"Paused\"}", "hold it" },
	{ "resume", "PATCH", "/vm", "{\"state\":\"Resumed\"}", "let it go on" },
	{ "poweroff", "PUT", "/actions", "{\"action_type\":\"GracefulShutdown\"}",
		"press the power button, and end it after the grace period" },
	{ "button", "PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}",
		"press the power button" },
	{ "reset", "PUT", "/actions", "{\"action_type\":\"Reset\"}",
		"begin anew (with \"on-reboot\": \"restart\")" },
	{ "snapshot", "PUT", "/snapshot/create", NULL,
		"save it in the directory that follows, while it goes on; --diff: what has changed" },
	{ "fork", "PUT", "/fork", NULL,
		"be a machine that goes on from here, as `pronto clone` is; it goes on itself" },
	{ "serve", "PUT", "/fork", NULL,
		"have it as it is now ready for `pronto clone`, at the socket that follows" },
	{ "metrics", "GET", "/metrics", "", "what it has counted, as Prometheus reads it" },
	{ "timeline", "GET", "/timeline", "", "when the moments of its boot came" },
	{ "schema", "GET", "/schema", "", "all that can be asked (OpenAPI)" },
	{ "events", "GET", "/events", "", "tell what happens, a line of JSON each, to its end" },
};

static void print_help(FILE *out)
{
	fputs("usage: pronto ctl SOCKET VERB\n"
	      "       pronto ctl SOCKET snapshot DIRECTORY [--diff]\n"
	      "       pronto ctl SOCKET fork [options of `pronto restore`]\n"
	      "       pronto ctl SOCKET serve SOCKET\n"
	      "       pronto ctl SOCKET METHOD PATH [JSON]\n\n"
	      "Ask a machine something through the socket of `pronto api`.\n\nVerbs:\n",
		out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-10s%s\n", verbs[i].name, verbs[i].help);
	fputs("\nMETHOD is GET, PUT, PATCH or DELETE.  Options:\n"
	      "  -h, --help  print this help and end\n\n"
	      "Exit status: 0 it is done, 1 it was refused or nobody answers, 2 wrong usage; of fork that\n"
	      "of the machine.\n",
		out);
}

/* ---- the answer ---- */

struct answer {
	int status;
	bool is_whole, is_silent;
	char *text; /* of a refusal; owned */
	size_t size;
};

static int on_headers(http_parser *parser)
{
	((struct answer *)parser->data)->status = (int)parser->status_code;
	return 0;
}

/* What is asked for goes out as it comes; why it is refused is told as a whole. */
static int on_body(http_parser *parser, const char *data, size_t size)
{
	struct answer *answer = parser->data;
	char *more;

	if (answer->status >= OK_FROM && answer->status <= OK_TO) {
		if (answer->is_silent)
			return 0;
		fwrite(data, 1, size, stdout);
		fflush(stdout);
		answer->size += size;
		return 0;
	}
	more = realloc(answer->text, answer->size + size);
	if (!more)
		return -1;
	memcpy(more + answer->size, data, size);
	answer->text = more;
	answer->size += size;
	return 0;
}

static int on_complete(http_parser *parser)
{
	((struct answer *)parser->data)->is_whole = true;
	return 0;
}

static const http_parser_settings settings = {
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/* -errno; -EBADMSG: it is no HTTP. */
static int read_answer(int fd, struct answer *answer)
{
	http_parser parser;
	char data[4096];
	ssize_t n = 1;

	http_parser_init(&parser, HTTP_RESPONSE);
	parser.data = answer;
	while (n > 0 && !answer->is_whole) {
		n = recv(fd, data, sizeof(data), 0);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			return -errno;
		else if (http_parser_execute(&parser, &settings, data, (size_t)n) != (size_t)n &&
			 !answer->is_whole)
			return -EBADMSG;
	}
	/* A stream of events ends with the machine. */
	return answer->is_whole || answer->status == OK_FROM ? 0 : -ECONNRESET;
}

static void tell_refusal(const struct answer *answer)
{
	json_t *json = json_loadb(answer->text ? answer->text : "", answer->size, 0, NULL);
	const char *why = json_string_value(json_object_get(json, "fault_message"));

	log_error("refused (%d): %s", answer->status, why ? why : "no reason is given");
	json_decref(json);
}

/* ---- the question ---- */

static int send_question(int fd, const struct verb *verb)
{
	char head[512];
	int n = snprintf(head, sizeof(head),
		"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		verb->method, verb->path, strlen(verb->body));
	int ret;

	if ((size_t)n >= sizeof(head))
		return -ENAMETOOLONG;
	ret = listener_send(fd, head, (size_t)n);
	return ret ? ret : listener_send(fd, verb->body, strlen(verb->body));
}

static int ask_about(const char *path, const struct verb *verb, bool is_silent)
{
	struct answer answer = { .is_silent = is_silent };
	int fd = listener_connect(path), ret = fd < 0 ? fd : send_question(fd, verb);

	if (!ret || ret == -EPIPE)
		ret = read_answer(fd, &answer);
	if (fd >= 0)
		close(fd);
	if (ret)
		log_error("%s: %s", path,
			ret == -ECONNREFUSED ? "nobody serves this socket"
			: ret == -EBADMSG    ? "who serves this socket does not speak HTTP"
			: ret == -ECONNRESET ? "the connection ended without an answer"
					     : error_text(-ret));
	else if (answer.status < OK_FROM || answer.status > OK_TO)
		tell_refusal(&answer);
	else if (answer.size && strcmp(verb->path, "/events"))
		putchar('\n');
	ret |= answer.status < OK_FROM || answer.status > OK_TO;
	free(answer.text);
	return ret ? EXIT_HOST_ERROR : 0;
}

static int ask(const char *path, const struct verb *verb)
{
	return ask_about(path, verb, false);
}

/* ---- */

/* The path is one of ours, and who answers may be in another directory. */
static json_t *path_from_root(const char *path)
{
	char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	json_t *json = json_sprintf("%s%s%s", here ? here : "", here ? "/" : "", path);

	if (!json)
		log_error("'%.100s' is not UTF-8, as the API's paths are", path);
	free(here);
	return json;
}

/* The body is used up; NULL: why there is none has been said. */
static int put(const char *socket, const char *to, json_t *json, bool is_silent)
{
	char *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
	const struct verb verb = { NULL, "PUT", to, body, NULL };
	int ret = body ? ask_about(socket, &verb, is_silent) : EXIT_OPERATOR;

	json_decref(json);
	free(body);
	return ret;
}

static int ask_snapshot(const char *socket, const char *path, bool only_changed)
{
	return put(socket, "/snapshot/create",
		json_pack("{s:o, s:s}", "snapshot_path", path_from_root(path), "snapshot_type",
			only_changed ? "Diff" : "Full"),
		false);
}

static int ask_fork(const char *socket, const char *path, bool is_once)
{
	return put(socket, "/fork",
		json_pack("{s:o, s:b}", "socket_path", path_from_root(path), "once", is_once),
		is_once);
}

/* Who answers can make a socket where its own is, as we can connect to one there.  The options are
 * argv[1] and what follows.
 */
static int be_fork(const char *socket, int argc, char *const *argv)
{
	char *path;
	int ret;

	if (asprintf(&path, "%s.fork-%d", socket, (int)getpid()) < 0) {
		log_error("out of memory");
		return EXIT_HOST_ERROR;
	}
	ret = ask_fork(socket, path, true);
	if (!ret)
		ret = served_have_machine(path, argc, argv, 0);
	free(path);
	return ret;
}

static bool is_method(const char *word)
{
	return !strcmp(word, "GET") || !strcmp(word, "PUT") || !strcmp(word, "PATCH") ||
	       !strcmp(word, "DELETE");
}

int cmd_ctl(int argc, char **argv)
{
	struct verb own = { .body = "" };

	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		print_help(stdout);
		return 0;
	}
	if (argc < 3) {
		log_error("give a socket and what to ask; see `pronto ctl --help`");
		return EXIT_OPERATOR;
	}
	if (argc >= 4 && argc <= 5 && !strcmp(argv[2], "snapshot") &&
		(argc == 4 || !strcmp(argv[4], "--diff")))
		return ask_snapshot(argv[1], argv[3], argc == 5);
	if (!strcmp(argv[2], "fork"))
		return be_fork(argv[1], argc - 2, argv + 2);
	if (argc == 4 && !strcmp(argv[2], "serve"))
		return ask_fork(argv[1], argv[3], false);
	for (size_t i = 0; argc == 3 && i < ARRAY_SIZE(verbs); i++)
		if (verbs[i].body && !strcmp(argv[2], verbs[i].name))
			return ask(argv[1], &verbs[i]);
	if (!is_method(argv[2]) || argc < 4 || argc > 5) {
		log_error("'%.40s' is nothing that can be asked; see `pronto ctl --help`", argv[2]);
		return EXIT_OPERATOR;
	}
	own.method = argv[2];
	own.path = argv[3];
	if (argc == 5)
		own.body = argv[4];
	return ask(argv[1], &own);
}
