// SPDX-License-Identifier: MIT
/* json.c - settings from a JSON text or file */

#include "config/table.h"
#include "util/file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Line of `"key":`, or 0.  Keys of one object with plain values are found exactly, unless written
 * with escapes: a quote inside a string comes with a backslash, and no string value stands before a
 * colon.
 */
static unsigned int line_of_key(const char *text, size_t size, const char *key)
{
	size_t len = strlen(key);
	unsigned int line = 1;

	for (size_t i = 0; i + len + 2 < size; i++) {
		size_t end = i + len + 2;

		line += text[i] == '\n';
		if (text[i] != '"' || memcmp(text + i + 1, key, len) || text[end - 1] != '"')
			continue;
		while (end < size && memchr(" \t\r\n", text[end], 4))
			end++;
		if (end < size && text[end] == ':')
			return line;
	}
	return 0;
}

static const struct setting *find_key(const char *key)
{
	for (size_t i = 0; i < CONFIG_N_SETTINGS; i++)
		if ((config_settings[i].place & IN_JSON) && !strcmp(key, config_settings[i].name))
			return &config_settings[i];
	return NULL;
}

static int apply_value(
	struct config *config, const struct setting *s, const json_t *value, struct diag *diag)
{
	static const char *const wanted[] = {
		[KIND_FLAG] = "true or false",
		[KIND_FLAG_OR_STRING] = "true, false or a string",
		[KIND_STRING] = "a string",
		[KIND_NUMBER] = "a whole number",
		[KIND_SIZE] = "a string such as \"512M\", or a whole number of bytes",
	};
	char digits[24];

	if (json_is_boolean(value) && (s->kind == KIND_FLAG || s->kind == KIND_FLAG_OR_STRING))
		return s->set(config, json_is_true(value) ? "true" : "false", diag);
	if (json_is_string(value) &&
		(s->kind == KIND_STRING || s->kind == KIND_SIZE || s->kind == KIND_FLAG_OR_STRING))
		return s->set(config, json_string_value(value), diag);
	if (json_is_integer(value) && (s->kind == KIND_NUMBER || s->kind == KIND_SIZE)) {
		snprintf(
			digits, sizeof(digits), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return s->set(config, digits, diag);
	}
	return diag_fail(diag, EINVAL, "the value is not %s", wanted[s->kind]);
}

static int apply_key(struct config *config, const char *key, const json_t *value, struct diag *diag)
{
	const struct setting *s = find_key(key);
	const char *meant;

	if (s)
		return apply_value(config, s, value, diag);
	meant = config_nearest_name(key, IN_JSON);
	if (meant)
		return diag_fail(diag, EINVAL, "unknown key; did you mean \"%s\"?", meant);
	return diag_fail(
		diag, EINVAL, "unknown key; keys are the long options of `pronto run --help`");
}

int config_parse_json(
	struct config *config, const char *name, const char *text, size_t size, struct diag *diag)
{
	json_error_t error;
	json_t *root, *value;
	const char *key;
	unsigned int line;
	struct diag why;
	int ret = 0;

	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return diag_fail(diag, EINVAL, "%.300s: line %d, column %d: not JSON: %s", name,
			error.line, error.column, error.text);
	if (!json_is_object(root))
		ret = diag_fail(
			diag, EINVAL, "%.300s: the file must hold one JSON object, {...}", name);
	json_object_foreach(root, key, value)
	{
		ret = apply_key(config, key, value, &why);
		if (!ret)
			continue;
		line = line_of_key(text, size, key);
		if (line)
			ret = diag_fail(diag, EINVAL, "%.300s: line %u: \"%.40s\": %s", name, line,
				key, why.text);
		else
			ret = diag_fail(diag, EINVAL, "%.300s: \"%.40s\": %s", name, key, why.text);
		break;
	}
	json_decref(root);
	return ret;
}

/* All of fd, at most `size` bytes; NULL and the reason in diag. */
static char *read_text(int fd, size_t size, size_t *n_read, struct diag *diag)
{
	char *text = malloc(size);
	ssize_t n;

	if (!text) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	for (*n_read = 0; *n_read < size; *n_read += (size_t)n) {
		n = read(fd, text + *n_read, size - *n_read);
		if (n == 0)
			break;
		if (n < 0) {
			diag_fail(diag, errno, "cannot read: %s", strerror(errno));
			free(text);
			return NULL;
		}
	}
	return text;
}

int config_load_file(struct config *config, const char *path, struct diag *diag)
{
	struct stat st;
	struct diag why;
	size_t size;
	char *text;
	int fd, ret = -EINVAL;

	fd = file_open_regular(path, &st, &why);
	if (fd < 0)
		return diag_fail(diag, EINVAL, "configuration '%.300s': %s", path, why.text);
	if (st.st_size > (off_t)CONFIG_MAX_FILE) {
		diag_fail(diag, EINVAL, "configuration '%.300s': is larger than 1 MiB", path);
		goto out;
	}
	text = read_text(fd, (size_t)st.st_size, &size, &why);
	if (!text) {
		diag_fail(diag, EINVAL, "configuration '%.300s': %s", path, why.text);
		goto out;
	}
	ret = config_parse_json(config, path, text, size, diag);
	free(text);
out:
	close(fd);
	return ret;
}
