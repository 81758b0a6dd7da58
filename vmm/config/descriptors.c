// SPDX-License-Identifier: MIT
/* descriptors.c - which open files of ours settings name by number */

#include "config/config.h"
#include "config/table.h"

#include <stdlib.h>
#include <string.h>

struct found {
	int *fd;
	size_t n, max;
};

static void add(struct found *found, unsigned long fd)
{
	if (fd <= INT32_MAX && found->n < found->max)
		found->fd[found->n++] = (int)fd;
}

static void look_at_path(struct found *found, const char *path)
{
	static const char *const dirs[] = { "/dev/fd/", "/proc/self/fd/" };

	for (size_t i = 0; path && i < ARRAY_SIZE(dirs); i++) {
		size_t size = strlen(dirs[i]);

		if (!strncmp(path, dirs[i], size) && path[size] >= '0' && path[size] <= '9')
			add(found, strtoul(path + size, NULL, 10));
	}
}

/* As a row is written: behind a word that is empty or ends in a colon stands a path. */
static bool takes_path(const struct setting *s)
{
	for (const struct word *w = s->words; w->word; w++) {
		size_t size = strlen(w->word);

		if (!size || w->word[size - 1] == ':')
			return true;
	}
	return false;
}

static void look_at(struct found *found, const struct schema *schema, const void *base);

static void look_at_items(struct found *found, const struct schema *schema, const void *at)
{
	const struct setting_list *list = at;

	for (size_t i = 0; i < list->n; i++)
		look_at(found, schema, (const char *)list->items + i * schema->size);
}

static void look_at_one(struct found *found, const struct setting *s, const char *base)
{
	const void *at = base + s->at;

	switch (s->kind) {
	case SETTING_NUMBER:
		if (!strcmp(s->name, "fd"))
			add(found, *(const uint32_t *)at);
		break;
	case SETTING_PATH:
	case SETTING_TEXT: look_at_path(found, *(char *const *)at); break;
	case SETTING_WORD:
		if (takes_path(s))
			look_at_path(found, *(char *const *)(base + s->path_at));
		break;
	case SETTING_OBJECT: look_at(found, s->members, at); break;
	case SETTING_OBJECTS: look_at_items(found, s->members, at); break;
	default: break;
	}
}

static void look_at(struct found *found, const struct schema *schema, const void *base)
{
	for (size_t i = 0; i < schema->n; i++)
		look_at_one(found, &schema->settings[i], base);
}

size_t config_descriptors(const struct config *config, int *fds, size_t max)
{
	struct found found = { .fd = fds, .max = max };

	look_at(&found, &config_schema, config);
	return found.n;
}
