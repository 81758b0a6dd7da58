// SPDX-License-Identifier: MIT
/* screen.c - what of a guest's output changes the operator's terminal for longer than the guest */

#include "host/screen.h"

#include "util/bits.h"
#include "util/timeline.h"

#include <stdio.h>
#include <string.h>

#define ESC       0x1b
#define CAN       0x18          /* ends a sequence */
#define ANSWER_NS 2000000000ull /* a terminal far away has answered by then */

/* Private modes that a shell does not expect to find changed. */
static const struct mode {
	uint16_t number;
	char usual; /* 'h': on, 'l': off */
} modes[] = {
	{ 1, 'l' },    /* cursor keys send other sequences */
	{ 9, 'l' },    /* the mouse tells where it is */
	{ 25, 'h' },   /* the cursor is seen */
	{ 47, 'l' },   /* the other screen */
	{ 1000, 'l' }, /* the mouse again, by more and more events */
	{ 1001, 'l' }, { 1002, 'l' }, { 1003, 'l' },
	{ 1004, 'l' }, /* the window tells when it is entered and left */
	{ 1005, 'l' }, /* the mouse, in other words */
	{ 1006, 'l' }, { 1015, 'l' }, { 1016, 'l' }, { 1047, 'l' }, /* the other screen again */
	{ 1049, 'l' }, { 2004, 'l' }, /* what is pasted stands between brackets */
};

static void ask(struct screen *screen, bool the_same)
{
	screen->asked_ns = timeline_now();
	screen->asked_the_same = the_same;
}

/* The last number of the sequence is whole. */
static void end_number(struct screen *screen)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (screen->prefix == '?' && modes[i].number == screen->number)
			screen->changed |= 1u << i;
	screen->number = 0;
}

static void end_sequence(struct screen *screen, char final)
{
	bool is_status = final == 'n' && screen->number == 5 && !screen->prefix;

	end_number(screen);
	for (size_t i = 0; i < ARRAY_SIZE(modes) && (final == 'h' || final == 'l'); i++) {
		if (!(screen->changed & 1u << i))
			continue;
		screen->modes &= ~(1u << i);
		if (final != modes[i].usual)
			screen->modes |= 1u << i;
	}
	/* DSR and its kin, DA; DECREQTPARM; DECRQM; XTVERSION. */
	if (final == 'n' || final == 'c' || final == 'x' ||
		(final == 'p' && screen->middle == '$') || (final == 'q' && screen->prefix == '>'))
		ask(screen, is_status);
	screen->state = SCREEN_TEXT;
}

static void see_sequence(struct screen *screen, char c)
{
	if (c >= '0' && c <= '9') {
		if (screen->number < UINT16_MAX)
			screen->number = screen->number * 10 + (uint32_t)(c - '0');
	} else if (c >= '<' && c <= '?') {
		screen->prefix = c;
		screen->number = 0;
	} else if (c == ';' || c == ':') {
		end_number(screen);
	} else if (c >= ' ' && c <= '/') {
		screen->middle = c;
	} else if (c >= '@' && c <= '~') {
		end_sequence(screen, c);
	}
}

/* A string that asks: a colour by OSC, a setting or a capability by DCS. */
static void see_string(struct screen *screen, char c)
{
	if (c == '?' || c == '$' || c == '+')
		ask(screen, false);
	else if (c == '\a')
		screen->state = SCREEN_TEXT;
}

void screen_see(struct screen *screen, uint8_t byte)
{
	if (byte == ESC) {
		*screen = (struct screen){ SCREEN_ESCAPE, .modes = screen->modes,
			.asked_ns = screen->asked_ns, .asked_the_same = screen->asked_the_same };
		return;
	}
	if (byte == CAN)
		screen->state = SCREEN_TEXT;
	switch (screen->state) {
	case SCREEN_TEXT: break;
	case SCREEN_ESCAPE:
		screen->state = byte == '['                  ? SCREEN_SEQUENCE
		                : byte == ']' || byte == 'P' ? SCREEN_STRING
		                                             : SCREEN_TEXT;
		if (byte == 'Z') /* DECID */
			ask(screen, false);
		if (byte == 'c') /* RIS: all is as it was */
			screen->modes = 0;
		break;
	case SCREEN_SEQUENCE: see_sequence(screen, (char)byte); break;
	case SCREEN_STRING: see_string(screen, (char)byte); break;
	}
}

void screen_undo(const struct screen *screen, char undo[SCREEN_UNDO])
{
	size_t n = 0;

	/* A sequence that was cut short would take ours for its rest. */
	undo[0] = '\0';
	if (screen->state != SCREEN_TEXT && screen->modes)
		n += (size_t)snprintf(undo, SCREEN_UNDO, "\030");
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (screen->modes & 1u << i)
			n += (size_t)snprintf(undo + n, SCREEN_UNDO - n, "\033[?%u%c",
				modes[i].number, modes[i].usual);
}

bool screen_waits(const struct screen *screen)
{
	return screen->asked_ns && timeline_now() - screen->asked_ns < ANSWER_NS;
}

void answer_see(struct answer *answer, uint8_t byte)
{
	static const char whole[] = SCREEN_ANSWER;

	answer->n = byte == (uint8_t)whole[answer->n] ? answer->n + 1 : byte == ESC;
	if (answer->n < sizeof(whole) - 1)
		return;
	answer->n = 0;
	if (answer->n_missing)
		answer->n_missing--;
}
