// SPDX-License-Identifier: MIT
/* cmd_firecracker.c - what a program called firecracker is asked on its command line */

#include "api/api.h"
#include "cmd.h"
#include "confine/confine.h"
#include "exit_codes.h"
#include "util/bits.h"
#include "util/log.h"
#include "util/timeline.h"
#include "vm/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/firecracker.socket"
#define MAX_ID         64

/* Its exit statuses, for what goes wrong before a machine runs. */
enum { FC_BAD_CONFIGURATION = 152, FC_BAD_ARGUMENTS = 153 };

struct arguments {
	const char *socket, *id, *config, *metadata, *max_body, *mmds_limit, *log_path, *level,
		*metrics_path, *described, *start_us, *start_cpu_us, *parent_cpu_us;
	bool no_api, no_seccomp, enable_pci, show_level, help, version, snapshot_version;
	struct objects objects;
	struct api_spec spec;
};

#define AT(member) offsetof(struct arguments, member)

/* Options are words, and values the words after them: no '=', no short ones. */
static const struct option {
	const char *name;
	bool takes;       /* a value */
	size_t at;        /* const char * or bool */
	const char *help; /* NULL: it is accepted and does nothing */
} options[] = {
	{ "--api-sock", true, AT(socket), "path of the API's socket" },
	{ "--id", true, AT(id), "the microVM's name" },
	{ "--config-file", true, AT(config), "start from this JSON file" },
	{ "--metadata", true, AT(metadata), "put this JSON file into the MMDS" },
	{ "--no-api", false, AT(no_api), "serve no API; with --config-file" },
	{ "--enable-pci", false, AT(enable_pci), "devices on PCI" },
	{ "--http-api-max-payload-size", true, AT(max_body), "bytes of a request" },
	{ "--mmds-size-limit", true, AT(mmds_limit), "bytes of metadata" },
	{ "--log-path", true, AT(log_path), "where messages go; standard error otherwise" },
	{ "--level", true, AT(level), "Off, Error, Warn, Info, Debug or Trace" },
	{ "--module", true, 0, NULL },
	{ "--show-level", false, AT(show_level), "and with each its level" },
	{ "--show-log-origin", false, 0, NULL },
	{ "--metrics-path", true, AT(metrics_path), "where metrics go, a line each minute" },
	{ "--boot-timer", false, 0, NULL },
	{ "--seccomp-filter", true, 0, NULL },
	{ "--no-seccomp", false, AT(no_seccomp), "no filters of system calls: --confine basic" },
	{ "--start-time-us", true, AT(start_us), "when it began, by the monotonic clock" },
	{ "--start-time-cpu-us", true, AT(start_cpu_us), "processor time it had used then" },
	{ "--parent-cpu-time-us", true, AT(parent_cpu_us), "and who started it" },
	{ "--snapshot-version", false, AT(snapshot_version), "print the version of snapshots" },
	{ "--describe-snapshot", true, AT(described),
		"print that of this one, by its state's file" },
	{ "--version", false, AT(version), "print the version" },
	{ "--help", false, AT(help), "print this help" },
};

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

static int refuse(const char *argument, const char *why)
{
	log_error("Arguments parsing error: argument '%.60s' %s", argument, why);
	return -EINVAL;
}

static int read_arguments(struct arguments *args, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		const struct option *option = find_option(argv[i]);
		const char *value = NULL;

		if (!option)
			return refuse(argv[i], "is not known, or was not expected");
		if (option->takes && (i + 1 == argc || find_option(argv[i + 1])))
			return refuse(argv[i], "needs a value");
		if (option->takes)
			value = argv[++i];
		if (!option->help)
			log_info("%s is accepted, and does nothing", option->name);
		else if (option->takes)
			*(const char **)((char *)args + option->at) = value;
		else
			*(bool *)((char *)args + option->at) = true;
	}
	if (args->no_api && !args->config)
		return refuse("--no-api", "goes with --config-file");
	if (!*args->id || strlen(args->id) > MAX_ID)
		return refuse("--id", "has 1 to 64 characters");
	return 0;
}

static void print_help(void)
{
	puts("usage: firecracker [OPTION [VALUE]]...\n\n"
	     "Pronto, by the name and with the options of Firecracker.\n\nOptions:");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		printf("  %-30s%s\n", options[i].name,
			options[i].help ? options[i].help : "accepted, and does nothing");
}

static int read_json(const char *path, json_t **json)
{
	struct diag diag;
	json_error_t error;
	size_t size;
	char *text = config_read_file(path, &size, &diag);

	if (!text) {
		log_error("%s", diag.text);
		return -EINVAL;
	}
	*json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	free(text);
	if (*json)
		return 0;
	log_error("%s: line %d: not JSON: %s", path, error.line, error.text);
	return -EINVAL;
}

static int read_config(struct arguments *args)
{
	struct diag diag;
	json_t *json;
	int ret = read_json(args->config, &json);

	if (ret)
		return ret;
	ret = objects_put_all(&args->objects, json, &diag);
	json_decref(json);
	if (ret)
		log_error("%s: %s", args->config, diag.text);
	return ret;
}

static uint64_t number(const char *text)
{
	return text ? strtoull(text, NULL, 10) : 0;
}

/* As we are told, unless it is yet to come. */
static uint64_t beginning(const struct arguments *args)
{
	uint64_t now = timeline_now(), us = number(args->start_us);

	return us && us < now / 1000 ? us * 1000 : now;
}

static int serve(struct arguments *args)
{
	json_t *metadata = NULL;
	int status;

	if (args->metadata && read_json(args->metadata, &metadata)) {
		objects_fini(&args->objects);
		return FC_BAD_CONFIGURATION;
	}
	args->spec = (struct api_spec){
		.socket = args->no_api ? NULL : args->socket,
		.fd = -1,
		.id = args->id,
		.log_path = args->log_path,
		.level = args->level,
		.show_level = args->show_level,
		.log_level = LOG_LEVEL_WARN,
		.metadata = metadata,
		.mmds_limit = args->mmds_limit ? number(args->mmds_limit) : MMDS_SIZE_LIMIT,
		.max_body = args->max_body ? number(args->max_body) : HTTP_MAX_BODY,
		.as_firecracker = true,
		.has_pci = args->enable_pci,
		.confine = args->no_seccomp ? CONFINE_BASIC : CONFINE_DEFAULT,
		.metrics_path = args->metrics_path,
		.since_ns = beginning(args),
		.cpu_before_us = number(args->parent_cpu_us) - number(args->start_cpu_us),
	};
	status = api_serve(&args->spec, &args->objects, args->config);
	json_decref(metadata);
	return status;
}

/* The form of a state's file is what its readers go by. */
static void print_snapshot_version(void)
{
	printf("v%u.0.0\n", STATE_FORMAT);
}

static int describe_snapshot(const char *path)
{
	struct snapshot snapshot;
	struct diag diag;

	if (snapshot_open_state(&snapshot, path, &diag)) {
		log_error("%s", diag.text);
		return EXIT_HOST_ERROR;
	}
	snapshot_close(&snapshot);
	print_snapshot_version();
	return 0;
}

/* The VMM's process begins with what this one has. */
static void confine(int argc, char **argv)
{
	struct confine_kept kept = { 0 };

	confine_keep_words(&kept, argc, argv);
	confine_enter(&kept);
}

int cmd_firecracker(int argc, char **argv)
{
	struct arguments args = { .socket = DEFAULT_SOCKET, .id = "anonymous-instance" };

	if (read_arguments(&args, argc, argv))
		return FC_BAD_ARGUMENTS;
	if (args.help) {
		print_help();
		return 0;
	}
	if (args.version) {
		puts("Firecracker v" API_FIRECRACKER_VERSION " (Pronto " PRONTO_VERSION ")\n");
		return 0;
	}
	if (args.snapshot_version) {
		print_snapshot_version();
		return 0;
	}
	if (args.described)
		return describe_snapshot(args.described);
	objects_init(&args.objects);
	if (args.config && read_config(&args)) {
		objects_fini(&args.objects);
		return FC_BAD_CONFIGURATION;
	}
	confine(argc, argv);
	return serve(&args);
}
