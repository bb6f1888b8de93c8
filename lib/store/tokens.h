/*
 * The tokens table: the SHA-256 of each bearer token, whose it is and until when.
 * Errors as in db/db.h.
 */
#ifndef ZIGGIE_STORE_TOKENS_H
#define ZIGGIE_STORE_TOKENS_H

#include <stdint.h>

#include "auth/principal.h"
#include "auth/token.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/uuid.h"
#include "db/db.h"

/* The label says where it came from: "login", "ziggiectl". */
enum err tokens_add(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		    const struct uuid *user_id, const char *label, int64_t expires_us,
		    struct errmsg *why);

/* ERR_UNAUTHORIZED when there is none, it has expired or its user is disabled. */
enum err tokens_find(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		     struct principal *out, struct errmsg *why);

/* Taking away one that is not there is fine. */
enum err tokens_remove(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		       struct errmsg *why);
enum err tokens_remove_all_of(struct db_conn *db, const struct uuid *user_id, struct errmsg *why);
/* All but one. */
enum err tokens_remove_others_of(struct db_conn *db, const struct uuid *user_id,
				 const uint8_t kept[TOKEN_DIGEST_LEN], struct errmsg *why);

/* Deletes at most `most` that have expired. */
enum err tokens_remove_expired(struct db_conn *db, unsigned most, uint64_t *removed,
			       struct errmsg *why);

#endif
