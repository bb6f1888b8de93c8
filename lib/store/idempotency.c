#include "store/idempotency.h"

#include <string.h>

#include "base/assert.h"

enum { COL_REQUEST, COL_HOLDER, COL_STATUS, COL_LOCATION, COL_ETAG, COL_BODY };

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

static enum err try_insert(struct db_conn *db, const struct idempotency *a, int64_t hold_us,
			   struct errmsg *why)
{
	static const char sql[] =
	    "INSERT IGNORE INTO idempotency"
	    " (principal_id, key_hash, request_hash, holder, held_until, created_at)"
	    " VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, UTC_TIMESTAMP(6))";
	return db_exec(db, sql,
		       DB_BINDS(id_value(&a->principal), db_blob(a->key, sizeof(a->key)),
				db_blob(a->request, sizeof(a->request)), id_value(&a->holder),
				db_i64(hold_us)),
		       NULL, why);
}

static enum err take_over(struct db_conn *db, const struct idempotency *a, int64_t hold_us,
			  struct errmsg *why)
{
	static const char sql[] = "UPDATE idempotency SET holder = ?, held_until = "
				  "UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND"
				  " WHERE principal_id = ? AND key_hash = ? AND status IS NULL"
				  " AND held_until < UTC_TIMESTAMP(6)";
	uint64_t affected;
	enum err err = db_exec(db, sql,
			       DB_BINDS(id_value(&a->holder), db_i64(hold_us),
					id_value(&a->principal), db_blob(a->key, sizeof(a->key))),
			       &affected, why);
	if (err == ERR_OK && affected == 0)
		return err_set(why, ERR_CONFLICT,
			       "a request with this Idempotency-Key is still under way");
	return err;
}

static bool same(const struct db_result *row, size_t column, const void *bytes, size_t len)
{
	size_t stored_len;
	const void *stored = db_col_blob(row, 0, column, &stored_len);
	AN_INVARIANT(bytes != NULL);
	return stored != NULL && stored_len == len && memcmp(stored, bytes, len) == 0;
}

static void read_answer(const struct db_result *row, struct kept_answer *out)
{
	*out = (struct kept_answer){
	    .status = (int)db_col_i64(row, 0, COL_STATUS),
	    .location = db_col_text(row, 0, COL_LOCATION),
	    .etag = db_col_text(row, 0, COL_ETAG),
	    .body = db_col_text(row, 0, COL_BODY),
	};
	out->body_len = out->body != NULL ? row->values[COL_BODY].as.bytes.len : 0;
}

enum err idempotency_reserve(struct db_conn *db, struct arena *arena, const struct idempotency *a,
			     int64_t hold_us, bool *kept, struct kept_answer *out,
			     struct errmsg *why)
{
	static const char sql[] = "SELECT request_hash, holder, status, location, etag,"
				  " body FROM idempotency WHERE principal_id = ? AND key_hash = ?";
	struct db_result row;
	enum err err = try_insert(db, a, hold_us, why);
	if (err == ERR_OK)
		err = db_query(db, arena, sql,
			       DB_BINDS(id_value(&a->principal), db_blob(a->key, sizeof(a->key))),
			       &row, why);
	if (err != ERR_OK)
		return err;
	if (row.row_count == 0)
		return err_set(why, ERR_CONFLICT,
			       "a request with this Idempotency-Key has just failed; try again");
	*kept = !db_col_null(&row, 0, COL_STATUS);
	if (!same(&row, COL_REQUEST, a->request, sizeof(a->request)))
		return err_set(why, ERR_INVALID,
			       "Idempotency-Key: was used for another request already");
	if (*kept) {
		read_answer(&row, out);
		return ERR_OK;
	}
	if (same(&row, COL_HOLDER, a->holder.bytes, sizeof(a->holder.bytes)))
		return ERR_OK;
	return take_over(db, a, hold_us, why);
}

enum err idempotency_keep(struct db_conn *db, const struct idempotency *a,
			  const struct kept_answer *answer, struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE idempotency SET status = ?, location = ?, etag = ?, body = ?"
	    " WHERE principal_id = ? AND key_hash = ? AND holder = ? AND status IS NULL";
	uint64_t affected;
	enum err err = db_exec(
	    db, sql,
	    DB_BINDS(db_i64(answer->status), db_text(answer->location), db_text(answer->etag),
		     db_textn(answer->body, answer->body_len), id_value(&a->principal),
		     db_blob(a->key, sizeof(a->key)), id_value(&a->holder)),
	    &affected, why);
	if (err == ERR_OK && affected == 0)
		return err_set(why, ERR_CONFLICT,
			       "another request with this Idempotency-Key has taken over");
	return err;
}

enum err idempotency_drop(struct db_conn *db, const struct idempotency *a, struct errmsg *why)
{
	static const char sql[] = "DELETE FROM idempotency WHERE principal_id = ? AND key_hash = ?"
				  " AND holder = ? AND status IS NULL";
	return db_exec(db, sql,
		       DB_BINDS(id_value(&a->principal), db_blob(a->key, sizeof(a->key)),
				id_value(&a->holder)),
		       NULL, why);
}

enum err idempotency_remove_old(struct db_conn *db, int64_t wall_us, unsigned most,
				uint64_t *removed, struct errmsg *why)
{
	return db_exec(db,
		       "DELETE FROM idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?",
		       DB_BINDS(db_time(wall_us), db_u64(most)), removed, why);
}
