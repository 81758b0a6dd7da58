/* SPDX-License-Identifier: MIT */
/* wire.h - what the parts of a machine ask of each other
 *
 * Device, vCPU, console and operator know nothing of one another: each asks by a table of functions
 * that it was given.  All of those tables are here.
 */
#ifndef VM_WIRE_H
#define VM_WIRE_H

#include "vm/vm.h"

/* Make the devices and put them on their buses, and the vCPUs, without threads and KVM. */
void wire_init(struct vm *vm);
void wire_fini(struct vm *vm);

/* Ask for the serial port's console, which consoles_open() opens with the others. */
void wire_console(struct vm *vm);

/* Connect the debug console's output, which is open. */
int wire_debug_console(struct vm *vm, struct diag *diag);

/* Devices that are not virtio's, while no vCPU runs: they do nothing of their own accord, or go on.
 */
void wire_quiesce(struct vm *vm);
void wire_resume(struct vm *vm);

/* Connect the operator.  -errno, diag. */
int wire_control(struct vm *vm, struct diag *diag);

#endif
