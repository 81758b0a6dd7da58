// SPDX-License-Identifier: MIT
/* hint.c - what may have been meant by a name that is no setting of ours */

#include "config/table.h"

#include <stdio.h>
#include <string.h>

/* Where people come from: options of QEMU, Cloud Hypervisor and Firecracker, keys of the latter's
 * file.  What we have by another name, or what to know instead.
 */
static const struct {
	const char *theirs;
	const char *ours;
	const char *advice;
} foreign[] = {
	{ "append", "cmdline", NULL },
	{ "boot_args", "cmdline", NULL },
	{ "kernel_image_path", "kernel", NULL },
	{ "initrd_path", "initrd", NULL },
	{ "initramfs", "initrd", NULL },
	{ "mem_size_mib", "memory", NULL },
	{ "smp", "cpus", NULL },
	{ "vcpus", "cpus", NULL },
	{ "vcpu_count", "cpus", NULL },
	{ "serial", "console", NULL },
	{ "debugcon", "debug-console", NULL },
	{ "config-file", "config", NULL },
	{ "kernel", "kernel", "the kernel is given without an option" },
	{ "nographic", NULL, "leave it out: there is only the serial console" },
	{ "display", NULL, "leave it out: there is only the serial console" },
	{ "no-reboot", NULL,
		"leave it out: a reset ends the VM unless --on-reboot says otherwise" },
	{ "enable-kvm", NULL, "leave it out: there is nothing but KVM" },
	{ "accel", NULL, "leave it out: there is nothing but KVM" },
	{ "machine", NULL, "leave it out: there is but one machine" },
	{ "bios", NULL, "a kernel is entered directly, there is no firmware" },
	{ "firmware", NULL, "a kernel is entered directly, there is no firmware" },
	{ "drive", "disk", NULL },
	{ "drives", "disk", NULL },
	{ "hda", "disk", NULL },
	{ "cdrom", "disk", NULL },
	{ "blockdev", "disk", NULL },
	{ "device", NULL, "there are no devices to add yet" },
	{ "net", NULL, "there is no network yet" },
	{ "netdev", NULL, "there is no network yet" },
	{ "nic", NULL, "there is no network yet" },
	{ "network-interfaces", NULL, "there is no network yet" },
	{ "boot-source", NULL, "give kernel, initrd and cmdline as keys of the one object" },
	{ "machine-config", NULL, "give cpus and memory as keys of the one object" },
};

static size_t find_foreign(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(foreign) && strcmp(name, foreign[i].theirs))
		i++;
	return i;
}

bool config_is_known(const char *name, enum source from)
{
	return schema_find(&config_schema, name, from) || find_foreign(name) < ARRAY_SIZE(foreign);
}

const char *config_hint(
	char hint[CONFIG_HINT], const struct schema *schema, const char *name, enum source from)
{
	size_t i = schema == &config_schema ? find_foreign(name) : ARRAY_SIZE(foreign);
	const char *meant = i < ARRAY_SIZE(foreign) ? foreign[i].ours : name;

	if (i < ARRAY_SIZE(foreign) && (!meant || !schema_find(schema, meant, from)))
		return foreign[i].advice;
	if (!schema_find(schema, meant, from))
		meant = schema_nearest(schema, meant, from);
	if (!meant)
		return NULL;
	snprintf(hint, CONFIG_HINT,
		from == FROM_JSON ? "did you mean \"%s\"?" : "did you mean --%s?", meant);
	return hint;
}
