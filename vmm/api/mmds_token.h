/* SPDX-License-Identifier: MIT */
/* mmds_token.h - session tokens of the metadata service
 *
 * A token is 32 random bytes in hexadecimal.  So many are kept as MMDS_TOKENS says; one more takes
 * the place of that which would end first, whose holder asks for another.
 */
#ifndef API_MMDS_TOKEN_H
#define API_MMDS_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#define MMDS_TOKENS     1024
#define MMDS_TOKEN_SIZE 64 /* of its text, without the NUL */

#define MMDS_MIN_TTL 1u /* seconds */
#define MMDS_MAX_TTL 21600u

/* Zero-initialised. */
struct mmds_tokens {
	struct mmds_token {
		char text[MMDS_TOKEN_SIZE];
		uint64_t end_ns; /* as `now` below; 0: there is none */
	} token[MMDS_TOKENS];
};

/* A new one, for `ttl` seconds from `now_ns` on: CLOCK_MONOTONIC.  -EINVAL: out of bounds; -errno
 * of getrandom(2).
 */
int mmds_token_make(
	struct mmds_tokens *tokens, uint32_t ttl, uint64_t now_ns, char text[MMDS_TOKEN_SIZE + 1]);

/* Whether `text` is one that has not ended.  How long that takes does not depend on how much of it
 * is right.
 */
bool mmds_token_is_valid(const struct mmds_tokens *tokens, const char *text, uint64_t now_ns);

#endif
