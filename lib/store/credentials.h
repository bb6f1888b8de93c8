/*
 * What lib/auth asks of the database: whose a token or an API key is.
 */
#ifndef ZIGGIE_STORE_CREDENTIALS_H
#define ZIGGIE_STORE_CREDENTIALS_H

#include "auth/auth.h"

/* An auth_load: tokens_find() or api_keys_find() on a connection of the struct db_pool
 * that context is. */
enum err credentials_load(void *context, enum token_kind kind,
			  const uint8_t digest[TOKEN_DIGEST_LEN], const struct deadline *deadline,
			  struct principal *out, struct errmsg *why);

#endif
