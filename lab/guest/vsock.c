// SPDX-License-Identifier: MIT
/* vsock.c - streams to the host, for scripts of a guest
 *
 * vsock echo PORT		accept one stream, and give back what comes
 * vsock send CID PORT		standard input to the stream, then what comes to standard output
 * vsock cid			print our own
 */

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* Everything, until the end. */
static int copy(int from, int to)
{
	static char data[65536];
	ssize_t n, done, some;

	while ((n = read(from, data, sizeof(data))) > 0)
		for (done = 0; done < n; done += some) {
			some = write(to, data + done, (size_t)(n - done));
			if (some < 0)
				return -1;
		}
	return n < 0 ? -1 : 0;
}

static int echo(int fd, struct sockaddr_vm *addr)
{
	int stream;

	if (bind(fd, (struct sockaddr *)addr, sizeof(*addr)) || listen(fd, 1))
		return fail("listen");
	puts("@@ ready echo");
	fflush(stdout);
	stream = accept(fd, NULL, NULL);
	return stream < 0 || copy(stream, stream) ? fail("echo") : 0;
}

static int send_all(int fd, struct sockaddr_vm *addr)
{
	if (connect(fd, (struct sockaddr *)addr, sizeof(*addr)))
		return fail("connect");
	/* Both at once: the other end may not take more before we have taken what it gave. */
	switch (fork()) {
	case -1: return fail("fork");
	case 0: _exit(copy(0, fd) || shutdown(fd, SHUT_WR) ? fail("send") : 0);
	default: return copy(fd, 1) ? fail("receive") : 0;
	}
}

static int print_cid(void)
{
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
	unsigned int cid;

	if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid))
		return fail("/dev/vsock");
	printf("%u\n", cid);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_vm addr = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (argc == 2 && !strcmp(argv[1], "cid"))
		return print_cid();
	if (fd < 0)
		return fail("socket");
	if (argc == 3 && !strcmp(argv[1], "echo")) {
		addr.svm_port = (unsigned int)atoi(argv[2]);
		return echo(fd, &addr);
	}
	if (argc == 4 && !strcmp(argv[1], "send")) {
		addr.svm_cid = (unsigned int)atoi(argv[2]);
		addr.svm_port = (unsigned int)atoi(argv[3]);
		return send_all(fd, &addr);
	}
	fputs("usage: vsock echo PORT | vsock send CID PORT | vsock cid\n", stderr);
	return 2;
}
