#include "store/agent_profiles.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "store/agents.h"
#include "store/record_sql.h"

enum { BINDS_MAX = 12 };

enum {
	COL_ID,
	COL_PARENT,
	COL_DID,
	COL_LEVEL,
	COL_PARENT_DID,
	COL_PARENT_LEVEL,
	COL_GRANDPARENT,
	COL_GRANDPARENT_DID,
	COL_GRANDPARENT_LEVEL,
	COL_STATUS,
	COL_NAME,
	COL_UPDATED,
	COL_TITLE,
	COL_ROLE,
	COL_CATEGORY,
	COL_DESCRIPTION,
	COL_FILENAME,
	COL_MODIFIED,
};

#define META(name) "JSON_VALUE(a.metadata, '$." name "')"
#define PROFILE_COLUMNS                                                                            \
	"a.id, a.parent_id, a.did, a.level, p.did, p.level, p.parent_id, g.did, g.level, "         \
	"a.status,"                                                                                \
	" a.name, a.updated_at, " META("title") ", " META("role") ", " META("category") ", " META( \
	    "description") ", " META("filename") ", " META("modified")
/* Whom an agent is below, and whom that one is: by primary key, for each on a page. */
#define PROFILE_PARENTS                                                                            \
	" LEFT JOIN agents AS p ON p.id = a.parent_id LEFT JOIN agents AS g ON g.id = p.parent_id"

#define ANY_CASE(text) text " COLLATE utf8mb4_general_ci"
#define MATCHES                                                                                                \
	"LOCATE(" ANY_CASE("?") ", CONCAT_WS('\\n', " ANY_CASE("a.name") ", " ANY_CASE("a.did") ", " ANY_CASE( \
	    META(                                                                                              \
		"title")) ", " ANY_CASE(META("role")) ", " ANY_CASE(META("category")) ","                      \
										      " " ANY_CASE(            \
											  META(                \
											      "de"             \
											      "sc"             \
											      "ri"             \
											      "pt"             \
											      "io"             \
											      "n")) ")) > 0"

/* ---- rows ---- */

static void read_uuid(const struct db_result *rows, size_t row, size_t column, struct uuid *out)
{
	size_t len;
	const void *bytes = db_col_blob(rows, row, column, &len);
	*out = (struct uuid){{0}};
	if (bytes == NULL)
		return;
	AN_INVARIANT(len == sizeof(out->bytes));
	memcpy(out->bytes, bytes, len);
}

/* The source's id out of a did, or the UUID as text; NULL where there is no agent. */
static const char *id_of(struct arena *arena, const char *did, const struct uuid *uuid)
{
	static const char prefix[] = AGENT_DID_PREFIX;
	char text[UUID_TEXT_MAX];
	if (uuid_is_nil(uuid))
		return NULL;
	if (did != NULL && strncmp(did, prefix, sizeof(prefix) - 1) == 0)
		return did + sizeof(prefix) - 1;
	uuid_format(uuid, text);
	return arena_strdup(arena, text);
}

static void read_parents(const struct db_result *rows, size_t row, struct arena *arena,
			 struct agent_profile *out)
{
	struct uuid grandparent;
	read_uuid(rows, row, COL_PARENT, &out->parent);
	read_uuid(rows, row, COL_GRANDPARENT, &grandparent);
	out->parent_id = id_of(arena, db_col_text(rows, row, COL_PARENT_DID), &out->parent);
	out->parent_level = db_col_text(rows, row, COL_PARENT_LEVEL);
	out->grandparent_id =
	    id_of(arena, db_col_text(rows, row, COL_GRANDPARENT_DID), &grandparent);
	out->grandparent_level = db_col_text(rows, row, COL_GRANDPARENT_LEVEL);
}

static void read_profile(const struct db_result *rows, size_t row, struct arena *arena,
			 struct agent_profile *out)
{
	const char *modified = db_col_text(rows, row, COL_MODIFIED);
	*out = (struct agent_profile){
	    .level = db_col_text(rows, row, COL_LEVEL),
	    .status = db_col_text(rows, row, COL_STATUS),
	    .name = db_col_text(rows, row, COL_NAME),
	    .title = db_col_text(rows, row, COL_TITLE),
	    .role = db_col_text(rows, row, COL_ROLE),
	    .category = db_col_text(rows, row, COL_CATEGORY),
	    .description = db_col_text(rows, row, COL_DESCRIPTION),
	    .filename = db_col_text(rows, row, COL_FILENAME),
	};
	read_uuid(rows, row, COL_ID, &out->uuid);
	read_parents(rows, row, arena, out);
	out->id = id_of(arena, db_col_text(rows, row, COL_DID), &out->uuid);
	if (modified == NULL || !clock_parse_utc(modified, &out->modified_us))
		out->modified_us = db_col_time_us(rows, row, COL_UPDATED);
}

static enum err read_profiles(struct db_conn *db, struct arena *arena, const char *sql,
			      const struct db_value *binds, size_t bind_count,
			      struct agent_profile **out, size_t *count, struct errmsg *why)
{
	struct db_result rows;
	enum err err = db_query(db, arena, sql, binds, bind_count, &rows, why);
	if (err != ERR_OK)
		return err;
	struct agent_profile *items = arena_calloc(arena, rows.row_count + 1, sizeof(*items));
	if (items == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a list");
	for (size_t i = 0; i < rows.row_count; i++)
		read_profile(&rows, i, arena, &items[i]);
	*out = items;
	*count = rows.row_count;
	return arena->overflowed ? err_set(why, ERR_NOMEM, "out of memory for a list") : ERR_OK;
}

/* ---- lists ---- */

static void add_filters(const struct profile_query *q, struct strbuf *out)
{
	const char *index = q->parent != NULL
				? q->level != NULL ? "agents_parent_level" : "agents_parent"
			    : q->level != NULL ? "agents_level"
					       : "PRIMARY";
	strbuf_addf(out, " FROM agents AS a FORCE INDEX (%s) WHERE %s AND %s", index,
		    q->parent != NULL ? "a.parent_id = ?" : "TRUE",
		    q->level != NULL ? "a.level = ?" : "TRUE");
}

static size_t bind_filters(const struct profile_query *q, struct db_value *binds)
{
	size_t n = 0;
	if (q->parent != NULL)
		binds[n++] = db_blob(q->parent->bytes, sizeof(q->parent->bytes));
	if (q->level != NULL)
		binds[n++] = db_text(q->level);
	return n;
}

/*
 * What a search looks at ends before the id of the first agent that is one too many.  Then
 * the text is looked for row by row, in order, and no more than those are ever touched.
 */
static void add_search(const struct profile_query *q, struct strbuf *out)
{
	strbuf_adds(out, " AND a.id < COALESCE((SELECT a.id");
	add_filters(q, out);
	strbuf_addf(out, " ORDER BY a.id LIMIT 1 OFFSET %d), REPEAT(X'FF', 16)) AND " MATCHES,
		    PROFILE_SEARCHED_MAX);
}

static size_t bind_search(const struct profile_query *q, struct db_value *binds)
{
	size_t n = bind_filters(q, binds);
	binds[n++] = db_text(q->search);
	return n;
}

static const char *const at_work[] = {"active", "idle", "busy"};

/* The ids of those at work: a part of each status is enough for a page of all. */
static void add_at_work(struct strbuf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(at_work); i++)
		strbuf_addf(out,
			    "%s(SELECT a.id FROM agents AS a FORCE INDEX (agents_status)"
			    " WHERE a.status = '%s' ORDER BY a.id LIMIT ?)",
			    i > 0 ? " UNION ALL " : "", at_work[i]);
	strbuf_adds(out, " ORDER BY id LIMIT ? OFFSET ?");
}

static void add_ids(const struct profile_query *q, struct strbuf *out)
{
	if (q->at_work) {
		add_at_work(out);
		return;
	}
	strbuf_adds(out, "SELECT a.id");
	add_filters(q, out);
	if (q->search != NULL)
		add_search(q, out);
	strbuf_adds(out, " ORDER BY a.id LIMIT ? OFFSET ?");
}

static size_t bind_ids(const struct profile_query *q, struct db_value *binds)
{
	size_t n = 0;
	if (q->at_work)
		for (; n < ARRAY_LEN(at_work); n++)
			binds[n] = db_u64(q->skip + q->limit);
	else
		n = bind_filters(q, binds);
	if (q->search != NULL)
		n += bind_search(q, binds + n);
	binds[n++] = db_u64(q->limit);
	binds[n++] = db_u64(q->skip);
	return n;
}

void profiles_list_sql(const struct profile_query *q, struct strbuf *out)
{
	strbuf_adds(out, "SELECT " PROFILE_COLUMNS " FROM (");
	add_ids(q, out);
	strbuf_adds(out, ") AS page STRAIGHT_JOIN agents AS a ON a.id = page.id" PROFILE_PARENTS
			 " ORDER BY page.id");
}

static void total_sql(const struct profile_query *q, struct strbuf *out)
{
	if (q->at_work) {
		strbuf_adds(out, "SELECT COUNT(*) FROM (");
		for (size_t i = 0; i < ARRAY_LEN(at_work); i++)
			strbuf_addf(out,
				    "%s(SELECT 1 FROM agents FORCE INDEX (agents_status)"
				    " WHERE status = '%s' LIMIT ?)",
				    i > 0 ? " UNION ALL " : "", at_work[i]);
		strbuf_adds(out, ") AS counted");
	} else if (q->search != NULL || q->level != NULL || q->parent != NULL) {
		strbuf_adds(out, "SELECT COUNT(*) FROM (SELECT 1");
		add_filters(q, out);
		if (q->search != NULL)
			add_search(q, out);
		strbuf_adds(out, " LIMIT ?) AS counted");
	} else {
		strbuf_adds(out, "SELECT CAST(COALESCE(SUM(records), 0) AS SIGNED)"
				 " FROM record_counts WHERE kind = 'agent'");
	}
}

static size_t bind_total(const struct profile_query *q, struct db_value *binds)
{
	size_t n = 0;
	if (q->at_work) {
		for (; n < ARRAY_LEN(at_work); n++)
			binds[n] = db_u64(PROFILE_TOTAL_MAX);
		return n;
	}
	n = bind_filters(q, binds);
	if (q->search != NULL)
		n += bind_search(q, binds + n);
	if (n > 0)
		binds[n++] = db_u64(PROFILE_TOTAL_MAX);
	return n;
}

static enum err read_number(struct db_conn *db, struct arena *arena, const struct strbuf *sql,
			    const struct db_value *binds, size_t bind_count, int64_t *out,
			    struct errmsg *why)
{
	struct db_result rows;
	enum err err = sql_query(db, arena, sql, binds, bind_count, &rows, why);
	if (err == ERR_OK)
		*out = rows.values[0].as.i64;
	return err;
}

/* Whether a search left agents out that its filters let through. */
static enum err searches_all(struct db_conn *db, struct arena *arena, const struct profile_query *q,
			     bool *all, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[BINDS_MAX];
	struct db_result rows;
	strbuf_adds(&sql, "SELECT 1");
	add_filters(q, &sql);
	strbuf_addf(&sql, " ORDER BY a.id LIMIT 1 OFFSET %d", PROFILE_SEARCHED_MAX);
	enum err err = sql_query(db, arena, &sql, binds, bind_filters(q, binds), &rows, why);
	*all = err == ERR_OK && rows.row_count == 0;
	return err;
}

static enum err read_total(struct db_conn *db, struct arena *arena, const struct profile_query *q,
			   struct profile_list *out, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[BINDS_MAX];
	int64_t total = 0;
	bool all = true;
	total_sql(q, &sql);
	size_t n = bind_total(q, binds);
	enum err err = read_number(db, arena, &sql, binds, n, &total, why);
	if (err == ERR_OK && q->search != NULL)
		err = searches_all(db, arena, q, &all, why);
	out->total = (uint64_t)total;
	out->total_is_min = !all || (n > 0 && total >= PROFILE_TOTAL_MAX);
	return err;
}

enum err profiles_list(struct db_conn *db, struct arena *arena, const struct profile_query *query,
		       struct profile_list *out, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[BINDS_MAX];
	AN_INVARIANT(query->skip <= PROFILE_SKIP_MAX);
	profiles_list_sql(query, &sql);
	if (sql.failed)
		return err_set(why, ERR_NOMEM, "out of memory for a list");
	enum err err = read_profiles(db, arena, sql.data, binds, bind_ids(query, binds),
				     &out->items, &out->count, why);
	return err == ERR_OK ? read_total(db, arena, query, out, why) : err;
}

/* ---- one, and its tree ---- */

static enum err read_one(struct db_conn *db, struct arena *arena, const char *sql,
			 struct db_value bind, struct agent_profile *out, struct errmsg *why)
{
	struct agent_profile *items;
	size_t count;
	enum err err = read_profiles(db, arena, sql, &bind, 1, &items, &count, why);
	if (err == ERR_OK && count == 0)
		return err_set(why, ERR_NOT_FOUND, "there is no such agent");
	if (err == ERR_OK)
		*out = items[0];
	return err;
}

enum err profiles_by_uuid(struct db_conn *db, struct arena *arena, const struct uuid *uuid,
			  struct agent_profile *out, struct errmsg *why)
{
	static const char sql[] =
	    "SELECT " PROFILE_COLUMNS " FROM agents AS a" PROFILE_PARENTS " WHERE a.id = ?";
	return read_one(db, arena, sql, db_blob(uuid->bytes, sizeof(uuid->bytes)), out, why);
}

enum err profiles_find(struct db_conn *db, struct arena *arena, const char *id,
		       struct agent_profile *out, struct errmsg *why)
{
	static const char sql[] =
	    "SELECT " PROFILE_COLUMNS " FROM agents AS a" PROFILE_PARENTS " WHERE a.did = ?";
	struct uuid uuid;
	if (uuid_parse(id, &uuid))
		return profiles_by_uuid(db, arena, &uuid, out, why);
	const char *did = arena_printf(arena, AGENT_DID_PREFIX "%s", id);
	if (did == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for an agent");
	return read_one(db, arena, sql, db_text(did), out, why);
}

enum err profiles_two_below(struct db_conn *db, struct arena *arena, const struct uuid *above,
			    struct agent_profile **out, size_t *count, struct errmsg *why)
{
	static const char sql[] =
	    "SELECT " PROFILE_COLUMNS " FROM (SELECT b.id FROM (SELECT id FROM agents"
	    " FORCE INDEX (agents_parent) WHERE parent_id = ? ORDER BY id LIMIT ?) AS c"
	    " STRAIGHT_JOIN agents AS b FORCE INDEX (agents_parent) ON b.parent_id = c.id LIMIT ?)"
	    " AS page STRAIGHT_JOIN agents AS a ON a.id = page.id" PROFILE_PARENTS
	    " ORDER BY a.parent_id, a.id";
	return read_profiles(db, arena, sql,
			     DB_BINDS(db_blob(above->bytes, sizeof(above->bytes)),
				      db_u64(PROFILE_BELOW_MAX), db_u64(PROFILE_TREE_MAX)),
			     out, count, why);
}

enum err profiles_count(struct db_conn *db, struct arena *arena, struct profile_counts *out,
			struct errmsg *why)
{
	static const char sql[] =
	    "SELECT level, COUNT(*) FROM agents FORCE INDEX (agents_level) GROUP BY level";
	struct db_result rows;
	enum err err = db_query(db, arena, sql, DB_NO_BINDS, &rows, why);
	if (err != ERR_OK)
		return err;
	*out = (struct profile_counts){.total = 0};
	for (size_t i = 0; i < rows.row_count; i++) {
		const char *level = db_col_text(&rows, i, 0);
		uint64_t count = db_col_u64(&rows, i, 1);
		out->total += count;
		if (level != NULL)
			out->by_level[level[1] - '1'] += count;
	}
	return ERR_OK;
}
