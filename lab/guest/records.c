// SPDX-License-Identifier: MIT
/* records.c - numbered records in a file, each on stable storage before it is told of
 *
 * records append FILE	go on where it ends, for ever: "@@ record N" when N is there for good
 * records check FILE	"@@ records N": so many are there, from the first on, and behind them none
 *			is whole
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SIZE 3000 /* of a record: it lies across blocks */

struct record {
	uint64_t number;
	uint8_t data[SIZE - 8];
};

static void make(struct record *record, uint64_t number)
{
	memset(record, 0, sizeof(*record));
	record->number = number;
	for (unsigned int i = 0; i < sizeof(record->data); i++)
		record->data[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static int is_there(int fd, uint64_t number)
{
	struct record want, seen;

	make(&want, number);
	return pread(fd, &seen, SIZE, (off_t)(number * SIZE)) == SIZE &&
	       !memcmp(&want, &seen, SIZE);
}

static uint64_t count(int fd)
{
	uint64_t n = 0;

	while (is_there(fd, n))
		n++;
	return n;
}

static int append(int fd)
{
	for (uint64_t n = count(fd);; n++) {
		struct record record;

		make(&record, n);
		if (pwrite(fd, &record, SIZE, (off_t)(n * SIZE)) != SIZE || fsync(fd)) {
			perror("records");
			return 1;
		}
		printf("@@ record %llu\n", (unsigned long long)n);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0) {
		perror("records");
		return 1;
	}
	if (!strcmp(argv[1], "append"))
		return append(fd);
	printf("@@ records %llu\n", (unsigned long long)count(fd));
	return 0;
}
