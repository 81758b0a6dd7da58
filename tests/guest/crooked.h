/* SPDX-License-Identifier: MIT */
/* crooked.h - the two halves of crooked */
#ifndef CROOKED_H
#define CROOKED_H

#include <pvh/start_info.h>

struct lie {
	const char *name;
	void (*tell)(void);
};

#define LIE(name)                 \
	{                         \
#name, lie_##name \
	}

/* What pvh-check is told. */
extern struct hvm_start_info info;

extern const struct lie acpi_lies[]; /* the last has no name */

#endif
