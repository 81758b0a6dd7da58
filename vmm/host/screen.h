/* SPDX-License-Identifier: MIT */
/* screen.h - what of a guest's output changes the operator's terminal for longer than the guest
 *
 * Source: ECMA-48 for control sequences; xterm's ctlseqs for the private modes, which others have
 * taken over.  Bounded state, a byte at a time; nothing here is filtered.
 */
#ifndef HOST_SCREEN_H
#define HOST_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

enum screen_state { SCREEN_TEXT, SCREEN_ESCAPE, SCREEN_SEQUENCE, SCREEN_STRING };

struct screen {
	enum screen_state state;
	char prefix, middle;      /* of a sequence: '<' to '?', and ' ' to '/'; else 0 */
	uint32_t number, changed; /* its last number; the modes that it names */
	uint32_t modes;           /* bit i: mode i of the table is not as it was */
	uint64_t asked_ns;        /* when the terminal was last asked something; 0: never */
	bool asked_the_same;      /* and it was SCREEN_QUESTION */
};

void screen_see(struct screen *screen, uint8_t byte);

/* The text that undoes what is left, "" if nothing. */
#define SCREEN_UNDO 128
void screen_undo(const struct screen *screen, char undo[SCREEN_UNDO]);

/* The terminal was asked so short a time ago that its answer may be still to come. */
bool screen_waits(const struct screen *screen);

/* A question that terminals answer, and its answer: DSR, "are you well?" */
#define SCREEN_QUESTION "\033[5n"
#define SCREEN_ANSWER   "\033[0n"
struct answer {
	unsigned int n_missing; /* so often it is still to come */
	unsigned int n;         /* bytes of it that have come */
};
void answer_see(struct answer *answer, uint8_t byte);

#endif
