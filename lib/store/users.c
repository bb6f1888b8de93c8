#include "store/users.h"

#include "base/assert.h"
#include "base/clock.h"

#define USER_COLUMNS                                                                               \
	"id, username, email, full_name, role, is_active, password_hash, created_at, last_login,"  \
	" updated_at"

enum {
	COL_ID,
	COL_USERNAME,
	COL_EMAIL,
	COL_FULL_NAME,
	COL_ROLE,
	COL_IS_ACTIVE,
	COL_PASSWORD_HASH,
	COL_CREATED,
	COL_LAST_LOGIN,
	COL_UPDATED
};

static enum err read_user(const struct db_result *rows, size_t row, struct user *out,
			  struct errmsg *why)
{
	size_t id_len;
	const void *id = db_col_blob(rows, row, COL_ID, &id_len);
	AN_INVARIANT(id_len == sizeof(out->id.bytes));
	*out = (struct user){
	    .username = db_col_text(rows, row, COL_USERNAME),
	    .email = db_col_text(rows, row, COL_EMAIL),
	    .full_name = db_col_text(rows, row, COL_FULL_NAME),
	    .role = role_parse(db_col_text(rows, row, COL_ROLE)),
	    .is_active = db_col_bool(rows, row, COL_IS_ACTIVE),
	    .password_hash = db_col_text(rows, row, COL_PASSWORD_HASH),
	    .created_us = db_col_time_us(rows, row, COL_CREATED),
	    .last_login_us = db_col_time_us(rows, row, COL_LAST_LOGIN),
	    .updated_us = db_col_time_us(rows, row, COL_UPDATED),
	};
	memcpy(out->id.bytes, id, id_len);
	if (out->role == ROLE_NONE)
		return err_set(why, ERR_INTERNAL, "user %s has an unknown role", out->username);
	return ERR_OK;
}

static enum err read_one(struct db_conn *db, struct arena *arena, const char *sql,
			 struct db_value bind, struct user *out, struct errmsg *why)
{
	struct db_result rows;
	enum err err = db_query(db, arena, sql, &bind, 1, &rows, why);
	if (err != ERR_OK)
		return err;
	if (rows.row_count == 0)
		return err_set(why, ERR_NOT_FOUND, "there is no such user");
	return read_user(&rows, 0, out, why);
}

enum err users_by_name(struct db_conn *db, struct arena *arena, const char *username,
		       struct user *out, struct errmsg *why)
{
	static const char sql[] = "SELECT " USER_COLUMNS " FROM users WHERE username = ?";
	return read_one(db, arena, sql, db_text(username), out, why);
}

enum err users_by_id(struct db_conn *db, struct arena *arena, const struct uuid *id,
		     struct user *out, struct errmsg *why)
{
	static const char sql[] = "SELECT " USER_COLUMNS " FROM users WHERE id = ?";
	return read_one(db, arena, sql, db_blob(id->bytes, sizeof(id->bytes)), out, why);
}

enum err users_lock(struct db_conn *db, struct arena *arena, const struct uuid *id,
		    struct user *out, struct errmsg *why)
{
	static const char sql[] = "SELECT " USER_COLUMNS " FROM users WHERE id = ? FOR UPDATE";
	return read_one(db, arena, sql, db_blob(id->bytes, sizeof(id->bytes)), out, why);
}

enum err users_list(struct db_conn *db, struct arena *arena, uint64_t skip, uint64_t limit,
		    struct user **out, size_t *count, struct errmsg *why)
{
	static const char sql[] =
	    "SELECT " USER_COLUMNS
	    " FROM users FORCE INDEX (users_username) ORDER BY username LIMIT ? OFFSET ?";
	struct db_result rows;
	enum err err = db_query(db, arena, sql, DB_BINDS(db_u64(limit), db_u64(skip)), &rows, why);
	if (err != ERR_OK)
		return err;
	struct user *users = arena_calloc(arena, rows.row_count + 1, sizeof(*users));
	if (users == NULL)
		return err_set(why, ERR_NOMEM, "too many users to list");
	for (size_t i = 0; i < rows.row_count && err == ERR_OK; i++)
		err = read_user(&rows, i, &users[i], why);
	if (err == ERR_OK) {
		*out = users;
		*count = rows.row_count;
	}
	return err;
}

enum err users_count(struct db_conn *db, struct arena *arena, struct user_counts *out,
		     struct errmsg *why)
{
	static const char sql[] =
	    "SELECT role, is_active, COUNT(*) FROM users GROUP BY role, is_active";
	struct db_result rows;
	enum err err = db_query(db, arena, sql, DB_NO_BINDS, &rows, why);
	if (err != ERR_OK)
		return err;
	*out = (struct user_counts){.total = 0};
	for (size_t i = 0; i < rows.row_count; i++) {
		uint64_t count = db_col_u64(&rows, i, 2);
		out->total += count;
		out->by_role[role_parse(db_col_text(&rows, i, 0))] += count;
		if (db_col_bool(&rows, i, 1))
			out->active += count;
	}
	return ERR_OK;
}

enum err users_add(struct db_conn *db, const struct user *user, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO users (id, username, email, full_name, role, is_active, password_hash,"
	    " created_at, updated_at, last_login) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	int64_t updated_us = user->updated_us != 0 ? user->updated_us : user->created_us;
	enum err err = db_exec(
	    db, sql,
	    DB_BINDS(db_blob(user->id.bytes, sizeof(user->id.bytes)), db_text(user->username),
		     db_text(user->email), db_text(user->full_name), db_text(role_name(user->role)),
		     db_bool(user->is_active), db_text(user->password_hash),
		     db_time(user->created_us), db_time(updated_us),
		     user->last_login_us != 0 ? db_time(user->last_login_us) : db_null()),
	    NULL, why);
	if (err == ERR_CONFLICT)
		return err_set(why, err, "there is a user %s already", user->username);
	return err;
}

/* One row, or ERR_NOT_FOUND. */
static enum err update_one(struct db_conn *db, const char *sql, const struct db_value *binds,
			   size_t bind_count, struct errmsg *why)
{
	uint64_t affected;
	enum err err = db_exec(db, sql, binds, bind_count, &affected, why);
	if (err == ERR_OK && affected == 0)
		return err_set(why, ERR_NOT_FOUND, "there is no such user");
	return err;
}

enum err users_change(struct db_conn *db, const struct uuid *id, const struct user_change *change,
		      struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE users SET email = IF(?, ?, email), full_name = IF(?, ?, full_name),"
	    " role = IF(?, ?, role), is_active = IF(?, ?, is_active),"
	    " password_hash = COALESCE(?, password_hash), updated_at = ? WHERE id = ?";
	return update_one(db, sql,
			  DB_BINDS(db_bool(change->sets_email), db_text(change->email),
				   db_bool(change->sets_full_name), db_text(change->full_name),
				   db_bool(change->role != ROLE_NONE),
				   db_text(role_name(change->role)), db_bool(change->sets_active),
				   db_bool(change->active), db_text(change->password_hash),
				   db_time(clock_wall_us()), db_blob(id->bytes, sizeof(id->bytes))),
			  why);
}

enum err users_remove(struct db_conn *db, const struct uuid *id, struct errmsg *why)
{
	return update_one(db, "DELETE FROM users WHERE id = ?",
			  DB_BINDS(db_blob(id->bytes, sizeof(id->bytes))), why);
}

enum err users_lock_admins(struct db_conn *db, struct arena *arena, uint64_t *count,
			   struct errmsg *why)
{
	static const char sql[] =
	    "SELECT id FROM users FORCE INDEX (users_role) WHERE role = 'admin' AND is_active = 1"
	    " FOR UPDATE";
	struct db_result rows;
	enum err err = db_query(db, arena, sql, DB_NO_BINDS, &rows, why);
	if (err == ERR_OK)
		*count = rows.row_count;
	return err;
}

enum err users_note_login(struct db_conn *db, const struct user *checked, int64_t wall_us,
			  struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE users SET last_login = ? WHERE id = ? AND password_hash = ? AND is_active";
	return update_one(db, sql,
			  DB_BINDS(db_time(wall_us),
				   db_blob(checked->id.bytes, sizeof(checked->id.bytes)),
				   db_text(checked->password_hash)),
			  why);
}

enum err users_rehash(struct db_conn *db, const struct user *checked, const char *hash,
		      struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?";
	return db_exec(db, sql,
		       DB_BINDS(db_text(hash),
				db_blob(checked->id.bytes, sizeof(checked->id.bytes)),
				db_text(checked->password_hash)),
		       NULL, why);
}
