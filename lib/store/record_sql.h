/*
 * The statements of records, from the constant names in their rows; for the files
 * that implement store/record.h.
 */
#ifndef ZIGGIE_STORE_RECORD_SQL_H
#define ZIGGIE_STORE_RECORD_SQL_H

#include "base/strbuf.h"
#include "store/record.h"

/* "id, owner_id, ..." */
void sql_columns(const struct record_kind *kind, struct strbuf *out);
void sql_select(const struct record_kind *kind, struct strbuf *out);
/* Binds: all columns. */
void sql_insert(const struct record_kind *kind, struct strbuf *out);
/* Binds: version, updated_at and the columns behind it, then id and the version before. */
void sql_update(const struct record_kind *kind, struct strbuf *out);
/* Binds: the time, and the id of what goes. */
void sql_forget(const struct record_child *child, struct strbuf *out);

/* Binds: where to begin, and the id that is looked for above it. */
void sql_is_above(const struct record_kind *kind, size_t column, struct strbuf *out);

/*
 * The ids of records for an IN list: adds "?, ?, ..." and fills the values.  The last id
 * is repeated up to one of few lengths, so that few statements need to be prepared.
 */
enum { RECORD_IDS_MAX = 200 };
struct record_ids {
	struct db_value values[RECORD_IDS_MAX];
	size_t count;
};
void sql_ids(const struct record *list, size_t count, struct record_ids *ids, struct strbuf *out);

/* db_query() and db_exec() with a text that may have failed. */
enum err sql_query(struct db_conn *db, struct arena *arena, const struct strbuf *sql,
		   const struct db_value *binds, size_t bind_count, struct db_result *out,
		   struct errmsg *why);
enum err sql_exec(struct db_conn *db, const struct strbuf *sql, const struct db_value *binds,
		  size_t bind_count, uint64_t *affected, struct errmsg *why);

/* A column that holds an id. */
void sql_uuid(const struct db_result *rows, size_t row, size_t column, struct uuid *out);
enum err record_of_row(const struct db_result *rows, size_t row, const struct record_kind *kind,
		       struct arena *arena, struct record *out, struct errmsg *why);

#endif
