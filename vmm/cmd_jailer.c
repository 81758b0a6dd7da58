// SPDX-License-Identifier: MIT
/* cmd_jailer.c - what a program called jailer is asked: to start another in a jail */

#include "api/api.h"
#include "cmd.h"
#include "confine/cgroup.h"
#include "confine/jail.h"
#include "confine/jail_place.h"
#include "exit_codes.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "util/size.h"
#include "util/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_BASE    "/srv/jailer"
#define DEFAULT_N_FILES 2048
#define MAX_ID          64
#define MAX_VALUES      64
#define MAX_PROGRAM     100 /* bytes of its name */
#define US              30  /* bytes of a time */

struct arguments {
	const char *id, *program, *uid, *gid, *base, *netns, *parent, *version_of_cgroup;
	const char *value[MAX_VALUES]; /* of the cgroup's files */
	const char *limit[MAX_VALUES];
	unsigned int n_values, n_limits;
	bool daemonize, new_pid_ns, help, version;
	char **rest; /* the program's own */
	int n_rest;

	struct jail_config jail;
	uint64_t start_us, start_cpu_us;
	uint64_t spent_cpu_us; /* by those before the process that becomes the program */
};

#define AT(member) offsetof(struct arguments, member)

static const struct option {
	const char *name;
	enum { FLAG, TEXT, MUST, VALUES, LIMITS } kind;
	size_t at; /* bool, const char * */
	const char *help;
} options[] = {
	{ "--id", MUST, AT(id), "the jail's name: letters, digits and -" },
	{ "--exec-file", MUST, AT(program), "the program" },
	{ "--uid", MUST, AT(uid), "the user that it runs as, a number" },
	{ "--gid", MUST, AT(gid), "the group" },
	{ "--chroot-base-dir", TEXT, AT(base), "where jails are (default: " DEFAULT_BASE ")" },
	{ "--netns", TEXT, AT(netns), "path of the network namespace to run in" },
	{ "--daemonize", FLAG, AT(daemonize), "in the background, without a terminal" },
	{ "--new-pid-ns", FLAG, AT(new_pid_ns), "as process 1 of a PID namespace" },
	{ "--cgroup", VALUES, 0, "FILE=VALUE of its cgroup; again for another file" },
	{ "--cgroup-version", TEXT, AT(version_of_cgroup), "2; cgroups of version 1 are not made" },
	{ "--parent-cgroup", TEXT, AT(parent), "below which cgroup (default: the program's name)" },
	{ "--resource-limit", LIMITS, 0, "no-file=N (default: 2048), or fsize=BYTES" },
	{ "--version", FLAG, AT(version), "print the version" },
	{ "--help", FLAG, AT(help), "print this help" },
};

/* ---- arguments ---- */

static int refuse(const char *argument, const char *why)
{
	log_error("Arguments parsing error: argument '%.60s' %s", argument, why);
	return -EINVAL;
}

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

static const char **text_at(struct arguments *args, const struct option *option)
{
	return (const char **)((char *)args + option->at);
}

static int keep(struct arguments *args, const struct option *option, const char *value)
{
	const char **text = text_at(args, option);

	if (option->kind == FLAG) {
		*(bool *)((char *)args + option->at) = true;
		return 0;
	}
	if (option->kind == VALUES || option->kind == LIMITS) {
		bool is_limit = option->kind == LIMITS;
		unsigned int *n = is_limit ? &args->n_limits : &args->n_values;

		if (*n == MAX_VALUES)
			return refuse(option->name, "is there too often");
		(is_limit ? args->limit : args->value)[(*n)++] = value;
		return 0;
	}
	if (*text)
		return refuse(option->name, "is there twice");
	*text = value;
	return 0;
}

static int read_arguments(struct arguments *args, int argc, char **argv)
{
	int i, ret = 0;

	for (i = 1; i < argc && strcmp(argv[i], "--") && !ret; i++) {
		const struct option *option = find_option(argv[i]);
		const char *name = argv[i];

		if (!option)
			return refuse(name, "is not known, or was not expected");
		if (option->kind != FLAG && (i + 1 == argc || find_option(argv[i + 1])))
			return refuse(name, "needs a value");
		ret = keep(args, option, option->kind == FLAG ? NULL : argv[++i]);
	}
	args->rest = argv + i + 1;
	args->n_rest = i < argc ? argc - i - 1 : 0;
	if (args->help || args->version)
		return ret;
	for (size_t j = 0; j < ARRAY_SIZE(options) && !ret; j++)
		if (options[j].kind == MUST && !*text_at(args, &options[j]))
			return refuse(options[j].name, "is not there, and must be");
	return ret;
}

static bool read_number(const char *text, uint64_t max, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *n <= max;
}

static int read_limit(struct arguments *args, const char *limit)
{
	const char *is = strchr(limit, '=');
	uint64_t n;

	if (!is || !read_number(is + 1, INT64_MAX, &n) || !n)
		return refuse(limit, "is no limit: give no-file=N or fsize=BYTES");
	if (!strncmp(limit, "no-file=", strlen("no-file=")) && n <= UINT32_MAX)
		args->jail.n_files = (uint32_t)n;
	else if (!strncmp(limit, "fsize=", strlen("fsize=")))
		args->jail.file_size = n;
	else
		return refuse(limit, "is no limit: give no-file=N or fsize=BYTES");
	return 0;
}

/* A file of the cgroup's own directory. */
static int check_value(const char *value)
{
	const char *is = strchr(value, '='), *dot = strchr(value, '.');

	if (!is || !is[1] || !dot || dot > is || dot == value ||
		memchr(value, '/', (size_t)(is - value)))
		return refuse(value, "is no value of a cgroup: give FILE=VALUE, as memory.max=1G");
	return 0;
}

static const char *name_of(const char *program)
{
	const char *slash = strrchr(program, '/');

	return slash ? slash + 1 : program;
}

static int check_words(struct arguments *args)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *version = args->version_of_cgroup;
	size_t size = strlen(args->id), of_name = strlen(name_of(args->program));

	if (!size || size > MAX_ID || strspn(args->id, letters) != size)
		return refuse("--id", "has 1 to 64 characters, of A-Z, a-z, 0-9 and -");
	if (!of_name || of_name > MAX_PROGRAM || *name_of(args->program) == '.')
		return refuse("--exec-file", "names no program");
	if (!args->parent)
		args->parent = name_of(args->program);
	else if (!cgroup_is_path(args->parent))
		return refuse("--parent-cgroup", "is a path without / at its beginning, . and ..");
	if (version && strcmp(version, "1") && strcmp(version, "2"))
		return refuse("--cgroup-version", "is 1 or 2");
	if (version && *version == '1' && args->n_values)
		return refuse("--cgroup-version",
			"is 1, of which none are made: give 2, or leave out --cgroup and start "
			"jailer in a cgroup that you have made");
	return 0;
}

static int check_arguments(struct arguments *args)
{
	uint64_t uid, gid;
	int ret = check_words(args);

	if (ret)
		return ret;
	if (!read_number(args->uid, CONFIG_NO_ID - 1, &uid))
		return refuse("--uid", "is a number");
	if (!read_number(args->gid, CONFIG_NO_ID - 1, &gid))
		return refuse("--gid", "is a number");
	args->jail.uid = (uint32_t)uid;
	args->jail.gid = (uint32_t)gid;
	for (unsigned int i = 0; i < args->n_limits && !ret; i++)
		ret = read_limit(args, args->limit[i]);
	for (unsigned int i = 0; i < args->n_values && !ret; i++)
		ret = check_value(args->value[i]);
	return ret;
}

static void print_help(void)
{
	puts("usage: jailer [OPTION [VALUE]]... [-- OPTIONS OF THE PROGRAM...]\n\n"
	     "Start a program, which is Pronto by the name of firecracker, as another user in a root of\n"
	     "its own: Pronto, by the name and with the options of Firecracker's jailer.\n\nOptions:");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		printf("  %-20s%s\n", options[i].name, options[i].help);
}

/* ---- the jail ---- */

struct jailer {
	const struct arguments *args;
	struct cgroup cgroup;
	struct jail_place place;
	int null_fd;
};

/* Values ask for a cgroup of this id; without, the parent is one that somebody has prepared. */
static int prepare_cgroup(struct jailer *jailer, struct diag *diag)
{
	const struct arguments *args = jailer->args;
	int ret;

	if (!args->n_values && (!args->version_of_cgroup || *args->version_of_cgroup == '1'))
		return 0;
	ret = cgroup_open(&jailer->cgroup, diag);
	if (ret)
		return ret;
	if (args->n_values)
		return cgroup_make(
			&jailer->cgroup, args->parent, args->id, args->value, args->n_values, diag);
	ret = cgroup_find(&jailer->cgroup, args->parent, diag);
	return ret == -ENOENT ? 0 : ret;
}

/* What may well be refused comes first, and what cannot be undone last. */
static int build(struct jailer *jailer, struct diag *diag)
{
	const struct arguments *args = jailer->args;
	int ret = jail_may(diag);

	if (!ret)
		ret = prepare_cgroup(jailer, diag);
	if (!ret)
		ret = jail_leave_mounts(diag);
	if (!ret)
		ret = jail_place_make(&jailer->place, args->base, args->program, args->id, diag);
	if (!ret && jailer->cgroup.fd >= 0)
		ret = cgroup_join(&jailer->cgroup, diag);
	if (!ret && args->netns)
		ret = jail_join_net(args->netns, diag);
	if (!ret && args->daemonize) {
		jailer->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (jailer->null_fd < 0)
			ret = diag_fail(diag, errno, "/dev/null: %s", error_text(errno));
	}
	return ret ? ret : jail_change_root(jailer->place.fd, diag);
}

/* ---- the process ---- */

static uint64_t cpu_us(void)
{
	struct timespec spent = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
	return (uint64_t)spent.tv_sec * 1000000 + (uint64_t)spent.tv_nsec / 1000;
}

/* 0 in a child, its number in the parent.  The child's processor time begins anew. */
static pid_t split(struct arguments *args, struct diag *diag)
{
	uint64_t spent = cpu_us() - args->start_cpu_us;
	pid_t pid = fork();

	if (pid < 0)
		return diag_fail(diag, errno, "fork: %s", error_text(errno));
	if (!pid) {
		args->spent_cpu_us += spent;
		args->start_cpu_us = 0;
	}
	return pid;
}

/* In a session of its own, whose leader it is not, so that no terminal becomes its own. */
static int leave_terminal(struct jailer *jailer, struct arguments *args, struct diag *diag)
{
	for (int i = 0; i < 2; i++) {
		pid_t pid = split(args, diag);

		if (pid < 0)
			return pid;
		if (pid)
			_exit(EXIT_SUCCESS);
		if (!i && setsid() < 0)
			return diag_fail(diag, errno, "setsid: %s", error_text(errno));
	}
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (dup2(jailer->null_fd, fd) < 0)
			return diag_fail(diag, errno, "/dev/null: %s", error_text(errno));
	return 0;
}

/* The parent has the number of the child, as all others see it, and nothing more to do. */
static int leave_pids(struct jailer *jailer, struct arguments *args, struct diag *diag)
{
	pid_t pid;
	int ret;

	if (unshare(CLONE_NEWPID))
		return diag_fail(diag, errno, "a PID namespace: %s", error_text(errno));
	pid = split(args, diag);
	if (pid <= 0)
		return pid;
	ret = jail_place_note(&jailer->place, pid, diag);
	if (!ret)
		_exit(EXIT_SUCCESS);
	kill(pid, SIGKILL);
	return ret;
}

static int become_program(struct jailer *jailer, struct arguments *args, struct diag *diag)
{
	char path[NAME_MAX + 2], start[US], start_cpu[US], spent[US], id[MAX_ID + 1];
	char *words[] = { path, "--id", id, "--start-time-us", start, "--start-time-cpu-us",
		start_cpu, "--parent-cpu-time-us", spent };
	char *nothing[] = { NULL };
	char **argv = calloc(ARRAY_SIZE(words) + (size_t)args->n_rest + 1, sizeof(*argv));
	int ret;

	if (!argv)
		return diag_fail(diag, ENOMEM, "out of memory");
	snprintf(path, sizeof(path), "/%s", jailer->place.program);
	snprintf(id, sizeof(id), "%s", args->id);
	snprintf(start, US, "%llu", (unsigned long long)args->start_us);
	snprintf(start_cpu, US, "%llu", (unsigned long long)args->start_cpu_us);
	snprintf(spent, US, "%llu", (unsigned long long)args->spent_cpu_us);
	memcpy(argv, words, sizeof(words));
	memcpy(argv + ARRAY_SIZE(words), args->rest, (size_t)args->n_rest * sizeof(*argv));
	ret = jail_limit(args->jail.n_files, args->jail.file_size, diag);
	if (!ret)
		ret = jail_become(args->jail.uid, args->jail.gid, diag);
	if (!ret) {
		execve(path, argv, nothing);
		ret = diag_fail(
			diag, errno, "--exec-file %.200s: %s", args->program, error_text(errno));
	}
	free(argv);
	return ret;
}

static int run(struct jailer *jailer, struct arguments *args, struct diag *diag)
{
	int ret = build(jailer, diag);

	if (!ret && args->daemonize)
		ret = leave_terminal(jailer, args, diag);
	if (!ret)
		ret = args->new_pid_ns ? leave_pids(jailer, args, diag)
		                       : jail_place_note(&jailer->place, getpid(), diag);
	return ret ? ret : become_program(jailer, args, diag);
}

int cmd_jailer(int argc, char **argv)
{
	static struct arguments args = { .jail.n_files = DEFAULT_N_FILES };
	static struct jailer jailer = { .args = &args, .cgroup = { -1, -1, -1, "", "", 0 } };
	struct diag diag;
	int ret;

	args.start_us = timeline_now() / 1000;
	args.start_cpu_us = cpu_us();
	ret = read_arguments(&args, argc, argv);
	if (!ret && args.help) {
		print_help();
		return 0;
	}
	if (!ret && args.version) {
		puts("Jailer v" API_FIRECRACKER_VERSION " (Pronto " PRONTO_VERSION ")");
		return 0;
	}
	if (!args.base)
		args.base = DEFAULT_BASE;
	if (ret || check_arguments(&args))
		return EXIT_OPERATOR;
	if (close_range(STDERR_FILENO + 1, ~0u, 0)) {
		log_error("close_range: %s", error_text(errno));
		return EXIT_HOST_ERROR;
	}
	jailer.place.uid = args.jail.uid;
	jailer.place.gid = args.jail.gid;
	ret = run(&jailer, &args, &diag);
	log_error("%s", diag.text);
	jail_place_undo(&jailer.place);
	cgroup_undo(&jailer.cgroup);
	return (int)exit_code_of(-ret);
}
