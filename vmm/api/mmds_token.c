// SPDX-License-Identifier: MIT
/* mmds_token.c - session tokens of the metadata service */

#include "api/mmds_token.h"

#include "util/random.h"

#include <errno.h>
#include <string.h>

#define S UINT64_C(1000000000)

static struct mmds_token *first_to_end(struct mmds_tokens *tokens)
{
	struct mmds_token *first = tokens->token;

	for (unsigned int i = 1; i < MMDS_TOKENS; i++)
		if (tokens->token[i].end_ns < first->end_ns)
			first = &tokens->token[i];
	return first;
}

int mmds_token_make(
	struct mmds_tokens *tokens, uint32_t ttl, uint64_t now_ns, char text[MMDS_TOKEN_SIZE + 1])
{
	struct mmds_token *token = first_to_end(tokens);
	unsigned char secret[MMDS_TOKEN_SIZE / 2];

	if (ttl < MMDS_MIN_TTL || ttl > MMDS_MAX_TTL)
		return -EINVAL;
	if (random_bytes(secret, sizeof(secret)) != sizeof(secret))
		return errno ? -errno : -EIO;
	for (unsigned int i = 0; i < sizeof(secret); i++) {
		token->text[2 * i] = "0123456789abcdef"[secret[i] >> 4];
		token->text[2 * i + 1] = "0123456789abcdef"[secret[i] & 15];
	}
	token->end_ns = now_ns + ttl * S;
	memcpy(text, token->text, MMDS_TOKEN_SIZE);
	text[MMDS_TOKEN_SIZE] = '\0';
	return 0;
}

static unsigned int differs(const char *a, const char *b)
{
	unsigned char sum = 0;

	for (unsigned int i = 0; i < MMDS_TOKEN_SIZE; i++)
		sum |= (unsigned char)(a[i] ^ b[i]);
	return sum;
}

bool mmds_token_is_valid(const struct mmds_tokens *tokens, const char *text, uint64_t now_ns)
{
	unsigned int n_same = 0;

	if (strlen(text) != MMDS_TOKEN_SIZE)
		return false;
	for (unsigned int i = 0; i < MMDS_TOKENS; i++)
		n_same += !differs(tokens->token[i].text, text) &
		          (tokens->token[i].end_ns > now_ns);
	return n_same;
}
