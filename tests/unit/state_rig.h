/* SPDX-License-Identifier: MIT */
/* state_rig.h - a virtio device saved and loaded through memory, and what a hostile file has in it
 *
 * For unit tests and fuzz targets.
 */
#ifndef TESTS_UNIT_STATE_RIG_H
#define TESTS_UNIT_STATE_RIG_H

#include "state/state.h"
#include "virtio/virtio.h"

#include <string.h>

/* ---- a file ---- */

static inline struct state_writer rig_file(void)
{
	const uint8_t id[STATE_ID_SIZE] = { 0 };
	struct state_writer file;

	state_begin(&file, id);
	return file;
}

/* The checksum of its bytes, as zlib has it, whose names are some devices' as well. */
static inline uint32_t rig_crc(const uint8_t *data, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

/* Have it be right (docs/snapshot.md). */
static inline void rig_seal(uint8_t *data, size_t size)
{
	uint32_t crc = rig_crc(data + 16, size - 16);

	memcpy(data + 12, &crc, sizeof(crc));
}

static inline struct state_reader rig_open_file(const struct state_writer *file)
{
	struct state_reader reader;
	struct diag diag;

	BUG_ON(state_open(&reader, file->data, file->size, &diag));
	return reader;
}

static inline uint8_t *rig_section(
	const struct state_writer *file, const char *name, uint32_t instance)
{
	struct state_reader reader = rig_open_file(file);
	struct state_section section;
	size_t at = 0;

	do
		at = state_next(&reader, at, &section);
	while (at && (section.instance != instance || strcmp(section.name, name) != 0));
	BUG_ON(!at);
	state_close(&reader);
	return (uint8_t *)section.data;
}

/* Have the first element of a field, or 8 bytes of it, be another number. */
static inline void rig_change(struct state_writer *file, const struct state_table *table,
	uint32_t instance, const char *name, uint64_t value)
{
	uint8_t *at = rig_section(file, table->name, instance);
	size_t size = sizeof(value);
	const struct state_field *field = table->fields;

	for (; field->name && strcmp(field->name, name) != 0; field++) {
		uint32_t n = field->n;

		if (field->n_at != STATE_FIXED) {
			memcpy(&n, at, sizeof(n));
			at += sizeof(n);
		}
		at += (size_t)n * field->size;
	}
	BUG_ON(!field->name);
	at += field->n_at == STATE_FIXED ? 0 : sizeof(uint32_t);
	memcpy(at, &value, field->size < size ? field->size : size);
	rig_seal(file->data, file->size);
}

/* ---- a device, in slot 0 ---- */

/* It is quiet then, and can be resumed or closed. */
static inline struct state_writer rig_save(struct virtio_dev *dev)
{
	struct state_writer file = rig_file();
	struct diag diag;

	virtio_quiesce(dev);
	BUG_ON(virtio_save(dev, &file, 0, &diag));
	BUG_ON(state_finish(&file));
	return file;
}

/* Into one that was just made, and has its transport: it is quiet. */
static inline int rig_load(
	const struct state_writer *file, struct virtio_dev *dev, struct diag *diag)
{
	struct state_reader reader = rig_open_file(file);
	int ret = virtio_load(dev, &reader, 0, diag);

	if (!ret)
		ret = state_check_all_loaded(&reader, diag);
	state_close(&reader);
	return ret;
}

#endif
