/*
 * Bearer tokens: 256 random bits, shown once as "zgt_" and 43 characters of
 * base64url, kept as the SHA-256 of that text.  The database alone knows what a
 * token may do.  Thread-safe once auth_new() or sodium_init() has run.
 */
#ifndef ZIGGIE_AUTH_TOKEN_H
#define ZIGGIE_AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TOKEN_PREFIX "zgt_"
enum {
	TOKEN_TEXT_LEN = 4 + 43,
	TOKEN_TEXT_SIZE = TOKEN_TEXT_LEN + 1,
	TOKEN_DIGEST_LEN = 32,
};

/* A new token: the text for its owner, the digest for the database. */
void token_mint(char text[TOKEN_TEXT_SIZE], uint8_t digest[TOKEN_DIGEST_LEN]);

/* Whether it could be a token of ours at all; the others need no look-up. */
bool token_well_formed(const char *text, size_t len);

/* What the database keeps of a token. */
void token_digest(const char *text, size_t len, uint8_t digest[TOKEN_DIGEST_LEN]);

#endif
