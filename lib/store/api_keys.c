#include "store/api_keys.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"

#define KEY_COLUMNS                                                                                \
	"k.id, k.user_id, u.username, k.name, k.prefix, k.scopes, k.agent_id, k.created_at,"       \
	" k.expires_at, k.last_used_at, k.revoked_at"
#define KEY_TABLES " FROM api_keys k JOIN users u ON u.id = k.user_id"
/* Few users with many keys would otherwise be read first, and all their keys sorted. */
#define KEY_TABLES_ALONG(index)                                                                    \
	" FROM api_keys k FORCE INDEX (" index ") STRAIGHT_JOIN users u ON u.id = k.user_id"

enum {
	COL_ID,
	COL_USER_ID,
	COL_USERNAME,
	COL_NAME,
	COL_PREFIX,
	COL_SCOPES,
	COL_AGENT_ID,
	COL_CREATED,
	COL_EXPIRES,
	COL_LAST_USED,
	COL_REVOKED
};

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

/* NULL reads as nil. */
static struct uuid read_id(const struct db_result *rows, size_t row, size_t column)
{
	struct uuid id = {{0}};
	size_t len;
	const void *bytes = db_col_blob(rows, row, column, &len);
	if (bytes != NULL) {
		AN_INVARIANT(len == sizeof(id.bytes));
		memcpy(id.bytes, bytes, len);
	}
	return id;
}

static struct db_value time_or_null(int64_t wall_us)
{
	return wall_us != 0 ? db_time(wall_us) : db_null();
}

static void read_key(const struct db_result *rows, size_t row, struct api_key *out)
{
	*out = (struct api_key){
	    .id = read_id(rows, row, COL_ID),
	    .user_id = read_id(rows, row, COL_USER_ID),
	    .username = db_col_text(rows, row, COL_USERNAME),
	    .name = db_col_text(rows, row, COL_NAME),
	    .prefix = db_col_text(rows, row, COL_PREFIX),
	    .scopes = scopes_parse(db_col_text(rows, row, COL_SCOPES)),
	    .agent_id = read_id(rows, row, COL_AGENT_ID),
	    .created_us = db_col_time_us(rows, row, COL_CREATED),
	    .expires_us = db_col_time_us(rows, row, COL_EXPIRES),
	    .last_used_us = db_col_time_us(rows, row, COL_LAST_USED),
	    .revoked_us = db_col_time_us(rows, row, COL_REVOKED),
	};
}

static enum err check_agent(struct db_conn *db, const struct uuid *id, struct errmsg *why)
{
	struct arena arena;
	struct db_result rows;
	if (uuid_is_nil(id))
		return ERR_OK;
	arena_init(&arena, 1024, 4096);
	enum err err = db_query(db, &arena, "SELECT 1 FROM agents WHERE id = ? LOCK IN SHARE MODE",
				DB_BINDS(id_value(id)), &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		err = err_set(why, ERR_INVALID, "agent_id: there is no such agent");
	arena_release(&arena);
	return err;
}

enum err api_keys_add(struct db_conn *db, const struct api_key *key,
		      const uint8_t digest[TOKEN_DIGEST_LEN], struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO api_keys (id, user_id, name, prefix, hash, scopes, agent_id, created_at,"
	    " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
	STRBUF_CLEANUP scopes = STRBUF_INIT;
	scopes_format(&key->scopes, &scopes);
	if (scopes.failed)
		return err_set(why, ERR_NOMEM, "out of memory for the scopes");
	enum err err = check_agent(db, &key->agent_id, why);
	if (err != ERR_OK)
		return err;
	return db_exec(db, sql,
		       DB_BINDS(id_value(&key->id), id_value(&key->user_id), db_text(key->name),
				db_text(key->prefix), db_blob(digest, TOKEN_DIGEST_LEN),
				db_text(scopes.data),
				uuid_is_nil(&key->agent_id) ? db_null() : id_value(&key->agent_id),
				db_time(key->created_us), time_or_null(key->expires_us)),
		       NULL, why);
}

static enum err count_keys(struct db_conn *db, struct arena *arena, const struct uuid *owner,
			   uint64_t *total, struct errmsg *why)
{
	struct db_result rows;
	enum err err =
	    owner == NULL
		? db_query(db, arena, "SELECT COUNT(*) FROM api_keys", DB_NO_BINDS, &rows, why)
		: db_query(db, arena, "SELECT COUNT(*) FROM api_keys WHERE user_id = ?",
			   DB_BINDS(id_value(owner)), &rows, why);
	if (err == ERR_OK)
		*total = db_col_u64(&rows, 0, 0);
	return err;
}

static enum err select_page(struct db_conn *db, struct arena *arena,
			    const struct api_key_page *page, struct db_result *rows,
			    struct errmsg *why)
{
	static const char all[] = "SELECT " KEY_COLUMNS KEY_TABLES_ALONG(
	    "PRIMARY") " WHERE k.id < ? ORDER BY k.id DESC LIMIT ? OFFSET ?";
	static const char of_one[] = "SELECT " KEY_COLUMNS KEY_TABLES_ALONG(
	    "api_keys_user") " WHERE k.id < ? AND k.user_id = ? ORDER BY k.id DESC LIMIT ? OFFSET "
			     "?";
	struct uuid last;
	memset(last.bytes, 0xff, sizeof(last.bytes));
	const struct db_value before = id_value(page->before != NULL ? page->before : &last);
	if (page->owner == NULL)
		return db_query(db, arena, all,
				DB_BINDS(before, db_u64(page->limit), db_u64(page->skip)), rows,
				why);
	return db_query(
	    db, arena, of_one,
	    DB_BINDS(before, id_value(page->owner), db_u64(page->limit), db_u64(page->skip)), rows,
	    why);
}

enum err api_keys_list(struct db_conn *db, struct arena *arena, const struct api_key_page *page,
		       struct api_key **out, size_t *count, uint64_t *total, struct errmsg *why)
{
	struct db_result rows;
	enum err err = select_page(db, arena, page, &rows, why);
	if (err == ERR_OK)
		err = count_keys(db, arena, page->owner, total, why);
	if (err != ERR_OK)
		return err;
	*out = arena_calloc(arena, rows.row_count + 1, sizeof(**out));
	if (*out == NULL)
		return err_set(why, ERR_NOMEM, "too many keys to list");
	for (size_t i = 0; i < rows.row_count; i++)
		read_key(&rows, i, &(*out)[i]);
	*count = rows.row_count;
	return ERR_OK;
}

enum err api_keys_lock(struct db_conn *db, struct arena *arena, const struct uuid *id,
		       struct api_key *out, struct errmsg *why)
{
	static const char sql[] = "SELECT " KEY_COLUMNS KEY_TABLES " WHERE k.id = ? FOR UPDATE";
	struct db_result rows;
	enum err err = db_query(db, arena, sql, DB_BINDS(id_value(id)), &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		return err_set(why, ERR_NOT_FOUND, "there is no such API key");
	if (err == ERR_OK)
		read_key(&rows, 0, out);
	return err;
}

enum err api_keys_revoke(struct db_conn *db, const struct uuid *id, int64_t wall_us,
			 struct errmsg *why)
{
	return db_exec(db, "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?",
		       DB_BINDS(db_time(wall_us), id_value(id)), NULL, why);
}

enum {
	FOUND_KEY_ID,
	FOUND_AGENT_ID,
	FOUND_SCOPES,
	FOUND_EXPIRES,
	FOUND_LAST_USED,
	FOUND_USER_ID,
	FOUND_USERNAME,
	FOUND_ROLE
};

static enum err fill_principal(const struct db_result *rows, struct principal *out,
			       struct errmsg *why)
{
	*out = (struct principal){
	    .role = role_parse(db_col_text(rows, 0, FOUND_ROLE)),
	    .user_id = read_id(rows, 0, FOUND_USER_ID),
	    .expires_us = db_col_null(rows, 0, FOUND_EXPIRES)
			      ? INT64_MAX
			      : db_col_time_us(rows, 0, FOUND_EXPIRES),
	    .key_id = read_id(rows, 0, FOUND_KEY_ID),
	    .agent_id = read_id(rows, 0, FOUND_AGENT_ID),
	    .scopes = scopes_parse(db_col_text(rows, 0, FOUND_SCOPES)),
	    .key_used_us = db_col_time_us(rows, 0, FOUND_LAST_USED),
	};
	const char *username = db_col_text(rows, 0, FOUND_USERNAME);
	int len = snprintf(out->username, sizeof(out->username), "%s", username);
	AN_INVARIANT((size_t)len < sizeof(out->username));
	if (out->role == ROLE_NONE)
		return err_set(why, ERR_INTERNAL, "user %s has an unknown role", username);
	return ERR_OK;
}

enum err api_keys_find(struct db_conn *db, const uint8_t digest[TOKEN_DIGEST_LEN],
		       struct principal *out, struct errmsg *why)
{
	static const char sql[] =
	    "SELECT k.id, k.agent_id, k.scopes, k.expires_at, k.last_used_at, u.id, u.username,"
	    " u.role" KEY_TABLES " WHERE k.hash = ? AND k.revoked_at IS NULL"
	    " AND (k.expires_at IS NULL OR k.expires_at > ?) AND u.is_active";
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 2048, 16384);
	enum err err = db_query(
	    db, &arena, sql, DB_BINDS(db_blob(digest, TOKEN_DIGEST_LEN), db_time(clock_wall_us())),
	    &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		err = err_set(why, ERR_UNAUTHORIZED, "the API key is not valid or has expired");
	else if (err == ERR_OK)
		err = fill_principal(&rows, out, why);
	arena_release(&arena);
	return err;
}

enum err api_keys_note_use(struct db_conn *db, const struct uuid *id, int64_t wall_us,
			   struct errmsg *why)
{
	static const char sql[] = "UPDATE api_keys SET last_used_at = ?"
				  " WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)";
	return db_exec(db, sql,
		       DB_BINDS(db_time(wall_us), id_value(id), db_time(wall_us - 60 * US_PER_S)),
		       NULL, why);
}
