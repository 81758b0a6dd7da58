// SPDX-License-Identifier: MIT
/* replay.c - run a fuzz target over files and directories of files, without libFuzzer
 *
 * A target that finds something wrong aborts; what the sanitizers find ends the process too.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int n_done;

static void run_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = malloc(size ? size : 1);

	if (!file || !data || fread(data, 1, size, file) != size) {
		fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
		exit(EXIT_FAILURE);
	}
	fclose(file);
	/* Unbuffered, so that a crash names its input. */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	n_done++;
}

static void run_path(const char *path)
{
	const struct dirent *dirent;
	char child[PATH_MAX];
	struct stat st;
	DIR *dir;

	if (stat(path, &st)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(EXIT_FAILURE);
	}
	if (!S_ISDIR(st.st_mode)) {
		run_file(path, (size_t)st.st_size);
		return;
	}
	dir = opendir(path);
	while (dir && (dirent = readdir(dir))) {
		if (dirent->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, dirent->d_name);
		run_path(child);
	}
	if (dir)
		closedir(dir);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	printf("%u inputs\n", n_done);
	return n_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
