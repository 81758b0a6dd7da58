// SPDX-License-Identifier: MIT
/* args.c - settings from the arguments of `pronto run` */

#include "config/table.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define SEE_HELP "see `pronto run --help`"

/* getopt_long() returns this plus the row's number for a long option, the letter for a short one.
 */
#define LONG_BASE 0x100

/* What getopt_long() wants to know of the table. */
struct options {
	struct option longs[CONFIG_N_SETTINGS + 1];
	char shorts[2 + 2 * CONFIG_N_SETTINGS + 1];
};

static int option_has_arg(const struct setting *s)
{
	if (s->kind == KIND_FLAG_OR_STRING)
		return optional_argument;
	return s->arg ? required_argument : no_argument;
}

static void options_init(struct options *options)
{
	struct option *to = options->longs;
	char *c = options->shorts;

	*c++ = '-'; /* operands come in their place, as option 1 */
	*c++ = ':'; /* tell a missing argument from an unknown option */
	for (int i = 0; i < CONFIG_N_SETTINGS; i++) {
		const struct setting *s = &config_settings[i];

		if (!(s->place & IN_ARGS))
			continue;
		*to++ = (struct option){ s->name, option_has_arg(s), NULL, LONG_BASE + i };
		if (s->letter)
			*c++ = s->letter;
		if (s->letter && s->arg)
			*c++ = ':';
	}
	*to = (struct option){ 0 };
	*c = '\0';
}

/* The row for what getopt_long() returned, or NULL. */
static const struct setting *find_option(int opt)
{
	if (opt >= LONG_BASE)
		return &config_settings[opt - LONG_BASE];
	for (int i = 0; i < CONFIG_N_SETTINGS; i++)
		if (opt && config_settings[i].letter == opt)
			return &config_settings[i];
	return NULL;
}

/* getopt_long() has refused `arg`. */
static int refuse_option(int opt, const char *arg, struct diag *diag)
{
	const struct setting *s = find_option(optopt);
	const char *meant;
	char name[32];

	if (s && opt == ':')
		return diag_fail(
			diag, EINVAL, "option --%s needs an argument, %s", s->name, s->arg);
	if (s)
		return diag_fail(diag, EINVAL, "option --%s takes no argument", s->name);
	if (optopt)
		return diag_fail(diag, EINVAL, "unknown option -%c; " SEE_HELP, optopt);
	/* Without a value: --memroy=1G */
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
	meant = config_nearest_name(name, IN_ARGS);
	if (meant)
		return diag_fail(
			diag, EINVAL, "unknown option --%s; did you mean --%s?", name, meant);
	return diag_fail(diag, EINVAL, "unknown or ambiguous option --%s; " SEE_HELP, name);
}

static int apply_option(
	struct config *config, const struct setting *s, const char *value, struct diag *diag)
{
	struct diag why;
	int ret = s->set(config, value ? value : "true", &why);

	if (ret >= 0)
		return ret;
	/* What is wrong in a file names the file. */
	if (s->set == config_load_file)
		return diag_fail(diag, EINVAL, "%s", why.text);
	return diag_fail(diag, EINVAL, "option --%s: %s", s->name, why.text);
}

static int apply_operand(struct config *config, const char *value, bool first, struct diag *diag)
{
	const struct setting *kernel = &config_settings[0];
	struct diag why;

	if (!first)
		return diag_fail(diag, EINVAL,
			"'%.100s' would be a second kernel; words for the kernel go after --",
			value);
	if (kernel->set(config, value, &why))
		return diag_fail(diag, EINVAL, "kernel: %s", why.text);
	return 0;
}

/* The words from argv[from] on, with blanks between. */
static int apply_words(struct config *config, int argc, char **argv, int from, struct diag *diag)
{
	size_t size = 1;
	char *words, *c;

	for (int i = from; i < argc; i++)
		size += strlen(argv[i]) + 1;
	c = words = malloc(size);
	if (!words)
		return diag_fail(diag, EINVAL, "out of memory");
	*words = '\0';
	for (int i = from; i < argc; i++)
		c += sprintf(c, "%s%s", i > from ? " " : "", argv[i]);
	free(config->cmdline);
	config->cmdline = words;
	return 0;
}

/* Go over the arguments and apply the options that take effect first, or all others. */
static int apply_args(
	struct config *config, int argc, char **argv, bool first_pass, struct diag *diag)
{
	bool kernel_seen = false, cmdline_seen = false;
	struct options options;
	int opt, at;

	options_init(&options);
	opterr = 0;
	optind = 0; /* glibc: start anew */
	for (at = 1; (opt = getopt_long(argc, argv, options.shorts, options.longs, NULL)) != -1;
		at = optind) {
		const struct setting *s = find_option(opt);
		int ret = 0;

		if (opt == '?' || opt == ':')
			return refuse_option(opt, argv[optind - 1], diag);
		if (opt == 1 && !first_pass) {
			ret = apply_operand(config, optarg, !kernel_seen, diag);
			kernel_seen = true;
		} else if (s && first_pass == !!(s->place & IN_ARGS_FIRST)) {
			ret = apply_option(config, s, optarg, diag);
			cmdline_seen |= !strcmp(s->name, "cmdline");
		}
		if (ret)
			return ret;
	}
	/* The last call went past a --, unless there was nothing left. */
	if (first_pass || optind == at)
		return 0;
	if (cmdline_seen)
		return diag_fail(diag, EINVAL,
			"--cmdline and words after -- are both the kernel's command line; give one");
	return apply_words(config, argc, argv, optind, diag);
}

int config_parse_args(struct config *config, int argc, char **argv, struct diag *diag)
{
	int ret = apply_args(config, argc, argv, true, diag);

	if (!ret)
		ret = apply_args(config, argc, argv, false, diag);
	if (ret)
		return ret;
	if (!config->kernel)
		return diag_fail(diag, EINVAL, "no kernel given; " SEE_HELP);
	return 0;
}
