// SPDX-License-Identifier: MIT
/* cmd_api.c - pronto api: a machine that is configured and driven by HTTP */

#include "api/api.h"
#include "cmd.h"
#include "confine/confine.h"
#include "exit_codes.h"
#include "util/log.h"
#include "util/timeline.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	OPT_SOCKET = 256,
	OPT_FD,
	OPT_CONFIG,
	OPT_CONFINE,
	OPT_ID,
	OPT_START,
	OPT_MAX_BODY,
	OPT_SCHEMA
};

static const struct option options[] = {
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "confine", required_argument, NULL, OPT_CONFINE },
	{ "start", no_argument, NULL, OPT_START },
	{ "id", required_argument, NULL, OPT_ID },
	{ "max-body", required_argument, NULL, OPT_MAX_BODY },
	{ "schema", no_argument, NULL, OPT_SCHEMA },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void print_help(FILE *out)
{
	fputs("usage: pronto api --socket PATH | --fd N [options]\n\n"
	      "Wait for what a virtual machine is to be made of, start it when asked to, and see it\n"
	      "through, by HTTP on a unix socket.  Clients of Firecracker's API need no change.\n\n"
	      "Options:\n"
	      "      --socket PATH        where to listen; a socket that nobody serves is replaced\n"
	      "      --fd N               a descriptor that listens already, as systemd passes it\n"
	      "      --config FILE        begin with these settings (JSON, as `pronto run --config`)\n"
	      "      --confine HOW        as of `pronto run`, for machines whose settings do not say\n"
	      "      --start              start the machine at once, from --config\n"
	      "      --id NAME            what GET / calls the machine (default: anonymous-instance)\n"
	      "      --max-body BYTES     of a request, at most (default: 51200)\n"
	      "      --schema             print what GET /schema answers (OpenAPI), and end\n"
	      "  -v, --verbose            say more; twice for still more\n"
	      "  -h, --help               print this help and end\n\n"
	      "The exit status is that of `pronto run`.\n",
		out);
}

struct arguments {
	struct api_spec spec;
	struct objects objects;
	bool start;
};

static int read_config(struct arguments *args, const char *path)
{
	struct objects *objects = &args->objects;
	struct config config;
	struct diag diag;
	int ret = -EINVAL;

	config_init(&config);
	config.confine = args->spec.confine;
	free(objects->native);
	objects->native = config_read_file(path, &objects->native_size, &diag);
	if (objects->native)
		ret = config_parse_json(
			&config, path, objects->native, objects->native_size, &diag);
	args->spec.confine = config.confine;
	config_fini(&config);
	if (ret)
		log_error("%s", diag.text);
	return ret;
}

static int read_confine(struct arguments *args, const char *text)
{
	struct diag diag;
	int ret = config_read_confine(text, &args->spec.confine, &diag);

	if (ret)
		log_error("--confine %s", diag.text);
	return ret;
}

/* A whole number of at most `max`; false, said: it is none. */
static bool read_number(const char *option, const char *text, unsigned long max, unsigned long *n)
{
	char *end;

	errno = 0;
	*n = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && *n <= max)
		return true;
	log_error("%s %.40s: not a whole number of at most %lu", option, text, max);
	return false;
}

/* As apply(). */
static int print_schema(void)
{
	json_t *schema = openapi_describe();
	bool bad = !schema || json_dumpf(schema, stdout, JSON_INDENT(2));

	json_decref(schema);
	putchar('\n');
	if (!fflush(stdout) && !bad)
		return 1;
	log_error("standard output: cannot write");
	return -EINVAL;
}

/* 0, 1: all is done; -EINVAL, said. */
static int apply(struct arguments *args, int option)
{
	unsigned long n;

	switch (option) {
	case OPT_SOCKET: args->spec.socket = optarg; break;
	case OPT_FD:
		if (!read_number("--fd", optarg, INT32_MAX, &n))
			return -EINVAL;
		args->spec.fd = (int)n;
		break;
	case OPT_MAX_BODY:
		if (!read_number("--max-body", optarg, 1 << 30, &n))
			return -EINVAL;
		args->spec.max_body = n;
		break;
	case OPT_CONFIG: return read_config(args, optarg);
	case OPT_CONFINE: return read_confine(args, optarg);
	case OPT_ID: args->spec.id = optarg; break;
	case OPT_START: args->start = true; break;
	case OPT_SCHEMA: return print_schema();
	case 'v':
		if (args->spec.log_level < LOG_LEVEL_DEBUG)
			args->spec.log_level++;
		break;
	case 'h': print_help(stdout); return 1;
	default: return -EINVAL;
	}
	return 0;
}

static int read_arguments(struct arguments *args, int argc, char **argv)
{
	int option, ret = 0;

	optind = 0;
	while (!ret && (option = getopt_long(argc, argv, "vh", options, NULL)) != -1)
		ret = apply(args, option);
	if (ret)
		return ret;
	if (optind < argc) {
		log_error("'%.40s' is no option of `pronto api`; see `pronto api --help`",
			argv[optind]);
		return -EINVAL;
	}
	if (!args->spec.socket == (args->spec.fd < 0)) {
		log_error("give either --socket PATH or --fd N; see `pronto api --help`");
		return -EINVAL;
	}
	if (args->start && !args->objects.native) {
		log_error("--start: nothing to start: give --config FILE");
		return -EINVAL;
	}
	return 0;
}

/* The VMM's process begins with what this one has. */
static void confine(const struct arguments *args)
{
	struct confine_kept kept = { 0 };

	if (args->spec.confine == CONFINE_OFF)
		return;
	confine_keep(&kept, args->spec.fd);
	confine_enter(&kept);
}

int cmd_api(int argc, char **argv)
{
	struct arguments args = {
		.spec = {
			.fd = -1,
			.id = "anonymous-instance",
			.max_body = HTTP_MAX_BODY,
			.mmds_limit = MMDS_SIZE_LIMIT,
			.log_level = LOG_LEVEL_WARN,
			.confine = CONFINE_DEFAULT,
			.since_ns = timeline_now(),
		},
	};
	int ret;

	objects_init(&args.objects);
	ret = read_arguments(&args, argc, argv);
	if (ret) {
		objects_fini(&args.objects);
		return ret < 0 ? EXIT_OPERATOR : 0;
	}
	log_set_level(args.spec.log_level);
	confine(&args);
	return api_serve(&args.spec, &args.objects, args.start);
}
