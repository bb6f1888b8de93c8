#include "store/audit.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"

static struct db_value id_or_null(const struct uuid *id)
{
	return id == NULL || uuid_is_nil(id) ? db_null() : db_blob(id->bytes, sizeof(id->bytes));
}

enum err audit_add(struct db_conn *db, const struct audit_entry *entry, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO audit (id, at, username, user_id, key_id, agent_id, action, resource,"
	    " record_id, before_json, after_json, remote_address, request_id)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	static const struct principal nobody = {.role = ROLE_NONE};
	struct uuid id;
	uuid_new(&id);
	bool known = entry->who != NULL && entry->who->role != ROLE_NONE;
	const struct principal *who = known ? entry->who : &nobody;
	return db_exec_later(db, sql,
			     DB_BINDS(db_blob(id.bytes, sizeof(id.bytes)), db_time(clock_wall_us()),
				      db_text(known ? who->username : entry->username),
				      id_or_null(&who->user_id), id_or_null(&who->key_id),
				      id_or_null(&who->agent_id), db_text(entry->action),
				      db_text(entry->resource), id_or_null(entry->record),
				      db_text(entry->before), db_text(entry->after),
				      db_text(entry->remote_addr), db_text(entry->request_id)),
			     why);
}

/*
 * The ids of the rows are made a moment before or after their time, and may run ahead
 * of a busy clock: looking for a time by id leaves this much room.
 */
static const int64_t ID_SLACK_US = 10 * US_PER_S;

/* The least id of a UUIDv7 of that time. */
static struct uuid first_id_of(int64_t wall_us)
{
	struct uuid id = {{0}};
	int64_t ms = wall_us > 0 ? wall_us / US_PER_MS : 0;
	for (int i = 0; i < 6; i++)
		id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	return id;
}

/* The index that leaves the fewest rows; the primary key belongs to each of them. */
static const char *index_for(const struct audit_query *query)
{
	if (query->record != NULL)
		return "audit_record";
	if (query->username != NULL)
		return "audit_username";
	return query->resource != NULL ? "audit_resource" : "PRIMARY";
}

static void add_tables_and_filters(const struct audit_query *query, struct strbuf *out)
{
	strbuf_addf(out, " FROM audit FORCE INDEX (%s) WHERE id < ? AND id >= ?", index_for(query));
	if (query->record != NULL)
		strbuf_adds(out, " AND record_id = ?");
	if (query->username != NULL)
		strbuf_adds(out, " AND username = ?");
	if (query->resource != NULL)
		strbuf_adds(out, " AND resource = ?");
	if (query->from_us != 0 || query->to_us != 0)
		strbuf_adds(out, " AND at >= ? AND at < ?");
}

enum { BINDS_MAX = 9 };

struct bounds {
	struct uuid below, from; /* ids */
};

static struct bounds bounds_of(const struct audit_query *query, bool of_page)
{
	struct bounds b = {.from = first_id_of(query->from_us - ID_SLACK_US)};
	memset(b.below.bytes, 0xff, sizeof(b.below.bytes));
	if (query->to_us != 0)
		b.below = first_id_of(query->to_us + ID_SLACK_US);
	if (of_page && query->continues != NULL &&
	    memcmp(query->continues, &b.below, sizeof(b.below)) < 0)
		b.below = *query->continues;
	return b;
}

static size_t bind(const struct audit_query *query, const struct bounds *bounds,
		   struct db_value binds[BINDS_MAX])
{
	size_t n = 0;
	binds[n++] = db_blob(bounds->below.bytes, sizeof(bounds->below.bytes));
	binds[n++] = db_blob(bounds->from.bytes, sizeof(bounds->from.bytes));
	if (query->record != NULL)
		binds[n++] = db_blob(query->record->bytes, sizeof(query->record->bytes));
	if (query->username != NULL)
		binds[n++] = db_text(query->username);
	if (query->resource != NULL)
		binds[n++] = db_text(query->resource);
	if (query->from_us != 0 || query->to_us != 0) {
		binds[n++] = db_time(query->from_us);
		binds[n++] = db_time(query->to_us != 0 ? query->to_us : clock_wall_us() + US_PER_S);
	}
	return n;
}

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

#define ROW_COLUMNS                                                                                \
	"id, at, username, user_id, key_id, agent_id, action, resource, record_id, before_json,"   \
	" after_json, remote_address, request_id"

enum {
	COL_ID,
	COL_AT,
	COL_USERNAME,
	COL_USER_ID,
	COL_KEY_ID,
	COL_AGENT_ID,
	COL_ACTION,
	COL_RESOURCE,
	COL_RECORD_ID,
	COL_BEFORE,
	COL_AFTER,
	COL_REMOTE_ADDRESS,
	COL_REQUEST_ID
};

static void read_row(const struct db_result *rows, size_t row, struct audit_row *out)
{
	*out = (struct audit_row){
	    .id = read_id(rows, row, COL_ID),
	    .at_us = db_col_time_us(rows, row, COL_AT),
	    .username = db_col_text(rows, row, COL_USERNAME),
	    .user_id = read_id(rows, row, COL_USER_ID),
	    .key_id = read_id(rows, row, COL_KEY_ID),
	    .agent_id = read_id(rows, row, COL_AGENT_ID),
	    .action = db_col_text(rows, row, COL_ACTION),
	    .resource = db_col_text(rows, row, COL_RESOURCE),
	    .record = read_id(rows, row, COL_RECORD_ID),
	    .before = db_col_text(rows, row, COL_BEFORE),
	    .after = db_col_text(rows, row, COL_AFTER),
	    .remote_addr = db_col_text(rows, row, COL_REMOTE_ADDRESS),
	    .request_id = db_col_text(rows, row, COL_REQUEST_ID),
	};
}

void audit_list_sql(const struct audit_query *query, struct strbuf *out)
{
	strbuf_adds(out, "SELECT " ROW_COLUMNS);
	add_tables_and_filters(query, out);
	strbuf_adds(out, " ORDER BY id DESC LIMIT ? OFFSET ?");
}

static enum err read_total(struct db_conn *db, struct arena *arena, const struct audit_query *query,
			   struct audit_list *out, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[BINDS_MAX];
	struct db_result rows;
	const struct bounds bounds = bounds_of(query, false);
	size_t n = bind(query, &bounds, binds);
	strbuf_adds(&sql, "SELECT COUNT(*) FROM (SELECT 1");
	add_tables_and_filters(query, &sql);
	strbuf_adds(&sql, " LIMIT ?) AS counted");
	binds[n++] = db_u64(AUDIT_TOTAL_MAX + 1);
	if (sql.failed)
		return err_set(why, ERR_NOMEM, "out of memory for a statement");
	enum err err = db_query(db, arena, sql.data, binds, n, &rows, why);
	if (err != ERR_OK)
		return err;
	uint64_t total = db_col_u64(&rows, 0, 0);
	out->total_is_min = total > AUDIT_TOTAL_MAX;
	out->total = out->total_is_min ? AUDIT_TOTAL_MAX : total;
	return ERR_OK;
}

enum err audit_list(struct db_conn *db, struct arena *arena, const struct audit_query *query,
		    struct audit_list *out, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[BINDS_MAX];
	struct db_result rows;
	const struct bounds bounds = bounds_of(query, true);
	size_t n = bind(query, &bounds, binds);
	audit_list_sql(query, &sql);
	binds[n++] = db_u64(query->limit);
	binds[n++] = db_u64(query->skip);
	AN_INVARIANT(n <= BINDS_MAX);
	if (sql.failed)
		return err_set(why, ERR_NOMEM, "out of memory for a statement");
	enum err err = db_query(db, arena, sql.data, binds, n, &rows, why);
	if (err != ERR_OK)
		return err;
	out->count = rows.row_count;
	out->rows = arena_calloc(arena, rows.row_count + 1, sizeof(*out->rows));
	if (out->rows == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a list");
	for (size_t i = 0; i < rows.row_count; i++)
		read_row(&rows, i, &out->rows[i]);
	return read_total(db, arena, query, out, why);
}

enum err audit_remove_before(struct db_conn *db, int64_t wall_us, unsigned most, uint64_t *removed,
			     struct errmsg *why)
{
	const struct uuid first = first_id_of(wall_us);
	return db_exec(db, "DELETE FROM audit WHERE id < ? ORDER BY id LIMIT ?",
		       DB_BINDS(db_blob(first.bytes, sizeof(first.bytes)), db_u64(most)), removed,
		       why);
}
