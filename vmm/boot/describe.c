// SPDX-License-Identifier: MIT
/* describe.c - print what was handed over, for people and for acpixtract */

#include "boot/boot.h"
#include "boot/load.h"
#include "boot/place.h"
#include "util/text.h"

#include <elf.h>
#include <inttypes.h>
#include <pvh/start_info.h>
#include <string.h>

#define LINE 16u

/* What lies at gpa is ours and in RAM, or boot_load() has a bug. */
static const void *peek(const struct guest_mem *mem, gpa_t gpa, uint64_t size)
{
	const void *hva = guest_mem_at(mem, gpa, size);

	BUG_ON(!hva);
	return hva;
}

static char printable(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x7f ? (char)byte : '.';
}

/* Exact, in the largest unit that allows it. */
static void print_size(FILE *out, uint64_t size)
{
	if (size && size % MIB(1) == 0)
		fprintf(out, "%" PRIu64 "M", size / MIB(1));
	else if (size && size % KIB(1) == 0)
		fprintf(out, "%" PRIu64 "K", size / KIB(1));
	else
		fprintf(out, "%" PRIu64 " bytes", size);
}

static void print_range(FILE *out, gpa_t gpa, uint64_t size)
{
	fprintf(out, "  0x%010" PRIx64 "-0x%010" PRIx64 "  ", gpa, gpa + size - 1);
}

static void describe_file(FILE *out, const struct image *image)
{
	fputs("kernel: ", out);
	if (image->elf.n_segments)
		fprintf(out, "%s, ", image->elf.is_64 ? "ELF64" : "ELF32");
	fputs(image_container_name(image->kind.container), out);
	if (image->kind.compression != IMAGE_NONE)
		fprintf(out, ", %s", image_compression_name(image->kind.compression));
	fprintf(out, "%s\n", image->from_cache ? ", from the cache" : "");
	if (image->kind.version[0]) {
		fputs("version: ", out);
		text_print(out, image->kind.version);
		fputc('\n', out);
	}
}

static uint64_t mapped_size(
	const struct image *image, const struct elf_segment *segment, enum load_map map, gpa_t gpa)
{
	struct load_piece piece;
	uint64_t size = 0;

	for (uint64_t done = 0; done < segment->file_size; done += piece.size) {
		piece = load_next(image, segment, map, gpa, done);
		size += piece.mapped ? piece.size : 0;
	}
	return size;
}

static void describe_image(FILE *out, const struct boot_spec *spec, const struct handover *handover)
{
	const struct image *image = spec->image;
	const struct elf_image *elf = &image->elf;

	fprintf(out, "entry: %#" PRIx32, handover->entry);
	if (handover->load_offset)
		fprintf(out, " (moved from %#" PRIx32 ")", elf->pvh_entry);
	fprintf(out, "\nload ranges:\n");
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *segment = &elf->segment[i];
		gpa_t gpa = place_segment_gpa(segment, handover->load_offset);
		uint64_t mapped = mapped_size(image, segment, spec->map, gpa);

		print_range(out, gpa, segment->mem_size);
		fprintf(out,
			"%c%c%c  file offset %#" PRIx64 ", mapped %" PRIu64 ", read %" PRIu64
			", zero %" PRIu64 "\n",
			segment->flags & PF_R ? 'r' : '-', segment->flags & PF_W ? 'w' : '-',
			segment->flags & PF_X ? 'x' : '-', segment->offset, mapped,
			segment->file_size - mapped, segment->mem_size - segment->file_size);
	}
}

static void describe_memmap(
	FILE *out, const struct guest_mem *mem, const struct hvm_start_info *info)
{
	const struct hvm_memmap_table_entry *entry = peek(
		mem, info->memmap_paddr, info->memmap_entries * sizeof(*entry));

	fprintf(out, "memory map: %" PRIu32 " entries\n", info->memmap_entries);
	for (uint32_t i = 0; i < info->memmap_entries; i++) {
		print_range(out, entry[i].addr, entry[i].size);
		fprintf(out, "%s, ", memmap_type_name(entry[i].type));
		print_size(out, entry[i].size);
		fputc('\n', out);
	}
}

static void describe_start_info(FILE *out, gpa_t gpa, const struct hvm_start_info *info)
{
	fprintf(out, "start info: %#" PRIx64 "\n", gpa);
	fprintf(out, "  magic           %#" PRIx32 "\n", info->magic);
	fprintf(out, "  version         %" PRIu32 "\n", info->version);
	fprintf(out, "  flags           %#" PRIx32 "\n", info->flags);
	fprintf(out, "  nr_modules      %" PRIu32 "\n", info->nr_modules);
	fprintf(out, "  modlist_paddr   %#" PRIx64 "\n", info->modlist_paddr);
	fprintf(out, "  cmdline_paddr   %#" PRIx64 "\n", info->cmdline_paddr);
	fprintf(out, "  rsdp_paddr      %#" PRIx64 "\n", info->rsdp_paddr);
	fprintf(out, "  memmap_paddr    %#" PRIx64 "\n", info->memmap_paddr);
	fprintf(out, "  memmap_entries  %" PRIu32 "\n", info->memmap_entries);
}

static void describe_modules(
	FILE *out, const struct guest_mem *mem, const struct hvm_start_info *info, bool shim)
{
	const struct hvm_modlist_entry *module = peek(
		mem, info->modlist_paddr, info->nr_modules * sizeof(*module));

	fprintf(out, "modules: %" PRIu32 "\n", info->nr_modules);
	for (uint32_t i = 0; i < info->nr_modules; i++) {
		print_range(out, module[i].paddr, module[i].size);
		fprintf(out, "%s, %" PRIu64 " bytes\n", shim && !i ? "kernel" : "initrd",
			module[i].size);
	}
}

/* On a line of its own, indented: nothing in it can pass for another line of this output. */
static void describe_cmdline(
	FILE *out, const struct guest_mem *mem, const struct hvm_start_info *info)
{
	const char *text = peek(mem, info->cmdline_paddr, 1);
	bool printable;

	fprintf(out, "command line: %zu bytes\n  ", strlen(text));
	for (size_t size; (size = text_first(text, &printable)); text += size)
		for (size_t i = 0; i < size; i++)
			fprintf(out, printable ? "%c" : "\\x%02x", (uint8_t)text[i]);
	fputc('\n', out);
}

/* The format of acpidump. */
static void dump_table(
	FILE *out, const struct guest_mem *mem, const char *signature, gpa_t gpa, uint32_t size)
{
	const uint8_t *data = peek(mem, gpa, size);

	fprintf(out, "\n%s @ 0x%016" PRIX64 "\n", signature, gpa);
	for (uint32_t at = 0; at < size; at += LINE) {
		uint32_t n = size - at < LINE ? size - at : LINE;

		fprintf(out, "    %04X: ", at);
		for (uint32_t i = 0; i < LINE; i++)
			if (i < n)
				fprintf(out, "%02X ", data[at + i]);
			else
				fputs("   ", out);
		fputc(' ', out);
		for (uint32_t i = 0; i < n; i++)
			fputc(printable(data[at + i]), out);
		fputc('\n', out);
	}
}

void boot_describe(FILE *out, const struct guest_mem *mem, const struct boot_spec *spec,
	const struct handover *handover)
{
	const struct hvm_start_info *info = peek(mem, handover->start_info, sizeof(*info));
	const struct acpi_tables *acpi = &handover->acpi;

	describe_file(out, spec->kernel ? spec->kernel : spec->image);
	if (spec->kernel)
		fprintf(out, "through: pvh-shim\n");
	describe_image(out, spec, handover);
	describe_start_info(out, handover->start_info, info);
	describe_memmap(out, mem, info);
	describe_modules(out, mem, info, spec->kernel);
	describe_cmdline(out, mem, info);
	fprintf(out, "ACPI tables:\n");
	dump_table(out, mem, "RSDP", acpi->rsdp, acpi->rsdp_size);
	for (uint32_t i = 0; i < acpi->n_tables; i++)
		dump_table(out, mem, acpi->table[i].signature, acpi->table[i].gpa,
			acpi->table[i].size);
	fputc('\n', out);
}
