/*
 * Who runs which job, and how that ends.
 */
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/jobs.h"
#include "store/record_sql.h"

enum { TYPES_MAX = 16, PAUSE_FIRST_MS = 1000, PAUSE_MAX_MS = 600000 };

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

static struct uuid read_id(const struct db_result *rows, size_t row, size_t column)
{
	struct uuid id;
	size_t len;
	const void *bytes = db_col_blob(rows, row, column, &len);
	AN_INVARIANT(bytes != NULL && len == sizeof(id.bytes));
	memcpy(id.bytes, bytes, len);
	return id;
}

/* What a claim is read from. */
#define CLAIM_COLUMNS                                                                              \
	"id, lease_id, attempts, max_attempts, repeatable, cancel_requested, job_type, payload"
enum {
	COL_ID,
	COL_LEASE,
	COL_ATTEMPTS,
	COL_MAX,
	COL_REPEATABLE,
	COL_CANCEL,
	COL_TYPE,
	COL_PAYLOAD
};

static struct job_claim read_claim(const struct db_result *rows, size_t row)
{
	struct job_claim claim = {
	    .id = read_id(rows, row, COL_ID),
	    .attempts = db_col_i64(rows, row, COL_ATTEMPTS),
	    .max_attempts = db_col_i64(rows, row, COL_MAX),
	    .repeatable = db_col_bool(rows, row, COL_REPEATABLE),
	    .cancel_requested = db_col_bool(rows, row, COL_CANCEL),
	    .type = db_col_text(rows, row, COL_TYPE),
	    .payload = db_col_text(rows, row, COL_PAYLOAD),
	};
	if (!db_col_null(rows, row, COL_LEASE))
		claim.lease = read_id(rows, row, COL_LEASE);
	return claim;
}

struct taking {
	struct arena *arena;
	const struct job_taking *how;
	struct job_claim *out;
};

/* Those who claim at the same time skip what others are just taking. */
static enum err lock_next(struct db_conn *db, const struct taking *t, struct db_result *rows,
			  struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[TYPES_MAX];
	size_t n = 0;
	strbuf_adds(&sql, "SELECT " CLAIM_COLUMNS " FROM jobs FORCE INDEX (jobs_due)"
			  " WHERE status = 'queued' AND run_after <= UTC_TIMESTAMP(6)"
			  " AND job_type IN (");
	for (; t->how->types[n] != NULL; n++) {
		AN_INVARIANT(n < TYPES_MAX);
		strbuf_adds(&sql, n > 0 ? ", ?" : "?");
		binds[n] = db_text(t->how->types[n]);
	}
	strbuf_adds(&sql, ") ORDER BY run_after, id LIMIT 1 FOR UPDATE SKIP LOCKED");
	return sql_query(db, t->arena, &sql, binds, n, rows, why);
}

static enum err take_next(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE jobs SET status = 'running', attempts = attempts + 1, progress = 0,"
	    " lease_id = ?, lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, host = ?,"
	    " started_at = UTC_TIMESTAMP(6), updated_at = UTC_TIMESTAMP(6), version = version + 1"
	    " WHERE id = ? AND status = 'queued'";
	struct taking *t = arg;
	struct db_result rows;
	uint64_t affected;
	enum err err = lock_next(db, t, &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		return err_set(why, ERR_NOT_FOUND, "no job is due");
	if (err != ERR_OK)
		return err;
	*t->out = read_claim(&rows, 0);
	t->out->attempts++;
	uuid_new(&t->out->lease);
	err = db_exec(db, sql,
		      DB_BINDS(id_value(&t->out->lease), db_i64(t->how->lease_ms * 1000),
			       db_text(t->how->host), id_value(&t->out->id)),
		      &affected, why);
	/* On a Galera node two may hold the same row lock. */
	if (err == ERR_OK && affected == 0)
		return err_set(why, ERR_NOT_FOUND, "another has just taken the job");
	return err;
}

enum err jobs_claim(struct db_conn *db, struct arena *arena, const struct job_taking *taking,
		    struct job_claim *out, struct errmsg *why)
{
	struct taking t = {arena, taking, out};
	return db_transaction(db, take_next, &t, why);
}

static enum err lost(struct errmsg *why)
{
	return err_set(why, ERR_CONFLICT, "the lease of the job is lost");
}

static enum err read_cancel(struct db_conn *db, const struct job_claim *claim, bool *cancel,
			    struct errmsg *why)
{
	static const char sql[] = "SELECT cancel_requested FROM jobs WHERE id = ? AND lease_id = ?";
	struct arena arena;
	struct db_result row;
	arena_init(&arena, 512, 4096);
	enum err err = db_query(db, &arena, sql,
				DB_BINDS(id_value(&claim->id), id_value(&claim->lease)), &row, why);
	if (err == ERR_OK && row.row_count == 0)
		err = lost(why);
	*cancel = err == ERR_OK && db_col_bool(&row, 0, 0);
	arena_release(&arena);
	return err;
}

/* A lease that is only renewed is no change of the record: its version stays. */
enum err jobs_extend(struct db_conn *db, const struct job_claim *claim, int64_t lease_ms,
		     const struct job_progress *progress, bool *cancel, struct errmsg *why)
{
#define OURS " WHERE id = ? AND status = 'running' AND lease_id = ?"
	static const char renew[] =
	    "UPDATE jobs SET lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND" OURS;
	static const char report[] =
	    "UPDATE jobs SET lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, progress = ?,"
	    " message = ?, version = version + 1, updated_at = UTC_TIMESTAMP(6)" OURS;
	const struct db_value lease = db_i64(lease_ms * 1000), id = id_value(&claim->id),
			      proof = id_value(&claim->lease);
	uint64_t affected;
	*cancel = false;
	enum err err = progress->changed
			   ? db_exec(db, report,
				     DB_BINDS(lease, db_i64(progress->percent),
					      db_text(progress->message), id, proof),
				     &affected, why)
			   : db_exec(db, renew, DB_BINDS(lease, id, proof), &affected, why);
	if (err == ERR_OK && affected == 0)
		return lost(why);
	return err == ERR_OK ? read_cancel(db, claim, cancel, why) : err;
}

int64_t job_pause_ms(int64_t attempts, uint32_t random)
{
	int64_t pause_ms = PAUSE_FIRST_MS;
	for (int64_t i = 1; i < attempts && pause_ms < PAUSE_MAX_MS; i++)
		pause_ms *= 2;
	if (pause_ms > PAUSE_MAX_MS)
		pause_ms = PAUSE_MAX_MS;
	int64_t half = pause_ms / 2;
	return half + half * random / UINT32_MAX;
}

/* The end of a UUIDv7 is random. */
static uint32_t random_of(const struct uuid *id)
{
	uint32_t random;
	memcpy(&random, id->bytes + sizeof(id->bytes) - sizeof(random), sizeof(random));
	return random;
}

struct job_end job_end_failed(const struct job_claim *claim, const char *error)
{
	struct job_end end = {.status = "queued", .error = error};
	if (claim->attempts >= claim->max_attempts)
		end.status = "dead";
	else
		end.pause_ms = job_pause_ms(claim->attempts, random_of(&claim->lease));
	return end;
}

enum err jobs_end(struct db_conn *db, const struct job_claim *claim, const struct job_end *end,
		  struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE jobs SET status = ?, result = ?, error = ?,"
	    " progress = IF(? = 'completed', 100, progress), attempts = attempts - ?,"
	    " run_after = IF(? = 'queued', UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, run_after),"
	    " completed_at = IF(? = 'queued', NULL, UTC_TIMESTAMP(6)), lease_id = NULL,"
	    " lease_until = NULL, updated_at = UTC_TIMESTAMP(6), version = version + 1" OURS;
	const struct db_value status = db_text(end->status);
	uint64_t affected;
	enum err err =
	    db_exec(db, sql,
		    DB_BINDS(status, db_text(end->result), db_text(end->error), status,
			     db_i64(end->attempt_not_used), status, db_i64(end->pause_ms * 1000),
			     status, id_value(&claim->id), id_value(&claim->lease)),
		    &affected, why);
	return err == ERR_OK && affected == 0 ? lost(why) : err;
}

struct reclaiming {
	unsigned most;
	uint64_t count;
};

static enum err take_back(struct db_conn *db, const struct job_claim *claim, struct errmsg *why)
{
	static const char error[] = "its process ended, or fell silent, while it ran";
	struct job_end end = job_end_failed(claim, error);
	if (claim->cancel_requested)
		end = (struct job_end){.status = "cancelled", .error = error};
	else if (!claim->repeatable)
		end = (struct job_end){.status = "failed", .error = error};
	return jobs_end(db, claim, &end, why);
}

/* A lease that is just being renewed is not waited for. */
static enum err reclaim(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const char sql[] = "SELECT " CLAIM_COLUMNS " FROM jobs FORCE INDEX (jobs_lease)"
				  " WHERE status = 'running' AND lease_until < UTC_TIMESTAMP(6)"
				  " ORDER BY lease_until LIMIT ? FOR UPDATE SKIP LOCKED";
	struct reclaiming *r = arg;
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 4096, 64 << 20);
	enum err err = db_query(db, &arena, sql, DB_BINDS(db_u64(r->most)), &rows, why);
	r->count = err == ERR_OK ? rows.row_count : 0;
	for (size_t i = 0; i < r->count && err == ERR_OK; i++) {
		const struct job_claim claim = read_claim(&rows, i);
		err = take_back(db, &claim, why);
	}
	arena_release(&arena);
	return err;
}

enum err jobs_reclaim(struct db_conn *db, unsigned most, uint64_t *count, struct errmsg *why)
{
	struct reclaiming r = {.most = most};
	enum err err = db_transaction(db, reclaim, &r, why);
	*count = err == ERR_OK ? r.count : 0;
	return err;
}
