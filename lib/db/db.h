/*
 * A database connection: statements with typed binds, rows into the caller's
 * arena, transactions that can run again.  What database it is stays in
 * db_mariadb.c.
 *
 *	static const char sql[] = "SELECT username, last_login FROM users WHERE id = ?";
 *	struct db_result rows;
 *	enum err err = db_query(db, arena, sql, DB_BINDS(db_blob(id, sizeof(id))), &rows, why);
 *	if (err == ERR_OK && rows.row_count == 0)
 *		err = ERR_NOT_FOUND;
 *	if (err == ERR_OK)
 *		name = db_col_text(&rows, 0, 0);
 *
 * Every statement obeys the deadline that the connection carries (given when it
 * was borrowed) and ends early when the deadline's client has gone.
 *
 * Errors, wherever a function returns enum err:
 *	ERR_CONFLICT         a unique or foreign key does not allow it
 *	ERR_INVALID          a value the column does not take
 *	ERR_TIMEOUT          the deadline passed, here or on the server
 *	ERR_CANCELLED        the client went away
 *	ERR_UNAVAILABLE      no connection, or it was lost; an open transaction is rolled back
 *	ERR_UNKNOWN_OUTCOME  lost while COMMIT or a db_exec() outside a transaction was under
 *	                     way: look it up by key, never guess
 *	ERR_OVERLOADED       deadlocked too often
 *	ERR_TOO_LARGE        more than the server's max_allowed_packet
 *	ERR_NOMEM            the arena is full
 *	ERR_INTERNAL         anything else: wrong SQL, missing tables or rights
 * A write outside a transaction that met its deadline may have happened too.
 * A connection that was lost or left waiting is broken: every further call fails,
 * and the pool discards it.
 *
 * A connection belongs to one thread at a time.
 */
#ifndef ZIGGIE_DB_DB_H
#define ZIGGIE_DB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/deadline.h"
#include "base/error.h"

struct db_conn;

enum db_type { DB_NULL, DB_I64, DB_U64, DB_F64, DB_TEXT, DB_BLOB, DB_TIME };

/* A value that goes into a statement or came out of one. */
struct db_value {
	enum db_type type;
	union {
		int64_t i64; /* DB_TIME too: microseconds since 1970, UTC */
		uint64_t u64;
		double f64;
		struct {
			const void *data; /* out of a row: NUL-terminated, in the arena */
			size_t len;
		} bytes;
	} as;
};

static inline struct db_value db_null(void)
{
	return (struct db_value){.type = DB_NULL};
}

static inline struct db_value db_i64(int64_t value)
{
	return (struct db_value){.type = DB_I64, .as.i64 = value};
}

static inline struct db_value db_u64(uint64_t value)
{
	return (struct db_value){.type = DB_U64, .as.u64 = value};
}

static inline struct db_value db_bool(bool value)
{
	return db_i64(value);
}

static inline struct db_value db_f64(double value)
{
	return (struct db_value){.type = DB_F64, .as.f64 = value};
}

/* Text and bytes are borrowed until the call returns; NULL becomes SQL's NULL. */
static inline struct db_value db_textn(const char *text, size_t len)
{
	if (text == NULL)
		return db_null();
	return (struct db_value){.type = DB_TEXT, .as.bytes = {text, len}};
}

static inline struct db_value db_text(const char *text)
{
	return db_textn(text, text == NULL ? 0 : strlen(text));
}

static inline struct db_value db_blob(const void *data, size_t len)
{
	if (data == NULL)
		return db_null();
	return (struct db_value){.type = DB_BLOB, .as.bytes = {data, len}};
}

/* A DATETIME(6) from microseconds since 1970, as clock_wall_us() gives them. */
static inline struct db_value db_time(int64_t wall_us)
{
	return (struct db_value){.type = DB_TIME, .as.i64 = wall_us};
}

#define DB_BINDS(...)                                                                              \
	(const struct db_value[]){__VA_ARGS__},                                                    \
	    sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)
#define DB_NO_BINDS NULL, 0

/* Rows in the arena that the query was given; they live as long as it does. */
struct db_result {
	size_t row_count;
	size_t column_count;
	const struct db_value *values; /* row after row */
	uint64_t affected;             /* rows changed by INSERT, UPDATE or DELETE */
};

/* Columns by number, from 0.  NULL reads as 0, false or a NULL pointer.  A column
 * of another kind than the one asked for is a bug and aborts. */
bool db_col_null(const struct db_result *r, size_t row, size_t column);
int64_t db_col_i64(const struct db_result *r, size_t row, size_t column);
uint64_t db_col_u64(const struct db_result *r, size_t row, size_t column);
bool db_col_bool(const struct db_result *r, size_t row, size_t column);
double db_col_f64(const struct db_result *r, size_t row, size_t column);
int64_t db_col_time_us(const struct db_result *r, size_t row, size_t column);
const char *db_col_text(const struct db_result *r, size_t row, size_t column);
const void *db_col_blob(const struct db_result *r, size_t row, size_t column, size_t *len);

/*
 * Runs one statement.  sql is constant text (assembled from constant fragments at
 * most) with ? for every bind; it is prepared once per connection and kept.
 * Outside a transaction a statement that lost to a deadlock is run again.
 */
enum err db_query(struct db_conn *db, struct arena *arena, const char *sql,
		  const struct db_value *binds, size_t bind_count, struct db_result *out,
		  struct errmsg *why);
/* For statements without rows; affected may be NULL.  A row that an UPDATE matched
 * counts as affected even when it already had the new values. */
enum err db_exec(struct db_conn *db, const char *sql, const struct db_value *binds,
		 size_t bind_count, uint64_t *affected, struct errmsg *why);

/*
 * Within a transaction the same for a statement whose count nobody needs and whose refusal by
 * a key nobody has to explain.  It is carried out with the transaction's next statement or its
 * COMMIT, in one round trip with others that wait, and so is its error that of the next
 * statement or of db_transaction().  Text and values are copied.  Outside a transaction it is
 * db_exec().
 */
enum err db_exec_later(struct db_conn *db, const char *sql, const struct db_value *binds,
		       size_t bind_count, struct errmsg *why);

/*
 * A query that decides about a transaction before it has begun: what it reads is not locked, not
 * even with FOR UPDATE, and may have changed when the transaction writes.  Behind the
 * transaction's first statement of another kind, and outside of one, it is db_query().
 */
enum err db_peek(struct db_conn *db, struct arena *arena, const char *sql,
		 const struct db_value *binds, size_t bind_count, struct db_result *out,
		 struct errmsg *why);
/* Whether db_peek() would read outside of the transaction under way. */
bool db_peeks(const struct db_conn *db);
/*
 * db_exec_later(), within a transaction, of an UPDATE whose WHERE holds what db_peek() saw, a
 * version say: when there is no such row any more, the transaction runs again, as after a
 * deadlock.
 */
enum err db_exec_if_unchanged(struct db_conn *db, const char *sql, const struct db_value *binds,
			      size_t bind_count, struct errmsg *why);
/* How often the transaction under way has run before: whoever lost by peeking should lock. */
unsigned db_attempt(const struct db_conn *db);

/* One statement without values and rows that is not worth keeping prepared: DDL, SET. */
enum err db_command(struct db_conn *db, const char *sql, struct errmsg *why);

/*
 * Runs fn inside a transaction (READ COMMITTED) and commits when it returns
 * ERR_OK; anything else rolls back and is returned.  The transaction begins with fn's first
 * statement other than db_peek().  After a deadlock or a lock
 * wait it is run again from its beginning, with back-off, until the deadline: it
 * must pass ERR_RETRY through and must not change anything outside the database
 * that a second run would double.
 */
typedef enum err db_work(struct db_conn *db, void *arg, struct errmsg *why);
enum err db_transaction(struct db_conn *db, db_work *fn, void *arg, struct errmsg *why);

/* The deadline that the connection carries. */
void db_set_deadline(struct db_conn *db, const struct deadline *deadline);
const struct deadline *db_deadline(const struct db_conn *db);

/*
 * The route, by its number in the scoreboard, that slow statements are noted for
 * (shm/statements.h) until the connection is returned.
 */
void db_set_route(struct db_conn *db, unsigned route);

/* Where the database is and who asks.  Texts are borrowed; NULL or "" is absent. */
struct db_server {
	const char *socket; /* wins over host and port */
	const char *host;
	unsigned port;
	const char *user;
	const char *password;
	const char *database;
	int64_t statement_ms; /* the server ends a statement after this; 0 for never */
};

/* From the settings; reads the password file. Release it after the last connection. */
struct conf;
enum err db_server_load(const struct conf *conf, struct db_server *out, struct errmsg *why);
void db_server_release(struct db_server *server);

/* A connection of one's own, for programs without a pool.  The deadline bounds connecting and
 * is then carried. */
enum err db_connect(const struct db_server *server, const struct deadline *deadline,
		    struct db_conn **out, struct errmsg *why);
void db_close(struct db_conn *db); /* NULL is fine */

/* ERR_OK when the server answers. */
enum err db_ping(struct db_conn *db, struct errmsg *why);

/*
 * How many connections may be open at once: on each host, in both generations of a reload, those
 * of the workers' pools and those of ziggie-jobs, one a thread and DB_JOBS_BESIDE.
 */
struct db_demand {
	unsigned hosts;
	unsigned pool_max;
	unsigned job_threads;
	unsigned reserve; /* for administrators, and what is open for moments */
};
enum { DB_JOBS_BESIDE = 2 }; /* who looks for jobs, and the scheduler */
struct db_demand db_demand_load(const struct conf *conf);

/* Whether they fit the server's max_connections; ERR_INVALID with the sum in the message when
 * they don't. */
enum err db_check_capacity(struct db_conn *db, const struct db_demand *demand, struct errmsg *why);

/*
 * Whether an acknowledged commit survives a crash of the server's machine:
 * innodb_flush_log_at_trx_commit=1 and, with a binary log, sync_binlog=1.
 * ERR_INVALID with the setting at fault when it does not.
 */
enum err db_check_durability(struct db_conn *db, struct errmsg *why);

#endif
