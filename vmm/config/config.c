// SPDX-License-Identifier: MIT
/* config.c - the table of settings */

#include "boot/boot.h"
#include "bus/platform.h"
#include "config/table.h"

#include <string.h>

#define AT(member) offsetof(struct config, member)

static const struct word consoles[] = {
	{ "stdio", CONSOLE_STDIO },
	{ "file:", CONSOLE_FILE },
	{ "pty", CONSOLE_PTY },
	{ "null", CONSOLE_NULL },
	{ NULL, 0 },
};

static const struct word debug_consoles[] = {
	{ "off", DEBUG_CONSOLE_OFF },
	{ "stderr", DEBUG_CONSOLE_STDERR },
	{ "file:", DEBUG_CONSOLE_FILE },
	{ NULL, 0 },
};

static const struct word debug_exits[] = {
	{ "off", DEBUG_EXIT_OFF },
	{ "0xf4", DEBUG_EXIT_AT_A },
	{ "0x501", DEBUG_EXIT_AT_B },
	{ NULL, 0 },
};

static const struct word on_reboots[] = {
	{ "exit", ON_REBOOT_EXIT },
	{ "restart", ON_REBOOT_RESTART },
	{ NULL, 0 },
};

static const struct word on_triple_faults[] = {
	{ "crash", ON_TRIPLE_FAULT_CRASH },
	{ "reset", ON_TRIPLE_FAULT_RESET },
	{ "poweroff", ON_TRIPLE_FAULT_POWEROFF },
	{ NULL, 0 },
};

static const struct word shim_uses[] = {
	{ "auto", SHIM_AUTO },
	{ "always", SHIM_ALWAYS },
	{ "never", SHIM_NEVER },
	{ NULL, 0 },
};

static const struct word load_maps[] = {
	{ "constants", LOAD_MAP_CONSTANTS },
	{ "all", LOAD_MAP_ALL },
	{ "none", LOAD_MAP_NONE },
	{ NULL, 0 },
};

static const struct word merges[] = {
	{ "none", MERGE_NONE },
	{ "kernel", MERGE_KERNEL },
	{ "all", MERGE_ALL },
	{ NULL, 0 },
};

static const struct word timelines[] = {
	{ "off", TIMELINE_TO_NOWHERE },
	{ "on", TIMELINE_TO_STDERR },
	{ "", TIMELINE_TO_FILE },
	{ NULL, 0 },
};

static const struct word log_levels[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warn", LOG_LEVEL_WARN },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
	{ NULL, 0 },
};

static const struct setting cpu_members[] = {
	{ "nested", 0, SETTING_FLAG, ANYWHERE, .at = offsetof(struct cpu_config, nested) },
	{ "pmu", 0, SETTING_FLAG, ANYWHERE, .at = offsetof(struct cpu_config, pmu) },
};

static const struct schema cpu_schema = { cpu_members, ARRAY_SIZE(cpu_members) };

static int add_verbosity(struct config *config, const char *, struct diag *)
{
	if (config->log_level < LOG_LEVEL_DEBUG)
		config->log_level++;
	return 0;
}

static int print_help(struct config *, const char *, struct diag *)
{
	config_print_help(stdout);
	return 1;
}

static const struct setting settings[] = {
	{ "kernel", 0, SETTING_PATH, FROM_JSON, .at = AT(kernel) },
	{ "initrd", 'i', SETTING_PATH, ANYWHERE, .at = AT(initrd), .takes = "FILE",
		.help = "initial RAM disk for the guest (default: none)" },
	{ "cmdline", 0, SETTING_LIST, ANYWHERE, .at = AT(cmdline), .takes = "STRING",
		.help = "the kernel's whole command line, as words after -- would be" },
	{ "memory", 'm', SETTING_SIZE, ANYWHERE, .at = AT(memory), .takes = "SIZE",
		.min = CONFIG_MIN_MEMORY, .max = CONFIG_MAX_MEMORY, .step = KIB(4),
		.help = "guest RAM, such as 512M or 1.5G, at least 32M (default: 256M)" },
	{ "cpus", 'c', SETTING_NUMBER, ANYWHERE, .at = AT(cpus), .takes = "N", .min = 1,
		.max = CONFIG_MAX_CPUS, .help = "number of vCPUs, 1 to 64 (default: 1)" },
	{ "cpu", 0, SETTING_OBJECT, ANYWHERE, .at = AT(cpu), .members = &cpu_schema,
		.help = "what each vCPU has beyond the usual (default: all off)" },
	{ "console", 0, SETTING_WORD, ANYWHERE, .at = AT(console), .words = consoles,
		.path_at = AT(console_path),
		.help = "where the serial console goes (default: stdio)" },
	{ "escape-key", 0, SETTING_KEY, ANYWHERE, .at = AT(escape_key), .takes = "^KEY|none",
		.help = "on a terminal, the key after which x ends the VM (default: ^A)" },
	{ "debug-console", 0, SETTING_WORD, ANYWHERE, .at = AT(debug_console),
		.words = debug_consoles, .path_at = AT(debug_console_path),
		.help = "where goes what the guest writes to port 0xe9 (default: off)" },
	{ "debug-exit", 0, SETTING_WORD, ANYWHERE, .at = AT(debug_exit), .words = debug_exits,
		.help = "a port by which the guest ends with a status of its own (default: off)" },
	{ "ioapic-inputs", 0, SETTING_NUMBER, ANYWHERE, .at = AT(ioapic_inputs), .takes = "N",
		.min = PLATFORM_N_GSIS, .max = PLATFORM_MAX_GSIS,
		.help = "inputs of the I/O APIC, 4 to 24: Nanos wants 5 (default: 4)" },
	{ "on-reboot", 0, SETTING_WORD, ANYWHERE, .at = AT(on_reboot), .words = on_reboots,
		.help = "when the guest resets: end, or enter the kernel anew (default: exit)" },
	{ "on-triple-fault", 0, SETTING_WORD, ANYWHERE, .at = AT(on_triple_fault),
		.words = on_triple_faults,
		.help = "what a triple fault is: a crash, a reset, or a power-off (default: crash)" },
	{ "shim", 0, SETTING_WORD, ANYWHERE, .at = AT(shim), .words = shim_uses,
		.help = "boot through pvh-shim: if need be, or always (KASLR), or never (default: auto)" },
	{ "no-shim", 0, SETTING_WORD, FROM_ARGS, .at = AT(shim), .words = shim_uses, .takes = "",
		.means = "never", .help = "the same as --shim never" },
	{ "map-kernel", 0, SETTING_WORD, ANYWHERE, .at = AT(map_kernel), .words = load_maps,
		.help = "what of an unpacked kernel is mapped, and so shared (default: constants)" },
	{ "merge", 0, SETTING_WORD, ANYWHERE, .at = AT(merge), .words = merges,
		.help = "which pages the host may merge with equal ones of other VMs (default: none)" },
	{ "grace", 0, SETTING_NUMBER, ANYWHERE, .at = AT(grace_s), .takes = "SECONDS",
		.max = CONFIG_MAX_GRACE_S,
		.help = "time for the guest to power off after SIGTERM (default: 10)" },
	{ "no-cache", 0, SETTING_FLAG, ANYWHERE, .at = AT(no_cache),
		.help = "neither read nor write the cache of unpacked kernels" },
	{ "dry-run", 0, SETTING_FLAG, ANYWHERE, .at = AT(dry_run),
		.help = "print all that the guest would be handed, and end without KVM" },
	{ "timeline", 0, SETTING_WORD, ANYWHERE, .at = AT(timeline), .words = timelines,
		.path_at = AT(timeline_path), .takes = "[=FILE]",
		.help = "tell at the end when the moments of the boot came; FILE.svg, FILE.json or text" },
	{ "log-level", 0, SETTING_WORD, ANYWHERE, .at = AT(log_level), .words = log_levels,
		.help = "how much to say on standard error (default: warn)" },
	{ "verbose", 'v', SETTING_ACTION, FROM_ARGS, .act = add_verbosity,
		.help = "say more; twice for still more" },
	{ "config", 0, SETTING_ACTION, FROM_ARGS | FROM_ARGS_FIRST, .act = config_load_file,
		.takes = "FILE",
		.help = "read settings from a JSON file; options given here override it" },
	{ "help", 'h', SETTING_ACTION, FROM_ARGS | FROM_ARGS_FIRST, .act = print_help,
		.help = "print this help and end" },
};

const struct schema config_schema = { settings, ARRAY_SIZE(settings) };

void config_init(struct config *config)
{
	*config = (struct config){
		.memory = MIB(256),
		.cpus = 1,
		.console = CONSOLE_STDIO,
		.escape_key = 'A' - '@',
		.on_reboot = ON_REBOOT_EXIT,
		.ioapic_inputs = PLATFORM_N_GSIS,
		.grace_s = 10,
		.log_level = LOG_LEVEL_WARN,
	};
}

void config_fini(struct config *config)
{
	for (size_t i = 0; i < config_schema.n; i++)
		setting_clear(&config_schema.settings[i], config);
}

void config_print_help(FILE *out)
{
	fputs("usage: pronto run [options] KERNEL [-- KERNEL-CMDLINE...]\n\n"
	      "Boot KERNEL (a vmlinux, a bzImage or another ELF with a PVH entry) in a virtual\n"
	      "machine.  Words after -- wholly replace the default command line, which is\n"
	      "  " BOOT_DEFAULT_CMDLINE "\n\n"
	      "Options:\n",
		out);
	for (size_t i = 0; i < config_schema.n; i++) {
		const struct setting *s = &config_schema.settings[i];
		char usage[SETTING_USAGE];
		int width;

		if (!(s->source & FROM_ARGS))
			continue;
		setting_usage(s, usage);
		width = s->letter ? fprintf(out, "  -%c, ", s->letter) : fprintf(out, "      ");
		width += fprintf(
			out, "--%s%s%s", s->name, *usage && *usage != '[' ? " " : "", usage);
		if (width > 26)
			width = fprintf(out, "\n") - 1;
		fprintf(out, "%*s%s\n", 27 - width, "", s->help);
	}
	fputs("\nOn a terminal, Ctrl-A x ends the VM and Ctrl-A Ctrl-A sends a Ctrl-A.\n"
	      "Exit status: 0 power-off, 1 host error, 2 unusable option or file, 3 reboot,\n"
	      "4 crash, 5 ended from outside.\n",
		out);
}
