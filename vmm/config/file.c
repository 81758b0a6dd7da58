// SPDX-License-Identifier: MIT
/* file.c - the settings of `pronto run` from a JSON file */

#include "util/file.h"
#include "config/table.h"
#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

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
			diag_fail(diag, errno, "cannot read: %s", error_text(errno));
			free(text);
			return NULL;
		}
	}
	return text;
}

int config_parse_json(
	struct config *config, const char *name, const char *text, size_t size, struct diag *diag)
{
	return config_apply_json(&config_schema, config, name, text, size, diag);
}

char *config_read_file(const char *path, size_t *size, struct diag *diag)
{
	struct stat st;
	struct diag why;
	char *text = NULL;
	int fd = file_open_regular(path, &st, &why);

	if (fd >= 0 && st.st_size > (off_t)CONFIG_MAX_FILE)
		diag_fail(&why, EFBIG, "is larger than 1 MiB");
	else if (fd >= 0)
		text = read_text(fd, (size_t)st.st_size, size, &why);
	if (!text)
		diag_fail(diag, EINVAL, "configuration '%.300s': %s", path, why.text);
	if (fd >= 0)
		close(fd);
	return text;
}

int config_load_file(void *config, const char *path, struct diag *diag)
{
	size_t size;
	char *text = config_read_file(path, &size, diag);
	int ret;

	if (!text)
		return -EINVAL;
	ret = config_parse_json(config, path, text, size, diag);
	free(text);
	return ret;
}
