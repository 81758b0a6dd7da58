// SPDX-License-Identifier: MIT
/* cmd_serve.c - pronto serve: have a snapshot ready for machines to begin with */

#include "cmd.h"
#include "confine/confine.h"
#include "exit_codes.h"
#include "util/error.h"
#include "util/listener.h"
#include "util/log.h"
#include "vm/server.h"
#include "vm/warm.h"

#include <getopt.h>
#include <stdio.h>

static void print_help(FILE *out)
{
	fputs("usage: pronto serve SNAPSHOT --socket PATH\n\n"
	      "Have a snapshot's memory mapped and KVM open, and fork a process for each machine that\n"
	      "`pronto clone PATH` asks for.  The machines live on when this is ended.\n\n"
	      "Options:\n"
	      "      --socket PATH  where to listen; a socket that nobody serves is replaced\n"
	      "  -v, --verbose      say more; twice for still more\n"
	      "  -h, --help         print this help and end\n\n"
	      "Exit status: 0 it was told to end (SIGTERM), 1 host error, 2 unusable option or file.\n",
		out);
}

int cmd_serve(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	enum log_level level = LOG_LEVEL_WARN;
	struct confine_kept none = { 0 };
	struct listener listener;
	const char *path = NULL;
	struct warm warm;
	struct diag diag;
	int c, ret;

	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
		if (c == 'h') {
			print_help(stdout);
			return 0;
		}
		if (c == '?') {
			log_error(
				"serve: %s: unknown option, or one without its argument; see `pronto "
				"serve --help`",
				argv[optind - 1]);
			return EXIT_OPERATOR;
		}
		if (c == 's')
			path = optarg;
		else
			level = level < LOG_LEVEL_DEBUG ? level + 1 : level;
	}
	if (argc - optind != 1 || !path) {
		log_error("serve: give a snapshot and --socket; see `pronto serve --help`");
		return EXIT_OPERATOR;
	}
	log_set_level(level);
	confine_enter(&none);
	ret = warm_open(&warm, argv[optind], &diag);
	if (ret) {
		log_error("%s", diag.text);
		return (int)exit_code_of(-ret);
	}
	ret = server_listen(&listener, path);
	if (ret) {
		log_error("%s: cannot listen there: %s", path, error_text(-ret));
		ret = EXIT_OPERATOR;
	} else {
		ret = server_run(&warm, &listener);
	}
	warm_close(&warm);
	return ret;
}
