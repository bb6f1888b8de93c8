/*
 * The api_keys table: the SHA-256 of each key, whose it is, what for and until when.
 * Errors as in db/db.h.
 */
#ifndef ZIGGIE_STORE_API_KEYS_H
#define ZIGGIE_STORE_API_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "auth/principal.h"
#include "auth/token.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "db/db.h"

/* Texts belong to the arena that the key was read into.  Times in microseconds, 0 for never. */
struct api_key {
	struct uuid id;
	struct uuid user_id;
	const char *username; /* read, not written */
	const char *name;     /* what for */
	const char *prefix;   /* its first KEY_SHOWN_LEN characters */
	struct scopes scopes;
	struct uuid agent_id; /* nil for none */
	int64_t created_us;
	int64_t expires_us;
	int64_t last_used_us;
	int64_t revoked_us;
};

/* ERR_INVALID when there is no such agent. */
enum err api_keys_add(struct db_conn *db, const struct api_key *key,
		      const uint8_t digest[TOKEN_DIGEST_LEN], struct errmsg *why);

/* A part of the list, the newest first. */
struct api_key_page {
	const struct uuid *owner;  /* NULL for all users' */
	const struct uuid *before; /* the last one of the page before; NULL at the beginning */
	uint64_t skip, limit;
};
enum err api_keys_list(struct db_conn *db, struct arena *arena, const struct api_key_page *page,
		       struct api_key **out, size_t *count, uint64_t *total, struct errmsg *why);

/* Locks it until the transaction ends; ERR_NOT_FOUND. */
enum err api_keys_lock(struct db_conn *db, struct arena *arena, const struct uuid *id,
		       struct api_key *out, struct errmsg *why);
/* One that is revoked already keeps its time. */
enum err api_keys_revoke(struct db_conn *db, const struct uuid *id, int64_t wall_us,
			 struct errmsg *why);

/* ERR_UNAUTHORIZED when there is none, it has expired, was revoked or its user is disabled. */
enum err api_keys_find(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		       struct principal *out, struct errmsg *why);

/* Notes that it was used, unless that was noted less than a minute ago. */
enum err api_keys_note_use(struct db_conn *db, const struct uuid *id, int64_t wall_us,
			   struct errmsg *why);

#endif
