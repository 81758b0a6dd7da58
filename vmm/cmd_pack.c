// SPDX-License-Identifier: MIT
/* cmd_pack.c - pronto pack: a kernel and what belongs to it in one ELF that boots by PVH */

#include "boot/boot.h"
#include "cmd.h"
#include "exit_codes.h"
#include "image/image.h"
#include "image/pack.h"
#include "util/file.h"
#include "util/log.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
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
		return 0;
	}
	log_error("%s: %s", args->initrd,
		pack->initrd_fd < 0 ? diag->text : "it is empty: leave out --initrd");
	if (pack->initrd_fd >= 0)
		close(pack->initrd_fd);
	image_close(kernel);
	return -1;
}

/* A file beside the one to be written takes its name when all is well: it may even be an input. */
static int create_beside(const char *output, char temp[PATH_MAX])
{
	struct stat st;
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	if (!stat(output, &st) && !S_ISREG(st.st_mode)) {
		log_error("%s: is no regular file", output);
		return -1;
	}
	if (snprintf(temp, PATH_MAX, "%s.XXXXXX", output) >= PATH_MAX) {
		log_error("%.40s...: the name is too long", output);
		return -1;
	}
	fd = mkstemp(temp);
	if (fd < 0 || fchmod(fd, 0666 & ~mask)) {
		log_error("%s: cannot be created: %s", output, strerror(errno));
		if (fd >= 0) {
			unlink(temp);
			close(fd);
		}
		return -1;
	}
	return fd;
}

static enum exit_code write_output(const struct pack *pack, const char *output, struct diag *diag)
{
	char temp[PATH_MAX];
	int fd = create_beside(output, temp), ret;

	if (fd < 0)
		return EXIT_OPERATOR;
	ret = pack_write(fd, pack, diag);
	if (close(fd) && !ret)
		ret = diag_fail(diag, errno, "cannot be written: %s", strerror(errno));
	if (!ret && rename(temp, output))
		ret = diag_fail(diag, errno, "cannot be given its name: %s", strerror(errno));
	if (!ret)
		return EXIT_SUCCESS;
	unlink(temp);
	log_error("%s: %s", output, diag->text);
	return ret == -EFBIG || ret == -ENODATA ? EXIT_OPERATOR : EXIT_HOST_ERROR;
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
