// SPDX-License-Identifier: MIT
/* test_guest_mem_served.c - guest RAM whose pages somebody brings */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem/fault_fd.h"
#include "mem/guest_mem.h"
#include "skip.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGE    GUEST_MEM_PAGE
#define SIZE    MIB(4)
#define N_PAGES (SIZE / PAGE)

/* Who brings them: each is full of the low byte of its number. */
struct server {
	const struct guest_mem *mem;
	pthread_t thread;
	int stop; /* eventfd */
	atomic_uint brought[N_PAGES], removed[N_PAGES];
	atomic_uint n_brought;
	atomic_uint limit; /* of pages that it brings */
};

static void bring(struct server *server, uint64_t address)
{
	uint8_t *base = server->mem->region[0].hva;
	size_t page = (size_t)(address - (uintptr_t)base) / PAGE;
	_Alignas(PAGE) uint8_t data[PAGE];
	struct uffdio_copy copy = {
		.dst = (uintptr_t)base + page * PAGE,
		.src = (uintptr_t)data,
		.len = PAGE,
	};

	if (server->n_brought >= server->limit)
		return;
	memset(data, atomic_load(&server->removed[page]) ? 0 : (int)(page % 256), PAGE);
	/* Before who waits for it can look. */
	server->brought[page]++;
	server->n_brought++;
	if (ioctl(server->mem->fault_fd, UFFDIO_COPY, &copy)) {
		server->brought[page]--;
		server->n_brought--;
	}
}

static void note_removed(struct server *server, uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end; at += PAGE)
		server->removed[(at - (uintptr_t)server->mem->region[0].hva) / PAGE]++;
}

static void *serve(void *arg)
{
	struct server *server = arg;
	struct pollfd fds[] = { { server->mem->fault_fd, POLLIN, 0 }, { server->stop, POLLIN, 0 } };
	struct uffd_msg message;

	while (poll(fds, 2, -1) > 0 && !fds[1].revents)
		while (read(server->mem->fault_fd, &message, sizeof(message)) == sizeof(message)) {
			if (message.event == UFFD_EVENT_PAGEFAULT)
				bring(server, message.arg.pagefault.address);
			else if (message.event == UFFD_EVENT_REMOVE)
				note_removed(
					server, message.arg.remove.start, message.arg.remove.end);
		}
	return NULL;
}

static struct server server; /* zero but for what a test sets */

static void begin(struct guest_mem *mem, unsigned int limit)
{
	struct diag diag;
	int fd = fault_fd_open(&diag);

	if (fd == -EPERM)
		skip_because(diag.text);
	assert_true(fd >= 0);
	assert_int_equal(guest_mem_init_served(mem, SIZE, fd), 0);
	memset(&server, 0, sizeof(server));
	server.mem = mem;
	server.limit = limit;
	server.stop = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
}

static void end(struct guest_mem *mem)
{
	assert_int_equal(eventfd_write(server.stop, 1), 0);
	pthread_join(server.thread, NULL);
	close(server.stop);
	guest_mem_fini(mem);
}

static void check_page(const struct guest_mem *mem, size_t page, uint8_t byte)
{
	const uint8_t *at = guest_mem_at(mem, page * PAGE, PAGE);

	for (size_t i = 0; i < PAGE; i++)
		if (at[i] != byte)
			fail_msg("byte %zu of page %zu is %u", i, page, at[i]);
}

/* ---- */

static void test_each_is_brought_once(void **state)
{
	struct guest_mem mem;

	begin(&mem, N_PAGES);
	for (unsigned int round = 0; round < 2; round++) {
		check_page(&mem, 1, 1);
		check_page(&mem, 700, 700 % 256);
	}
	assert_int_equal(server.n_brought, 2);
	end(&mem);
}

static void test_what_is_given_back_is_told_and_zero(void **state)
{
	struct guest_mem mem;

	begin(&mem, N_PAGES);
	check_page(&mem, 3, 3);
	guest_mem_give_back(&mem, guest_mem_at(&mem, 3 * PAGE, 2 * PAGE), 2 * PAGE);
	while (!server.removed[4])
		usleep(1000);
	assert_int_equal(server.removed[3], 1);
	check_page(&mem, 3, 0);
	assert_int_equal(server.brought[3], 2);
	end(&mem);
}

/* All but what was given back, and is zero without anybody's being asked. */
static void test_all_is_fetched(void **state)
{
	const atomic_bool stop = false;
	struct guest_mem mem;

	begin(&mem, N_PAGES);
	check_page(&mem, 5, 5);
	guest_mem_give_back(&mem, guest_mem_at(&mem, 6 * PAGE, PAGE), PAGE);
	while (!server.removed[6])
		usleep(1000);
	assert_int_equal(guest_mem_fetch(&mem, &stop), 0);
	for (size_t i = 0; i < N_PAGES; i++)
		assert_int_equal(server.brought[i], i != 6);
	assert_int_equal(guest_mem_fetch(&mem, &stop), 0);
	assert_int_equal(server.n_brought, N_PAGES - 1);
	end(&mem);
}

static void *fetch(void *arg)
{
	static atomic_bool stop;
	const struct guest_mem *mem = arg;

	return (void *)(intptr_t)guest_mem_fetch(mem, &stop);
}

/* Who waits for what does not come goes on when nobody needs it any more. */
static void test_waiting_has_an_end(void **state)
{
	struct guest_mem mem;
	pthread_t waits;
	void *result;

	begin(&mem, 10);
	assert_int_equal(pthread_create(&waits, NULL, fetch, &mem), 0);
	while (server.n_brought < 10)
		usleep(1000);
	guest_mem_stop_serving(&mem);
	pthread_join(waits, &result);
	assert_null(result);
	check_page(&mem, 9, 9);
	check_page(&mem, 10, 0);
	end(&mem);
}

static void test_it_can_be_stopped(void **state)
{
	const atomic_bool stop = true;
	struct guest_mem mem;

	begin(&mem, N_PAGES);
	assert_int_equal(guest_mem_fetch(&mem, &stop), -ECANCELED);
	assert_int_equal(server.n_brought, 0);
	end(&mem);
}

/* After a reset it is memory as any other. */
static void test_reset(void **state)
{
	struct guest_mem mem;

	begin(&mem, N_PAGES);
	check_page(&mem, 2, 2);
	assert_int_equal(eventfd_write(server.stop, 1), 0);
	pthread_join(server.thread, NULL);
	assert_int_equal(guest_mem_reset(&mem), 0);
	assert_false(mem.is_served);
	check_page(&mem, 2, 0);
	check_page(&mem, 3, 0);
	close(server.stop);
	guest_mem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_brought_once),
		cmocka_unit_test(test_what_is_given_back_is_told_and_zero),
		cmocka_unit_test(test_all_is_fetched),
		cmocka_unit_test(test_waiting_has_an_end),
		cmocka_unit_test(test_it_can_be_stopped),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
