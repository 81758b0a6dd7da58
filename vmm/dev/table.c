// SPDX-License-Identifier: MIT
/* table.c - the kinds of virtio devices */

#include "dev/table.h"

#define CLASS(option, class, takes, help) [DEVICE_##option] = &class##_class,
const struct virtio_class *const device_class[N_DEVICE_KINDS] = { DEVICE_TABLE(CLASS) };

#define OPTION(option, class, takes, help) [DEVICE_##option] = "--" #option,
const char *const device_option[N_DEVICE_KINDS] = { DEVICE_TABLE(OPTION) };
