/* SPDX-License-Identifier: MIT */
/* config.h - what a VM is made of, and the one schema by which people say so
 *
 * config.c holds one table: each row is a setting with its JSON key, its long and short option, its
 * kind, its place in struct config and its help.  The command line, the JSON file, --help and
 * (through --help) the shells' completion all come from that table; a control interface is to use
 * it too.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include "boot/load.h"
#include "bus/platform.h"
#include "dev/table.h"
#include "util/bits.h"
#include "util/diag.h"
#include "util/log.h"
#include "util/rate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_MAX_CPUS    64
#define CONFIG_MIN_MEMORY  MIB(32)
#define CONFIG_MAX_MEMORY  GUEST_MEM_MAX
#define CONFIG_MAX_GRACE_S 86400
#define CONFIG_MAX_EXEC    32768  /* bytes of a command */
#define CONFIG_MAX_FILE    MIB(1) /* of a --config file */

enum debug_console_to { DEBUG_CONSOLE_OFF, DEBUG_CONSOLE_STDERR, DEBUG_CONSOLE_FILE };
/* The port of QEMU's isa-debug-exit. */
enum debug_exit_at {
	DEBUG_EXIT_OFF = 0,
	DEBUG_EXIT_AT_A = PLATFORM_DEBUG_EXIT_PORT_A,
	DEBUG_EXIT_AT_B = PLATFORM_DEBUG_EXIT_PORT_B,
};

enum transport { TRANSPORT_MMIO, TRANSPORT_PCI };
enum shim_use { SHIM_AUTO, SHIM_ALWAYS, SHIM_NEVER };
enum merge { MERGE_NONE, MERGE_KERNEL, MERGE_ALL };
enum on_reboot { ON_REBOOT_EXIT, ON_REBOOT_RESTART };
enum on_triple_fault { ON_TRIPLE_FAULT_CRASH, ON_TRIPLE_FAULT_RESET, ON_TRIPLE_FAULT_POWEROFF };

/* How a guest hears of virtio-mmio devices. */
enum announce { ANNOUNCE_ACPI, ANNOUNCE_CMDLINE };

/* Whether a boot is made once for all that are like it. */
enum instant_use { INSTANT_OFF, INSTANT_ON, INSTANT_RENEW };
struct instant_config {
	enum instant_use use;
	uint32_t days, uses; /* for which, and of which, one boot is enough */
};

/* Of a machine that goes on from a snapshot. */
enum restored_clock { CLOCK_OF_HOST, CLOCK_STOOD };

/* Where the memory of one is: beside its state, in another file, or with who listens at a socket.
 */
enum memory_from { MEMORY_BESIDE_STATE, MEMORY_FROM_FILE, MEMORY_FROM_HANDLER };

/* What is done with the pages that a restored machine touches (vm/working_set.h). */
enum working_set_use { WORKING_SET_NONE, WORKING_SET_USED, WORKING_SET_RECORDED };

/* How much of its rights a process gives up before its guest runs. */
enum confine { CONFINE_BASIC, CONFINE_OFF, CONFINE_ON, CONFINE_STRICT, CONFINE_TELL };

/* A sanitizer makes system calls of its own. */
#ifdef PRONTO_INSTRUMENTED
#define CONFINE_DEFAULT CONFINE_BASIC
#elif !defined(CONFINE_DEFAULT) /* as -Dc_args=-DCONFINE_DEFAULT=CONFINE_TELL does */
#define CONFINE_DEFAULT CONFINE_ON
#endif

enum timeline_to { TIMELINE_TO_NOWHERE, TIMELINE_TO_STDERR, TIMELINE_TO_FILE };

/* What vCPUs offer beyond the usual. */
struct cpu_config {
	bool nested; /* virtualisation: VMX or SVM */
	bool pmu;    /* performance counters */
};

/* A directory of the host as the guest's root file system: a share, and what mounts it. */
#define CONFIG_ROOT_TAG "root"
struct root_config {
	char *dir;     /* NULL: there is none */
	char *init;    /* what pid 1 becomes; NULL: it has a shell run */
	char *modules; /* where lib/modules of the guest's kernel is; NULL: in dir */
	bool overlay;  /* what the guest writes goes with it; so it does if nothing is said */
	bool read_only, writable;
};

/* What a process of root's is to become once all is open (confine/jail.h). */
#define CONFIG_NO_ID UINT32_MAX
struct jail_config {
	uint32_t uid, gid;  /* CONFIG_NO_ID: there is no jail */
	char *netns;        /* path of a network namespace, or NULL: ours */
	char *cgroup;       /* by its path in cgroup2's hierarchy, or NULL: ours */
	uint32_t n_files;   /* that may be open; 0: as many as now */
	uint64_t file_size; /* bytes, of a file that is written; 0: as now */
};

struct config {
	char *kernel;    /* path; owned, as all strings here */
	char *initrd;    /* path, or NULL */
	char *cmdline;   /* NULL: BOOT_DEFAULT_CMDLINE, or BOOT_PCI_CMDLINE */
	uint64_t memory; /* bytes, a multiple of 4096, CONFIG_MIN_MEMORY..CONFIG_MAX_MEMORY */
	uint32_t cpus;
	struct cpu_config cpu;
	struct root_config root;
	char *exec;                /* what the shell there is to run, or NULL: the operator's */
	enum console_kind console; /* the serial line's, or CONSOLE_AUTO */
	char *console_path;        /* CONSOLE_FILE, CONSOLE_SOCKET; else NULL */
	struct rate_limit console_rate; /* bytes; what is more is dropped */
	int escape_key;                 /* its code; -1: none */
	enum debug_console_to debug_console;
	char *debug_console_path; /* DEBUG_CONSOLE_FILE; else NULL */
	enum debug_exit_at debug_exit;
	struct setting_list devices[N_DEVICE_KINDS]; /* virtio: of each kind its options */
	enum announce announce;
	enum transport transport; /* how the guest reaches them */
	enum on_reboot on_reboot;
	enum on_triple_fault on_triple_fault;
	enum shim_use shim;
	enum load_map map_kernel;
	enum merge merge;
	struct instant_config instant;
	uint32_t ioapic_inputs; /* more than have a line cost Linux exits; Nanos wants one */
	uint32_t grace_s;       /* seconds from the power button to the VM's forced end */
	bool no_cache;
	bool dry_run;
	bool track_dirty_pages;
	enum memory_from memory_from; /* of a machine that goes on from a snapshot */
	char *memory_path;            /* MEMORY_FROM_FILE, MEMORY_FROM_HANDLER; else NULL */
	enum working_set_use working_set;
	char *working_set_path; /* unless WORKING_SET_NONE; else NULL */
	enum restored_clock clock;
	enum confine confine;
	bool core_scheduling;
	struct jail_config jail;
	enum timeline_to timeline;
	char *timeline_path; /* TIMELINE_TO_FILE; else NULL */
	enum log_level log_level;
};

/* Defaults: 256M, 1 CPU, exit on reboot, constants mapped, nothing merged, 10 s of grace,
 * warnings.
 */
void config_init(struct config *config);

/* What --working-set takes.  -EINVAL and diag. */
int config_read_working_set(struct config *config, const char *text, struct diag *diag);

/* The word of --confine.  -EINVAL and diag. */
int config_read_confine(const char *text, enum confine *confine, struct diag *diag);
void config_fini(struct config *config);

/* Parse `pronto run`'s arguments (argv[0] is "run"), --config files included; the command line
 * overrides the file wherever it stands.  0; 1 when --help was printed to stdout; -EINVAL with one
 * sentence in diag that names the option or the file, what is wrong and what to do.  After 0 there
 * is a kernel; what was set before a failure stays set.  Uses getopt's global state: one thread.
 */
int config_parse_args(struct config *config, int argc, char **argv, struct diag *diag);

/* Parse `pronto restore`'s arguments (argv[0] is "restore") after the settings of the snapshot that
 * they name, which `load` puts into the config (-errno and diag) by its path.  What follows changes
 * them: an option of a device changes the next of its kind, and none can be added.  As
 * config_parse_args() otherwise; the config is not to be completed.
 */
int config_parse_restore_args(struct config *config, int argc, char **argv,
	int (*load)(void *ctx, const char *path, struct config *config, struct diag *diag),
	void *ctx, struct diag *diag);

/* Apply the settings of one JSON text; `name` stands for it in messages.  Errors as above. */
int config_parse_json(
	struct config *config, const char *name, const char *text, size_t size, struct diag *diag);

/* All of a JSON file, at most CONFIG_MAX_FILE bytes: the caller's, without a NUL.  NULL, and diag
 * as above.
 */
char *config_read_file(const char *path, size_t *size, struct diag *diag);

/* All settings have been made: see that there is a kernel and that they go together, and add what
 * is there by itself.  -EINVAL, and diag as above.
 */
int config_complete(struct config *config, struct diag *diag);

/* Change a device that there is, `item` of its kind from 0, by the pieces KEY=VALUE,... of its
 * option.  -EINVAL and diag: it is not to be used then.
 */
int config_change_device(struct config *config, enum device_kind kind, size_t item,
	const char *text, struct diag *diag);

/* The second half of that, for settings that were complete and have been changed: see that there is
 * a kernel and that they go together.  -EINVAL, and diag as above.
 */
int config_check(const struct config *config, struct diag *diag);

/* The virtio devices of all kinds. */
unsigned int config_n_devices(const struct config *config);

/* There is PCI where devices are on it, and only there. */
bool config_has_pci(const struct config *config);

/* Where the serial console goes: of CONSOLE_AUTO, standard input and output if no other console has
 * these, else nowhere.
 */
enum console_kind config_serial_console(const struct config *config);

/* The default command line: with hvc0 as a console, if that is at standard input and output; quiet
 * where a shell's output follows.  A static string.
 */
const char *config_default_cmdline(const struct config *config);

/* Open files of the process that the settings name by number: at most `max` of them into `fds`.
 * How many there are.
 */
size_t config_descriptors(const struct config *config, int *fds, size_t max);

/* The port by which a guest ends with a status of its own, or DEBUG_EXIT_OFF. */
enum debug_exit_at config_exit_port(const struct config *config);

/* Whether there is to be a jail; and see that there is none. */
bool config_has_jail(const struct config *config);
void config_drop_jail(struct config *config);

/* Whether one of them has guest RAM served by another process. */
bool config_shares_memory(const struct config *config);

/* `pronto run --help`, `pronto restore --help`. */
void config_print_help(FILE *out);
void config_print_restore_help(FILE *out);

#endif
