/* SPDX-License-Identifier: MIT */
/* state.h - the form in which a machine's state is kept: a file of sections
 *
 * A section is what one part of the machine has to say: its name, which of its kind it is, the
 * version of what follows, and the fields.  Fields are listed in a table for each struct, which
 * saving, loading and describing walk alike, so that what is kept is never a struct as the compiler
 * lays it out.  docs/snapshot.md has the file byte by byte.
 *
 * A field that is new has the version since when it is there; a section that is older leaves it as
 * the loader has set it.  What is loaded is not trusted: a number is as wide as its field, a list
 * no longer than its room, a flag 0 or 1; whether it makes sense is for the part itself to say.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "util/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define STATE_MAGIC   "PRONTOST"  /* with which a file begins, without its NUL */
#define STATE_FORMAT  1u          /* of the file as such */
#define STATE_NAME    16          /* of a section, with its NUL */
#define STATE_ID_SIZE 16          /* bytes that name one snapshot */
#define STATE_MAX     (64u << 20) /* bytes of a file */

enum state_kind {
	STATE_NUMBER, /* unsigned or signed, 1, 2, 4 or 8 bytes each */
	STATE_FLAG,   /* bool */
	STATE_BYTES,  /* of no form that is known here, `size` each */
};

struct state_field {
	const char *name; /* NULL ends a table */
	enum state_kind kind;
	uint32_t since; /* the version of the section that first has it */
	uint32_t size;  /* of an element, bytes */
	uint32_t n;     /* elements; at most, if n_at says where they are counted */
	size_t at;      /* of the first in its struct */
	size_t n_at;    /* of the uint32_t that counts them, or STATE_FIXED */
};

#define STATE_FIXED SIZE_MAX

#define STATE_SIZEOF(type, member)      sizeof(((type *)0)->member)
#define STATE_SIZEOF_ITEM(type, member) sizeof(*((type *)0)->member)

/* A number, or an array of n numbers. */
#define STATE_FIELD(type, member, version)                                       \
	{                                                                        \
#member, STATE_NUMBER, (version), STATE_SIZEOF(type, member), 1, \
			offsetof(type, member), STATE_FIXED                      \
	}
#define STATE_ARRAY(type, member, version)                                            \
	{                                                                             \
#member, STATE_NUMBER, (version), STATE_SIZEOF_ITEM(type, member),    \
			STATE_SIZEOF(type, member) / STATE_SIZEOF_ITEM(type, member), \
			offsetof(type, member), STATE_FIXED                           \
	}
#define STATE_BOOL(type, member, version)                                                 \
	{                                                                                 \
#member, STATE_FLAG, (version), 1, 1, offsetof(type, member), STATE_FIXED \
	}
/* What others have given a form: a struct of the kernel's interface. */
#define STATE_BLOB(type, member, version)                                       \
	{                                                                       \
#member, STATE_BYTES, (version), STATE_SIZEOF(type, member), 1, \
			offsetof(type, member), STATE_FIXED                     \
	}
/* As many elements as the uint32_t `count` says. */
#define STATE_LIST(type, member, count, version)                                      \
	{                                                                             \
#member, STATE_BYTES, (version), STATE_SIZEOF_ITEM(type, member),     \
			STATE_SIZEOF(type, member) / STATE_SIZEOF_ITEM(type, member), \
			offsetof(type, member), offsetof(type, count)                 \
	}
#define STATE_END                                 \
	{                                         \
		NULL, STATE_NUMBER, 0, 0, 0, 0, 0 \
	}

/* One kind of section. */
struct state_table {
	const char *name; /* shorter than STATE_NAME */
	uint32_t version; /* that is saved, from 1 */
	const struct state_field *fields;
};

/* ---- saving ---- */

/* A file that grows in memory.  A failure stays, and is told at the end. */
struct state_writer {
	uint8_t *data; /* owned */
	size_t size, room;
	int error;
};

/* An empty file of this id. */
void state_begin(struct state_writer *writer, const uint8_t id[STATE_ID_SIZE]);

/* Add the section of this struct. */
void state_save(struct state_writer *writer, const struct state_table *table, uint32_t instance,
	const void *from);

/* Add one whose content is bytes. */
void state_save_bytes(struct state_writer *writer, const char *name, uint32_t instance,
	const void *data, size_t size);

/* It is complete: writer->data is the file.  -ENOMEM or -EFBIG. */
int state_finish(struct state_writer *writer);
void state_free(struct state_writer *writer);

/* ---- loading ---- */

struct state_reader {
	const uint8_t *data; /* not owned */
	size_t size;
	uint8_t id[STATE_ID_SIZE];
	uint32_t n_sections;
	bool *used; /* for each, whether it was loaded; owned */
};

/* Look at a file's bytes, which stay where they are as long as the reader is used: that it is one,
 * and whole.  -EBADMSG: it is none, or damaged; -ENOTSUP: of another form; -ENOMEM; and diag.  Then
 * there is nothing to close.
 */
int state_open(struct state_reader *reader, const void *data, size_t size, struct diag *diag);
void state_close(struct state_reader *reader);

/* Set the fields of this struct by its section; those that are newer than it stay as they are.
 * -ENOENT: there is none; -EBADMSG: it is not as it should be; -ENOTSUP: it is newer; and diag.
 */
int state_load(struct state_reader *reader, const struct state_table *table, uint32_t instance,
	void *to, struct diag *diag);

/* The bytes of such a section, within the file; NULL and diag. */
const void *state_load_bytes(struct state_reader *reader, const char *name, uint32_t instance,
	size_t *size, struct diag *diag);

bool state_has(const struct state_reader *reader, const char *name, uint32_t instance);

/* Whether all that the file has was asked for: what nobody here knows may be what the guest goes
 * by.  0, or -ENOTSUP and diag, which names the first.
 */
int state_check_all_loaded(const struct state_reader *reader, struct diag *diag);

/* ---- describing ---- */

struct state_section {
	char name[STATE_NAME];
	uint32_t instance, version;
	uint32_t size; /* bytes */
	const uint8_t *data;
};

/* The first section for `at` 0, and the next for what this returned; 0 past the last. */
size_t state_next(const struct state_reader *reader, size_t at, struct state_section *section);

/* A field as it is in a section. */
struct state_value {
	const struct state_field *field;
	uint32_t n;          /* elements */
	const uint8_t *data; /* within the file */
};

/* Element `i` of one that has numbers or flags. */
uint64_t state_number(const struct state_value *value, uint32_t i);

/* Show each of a section's fields, in their order.  False: it is not as the table has it. */
bool state_walk(const struct state_table *table, const struct state_section *section,
	void (*show)(void *ctx, const struct state_value *value), void *ctx);

/* Print a section's fields, a line each that begins with `indent`; bytes as their number.  False as
 * above.
 */
bool state_print(FILE *out, const char *indent, const struct state_table *table,
	const struct state_section *section);

#endif
