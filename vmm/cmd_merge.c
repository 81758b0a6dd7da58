// SPDX-License-Identifier: MIT
/* cmd_merge.c - pronto merge: a snapshot of what has changed, made whole */

#include "cmd.h"
#include "exit_codes.h"
#include "util/log.h"
#include "vm/snapshot.h"

#include <stdio.h>
#include <string.h>

static void print_help(FILE *out)
{
	fputs("usage: pronto merge BASE CHANGES\n\n"
	      "Make the snapshot CHANGES whole, which has of memory only what has changed since the\n"
	      "snapshot BASE (`pronto ctl SOCKET snapshot DIRECTORY --diff`).  BASE stays as it is.\n\n"
	      "Options:\n"
	      "  -h, --help  print this help and end\n\n"
	      "Exit status: 0 it is whole, 1 it cannot be written, 2 these do not go together.\n",
		out);
}

int cmd_merge(int argc, char **argv)
{
	struct diag diag;
	int ret;

	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		print_help(stdout);
		return 0;
	}
	if (argc != 3 || argv[1][0] == '-' || argv[2][0] == '-') {
		log_error("give two snapshots; see `pronto merge --help`");
		return EXIT_OPERATOR;
	}
	ret = snapshot_merge(argv[1], argv[2], &diag);
	if (!ret)
		return 0;
	log_error("%s", diag.text);
	return (int)exit_code_of(-ret);
}
