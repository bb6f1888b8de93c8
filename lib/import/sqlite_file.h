/*
 * Tables of another program's SQLite database, read as text.  The file is opened for reading
 * alone; all tables are read as they were at one moment.  What columns a table has is found
 * out: those of another version of that program may differ.
 *
 *	static const struct sqlite_column columns[] = {
 *	    {"username|name", .required = true}, {"email"},
 *	};
 *	err = sqlite_open(path, &file, why);
 *	err = sqlite_read(file, &arena, "users", columns, 2, &rows, why);
 *	… sqlite_text(&rows, row, 0) …
 *	sqlite_close(file);
 */
#ifndef ZIGGIE_IMPORT_SQLITE_FILE_H
#define ZIGGIE_IMPORT_SQLITE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

struct sqlite_file;

/*
 * ERR_NOT_FOUND when there is no such file; ERR_MALFORMED when it is no SQLite database, or a
 * damaged one; ERR_RETRY when another program keeps it locked.
 */
enum err sqlite_open(const char *path, struct sqlite_file **out, struct errmsg *why);
void sqlite_close(struct sqlite_file *file); /* NULL is fine */

/* Whether the file has one of the tables; the names end with NULL. */
enum err sqlite_has_any(struct sqlite_file *file, const char *const *tables, bool *has,
			struct errmsg *why);

struct sqlite_column {
	const char *names; /* in any case, the first that is there counts: "modified|updated_at" */
	bool required;
};

enum { SQLITE_COLUMNS_MAX = 24, SQLITE_ROWS_MAX = 2000000 };

struct sqlite_rows {
	bool there; /* the file has such a table */
	size_t count;
	size_t column_count;
	const char *const *values; /* row after row; NULL for null, and for what is no text */
	const char *left_out;      /* the columns that are not taken, "a, b"; "" for none */
};

/*
 * Texts belong to the arena.  ERR_INVALID when a required column is missing, ERR_TOO_LARGE
 * for more than SQLITE_ROWS_MAX rows or than the arena takes.
 */
enum err sqlite_read(struct sqlite_file *file, struct arena *arena, const char *table,
		     const struct sqlite_column *columns, size_t column_count,
		     struct sqlite_rows *out, struct errmsg *why);

/* A value; NULL where there is none. */
const char *sqlite_text(const struct sqlite_rows *rows, size_t row, size_t column);
/* A number within bounds, or `otherwise`. */
int64_t sqlite_int(const struct sqlite_rows *rows, size_t row, size_t column, int64_t min,
		   int64_t max, int64_t otherwise);
/* "1", "true", "yes" and "active"; `otherwise` when there is nothing. */
bool sqlite_bool(const struct sqlite_rows *rows, size_t row, size_t column, bool otherwise);
/*
 * Microseconds since 1970 of a time in UTC, "2026-01-31 23:59:59.123456" or with a T, or of
 * seconds since 1970; 0 for none.
 */
int64_t sqlite_time_us(const struct sqlite_rows *rows, size_t row, size_t column);

#endif
