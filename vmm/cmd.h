/* SPDX-License-Identifier: MIT */
/* cmd.h - the subcommands, one file each
 *
 * argv[0] is the subcommand's name.  Each prints its own --help, reports its own errors on standard
 * error, and returns the process's exit status (exit_codes.h; doctor documents its own).
 */
#ifndef CMD_H
#define CMD_H

#include <stdbool.h>

int cmd_run(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_merge(int argc, char **argv);
int cmd_clone(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_pack(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_api(int argc, char **argv);
int cmd_ctl(int argc, char **argv);
/* Of `pronto inspect`: what is in a snapshot. */
int inspect_snapshot(const char *path, bool as_json);
/* What a program called firecracker is asked. */
int cmd_firecracker(int argc, char **argv);
/* And one called jailer. */
int cmd_jailer(int argc, char **argv);

#endif
