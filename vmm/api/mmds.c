// SPDX-License-Identifier: MIT
/* mmds.c - a guest's metadata service: its process */

#include "api/mmds.h"

#include "api/mmds_confine.h"
#include "api/mmds_net.h"
#include "api/mmds_serve.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME       "mmds"
#define CONTROL_FD 3 /* in the child */

/* What the child is told as it is made. */
struct order {
	struct in_addr address;
	unsigned int n_nets;
	int control_fd;
	pid_t parent;
	struct mmds_counters *counters;
};

/* ---- in the child ---- */

/* Standard error is left, for messages. */
static int leave_files(const struct order *order)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
		dup2(order->control_fd, CONTROL_FD) < 0 || close_range(CONTROL_FD + 1, ~0u, 0))
		return -errno;
	return 0;
}

/* No handler of our parent's runs here, and no key of its terminal is for us. */
static void leave_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		if (i != SIGPIPE)
			signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
}

static int make_nets(const struct order *order, int *taps, int *listeners, struct diag *diag)
{
	for (unsigned int i = 0; i < order->n_nets; i++) {
		struct mmds_net net;
		int ret = mmds_net_make(&net, order->address, diag);

		if (ret)
			return ret;
		taps[i] = net.tap_fd;
		listeners[i] = net.listen_fd;
	}
	return 0;
}

static int set_up(const struct order *order, int *taps, int *listeners, struct diag *diag)
{
	int ret = leave_files(order);

	if (ret)
		return diag_fail(
			diag, -ret, "the metadata service has no files: %s", error_text(-ret));
	prctl(PR_SET_NAME, NAME);
	ret = make_nets(order, taps, listeners, diag);
	if (ret)
		return ret;
	json_object_seed(0); /* jansson's tables, by /dev/urandom, unless that is done */
	return mmds_confine(order->parent, diag);
}

_Noreturn static void be_service(const struct order *order)
{
	struct mmds_service service = {
		.counters = order->counters,
		.patience_ms = MMDS_PATIENCE_MS,
	};
	int taps[MMDS_MAX_NETS] = { 0 }, listeners[MMDS_MAX_NETS] = { 0 }, ret;
	struct mmds_hello hello = { 0 };

	leave_signals();
	ret = set_up(order, taps, listeners, &hello.diag);
	hello.err = -ret;
	if (mmds_wire_send(CONTROL_FD, &hello, sizeof(hello), taps, ret ? 0 : order->n_nets) || ret)
		_exit(1);
	for (unsigned int i = 0; i < order->n_nets; i++)
		close(taps[i]);
	mmds_store_init(&service.store, SIZE_MAX);
	ret = mmds_serve(&service, listeners, order->n_nets, CONTROL_FD);
	_exit(ret ? 1 : 0);
}

/* ---- in its parent ---- */

static void close_fds(struct mmds *mmds)
{
	for (unsigned int i = 0; i < MMDS_MAX_NETS; i++)
		if (mmds->tap_fd[i] >= 0)
			close(mmds->tap_fd[i]);
	if (mmds->control_fd >= 0)
		close(mmds->control_fd);
	munmap(mmds->counters, sizeof(*mmds->counters));
}

static int launch(struct mmds *mmds, struct order *order, struct diag *diag)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return diag_fail(diag, errno, "socketpair: %s", error_text(errno));
	mmds->control_fd = pair[0];
	order->control_fd = pair[1];
	mmds->child.pid = fork();
	if (!mmds->child.pid)
		be_service(order);
	err = errno;
	close(pair[1]);
	if (mmds->child.pid < 0)
		return diag_fail(diag, err, "fork: %s", error_text(err));
	mmds->child.pidfd = (int)syscall(SYS_pidfd_open, mmds->child.pid, 0);
	if (mmds->child.pidfd >= 0)
		return 0;
	err = errno;
	kill(mmds->child.pid, SIGKILL);
	waitpid(mmds->child.pid, NULL, 0);
	return diag_fail(diag, err, "pidfd_open: %s", error_text(err));
}

/* It waits for nobody while it sets itself up. */
static int await_hello(struct mmds *mmds, unsigned int n_nets, struct diag *diag)
{
	struct mmds_hello hello = { 0 };
	unsigned int n_fds = 0;
	int ret = mmds_wire_receive(
		mmds->control_fd, &hello, sizeof(hello), mmds->tap_fd, &n_fds, 0);

	if (ret == 1 && !hello.err && n_fds == n_nets)
		return 0;
	if (ret == 1 && hello.err)
		ret = diag_fail(diag, hello.err, "%s", hello.diag.text);
	else
		child_describe_end(&mmds->child, diag), ret = -ECHILD;
	child_end(&mmds->child);
	return ret;
}

static int start(struct mmds *mmds, struct order *order, struct diag *diag)
{
	int ret = launch(mmds, order, diag);

	if (!ret)
		ret = await_hello(mmds, order->n_nets, diag);
	if (ret)
		close_fds(mmds);
	return ret;
}

int mmds_start(struct mmds *mmds, struct in_addr address, unsigned int n_nets, struct diag *diag)
{
	struct order order = { .address = address, .n_nets = n_nets, .parent = getpid() };

	if (ntohl(address.s_addr) >> 16 != 0xa9fe)
		return diag_fail(diag, EINVAL,
			"%s is no address for the metadata service: take one of 169.254.0.0/16",
			inet_ntoa(address));
	if (!n_nets || n_nets > MMDS_MAX_NETS)
		return diag_fail(diag, EINVAL, "the metadata service has 1 to %d networks, not %u",
			MMDS_MAX_NETS, n_nets);
	*mmds = (struct mmds){
		.child = { .name = NAME, .pid = -1, .pidfd = -1, .words_fd = -1 },
		.control_fd = -1,
		.counters = mmap(NULL, sizeof(*mmds->counters), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	};
	if (mmds->counters == MAP_FAILED)
		return diag_fail(diag, ENOMEM, "out of memory");
	memset(mmds->tap_fd, -1, sizeof(mmds->tap_fd));
	order.counters = mmds->counters;
	return start(mmds, &order, diag);
}

/* A file of memory, for a store may be longer than a packet. */
static int file_of(const char *text)
{
	int fd = memfd_create("mmds", MFD_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = file_write_at(fd, text, strlen(text), 0);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static int send_change(const struct mmds *mmds, const struct mmds_change *change, const char *text)
{
	int fd = text ? file_of(text) : -ENOMEM, ret;

	if (fd < 0)
		return fd;
	ret = mmds_wire_send(mmds->control_fd, change, sizeof(*change), &fd, 1);
	close(fd);
	return ret;
}

int mmds_update(const struct mmds *mmds, const struct mmds_store *store, bool needs_token,
	struct diag *diag)
{
	const struct mmds_change change = {
		.needs_token = needs_token,
		.is_imds = store->is_imds,
	};
	char *text = mmds_store_text(store);
	int ret = send_change(mmds, &change, text);

	free(text);
	if (ret == -EAGAIN)
		return diag_fail(diag, EAGAIN, "the metadata service stands still");
	if (ret == -EPIPE || ret == -ECONNRESET)
		return diag_fail(diag, EPIPE, "the metadata service has ended");
	return ret ? diag_fail(diag, -ret, "the metadata service cannot be told: %s",
			     error_text(-ret))
	           : 0;
}

void mmds_end(struct mmds *mmds)
{
	child_end(&mmds->child);
	close_fds(mmds);
}
