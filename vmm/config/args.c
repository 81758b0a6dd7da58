// SPDX-License-Identifier: MIT
/* args.c - settings from the arguments of `pronto run` and `pronto restore` */

#include "config/table.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* getopt_long() returns this plus the row's number for a long option, the letter for a short one.
 */
#define LONG_BASE 0x100

#define MAX_SETTINGS 64 /* more than there will ever be */

/* The command whose arguments they are. */
struct command {
	enum source from; /* FROM_ARGS, or ON_RESTORE */
	const char *see_help;
	int (*load)(void *ctx, const char *path, struct config *config, struct diag *diag);
	void *ctx;
};

static const struct command run = { .from = FROM_ARGS, .see_help = "see `pronto run --help`" };

/* What getopt_long() wants to know of the table. */
struct options {
	struct option longs[MAX_SETTINGS + 1];
	char shorts[2 + 2 * MAX_SETTINGS + 1];
};

/* As --help writes it, without the cost of writing it. */
static int option_has_arg(const struct setting *s)
{
	if (s->takes && *s->takes)
		return *s->takes == '[' ? optional_argument : required_argument;
	return s->takes || s->kind == SETTING_FLAG || s->kind == SETTING_ACTION ? no_argument
	                                                                        : required_argument;
}

static void options_init(struct options *options, enum source from)
{
	struct option *to = options->longs;
	char *c = options->shorts;

	BUG_ON(config_schema.n > MAX_SETTINGS);
	*c++ = '-'; /* operands come in their place, as option 1 */
	*c++ = ':'; /* tell a missing argument from an unknown option */
	for (int i = 0; i < (int)config_schema.n; i++) {
		const struct setting *s = &config_schema.settings[i];
		int has_arg = option_has_arg(s);

		if (!(s->source & from))
			continue;
		*to++ = (struct option){ s->name, has_arg, NULL, LONG_BASE + i };
		if (s->letter)
			*c++ = s->letter;
		if (s->letter && has_arg == required_argument)
			*c++ = ':';
	}
	*to = (struct option){ 0 };
	*c = '\0';
}

/* The row for what getopt_long() returned, or NULL. */
static const struct setting *find_option(int opt)
{
	if (opt >= LONG_BASE)
		return &config_schema.settings[opt - LONG_BASE];
	for (size_t i = 0; i < config_schema.n; i++)
		if (opt && config_schema.settings[i].letter == opt)
			return &config_schema.settings[i];
	return NULL;
}

/* Nobody knows the option that `arg` is, `--memroy=1G` for one. */
static int refuse_unknown(const struct command *command, const char *arg, struct diag *diag)
{
	bool is_long = arg[1] == '-';
	const char *advice;
	char name[40], hint[CONFIG_HINT];

	arg += is_long ? 2 : 1;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
	if (is_long && command->from == ON_RESTORE && schema_find(&config_schema, name, FROM_ARGS))
		return diag_fail(diag, EINVAL,
			"--%s is as the snapshot has it, and cannot be changed", name);
	advice = config_hint(hint, &config_schema, name, command->from);
	return diag_fail(diag, EINVAL, "unknown %soption %s%s; %s",
		is_long && !advice ? "or ambiguous " : "", is_long ? "--" : "-", name,
		advice ? advice : command->see_help);
}

/* getopt_long() has refused `arg`. */
static int refuse_option(const struct command *command, int opt, const char *arg, struct diag *diag)
{
	const struct setting *s = find_option(optopt);
	char usage[SETTING_USAGE], letter[] = { '-', (char)optopt, '\0' };

	if (!s)
		return refuse_unknown(command, optopt ? letter : arg, diag);
	if (opt != ':')
		return diag_fail(diag, EINVAL, "option --%s takes no argument", s->name);
	setting_usage(s, usage);
	return diag_fail(diag, EINVAL, "option --%s needs an argument, %s", s->name, usage);
}

/* -append or -memory: several letters to getopt_long(), of which it may even know the first. */
static bool has_one_dash(const char *arg)
{
	char name[32];

	if (!arg || arg[0] != '-' || arg[1] == '-' || !arg[1] || !arg[2])
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 1, "="), arg + 1);
	return config_is_known(name, FROM_ARGS);
}

static int apply_option(
	struct config *config, const struct setting *s, const char *value, struct diag *diag)
{
	struct diag why;
	int ret;

	if (!value)
		value = s->means ? s->means : "on";
	ret = setting_set(s, config, value, &why);
	if (ret >= 0)
		return ret;
	/* What is wrong in a file names the file. */
	if (s->act == config_load_file)
		return diag_fail(diag, EINVAL, "%s", why.text);
	return diag_fail(diag, EINVAL, "option --%s: %s", s->name, why.text);
}

static int apply_operand(const struct command *command, struct config *config, const char *value,
	bool first, struct diag *diag)
{
	const struct setting *kernel = schema_find(&config_schema, "kernel", FROM_JSON);
	struct diag why;

	if (command->load)
		return first ? 0
		             : diag_fail(
				       diag, EINVAL, "'%.100s' would be a second snapshot", value);
	if (!first)
		return diag_fail(diag, EINVAL,
			"'%.100s' would be a second kernel; words for the kernel go after --",
			value);
	if (setting_set(kernel, config, value, &why))
		return diag_fail(diag, EINVAL, "kernel: %s", why.text);
	return 0;
}

/* What a pass over the arguments has met. */
struct pass {
	const char *operand; /* the first; NULL: none */
	bool seen[MAX_SETTINGS];
	size_t n_changed[MAX_SETTINGS]; /* of a list of objects that there is */
};

/* The next of the machine's devices of this kind. */
static int change_item(struct pass *pass, struct config *config, const struct setting *s,
	const char *value, struct diag *diag)
{
	const struct setting_list *list =
		(const struct setting_list *)((const char *)config + s->at);
	enum device_kind kind = (enum device_kind)(list - config->devices);
	size_t at = pass->n_changed[s - config_schema.settings]++;
	struct diag why;

	if (at >= list->n)
		return diag_fail(diag, EINVAL,
			"option --%s: the snapshot's machine has %zu such devices, and none can be added",
			s->name, list->n);
	if (!config_change_device(config, kind, at, value, &why))
		return 0;
	return diag_fail(diag, EINVAL, "option --%s: %s", s->name, why.text);
}

/* A list from the command line takes the place of the file's, and grows then. */
static int meet_option(const struct command *command, struct pass *pass, struct config *config,
	const struct setting *s, const char *value, struct diag *diag)
{
	bool *seen = &pass->seen[s - config_schema.settings];

	if (command->load && s->kind == SETTING_OBJECTS)
		return change_item(pass, config, s, value, diag);
	if (command->load && s->name[0] == 'h') { /* --help */
		config_print_restore_help(stdout);
		return 1;
	}
	if ((s->kind == SETTING_LIST || s->kind == SETTING_OBJECTS) && !*seen)
		setting_clear(s, config);
	*seen = true;
	return apply_option(config, s, value, diag);
}

/* The words after -- are the kernel's command line. */
static int apply_words(const struct pass *pass, struct config *config, const char *const *words,
	size_t n, struct diag *diag)
{
	const struct setting *cmdline = schema_find(&config_schema, "cmdline", FROM_ARGS);

	if (pass->seen[cmdline - config_schema.settings])
		return diag_fail(diag, EINVAL,
			"--cmdline and words after -- are both the kernel's command line; give one");
	return setting_set_list(cmdline, config, words, n, diag);
}

/* Go over the arguments and apply the options that take effect first, or all others. */
static int apply_args(const struct command *command, struct pass *pass, struct config *config,
	int argc, char **argv, bool first_pass, struct diag *diag)
{
	struct options options;
	int opt, at;

	*pass = (struct pass){ 0 };
	options_init(&options, command->from);
	opterr = 0;
	optind = 0; /* glibc: start anew */
	for (at = 1;; at = optind) {
		const struct setting *s;
		int ret = 0;

		if (has_one_dash(argv[at]))
			return refuse_unknown(command, argv[at], diag);
		opt = getopt_long(argc, argv, options.shorts, options.longs, NULL);
		if (opt == -1)
			break;
		if (opt == '?' || opt == ':')
			return refuse_option(command, opt, argv[optind - 1], diag);
		s = find_option(opt);
		if (opt == 1) {
			if (!first_pass)
				ret = apply_operand(command, config, optarg, !pass->operand, diag);
			pass->operand = pass->operand ? pass->operand : optarg;
		} else if (s && first_pass == !!(s->source & FROM_ARGS_FIRST)) {
			ret = meet_option(command, pass, config, s, optarg, diag);
		}
		if (ret)
			return ret;
	}
	/* The last call went past a --, unless there was nothing left. */
	if (first_pass || optind == at)
		return 0;
	if (command->load)
		return diag_fail(
			diag, EINVAL, "words after -- are a kernel's, and none is started");
	return apply_words(
		pass, config, (const char *const *)argv + optind, (size_t)(argc - optind), diag);
}

int config_parse_args(struct config *config, int argc, char **argv, struct diag *diag)
{
	struct pass pass;
	int ret = apply_args(&run, &pass, config, argc, argv, true, diag);

	if (!ret)
		ret = apply_args(&run, &pass, config, argc, argv, false, diag);
	if (ret)
		return ret;
	if (!config->kernel)
		return diag_fail(diag, EINVAL, "no kernel given; %s", run.see_help);
	return config_complete(config, diag);
}

int config_parse_restore_args(struct config *config, int argc, char **argv,
	int (*load)(void *ctx, const char *path, struct config *config, struct diag *diag),
	void *ctx, struct diag *diag)
{
	const struct command restore = {
		.from = ON_RESTORE,
		.see_help = "see `pronto restore --help`",
		.load = load,
		.ctx = ctx,
	};
	struct pass pass;
	int ret = apply_args(&restore, &pass, config, argc, argv, true, diag);

	if (ret)
		return ret;
	if (!pass.operand)
		return diag_fail(diag, EINVAL, "no snapshot given; %s", restore.see_help);
	ret = load(ctx, pass.operand, config, diag);
	if (!ret)
		ret = apply_args(&restore, &pass, config, argc, argv, false, diag);
	return ret ? ret : config_check(config, diag);
}
