#include "store/record_sql.h"

/* More than most statements take, so that they grow once. */
enum { SQL_ROOM = 768 };

static void add_columns(const struct record_kind *kind, struct strbuf *out)
{
	for (size_t i = 0; i < kind->column_count; i++) {
		strbuf_adds(out, i > 0 ? ", " : "");
		strbuf_adds(out, kind->fields[i].name);
	}
}

void sql_select(const struct record_kind *kind, const char *index, const char *column,
		struct strbuf *out)
{
	strbuf_reserve(out, SQL_ROOM);
	strbuf_adds(out, "SELECT ");
	add_columns(kind, out);
	for (size_t i = kind->column_count; i < kind->field_count; i++) {
		strbuf_adds(out, ", ");
		strbuf_adds(out, kind->computed[i - kind->column_count]);
	}
	if (column != NULL)
		strbuf_addf(out, ", %s", column);
	strbuf_adds(out, " FROM ");
	strbuf_adds(out, kind->table);
	if (index != NULL)
		strbuf_addf(out, " FORCE INDEX (%s)", index);
	if (kind->join != NULL)
		strbuf_adds(out, kind->join);
}

void sql_insert(const struct record_kind *kind, struct strbuf *out)
{
	strbuf_addf(out, "INSERT INTO %s (", kind->table);
	add_columns(kind, out);
	strbuf_adds(out, ") VALUES (?");
	for (size_t i = 1; i < kind->column_count; i++)
		strbuf_adds(out, ", ?");
	strbuf_adds(out, ")");
}

void sql_update(const struct record *from, const struct record *to, struct strbuf *out)
{
	const struct record_kind *kind = from->kind;
	const char *before = " SET ";
	strbuf_addf(out, "UPDATE %s", kind->table);
	for (size_t i = 0; i < kind->column_count; i++) {
		if (record_same(from, to, i))
			continue;
		strbuf_addf(out, "%s%s = ?", before, kind->fields[i].name);
		before = ", ";
	}
	strbuf_adds(out, " WHERE id = ? AND version = ?");
}

void sql_forget(const struct record_child *child, struct strbuf *out)
{
	strbuf_addf(out,
		    "UPDATE %s SET %s = NULL, version = version + 1, updated_at = ? WHERE %s = ?",
		    child->table, child->column, child->column);
}

void sql_is_above(const struct record_kind *kind, size_t column, struct strbuf *out)
{
	const char *parent = kind->fields[column].name;
	strbuf_addf(out,
		    "WITH RECURSIVE above (id, parent) AS ("
		    "SELECT id, %s FROM %s WHERE id = ?"
		    " UNION SELECT t.id, t.%s FROM %s t JOIN above ON t.id = above.parent)"
		    " SELECT 1 FROM above WHERE id = ? LIMIT 1",
		    parent, kind->table, parent, kind->table);
}

enum err sql_query(struct db_conn *db, struct arena *arena, const struct strbuf *sql,
		   const struct db_value *binds, size_t bind_count, struct db_result *out,
		   struct errmsg *why)
{
	if (sql->failed)
		return err_set(why, ERR_NOMEM, "out of memory for a statement");
	return db_query(db, arena, sql->data, binds, bind_count, out, why);
}

enum err sql_peek(struct db_conn *db, struct arena *arena, const struct strbuf *sql,
		  const struct db_value *binds, size_t bind_count, struct db_result *out,
		  struct errmsg *why)
{
	if (sql->failed)
		return err_set(why, ERR_NOMEM, "out of memory for a statement");
	return db_peek(db, arena, sql->data, binds, bind_count, out, why);
}

enum err sql_exec(struct db_conn *db, const struct strbuf *sql, const struct db_value *binds,
		  size_t bind_count, uint64_t *affected, struct errmsg *why)
{
	if (sql->failed)
		return err_set(why, ERR_NOMEM, "out of memory for a statement");
	return db_exec(db, sql->data, binds, bind_count, affected, why);
}

enum err sql_exec_if_unchanged(struct db_conn *db, const struct strbuf *sql,
			       const struct db_value *binds, size_t bind_count, struct errmsg *why)
{
	if (sql->failed)
		return err_set(why, ERR_NOMEM, "out of memory for a statement");
	return db_exec_if_unchanged(db, sql->data, binds, bind_count, why);
}

enum err sql_now(struct db_conn *db, struct arena *arena, int64_t *out, struct errmsg *why)
{
	struct db_result row;
	enum err err = db_query(db, arena, "SELECT UTC_TIMESTAMP(6)", DB_NO_BINDS, &row, why);
	*out = err == ERR_OK ? db_col_time_us(&row, 0, 0) : 0;
	return err;
}
