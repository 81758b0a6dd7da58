// SPDX-License-Identifier: MIT
/* test_util.c - messages, reasons, ranges, reads and writes of files */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/bits.h"
#include "util/diag.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void test_range_within(void **state)
{
	assert_true(range_within(0, 0, 0, 0));
	assert_true(range_within(10, 5, 10, 5));
	assert_true(range_within(15, 0, 10, 5));
	assert_false(range_within(9, 1, 10, 5));
	assert_false(range_within(10, 6, 10, 5));
	assert_false(range_within(16, 0, 10, 5));
	/* Nothing wraps. */
	assert_false(range_within(11, UINT64_MAX, 10, 5));
	assert_false(range_within(UINT64_MAX, 2, 0, 100));
	assert_true(range_within(UINT64_MAX - 1, 1, UINT64_MAX - 1, 1));
}

static void test_alignment(void **state)
{
	assert_int_equal(ALIGN_UP(UINT64_C(0x1001), 0x1000), 0x2000);
	assert_int_equal(ALIGN_UP(UINT64_C(0x1000), 0x1000), 0x1000);
	assert_int_equal(ALIGN_DOWN(UINT64_C(0xffffffffffff1fff), 0x1000), 0xffffffffffff1000);
	assert_true(is_power_of_2(1));
	assert_true(is_power_of_2(UINT64_C(1) << 63));
	assert_false(is_power_of_2(0));
	assert_false(is_power_of_2(6));
}

static void test_diag(void **state)
{
	char name[2 * sizeof(struct diag)];
	struct diag diag;

	assert_int_equal(diag_fail(&diag, ENOENT, "no %s\033[2J\n\x7f", "file"), -ENOENT);
	assert_string_equal(diag.text, "no file?[2J??");

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	diag_fail(&diag, EINVAL, "%s", name);
	assert_int_equal(strlen(diag.text), sizeof(diag.text) - 1);
}

/* What a terminal must not be shown becomes a '?', a character each; the rest stays. */
static void test_text(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "", "" },
		{ "plain ~", "plain ~" },
		{ "\033[2J\r\n\t\x7f", "?[2J????" },
		{ "\u00e9\u0416\u4e2d\U0001f600", "\u00e9\u0416\u4e2d\U0001f600" },
		/* C1: CSI, OSC, NEL; but not what stands beside them. */
		{ "\302\233"
		  "2J\302\235\302\205\302\240",
			"?2J??\302\240" },
		{ "\233"
		  "2J",
			"?2J" },
		/* Direction. */
		{ "\u200e\u200f\u061c|\u202a\u202b\u202c\u202d\u202e|\u2066\u2067\u2068\u2069",
			"???|?????|????" },
		/* Lines, nothings, tags. */
		{ "\u2028\u2029|\u200b\ufeff\u00ad|\U000e0041", "??|???|?" },
		/* No characters, surrogates, beyond Unicode. */
		{ "\xef\xbf\xbe|\xed\xa0\x80|\xf4\x90\x80\x80", "?|?|?" },
		/* Longer than need be: NUL, '/', ESC. */
		{ "\xc0\x80|\xc0\xaf|\xe0\x80\x9b|\xf0\x80\x80\xaf", "??|??|???|????" },
		/* Cut short, by another character and by the end. */
		{ "\xe4\xb8|\xe4\xb8\xe4\xb8\xad|\xf0\x9f\x98", "??|??\u4e2d|???" },
		{ "\x80\xbf\xf8\xff", "????" },
	};
	char text[64], *printed;
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		FILE *out = open_memstream(&printed, &size);

		snprintf(text, sizeof(text), "%s", cases[i].text);
		assert_int_equal(text_make_printable(text), strlen(cases[i].shown));
		assert_string_equal(text, cases[i].shown);
		text_print(out, cases[i].text);
		fclose(out);
		assert_string_equal(printed, cases[i].shown);
		free(printed);
	}
}

static void test_text_fit(void **state)
{
	char text[500], fitted[64];

	assert_int_equal(text_fit(fitted, sizeof(fitted), "short\n"), 6);
	assert_string_equal(fitted, "short?");
	/* The end stays; a character that the cut went through is none. */
	for (size_t i = 0; i < 400; i += 2)
		memcpy(text + i, "\u00e9", 2);
	memcpy(text + 400, ": the reason", 13);
	text_fit(fitted, sizeof(fitted), text);
	assert_in_range(strlen(fitted), 60, 63);
	assert_string_equal(fitted + strlen(fitted) - 12, ": the reason");
	assert_non_null(strstr(fitted, "\u00e9? ... "));
}

/* What log_at() writes goes through a pipe; the number of bytes is returned. */
static size_t capture_log(enum log_level level, const char *text, char *out, size_t size)
{
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	log_at(level, "%s", text);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	close(fds[1]);
	n = read(fds[0], out, size);
	close(fds[0]);
	assert_true(n >= 0);
	return (size_t)n;
}

static void test_log(void **state)
{
	char text[4096], out[8192];
	size_t n;

	n = capture_log(LOG_LEVEL_WARN, "a", out, sizeof(out));
	assert_int_equal(n, strlen("pronto: warn: a\n"));
	assert_memory_equal(out, "pronto: warn: a\n", n);
	assert_int_equal(capture_log(LOG_LEVEL_INFO, "a", out, sizeof(out)), 0);

	log_set_level(LOG_LEVEL_INFO);
	log_set_raw(true);
	n = capture_log(LOG_LEVEL_INFO, "a", out, sizeof(out));
	assert_memory_equal(out, "pronto: info: a\r\n", n);

	/* Cut, and still a line. */
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	n = capture_log(LOG_LEVEL_ERROR, text, out, sizeof(out));
	assert_in_range(n, 500, 1024);
	assert_memory_equal(out + n - 3, "x\r\n", 3);
	log_set_raw(false);
	log_set_level(LOG_LEVEL_WARN);
}

/* Standard error is a pipe that nobody reads.  It takes what it can, a little more is kept, and
 * nobody waits; later all that was kept comes, whole and in its order, and how much did not.
 */
static void test_log_does_not_wait(void **state)
{
	unsigned int n_written = 4096 / 64, n_kept = LOG_KEPT / 64, n_lost = 100, i = 0;
	char line[128], *text = malloc(65536), *at = text;
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
	dup2(fds[1], STDERR_FILENO);
	log_open();
	for (; i < n_written + n_kept + n_lost; i++)
		log_warn("message %04u %036d", i, 0);
	n = read(fds[0], text, 65536);
	fcntl(fds[1], F_SETPIPE_SZ, 65536);
	log_warn("and on");
	dup2(saved, STDERR_FILENO);
	log_open();
	close(saved);
	assert_int_equal(n, 4096);
	n += read(fds[0], text + n, 65536 - (size_t)n);
	text[n] = '\0';
	for (i = 0; i < n_written + n_kept; i++, at += strlen(line)) {
		snprintf(line, sizeof(line), "pronto: warn: message %04u %036d\n", i, 0);
		assert_int_equal(strlen(line), 64);
		assert_memory_equal(at, line, strlen(line));
	}
	assert_string_equal(at,
		"pronto: warn: nobody read standard error; 100 messages were dropped\n"
		"pronto: warn: and on\n");
	for (i = 0; i < 2; i++)
		close(fds[i]);
	free(text);
}

static void test_log_limit(void **state)
{
	struct log_limit limit = { 0 };
	size_t n_ok = 0;

	for (int i = 0; i < 100; i++)
		n_ok += log_limit_ok(&limit);
	/* 2: the second may turn meanwhile. */
	assert_in_range(n_ok, 1, 2);
}

static void test_file_read(void **state)
{
	int fd = memfd_create("read", MFD_CLOEXEC);
	char data[8] = "";

	assert_int_equal(file_write_at(fd, "abcdef", 6, 2), 0);
	assert_int_equal(file_read_at(fd, data, 4, 4), 0);
	assert_memory_equal(data, "cdef\0", 5);
	assert_int_equal(file_read_at(fd, data, 5, 4), -ENODATA);
	assert_int_equal(file_read_some(fd, data, 5, 4), 4);
	assert_int_equal(file_read_some(fd, data, 5, 8), 0);
	assert_int_equal(file_read_at(fd, data, 0, 100), 0);
	/* No file reaches as far. */
	assert_int_equal(file_read_at(fd, data, 2, INT64_MAX), -ENODATA);
	assert_int_equal(file_read_at(fd, data, 2, UINT64_MAX), -ENODATA);
	close(fd);
	assert_int_equal(file_read_at(fd, data, 1, 0), -EBADF);
	assert_int_equal(file_read_some(fd, data, 1, 0), -EBADF);
	assert_int_equal(file_write_at(fd, data, 1, 0), -EBADF);
}

/* A write that the limit cuts short is gone on with, and the next says why. */
static void test_file_write_cut_short(void **state)
{
	int fd = memfd_create("write", MFD_CLOEXEC);
	struct rlimit limit, old;
	char data[6] = "";

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ 5, old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(file_write_at(fd, "abcdef", 6, 1), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(file_read_some(fd, data, sizeof(data), 0), 5);
	assert_memory_equal(data, "\0abcd", 5);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range_within),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_diag),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_fit),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_log_does_not_wait),
		cmocka_unit_test(test_log_limit),
		cmocka_unit_test(test_file_read),
		cmocka_unit_test(test_file_write_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
