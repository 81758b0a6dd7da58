// SPDX-License-Identifier: MIT
/* object_shapes.c - what each of Firecracker's objects may hold */

#include "api/objects.h"

#include "api/object_parts.h"
#include "util/error.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#define MAX_CMDLINE 2048
#define MAX_VCPUS   32

/* ---- shapes ---- */

/* clang-format off */
static LAX_SHAPE(bucket, "TokenBucket",
	{ .name = "size", .type = FIELD_NUMBER, .required = true, .max = INT64_MAX },
	{ .name = "refill_time", .type = FIELD_NUMBER, .required = true, .max = INT64_MAX },
	{ .name = "one_time_burst", .type = FIELD_NUMBER, .max = INT64_MAX });

SHAPE(limiter, "RateLimiter",
	{ .name = "bandwidth", .type = FIELD_OBJECT, .inner = &bucket_shape },
	{ .name = "ops", .type = FIELD_OBJECT, .inner = &bucket_shape });

static SHAPE(boot_source, "BootSource",
	{ .name = "kernel_image_path", .type = FIELD_TEXT, .required = true },
	{ .name = "boot_args", .type = FIELD_TEXT, .max = MAX_CMDLINE },
	{ .name = "initrd_path", .type = FIELD_TEXT });

static const char *const cpu_templates[] = { "None", "C3", "T2", "T2S", "T2CL", "T2A", "V1N1", NULL };
static const char *const huge_pages[] = { "None", "Transparent", "2M", NULL };

static SHAPE(machine, "MachineConfiguration",
	{ .name = "vcpu_count", .type = FIELD_NUMBER, .required = true, .max = UINT8_MAX },
	{ .name = "mem_size_mib", .type = FIELD_NUMBER, .required = true, .max = INT64_MAX >> 20 },
	{ .name = "smt", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "cpu_template", .type = FIELD_WORD, .words = cpu_templates, .unshown = true },
	{ .name = "track_dirty_pages", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "huge_pages", .type = FIELD_WORD, .words = huge_pages, .fallback = "\"None\"" });

static SHAPE(cpu, "CpuConfig",
	{ .name = "kvm_capabilities", .type = FIELD_TEXTS, .fallback = "[]" },
	{ .name = "cpuid_modifiers", .type = FIELD_ANY, .fallback = "[]" },
	{ .name = "msr_modifiers", .type = FIELD_ANY, .fallback = "[]" },
	{ .name = "reg_modifiers", .type = FIELD_ANY, .fallback = "[]" },
	{ .name = "vcpu_features", .type = FIELD_ANY, .fallback = "[]" });

static const char *const cache_types[] = { "Unsafe", "Writeback", NULL };
static const char *const io_engines[] = { "Sync", "Async", NULL };

static SHAPE(drive, "Drive",
	{ .name = "drive_id", .type = FIELD_TEXT, .required = true },
	{ .name = "partuuid", .type = FIELD_TEXT, .max = 64 },
	{ .name = "is_root_device", .type = FIELD_FLAG, .required = true },
	{ .name = "cache_type", .type = FIELD_WORD, .words = cache_types, .fallback = "\"Unsafe\"" },
	{ .name = "is_read_only", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "path_on_host", .type = FIELD_TEXT },
	{ .name = "rate_limiter", .type = FIELD_OBJECT, .inner = &limiter_shape },
	{ .name = "io_engine", .type = FIELD_WORD, .words = io_engines },
	{ .name = "socket", .type = FIELD_TEXT });

static SHAPE(net, "NetworkInterface",
	{ .name = "iface_id", .type = FIELD_TEXT, .required = true },
	{ .name = "host_dev_name", .type = FIELD_TEXT, .max = IFNAMSIZ - 1 },
	{ .name = "guest_mac", .type = FIELD_TEXT, .max = 17 },
	{ .name = "mtu", .type = FIELD_NUMBER, .max = UINT16_MAX },
	{ .name = "rx_rate_limiter", .type = FIELD_OBJECT, .inner = &limiter_shape },
	{ .name = "tx_rate_limiter", .type = FIELD_OBJECT, .inner = &limiter_shape },
	{ .name = "user", .type = FIELD_FLAG },
	{ .name = "hostfwd", .type = FIELD_TEXTS });

static SHAPE(vsock, "Vsock",
	{ .name = "guest_cid", .type = FIELD_NUMBER, .required = true },
	{ .name = "uds_path", .type = FIELD_TEXT, .required = true },
	{ .name = "vsock_id", .type = FIELD_TEXT });

static SHAPE(balloon, "Balloon",
	{ .name = "amount_mib", .type = FIELD_NUMBER, .required = true },
	{ .name = "deflate_on_oom", .type = FIELD_FLAG, .required = true },
	{ .name = "stats_polling_interval_s", .type = FIELD_NUMBER, .max = UINT16_MAX, .fallback = "0" },
	{ .name = "free_page_hinting", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "free_page_reporting", .type = FIELD_FLAG, .fallback = "false" });

static SHAPE(entropy, "EntropyDevice",
	{ .name = "rate_limiter", .type = FIELD_OBJECT, .inner = &limiter_shape });

static SHAPE(serial, "SerialDevice",
	{ .name = "serial_out_path", .type = FIELD_TEXT },
	{ .name = "rate_limiter", .type = FIELD_OBJECT, .inner = &bucket_shape });

static SHAPE(share, "Share",
	{ .name = "share_id", .type = FIELD_TEXT, .required = true },
	{ .name = "path_on_host", .type = FIELD_TEXT, .required = true },
	{ .name = "is_read_only", .type = FIELD_FLAG, .fallback = "false" });

static SHAPE(logger, "Logger",
	{ .name = "log_path", .type = FIELD_TEXT },
	{ .name = "level", .type = FIELD_TEXT, .max = 16, .fallback = "\"Info\"" },
	{ .name = "show_level", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "show_log_origin", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "module", .type = FIELD_TEXT });

static LAX_SHAPE(metrics, "Metrics",
	{ .name = "metrics_path", .type = FIELD_TEXT, .required = true });

static const char *const mmds_versions[] = { "V1", "V2", NULL };

static SHAPE(mmds, "MmdsConfig",
	{ .name = "network_interfaces", .type = FIELD_TEXTS, .required = true },
	{ .name = "version", .type = FIELD_WORD, .words = mmds_versions, .fallback = "\"V1\"" },
	{ .name = "ipv4_address", .type = FIELD_TEXT, .max = 15, .fallback = "\"169.254.169.254\"" },
	{ .name = "imds_compat", .type = FIELD_FLAG, .fallback = "false" });
/* clang-format on */

/* ---- what fields must be ---- */

static int check_file(const char *what, const char *path, int mode, struct diag *diag)
{
	if (!access(path, mode))
		return 0;
	return diag_fail(diag, EINVAL, "The %s file cannot be opened: %s: %s (os error %d)", what,
		path, error_text(errno), errno);
}

static int check_boot_source(const json_t *object, struct diag *diag)
{
	const char *initrd = text_of(object, "initrd_path");
	int ret = check_file("kernel", text_of(object, "kernel_image_path"), R_OK, diag);

	return ret || !initrd ? ret : check_file("initrd", initrd, R_OK, diag);
}

static int check_machine(const json_t *object, struct diag *diag)
{
	uint64_t n = number_of(object, "vcpu_count"), mib = number_of(object, "mem_size_mib");
	const char *template = text_of(object, "cpu_template");
	bool smt = flag_of(object, "smt");

	if (!n || n > MAX_VCPUS || (smt && n > 1 && n % 2))
		return diag_fail(diag, EINVAL,
			"The number of vCPUs must be greater than 0, less than 32 and must be 1 or "
			"an even number if SMT is enabled.");
	if (!mib || (strcmp(text_of(object, "huge_pages"), "None") && mib % 2))
		return diag_fail(diag, EINVAL,
			"The memory size (MiB) is either 0, or not a multiple of the configured "
			"page size.");
	if (mib < CONFIG_MIN_MEMORY >> 20 || mib > CONFIG_MAX_MEMORY >> 20)
		return diag_fail(diag, EINVAL, "The memory size (MiB) must be %llu to %llu.",
			(unsigned long long)(CONFIG_MIN_MEMORY >> 20),
			(unsigned long long)(CONFIG_MAX_MEMORY >> 20));
	if (template && strcmp(template, "None"))
		return diag_fail(diag, EINVAL,
			"CPU templates are not supported: the guest sees the host's processor.");
	return 0;
}

static int check_cpu(const json_t *object, struct diag *diag)
{
	const json_t *value;
	const char *name;

	json_object_foreach((json_t *)object, name, value)
	{
		if (json_is_array(value) && !json_array_size(value))
			continue;
		return diag_fail(diag, EINVAL,
			"custom CPU templates are not supported (`%s`): the guest sees the host's "
			"processor",
			name);
	}
	return 0;
}

static int check_drive(const json_t *object, struct diag *diag)
{
	const char *path = text_of(object, "path_on_host"), *socket = text_of(object, "socket");

	if (!path == !socket)
		return diag_fail(diag, EINVAL,
			"Invalid drive: give either `path_on_host` or, for vhost-user, `socket`");
	if (socket && (is_set(object, "rate_limiter") || is_set(object, "io_engine") ||
			      flag_of(object, "is_read_only")))
		return diag_fail(diag, EINVAL,
			"Invalid drive: with `socket` neither `is_read_only`, `rate_limiter` nor "
			"`io_engine` is for us to say");
	if (path && access(path, flag_of(object, "is_read_only") ? R_OK : R_OK | W_OK))
		return diag_fail(diag, EINVAL,
			"Unable to create the virtio block device: Virtio backend error: Error "
			"manipulating the backing file: %s (os error %d) %s",
			error_text(errno), errno, path);
	return 0;
}

static int check_net(const json_t *object, struct diag *diag)
{
	const char *tap = text_of(object, "host_dev_name");
	uint64_t mtu = number_of(object, "mtu");

	if (!tap == !flag_of(object, "user"))
		return diag_fail(diag, EINVAL,
			"Invalid network interface: give either `host_dev_name`, the name of a "
			"tap interface, or `user`: true");
	if (tap && is_set(object, "hostfwd"))
		return diag_fail(
			diag, EINVAL, "Invalid network interface: `hostfwd` goes with `user`");
	if (is_set(object, "mtu") && mtu < 68)
		return diag_fail(diag, EINVAL, "Invalid MTU: %llu is not 68 to 65535",
			(unsigned long long)mtu);
	return 0;
}

static int check_vsock(const json_t *object, struct diag *diag)
{
	uint64_t cid = number_of(object, "guest_cid");

	if (cid >= 3 && cid < UINT32_MAX)
		return 0;
	return diag_fail(diag, EINVAL, "The guest CID %llu is not 3 to %u", (unsigned long long)cid,
		UINT32_MAX - 1);
}

/* The path of a share is its tag's; the rest is looked at when it starts. */
static int check_share(const json_t *object, struct diag *diag)
{
	return check_file("shared", text_of(object, "path_on_host"), R_OK | X_OK, diag);
}

static int check_mmds(const json_t *object, struct diag *diag)
{
	if (json_array_size(json_object_get(object, "network_interfaces")))
		return 0;
	return diag_fail(diag, EINVAL,
		"The list of network interface IDs that allow forwarding MMDS requests is empty.");
}

const struct object_class object_class[N_OBJECT_KINDS] = {
	[OBJECT_BOOT_SOURCE] = { "boot-source", NULL, "Boot source error", &boot_source_shape,
		check_boot_source, true },
	[OBJECT_MACHINE] = { "machine-config", NULL, "Machine config error", &machine_shape,
		check_machine, true },
	[OBJECT_CPU] = { "cpu-config", NULL, "Configure CPU error", &cpu_shape, check_cpu, false },
	[OBJECT_DRIVE] = { "drives", "drive_id", "Drive config error", &drive_shape, check_drive,
		true },
	[OBJECT_NET] = { "network-interfaces", "iface_id", "Network config error", &net_shape,
		check_net, true },
	[OBJECT_VSOCK] = { "vsock", NULL, "Vsock config error", &vsock_shape, check_vsock, true },
	[OBJECT_BALLOON] = { "balloon", NULL, "Balloon config error", &balloon_shape, NULL, true },
	[OBJECT_ENTROPY] = { "entropy", NULL, "Entropy config error", &entropy_shape, NULL, true },
	[OBJECT_SERIAL] = { NULL, NULL, "Serial config error", &serial_shape, NULL, false },
	[OBJECT_SHARE] = { "shares", "share_id", "Share config error", &share_shape, check_share,
		true },
	[OBJECT_LOGGER] = { "logger", NULL, "Logger error", &logger_shape, NULL, false },
	[OBJECT_METRICS] = { "metrics", NULL, "Metrics error", &metrics_shape, NULL, false },
	[OBJECT_MMDS] = { "mmds-config", NULL, "MMDS error", &mmds_shape, check_mmds, true },
};
