// SPDX-License-Identifier: MIT
/* cmd_inspect.c - pronto inspect: what a kernel file is, and whether it boots here */

#include "boot/layout.h"
#include "boot/memmap.h"
#include "boot/place.h"
#include "cmd.h"
#include "config/config.h"
#include "exit_codes.h"
#include "image/image.h"
#include "util/bits.h"
#include "util/diag.h"
#include "util/log.h"
#include "util/text.h"
#include "vm/snapshot.h"

#include <elf.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory to try: small guests' first, then what some kernels need for where they are linked to. */
static const uint64_t sizes[] = { MIB(32), MIB(64), MIB(128), MIB(256), MIB(512), GIB(1), GIB(2),
	GIB(3), GIB(8), CONFIG_MAX_MEMORY };

static const char *const note_names[] = {
	"INFO",
	"ENTRY",
	"HYPERCALL_PAGE",
	"VIRT_BASE",
	"PADDR_OFFSET",
	"XEN_VERSION",
	"GUEST_OS",
	"GUEST_VERSION",
	"LOADER",
	"PAE_MODE",
	"FEATURES",
	"BSD_SYMTAB",
	"HV_START_LOW",
	"L1_MFN_VALID",
	"SUSPEND_CANCEL",
	"INIT_P2M",
	"MOD_START_PFN",
	"SUPPORTED_FEATURES",
	"PHYS32_ENTRY",
	"PHYS32_RELOC",
};

/* All there is to tell. */
struct findings {
	const char *path;
	struct image image;
	bool is_parsed; /* image.elf is filled in */
	char version[128];
	bool boots;
	bool through_shim;
	uint64_t min_memory; /* the least of `sizes` in which the kernel finds its place; 0: none */
	struct diag why_not;
};

static void print_help(FILE *out)
{
	fputs("usage: pronto inspect [--json] FILE\n\n"
	      "Say what a kernel file is: container and compression, ELF class, PVH entry, Xen notes,\n"
	      "load ranges, Linux version; and whether it boots here and if not why.  Of a snapshot (a\n"
	      "directory, or the file of a machine's state) say what is in it, section by section.\n\n"
	      "Options:\n"
	      "      --json  print one JSON object\n"
	      "  -h, --help  print this help and end\n\n"
	      "Exit status: 0 the kernel boots here, or the snapshot is whole, 2 it does not, or is not,\n"
	      "or FILE cannot be read.\n",
		out);
}

/* ---- find out ---- */

/* Nobody's memory is needed to see whether a kernel fits: only where it would be. */
static bool fits(const struct elf_image *elf, uint64_t size, struct diag *diag)
{
	struct memmap map;
	int64_t offset;

	memmap_build(&map, size, LAYOUT_FEW_TABLES);
	return !place_kernel(&map, elf, &offset, diag);
}

/* The same for a kernel that pvh-shim takes: it unpacks itself beside its file. */
static bool fits_whole(const struct image *image, uint64_t file_size, uint64_t size)
{
	uint64_t low = size < GUEST_MEM_LOW_MAX ? size : GUEST_MEM_LOW_MAX;

	return image->kind.room_start >= MIB(1) && image->kind.room_end < low &&
	       low - image->kind.room_end >= ALIGN_UP(file_size, KIB(4));
}

static void find_way_through_shim(struct findings *f)
{
	struct image whole;

	if (image_open_whole(&whole, f->path, false, &f->why_not))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(sizes) && !f->min_memory; i++)
		if (fits_whole(&whole, whole.size, sizes[i]))
			f->min_memory = sizes[i];
	image_close(&whole);
	if (!f->min_memory)
		diag_fail(&f->why_not, ENOSPC, "it has no place in RAM whatever the memory size");
	f->through_shim = f->min_memory;
}

static void find_out(struct findings *f)
{
	f->is_parsed = !image_open(&f->image, f->path, false, &f->why_not);
	if (f->is_parsed)
		image_find_version(&f->image, f->version, sizeof(f->version));
	else
		snprintf(f->version, sizeof(f->version), "%s", f->image.kind.version);
	if (f->image.needs_shim)
		find_way_through_shim(f);
	else if (f->is_parsed && !image_require_pvh_entry(&f->image, &f->why_not))
		for (size_t i = 0; i < ARRAY_SIZE(sizes) && !f->min_memory; i++)
			if (fits(&f->image.elf, sizes[i], &f->why_not))
				f->min_memory = sizes[i];
	f->boots = f->min_memory;
}

/* ---- tell ---- */

static const char *note_name(const struct elf_xen_note *note)
{
	return note->type < ARRAY_SIZE(note_names) ? note_names[note->type] : "unknown";
}

/* Numbers of a register's size as such, text as such, else bytes. */
static void describe_desc(const struct elf_xen_note *note, char *text, size_t size)
{
	size_t n = note->desc_size < sizeof(note->desc) ? note->desc_size : sizeof(note->desc);
	size_t n_text = strnlen((const char *)note->desc, n);
	bool is_text = n_text && n_text + 1 == n;
	uint64_t number = 0;
	size_t at = 0;

	for (size_t i = 0; i < n_text; i++)
		is_text = is_text && note->desc[i] >= 0x20 && note->desc[i] < 0x7f;
	text[0] = '\0';
	if (is_text) {
		snprintf(text, size, "\"%.*s\"", (int)n_text, (const char *)note->desc);
	} else if (n == 4 || n == 8) {
		memcpy(&number, note->desc, n);
		snprintf(text, size, "%#" PRIx64, number);
	} else {
		for (size_t i = 0; i < n && at + 4 < size; i++)
			at += (size_t)snprintf(
				text + at, size - at, "%s%02x", i ? " " : "", note->desc[i]);
	}
}

static void print_elf(const struct elf_image *elf)
{
	char text[3 * sizeof(elf->note[0].desc) + 4];

	printf("format:      ELF%s, entry %#" PRIx64 "\n", elf->is_64 ? "64" : "32",
		elf->elf_entry);
	if (elf->has_pvh_entry)
		printf("PVH entry:   %#" PRIx32 "%s%s%s\n", elf->pvh_entry,
			elf->entry_owner[0] ? ", by a note of " : "", elf->entry_owner,
			elf->entry_owner[0] ? ", not of Xen: Xen refuses it" : "");
	else
		printf("PVH entry:   none\n");
	if (elf->has_reloc)
		printf("relocatable: by %#" PRIx64 ", from %#" PRIx64 " to %#" PRIx64 "\n",
			elf->reloc.align, elf->reloc.min, elf->reloc.max);
	else
		printf("relocatable: no\n");
	printf("load ranges:\n");
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		printf("  %#012" PRIx64 "-%#012" PRIx64 " %c%c%c  %" PRIu64
		       " bytes from offset %#" PRIx64 ", zero %" PRIu64 "\n",
			segment->gpa, segment->gpa + (segment->mem_size - 1),
			segment->flags & PF_R ? 'r' : '-', segment->flags & PF_W ? 'w' : '-',
			segment->flags & PF_X ? 'x' : '-', segment->file_size, segment->offset,
			segment->mem_size - segment->file_size);
	}
	printf("Xen notes:%s\n", elf->n_notes ? "" : "   none");
	for (size_t i = 0; i < elf->n_notes; i++) {
		describe_desc(&elf->note[i], text, sizeof(text));
		printf("  %2" PRIu32 " %-18s %s\n", elf->note[i].type, note_name(&elf->note[i]),
			text);
	}
}

static void print_name(const char *what, const char *name)
{
	fputs(what, stdout);
	text_print(stdout, name);
	putchar('\n');
}

static void print_text(const struct findings *f)
{
	print_name("file:        ", f->path);
	printf("container:   %s, %s\n", image_container_name(f->image.kind.container),
		image_compression_name(f->image.kind.compression));
	if (f->version[0])
		print_name("Linux:       ", f->version);
	if (f->is_parsed)
		print_elf(&f->image.elf);
	if (f->boots)
		printf("boots here:  yes, %swith %" PRIu64
		       "M of memory or more for the kernel itself\n",
			f->through_shim ? "through pvh-shim, " : "", f->min_memory >> 20);
	else
		printf("boots here:  no: %s\n", f->why_not.text);
}

static json_t *json_segments(const struct elf_image *elf)
{
	json_t *array = json_array();

	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		json_array_append_new(array,
			json_pack("{s:I, s:I, s:I, s:I, s:b, s:b, s:b}", "address",
				(json_int_t)segment->gpa, "memory_size",
				(json_int_t)segment->mem_size, "file_offset",
				(json_int_t)segment->offset, "file_size",
				(json_int_t)segment->file_size, "read", segment->flags & PF_R,
				"write", segment->flags & PF_W, "execute", segment->flags & PF_X));
	}
	return array;
}

static json_t *json_notes(const struct elf_image *elf)
{
	json_t *array = json_array();
	char text[3 * sizeof(elf->note[0].desc) + 4];

	for (size_t i = 0; i < elf->n_notes; i++) {
		describe_desc(&elf->note[i], text, sizeof(text));
		json_array_append_new(array,
			json_pack("{s:I, s:s, s:I, s:s}", "type", (json_int_t)elf->note[i].type,
				"name", note_name(&elf->note[i]), "size",
				(json_int_t)elf->note[i].desc_size, "value", text));
	}
	return array;
}

static void json_elf(json_t *root, const struct elf_image *elf)
{
	json_object_set_new(root, "elf_class", json_integer(elf->is_64 ? 64 : 32));
	json_object_set_new(root, "elf_entry", json_integer((json_int_t)elf->elf_entry));
	json_object_set_new(
		root, "pvh_entry", elf->has_pvh_entry ? json_integer(elf->pvh_entry) : json_null());
	json_object_set_new(root, "pvh_entry_owner",
		elf->has_pvh_entry ? json_string(elf->entry_owner[0] ? elf->entry_owner : "Xen")
				   : json_null());
	json_object_set_new(root, "phys32_reloc",
		elf->has_reloc
			? json_pack("{s:I, s:I, s:I}", "align", (json_int_t)elf->reloc.align, "min",
				  (json_int_t)elf->reloc.min, "max", (json_int_t)elf->reloc.max)
			: json_null());
	json_object_set_new(root, "segments", json_segments(elf));
	json_object_set_new(root, "xen_notes", json_notes(elf));
}

/* A file name need not be UTF-8; JSON must. */
static void set_text(json_t *root, const char *key, const char *text)
{
	json_t *value = text[0] ? json_string(text) : json_null();
	char *ascii = value ? NULL : strdup(text);

	for (char *c = ascii; c && *c; c++)
		if ((unsigned char)*c > 0x7e)
			*c = '?';
	json_object_set_new(root, key, value ? value : json_string(ascii ? ascii : ""));
	free(ascii);
}

static int print_json(const struct findings *f)
{
	json_t *root = json_object();
	int ret;

	set_text(root, "file", f->path);
	set_text(root, "container",
		f->image.kind.container ? image_container_name(f->image.kind.container) : "");
	set_text(root, "compression",
		f->image.kind.container ? image_compression_name(f->image.kind.compression) : "");
	set_text(root, "linux_version", f->version);
	if (f->is_parsed)
		json_elf(root, &f->image.elf);
	json_object_set_new(root, "boots", json_boolean(f->boots));
	json_object_set_new(root, "through_shim", json_boolean(f->through_shim));
	json_object_set_new(
		root, "memory", f->boots ? json_integer((json_int_t)f->min_memory) : json_null());
	set_text(root, "reason", f->boots ? "" : f->why_not.text);
	/* Escaped, what a terminal would act on is text again. */
	ret = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	if (!ret)
		putchar('\n');
	json_decref(root);
	return ret;
}

int cmd_inspect(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct findings f = { 0 };
	bool json = false;
	int c, ret = 0;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			print_help(stdout);
			return 0;
		}
		if (c != 'j') {
			log_error("inspect: %s: unknown option; see pronto inspect --help",
				argv[optind - 1]);
			return EXIT_OPERATOR;
		}
		json = true;
	}
	if (argc - optind != 1) {
		log_error("inspect: give one kernel file, or snapshot; see pronto inspect --help");
		return EXIT_OPERATOR;
	}
	f.path = argv[optind];
	if (snapshot_is_meant(f.path))
		return inspect_snapshot(f.path, json);
	find_out(&f);
	if (json)
		ret = print_json(&f);
	else if (f.image.kind.container != IMAGE_UNKNOWN)
		print_text(&f);
	else
		log_error("%s: %s", f.path, f.why_not.text);
	if (f.is_parsed)
		image_close(&f.image);
	if (ret) {
		log_error("%s: the findings cannot be written as JSON", f.path);
		return EXIT_HOST_ERROR;
	}
	return f.boots ? 0 : EXIT_OPERATOR;
}
