/*
 * What opens the API: the token of a session and the API key of a program, 256 random
 * bits each.  It is shown once, as a prefix and 43 characters of base64url, and kept
 * as the SHA-256 of that text.  The database alone knows what it may do.
 * Thread-safe once auth_new() or sodium_init() has run.
 */
#ifndef ZIGGIE_AUTH_TOKEN_H
#define ZIGGIE_AUTH_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum token_kind { TOKEN_SESSION, TOKEN_KEY };

enum {
	TOKEN_TEXT_LEN = 4 + 43, /* of a session: "zgt_…" */
	KEY_TEXT_LEN = 3 + 43,   /* "zk_…" */
	TOKEN_TEXT_SIZE = TOKEN_TEXT_LEN + 1,
	KEY_SHOWN_LEN = 3 + 8, /* of a key, what lists show to tell it from others */
	TOKEN_DIGEST_LEN = 32,
};

/* A new one: the text for its owner, the digest for the database. */
void token_mint(enum token_kind kind, char text[TOKEN_TEXT_SIZE], uint8_t digest[TOKEN_DIGEST_LEN]);

/* Whether it could be one of that kind at all; the others need no look-up. */
bool token_well_formed(enum token_kind kind, const char *text, size_t len);

/* What the database keeps. */
void token_digest(const char *text, size_t len, uint8_t digest[TOKEN_DIGEST_LEN]);

#endif
