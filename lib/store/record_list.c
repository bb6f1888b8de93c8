/*
 * Pages of records.  Where a page begins is said by the sort value and the id of the
 * record before it, so that what others add or remove meanwhile makes no record come
 * twice or not at all.
 *
 * The index is named in the statement: with a million rows the server's guess at the
 * cheapest one is now and then a sort of all of them.
 */
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/record.h"
#include "store/record_sql.h"

enum { BINDS_MAX = RECORD_FILTERS_MAX + 5 };

static void add_filters(const struct record_kind *kind, const struct record_query *query,
			struct strbuf *out)
{
	const struct record_order *order = query->order;
	for (size_t i = 0; i < order->filter_count; i++)
		strbuf_addf(out, "%s %s = ?", i == 0 ? " WHERE" : " AND",
			    kind->fields[order->filters[i]].name);
}

/* All of a kind, counted as they come and go; the kind's name is constant. */
static void add_total(const struct record_kind *kind, struct strbuf *out)
{
	strbuf_addf(out,
		    "SELECT CAST(COALESCE(SUM(records), 0) AS SIGNED) FROM record_counts"
		    " WHERE kind = '%s'",
		    kind->name);
}

/* Comparing (sort, id) with a pair of values would not use the index. */
static void add_start(const struct record_kind *kind, const struct record_query *query,
		      struct strbuf *out)
{
	const char *sort = kind->fields[query->order->sort].name;
	const char *sign = query->descending ? "<" : ">";
	strbuf_adds(out, query->order->filter_count == 0 ? " WHERE " : " AND ");
	if (query->order->sort == RECORD_CREATED_AT)
		strbuf_addf(out, "id %s ?", sign);
	else
		strbuf_addf(out, "%s %s= ? AND (%s %s ? OR id %s ?)", sort, sign, sort, sign, sign);
}

/* Behind a unique value no id decides, and the server would sort to find that out. */
static void add_sort(const struct record_kind *kind, const struct record_query *query,
		     struct strbuf *out)
{
	size_t sort = query->order->sort;
	const char *name = kind->fields[sort].name;
	const char *direction = query->descending ? " DESC" : "";
	if (sort == RECORD_CREATED_AT)
		strbuf_addf(out, "id%s", direction);
	else if (kind->unique != NULL && strcmp(kind->unique, name) == 0)
		strbuf_addf(out, "%s%s", name, direction);
	else
		strbuf_addf(out, "%s%s, id%s", name, direction, direction);
}

/* Without filters each row has the total of all behind its fields: a statement less. */
void record_list_sql(const struct record_kind *kind, const struct record_query *query,
		     struct strbuf *out)
{
	STRBUF_CLEANUP total = STRBUF_INIT;
	if (query->order->filter_count == 0) {
		strbuf_adds(&total, "(");
		add_total(kind, &total);
		strbuf_adds(&total, ")");
	}
	sql_select(kind, query->order->index, total.len > 0 ? total.data : NULL, out);
	out->failed |= total.failed;
	add_filters(kind, query, out);
	if (query->continues)
		add_start(kind, query, out);
	strbuf_adds(out, " ORDER BY ");
	add_sort(kind, query, out);
	strbuf_adds(out, " LIMIT ? OFFSET ?");
}

static size_t bind_filters(const struct record_query *query, struct db_value *binds)
{
	size_t count = query->order->filter_count;
	AN_INVARIANT(count <= RECORD_FILTERS_MAX);
	for (size_t i = 0; i < count; i++)
		binds[i] = query->filters[i];
	return count;
}

static enum err read_page(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
			  const struct record_query *query, struct record_list *out,
			  struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[BINDS_MAX];
	struct db_result rows;
	record_list_sql(kind, query, &sql);
	size_t n = bind_filters(query, binds);
	if (query->continues && query->order->sort != RECORD_CREATED_AT) {
		binds[n++] = query->after;
		binds[n++] = query->after;
	}
	if (query->continues)
		binds[n++] = db_blob(query->after_id.bytes, sizeof(query->after_id.bytes));
	binds[n++] = db_u64(query->limit + 1);
	binds[n++] = db_u64(query->offset);
	enum err err = sql_query(db, arena, &sql, binds, n, &rows, why);
	if (err != ERR_OK)
		return err;
	out->more = rows.row_count > query->limit;
	out->count = out->more ? query->limit : rows.row_count;
	out->records = arena_calloc(arena, out->count + 1, sizeof(*out->records));
	if (out->records == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a list");
	for (size_t i = 0; i < out->count && err == ERR_OK; i++)
		err = record_of_row(&rows, i, kind, arena, &out->records[i], why);
	if (rows.row_count > 0 && rows.column_count > kind->field_count)
		out->total = (uint64_t)db_col_i64(&rows, 0, kind->field_count);
	return err;
}

/* What filters let through is counted up to a bound. */
static enum err read_total(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
			   const struct record_query *query, struct record_list *out,
			   struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[BINDS_MAX];
	struct db_result rows;
	size_t n = bind_filters(query, binds);
	bool counts = n > 0;
	if (counts) {
		strbuf_addf(&sql, "SELECT COUNT(*) FROM (SELECT 1 FROM %s FORCE INDEX (%s)",
			    kind->table, query->order->index);
		add_filters(kind, query, &sql);
		strbuf_adds(&sql, " LIMIT ?) AS counted");
		binds[n++] = db_u64(RECORD_TOTAL_MAX + 1);
	} else {
		add_total(kind, &sql);
	}
	enum err err = sql_query(db, arena, &sql, binds, n, &rows, why);
	if (err != ERR_OK)
		return err;
	int64_t total = rows.values[0].as.i64;
	out->total_is_min = counts && total > RECORD_TOTAL_MAX;
	out->total = out->total_is_min ? RECORD_TOTAL_MAX : (uint64_t)total;
	return ERR_OK;
}

enum err record_list(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct record_query *query, struct record_list *out, struct errmsg *why)
{
	*out = (struct record_list){0};
	enum err err = read_page(db, arena, kind, query, out, why);
	bool has_total = query->order->filter_count == 0 && out->count > 0;
	return err != ERR_OK || has_total ? err : read_total(db, arena, kind, query, out, why);
}
