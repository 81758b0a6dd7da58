/* SPDX-License-Identifier: MIT */
/* objects.h - what a client configures: Firecracker's objects, and what they are in Pronto's words
 *
 * Each kind has a shape (shape.h).  A machine's objects are kept as clients gave them, with their
 * defaults, which is what GET /vm/config shows; when the machine is to start they become settings
 * (config/config.h), by a translation that is all in objects.c.
 */
#ifndef API_OBJECTS_H
#define API_OBJECTS_H

#include "api/shape.h"
#include "config/config.h"

enum object_kind {
	OBJECT_BOOT_SOURCE,
	OBJECT_MACHINE,
	OBJECT_CPU,
	OBJECT_DRIVE,
	OBJECT_NET,
	OBJECT_VSOCK,
	OBJECT_BALLOON,
	OBJECT_ENTROPY,
	OBJECT_SERIAL,
	OBJECT_SHARE, /* Pronto's own */
	OBJECT_LOGGER,
	OBJECT_METRICS,
	OBJECT_MMDS,
	N_OBJECT_KINDS,
};

/* What is known of a kind. */
struct object_class {
	const char *key;  /* in GET /vm/config and a --config-file; NULL: in neither */
	const char *id;   /* of a list's items, the field with their name; NULL: there is one */
	const char *what; /* "Boot source error": begins what is said of one that is refused */
	const struct shape *shape;
	/* What its fields must be beside their types; NULL: nothing.  -EINVAL and diag. */
	int (*check)(const json_t *object, struct diag *diag);
	bool is_of_machine; /* a snapshot has its own: none may be set before one is loaded */
};

extern const struct object_class object_class[N_OBJECT_KINDS];

extern const struct shape limiter_shape;

struct objects {
	json_t *of[N_OBJECT_KINDS]; /* NULL, an object, or an array of them; owned */
	/* Settings in Pronto's own JSON, which the objects add to and override; NULL: there are
	 * none.  Owned.
	 */
	char *native;
	size_t native_size;
	bool has_begun; /* something of the machine was set */
};

void objects_init(struct objects *objects);
void objects_fini(struct objects *objects);

/* Set the only one of its kind, or the one of this id; `in` is as the client sent it.  -EINVAL and
 * diag.
 */
int objects_put(
	struct objects *objects, enum object_kind kind, const json_t *in, struct diag *diag);
/* Change fields of one that is there. */
int objects_patch(
	struct objects *objects, enum object_kind kind, const json_t *in, struct diag *diag);

/* Read what is to change of one that is there, by itself: a new reference with the fields that are
 * named, and NULL and diag as above.
 */
json_t *objects_read_change(enum object_kind kind, const json_t *in, struct diag *diag);
/* What was read so has come true of `object`.  A rate limiter keeps the bucket that was not named.
 */
void objects_note_change(json_t *object, const json_t *change);

/* The item of a list, borrowed; NULL, and -1 in `index`: there is none. */
json_t *objects_find(
	const struct objects *objects, enum object_kind kind, const char *id, int *index);

/* All, as GET /vm/config has them; a new reference. */
json_t *objects_show(const struct objects *objects);

/* Take all from one JSON text, as a --config-file has them. */
int objects_put_all(struct objects *objects, const json_t *in, struct diag *diag);

/* Take the machine's from one JSON text, as objects_show() has them, for a machine that was made of
 * them: `objects` are as objects_init() left them.  What was only of its start need not be on this
 * host any more.
 */
int objects_put_saved(struct objects *objects, const json_t *in, struct diag *diag);

/* Have the machine's of `from`, which are none then, in place of those of `to`. */
void objects_take_machine(struct objects *to, struct objects *from);
/* None of the machine's is set. */
void objects_forget_machine(struct objects *objects);

/* The settings that they are; `config` is as config_init() left it.  -errno and diag. */
int objects_to_config(const struct objects *objects, struct config *config, struct diag *diag);

/* Of settings that come from elsewhere: what a client has said of the serial console goes before.
 * -errno and diag.
 */
int objects_serial_to_config(
	const struct objects *objects, struct config *config, struct diag *diag);
/* Disks may be empty, as some clients begin with empty files, for disks that come later. */
void objects_expect_exchange(struct config *config);

/* Add "KEY=VALUE" to the pieces of a device's options, with a comma of the value written twice; of
 * NULL nothing.  What has no room is cut.
 */
void objects_add_piece(char *text, size_t size, const char *key, const char *value);

/* A rate limiter's settings, as KEY=VALUE pieces for an item's text: "rate=...,ops=..."; those that
 * it does not name are left out.  `prefix` stands before each key.
 */
void objects_rate_text(const json_t *limiter, const char *prefix, char *text, size_t size);

#endif
