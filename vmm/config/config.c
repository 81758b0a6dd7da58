// SPDX-License-Identifier: MIT
/* config.c - the table of settings */

#include "boot/boot.h"
#include "bus/platform.h"
#include "config/table.h"

#include <errno.h>
#include <string.h>

#define AT(member) offsetof(struct config, member)

static const struct word consoles[] = {
	{ "auto", CONSOLE_AUTO },
	{ "stdio", CONSOLE_STDIO },
	{ "file:", CONSOLE_FILE },
	{ "pty", CONSOLE_PTY },
	{ "socket:", CONSOLE_SOCKET },
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

static const struct word transports[] = {
	{ "mmio", TRANSPORT_MMIO },
	{ "pci", TRANSPORT_PCI },
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

static const struct word announces[] = {
	{ "acpi", ANNOUNCE_ACPI },
	{ "cmdline", ANNOUNCE_CMDLINE },
	{ NULL, 0 },
};

static const struct word clocks[] = {
	{ "host", CLOCK_OF_HOST },
	{ "stood", CLOCK_STOOD },
	{ NULL, 0 },
};

static const struct word memories[] = {
	{ "uffd:", MEMORY_FROM_HANDLER },
	{ "", MEMORY_FROM_FILE },
	{ NULL, 0 },
};

static const struct word working_sets[] = {
	{ "record:", WORKING_SET_RECORDED },
	{ "", WORKING_SET_USED },
	{ NULL, 0 },
};

static const struct word confines[] = {
	{ "basic", CONFINE_BASIC },
	{ "off", CONFINE_OFF },
	{ "on", CONFINE_ON },
	{ "strict", CONFINE_STRICT },
	{ "tell", CONFINE_TELL },
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

static const struct schema cpu_schema = { .settings = cpu_members, .n = ARRAY_SIZE(cpu_members) };

static const struct word instant_uses[] = {
	{ "off", INSTANT_OFF },
	{ "on", INSTANT_ON },
	{ "renew", INSTANT_RENEW },
	{ NULL, 0 },
};

static const struct setting instant_members[] = {
	{ "use", 0, SETTING_WORD, ANYWHERE, .at = offsetof(struct instant_config, use),
		.words = instant_uses },
	{ "days", 0, SETTING_NUMBER, ANYWHERE, .at = offsetof(struct instant_config, days),
		.min = 1, .max = 3650 },
	{ "uses", 0, SETTING_NUMBER, ANYWHERE, .at = offsetof(struct instant_config, uses),
		.min = 1, .max = 1000000000 },
};

static const struct schema instant_schema = {
	.settings = instant_members,
	.n = ARRAY_SIZE(instant_members),
	.bare = "use",
};

static int add_verbosity(void *base, const char *, struct diag *)
{
	struct config *config = base;

	if (config->log_level < LOG_LEVEL_DEBUG)
		config->log_level++;
	return 0;
}

static int print_help(void *, const char *, struct diag *)
{
	config_print_help(stdout);
	return 1;
}

#define DEVICE_ROW(option, class, usage, text)                                              \
	{ #option, 0, SETTING_OBJECTS, EVERYWHERE, .at = AT(devices[DEVICE_##option]),      \
		.members = &class##_schema, .max = PLATFORM_VIRTIO_SLOTS, .takes = (usage), \
		.help = (text) },

static const struct setting settings[] = {
	{ "kernel", 0, SETTING_PATH, FROM_JSON, .at = AT(kernel) },
	{ "initrd", 'i', SETTING_PATH, ANYWHERE, .at = AT(initrd), .takes = "FILE",
		.help = "initial RAM disk for the guest (default: none)" },
	{ "cmdline", 0, SETTING_LIST, ANYWHERE, .at = AT(cmdline), .takes = "STRING",
		.help = "the kernel's whole command line, as words after -- would be" },
	{ "root", 0, SETTING_OBJECT, ANYWHERE, .at = AT(root), .members = &config_root_schema,
		.takes = "PATH[,ro][,rw][,init=PROGRAM][,modules=PATH]",
		.help = "a directory of the host as root file system; what is written goes with the VM" },
	{ "exec", 0, SETTING_TEXT, ANYWHERE, .at = AT(exec), .takes = "COMMAND",
		.max = CONFIG_MAX_EXEC,
		.help = "with --root: what the shell there runs, whose status is ours" },
	{ "memory", 'm', SETTING_SIZE, ANYWHERE, .at = AT(memory), .takes = "SIZE",
		.min = CONFIG_MIN_MEMORY, .max = CONFIG_MAX_MEMORY, .step = KIB(4),
		.help = "guest RAM, such as 512M or 1.5G, at least 32M (default: 256M)" },
	{ "cpus", 'c', SETTING_NUMBER, ANYWHERE, .at = AT(cpus), .takes = "N", .min = 1,
		.max = CONFIG_MAX_CPUS, .help = "number of vCPUs, 1 to 64 (default: 1)" },
	{ "cpu", 0, SETTING_OBJECT, ANYWHERE, .at = AT(cpu), .members = &cpu_schema,
		.help = "what each vCPU has beyond the usual (default: all off)" },
	/* clang-format off */
	DEVICE_TABLE(DEVICE_ROW)
	/* clang-format on */
	{ "transport", 0, SETTING_WORD, ANYWHERE, .at = AT(transport), .words = transports,
		.help = "how the guest reaches those devices: virtio-mmio, or PCI (default: mmio)" },
	{ "announce", 0, SETTING_WORD, ANYWHERE, .at = AT(announce), .words = announces,
		.help = "how the guest hears of its virtio-mmio devices (default: acpi)" },
	{ "console", 0, SETTING_WORD, EVERYWHERE, .at = AT(console), .words = consoles,
		.path_at = AT(console_path),
		.help = "where the serial console goes (default: stdio, unless that is taken)" },
	{ "console-rate", 0, SETTING_RATE, EVERYWHERE, .at = AT(console_rate), .takes = "RATE",
		.help = "bytes a second that it takes; more are dropped (default: no limit)" },
	{ "escape-key", 0, SETTING_KEY, EVERYWHERE, .at = AT(escape_key), .takes = "^KEY|none",
		.help = "on a terminal, the key after which x ends the VM (default: ^A)" },
	{ "debug-console", 0, SETTING_WORD, EVERYWHERE, .at = AT(debug_console),
		.words = debug_consoles, .path_at = AT(debug_console_path),
		.help = "where goes what the guest writes to port 0xe9 (default: off)" },
	{ "debug-exit", 0, SETTING_WORD, ANYWHERE, .at = AT(debug_exit), .words = debug_exits,
		.help = "a port by which the guest ends with a status of its own (default: off)" },
	{ "ioapic-inputs", 0, SETTING_NUMBER, ANYWHERE, .at = AT(ioapic_inputs), .takes = "N",
		.min = PLATFORM_N_GSIS, .max = PLATFORM_MAX_GSIS,
		.help = "inputs of the I/O APIC, 4 to 24: Nanos wants 5 (default: 4)" },
	{ "on-reboot", 0, SETTING_WORD, EVERYWHERE, .at = AT(on_reboot), .words = on_reboots,
		.help = "when the guest resets: end, or enter the kernel anew (default: exit)" },
	{ "on-triple-fault", 0, SETTING_WORD, ANYWHERE, .at = AT(on_triple_fault),
		.words = on_triple_faults,
		.help = "what a triple fault is: a crash, a reset, or a power-off (default: crash)" },
	{ "shim", 0, SETTING_WORD, ANYWHERE, .at = AT(shim), .words = shim_uses,
		.help = "boot through pvh-shim: if need be, or always (KASLR), or never (default: auto)" },
	{ "no-shim", 0, SETTING_WORD, FROM_ARGS, .at = AT(shim), .words = shim_uses, .takes = "",
		.means = "never", .help = "the same as --shim never" },
	{ "instant", 0, SETTING_OBJECT, ANYWHERE, .at = AT(instant), .members = &instant_schema,
		.takes = "[=on|off|renew[,days=N][,uses=N]]",
		.help = "boot once, save that before user space, and begin there later (default: off)" },
	{ "map-kernel", 0, SETTING_WORD, ANYWHERE, .at = AT(map_kernel), .words = load_maps,
		.help = "what of an unpacked kernel is mapped, and so shared (default: constants)" },
	{ "merge", 0, SETTING_WORD, ANYWHERE, .at = AT(merge), .words = merges,
		.help = "which pages the host may merge with equal ones of other VMs (default: none)" },
	{ "grace", 0, SETTING_NUMBER, EVERYWHERE, .at = AT(grace_s), .takes = "SECONDS",
		.max = CONFIG_MAX_GRACE_S,
		.help = "time for the guest to power off after SIGTERM (default: 10)" },
	{ "no-cache", 0, SETTING_FLAG, EVERYWHERE, .at = AT(no_cache),
		.help = "neither use nor keep what is kept: unpacked kernels, what the host's KVM offers" },
	{ "dry-run", 0, SETTING_FLAG, ANYWHERE, .at = AT(dry_run),
		.help = "print all that the guest would be handed, and end without KVM" },
	{ "track-dirty-pages", 0, SETTING_FLAG, EVERYWHERE, .at = AT(track_dirty_pages),
		.help = "let a snapshot of changes have those since the last one (default: off)" },
	{ "from-memory", 0, SETTING_WORD, ON_RESTORE, .at = AT(memory_from), .words = memories,
		.path_at = AT(memory_path), .takes = "FILE|uffd:PATH",
		.help = "where its memory is, or the socket of who brings it (default: beside its state)" },
	{ "working-set", 0, SETTING_WORD, ON_RESTORE, .at = AT(working_set), .words = working_sets,
		.path_at = AT(working_set_path), .takes = "FILE|record:FILE",
		.help = "have the pages that this file tells of ahead, or tell it (default: neither)" },
	{ "clock", 0, SETTING_WORD, ON_RESTORE, .at = AT(clock), .words = clocks,
		.help = "the guest's clock is the host's, or goes on where it stood (default: host)" },
	{ "confine", 0, SETTING_WORD, EVERYWHERE, .at = AT(confine), .words = confines,
		.help = "what the process gives up before its guest runs (default: on)" },
	{ "core-scheduling", 0, SETTING_FLAG, EVERYWHERE, .at = AT(core_scheduling),
		.help = "share no processor core with others at one time (default: off)" },
	{ "jail", 0, SETTING_OBJECT, EVERYWHERE, .at = AT(jail), .members = &config_jail_schema,
		.takes = "uid=N,gid=N[,netns=PATH][,cgroup=PATH][,no-file=N][,fsize=SIZE]",
		.help = "of root: once all is open, become this user in an empty root (default: stay)" },
	{ "timeline", 0, SETTING_WORD, EVERYWHERE, .at = AT(timeline), .words = timelines,
		.path_at = AT(timeline_path), .takes = "[=FILE]",
		.help = "tell at the end when the moments of the boot came; FILE.svg, FILE.json or text" },
	{ "log-level", 0, SETTING_WORD, EVERYWHERE, .at = AT(log_level), .words = log_levels,
		.help = "how much to say on standard error (default: warn)" },
	{ "verbose", 'v', SETTING_ACTION, FROM_ARGS | ON_RESTORE, .act = add_verbosity,
		.help = "say more; twice for still more" },
	{ "config", 0, SETTING_ACTION, FROM_ARGS | FROM_ARGS_FIRST, .act = config_load_file,
		.takes = "FILE",
		.help = "read settings from a JSON file; options given here override it" },
	{ "help", 'h', SETTING_ACTION, FROM_ARGS | ON_RESTORE | FROM_ARGS_FIRST, .act = print_help,
		.help = "print this help and end" },
};

const struct schema config_schema = { .settings = settings, .n = ARRAY_SIZE(settings) };

int config_read_working_set(struct config *config, const char *text, struct diag *diag)
{
	return setting_set(
		schema_find(&config_schema, "working-set", ON_RESTORE), config, text, diag);
}

int config_read_confine(const char *text, enum confine *confine, struct diag *diag)
{
	static const struct setting how = { "confine", 0, SETTING_WORD, .words = confines };

	return setting_set(&how, confine, text, diag);
}

void config_init(struct config *config)
{
	*config = (struct config){
		.memory = MIB(256),
		.cpus = 1,
		.console = CONSOLE_AUTO,
		.escape_key = 'A' - '@',
		.on_reboot = ON_REBOOT_EXIT,
		.ioapic_inputs = PLATFORM_N_GSIS,
		.grace_s = 10,
		.instant = { .days = 7, .uses = 1000 },
		.confine = CONFINE_DEFAULT,
		.jail = config_no_jail,
		.log_level = LOG_LEVEL_WARN,
	};
}

void config_fini(struct config *config)
{
	for (size_t i = 0; i < config_schema.n; i++)
		setting_clear(&config_schema.settings[i], config);
}

int config_change_device(struct config *config, enum device_kind kind, size_t item,
	const char *text, struct diag *diag)
{
	const struct schema *schema = device_class[kind]->options;
	const struct setting whole = { .kind = SETTING_OBJECT, .members = schema };

	return setting_set(
		&whole, (char *)config->devices[kind].items + item * schema->size, text, diag);
}

unsigned int config_n_devices(const struct config *config)
{
	size_t n = 0;

	for (unsigned int kind = 0; kind < N_DEVICE_KINDS; kind++)
		n += config->devices[kind].n;
	return (unsigned int)n;
}

bool config_has_pci(const struct config *config)
{
	return config->transport == TRANSPORT_PCI && config_n_devices(config);
}

/* A source of random bytes, where there are other devices: alone it would be all that a guest has
 * to look for.
 */
static int add_rng(struct config *config, struct diag *diag)
{
	const struct setting *row = schema_find(&config_schema, "rng", FROM_JSON);
	const struct setting_list *rng = &config->devices[DEVICE_rng];
	unsigned int n = config_n_devices(config);

	if (!n || n == PLATFORM_VIRTIO_SLOTS || rng->n || rng->off)
		return 0;
	return setting_add_item(row, config, diag) ? 0 : -EINVAL;
}

int config_check(const struct config *config, struct diag *diag)
{
	unsigned int n = config_n_devices(config);
	int ret;

	if (!config->kernel)
		return diag_fail(diag, EINVAL, "no kernel is given");
	if (n > PLATFORM_VIRTIO_SLOTS)
		return diag_fail(diag, EINVAL,
			"there are %u devices, and a machine has %u slots: leave some out", n,
			PLATFORM_VIRTIO_SLOTS);
	ret = config_check_jail(config, diag);
	if (!ret)
		ret = blk_check_serials(&config->devices[DEVICE_disk], diag);
	return ret ? ret : config_check_consoles(config, diag);
}

int config_complete(struct config *config, struct diag *diag)
{
	int ret = config->kernel ? config_add_root(config, diag) : 0;

	if (ret)
		return ret;
	if (config->instant.use != INSTANT_OFF && config->root.dir)
		return diag_fail(diag, EINVAL,
			"--instant and --root exclude each other: what serves that directory cannot be "
			"saved");
	ret = config_check(config, diag);
	return ret ? ret : add_rng(config, diag);
}

bool config_shares_memory(const struct config *config)
{
	for (unsigned int kind = 0; kind < N_DEVICE_KINDS; kind++) {
		const struct virtio_class *class = device_class[kind];
		const struct setting_list *list = &config->devices[kind];

		for (size_t i = 0; class->shares_memory && i < list->n; i++)
			if (class->shares_memory(
				    (const char *)list->items + i * class->options->size))
				return true;
	}
	return false;
}

static void print_options(FILE *out, enum source from)
{
	for (size_t i = 0; i < config_schema.n; i++) {
		const struct setting *s = &config_schema.settings[i];
		char usage[SETTING_USAGE];
		int width;

		if (!(s->source & from))
			continue;
		setting_usage(s, usage);
		width = s->letter ? fprintf(out, "  -%c, ", s->letter) : fprintf(out, "      ");
		width += fprintf(
			out, "--%s%s%s", s->name, *usage && *usage != '[' ? " " : "", usage);
		if (width >
			25) /* two blanks before the help, by which completion tells them apart */
			width = fprintf(out, "\n") - 1;
		fprintf(out, "%*s%s\n", 27 - width, "", s->help);
	}
}

#define ENDS                                                                             \
	"Exit status: 0 power-off, 1 host error, 2 unusable option or file, 3 reboot,\n" \
	"4 crash, 5 ended from outside.\n"

void config_print_help(FILE *out)
{
	fputs("usage: pronto run [options] KERNEL [-- KERNEL-CMDLINE...]\n\n"
	      "Boot KERNEL (a vmlinux, a bzImage or another ELF with a PVH entry) in a virtual\n"
	      "machine.  Words after -- wholly replace the default command line, which is\n"
	      "  " BOOT_DEFAULT_CMDLINE "\n"
	      "with devices on PCI without pci=off, and with --root with loglevel=3 at its end.\n\n"
	      "Options:\n",
		out);
	print_options(out, FROM_ARGS);
	fputs("\nOn a terminal, Ctrl-A x ends the VM and Ctrl-A Ctrl-A sends a Ctrl-A.\n" ENDS,
		out);
}

void config_print_restore_help(FILE *out)
{
	fputs("usage: pronto restore [options] SNAPSHOT\n\n"
	      "Have a virtual machine go on from where it was saved: SNAPSHOT is a directory that\n"
	      "`pronto ctl SOCKET snapshot` has made, or the file of a machine's state.  Its settings\n"
	      "are those that it was saved with, but for what is given here.  Of devices of one kind\n"
	      "the first option is for the first, and changes what it names: --net tap=tap1.\n\n"
	      "Options:\n",
		out);
	print_options(out, ON_RESTORE);
	fputs("\n" ENDS, out);
}
