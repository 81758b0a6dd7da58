// SPDX-License-Identifier: GPL-2.0 OR MIT
/* settings.c - what the monitor wants of its guest's pid 1 */

#include "init.h"
#include "sys.h"

#include <asm/fcntl.h>

/* vmm/vm/root.c writes no more. */
static char text[80 << 10];
static struct settings settings = { .term = "TERM=linux" };

size_t text_size(const char *at)
{
	size_t n = 0;

	while (at[n])
		n++;
	return n;
}

bool text_begins(const char *at, const char *with)
{
	while (*with)
		if (*at++ != *with++)
			return false;
	return true;
}

unsigned int text_number(const char *at, const char **end)
{
	unsigned int n = 0;

	while (*at >= '0' && *at <= '9')
		n = n * 10 + (unsigned int)(*at++ - '0');
	*end = at;
	return n;
}

static void set_size(const char *value)
{
	settings.rows = (unsigned short)text_number(value, &value);
	if (*value)
		settings.columns = (unsigned short)text_number(value + 1, &value);
}

static void set(const char *key)
{
	const char *value = key;

	while (*value && *value++ != '=')
		;
	if (text_begins(key, "module=") && settings.n_modules < MAX_MODULES)
		settings.module[settings.n_modules++] = value;
	else if (text_begins(key, "transport="))
		settings.transport = value;
	else if (text_begins(key, "access=")) {
		settings.overlay = text_begins(value, "overlay");
		settings.writable = text_begins(value, "rw");
	} else if (text_begins(key, "init="))
		settings.init = value;
	else if (text_begins(key, "exec="))
		settings.exec = value;
	else if (text_begins(key, "dir="))
		settings.dir = value;
	else if (text_begins(key, "TERM="))
		settings.term = key;
	else if (text_begins(key, "plain="))
		settings.plain = true;
	else if (text_begins(key, "size="))
		set_size(value);
	else if (text_begins(key, "port="))
		settings.port = (unsigned short)text_number(value, &value);
}

const struct settings *settings_read(void)
{
	size_t n = 0;
	long fd = sys_open("/settings", O_RDONLY), got;

	if (fd < 0)
		give_up("cannot open", "/settings", fd, NULL);
	while ((got = sys_read((int)fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	sys_close((int)fd);
	for (const char *at = text; at < text + n; at += text_size(at) + 1)
		set(at);
	return &settings;
}
