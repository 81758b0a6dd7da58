// SPDX-License-Identifier: MIT
/* schema.c - how a text becomes the value of a setting, for each kind */

#include "util/schema.h"
#include "util/rate.h"
#include "util/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct word switches[] = { { "on", true }, { "off", false }, { NULL, 0 } };

static void *member(void *base, size_t at)
{
	return (char *)base + at;
}

/* Store the texts, with blanks between.  One of them may be what was stored before. */
static int set_texts(char **to, const char *const *texts, size_t n, struct diag *diag)
{
	size_t size = 1;
	char *all, *end;

	for (size_t i = 0; i < n; i++)
		size += strlen(texts[i]) + 1;
	all = end = malloc(size);
	if (!all)
		return diag_fail(diag, ENOMEM, "out of memory");
	*end = '\0';
	for (size_t i = 0; i < n; i++)
		end = stpcpy(i ? stpcpy(end, " ") : end, texts[i]);
	free(*to);
	*to = all;
	return 0;
}

static int add_text(char **to, const char *text, struct diag *diag)
{
	const char *texts[] = { *to, text };
	size_t n_before = *to ? 1 : 0;

	return set_texts(to, texts + 1 - n_before, 1 + n_before, diag);
}

static int set_path(char **to, const char *text, struct diag *diag)
{
	if (!*text)
		return diag_fail(diag, EINVAL, "the path is empty; name a file");
	/* No file has it, and a message that names it whole would have no room for the reason. */
	if (strlen(text) >= PATH_MAX)
		return diag_fail(diag, EINVAL, "%.40s...: the name is too long", text);
	return set_texts(to, &text, 1, diag);
}

static int set_text(const struct setting *s, char **to, const char *text, struct diag *diag)
{
	size_t size = strlen(text);

	if (!size || size > s->max)
		return diag_fail(diag, EINVAL, "'%.40s' has %zu bytes; give 1 to %" PRIu64, text,
			size, s->max);
	return set_texts(to, &text, 1, diag);
}

static int set_number(const struct setting *s, uint32_t *to, const char *text, struct diag *diag)
{
	size_t n_digits = strspn(text, "0123456789");
	uint64_t number = strtoull(text, NULL, 10); /* UINT64_MAX for more */

	if (!n_digits || text[n_digits] || number < s->min || number > s->max)
		return diag_fail(diag, EINVAL,
			"'%.40s' is not a whole number from %" PRIu64 " to %" PRIu64, text, s->min,
			s->max);
	*to = (uint32_t)number;
	return 0;
}

/* Too small, or too large: whoever gave a bare number may have forgotten the unit. */
static int refuse_size(const struct setting *s, const char *text, uint64_t size, struct diag *diag)
{
	bool is_bare = !text[strspn(text, "0123456789")];
	char limit[SIZE_TEXT];

	for (const char *unit = "MG"; is_bare && *unit; unit++) {
		uint64_t shift = *unit == 'M' ? 20 : 30;

		if (size <= s->max >> shift && size << shift >= s->min)
			return diag_fail(diag, EINVAL, "%s is in bytes; did you mean %s%c?", text,
				text, *unit);
	}
	size_print(limit, size < s->min ? s->min : s->max);
	return diag_fail(diag, EINVAL, "%.40s is too %s; give at %s %s", text,
		size < s->min ? "little" : "much", size < s->min ? "least" : "most", limit);
}

static int set_size(const struct setting *s, uint64_t *to, const char *text, struct diag *diag)
{
	uint64_t size;
	char step[SIZE_TEXT];

	if (!size_parse(text, &size))
		return diag_fail(diag, EINVAL,
			"'%.40s' is not a size; give a number with K, M, G or T, such as 512M",
			text);
	if (size < s->min || size > s->max)
		return refuse_size(s, text, size, diag);
	size_print(step, s->step);
	if (size % s->step)
		return diag_fail(diag, EINVAL, "%.40s is not a multiple of %s", text, step);
	*to = size;
	return 0;
}

static int set_rate(struct rate_limit *to, const char *text, struct diag *diag)
{
	uint64_t n_said = to->n_said;

	if (!rate_parse(text, to))
		return diag_fail(diag, EINVAL,
			"'%.40s' is not a rate; give so many a second, such as 10M, or what may go at "
			"once and the time that brings it, such as 10M/500ms, and +N for a burst before",
			text);
	to->n_said = n_said + 1;
	return 0;
}

/* ---- enumerations ---- */

static bool takes_path(const char *word)
{
	return !*word || word[strlen(word) - 1] == ':';
}

/* The words with their paths, between `between`, before the last `last`. */
static void write_words(
	char *text, size_t size, const struct word *words, const char *between, const char *last)
{
	size_t n = 0;

	for (const struct word *w = words; w->word && n < size; w++)
		n += (size_t)snprintf(text + n, size - n, "%s%s%s",
			w == words  ? ""
			: w[1].word ? between
				    : last,
			w->word, takes_path(w->word) ? "PATH" : "");
}

static const struct word *find_word(const struct word *words, const char *text)
{
	for (const struct word *w = words; w->word; w++)
		if (takes_path(w->word) ? !strncmp(text, w->word, strlen(w->word))
					: !strcmp(text, w->word))
			return w;
	return NULL;
}

static int refuse_word(const struct word *words, const char *text, struct diag *diag)
{
	char known[SETTING_USAGE];

	write_words(known, sizeof(known), words, ", ", " or ");
	return diag_fail(diag, EINVAL, "'%.40s' is not %s", text, known);
}

static int set_flag(bool *to, const char *text, struct diag *diag)
{
	const struct word *word = find_word(switches, text);

	if (!word)
		return refuse_word(switches, text, diag);
	*to = word->value;
	return 0;
}

static int set_word(const struct setting *s, void *base, const char *text, struct diag *diag)
{
	const struct word *word = find_word(s->words, text);
	int ret = 0;

	if (!word)
		return refuse_word(s->words, text, diag);
	if (takes_path(word->word))
		ret = set_path(member(base, s->path_at), text + strlen(word->word), diag);
	else
		setting_clear(s, base);
	if (!ret)
		*(int *)member(base, s->at) = word->value;
	return ret;
}

/* ^@ to ^_ are the codes 0 to 0x1f; a letter may be small. */
static int set_key(int *to, const char *text, struct diag *diag)
{
	int code = toupper((unsigned char)text[0] ? text[1] : 0) - '@';
	bool is_none = !strcmp(text, "none");

	if (!is_none && (text[0] != '^' || !text[1] || text[2] || code < 0 || code > 0x1f))
		return diag_fail(diag, EINVAL,
			"'%.40s' is not a control key; give ^A or the like, or none", text);
	*to = is_none ? -1 : code;
	return 0;
}

/* ---- objects ---- */

static int refuse_key(const struct schema *members, const char *key, struct diag *diag)
{
	const char *meant = schema_nearest(members, key, FROM_ARGS);
	char names[SETTING_USAGE];

	if (meant)
		return diag_fail(diag, EINVAL, "unknown key '%.40s'; did you mean %s?", key, meant);
	schema_names(members, names);
	return diag_fail(diag, EINVAL, "unknown key '%.40s'; the keys are %s%s", key, names,
		members->bare ? "; a comma within a value is written ,," : "");
}

/* KEY=VALUE, a flag's KEY, or, with the first piece, the value of the bare member. */
static int set_piece(
	const struct schema *members, void *base, char *piece, bool is_first, struct diag *diag)
{
	const char *key = strsep(&piece, "="), *value = piece;
	const struct setting *s = schema_find(members, key, FROM_ARGS);
	struct diag why;

	if (is_first && members->bare && !value && (!s || s->kind != SETTING_FLAG)) {
		value = key;
		key = members->bare;
		s = schema_find(members, key, FROM_ARGS);
	}
	if (!s)
		return refuse_key(members, key, diag);
	if (!value && (s->kind == SETTING_FLAG || (s->takes && *s->takes == '[')))
		value = s->means ? s->means : "on";
	if (!value)
		return diag_fail(diag, EINVAL, "%s needs a value", key);
	if (setting_set(s, base, value, &why) < 0)
		return diag_fail(diag, EINVAL, "%s: %s", key, why.text);
	return 0;
}

/* Cut the first piece off, in place; NULL if there is none left. */
static char *next_piece(char **rest)
{
	char *piece = *rest, *from = piece, *to = piece;

	if (!piece)
		return NULL;
	*rest = NULL;
	while (*from) {
		if (*from == ',' && *++from != ',') {
			*rest = from;
			break;
		}
		*to++ = *from++;
	}
	*to = '\0';
	return piece;
}

static int set_object(const struct schema *members, void *base, const char *text, struct diag *diag)
{
	char *copy = strdup(text), *rest = copy, *piece;
	bool is_first = true;
	int ret = 0;

	if (!copy)
		return diag_fail(diag, ENOMEM, "out of memory");
	while (!ret && (piece = next_piece(&rest)) != NULL) {
		ret = set_piece(members, base, piece, is_first, diag);
		is_first = false;
	}
	free(copy);
	return ret ? ret : schema_check(members, base, diag);
}

/* ---- lists of objects ---- */

static void *list_item(const struct setting *s, const struct setting_list *list, size_t i)
{
	return member(list->items, i * s->members->size);
}

void *setting_add_item(const struct setting *s, void *base, struct diag *diag)
{
	struct setting_list *list = member(base, s->at);
	void *items, *item;

	if (list->n >= s->max) {
		diag_fail(diag, EINVAL, "this would be one too many; there can be at most %" PRIu64,
			s->max);
		return NULL;
	}
	items = reallocarray(list->items, list->n + 1, s->members->size);
	if (!items) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	list->items = items;
	list->off = false;
	item = memset(list_item(s, list, list->n++), 0, s->members->size);
	if (s->members->init)
		s->members->init(item);
	return item;
}

void setting_drop_item(const struct setting *s, void *base)
{
	struct setting_list *list = member(base, s->at);

	list->n--;
	schema_clear(s->members, list_item(s, list, list->n));
}

/* "off" takes away all that were given before; "on" is one by its defaults, where nothing has to be
 * named.
 */
static int add_object(const struct setting *s, void *base, const char *text, struct diag *diag)
{
	bool is_plain = !s->members->bare && !strcmp(text, "on");
	void *item;
	int ret;

	if (!strcmp(text, "off")) {
		setting_clear(s, base);
		((struct setting_list *)member(base, s->at))->off = true;
		return 0;
	}
	item = setting_add_item(s, base, diag);
	if (!item)
		return -EINVAL;
	ret = is_plain ? schema_check(s->members, item, diag)
	               : set_object(s->members, item, text, diag);
	if (ret)
		setting_drop_item(s, base);
	return ret;
}

static void clear_items(const struct setting *s, void *base)
{
	struct setting_list *list = member(base, s->at);

	while (list->n)
		setting_drop_item(s, base);
	free(list->items);
	*list = (struct setting_list){ 0 };
}

/* ---- all kinds ---- */

int setting_set(const struct setting *s, void *base, const char *text, struct diag *diag)
{
	void *to = member(base, s->at);

	switch (s->kind) {
	case SETTING_PATH: return set_path(to, text, diag);
	case SETTING_TEXT: return set_text(s, to, text, diag);
	case SETTING_LIST: return add_text(to, text, diag);
	case SETTING_NUMBER: return set_number(s, to, text, diag);
	case SETTING_SIZE: return set_size(s, to, text, diag);
	case SETTING_RATE: return set_rate(to, text, diag);
	case SETTING_FLAG: return set_flag(to, text, diag);
	case SETTING_WORD: return set_word(s, base, text, diag);
	case SETTING_KEY: return set_key(to, text, diag);
	case SETTING_OBJECT: return set_object(s->members, to, text, diag);
	case SETTING_OBJECTS: return add_object(s, base, text, diag);
	case SETTING_ACTION: break;
	}
	return s->act(base, text, diag);
}

int setting_set_list(
	const struct setting *s, void *base, const char *const *items, size_t n, struct diag *diag)
{
	return set_texts(member(base, s->at), items, n, diag);
}

/* The text that a setting owns, if it may own one; or NULL. */
static char **own_text(const struct setting *s, void *base)
{
	switch (s->kind) {
	case SETTING_PATH:
	case SETTING_TEXT:
	case SETTING_LIST: return member(base, s->at);
	case SETTING_WORD:
		for (const struct word *w = s->words; w->word; w++)
			if (takes_path(w->word))
				return member(base, s->path_at);
		return NULL;
	default: return NULL;
	}
}

void setting_clear(const struct setting *s, void *base)
{
	char **text = own_text(s, base);

	if (s->kind == SETTING_OBJECT)
		schema_clear(s->members, member(base, s->at));
	else if (s->kind == SETTING_OBJECTS)
		clear_items(s, base);
	if (!text)
		return;
	free(*text);
	*text = NULL;
}

void setting_usage(const struct setting *s, char usage[SETTING_USAGE])
{
	size_t n = 0;

	usage[0] = '\0';
	if (s->takes) {
		snprintf(usage, SETTING_USAGE, "%s", s->takes);
	} else if (s->kind == SETTING_WORD) {
		write_words(usage, SETTING_USAGE, s->words, "|", "|");
	} else if (s->kind == SETTING_OBJECT || s->kind == SETTING_OBJECTS) {
		for (size_t i = 0; i < s->members->n && n < SETTING_USAGE; i++) {
			const struct setting *m = &s->members->settings[i];
			char value[SETTING_USAGE];

			setting_usage(m, value);
			n += (size_t)snprintf(usage + n, SETTING_USAGE - n, "%s%s=%s", i ? "," : "",
				m->name, m->kind == SETTING_FLAG ? "on|off" : value);
		}
	}
}

/* ---- schemas ---- */

void schema_clear(const struct schema *schema, void *object)
{
	for (size_t i = 0; i < schema->n; i++)
		setting_clear(&schema->settings[i], object);
}

int schema_copy(const struct schema *schema, void *to, const void *from, struct diag *diag)
{
	char **text;

	memcpy(to, from, schema->size);
	for (size_t i = 0; i < schema->n; i++)
		if ((text = own_text(&schema->settings[i], to)) != NULL)
			*text = NULL;
	for (size_t i = 0; i < schema->n; i++) {
		const struct setting *s = &schema->settings[i];

		text = own_text(s, (void *)from);
		if (!text || !*text || (*own_text(s, to) = strdup(*text)) != NULL)
			continue;
		schema_clear(schema, to);
		return diag_fail(diag, ENOMEM, "out of memory");
	}
	return 0;
}

int schema_check(const struct schema *schema, void *object, struct diag *diag)
{
	return schema->check ? schema->check(object, diag) : 0;
}

const struct setting *schema_find(const struct schema *schema, const char *name, enum source from)
{
	for (size_t i = 0; i < schema->n; i++)
		if ((schema->settings[i].source & from) && !strcmp(schema->settings[i].name, name))
			return &schema->settings[i];
	return NULL;
}

void schema_names(const struct schema *schema, char names[SETTING_USAGE])
{
	size_t n = 0;

	for (size_t i = 0; i < schema->n && n < SETTING_USAGE; i++)
		n += (size_t)snprintf(names + n, SETTING_USAGE - n, "%s%s", i ? ", " : "",
			schema->settings[i].name);
}

/* Levenshtein's distance, of names shorter than 32 bytes. */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0]++;

		for (size_t j = 0; j < n; j++) {
			size_t best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (best > diagonal + 1)
				best = diagonal + 1;
			if (best > row[j] + 1)
				best = row[j] + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

const char *schema_nearest(const struct schema *schema, const char *name, enum source from)
{
	const char *found = NULL;
	size_t best = 3;

	if (strlen(name) > 31)
		return NULL;
	for (size_t i = 0; i < schema->n; i++) {
		const struct setting *s = &schema->settings[i];
		bool begins = strlen(name) > 2 && !strncmp(name, s->name, strlen(name));
		size_t d = begins ? 0 : distance(name, s->name);

		if ((s->source & from) && d < best && d < strlen(s->name)) {
			best = d;
			found = s->name;
		}
	}
	return found;
}
