// SPDX-License-Identifier: MIT
/* cmd_doctor.c - pronto doctor: can this host run VMs, and how well */

#include "cmd.h"
#include "confine/confine.h"
#include "exit_codes.h"
#include "filter/filter.h"
#include "kvm/kvm.h"
#include "kvm/probe.h"
#include "util/bits.h"
#include "util/diag.h"
#include "util/log.h"

#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A processor runs a guest's kernel mode at a billion instructions a second and more, QEMU's
 * emulation of one at some ten million; a KVM that interprets it, at one or two million.
 */
#define SLOW_BELOW 10000000

enum verdict { USABLE = 0, UNUSABLE = 1, SLOW = 2, LATE = 3 };

static const char *const verdict_names[] = { "usable", "unusable", "slow", "late" };

/* What a run can use beyond KVM. */
static const struct {
	const char *name;
	const char *path;
	const char *advice;
} optional[] = {
	{ "tun", "/dev/net/tun", "modprobe tun" },
	{ "vhost-net", "/dev/vhost-net", "modprobe vhost_net" },
	{ "vhost-vsock", "/dev/vhost-vsock", "modprobe vhost_vsock" },
};

/* One finding: a line for people, a member for programs. */
struct report {
	bool json;
	json_t *root;
	json_t *caps;
};

static void report_line(
	const struct report *report, const char *state, const char *name, const char *detail)
{
	if (!report->json)
		printf("%-8s %-30s %s\n", state, name, detail);
}

static bool report_caps(struct report *report, int fd)
{
	struct kvm_cap_status status;
	bool all = true;

	for (size_t i = 0; kvm_cap_query(fd, i, &status); i++) {
		bool have = status.value > 0;

		all &= have;
		json_object_set_new(report->caps, status.name, json_boolean(have));
		report_line(report, have ? "ok" : "MISSING", status.name, status.why);
	}
	return all;
}

static void report_optional(struct report *report)
{
	json_t *devices = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(optional); i++) {
		const char *state = "ok", *detail = optional[i].path;
		char text[128];

		if (access(optional[i].path, F_OK)) {
			state = "absent";
			snprintf(text, sizeof(text), "%s (%s)", optional[i].path,
				optional[i].advice);
			detail = text;
		} else if (access(optional[i].path, R_OK | W_OK)) {
			state = "denied";
		}
		json_object_set_new(devices, optional[i].name, json_string(state));
		report_line(report, state, optional[i].name, detail);
	}
	json_object_set_new(report->root, "devices", devices);
}

/* First line of a file under /sys or /proc, without its newline; "" if it cannot be read. */
static void read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");

	line[0] = '\0';
	if (!file)
		return;
	if (!fgets(line, (int)size, file))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

static void report_huge_pages(struct report *report)
{
	char mode[128], count[32], text[256];
	json_t *pages = json_object();

	read_line("/sys/kernel/mm/transparent_hugepage/enabled", mode, sizeof(mode));
	read_line("/proc/sys/vm/nr_hugepages", count, sizeof(count));
	json_object_set_new(pages, "transparent", json_string(mode));
	json_object_set_new(pages, "reserved", json_string(count));
	json_object_set_new(report->root, "huge_pages", pages);
	snprintf(text, sizeof(text), "transparent: %s; reserved: %s", *mode ? mode : "none",
		*count ? count : "none");
	report_line(report, *mode && !strstr(mode, "[never]") ? "ok" : "off", "huge pages", text);
}

/* What --confine can do here. */
static void report_confinement(struct report *report)
{
	int version = confine_landlock_version();
	bool filters = filter_is_there();
	json_t *confinement = json_object();
	char text[80];

	json_object_set_new(confinement, "seccomp", json_boolean(filters));
	json_object_set_new(confinement, "landlock", json_integer(version));
	json_object_set_new(report->root, "confinement", confinement);
	report_line(report, filters ? "ok" : "absent", "seccomp filters",
		filters ? "each thread makes the system calls of its role alone"
			: "CONFIG_SECCOMP_FILTER is off, or seccomp is forbidden here");
	snprintf(text, sizeof(text), "version %d", version);
	report_line(report, version ? "ok" : "absent", "Landlock",
		version ? text : "not in this kernel, or not in its lsm= list");
}

/* ---- what guests may see of each other, and of the host, by what they share of a processor ----
 */

#define VULNERABILITIES "/sys/devices/system/cpu/vulnerabilities"

/* The host's kernel judges itself.  What it says of one that two threads of a core have is said in
 * addition to what it does against the rest.
 */
static const char *judge(const char *text)
{
	if (!strncmp(text, "Vulnerable", strlen("Vulnerable")))
		return "OPEN";
	return strstr(text, "SMT vulnerable") ? "SMT" : "ok";
}

static void report_side_channels(struct report *report)
{
	struct dirent **names;
	json_t *all = json_object();
	int n = scandir(VULNERABILITIES, &names, NULL, alphasort), n_closed = 0;
	char path[320], text[256];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), VULNERABILITIES "/%s", names[i]->d_name);
		read_line(path, text, sizeof(text));
		if (*text) {
			json_object_set_new(all, names[i]->d_name, json_string(text));
			if (strcmp(judge(text), "ok") != 0)
				report_line(report, judge(text), names[i]->d_name, text);
			else
				n_closed++;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	snprintf(text, sizeof(text),
		n < 0 ? "the host's kernel does not say" : "%d closed, or not of this processor",
		n_closed);
	report_line(report, n < 0 ? "unknown" : "ok", "side channels", text);
	json_object_set_new(report->root, "side_channels", all);
}

static void report_cores(struct report *report)
{
	int can = confine_can_own_cores();
	char smt[8];

	read_line("/sys/devices/system/cpu/smt/active", smt, sizeof(smt));
	json_object_set_new(report->root, "smt", json_boolean(*smt == '1'));
	json_object_set_new(report->root, "core_scheduling", json_boolean(can >= 0));
	if (*smt != '1')
		report_line(report, "ok", "sibling threads", "no core has them, or they are off");
	else if (can < 0)
		report_line(report, "SHARED", "sibling threads",
			"others' run beside a guest's, and this kernel has no core scheduling");
	else
		report_line(report, "SHARED", "sibling threads",
			"others' run beside a guest's, unless --core-scheduling is given");
}

/* ---- */

static enum verdict report_speed(struct report *report, int64_t speed)
{
	char text[160];

	json_object_set_new(report->root, "guest_instructions_per_second", json_integer(speed));
	snprintf(text, sizeof(text),
		"%.1f million instructions a second in the guest's kernel mode",
		(double)speed / 1e6);
	report_line(report, speed < SLOW_BELOW ? "SLOW" : "ok", "guest speed", text);
	return speed < SLOW_BELOW ? SLOW : USABLE;
}

static enum verdict report_tsc(struct report *report, const struct kvm_probe *probe)
{
	static const char *const states[] = {
		[TSC_UNKNOWN] = "unknown", [TSC_RIGHT] = "ok", [TSC_WRONG] = "WRONG"
	};

	report_line(report, states[probe->tsc], "TSC's rate", probe->tsc_finding.text);
	json_object_set_new(report->root, "tsc_rate",
		json_string(probe->tsc == TSC_WRONG ? "wrong" : states[probe->tsc]));
	return probe->tsc == TSC_WRONG ? LATE : USABLE;
}

/* How a guest runs. */
static enum verdict report_guest(struct report *report)
{
	struct kvm_probe probe;
	struct diag diag;
	enum verdict speed, tsc;

	if (kvm_probe(&probe, &diag)) {
		report_line(report, "FAILED", "guest", diag.text);
		json_object_set_new(report->root, "problem", json_string(diag.text));
		return UNUSABLE;
	}
	speed = report_speed(report, probe.speed);
	tsc = report_tsc(report, &probe);
	return speed == USABLE ? tsc : speed;
}

static enum verdict report_kvm(struct report *report)
{
	struct diag diag;
	int fd = kvm_open_device(KVM_DEVICE, &diag), max;
	bool caps_ok;
	char text[64];

	if (fd < 0) {
		report_line(report, "MISSING", KVM_DEVICE, diag.text);
		json_object_set_new(report->root, "problem", json_string(diag.text));
		return UNUSABLE;
	}
	report_line(report, "ok", KVM_DEVICE, "API version 12");
	json_object_set_new(report->root, "api_version", json_integer(12));
	caps_ok = report_caps(report, fd);
	max = kvm_max_vcpus(fd);
	close(fd);
	snprintf(text, sizeof(text), "%d", max);
	report_line(report, "ok", "vCPUs in one VM, at most", text);
	json_object_set_new(report->root, "max_vcpus", json_integer(max));
	return caps_ok ? report_guest(report) : UNUSABLE;
}

static const char *verdict_text(enum verdict verdict)
{
	switch (verdict) {
	case USABLE: return "usable: pronto run works here";
	case SLOW:
		return "usable but slow: this KVM interprets the guest's kernel mode in software; "
		       "tiny guests run, a distribution kernel takes minutes.  Use the lab: "
		       "lab/lab build/pronto run ... (docs/lab.md)";
	case LATE:
		return "usable, but guests' timers may come late: KVM has the rate of this "
		       "processor's TSC wrong";
	default:
		return "unusable: pronto run does not work here.  Use the lab: "
		       "lab/lab build/pronto run ... (docs/lab.md)";
	}
}

static void print_help(void)
{
	puts("usage: pronto doctor [--json]\n"
	     "\n"
	     "Say whether this host can run VMs: KVM, what pronto needs of it, how fast a guest's\n"
	     "kernel mode is, measured with a tiny guest, and whether KVM has the rate of the\n"
	     "processor's TSC right.  Takes less than 200 ms.\n"
	     "\n"
	     "  --json      print the findings as one JSON object\n"
	     "  -h, --help  print this\n"
	     "\n"
	     "Exit status: 0 usable, 1 unusable (or a wrong option), 2 usable but slow, 3 usable\n"
	     "but guests' timers may come late.");
}

static enum verdict examine(bool as_json)
{
	struct report report = { as_json, json_object(), json_object() };
	enum verdict verdict = report_kvm(&report);

	json_object_set_new(report.root, "capabilities", report.caps);
	report_optional(&report);
	report_huge_pages(&report);
	report_confinement(&report);
	report_cores(&report);
	report_side_channels(&report);
	json_object_set_new(report.root, "verdict", json_string(verdict_names[verdict]));
	json_object_set_new(report.root, "summary", json_string(verdict_text(verdict)));
	if (as_json) {
		json_dumpf(report.root, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		printf("\n%s\n", verdict_text(verdict));
	}
	json_decref(report.root);
	return verdict;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool as_json = false;
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			return EXIT_SUCCESS;
		}
		if (c != 'j') {
			log_error("doctor: %s: unknown option; see pronto doctor --help",
				argv[optind - 1]);
			return UNUSABLE;
		}
		as_json = true;
	}
	if (optind < argc) {
		log_error("doctor: %s: takes no arguments", argv[optind]);
		return UNUSABLE;
	}
	return (int)examine(as_json);
}
