#include "store/record.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/strbuf.h"
#include "store/record_sql.h"

/* Values */

const char *record_text(const struct record *record, size_t column)
{
	const struct db_value *value = &record->values[column];
	return value->type == DB_NULL ? NULL : value->as.bytes.data;
}

int64_t record_int(const struct record *record, size_t column)
{
	const struct db_value *value = &record->values[column];
	return value->type == DB_NULL ? 0 : value->as.i64;
}

bool record_null(const struct record *record, size_t column)
{
	return record->values[column].type == DB_NULL;
}

bool record_uuid(const struct record *record, size_t column, struct uuid *out)
{
	const struct db_value *value = &record->values[column];
	if (value->type == DB_NULL)
		return false;
	AN_INVARIANT(value->type == DB_BLOB && value->as.bytes.len == sizeof(out->bytes));
	memcpy(out->bytes, value->as.bytes.data, sizeof(out->bytes));
	return true;
}

bool record_same(const struct record *a, const struct record *b, size_t column)
{
	const struct db_value *x = &a->values[column], *y = &b->values[column];
	if (x->type != y->type)
		return false;
	switch (x->type) {
	case DB_NULL:
		return true;
	case DB_TEXT:
	case DB_BLOB:
		return x->as.bytes.len == y->as.bytes.len &&
		       memcmp(x->as.bytes.data, y->as.bytes.data, x->as.bytes.len) == 0;
	case DB_F64:
		return x->as.f64 == y->as.f64;
	default:
		return x->as.i64 == y->as.i64;
	}
}

bool record_differs(const struct record *a, const struct record *b)
{
	for (size_t i = RECORD_HEAD; i < a->kind->column_count; i++)
		if (!record_same(a, b, i))
			return true;
	return false;
}

void record_set(struct record *record, size_t column, struct db_value value)
{
	AN_INVARIANT(column < record->kind->field_count);
	record->values[column] = value;
}

void record_set_text(struct record *record, size_t column, const char *text)
{
	record_set(record, column, db_text(text));
}

void record_set_int(struct record *record, size_t column, int64_t value)
{
	record_set(record, column, db_i64(value));
}

void record_set_time(struct record *record, size_t column, int64_t wall_us)
{
	record_set(record, column, db_time(wall_us));
}

void record_set_null(struct record *record, size_t column)
{
	record_set(record, column, db_null());
}

static struct db_value value_of(const struct field *field, const struct field_value *value)
{
	if (value->null)
		return db_null();
	switch (field->type) {
	case FIELD_INT:
		return db_i64(value->as.integer);
	case FIELD_REAL:
		return db_f64(value->as.real);
	case FIELD_BOOL:
		return db_bool(value->as.boolean);
	case FIELD_TIME:
		return db_time(value->as.integer);
	case FIELD_ID:
		return db_blob(value->as.id.bytes, sizeof(value->as.id.bytes));
	default:
		return db_textn(value->as.text.data, value->as.text.len);
	}
}

/* What a field is when nobody said; the rows have it as JSON.  NULL without memory. */
static struct db_value initial_value(struct arena *arena, const struct field *field)
{
	const char *json = field->initial;
	int64_t number;
	if (json == NULL)
		return db_null();
	size_t len = strlen(json);
	switch (field->type) {
	case FIELD_INT:
		AN_INVARIANT(num_i64(json, len, INT64_MIN, INT64_MAX, &number));
		return db_i64(number);
	case FIELD_OBJECT:
	case FIELD_LIST:
	case FIELD_ANY:
		return db_textn(json, len);
	case FIELD_STRING:
	case FIELD_TEXT:
	case FIELD_WORD:
		AN_INVARIANT(len >= 2 && json[0] == '"' && json[len - 1] == '"');
		return db_text(arena_strndup(arena, json + 1, len - 2));
	default:
		A_BUG("a field of a kind that has no initial value");
	}
}

static struct db_value *new_values(struct arena *arena, const struct record_kind *kind,
				   struct errmsg *why)
{
	struct db_value *values = arena_alloc(arena, kind->field_count * sizeof(*values));
	if (values == NULL)
		err_set(why, ERR_NOMEM, "out of memory for a record");
	return values;
}

enum err record_make(struct arena *arena, const struct record_kind *kind,
		     const struct field_value *values, const struct uuid *owner, struct record *out,
		     struct errmsg *why)
{
	struct uuid *ids = arena_calloc(arena, 2, sizeof(*ids));
	*out = (struct record){kind, new_values(arena, kind, why)};
	if (ids == NULL || out->values == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a record");
	uuid_new(&ids[0]);
	ids[1] = *owner;
	int64_t now_us = clock_wall_us();
	record_set(out, RECORD_ID, db_blob(ids[0].bytes, sizeof(ids[0].bytes)));
	record_set(out, RECORD_OWNER_ID, db_blob(ids[1].bytes, sizeof(ids[1].bytes)));
	record_set_int(out, RECORD_VERSION, 1);
	record_set_time(out, RECORD_CREATED_AT, now_us);
	record_set_time(out, RECORD_UPDATED_AT, now_us);
	for (size_t i = RECORD_HEAD; i < kind->field_count; i++)
		record_set(out, i,
			   values[i].given ? value_of(&kind->fields[i], &values[i])
					   : initial_value(arena, &kind->fields[i]));
	if (arena->overflowed)
		return err_set(why, ERR_NOMEM, "out of memory for a record");
	return ERR_OK;
}

enum err record_change(struct arena *arena, const struct record *from,
		       const struct field_value *values, struct record *out, struct errmsg *why)
{
	const struct record_kind *kind = from->kind;
	*out = (struct record){kind, new_values(arena, kind, why)};
	if (out->values == NULL)
		return ERR_NOMEM;
	memcpy(out->values, from->values, kind->field_count * sizeof(*out->values));
	for (size_t i = RECORD_HEAD; i < kind->column_count; i++)
		if (values[i].given)
			record_set(out, i, value_of(&kind->fields[i], &values[i]));
	record_set_int(out, RECORD_VERSION, record_int(from, RECORD_VERSION) + 1);
	record_set_time(out, RECORD_UPDATED_AT, clock_wall_us());
	return ERR_OK;
}

/* Reading */

enum err record_of_row(const struct db_result *rows, size_t row, const struct record_kind *kind,
		       struct arena *arena, struct record *out, struct errmsg *why)
{
	AN_INVARIANT(rows->column_count >= kind->field_count);
	*out = (struct record){kind, new_values(arena, kind, why)};
	if (out->values == NULL)
		return ERR_NOMEM;
	memcpy(out->values, rows->values + row * rows->column_count,
	       kind->field_count * sizeof(*out->values));
	/* What is joined may have no row; the server would take longer to say so by COALESCE(). */
	for (size_t i = kind->column_count; i < kind->field_count; i++)
		if (record_null(out, i) && kind->fields[i].initial != NULL)
			record_set(out, i, initial_value(arena, &kind->fields[i]));
	return ERR_OK;
}

/* sql_query() or sql_peek() */
typedef enum err reading(struct db_conn *db, struct arena *arena, const struct strbuf *sql,
			 const struct db_value *binds, size_t bind_count, struct db_result *out,
			 struct errmsg *why);

static enum err find(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct uuid *id, reading *read, const char *locking, struct record *out,
		     struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	sql_select(kind, NULL, NULL, &sql);
	strbuf_adds(&sql, " WHERE id = ?");
	strbuf_adds(&sql, locking);
	struct db_result rows;
	enum err err =
	    read(db, arena, &sql, DB_BINDS(db_blob(id->bytes, sizeof(id->bytes))), &rows, why);
	if (err != ERR_OK)
		return err;
	if (rows.row_count == 0)
		return err_set(why, ERR_NOT_FOUND, "there is no such %s", kind->name);
	return record_of_row(&rows, 0, kind, arena, out, why);
}

enum err record_find(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct uuid *id, struct record *out, struct errmsg *why)
{
	return find(db, arena, kind, id, sql_query, "", out, why);
}

enum err record_lock(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct uuid *id, struct record *out, struct errmsg *why)
{
	return find(db, arena, kind, id, sql_query, " FOR UPDATE", out, why);
}

enum err record_peek(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct uuid *id, struct record *out, struct errmsg *why)
{
	if (db_attempt(db) > 0)
		return record_lock(db, arena, kind, id, out, why);
	return find(db, arena, kind, id, sql_peek, "", out, why);
}

enum err record_check_state(const struct record *from, const struct record *to, struct errmsg *why)
{
	const struct record_kind *kind = from->kind;
	if (kind->states == NULL || record_same(from, to, kind->status))
		return ERR_OK;
	const char *old = record_text(from, kind->status), *new = record_text(to, kind->status);
	const struct record_state *state = kind->states;
	AN_INVARIANT(old != NULL && new != NULL);
	while (state->status != NULL && strcmp(state->status, old) != 0)
		state++;
	AN_INVARIANT(state->status != NULL);
	STRBUF_CLEANUP legal = STRBUF_INIT;
	for (size_t i = 0; state->next[i] != NULL; i++) {
		if (strcmp(state->next[i], new) == 0)
			return ERR_OK;
		strbuf_addf(&legal, "%s%s", i > 0 ? ", " : "", state->next[i]);
	}
	return err_set(why, ERR_CONFLICT, "a %s %s can't become %s; it can become: %s", old,
		       kind->name, new, legal.len > 0 ? legal.data : "nothing else");
}

enum err record_is_above(struct db_conn *db, const struct record_kind *kind, size_t column,
			 const struct uuid *start, const struct uuid *id, bool *above,
			 struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct arena arena;
	struct db_result rows;
	sql_is_above(kind, column, &sql);
	arena_init(&arena, 512, 4096);
	enum err err = sql_query(db, &arena, &sql,
				 DB_BINDS(db_blob(start->bytes, sizeof(start->bytes)),
					  db_blob(id->bytes, sizeof(id->bytes))),
				 &rows, why);
	*above = err == ERR_OK && rows.row_count > 0;
	arena_release(&arena);
	return err;
}

/* Writing */

/* ERR_INVALID when the record that a field names is not there. */
static enum err check_reference(struct db_conn *db, const struct record *record,
				const struct record_reference *reference, struct errmsg *why)
{
	if (record_null(record, reference->field))
		return ERR_OK;
	STRBUF_CLEANUP sql = STRBUF_INIT;
	strbuf_addf(&sql, "SELECT 1 FROM %s WHERE id = ?", reference->table);
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 512, 4096);
	enum err err =
	    sql_query(db, &arena, &sql, &record->values[reference->field], 1, &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		err = err_set(why, ERR_INVALID, "%s: there is no such %s",
			      record->kind->fields[reference->field].name, reference->what);
	arena_release(&arena);
	return err;
}

/* Says in the client's words which key did not allow a record. */
static enum err explain_conflict(struct db_conn *db, const struct record *record,
				 struct errmsg *why)
{
	const struct record_kind *kind = record->kind;
	for (size_t i = 0; i < kind->reference_count; i++) {
		enum err err = check_reference(db, record, &kind->references[i], why);
		if (err != ERR_OK)
			return err;
	}
	return err_set(why, ERR_CONFLICT, "another %s has this %s", kind->name,
		       kind->unique != NULL ? kind->unique : "key");
}

enum err record_count(struct db_conn *db, const struct record_kind *kind, unsigned shard,
		      int64_t change, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO record_counts (kind, shard, records) VALUES (?, ?, ?)"
	    " ON DUPLICATE KEY UPDATE records = records + VALUES(records)";
	return db_exec_later(db, sql, DB_BINDS(db_text(kind->name), db_u64(shard), db_i64(change)),
			     why);
}

static enum err count(struct db_conn *db, const struct record *record, int change,
		      struct errmsg *why)
{
	enum { SHARDS = 32 };
	struct uuid id;
	AN_INVARIANT(record_uuid(record, RECORD_ID, &id));
	return record_count(db, record->kind, id.bytes[sizeof(id.bytes) - 1] % SHARDS, change, why);
}

enum err record_tally(struct db_conn *db, const struct record *from, const struct record *to,
		      struct errmsg *why)
{
	const struct record_kind *kind = from != NULL ? from->kind : to->kind;
	return kind->tally != NULL ? kind->tally(db, from, to, why) : ERR_OK;
}

enum err record_insert(struct db_conn *db, const struct record *record, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	sql_insert(record->kind, &sql);
	enum err err = sql_exec(db, &sql, record->values, record->kind->column_count, NULL, why);
	if (err == ERR_CONFLICT)
		return explain_conflict(db, record, why);
	return err == ERR_OK ? count(db, record, 1, why) : err;
}

/* Whether a key could refuse the change. */
static bool may_conflict(const struct record *from, const struct record *to)
{
	const struct record_kind *kind = from->kind;
	for (size_t i = 0; i < kind->reference_count; i++)
		if (!record_same(from, to, kind->references[i].field))
			return true;
	for (size_t i = 0; i < kind->column_count && kind->unique != NULL; i++)
		if (strcmp(kind->fields[i].name, kind->unique) == 0 && !record_same(from, to, i))
			return true;
	return false;
}

enum err record_update(struct db_conn *db, const struct record *from, const struct record *to,
		       struct errmsg *why)
{
	const struct record_kind *kind = from->kind;
	struct db_value binds[RECORD_FIELDS_MAX + 2];
	uint64_t affected = 0;
	size_t bind_count = 0;
	AN_INVARIANT(kind->column_count <= RECORD_FIELDS_MAX);
	STRBUF_CLEANUP sql = STRBUF_INIT;
	sql_update(from, to, &sql);
	for (size_t i = 0; i < kind->column_count; i++)
		if (!record_same(from, to, i))
			binds[bind_count++] = to->values[i];
	binds[bind_count++] = from->values[RECORD_ID];
	binds[bind_count++] = from->values[RECORD_VERSION];
	if (!may_conflict(from, to))
		return sql_exec_if_unchanged(db, &sql, binds, bind_count, why);
	enum err err = sql_exec(db, &sql, binds, bind_count, &affected, why);
	if (err == ERR_CONFLICT)
		return explain_conflict(db, to, why);
	if (err == ERR_OK && affected == 0)
		return err_set(why, ERR_RETRY, "changed by another transaction");
	return err;
}

static enum err forget(struct db_conn *db, const struct record_child *child,
		       const struct record *record, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	sql_forget(child, &sql);
	return sql_exec(db, &sql, DB_BINDS(db_time(clock_wall_us()), record->values[RECORD_ID]),
			NULL, why);
}

enum err record_remove(struct db_conn *db, const struct record *record, struct errmsg *why)
{
	const struct record_kind *kind = record->kind;
	enum err err = ERR_OK;
	for (size_t i = 0; i < kind->child_count && err == ERR_OK; i++)
		err = forget(db, &kind->children[i], record, why);
	if (err != ERR_OK)
		return err;
	STRBUF_CLEANUP sql = STRBUF_INIT;
	strbuf_addf(&sql, "DELETE FROM %s WHERE id = ?", kind->table);
	uint64_t affected;
	err = sql_exec(db, &sql, &record->values[RECORD_ID], 1, &affected, why);
	if (err == ERR_CONFLICT)
		return err_set(why, err, "others need this %s", kind->name);
	if (err == ERR_OK && affected == 0)
		return err_set(why, ERR_NOT_FOUND, "there is no such %s", kind->name);
	return err == ERR_OK ? count(db, record, -1, why) : err;
}

/* As JSON */

static void put_value(struct json_writer *w, const struct field *field,
		      const struct db_value *value)
{
	struct uuid uuid;
	json_key(w, field->name);
	if (value->type == DB_NULL) {
		json_null(w);
		return;
	}
	switch (field->type) {
	case FIELD_INT:
		json_int(w, value->as.i64);
		return;
	case FIELD_REAL:
		json_real(w, value->as.f64, 6);
		return;
	case FIELD_BOOL:
		json_bool(w, value->as.i64 != 0);
		return;
	case FIELD_TIME:
		json_time(w, value->as.i64);
		return;
	case FIELD_ID:
		AN_INVARIANT(value->as.bytes.len == sizeof(uuid.bytes));
		memcpy(uuid.bytes, value->as.bytes.data, sizeof(uuid.bytes));
		json_uuid(w, &uuid);
		return;
	case FIELD_OBJECT:
	case FIELD_LIST:
	case FIELD_ANY:
		json_raw(w, value->as.bytes.data, value->as.bytes.len);
		return;
	default:
		json_stringn(w, value->as.bytes.data, value->as.bytes.len);
	}
}

void record_put_change(struct json_writer *w, const struct record *record,
		       const struct record *other)
{
	for (size_t i = 0; i < record->kind->column_count; i++)
		if (other == NULL || !record_same(record, other, i))
			put_value(w, &record->kind->fields[i], &record->values[i]);
}

void record_put_field(struct json_writer *w, const struct record *record, size_t field)
{
	put_value(w, &record->kind->fields[field], &record->values[field]);
}

void record_put(struct json_writer *w, const struct record *record)
{
	for (size_t i = 0; i < record->kind->field_count; i++)
		record_put_field(w, record, i);
}
