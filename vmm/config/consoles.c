// SPDX-License-Identifier: MIT
/* consoles.c - which console has what */

#include "boot/boot.h"
#include "config/table.h"

#include <errno.h>

static const struct vconsole_options *vconsole(const struct setting_list *list, size_t i)
{
	return (const struct vconsole_options *)list->items + i;
}

/* How many virtio consoles and ports are at standard input and output. */
static unsigned int n_at_stdio(const struct config *config)
{
	static const enum device_kind kinds[] = { DEVICE_hvc, DEVICE_port };
	unsigned int n = 0;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (size_t i = 0; i < config->devices[kinds[k]].n; i++)
			n += vconsole(&config->devices[kinds[k]], i)->to == CONSOLE_STDIO;
	return n;
}

enum console_kind config_serial_console(const struct config *config)
{
	if (config->console != CONSOLE_AUTO)
		return config->console;
	return n_at_stdio(config) ? CONSOLE_NULL : CONSOLE_STDIO;
}

int config_check_consoles(const struct config *config, struct diag *diag)
{
	if (n_at_stdio(config) + (config_serial_console(config) == CONSOLE_STDIO) < 2)
		return 0;
	return diag_fail(diag, EINVAL,
		"standard input and output are one console's, and %s; give the others a file, a "
		"pty or a socket",
		config->console == CONSOLE_STDIO ? "--console has them already"
						 : "--hvc or --port has them already");
}

#define HVC_WORD   " console=hvc0"
#define QUIET_WORD " loglevel=3"
#define LINES(line)                                               \
	{                                                         \
		{ line, line HVC_WORD },                          \
		{                                                 \
			line QUIET_WORD, line QUIET_WORD HVC_WORD \
		}                                                 \
	}

const char *config_default_cmdline(const struct config *config)
{
	static const char *const lines[2][2][2] = { LINES(BOOT_DEFAULT_CMDLINE),
		LINES(BOOT_PCI_CMDLINE) };
	const struct setting_list *hvc = &config->devices[DEVICE_hvc];
	bool has_hvc = hvc->n && vconsole(hvc, 0)->to == CONSOLE_STDIO;

	return lines[config_has_pci(config)][config->root.dir != NULL][has_hvc];
}
