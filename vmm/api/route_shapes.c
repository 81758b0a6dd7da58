// SPDX-License-Identifier: MIT
/* route_shapes.c - what operations are asked and answer, beside the objects of object_shapes.c */

#include "api/route_parts.h"

#include <net/if.h>

/* clang-format off */

/* ---- asked ---- */

static const char *const actions[] = {
	"InstanceStart", "SendCtrlAltDel", "FlushMetrics", "GracefulShutdown", "Reset", NULL
};
static const char *const vm_states[] = { "Paused", "Resumed", NULL };

SHAPE(action, "InstanceActionInfo",
	{ .name = "action_type", .type = FIELD_WORD, .required = true, .words = actions });

SHAPE(vm_state, "Vm",
	{ .name = "state", .type = FIELD_WORD, .required = true, .words = vm_states });

SHAPE(drive_change, "PartialDrive",
	{ .name = "drive_id", .type = FIELD_TEXT },
	{ .name = "path_on_host", .type = FIELD_TEXT },
	{ .name = "rate_limiter", .type = FIELD_OBJECT, .inner = &limiter_shape });

SHAPE(net_change, "PartialNetworkInterface",
	{ .name = "iface_id", .type = FIELD_TEXT },
	{ .name = "rx_rate_limiter", .type = FIELD_OBJECT, .inner = &limiter_shape },
	{ .name = "tx_rate_limiter", .type = FIELD_OBJECT, .inner = &limiter_shape });

SHAPE(balloon_change, "BalloonUpdate",
	{ .name = "amount_mib", .type = FIELD_NUMBER, .required = true });

SHAPE(statistics_change, "BalloonStatsUpdate",
	{ .name = "stats_polling_interval_s", .type = FIELD_NUMBER, .required = true, .max = UINT16_MAX });

LAX_SHAPE(hinting_start, "BalloonStartCmd",
	{ .name = "acknowledge_on_stop", .type = FIELD_FLAG, .fallback = "true" });

static const char *const snapshot_types[] = { "Full", "Diff", NULL };

SHAPE(snapshot_create, "SnapshotCreateParams",
	{ .name = "snapshot_path", .type = FIELD_TEXT, .required = true },
	{ .name = "mem_file_path", .type = FIELD_TEXT },
	{ .name = "snapshot_type", .type = FIELD_WORD, .words = snapshot_types, .fallback = "\"Full\"" });

static const char *const backend_types[] = { "File", "Uffd", NULL };

static SHAPE(mem_backend, "MemoryBackend",
	{ .name = "backend_type", .type = FIELD_WORD, .required = true, .words = backend_types },
	{ .name = "backend_path", .type = FIELD_TEXT, .required = true });

static LAX_SHAPE(network_override, "NetworkOverride",
	{ .name = "iface_id", .type = FIELD_TEXT, .required = true },
	{ .name = "host_dev_name", .type = FIELD_TEXT, .required = true, .max = IFNAMSIZ - 1 });

static LAX_SHAPE(vsock_override, "VsockOverride",
	{ .name = "uds_path", .type = FIELD_TEXT, .required = true });

static const char *const restored_pages[] = { "Snapshot", "None", "Transparent", "2M", NULL };

SHAPE(snapshot_load, "SnapshotLoadParams",
	{ .name = "snapshot_path", .type = FIELD_TEXT, .required = true },
	{ .name = "mem_backend", .type = FIELD_OBJECT, .inner = &mem_backend_shape },
	{ .name = "mem_file_path", .type = FIELD_TEXT },
	{ .name = "enable_diff_snapshots", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "track_dirty_pages", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "resume_vm", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "network_overrides", .type = FIELD_OBJECTS, .inner = &network_override_shape,
		.fallback = "[]" },
	{ .name = "vsock_override", .type = FIELD_OBJECT, .inner = &vsock_override_shape },
	{ .name = "working_set", .type = FIELD_TEXT },
	{ .name = "clock_realtime", .type = FIELD_FLAG, .fallback = "false" },
	{ .name = "huge_pages", .type = FIELD_WORD, .words = restored_pages, .fallback = "\"Snapshot\"" });

SHAPE(fork, "Fork",
	{ .name = "socket_path", .type = FIELD_TEXT, .required = true },
	{ .name = "once", .type = FIELD_FLAG, .fallback = "false" });

/* ---- answered ---- */

static const char *const states[] = { "Not started", "Running", "Paused", NULL };

SHAPE(error, "Error",
	{ .name = "fault_message", .type = FIELD_TEXT, .required = true });

SHAPE(instance, "InstanceInfo",
	{ .name = "id", .type = FIELD_TEXT, .required = true },
	{ .name = "state", .type = FIELD_WORD, .required = true, .words = states },
	{ .name = "vmm_version", .type = FIELD_TEXT, .required = true },
	{ .name = "app_name", .type = FIELD_TEXT, .required = true });

SHAPE(version, "FirecrackerVersion",
	{ .name = "firecracker_version", .type = FIELD_TEXT, .required = true },
	{ .name = "pronto_version", .type = FIELD_TEXT, .required = true });

/* Its fields are object_class[]'s. */
const struct shape all_objects_shape = { .name = "FullVmConfiguration", .lax = true };

const struct shape anything_shape = { .name = "Anything", .lax = true };

SHAPE(statistics, "BalloonStats",
	{ .name = "target_pages", .type = FIELD_NUMBER, .required = true },
	{ .name = "actual_pages", .type = FIELD_NUMBER, .required = true },
	{ .name = "target_mib", .type = FIELD_NUMBER, .required = true },
	{ .name = "actual_mib", .type = FIELD_NUMBER, .required = true },
	{ .name = "swap_in", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "swap_out", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "major_faults", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "minor_faults", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "free_memory", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "total_memory", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "available_memory", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "disk_caches", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "hugetlb_allocations", .type = FIELD_NUMBER, .max = UINT64_MAX },
	{ .name = "hugetlb_failures", .type = FIELD_NUMBER, .max = UINT64_MAX });

SHAPE(hinting, "BalloonHintingStatus",
	{ .name = "host_cmd", .type = FIELD_NUMBER, .required = true },
	{ .name = "guest_cmd", .type = FIELD_NUMBER });

SHAPE(forked, "Forked",
	{ .name = "process_id", .type = FIELD_NUMBER, .required = true });

static SHAPE(moment, "Moment",
	{ .name = "name", .type = FIELD_TEXT, .required = true },
	{ .name = "ns", .type = FIELD_NUMBER, .required = true, .max = INT64_MAX });

SHAPE(timeline, "Timeline",
	{ .name = "start_ns", .type = FIELD_NUMBER, .required = true, .max = INT64_MAX },
	{ .name = "moments", .type = FIELD_OBJECTS, .required = true, .inner = &moment_shape });

static const char *const events[] = {
	"started", "restored", "paused", "resumed", "snapshot", "mark", "reset", "device-failed",
	"ended", NULL
};

SHAPE(event, "Event",
	{ .name = "event", .type = FIELD_WORD, .required = true, .words = events },
	{ .name = "monotonic_ns", .type = FIELD_NUMBER, .required = true, .max = INT64_MAX },
	{ .name = "mark", .type = FIELD_NUMBER, .max = UINT8_MAX },
	{ .name = "device", .type = FIELD_TEXT },
	{ .name = "index", .type = FIELD_NUMBER },
	{ .name = "id", .type = FIELD_TEXT },
	{ .name = "why", .type = FIELD_TEXT },
	{ .name = "how", .type = FIELD_TEXT },
	{ .name = "status", .type = FIELD_NUMBER, .max = UINT8_MAX });
/* clang-format on */
