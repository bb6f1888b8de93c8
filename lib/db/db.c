#include "db/db.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/clock.h"
#include "db/deferred.h"
#include "db/driver.h"
#include "shm/statements.h"

enum { ATTEMPTS_MAX = 10, BACKOFF_FIRST_MS = 4, BACKOFF_MAX_MS = 250 };

static const struct db_value *cell(const struct db_result *r, size_t row, size_t column)
{
	AN_INVARIANT(row < r->row_count && column < r->column_count);
	return &r->values[row * r->column_count + column];
}

bool db_col_null(const struct db_result *r, size_t row, size_t column)
{
	return cell(r, row, column)->type == DB_NULL;
}

int64_t db_col_i64(const struct db_result *r, size_t row, size_t column)
{
	const struct db_value *v = cell(r, row, column);
	switch (v->type) {
	case DB_NULL:
		return 0;
	case DB_U64:
		AN_INVARIANT(v->as.u64 <= INT64_MAX);
		return (int64_t)v->as.u64;
	default:
		AN_INVARIANT(v->type == DB_I64);
		return v->as.i64;
	}
}

uint64_t db_col_u64(const struct db_result *r, size_t row, size_t column)
{
	const struct db_value *v = cell(r, row, column);
	switch (v->type) {
	case DB_NULL:
		return 0;
	case DB_I64:
		AN_INVARIANT(v->as.i64 >= 0);
		return (uint64_t)v->as.i64;
	default:
		AN_INVARIANT(v->type == DB_U64);
		return v->as.u64;
	}
}

bool db_col_bool(const struct db_result *r, size_t row, size_t column)
{
	return db_col_i64(r, row, column) != 0;
}

double db_col_f64(const struct db_result *r, size_t row, size_t column)
{
	const struct db_value *v = cell(r, row, column);
	switch (v->type) {
	case DB_NULL:
		return 0;
	case DB_I64:
		return (double)v->as.i64;
	case DB_U64:
		return (double)v->as.u64;
	default:
		AN_INVARIANT(v->type == DB_F64);
		return v->as.f64;
	}
}

int64_t db_col_time_us(const struct db_result *r, size_t row, size_t column)
{
	const struct db_value *v = cell(r, row, column);
	if (v->type == DB_NULL)
		return 0;
	AN_INVARIANT(v->type == DB_TIME);
	return v->as.i64;
}

const char *db_col_text(const struct db_result *r, size_t row, size_t column)
{
	const struct db_value *v = cell(r, row, column);
	if (v->type == DB_NULL)
		return NULL;
	AN_INVARIANT(v->type == DB_TEXT);
	return v->as.bytes.data;
}

const void *db_col_blob(const struct db_result *r, size_t row, size_t column, size_t *len)
{
	const struct db_value *v = cell(r, row, column);
	*len = 0;
	if (v->type == DB_NULL)
		return NULL;
	AN_INVARIANT(v->type == DB_BLOB || v->type == DB_TEXT);
	*len = v->as.bytes.len;
	return v->as.bytes.data;
}

static int64_t random_below(int64_t bound)
{
	uint32_t bits = 0;
	if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		bits = (uint32_t)clock_mono_ns();
	return (int64_t)bits % bound;
}

/* Full jitter: those that collided must not meet again.  Ends early with the deadline or client. */
static enum err back_off(const struct deadline *deadline, unsigned attempt, struct errmsg *why)
{
	int64_t ceiling = BACKOFF_FIRST_MS << (attempt < 6 ? attempt : 6);
	if (ceiling > BACKOFF_MAX_MS)
		ceiling = BACKOFF_MAX_MS;
	int64_t pause = 1 + random_below(ceiling);
	int64_t left = deadline_left_ms(deadline);
	if (left <= pause)
		return err_set(why, ERR_TIMEOUT,
			       "the time ran out after losing to other transactions");
	struct pollfd client = {.fd = deadline->client_fd, .events = POLLRDHUP};
	if (poll(&client, 1, (int)pause) > 0)
		return err_set(why, ERR_CANCELLED, "the client went away");
	return ERR_OK;
}

/* What ERR_RETRY becomes when there is no further try. */
static enum err gave_up(struct errmsg *why)
{
	return err_set(why, ERR_OVERLOADED, "lost to other transactions %d times", ATTEMPTS_MAX);
}

static int64_t watch_start(const struct db_conn *db)
{
	return db->board != NULL ? clock_mono_ns() : 0;
}

static void watch_end(const struct db_conn *db, const char *sql, int64_t began_ns)
{
	if (db->board != NULL)
		statements_note(db->board, sql, db->route, clock_mono_ns() - began_ns);
}

static enum err run_once(struct db_conn *db, struct arena *arena, const char *sql,
			 const struct db_value *binds, size_t bind_count, struct db_result *out,
			 struct errmsg *why)
{
	int64_t began_ns = watch_start(db);
	enum err err = driver_run(db, arena, sql, binds, bind_count, out, why);
	watch_end(db, sql, began_ns);
	return err;
}

static enum err begin(struct db_conn *db, struct errmsg *why)
{
	db->deferred->begun = true;
	return driver_command(db, "START TRANSACTION", true, why);
}

/* Begins the transaction, or carries out what waits in it, so that every statement sees those
 * before it. */
static enum err catch_up(struct db_conn *db, struct errmsg *why)
{
	struct deferred *d = db->deferred;
	struct db_result nothing;
	if (!deferred_any(d))
		return d->begun ? ERR_OK : begin(db, why);
	const char *sql = deferred_text(d, false);
	enum err err = ERR_OK;
	if (sql == NULL)
		err = err_set(why, ERR_NOMEM, "out of memory for a statement");
	else
		err = run_once(db, NULL, sql, d->values, d->value_count, &nothing, why);
	deferred_release(d);
	return err;
}

static enum err run(struct db_conn *db, struct arena *arena, const char *sql,
		    const struct db_value *binds, size_t bind_count, struct db_result *out,
		    struct errmsg *why)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	if (db->deferred != NULL) {
		enum err err = catch_up(db, why);
		return err == ERR_OK ? run_once(db, arena, sql, binds, bind_count, out, why) : err;
	}
	for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		struct errmsg reason = ERRMSG_INIT;
		enum err err = run_once(db, arena, sql, binds, bind_count, out, &reason);
		if (err == ERR_RETRY)
			err = back_off(&db->deadline, attempt, &reason);
		else if (err == ERR_OK)
			return ERR_OK;
		if (err != ERR_OK)
			return err_set(why, err, "%s", reason.text);
	}
	return gave_up(why);
}

enum err db_query(struct db_conn *db, struct arena *arena, const char *sql,
		  const struct db_value *binds, size_t bind_count, struct db_result *out,
		  struct errmsg *why)
{
	return run(db, arena, sql, binds, bind_count, out, why);
}

bool db_peeks(const struct db_conn *db)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	const struct deferred *d = db->deferred;
	return d != NULL && !d->begun && !deferred_any(d);
}

enum err db_peek(struct db_conn *db, struct arena *arena, const char *sql,
		 const struct db_value *binds, size_t bind_count, struct db_result *out,
		 struct errmsg *why)
{
	if (!db_peeks(db))
		return run(db, arena, sql, binds, bind_count, out, why);
	return run_once(db, arena, sql, binds, bind_count, out, why);
}

enum err db_exec(struct db_conn *db, const char *sql, const struct db_value *binds,
		 size_t bind_count, uint64_t *affected, struct errmsg *why)
{
	struct db_result result = {0};
	enum err err = run(db, NULL, sql, binds, bind_count, &result, why);
	if (err == ERR_OK && affected != NULL)
		*affected = result.affected;
	if (err == ERR_UNAVAILABLE && db->broken != ERR_OK && db->sent && db->deferred == NULL) {
		db->sent = false;
		return err_set(why, ERR_UNKNOWN_OUTCOME,
			       "the database was lost while it carried out a change");
	}
	return err;
}

enum err db_exec_later(struct db_conn *db, const char *sql, const struct db_value *binds,
		       size_t bind_count, struct errmsg *why)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	if (db->deferred == NULL)
		return db_exec(db, sql, binds, bind_count, NULL, why);
	if (!deferred_fits(db->deferred, bind_count)) {
		enum err err = catch_up(db, why);
		if (err != ERR_OK)
			return err;
	}
	return deferred_add(db->deferred, sql, binds, bind_count, why);
}

enum err db_exec_if_unchanged(struct db_conn *db, const char *sql, const struct db_value *binds,
			      size_t bind_count, struct errmsg *why)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	AN_INVARIANT(db->deferred != NULL);
	enum err err = db_exec_later(db, sql, binds, bind_count, why);
	if (err == ERR_OK)
		deferred_must_find(db->deferred);
	return err;
}

unsigned db_attempt(const struct db_conn *db)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	AN_INVARIANT(db->deferred != NULL);
	return db->deferred->attempt;
}

enum err db_command(struct db_conn *db, const char *sql, struct errmsg *why)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	enum err err = db->deferred != NULL ? catch_up(db, why) : ERR_OK;
	if (err == ERR_OK)
		err = driver_command(db, sql, true, why);
	return err == ERR_RETRY ? gave_up(why) : err;
}

/* Nobody waits for a commit that has not begun yet. */
static enum err still_wanted(const struct deadline *deadline, struct errmsg *why)
{
	if (deadline_passed(deadline))
		return err_set(why, ERR_TIMEOUT, "the time ran out before the commit");
	struct pollfd client = {.fd = deadline->client_fd, .events = POLLRDHUP};
	if (client.fd >= 0 && poll(&client, 1, 0) > 0)
		return err_set(why, ERR_CANCELLED, "the client went away before the commit");
	return ERR_OK;
}

/* With what waits for it; a transaction that has not begun has nothing to commit. */
static enum err send_commit(struct db_conn *db, struct errmsg *why)
{
	struct deferred *d = db->deferred;
	if (!deferred_any(d) && !d->begun)
		return ERR_OK;
	const char *sql = deferred_any(d) ? deferred_text(d, true) : "COMMIT";
	if (sql == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a statement");
	int64_t began_ns = watch_start(db);
	enum err err = deferred_any(d) ? driver_finish(db, sql, d->values, d->value_count, why)
				       : driver_command(db, sql, false, why);
	watch_end(db, sql, began_ns);
	return err;
}

/* Once sent, a COMMIT is waited for even when the client has gone. */
static enum err commit(struct db_conn *db, struct errmsg *why)
{
	enum err err = still_wanted(&db->deadline, why);
	if (err != ERR_OK)
		return err;
	err = send_commit(db, why);
	if (err == ERR_OK || db->broken == ERR_OK)
		return err;
	if (!db->sent)
		return ERR_UNAVAILABLE;
	return err_set(why, ERR_UNKNOWN_OUTCOME, "the database was lost during COMMIT");
}

/*
 * The end of the transaction's own deadline must not keep its locks: a rollback
 * gets a moment of its own, and a connection that can't do it is discarded, which rolls
 * back too.
 */
static void roll_back(struct db_conn *db)
{
	enum { ROLLBACK_MS = 1000 };
	if (db->broken != ERR_OK || !db->deferred->begun)
		return;
	struct deadline theirs = db->deadline;
	db->deadline = deadline_in_ms(ROLLBACK_MS);
	enum err err = driver_command(db, "ROLLBACK", false, NULL);
	db->deadline = theirs;
	if (err != ERR_OK && db->broken == ERR_OK)
		db->broken = ERR_UNAVAILABLE;
}

static enum err run_work(struct db_conn *db, db_work *fn, void *arg, unsigned attempt,
			 struct errmsg *why)
{
	struct deferred deferred;
	deferred_init(&deferred, attempt);
	db->deferred = &deferred;
	enum err err = fn(db, arg, why);
	/* Broken, and fn did not notice or mind: there is nothing left to commit. */
	if (err == ERR_OK && db->broken != ERR_OK)
		err = err_set(why, db->broken, "the database connection was lost");
	if (err == ERR_OK)
		err = commit(db, why);
	if (err != ERR_OK)
		roll_back(db);
	db->deferred = NULL;
	deferred_release(&deferred);
	return err;
}

enum err db_transaction(struct db_conn *db, db_work *fn, void *arg, struct errmsg *why)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	AN_INVARIANT(db->deferred == NULL);
	for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		struct errmsg reason = ERRMSG_INIT;
		enum err err = run_work(db, fn, arg, attempt, &reason);
		if (err == ERR_RETRY)
			err = back_off(&db->deadline, attempt, &reason);
		else if (err == ERR_OK)
			return ERR_OK;
		if (err != ERR_OK)
			return err_set(why, err, "%s", reason.text);
	}
	return gave_up(why);
}

void db_set_deadline(struct db_conn *db, const struct deadline *deadline)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	db->deadline = *deadline;
}

const struct deadline *db_deadline(const struct db_conn *db)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	return &db->deadline;
}

void db_set_route(struct db_conn *db, unsigned route)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	db->route = route;
}

enum err db_connect(const struct db_server *server, const struct deadline *deadline,
		    struct db_conn **out, struct errmsg *why)
{
	return driver_connect(server, deadline, out, why);
}

void db_close(struct db_conn *db)
{
	if (db != NULL)
		driver_close(db);
}

enum err db_ping(struct db_conn *db, struct errmsg *why)
{
	CHECK_MAGIC(db, DB_CONN_MAGIC);
	return driver_ping(db, why);
}
