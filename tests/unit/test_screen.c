// SPDX-License-Identifier: MIT
/* test_screen.c - what a guest's output leaves behind on a terminal */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/screen.h"
#include "util/bits.h"

#include <stdio.h>
#include <string.h>

static struct screen see(const char *text)
{
	struct screen screen = { 0 };

	for (; *text; text++)
		screen_see(&screen, (uint8_t)*text);
	return screen;
}

static void test_undo(void **state)
{
	static const struct {
		const char *text, *undo;
	} cases[] = {
		{ "plain text\r\n\033[1;31mred\033[m\033[2J\033[?7h\033]0;title\a", "" },
		{ "\033[?1000h", "\033[?1000l" },
		{ "\033[?1002h\033[?1006h", "\033[?1002l\033[?1006l" },
		{ "\033[?1002;1006h", "\033[?1002l\033[?1006l" },
		{ "\033[?1002;1006h\033[?1002l", "\033[?1006l" },
		{ "\033[?2004h", "\033[?2004l" },
		{ "\033[?2004h\033[?2004l", "" },
		{ "\033[?25l", "\033[?25h" },
		{ "\033[?25l\033[?25h", "" },
		{ "\033[?1049h text", "\033[?1049l" },
		{ "\033[?1049h\033c", "" }, /* reset */
		/* Others that look alike: of ANSI, of another prefix, asked for, other numbers. */
		{ "\033[1000h\033[>2004h\033[?2004$p\033[?10000h\033[?100h\033[2004?hl", "" },
		{ "\033[?99999999999999999999h\033[?;;h", "" },
		/* No sequence, and one that was given up. */
		{ "[?1000h\033?1000h\033[?10\03000h", "" },
		{ "\033[?10\033[?2004h", "\033[?2004l" },
		/* One that is cut short must not swallow ours. */
		{ "\033[?2004h\033[?10", "\030\033[?2004l" },
		{ "\033[?2004h\033]0;title", "\030\033[?2004l" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct screen screen = see(cases[i].text);
		char undo[SCREEN_UNDO];

		screen_undo(&screen, undo);
		assert_string_equal(undo, cases[i].undo);
	}
}

/* All of them together have room, and undone they are gone. */
static void test_undo_all(void **state)
{
	struct screen screen = { 0 };
	char text[16], undo[SCREEN_UNDO];

	for (unsigned int mode = 0; mode < 3000; mode++) {
		snprintf(text, sizeof(text), "\033[?%u%c", mode, mode == 25 ? 'l' : 'h');
		for (const char *c = text; *c; c++)
			screen_see(&screen, (uint8_t)*c);
	}
	screen_see(&screen, 0x1b);
	screen_undo(&screen, undo);
	assert_non_null(strstr(undo, "\033[?1l"));
	assert_string_equal(undo + strlen(undo) - 8, "\033[?2004l");
	for (const char *c = undo; *c; c++)
		screen_see(&screen, (uint8_t)*c);
	assert_int_equal(screen.modes, 0);
}

static void test_questions(void **state)
{
	static const char *const questions[] = { "\033[6n", "\033[?6n", "\033[5n", "\033[c",
		"\033[>c", "\033[0c", "\033Z", "\033[x", "\033[?2004$p", "\033[>q", "\033]11;?\a",
		"\033P$qm\033\\", "\033P+q544e\033\\" };
	static const char *const others[] = { "", "6n", "\033[m", "\033[2 q", "\033[!p",
		"\033]0;n\a?", "\033(c", "\033[6\030n" };

	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		struct screen screen = see(questions[i]);

		assert_true(screen_waits(&screen));
		assert_int_equal(screen.asked_the_same, !strcmp(questions[i], SCREEN_QUESTION));
		screen.asked_ns -= 3000000000; /* it was answered long ago, or never */
		assert_false(screen_waits(&screen));
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct screen screen = see(others[i]);

		assert_false(screen_waits(&screen));
	}
}

static void test_answer(void **state)
{
	static const struct {
		const char *text;
		unsigned int n_missing;
	} cases[] = { { "\033[0n", 1 }, { "\033[0n\033[0n", 0 },
		{ "\033[12;40Rkey\033[0n\033[0n", 0 }, { "\033[\033[0n\033\033[0n", 0 },
		{ "\033[0\033[0", 2 }, { "[0n[0n", 2 }, { "\033[0n\033[0n\033[0n", 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer answer = { .n_missing = 2 };

		for (const char *c = cases[i].text; *c; c++)
			answer_see(&answer, (uint8_t)*c);
		assert_int_equal(answer.n_missing, cases[i].n_missing);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_undo_all),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
