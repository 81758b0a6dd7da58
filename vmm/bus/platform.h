/* SPDX-License-Identifier: MIT */
/* platform.h - the machine's address map: every port, MMIO base and interrupt in one place
 *
 * What ACPI tells the guest (boot/acpi.c) and what the devices answer to (dev/) both come from
 * here.
 */
#ifndef BUS_PLATFORM_H
#define BUS_PLATFORM_H

/* Interrupts: global system interrupts are the pins of the one I/O APIC.  All are edge-triggered,
 * active high: the device raises, nobody acknowledges.  As few as can be, for Linux visits each pin
 * some eight times as it boots, each time an exit.  Not 0, which Linux takes for "none" with a
 * serial port, nor 2, once the cascade of the 8259s, on which it refuses a handler.
 */
#define PLATFORM_SERIAL_GSI 1
#define PLATFORM_GED_GSI    3
#define PLATFORM_N_GSIS     4
#define PLATFORM_MAX_GSIS   24 /* of the chip of a PC, 82093AA; what is beyond has no line */
#define PLATFORM_VIRTIO_GSI 5  /* the first slot's of virtio-mmio; slot i has this + i */

/* COM1 of every PC is IRQ 4, and guests take it to be pin 4 without asking anybody.  So COM1's line
 * goes to that pin, too: it lies behind those that the I/O APIC counts, where Linux does not visit
 * it.
 */
#define PLATFORM_SERIAL_ISA_IRQ 4

/* Ports */
#define PLATFORM_SERIAL_PORT      0x3f8 /* COM1 */
#define PLATFORM_SERIAL_PORT_SIZE 8

/* What a PC has beside, for guests that do not ask ACPI, which denies it: Linux pays nothing. */
#define PLATFORM_KEYBOARD_PORT      0x64 /* status, command */
#define PLATFORM_RTC_PORT           0x70 /* index, data */
#define PLATFORM_RTC_PORT_SIZE      2
#define PLATFORM_RESET_CONTROL_PORT 0xcf9

/* With devices on PCI. */
#define PLATFORM_PCI_PORT      0xcf8 /* configuration: address, data */
#define PLATFORM_PCI_PORT_SIZE 8

/* What emulators have beside, if the operator wants it. */
#define PLATFORM_DEBUG_CONSOLE_PORT 0xe9
#define PLATFORM_DEBUG_EXIT_PORT_A  0xf4 /* the one, or the other */
#define PLATFORM_DEBUG_EXIT_PORT_B  0x501

/* Power management, 16 bytes.  ACPI 6.4, 4.8.3.7 sleep control and status, 4.8.3.6 reset. */
#define PLATFORM_PM_PORT         0x600
#define PLATFORM_PM_SLEEP_CTL    0x600 /* 1 byte, w: SLP_TYPx bits 4:2, SLP_EN bit 5 */
#define PLATFORM_PM_SLEEP_STATUS 0x601 /* 1 byte, r/w1c: WAK_STS bit 7 */
#define PLATFORM_PM_RESET        0x602 /* 1 byte, w */
#define PLATFORM_PM_EVENTS       0x604 /* 1 byte, r: pending events, cleared by the read */
#define PLATFORM_PM_TIMER        0x608 /* 4 bytes, r: 4.8.3.3, where EDK2 for Cloud Hypervisor looks */
#define PLATFORM_PM_MARK         0x60c /* 1 byte, w: the guest marks a moment on the timeline */
#define PLATFORM_PM_SAVE         0x60d /* 1 byte, w: save me now, if you are to; r: a random byte */
#define PLATFORM_PM_PORT_SIZE    16

#define PLATFORM_PM_RESET_VALUE   1
#define PLATFORM_PM_S5_TYPE       5    /* SLP_TYPx for soft-off, as \_S5 says */
#define PLATFORM_PM_EVENT_POWER   0x01 /* the power button was pressed */
#define PLATFORM_PM_EVENT_VMGENID 0x02 /* the generation ID is another: the machine is a copy */

/* MMIO, in the hole below 4 GiB */
#define PLATFORM_VIRTIO_BASE  0xc0001000u /* slot i at base + i * size, as Firecracker has it */
#define PLATFORM_VIRTIO_SIZE  0x1000u
#define PLATFORM_VIRTIO_SLOTS (PLATFORM_MAX_GSIS - PLATFORM_VIRTIO_GSI)

/* With devices on PCI, in place of those slots: EDK2 for Cloud Hypervisor puts their memory from
 * 3 GiB to 0xf8000000 as it likes, so nothing else is there.
 */
#define PLATFORM_PCI_BASE  0xc0000000u
#define PLATFORM_PCI_SIZE  0x38000000u
#define PLATFORM_ECAM_BASE 0xf8000000u /* configuration of bus 0 */
#define PLATFORM_ECAM_SIZE 0x00100000u

#define PLATFORM_IOAPIC_BASE 0xfec00000u
#define PLATFORM_IOAPIC_SIZE 0x1000u
#define PLATFORM_LAPIC_BASE  0xfee00000u
#define PLATFORM_KVM_RESERVED                                               \
	0xfeffc000u /* four pages that KVM uses itself on older Intel hosts \
	             */

#endif
