/* SPDX-License-Identifier: MIT */
/* aml.h - write ACPI machine language (ACPI 6.4, chapter 20) and resource templates (6.4)
 *
 * Terms are appended in order.  What has a length in front (packages, scopes, methods, buffers) is
 * opened, filled and closed; closing puts the length in.  The encodings are the shortest ones, the
 * same that iasl chooses.  Running out of room is remembered, and told by aml_ok() at the end.
 */
#ifndef BOOT_AML_H
#define BOOT_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data; /* the caller's */
	size_t capacity;
	size_t size;
	bool overflow;
};

/* Where an open term's contents start. */
typedef size_t aml_mark;

void aml_init(struct aml *aml, void *data, size_t capacity);
bool aml_ok(const struct aml *aml);

/* Data objects. */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa_id(struct aml *aml, const char *id); /* "PNP0501" */

/* A reference to `path`: segments of up to four of A-Z, 0-9, _, separated by dots, from the root if
 * it begins with a backslash.  Short segments are padded with _.
 */
void aml_path(struct aml *aml, const char *path);

/* Name (path, ...): the object follows. */
void aml_name(struct aml *aml, const char *path);

/* Terms with a body.  Close each with aml_close(), the innermost first. */
aml_mark aml_open_scope(struct aml *aml, const char *path);
aml_mark aml_open_device(struct aml *aml, const char *path);
aml_mark aml_open_method(struct aml *aml, const char *path, uint8_t n_args);
aml_mark aml_open_package(struct aml *aml, uint8_t n_elements);
aml_mark aml_open_if(struct aml *aml); /* the condition comes first */
void aml_close(struct aml *aml, aml_mark mark);

/* A byte of I/O ports as a field: OperationRegion (region, SystemIO, port, 1), Field (region,
 * ByteAcc, NoLock, Preserve) { field, 8 }.  The names have four letters.
 */
void aml_io_byte_field(struct aml *aml, const char *region, const char *field, uint16_t port);

void aml_store_local(struct aml *aml, const char *path, uint8_t index); /* Store (path, LocalN) */
/* And (LocalN, mask), a condition */
void aml_and_local(struct aml *aml, uint8_t index, uint64_t mask);
void aml_notify(struct aml *aml, const char *path, uint8_t value);
void aml_return_arg(struct aml *aml, uint8_t index); /* Return (ArgN) */

/* ResourceTemplate () { ... } */
aml_mark aml_open_resources(struct aml *aml);
void aml_close_resources(struct aml *aml, aml_mark mark);
void aml_resource_io(struct aml *aml, uint16_t port, uint8_t size);
void aml_resource_memory32(struct aml *aml, uint32_t base, uint32_t size); /* fixed, read-write */
/* What a bridge hands down: bus numbers, and addresses (not cached, read-write). */
void aml_resource_buses(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_window32(struct aml *aml, uint32_t base, uint32_t size);
void aml_resource_interrupt(struct aml *aml, uint32_t gsi); /* edge, active high, exclusive */

#endif
