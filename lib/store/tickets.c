#include "store/tickets.h"

#include "base/clock.h"
#include "store/tokens.h"

enum err tickets_add(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		     const uint8_t session[TOKEN_DIGEST_LEN], int64_t wall_us, struct errmsg *why)
{
	static const char sql[] = "INSERT INTO ws_tickets (hash, token_hash, expires_at)"
				  " SELECT ?, hash, ? FROM tokens WHERE hash = ?";
	uint64_t added;
	enum err err = db_exec(db, sql,
			       DB_BINDS(db_blob(digest, TOKEN_DIGEST_LEN),
					db_time(wall_us + TICKET_LIFETIME_S * US_PER_S),
					db_blob(session, TOKEN_DIGEST_LEN)),
			       &added, why);
	if (err == ERR_OK && added == 0)
		return err_set(why, ERR_UNAUTHORIZED, "the session has ended");
	return err;
}

static enum err not_valid(struct errmsg *why)
{
	return err_set(why, ERR_UNAUTHORIZED, "the ticket is not valid or was used before");
}

enum err tickets_take(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		      struct principal *out, struct errmsg *why)
{
	static const char find[] = "SELECT token_hash FROM ws_tickets WHERE hash = ? AND"
				   " expires_at > ? FOR UPDATE";
	struct arena arena;
	struct db_result rows;
	size_t len;
	arena_init(&arena, 1024, 4096);
	enum err err = db_query(
	    db, &arena, find, DB_BINDS(db_blob(digest, TOKEN_DIGEST_LEN), db_time(clock_wall_us())),
	    &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		err = not_valid(why);
	if (err == ERR_OK)
		err = db_exec(db, "DELETE FROM ws_tickets WHERE hash = ?",
			      DB_BINDS(db_blob(digest, TOKEN_DIGEST_LEN)), NULL, why);
	if (err == ERR_OK)
		err = tokens_find(db, db_col_blob(&rows, 0, 0, &len), out, why);
	arena_release(&arena);
	return err;
}

enum err tickets_remove_expired(struct db_conn *db, unsigned most, uint64_t *removed,
				struct errmsg *why)
{
	return db_exec(db,
		       "DELETE FROM ws_tickets WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
		       DB_BINDS(db_time(clock_wall_us()), db_u64(most)), removed, why);
}
