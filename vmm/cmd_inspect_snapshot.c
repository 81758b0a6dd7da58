// SPDX-License-Identifier: MIT
/* cmd_inspect_snapshot.c - pronto inspect, of a snapshot: what is in it
 *
 * Nothing of it is believed: it is other people's file, and may have been made to mislead.
 */

#include "cmd.h"
#include "dev/table.h"
#include "exit_codes.h"
#include "kvm/state.h"
#include "util/bits.h"
#include "util/log.h"
#include "util/text.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct findings {
	const char *path;
	struct snapshot snapshot;
	struct snapshot_memory memory;
	bool has_memory_fault;
	struct diag memory_fault, fault; /* the second: why it cannot be used */
	bool is_usable;
};

/* ---- what sections may be ---- */

static const struct state_table *const tables[] = {
	&snapshot_machine_state,
	&vcpu_state_table,
	&ioapic_state,
	&serial_state,
	&power_state,
	&rtc_state,
	&pci_state,
	&pci_function_state,
	&msix_state,
	&virtio_mmio_state,
	&virtio_pci_state,
	&virtio_state,
	&virtq_state,
};

/* NULL: bytes, or nothing that is known. */
static const struct state_table *find_table(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (!strcmp(tables[i]->name, name))
			return tables[i];
	for (size_t i = 0; i < N_DEVICE_KINDS; i++)
		if (device_class[i]->state && !strcmp(device_class[i]->state->name, name))
			return device_class[i]->state;
	return NULL;
}

static bool is_bytes(const char *name)
{
	return !strcmp(name, "config") || !strcmp(name, "memory") || !strcmp(name, "note");
}

static void ignore_value(void *, const struct state_value *)
{
}

/* -EBADMSG, -ENOTSUP and diag: it is not as this pronto knows it. */
static int check_section(const struct state_section *section, struct diag *diag)
{
	const struct state_table *table = find_table(section->name);

	if (!table && is_bytes(section->name))
		return 0;
	if (!table || section->version > table->version)
		return diag_fail(diag, ENOTSUP,
			"it has a %s %u of version %u, which this pronto does not know: a newer one reads it",
			section->name, section->instance, section->version);
	if (state_walk(table, section, ignore_value, NULL))
		return 0;
	return diag_fail(diag, EBADMSG, "its %s %u is not as it should be", section->name,
		section->instance);
}

/* ---- find out ---- */

static int check_sections(struct findings *f)
{
	struct state_section section;
	int ret = 0;

	for (size_t at = 0; !ret && (at = state_next(&f->snapshot.reader, at, &section));)
		ret = check_section(&section, &f->fault);
	return ret;
}

static int check_memory(struct findings *f)
{
	char base[2 * STATE_ID_SIZE + 1];

	if (f->has_memory_fault) {
		f->fault = f->memory_fault;
		return -EINVAL;
	}
	if (!f->memory.path || f->memory.is_whole)
		return 0;
	for (size_t i = 0; i < STATE_ID_SIZE; i++)
		snprintf(base + 2 * i, 3, "%02x", f->memory.base[i]);
	return diag_fail(&f->fault, EINVAL,
		"its memory has only what had changed since the snapshot %s; `pronto merge` makes it whole",
		base);
}

static void find_out(struct findings *f)
{
	struct config config;
	int ret;

	f->has_memory_fault = snapshot_look_at_memory(
		&f->snapshot, f->path, &f->memory, &f->memory_fault);
	config_init(&config);
	ret = snapshot_load_config(&f->snapshot, f->path, &config, &f->fault);
	config_fini(&config);
	if (!ret)
		ret = check_sections(f);
	if (!ret)
		ret = check_memory(f);
	f->is_usable = !ret;
}

/* Of vCPU i; false: there is no such, or it is not as it should be. */
static bool look_at_vcpu(struct findings *f, uint32_t i, struct vcpu_registers *registers)
{
	struct vcpu_state *state = vcpu_state_new();
	struct diag diag;
	bool is_there = state &&
	                !state_load(&f->snapshot.reader, &vcpu_state_table, i, state, &diag);

	if (is_there)
		vcpu_state_look(state, registers);
	vcpu_state_free(state);
	return is_there;
}

static void say_id(const struct findings *f, char text[2 * STATE_ID_SIZE + 1])
{
	for (size_t i = 0; i < STATE_ID_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", f->snapshot.reader.id[i]);
}

static void say_time(const struct findings *f, char text[32])
{
	time_t at = (time_t)(f->snapshot.machine.realtime_ns / 1000000000u);
	struct tm tm;

	if (!gmtime_r(&at, &tm) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, 32, "at no time there is");
}

/* The bytes as JSON, a new reference; null: they are none. */
static json_t *json_of(const char *data, size_t size)
{
	json_t *json = data ? json_loadb(data, size, 0, NULL) : NULL;

	return json ? json : json_null();
}

/* ---- tell people ---- */

static void print_name(const char *what, const char *name)
{
	fputs(what, stdout);
	text_print(stdout, name);
	putchar('\n');
}

static void print_memory(const struct findings *f)
{
	const struct snapshot_memory *memory = &f->memory;

	if (f->has_memory_fault) {
		printf("memory:      none: %s\n", f->memory_fault.text);
	} else if (!memory->path) {
		puts("memory:      in a file that is to be named when it is restored");
	} else {
		print_name("memory:      ", memory->path);
		printf("             %" PRIu64 " bytes, of which %" PRIu64 " are on the disk%s\n",
			memory->size, memory->on_disk, memory->is_whole ? "" : ": changes alone");
	}
}

static void print_vcpus(struct findings *f)
{
	struct vcpu_registers r;

	for (uint32_t i = 0; i < f->snapshot.machine.n_cpus; i++)
		if (look_at_vcpu(f, i, &r))
			printf("vCPU %-8u%s, rip %#" PRIx64 ", rsp %#" PRIx64 ", rflags %#" PRIx64
			       ", cr0 %#" PRIx64 ", cr3 %#" PRIx64 ", cr4 %#" PRIx64
			       ", efer %#" PRIx64 ", tsc %" PRIu64 "\n",
				i, r.runs ? "runs" : "waits", r.rip, r.rsp, r.rflags, r.cr0, r.cr3,
				r.cr4, r.efer, r.tsc);
}

/* Escaped, what a terminal would act on is text again. */
static void print_json_text(const char *what, const char *data, size_t size)
{
	json_t *json = json_of(data, size);

	printf("%s", what);
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(json);
}

static void print_sections(const struct findings *f)
{
	struct state_section section;

	puts("sections:");
	for (size_t at = 0; (at = state_next(&f->snapshot.reader, at, &section));) {
		const struct state_table *table = find_table(section.name);

		fputs("  ", stdout);
		text_print(stdout, section.name);
		printf(" %u, version %u, %u bytes\n", section.instance, section.version,
			section.size);
		if (table && !state_print(stdout, "    ", table, &section))
			puts("    (it is not as it should be)");
	}
}

static void print_text(struct findings *f)
{
	const struct snapshot_machine *machine = &f->snapshot.machine;
	char id[2 * STATE_ID_SIZE + 1], when[32], version[sizeof(machine->version) + 1];

	say_id(f, id);
	say_time(f, when);
	snprintf(version, sizeof(version), "%.*s", (int)machine->n_version, machine->version);
	print_name("file:        ", f->path);
	printf("snapshot:    form %u, id %s\n", STATE_FORMAT, id);
	printf("saved:       %s, by pronto ", when);
	print_name("", version);
	printf("machine:     %u vCPUs, %" PRIu64 " MiB of memory, %u devices on %s%s\n",
		machine->n_cpus, machine->memory >> 20, machine->n_devices,
		machine->has_pci ? "PCI" : "MMIO", machine->is_linux ? ", with Linux" : "");
	print_memory(f);
	print_vcpus(f);
	print_json_text("settings:    ", f->snapshot.config, f->snapshot.config_size);
	if (f->snapshot.note)
		print_json_text("note:        ", f->snapshot.note, f->snapshot.note_size);
	print_sections(f);
	if (f->is_usable)
		puts("usable:      yes");
	else
		print_name("usable:      no: ", f->fault.text);
}

/* ---- tell programs ---- */

/* What JSON's whole numbers have no room for is text. */
static json_t *json_number(uint64_t number)
{
	return number <= INT64_MAX ? json_integer((json_int_t)number)
	                           : json_sprintf("%#" PRIx64, number);
}

static json_t *json_element(const struct state_value *value, uint32_t i)
{
	uint64_t number = state_number(value, i);

	return value->field->kind == STATE_FLAG ? json_boolean(number) : json_number(number);
}

/* Of bytes their number. */
static void add_value(void *fields, const struct state_value *value)
{
	const struct state_field *field = value->field;
	json_t *json;

	if (field->kind == STATE_BYTES) {
		json = json_pack("{s:I}", "bytes", (json_int_t)value->n * field->size);
	} else if (field->n == 1) {
		json = json_element(value, 0);
	} else {
		json = json_array();
		for (uint32_t i = 0; i < value->n; i++)
			json_array_append_new(json, json_element(value, i));
	}
	json_object_set_new(fields, field->name, json);
}

static json_t *json_sections(const struct findings *f)
{
	struct state_section section;
	json_t *sections = json_array();

	for (size_t at = 0; (at = state_next(&f->snapshot.reader, at, &section));) {
		const struct state_table *table = find_table(section.name);
		json_t *fields = table ? json_object() : json_null();
		json_t *name = json_string(section.name);

		if (table && !state_walk(table, &section, add_value, fields)) {
			json_decref(fields);
			fields = json_null();
		}
		json_array_append_new(sections,
			json_pack("{s:o, s:I, s:I, s:I, s:o}", "name", name ? name : json_null(),
				"instance", (json_int_t)section.instance, "version",
				(json_int_t)section.version, "size", (json_int_t)section.size,
				"fields", fields));
	}
	return sections;
}

static json_t *json_vcpus(struct findings *f)
{
	struct vcpu_registers r;
	json_t *vcpus = json_array();

	for (uint32_t i = 0; i < f->snapshot.machine.n_cpus; i++)
		if (look_at_vcpu(f, i, &r))
			json_array_append_new(
				vcpus, json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
					       "runs", r.runs, "rip", json_number(r.rip), "rsp",
					       json_number(r.rsp), "rflags", json_number(r.rflags),
					       "cr0", json_number(r.cr0), "cr3", json_number(r.cr3),
					       "cr4", json_number(r.cr4), "efer",
					       json_number(r.efer), "tsc", json_number(r.tsc)));
	return vcpus;
}

/* A path need not be UTF-8; JSON must. */
static json_t *json_text(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_null();
}

static json_t *json_memory(const struct findings *f)
{
	if (f->has_memory_fault || !f->memory.path)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:b}", "path", json_text(f->memory.path), "size",
		json_number(f->memory.size), "on_disk", json_number(f->memory.on_disk), "whole",
		f->memory.is_whole);
}

static int print_json(struct findings *f)
{
	const struct snapshot_machine *machine = &f->snapshot.machine;
	char id[2 * STATE_ID_SIZE + 1], when[32], version[sizeof(machine->version) + 1];
	json_t *root;
	int ret;

	say_id(f, id);
	say_time(f, when);
	snprintf(version, sizeof(version), "%.*s", (int)machine->n_version, machine->version);
	root = json_pack("{s:o, s:i, s:s, s:o, s:s}", "file", json_text(f->path), "form",
		(int)STATE_FORMAT, "id", id, "version", json_text(version), "saved", when);
	json_object_set_new(root, "machine",
		json_pack("{s:I, s:o, s:I, s:b, s:b}", "cpus", (json_int_t)machine->n_cpus,
			"memory", json_number(machine->memory), "devices",
			(json_int_t)machine->n_devices, "pci", machine->has_pci, "linux",
			machine->is_linux));
	json_object_set_new(root, "memory", json_memory(f));
	json_object_set_new(root, "vcpus", json_vcpus(f));
	json_object_set_new(root, "settings", json_of(f->snapshot.config, f->snapshot.config_size));
	json_object_set_new(root, "note", json_of(f->snapshot.note, f->snapshot.note_size));
	json_object_set_new(root, "sections", json_sections(f));
	json_object_set_new(root, "usable", json_boolean(f->is_usable));
	json_object_set_new(root, "reason", f->is_usable ? json_null() : json_text(f->fault.text));
	ret = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(root);
	return ret;
}

/* ---- */

int inspect_snapshot(const char *path, bool as_json)
{
	struct findings f = { .path = path };
	struct diag diag;
	int ret = snapshot_open_state(&f.snapshot, path, &diag);

	if (ret) {
		log_error("%s", diag.text);
		return EXIT_OPERATOR;
	}
	find_out(&f);
	if (as_json)
		ret = print_json(&f);
	else
		print_text(&f);
	free(f.memory.path);
	snapshot_close(&f.snapshot);
	if (ret || fflush(stdout)) {
		log_error("standard output: cannot write");
		return EXIT_HOST_ERROR;
	}
	return f.is_usable ? 0 : EXIT_OPERATOR;
}
