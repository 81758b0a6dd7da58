// SPDX-License-Identifier: MIT
/* cmd_pack.c - pronto pack: a kernel and what belongs to it in one ELF that boots by PVH */

#include "boot/boot.h"
#include "cmd.h"
#include "exit_codes.h"
#include "image/foreign.h"
#include "image/image.h"
#include "image/pack.h"
#include "util/error.h"
#include "util/file.h"
#include "util/log.h"
#include "util/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct arguments {
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	const char *output;
};

static void print_help(FILE *out)
{
	fputs("usage: pronto pack [options] KERNEL -o FILE\n\n"
	      "Pack a 64-bit Linux kernel (a bzImage or a vmlinux, with or without a PVH entry) into\n"
	      "one ELF that any VMM boots by PVH: pronto run, QEMU's -kernel, Xen's kernel=,\n"
	      "Cloud Hypervisor, Firecracker.\n\n"
	      "Options:\n"
	      "  -o, --output FILE       the ELF to write; a file of that name is replaced\n"
	      "  -i, --initrd FILE       pack this initrd; one that the VMM gives replaces it\n"
	      "      --cmdline STRING    pack this command line; what the VMM gives is added to it\n"
	      "  -h, --help              print this help and end\n\n"
	      "Exit status: 0 done, 1 the file cannot be written, 2 an option or a file is not usable.\n",
		out);
}

/* 0; 1 if help was all that was asked for; -1 after a message. */
static int parse(struct arguments *args, int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "cmdline", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":o:i:h", options, NULL)) != -1) {
		switch (c) {
		case 'o': args->output = optarg; break;
		case 'i': args->initrd = optarg; break;
		case 'c': args->cmdline = optarg; break;
		case 'h': print_help(stdout); return 1;
		default:
			log_error("pack: %s: %s; see pronto pack --help", argv[optind - 1],
				c == ':' ? "an argument is missing" : "unknown option");
			return -1;
		}
	}
	if (argc - optind != 1 || !args->output) {
		log_error("pack: give one kernel file, and -o FILE; see pronto pack --help");
		return -1;
	}
	args->kernel = argv[optind];
	return 0;
}

static int open_inputs(
	struct pack *pack, struct image *kernel, const struct arguments *args, struct diag *diag)
{
	const char *name;
	struct stat st;

	if (args->cmdline && strlen(args->cmdline) > BOOT_LINUX_CMDLINE_MAX) {
		log_error("option --cmdline: it has %zu bytes and Linux takes %u: shorten it",
			strlen(args->cmdline), BOOT_LINUX_CMDLINE_MAX);
		return -1;
	}
	if (image_open_whole(kernel, args->kernel, false, diag)) {
		log_error("%s: %s", args->kernel, diag->text);
		return -1;
	}
	*pack = (struct pack){ .kernel = kernel, .initrd_fd = -1, .cmdline = args->cmdline };
	if (!args->initrd)
		return 0;
	pack->initrd_fd = file_open_regular(args->initrd, &st, diag);
	if (pack->initrd_fd >= 0 && st.st_size) {
		pack->initrd_size = (uint64_t)st.st_size;
		name = foreign_kernel_name(pack->initrd_fd);
		if (name)
			log_warn("%s: it is %s and no initrd: are kernel and initrd swapped?",
				args->initrd, name);
		return 0;
	}
	log_error("%s: %s", args->initrd,
		pack->initrd_fd < 0 ? diag->text : "it is empty: leave out --initrd");
	if (pack->initrd_fd >= 0)
		close(pack->initrd_fd);
	image_close(kernel);
	return -1;
}

/* The directory of the output and its name there; -1 after a message. */
static int open_place(const char *output, const char **name)
{
	const char *slash = strrchr(output, '/');
	char dir[PATH_MAX] = ".";
	struct stat st;
	int fd;

	*name = slash ? slash + 1 : output;
	if (!stat(output, &st) && !S_ISREG(st.st_mode)) {
		log_error("%s: is no regular file", output);
		return -1;
	}
	if (slash && (size_t)(slash - output) + 2 > sizeof(dir)) {
		log_error("%.40s...: the name is too long", output);
		return -1;
	}
	if (slash) /* with the slash: it may be the root's */
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - output) + 1, output);
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		log_error("%s: cannot be created: %s", output, error_text(errno));
	return fd;
}

/* What has a name that is not its own must not stay behind when a signal ends the process. */
static void hold_signals(sigset_t *saved)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, saved);
}

/* What was of that name until then may be one of the inputs. */
static int write_file(
	struct newfile *file, const struct pack *pack, const char *name, struct diag *diag)
{
	int ret = pack_write(file->fd, pack, diag);

	if (!ret && fsync(file->fd))
		ret = diag_fail(diag, errno, "cannot be written: %s", error_text(errno));
	if (ret)
		return ret;
	hold_signals(NULL);
	ret = newfile_replace(file, name);
	return ret < 0 ? diag_fail(diag, -ret, "cannot be given its name: %s", error_text(-ret))
	               : 0;
}

static enum exit_code write_output(const struct pack *pack, const char *output, struct diag *diag)
{
	const char *name;
	int dir_fd = open_place(output, &name), ret;
	struct newfile file;
	sigset_t saved;

	if (dir_fd < 0)
		return EXIT_OPERATOR;
	hold_signals(&saved);
	ret = newfile_create(&file, dir_fd, 0666, false);
	if (ret < 0) {
		log_error("%s: cannot be created: %s", output, error_text(-ret));
		close(dir_fd);
		return EXIT_OPERATOR;
	}
	if (!file.temp[0])
		sigprocmask(SIG_SETMASK, &saved, NULL);
	ret = write_file(&file, pack, name, diag);
	newfile_discard(&file);
	sigprocmask(SIG_SETMASK, &saved, NULL);
	close(dir_fd);
	if (!ret)
		return EXIT_SUCCESS;
	log_error("%s: %s", output, diag->text);
	return ret == -E2BIG || ret == -ENODATA ? EXIT_OPERATOR : EXIT_HOST_ERROR;
}

int cmd_pack(int argc, char **argv)
{
	struct arguments args = { 0 };
	struct image kernel;
	struct pack pack;
	struct diag diag;
	int ret = parse(&args, argc, argv);

	if (ret)
		return ret < 0 ? EXIT_OPERATOR : 0;
	if (open_inputs(&pack, &kernel, &args, &diag))
		return EXIT_OPERATOR;
	ret = (int)write_output(&pack, args.output, &diag);
	if (pack.initrd_fd >= 0)
		close(pack.initrd_fd);
	image_close(&kernel);
	return ret;
}
