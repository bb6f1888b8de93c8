/*
 * The statements of records, from the constant names in their rows; for the files
 * that implement store/record.h.
 */
#ifndef ZIGGIE_STORE_RECORD_SQL_H
#define ZIGGIE_STORE_RECORD_SQL_H

#include "base/strbuf.h"
#include "store/record.h"

/* All fields of all records: "SELECT id, owner_id, ... FROM tasks"; along an index or NULL, and
 * with another column behind the fields or NULL. */
void sql_select(const struct record_kind *kind, const char *index, const char *column,
		struct strbuf *out);
/* Binds: all columns. */
void sql_insert(const struct record_kind *kind, struct strbuf *out);
/* Binds: the columns that are not the same in both, then the id and the version of `from`. */
void sql_update(const struct record *from, const struct record *to, struct strbuf *out);
/* Binds: the time, and the id of what goes. */
void sql_forget(const struct record_child *child, struct strbuf *out);

/* Binds: where to begin, and the id that is looked for above it. */
void sql_is_above(const struct record_kind *kind, size_t column, struct strbuf *out);

/* Those of db.h with a text that may have failed. */
enum err sql_query(struct db_conn *db, struct arena *arena, const struct strbuf *sql,
		   const struct db_value *binds, size_t bind_count, struct db_result *out,
		   struct errmsg *why);
enum err sql_peek(struct db_conn *db, struct arena *arena, const struct strbuf *sql,
		  const struct db_value *binds, size_t bind_count, struct db_result *out,
		  struct errmsg *why);
enum err sql_exec(struct db_conn *db, const struct strbuf *sql, const struct db_value *binds,
		  size_t bind_count, uint64_t *affected, struct errmsg *why);
enum err sql_exec_if_unchanged(struct db_conn *db, const struct strbuf *sql,
			       const struct db_value *binds, size_t bind_count, struct errmsg *why);

/* The time of the database, the only clock that all hosts share; microseconds since 1970. */
enum err sql_now(struct db_conn *db, struct arena *arena, int64_t *out, struct errmsg *why);

/* So many records more, or fewer, in the total of a kind, which is the sum of its shards. */
enum err record_count(struct db_conn *db, const struct record_kind *kind, unsigned shard,
		      int64_t change, struct errmsg *why);

enum err record_of_row(const struct db_result *rows, size_t row, const struct record_kind *kind,
		       struct arena *arena, struct record *out, struct errmsg *why);

#endif
