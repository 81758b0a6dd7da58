// SPDX-License-Identifier: MIT
/* dsdt.c - the devices of the machine, in AML
 *
 * The guest interprets this on its way up, so nothing is said twice: no _STA (absent means present
 * and enabled), no _CRS where there are no resources, as few methods as can be.
 */

#include "boot/dsdt.h"
#include "bus/platform.h"

#include <stdio.h>

static aml_mark open_device(struct aml *aml, const char *name, const char *eisa_id, uint32_t uid)
{
	aml_mark device = aml_open_device(aml, name);

	aml_name(aml, "_HID");
	aml_eisa_id(aml, eisa_id);
	aml_name(aml, "_UID");
	aml_integer(aml, uid);
	return device;
}

/* The same for an id that has no EISA form. */
static aml_mark open_acpi_device(struct aml *aml, const char *name, const char *id, uint32_t uid)
{
	aml_mark device = aml_open_device(aml, name);

	aml_name(aml, "_HID");
	aml_string(aml, id);
	aml_name(aml, "_UID");
	aml_integer(aml, uid);
	return device;
}

static aml_mark open_crs(struct aml *aml)
{
	aml_name(aml, "_CRS");
	return aml_open_resources(aml);
}

/* ACPI 6.4, 8.4: every processor is declared, and _UID is what ties it to its MADT entry. */
static void dsdt_processor(struct aml *aml, uint32_t index)
{
	char name[5];

	snprintf(name, sizeof(name), "C%03X", index & 0xfff);
	aml_close(aml, open_acpi_device(aml, name, "ACPI0007", index));
}

static void dsdt_serial(struct aml *aml)
{
	aml_mark device = open_device(aml, "COM1", "PNP0501", 0);
	aml_mark crs = open_crs(aml);

	aml_resource_io(aml, PLATFORM_SERIAL_PORT, 8);
	aml_resource_interrupt(aml, PLATFORM_SERIAL_GSI);
	aml_close_resources(aml, crs);
	aml_close(aml, device);
}

/* ACPI 6.4, 4.8.2.2.1.2: without fixed hardware the button is a device. */
static void dsdt_power_button(struct aml *aml)
{
	aml_close(aml, open_device(aml, "PWRB", "PNP0C0C", 0));
}

/* Microsoft's "Virtual Machine Generation ID".  Its _CID and _DDN are the paper's; the _HID, of
 * which the paper says nothing, is the other name that Linux knows the device by.
 */
static void dsdt_generation(struct aml *aml, gpa_t gpa)
{
	aml_mark device = open_acpi_device(aml, "VGEN", "VMGENCTR", 0), package;

	aml_name(aml, "_CID");
	aml_string(aml, "VM_Gen_Counter");
	aml_name(aml, "_DDN");
	aml_string(aml, "VM_Gen_Counter");
	aml_name(aml, "ADDR");
	package = aml_open_package(aml, 2);
	aml_integer(aml, gpa & UINT32_MAX);
	aml_integer(aml, gpa >> 32);
	aml_close(aml, package);
	aml_close(aml, device);
}

/* If (Local0 & event) { Notify (device, 0x80) } */
static void notify_if(struct aml *aml, uint8_t event, const char *device)
{
	aml_mark cond = aml_open_if(aml);

	aml_and_local(aml, 0, event);
	aml_notify(aml, device, 0x80);
	aml_close(aml, cond);
}

/* The generic event device tells the others (5.6.9).  Reading the events clears them, so one read
 * serves all of them.
 */
static void dsdt_events(struct aml *aml)
{
	aml_mark ged = open_acpi_device(aml, "GED", "ACPI0013", 0), method, crs;

	crs = open_crs(aml);
	aml_resource_interrupt(aml, PLATFORM_GED_GSI);
	aml_close_resources(aml, crs);
	aml_io_byte_field(aml, "EVTR", "EVTS", PLATFORM_PM_EVENTS);
	method = aml_open_method(aml, "_EVT", 1);
	aml_store_local(aml, "EVTS", 0);
	notify_if(aml, PLATFORM_PM_EVENT_VMGENID, "VGEN");
	notify_if(aml, PLATFORM_PM_EVENT_POWER, "PWRB");
	aml_close(aml, method);
	aml_close(aml, ged);
}

static void dsdt_virtio_slot(struct aml *aml, uint32_t slot)
{
	aml_mark device, crs;
	char name[5];

	snprintf(name, sizeof(name), "V%03X", slot & 0xfff);
	device = open_acpi_device(aml, name, "LNRO0005", slot);
	crs = open_crs(aml);
	aml_resource_memory32(
		aml, PLATFORM_VIRTIO_BASE + slot * PLATFORM_VIRTIO_SIZE, PLATFORM_VIRTIO_SIZE);
	aml_resource_interrupt(aml, PLATFORM_VIRTIO_GSI + slot);
	aml_close_resources(aml, crs);
	aml_close(aml, device);
}

/* The root of the one bus, whose numbers and those of the MCFG agree: else all 256 are scanned.
 * _OSC (6.2.11) grants what is asked for: nothing is kept back, for there is nothing behind it.
 */
static void dsdt_pci(struct aml *aml)
{
	aml_mark device = open_device(aml, "PCI0", "PNP0A08", 0), crs, method;

	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	crs = open_crs(aml);
	aml_resource_buses(aml, 0, 0);
	aml_resource_io(aml, PLATFORM_PCI_PORT, PLATFORM_PCI_PORT_SIZE);
	aml_resource_window32(aml, PLATFORM_PCI_BASE, PLATFORM_PCI_SIZE);
	aml_close_resources(aml, crs);
	method = aml_open_method(aml, "_OSC", 4);
	aml_return_arg(aml, 3);
	aml_close(aml, method);
	aml_close(aml, device);

	/* PCI Firmware 3.3, 4.1.2: what the MCFG names is a motherboard's resource. */
	device = open_device(aml, "ECAM", "PNP0C02", 0);
	crs = open_crs(aml);
	aml_resource_memory32(aml, PLATFORM_ECAM_BASE, PLATFORM_ECAM_SIZE);
	aml_close_resources(aml, crs);
	aml_close(aml, device);
}

/* Only the first element counts on hardware-reduced machines; some interpreters insist on two. */
static void dsdt_soft_off(struct aml *aml)
{
	aml_mark package;

	aml_name(aml, "_S5");
	package = aml_open_package(aml, 2);
	aml_integer(aml, PLATFORM_PM_S5_TYPE);
	aml_integer(aml, PLATFORM_PM_S5_TYPE);
	aml_close(aml, package);
}

void dsdt_build(struct aml *aml, const struct acpi_config *config, gpa_t vmgenid)
{
	aml_mark scope;

	dsdt_soft_off(aml);
	scope = aml_open_scope(aml, "_SB");
	for (uint32_t i = 0; i < config->n_cpus; i++)
		dsdt_processor(aml, i);
	dsdt_serial(aml);
	dsdt_power_button(aml);
	dsdt_generation(aml, vmgenid);
	dsdt_events(aml);
	for (uint32_t i = 0; i < config->n_virtio_slots; i++)
		dsdt_virtio_slot(aml, i);
	if (config->has_pci)
		dsdt_pci(aml);
	aml_close(aml, scope);
}
