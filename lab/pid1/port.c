/* SPDX-License-Identifier: MIT */
/* port.c - frames on a virtio-serial port */
#include "frame.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PORTS "/sys/class/virtio-ports"

/* Is entry NAME of PORTS the port we look for? */
static int is_ours(const char *name)
{
	char path[512], text[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), PORTS "/%s/name", name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, FRAME_PORT_NAME) == 0;
}

static int try_open(void)
{
	struct dirent *entry;
	char path[512];
	int fd = -ENOENT;
	DIR *dir = opendir(PORTS);

	if (!dir)
		return -errno;
	while (fd < 0 && (entry = readdir(dir))) {
		if (!is_ours(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	closedir(dir);
	return fd;
}

int port_open(struct port *port)
{
	const struct timespec delay = { .tv_nsec = 5 * 1000 * 1000 };

	for (int i = 0; i < 2000; i++) {
		port->fd = try_open();
		if (port->fd >= 0)
			return 0;
		nanosleep(&delay, NULL);
	}
	return port->fd;
}

/* Where the next byte goes, and how many are missing from the header or, after it, the payload. */
static char *next_place(struct port *port, size_t *n_missing)
{
	const uint32_t n_header = sizeof(port->header);

	if (port->n_have < n_header) {
		*n_missing = n_header - port->n_have;
		return (char *)&port->header + port->n_have;
	}
	*n_missing = port->header.size - (port->n_have - n_header);
	return port->payload + (port->n_have - n_header);
}

int port_read(struct port *port)
{
	for (;;) {
		size_t n_missing;
		char *place = next_place(port, &n_missing);
		ssize_t n;

		if (n_missing == 0) {
			port->payload[port->header.size] = '\0';
			port->n_have = 0;
			return 1;
		}
		n = read(port->fd, place, n_missing);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n > 0)
			port->n_have += (uint32_t)n;
		if (n <= 0 ||
			(port->n_have == sizeof(port->header) && port->header.size > FRAME_MAX)) {
			port->n_have = 0;
			return -EPIPE;
		}
	}
}

static void write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd room = { .fd = fd, .events = POLLOUT };

			poll(&room, 1, -1);
		} else if (n == 0 || errno != EINTR) {
			return;
		}
	}
}

void port_write(struct port *port, enum frame_type type, const void *payload, uint32_t size)
{
	const struct frame_header header = { .type = type, .size = size };

	write_all(port->fd, (const char *)&header, sizeof(header));
	write_all(port->fd, payload, size);
}
