#include "store/hosts.h"

#include "db/pool.h"

#define HOST_COLUMNS                                                                               \
	"id, hostname, version, first_seen, last_seen,"                                            \
	" last_seen + INTERVAL 3000 * interval_ms MICROSECOND > UTC_TIMESTAMP(6)"

enum { COL_ID, COL_HOSTNAME, COL_VERSION, COL_FIRST_SEEN, COL_LAST_SEEN, COL_IS_UP };

static void read_host(const struct db_result *rows, size_t row, struct host_entry *out)
{
	*out = (struct host_entry){
	    .id = db_col_text(rows, row, COL_ID),
	    .hostname = db_col_text(rows, row, COL_HOSTNAME),
	    .version = db_col_text(rows, row, COL_VERSION),
	    .first_seen_us = db_col_time_us(rows, row, COL_FIRST_SEEN),
	    .last_seen_us = db_col_time_us(rows, row, COL_LAST_SEEN),
	    .is_up = db_col_bool(rows, row, COL_IS_UP),
	};
}

enum err hosts_beat(struct db_conn *db, const struct host_beat *beat, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO hosts (id, hostname, version, interval_ms, first_seen, last_seen)"
	    " VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))"
	    " ON DUPLICATE KEY UPDATE hostname = VALUES(hostname), version = VALUES(version),"
	    " interval_ms = VALUES(interval_ms), last_seen = VALUES(last_seen)";
	return db_exec(db, sql,
		       DB_BINDS(db_text(beat->id), db_text(beat->hostname), db_text(beat->version),
				db_i64(beat->interval_ms)),
		       NULL, why);
}

static enum err count_all(struct db_conn *db, struct arena *arena, uint64_t *total,
			  struct errmsg *why)
{
	struct db_result rows;
	enum err err = db_query(db, arena, "SELECT COUNT(*) FROM hosts", DB_NO_BINDS, &rows, why);
	if (err == ERR_OK)
		*total = db_col_u64(&rows, 0, 0);
	return err;
}

enum err hosts_list(struct db_conn *db, struct arena *arena, const struct host_page *page,
		    struct host_entry **out, size_t *count, uint64_t *total, struct errmsg *why)
{
	static const char sql[] =
	    "SELECT " HOST_COLUMNS " FROM hosts WHERE id > ? ORDER BY id LIMIT ? OFFSET ?";
	struct db_result rows;
	enum err err = db_query(
	    db, arena, sql, DB_BINDS(db_text(page->after), db_u64(page->limit), db_u64(page->skip)),
	    &rows, why);
	if (err == ERR_OK)
		err = count_all(db, arena, total, why);
	if (err != ERR_OK)
		return err;
	*out = arena_calloc(arena, rows.row_count + 1, sizeof(**out));
	if (*out == NULL)
		return err_set(why, ERR_NOMEM, "too many hosts to list");
	for (size_t row = 0; row < rows.row_count; row++)
		read_host(&rows, row, &(*out)[row]);
	*count = rows.row_count;
	return ERR_OK;
}

static enum err no_such_host(const char *id, struct errmsg *why)
{
	return err_set(why, ERR_NOT_FOUND, "there is no host \"%s\"", id);
}

enum err hosts_by_id(struct db_conn *db, struct arena *arena, const char *id,
		     struct host_entry *out, struct errmsg *why)
{
	static const char sql[] = "SELECT " HOST_COLUMNS " FROM hosts WHERE id = ?";
	struct db_result rows;
	enum err err = db_query(db, arena, sql, DB_BINDS(db_text(id)), &rows, why);
	if (err != ERR_OK)
		return err;
	if (rows.row_count == 0)
		return no_such_host(id, why);
	read_host(&rows, 0, out);
	return ERR_OK;
}

enum err hosts_remove(struct db_conn *db, const char *id, struct errmsg *why)
{
	uint64_t affected;
	enum err err =
	    db_exec(db, "DELETE FROM hosts WHERE id = ?", DB_BINDS(db_text(id)), &affected, why);
	return err == ERR_OK && affected == 0 ? no_such_host(id, why) : err;
}

enum err hosts_find(void *context, const char *id, const struct deadline *deadline,
		    struct host_sighting *out, struct errmsg *why)
{
	struct db_pool *pool = context;
	struct db_conn *db;
	enum err err = db_pool_borrow(pool, deadline, "host", &db, why);
	if (err != ERR_OK)
		return err;
	struct arena arena;
	struct host_entry host;
	arena_init(&arena, 2048, 16384);
	err = hosts_by_id(db, &arena, id, &host, why);
	db_pool_return(pool, db);
	if (err == ERR_OK)
		*out = (struct host_sighting){.seen_us = host.last_seen_us, .is_up = host.is_up};
	arena_release(&arena);
	return err;
}
