#include "import/sqlite_file.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "base/utf8.h"

enum { BUSY_MS = 5000 };

struct sqlite_file {
	sqlite3 *db;
};

static enum err explain(const struct sqlite_file *file, struct errmsg *why)
{
	const char *what = sqlite3_errmsg(file->db);
	switch (sqlite3_errcode(file->db) & 0xff) {
	case SQLITE_NOTADB:
		return err_set(why, ERR_MALFORMED, "it is no SQLite database");
	case SQLITE_CORRUPT:
		return err_set(why, ERR_MALFORMED, "it is damaged: %s", what);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(why, ERR_RETRY, "another program keeps it locked");
	case SQLITE_NOMEM:
		return err_set(why, ERR_NOMEM, "out of memory reading it");
	default:
		return err_set(why, ERR_IO, "it can't be read: %s", what);
	}
}

/* Prepares; NULL with the error explained. */
static sqlite3_stmt *prepare(const struct sqlite_file *file, const char *sql, enum err *err,
			     struct errmsg *why)
{
	sqlite3_stmt *statement = NULL;
	*err = ERR_OK;
	if (sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL) != SQLITE_OK)
		*err = explain(file, why);
	return statement;
}

/* Runs a statement that answers with a word, or nothing. */
static enum err run(const struct sqlite_file *file, const char *sql, const char *wanted,
		    struct errmsg *why)
{
	enum err err;
	sqlite3_stmt *statement = prepare(file, sql, &err, why);
	if (statement == NULL)
		return err;
	int step = sqlite3_step(statement);
	if (step != SQLITE_ROW && step != SQLITE_DONE) {
		err = explain(file, why);
	} else if (wanted != NULL && step == SQLITE_ROW) {
		const char *said = (const char *)sqlite3_column_text(statement, 0);
		if (said == NULL || strcmp(said, wanted) != 0)
			err = err_set(why, ERR_MALFORMED, "it is damaged: %s",
				      said != NULL ? said : "no answer");
	}
	sqlite3_finalize(statement);
	return err;
}

/* Nothing in the file may do more than be read; then one moment of it is held. */
static enum err prepare_file(const struct sqlite_file *file, struct errmsg *why)
{
	sqlite3_busy_timeout(file->db, BUSY_MS);
	sqlite3_db_config(file->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(file->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	enum err err = run(file, "BEGIN", NULL, why);
	if (err == ERR_OK)
		err = run(file, "PRAGMA quick_check(1)", "ok", why);
	return err;
}

enum err sqlite_open(const char *path, struct sqlite_file **out, struct errmsg *why)
{
	if (access(path, R_OK) != 0) {
		(void)err_errno(why, "it can't be read");
		return ERR_NOT_FOUND;
	}
	struct sqlite_file *file = calloc(1, sizeof(*file));
	if (file == NULL)
		return err_set(why, ERR_NOMEM, "out of memory opening it");
	enum err err = ERR_OK;
	if (sqlite3_open_v2(path, &file->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		err = explain(file, why);
	if (err == ERR_OK)
		err = prepare_file(file, why);
	if (err != ERR_OK)
		sqlite_close(file);
	else
		*out = file;
	return err;
}

void sqlite_close(struct sqlite_file *file)
{
	if (file == NULL)
		return;
	sqlite3_close(file->db);
	free(file);
}

/* ---- columns ---- */

/* Whether the name is one of "a|b|c"; *rank is its place among them. */
static bool is_among(const char *names, const char *name, size_t *rank)
{
	size_t len = strlen(name);
	*rank = 0;
	for (const char *at = names; at != NULL; at = strchr(at, '|')) {
		at += *at == '|';
		if (strncasecmp(at, name, len) == 0 && (at[len] == '|' || at[len] == '\0'))
			return true;
		++*rank;
	}
	return false;
}

/* Which columns of the file are which of those wanted. */
struct choice {
	const struct sqlite_column *columns;
	size_t count;
	char *names[SQLITE_COLUMNS_MAX]; /* as the file has them; NULL for none */
	size_t ranks[SQLITE_COLUMNS_MAX];
	struct strbuf left_out;
};

static void leave_out(struct choice *c, const char *name)
{
	strbuf_addf(&c->left_out, "%s%s", c->left_out.len > 0 ? ", " : "", name);
}

static void choose(struct choice *c, const char *name)
{
	size_t rank;
	for (size_t i = 0; i < c->count; i++) {
		if (!is_among(c->columns[i].names, name, &rank))
			continue;
		if (c->names[i] != NULL && c->ranks[i] < rank)
			break;
		if (c->names[i] != NULL)
			leave_out(c, c->names[i]);
		free(c->names[i]);
		c->names[i] = strdup(name);
		c->ranks[i] = rank;
		return;
	}
	leave_out(c, name);
}

static enum err look(const struct sqlite_file *file, const char *table, struct choice *c,
		     bool *there, struct errmsg *why)
{
	enum err err;
	sqlite3_stmt *statement =
	    prepare(file, "SELECT name FROM pragma_table_info(?1)", &err, why);
	if (statement == NULL)
		return err;
	int step;
	*there = false;
	sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
	while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(statement, 0);
		*there = true;
		if (name != NULL)
			choose(c, name);
	}
	if (step != SQLITE_DONE)
		err = explain(file, why);
	sqlite3_finalize(statement);
	return err;
}

enum err sqlite_has_any(struct sqlite_file *file, const char *const *tables, bool *has,
			struct errmsg *why)
{
	enum err err;
	sqlite3_stmt *statement = prepare(
	    file, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", &err, why);
	*has = false;
	for (size_t i = 0; err == ERR_OK && tables[i] != NULL && !*has; i++) {
		sqlite3_reset(statement);
		sqlite3_bind_text(statement, 1, tables[i], -1, SQLITE_STATIC);
		int step = sqlite3_step(statement);
		*has = step == SQLITE_ROW;
		if (step != SQLITE_ROW && step != SQLITE_DONE)
			err = explain(file, why);
	}
	sqlite3_finalize(statement);
	return err;
}

static enum err check_required(const struct choice *c, struct errmsg *why)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->columns[i].required && c->names[i] == NULL)
			return err_set(why, ERR_INVALID, "it has no column %.*s",
				       (int)strcspn(c->columns[i].names, "|"), c->columns[i].names);
	return ERR_OK;
}

/* An identifier in quotes: it is the file's, and may hold anything. */
static void add_identifier(struct strbuf *out, const char *name)
{
	strbuf_addc(out, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			strbuf_addc(out, '"');
		strbuf_addc(out, *name);
	}
	strbuf_addc(out, '"');
}

/* ---- rows ---- */

/* What is no text (blobs, broken UTF-8, control characters) reads as none. */
static const char *value_of(struct arena *arena, sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);
	size_t len = text != NULL ? (size_t)sqlite3_column_bytes(statement, column) : 0;
	if (text == NULL || strlen(text) != len || !utf8_valid(text, len))
		return NULL;
	return arena_strndup(arena, text, len);
}

/* The rows as they come: an array that doubles in the arena. */
static enum err read_rows(const struct sqlite_file *file, struct arena *arena,
			  sqlite3_stmt *statement, struct sqlite_rows *out, struct errmsg *why)
{
	size_t room = 0;
	const char **values = NULL;
	int step;
	while ((step = sqlite3_step(statement)) == SQLITE_ROW) {
		if (out->count == room) {
			size_t more = room > 0 ? 2 * room : 64;
			const char **larger =
			    arena_calloc(arena, more * out->column_count, sizeof(*larger));
			if (larger == NULL)
				break;
			if (room > 0)
				memcpy(larger, values, room * out->column_count * sizeof(*values));
			values = larger;
			room = more;
		}
		for (size_t i = 0; i < out->column_count; i++)
			values[out->count * out->column_count + i] =
			    value_of(arena, statement, (int)i);
		if (++out->count > SQLITE_ROWS_MAX || arena->overflowed)
			break;
	}
	out->values = values;
	if (step == SQLITE_ROW)
		return err_set(why, ERR_TOO_LARGE, "it has too many rows, or too long ones");
	return step == SQLITE_DONE ? ERR_OK : explain(file, why);
}

static enum err select_rows(const struct sqlite_file *file, struct arena *arena, const char *table,
			    const struct choice *c, struct sqlite_rows *out, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	enum err err;
	strbuf_adds(&sql, "SELECT ");
	for (size_t i = 0; i < c->count; i++) {
		strbuf_adds(&sql, i > 0 ? ", " : "");
		if (c->names[i] != NULL)
			add_identifier(&sql, c->names[i]);
		else
			strbuf_adds(&sql, "NULL");
	}
	strbuf_adds(&sql, " FROM ");
	add_identifier(&sql, table);
	if (sql.failed)
		return err_set(why, ERR_NOMEM, "out of memory reading it");
	sqlite3_stmt *statement = prepare(file, sql.data, &err, why);
	if (statement == NULL)
		return err;
	out->column_count = c->count;
	err = read_rows(file, arena, statement, out, why);
	sqlite3_finalize(statement);
	return err;
}

enum err sqlite_read(struct sqlite_file *file, struct arena *arena, const char *table,
		     const struct sqlite_column *columns, size_t column_count,
		     struct sqlite_rows *out, struct errmsg *why)
{
	struct choice c = {.columns = columns, .count = column_count, .left_out = STRBUF_INIT};
	AN_INVARIANT(column_count <= SQLITE_COLUMNS_MAX);
	*out = (struct sqlite_rows){.left_out = ""};
	enum err err = look(file, table, &c, &out->there, why);
	if (err == ERR_OK && out->there)
		err = check_required(&c, why);
	if (err == ERR_OK && out->there)
		err = select_rows(file, arena, table, &c, out, why);
	if (err == ERR_OK && out->there) {
		const char *left_out = arena_strdup(arena, c.left_out.data);
		out->left_out = left_out != NULL ? left_out : "";
	}
	for (size_t i = 0; i < column_count; i++)
		free(c.names[i]);
	strbuf_release(&c.left_out);
	return err;
}

/* ---- values ---- */

const char *sqlite_text(const struct sqlite_rows *rows, size_t row, size_t column)
{
	AN_INVARIANT(row < rows->count && column < rows->column_count);
	const char *text = rows->values[row * rows->column_count + column];
	return text != NULL && *text != '\0' ? text : NULL;
}

int64_t sqlite_int(const struct sqlite_rows *rows, size_t row, size_t column, int64_t min,
		   int64_t max, int64_t otherwise)
{
	const char *text = sqlite_text(rows, row, column);
	int64_t number;
	if (text == NULL)
		return otherwise;
	/* A number that was kept as a real one: "1024.0". */
	size_t len = strcspn(text, ".");
	bool whole = text[len] == '\0' || strspn(text + len + 1, "0") == strlen(text + len + 1);
	return whole && num_i64(text, len, min, max, &number) ? number : otherwise;
}

bool sqlite_bool(const struct sqlite_rows *rows, size_t row, size_t column, bool otherwise)
{
	static const char *const yes[] = {"1", "true", "yes", "active"};
	const char *text = sqlite_text(rows, row, column);
	if (text == NULL)
		return otherwise;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (strcasecmp(text, yes[i]) == 0)
			return true;
	return false;
}

/* Seconds since 1970, up to the year 9999. */
static bool parse_seconds(const char *text, int64_t *out)
{
	static const double most = 253402300799.0;
	char *end;
	double seconds = strtod(text, &end);
	if (strspn(text, "0123456789.") != strlen(text) || end == text || *end != '\0' ||
	    seconds < 1 || seconds > most)
		return false;
	*out = llround(seconds * (double)US_PER_S);
	return true;
}

int64_t sqlite_time_us(const struct sqlite_rows *rows, size_t row, size_t column)
{
	enum { DATE_LEN = 10, TIME_LEN = 19, ZONE_LEN = 6 };
	const char *text = sqlite_text(rows, row, column);
	char utc[CLOCK_TEXT_MAX];
	int64_t wall_us = 0;
	if (text == NULL || parse_seconds(text, &wall_us))
		return wall_us;
	size_t len = strlen(text);
	if (len >= TIME_LEN + ZONE_LEN && strcmp(text + len - ZONE_LEN, "+00:00") == 0)
		len -= ZONE_LEN;
	len -= len > TIME_LEN && text[len - 1] == 'Z';
	if (len < TIME_LEN || len > TIME_LEN + 7 ||
	    (text[DATE_LEN] != ' ' && text[DATE_LEN] != 'T'))
		return 0;
	snprintf(utc, sizeof(utc), "%.*sZ", (int)len, text);
	utc[DATE_LEN] = 'T';
	return clock_parse_utc(utc, &wall_us) ? wall_us : 0;
}
