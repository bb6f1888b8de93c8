/*
 * Records: the tables behind /api/v1, described in rows.  Of every kind the same
 * functions find, add, change, remove and list; a file of this folder exports its
 * rows (agents.h, goals.h, ...), and all SQL is put together from their constant
 * names, never from a value.
 *
 * A record is one value for each of its kind's fields, in their order: columns, the
 * first of which are the same in all kinds, and behind them what the database
 * computes whenever the record is read.  Values belong to the arena that the record was read or
 * made in.
 *
 * Functions that write belong into a transaction (db_transaction()), since what
 * they do takes several statements.  Errors as in db/db.h, and
 *	ERR_NOT_FOUND  there is no such record
 *	ERR_INVALID    a field names a record that is not there: "goal_id: there is no ..."
 *	ERR_CONFLICT   a unique field is taken, or the record is needed by others
 *
 * A record's version goes up by one with every change and never down.
 */
#ifndef ZIGGIE_STORE_RECORD_H
#define ZIGGIE_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "db/db.h"
#include "json/schema.h"
#include "json/writer.h"

/* The columns that every kind begins with. */
enum {
	RECORD_ID,
	RECORD_OWNER_ID,
	RECORD_VERSION,
	RECORD_CREATED_AT,
	RECORD_UPDATED_AT,
	RECORD_HEAD,
};
#define RECORD_HEAD_FIELDS                                                                         \
	[RECORD_ID] = {"id", FIELD_ID, .summary = "A UUIDv7"},                                     \
	[RECORD_OWNER_ID] = {"owner_id", FIELD_ID, FIELD_NULL,                                     \
			     .summary = "The user who made it; null when that account is gone"},   \
	[RECORD_VERSION] = {"version", FIELD_INT, 0,                                               \
			    1,         INT64_MAX, .summary = "Counts its changes; also its ETag"}, \
	[RECORD_CREATED_AT] = {"created_at", FIELD_TIME, .summary = "When it was made"},           \
	[RECORD_UPDATED_AT] = {"updated_at", FIELD_TIME, .summary = "When it last changed"}

/* A field that names another record. */
struct record_reference {
	size_t field;
	const char *table;
	const char *what; /* "goal" */
};

/* Records of another kind that name this one: the name is taken out when it goes. */
struct record_child {
	const char *table;
	const char *column;
};

/* What a status may become; a table of them ends with a row without a status. */
struct record_state {
	const char *status;
	const char *const *next; /* ends with NULL */
};

enum { RECORD_FILTERS_MAX = 2, RECORD_FIELDS_MAX = 32 };

/*
 * A way to list: for given values of the filters, along one index, in the order of
 * sort and then of id.  RECORD_CREATED_AT as sort is the order of id alone.
 */
struct record_order {
	const char *index; /* "PRIMARY", "agents_status" */
	size_t sort;
	size_t filter_count;
	size_t filters[RECORD_FILTERS_MAX]; /* fields, in the order of the index */
};

/* An id as text, for what is computed as JSON. */
#define RECORD_ID_TEXT(column)                                                                     \
	"LOWER(CONCAT_WS('-', SUBSTR(HEX(" column "), 1, 8), SUBSTR(HEX(" column "), 9, 4),"       \
	" SUBSTR(HEX(" column "), 13, 4), SUBSTR(HEX(" column "), 17, 4),"                         \
	" SUBSTR(HEX(" column "), 21)))"

#define RECORD_SORTED(index_, field)                                                               \
	{                                                                                          \
		.index = (index_), .sort = (field)                                                 \
	}
#define RECORD_FILTERED(index_, ...)                                                               \
	{                                                                                          \
		.index = (index_), .sort = RECORD_CREATED_AT,                                      \
		.filter_count = sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), .filters = {     \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

struct record;
struct record_kind {
	const char *name;  /* "agent" */
	const char *table; /* "agents" */
	const struct field *fields;
	size_t column_count; /* the first of the fields */
	size_t field_count;
	const char *const *computed; /* an SQL expression for each field behind the columns */
	const char *join;            /* of what those need: " LEFT JOIN ..."; NULL for nothing */
	const struct record_order *orders;
	size_t order_count;
	const struct record_reference *references;
	size_t reference_count;
	const struct record_child *children;
	size_t child_count;
	const char *unique;                /* the field that no two records share; NULL for none */
	const struct record_state *states; /* of the field below; NULL for any order */
	size_t status;
	/* record_tally() of this kind; NULL when nothing shows how many there are. */
	enum err (*tally)(struct db_conn *db, const struct record *from, const struct record *to,
			  struct errmsg *why);
};

/* A member that is an array of the same name, and the member that counts it. */
#define RECORD_ROWS(rows, count) .rows = (rows), .count = sizeof(rows) / sizeof((rows)[0])

struct record {
	const struct record_kind *kind;
	struct db_value *values; /* kind->field_count */
};

/* A field; NULL, 0 or false where the record has none. */
const char *record_text(const struct record *record, size_t column);
int64_t record_int(const struct record *record, size_t column);
bool record_null(const struct record *record, size_t column);
/* False when it is null. */
bool record_uuid(const struct record *record, size_t column, struct uuid *out);
bool record_same(const struct record *a, const struct record *b, size_t column);
/* Whether a column behind the head is not the same in both. */
bool record_differs(const struct record *a, const struct record *b);

/* Sets a column to a value that lives as long as the record. */
void record_set(struct record *record, size_t column, struct db_value value);
void record_set_text(struct record *record, size_t column, const char *text);
void record_set_int(struct record *record, size_t column, int64_t value);
void record_set_time(struct record *record, size_t column, int64_t wall_us);
void record_set_null(struct record *record, size_t column);

enum err record_find(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct uuid *id, struct record *out, struct errmsg *why);
/* The same, and nobody else changes it before the transaction ends. */
enum err record_lock(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct uuid *id, struct record *out, struct errmsg *why);
/*
 * The same for a transaction that begins with it and changes the record with record_update(): at
 * first nobody waits for a lock, as hardly ever two change one record at the same time; when they
 * did, the transaction runs again, and locks it.
 */
enum err record_peek(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct uuid *id, struct record *out, struct errmsg *why);

/* A new one with a new id, from a body that schema_read() took; not in the database yet. */
enum err record_make(struct arena *arena, const struct record_kind *kind,
		     const struct field_value *values, const struct uuid *owner, struct record *out,
		     struct errmsg *why);
/* A copy of `from` with what a body changes, one version on. */
enum err record_change(struct arena *arena, const struct record *from,
		       const struct field_value *values, struct record *out, struct errmsg *why);

/* ERR_CONFLICT, naming what is legal, when the status of `from` can't become that of `to`. */
enum err record_check_state(const struct record *from, const struct record *to, struct errmsg *why);

/*
 * Whether the record `id` is `start` or stands above it, following the column from
 * child to parent: setting it there would close a circle.
 */
enum err record_is_above(struct db_conn *db, const struct record_kind *kind, size_t column,
			 const struct uuid *start, const struct uuid *id, bool *above,
			 struct errmsg *why);

enum err record_insert(struct db_conn *db, const struct record *record, struct errmsg *why);
/* Stores what is not the same in both; `from` is what was read in this transaction, and when that
 * is not stored any more the transaction is to run again: ERR_RETRY, now or at its next statement.
 */
enum err record_update(struct db_conn *db, const struct record *from, const struct record *to,
		       struct errmsg *why);
enum err record_remove(struct db_conn *db, const struct record *record, struct errmsg *why);
/*
 * Counts a change that is stored for the records that show it; what is new or gone is NULL on
 * one side.  The last statement of the transaction: who counts for the same record waits for
 * its end.
 */
enum err record_tally(struct db_conn *db, const struct record *from, const struct record *to,
		      struct errmsg *why);

struct record_query {
	const struct record_order *order;
	struct db_value filters[RECORD_FILTERS_MAX];
	bool descending;
	uint64_t limit;
	uint64_t offset;
	bool continues; /* behind the record with this sort value and id */
	struct db_value after;
	struct uuid after_id;
};

/* A total that is counted, not known, stops there. */
enum { RECORD_TOTAL_MAX = 1000 };

struct record_list {
	struct record *records; /* limit of them at most */
	size_t count;
	bool more;         /* others follow */
	uint64_t total;    /* of all that the filters let through */
	bool total_is_min; /* there are at least so many: RECORD_TOTAL_MAX */
};

/* One statement without filters, two with them (and for an empty page), whatever the page and the
 * table hold. */
enum err record_list(struct db_conn *db, struct arena *arena, const struct record_kind *kind,
		     const struct record_query *query, struct record_list *out, struct errmsg *why);

/* The statement that reads such a page, for those who want to see how it is read. */
struct strbuf;
void record_list_sql(const struct record_kind *kind, const struct record_query *query,
		     struct strbuf *out);

/* A member for one field, or for all, into an object that is open. */
void record_put_field(struct json_writer *w, const struct record *record, size_t field);
void record_put(struct json_writer *w, const struct record *record);
/* Those columns alone that are not the same in other; all when that is NULL. */
void record_put_change(struct json_writer *w, const struct record *record,
		       const struct record *other);

#endif
