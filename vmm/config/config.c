// SPDX-License-Identifier: MIT
/* config.c - the table of settings, and what each accepts */

#include "boot/boot.h"
#include "config/table.h"
#include "util/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_true(const char *value)
{
	return !strcmp(value, "true");
}

static int set_string(char **to, const char *value, struct diag *diag)
{
	char *copy = strdup(value);

	if (!copy)
		return diag_fail(diag, ENOMEM, "out of memory");
	free(*to);
	*to = copy;
	return 0;
}

static int set_path(char **to, const char *value, struct diag *diag)
{
	if (!*value)
		return diag_fail(diag, EINVAL, "the path is empty; name a file");
	return set_string(to, value, diag);
}

/* Decimal digits only: strtoull() would take signs, blanks and hexadecimal too. */
static bool parse_digits(const char **text, uint64_t *value)
{
	const char *c = *text;

	for (*value = 0; *c >= '0' && *c <= '9'; c++)
		if (__builtin_mul_overflow(*value, 10, value) ||
			__builtin_add_overflow(*value, (uint64_t)(*c - '0'), value))
			return false;
	if (c == *text)
		return false;
	*text = c;
	return true;
}

static int set_number(
	uint32_t *to, const char *value, uint32_t min, uint32_t max, struct diag *diag)
{
	const char *end = value;
	uint64_t n;

	if (!parse_digits(&end, &n) || *end || n < min || n > max)
		return diag_fail(diag, EINVAL, "'%.40s' is not a whole number from %u to %u", value,
			min, max);
	*to = (uint32_t)n;
	return 0;
}

static bool parse_size(const char *text, uint64_t *size)
{
	static const char suffixes[] = "KMGkmg";
	const char *suffix;
	uint64_t unit;

	if (!parse_digits(&text, size))
		return false;
	if (!*text)
		return true;
	suffix = strchr(suffixes, *text);
	if (!suffix || text[1])
		return false;
	unit = UINT64_C(1024) << (suffix - suffixes) % 3 * 10;
	return !__builtin_mul_overflow(*size, unit, size);
}

static int set_kernel(struct config *config, const char *value, struct diag *diag)
{
	return set_path(&config->kernel, value, diag);
}

static int set_initrd(struct config *config, const char *value, struct diag *diag)
{
	return set_path(&config->initrd, value, diag);
}

static int set_cmdline(struct config *config, const char *value, struct diag *diag)
{
	return set_string(&config->cmdline, value, diag);
}

static int set_memory(struct config *config, const char *value, struct diag *diag)
{
	uint64_t size;

	if (!parse_size(value, &size))
		return diag_fail(diag, EINVAL,
			"'%.40s' is not a size; give a whole number with K, M or G, such as 512M",
			value);
	if (size < CONFIG_MIN_MEMORY)
		return diag_fail(diag, EINVAL, "%.40s is too little memory; give at least 32M%s",
			value,
			strpbrk(value, "KMGkmg") ? "" : " (a number without K, M or G is bytes)");
	if (size > CONFIG_MAX_MEMORY)
		return diag_fail(
			diag, EINVAL, "%.40s is too much memory; give at most 1024G", value);
	if (size % 4096)
		return diag_fail(diag, EINVAL, "%.40s is not a multiple of 4K", value);
	config->memory = size;
	return 0;
}

static int set_cpus(struct config *config, const char *value, struct diag *diag)
{
	return set_number(&config->cpus, value, 1, CONFIG_MAX_CPUS, diag);
}

static int set_console(struct config *config, const char *value, struct diag *diag)
{
	static const struct {
		const char *name;
		enum console_kind kind;
	} kinds[] = { { "stdio", CONSOLE_STDIO }, { "pty", CONSOLE_PTY },
		{ "null", CONSOLE_NULL } };

	int ret;

	if (!strncmp(value, "file:", 5)) {
		ret = set_path(&config->console_path, value + 5, diag);
		if (!ret)
			config->console = CONSOLE_FILE;
		return ret;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(value, kinds[i].name))
			continue;
		config->console = kinds[i].kind;
		free(config->console_path);
		config->console_path = NULL;
		return 0;
	}
	return diag_fail(diag, EINVAL, "'%.40s' is not stdio, file:PATH, pty or null", value);
}

static int set_on_reboot(struct config *config, const char *value, struct diag *diag)
{
	if (!strcmp(value, "exit"))
		config->on_reboot = ON_REBOOT_EXIT;
	else if (!strcmp(value, "restart"))
		config->on_reboot = ON_REBOOT_RESTART;
	else
		return diag_fail(diag, EINVAL, "'%.40s' is neither exit nor restart", value);
	return 0;
}

static int set_shim(struct config *config, const char *value, struct diag *diag)
{
	if (!strcmp(value, "auto"))
		config->shim = SHIM_AUTO;
	else if (!strcmp(value, "always"))
		config->shim = SHIM_ALWAYS;
	else if (!strcmp(value, "never"))
		config->shim = SHIM_NEVER;
	else
		return diag_fail(diag, EINVAL, "'%.40s' is not auto, always or never", value);
	return 0;
}

static int set_no_shim(struct config *config, const char *value, struct diag *diag)
{
	return set_shim(config, "never", diag);
}

static int set_map_kernel(struct config *config, const char *value, struct diag *diag)
{
	if (!strcmp(value, "constants"))
		config->map_kernel = LOAD_MAP_CONSTANTS;
	else if (!strcmp(value, "all"))
		config->map_kernel = LOAD_MAP_ALL;
	else if (!strcmp(value, "none"))
		config->map_kernel = LOAD_MAP_NONE;
	else
		return diag_fail(diag, EINVAL, "'%.40s' is not constants, all or none", value);
	return 0;
}

static int set_merge(struct config *config, const char *value, struct diag *diag)
{
	if (!strcmp(value, "none"))
		config->merge = MERGE_NONE;
	else if (!strcmp(value, "kernel"))
		config->merge = MERGE_KERNEL;
	else if (!strcmp(value, "all"))
		config->merge = MERGE_ALL;
	else
		return diag_fail(diag, EINVAL, "'%.40s' is not none, kernel or all", value);
	return 0;
}

static int set_grace(struct config *config, const char *value, struct diag *diag)
{
	return set_number(&config->grace_s, value, 0, CONFIG_MAX_GRACE_S, diag);
}

static int set_no_cache(struct config *config, const char *value, struct diag *diag)
{
	config->use_cache = !is_true(value);
	return 0;
}

static int set_dry_run(struct config *config, const char *value, struct diag *diag)
{
	config->dry_run = is_true(value);
	return 0;
}

static int set_timeline(struct config *config, const char *value, struct diag *diag)
{
	bool is_path = strcmp(value, "true") && strcmp(value, "false");

	free(config->timeline_path);
	config->timeline_path = NULL;
	config->timeline = strcmp(value, "false");
	/* Now, not when all settings are read: the earlier it begins, the less escapes it. */
	if (config->timeline && !config->timeline_since_ns)
		config->timeline_since_ns = timeline_now();
	return is_path ? set_path(&config->timeline_path, value, diag) : 0;
}

static int set_log_level(struct config *config, const char *value, struct diag *diag)
{
	int level = log_level_from_name(value);

	if (level < 0)
		return diag_fail(diag, EINVAL, "'%.40s' is not error, warn, info or debug", value);
	config->log_level = (enum log_level)level;
	return 0;
}

static int add_verbosity(struct config *config, const char *value, struct diag *diag)
{
	if (config->log_level < LOG_LEVEL_DEBUG)
		config->log_level++;
	return 0;
}

static int print_help(struct config *config, const char *value, struct diag *diag)
{
	config_print_help(stdout);
	return 1;
}

const struct setting config_settings[CONFIG_N_SETTINGS] = {
	{ "kernel", 0, KIND_STRING, IN_JSON, "FILE", NULL, set_kernel },
	{ "initrd", 'i', KIND_STRING, EVERYWHERE, "FILE",
		"initial RAM disk for the guest (default: none)", set_initrd },
	{ "cmdline", 0, KIND_STRING, EVERYWHERE, "STRING",
		"the kernel's whole command line, as words after -- would be", set_cmdline },
	{ "memory", 'm', KIND_SIZE, EVERYWHERE, "SIZE",
		"guest RAM, with suffix K, M or G, at least 32M (default: 256M)", set_memory },
	{ "cpus", 'c', KIND_NUMBER, EVERYWHERE, "N", "number of vCPUs, 1 to 64 (default: 1)",
		set_cpus },
	{ "console", 0, KIND_STRING, EVERYWHERE, "stdio|file:PATH|pty|null",
		"where the serial console goes (default: stdio)", set_console },
	{ "on-reboot", 0, KIND_STRING, EVERYWHERE, "exit|restart",
		"when the guest resets: end, or enter the kernel anew (default: exit)",
		set_on_reboot },
	{ "shim", 0, KIND_STRING, EVERYWHERE, "auto|always|never",
		"boot through pvh-shim: if need be, or always (KASLR), or never (default: auto)",
		set_shim },
	{ "no-shim", 0, KIND_FLAG, IN_ARGS, NULL, "the same as --shim never", set_no_shim },
	{ "map-kernel", 0, KIND_STRING, EVERYWHERE, "constants|all|none",
		"what of an unpacked kernel is mapped, and so shared (default: constants)",
		set_map_kernel },
	{ "merge", 0, KIND_STRING, EVERYWHERE, "none|kernel|all",
		"which pages the host may merge with equal ones of other VMs (default: none)",
		set_merge },
	{ "grace", 0, KIND_NUMBER, EVERYWHERE, "SECONDS",
		"time for the guest to power off after SIGTERM (default: 10)", set_grace },
	{ "no-cache", 0, KIND_FLAG, EVERYWHERE, NULL,
		"neither read nor write the cache of unpacked kernels", set_no_cache },
	{ "dry-run", 0, KIND_FLAG, EVERYWHERE, NULL,
		"print all that the guest would be handed, and end without KVM", set_dry_run },
	{ "timeline", 0, KIND_FLAG_OR_STRING, EVERYWHERE, "[=FILE]",
		"at the end, print when the moments of the boot came, or draw it: FILE.svg",
		set_timeline },
	{ "log-level", 0, KIND_STRING, EVERYWHERE, "error|warn|info|debug",
		"how much to say on standard error (default: warn)", set_log_level },
	{ "verbose", 'v', KIND_FLAG, IN_ARGS, NULL, "say more; twice for still more",
		add_verbosity },
	{ "config", 0, KIND_STRING, IN_ARGS | IN_ARGS_FIRST, "FILE",
		"read settings from a JSON file; options given here override it",
		config_load_file },
	{ "help", 'h', KIND_FLAG, IN_ARGS | IN_ARGS_FIRST, NULL, "print this help and end",
		print_help },
};

void config_init(struct config *config)
{
	*config = (struct config){
		.memory = MIB(256),
		.cpus = 1,
		.console = CONSOLE_STDIO,
		.on_reboot = ON_REBOOT_EXIT,
		.grace_s = 10,
		.use_cache = true,
		.log_level = LOG_LEVEL_WARN,
	};
}

void config_fini(struct config *config)
{
	free(config->kernel);
	free(config->initrd);
	free(config->cmdline);
	free(config->console_path);
	free(config->timeline_path);
	*config = (struct config){ 0 };
}

void config_print_help(FILE *out)
{
	fputs("usage: pronto run [options] KERNEL [-- KERNEL-CMDLINE...]\n\n"
	      "Boot KERNEL (a vmlinux, a bzImage or another ELF with a PVH entry) in a virtual\n"
	      "machine.  Words after -- wholly replace the default command line, which is\n"
	      "  " BOOT_DEFAULT_CMDLINE "\n\n"
	      "Options:\n",
		out);
	for (size_t i = 0; i < CONFIG_N_SETTINGS; i++) {
		const struct setting *s = &config_settings[i];
		int width;

		if (!(s->place & IN_ARGS))
			continue;
		width = s->letter ? fprintf(out, "  -%c, ", s->letter) : fprintf(out, "      ");
		width += fprintf(out, "--%s%s%s", s->name, s->arg && *s->arg != '[' ? " " : "",
			s->arg ? s->arg : "");
		if (width > 26)
			width = fprintf(out, "\n") - 1;
		fprintf(out, "%*s%s\n", 27 - width, "", s->help);
	}
	fputs("\nOn a terminal, Ctrl-A x ends the VM and Ctrl-A Ctrl-A sends a Ctrl-A.\n"
	      "Exit status: 0 power-off, 1 host error, 2 unusable option or file, 3 reboot,\n"
	      "4 crash, 5 ended from outside.\n",
		out);
}

/* Levenshtein's distance, of names shorter than 32 bytes. */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0]++;

		for (size_t j = 0; j < n; j++) {
			size_t best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (best > diagonal + 1)
				best = diagonal + 1;
			if (best > row[j] + 1)
				best = row[j] + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

const char *config_nearest_name(const char *name, enum place place)
{
	const char *found = NULL;
	size_t best = 3;

	if (strlen(name) > 31)
		return NULL;
	for (size_t i = 0; i < CONFIG_N_SETTINGS; i++) {
		size_t d = distance(name, config_settings[i].name);

		if (!(config_settings[i].place & place) || d >= best ||
			d >= strlen(config_settings[i].name))
			continue;
		best = d;
		found = config_settings[i].name;
	}
	return found;
}
