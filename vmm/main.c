// SPDX-License-Identifier: MIT
/* main.c - choose the subcommand */

#include "cmd.h"
#include "exit_codes.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "run", cmd_run, "boot a kernel in a virtual machine" },
	{ "restore", cmd_restore, "have a virtual machine go on from where it was saved" },
	{ "clone", cmd_clone, "have many go on from one snapshot" },
	{ "serve", cmd_serve, "have a snapshot ready, for clones that begin at once" },
	{ "merge", cmd_merge, "make a snapshot whole that has what has changed since another" },
	{ "api", cmd_api, "start and drive a virtual machine by HTTP on a unix socket" },
	{ "ctl", cmd_ctl, "ask something of a machine that was started so" },
	{ "inspect", cmd_inspect,
		"say what a kernel file or a snapshot is, and whether it is usable here" },
	{ "pack", cmd_pack, "pack a kernel, initrd and command line into one PVH ELF" },
	{ "doctor", cmd_doctor, "say whether this host can run virtual machines, and how fast" },
};

static void print_help(FILE *out)
{
	fputs("usage: pronto COMMAND [options]\n\n"
	      "Boot KVM virtual machines through the PVH entry point.\n\nCommands:\n",
		out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s%s\n", commands[i].name, commands[i].help);
	fputs("  help      print this help, or with a command's name that of the command\n"
	      "  version   print the version\n\n"
	      "Options:\n"
	      "  -h, --help     print this help and end\n"
	      "      --version  print the version and end\n\n"
	      "`pronto COMMAND --help` tells more about a command, pronto(1) about all.\n",
		out);
}

static bool is_called(const char *argv0, const char *name)
{
	const char *slash = strrchr(argv0, '/');

	return !strcmp(slash ? slash + 1 : argv0, name);
}

static int dispatch(int argc, char **argv)
{
	static char help[] = "--help";

	if (argc && is_called(argv[0], "firecracker"))
		return cmd_firecracker(argc, argv);
	if (argc && is_called(argv[0], "jailer"))
		return cmd_jailer(argc, argv);
	if (argc < 2) {
		print_help(stderr);
		return EXIT_OPERATOR;
	}
	/* `pronto help COMMAND` is `pronto COMMAND --help`. */
	if (argc > 2 && !strcmp(argv[1], "help")) {
		argv[1] = argv[2];
		argv[2] = help;
		argc = 3;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		print_help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "version") || !strcmp(argv[1], "--version")) {
		puts("pronto " PRONTO_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	log_error("unknown %s '%.40s'; see `pronto --help`",
		argv[1][0] == '-' ? "option" : "command", argv[1]);
	return EXIT_OPERATOR;
}

/* Where a standard file is closed, the next file opened would be taken for it. */
static void open_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", O_RDWR); /* the lowest free descriptor: this one */
}

int main(int argc, char **argv)
{
	int ret;

	/* A closed pipe, and a file over the limit, show where they are written to. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	open_standard_files();
	log_open();
	ret = dispatch(argc, argv);

	/* What was asked for may have been text that did not fit where it went. */
	if ((fflush(stdout) || ferror(stdout)) && !ret) {
		log_error("cannot write to standard output: %s", error_text(errno));
		ret = EXIT_HOST_ERROR;
	}
	log_finish();
	return ret;
}
