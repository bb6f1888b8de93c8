#include "store/tokens.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

enum err tokens_add(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		    const struct uuid *user_id, const char *label, int64_t expires_us,
		    struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO tokens (hash, user_id, created_at, expires_at, label)"
	    " VALUES (?, ?, ?, ?, ?)";
	return db_exec(db, sql,
		       DB_BINDS(db_blob(digest, TOKEN_DIGEST_LEN),
				db_blob(user_id->bytes, sizeof(user_id->bytes)),
				db_time(clock_wall_us()), db_time(expires_us), db_text(label)),
		       NULL, why);
}

static enum err fill_principal(const struct db_result *rows, struct principal *out,
			       struct errmsg *why)
{
	size_t id_len;
	const void *id_bytes = db_col_blob(rows, 0, 0, &id_len);
	AN_INVARIANT(id_len == sizeof(out->user_id.bytes));
	*out = (struct principal){
	    .role = role_parse(db_col_text(rows, 0, 2)),
	    .expires_us = db_col_time_us(rows, 0, 3),
	};
	memcpy(out->user_id.bytes, id_bytes, id_len);
	const char *username = db_col_text(rows, 0, 1);
	int len = snprintf(out->username, sizeof(out->username), "%s", username);
	AN_INVARIANT((size_t)len < sizeof(out->username));
	if (out->role == ROLE_NONE)
		return err_set(why, ERR_INTERNAL, "user %s has an unknown role", username);
	return ERR_OK;
}

enum err tokens_find(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		     struct principal *out, struct errmsg *why)
{
	static const char sql[] = "SELECT u.id, u.username, u.role, t.expires_at FROM tokens t"
				  " JOIN users u ON u.id = t.user_id"
				  " WHERE t.hash = ? AND t.expires_at > ? AND u.is_active";
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 2048, 16384);
	enum err err = db_query(
	    db, &arena, sql, DB_BINDS(db_blob(digest, TOKEN_DIGEST_LEN), db_time(clock_wall_us())),
	    &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		err = err_set(why, ERR_UNAUTHORIZED, "the token is not valid or has expired");
	else if (err == ERR_OK)
		err = fill_principal(&rows, out, why);
	arena_release(&arena);
	return err;
}

enum err tokens_remove(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		       struct errmsg *why)
{
	return db_exec(db, "DELETE FROM tokens WHERE hash = ?",
		       DB_BINDS(db_blob(digest, TOKEN_DIGEST_LEN)), NULL, why);
}

enum err tokens_remove_all_of(struct db_conn *db, const struct uuid *user_id, struct errmsg *why)
{
	return db_exec(db, "DELETE FROM tokens WHERE user_id = ?",
		       DB_BINDS(db_blob(user_id->bytes, sizeof(user_id->bytes))), NULL, why);
}

enum err tokens_remove_others_of(struct db_conn *db, const struct uuid *user_id,
				 const uint8_t kept[TOKEN_DIGEST_LEN], struct errmsg *why)
{
	return db_exec(db, "DELETE FROM tokens WHERE user_id = ? AND hash <> ?",
		       DB_BINDS(db_blob(user_id->bytes, sizeof(user_id->bytes)),
				db_blob(kept, TOKEN_DIGEST_LEN)),
		       NULL, why);
}

enum err tokens_remove_expired(struct db_conn *db, unsigned most, uint64_t *removed,
			       struct errmsg *why)
{
	return db_exec(db, "DELETE FROM tokens WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
		       DB_BINDS(db_time(clock_wall_us()), db_u64(most)), removed, why);
}
