/* SPDX-License-Identifier: MIT */
/* dsdt.h - the devices of the machine, in AML */
#ifndef BOOT_DSDT_H
#define BOOT_DSDT_H

#include "boot/acpi.h"
#include "boot/aml.h"

/* Append the DSDT's contents (without the table's header).  `vmgenid`: where the generation ID
 * lies.
 */
void dsdt_build(struct aml *aml, const struct acpi_config *config, gpa_t vmgenid);

#endif
