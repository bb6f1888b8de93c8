#include "store/jobs.h"

#include <string.h>

#include "store/record_sql.h"

#define NEXT(...) ((const char *const[]){__VA_ARGS__})

static const char *const statuses[] = {"queued", "running",   "completed", "failed",
				       "dead",   "cancelled", NULL};

/* By hand: what ziggie-jobs does to a job that it holds does not come by here. */
static const struct record_state states[] = {
    {"queued", NEXT("cancelled", NULL)},
    {"running", NEXT(NULL)},
    {"completed", NEXT(NULL)},
    {"failed", NEXT("queued", NULL)},
    {"dead", NEXT("queued", NULL)},
    {"cancelled", NEXT("queued", NULL)},
    {NULL, NULL},
};

enum { JSON_MAX = 262144 };

const struct field job_fields[JOB_FIELDS] = {
    RECORD_HEAD_FIELDS,
    [JOB_TYPE] = {"job_type", FIELD_WORD, FIELD_CREATE | FIELD_REQUIRED, .words = job_type_words,
		  .summary = "What is done"},
    [JOB_STATUS] = {"status", FIELD_WORD, .words = statuses, .initial = "\"queued\"",
		    .summary = "Where it stands; dead: its attempts are used up"},
    [JOB_PROGRESS] = {"progress", FIELD_INT, 0, 0, 100, .initial = "0", .summary = "Percent"},
    [JOB_MESSAGE] = {"message", FIELD_STRING, FIELD_NULL, 0, JOB_MESSAGE_MAX,
		     .summary = "What it is doing, or did last"},
    [JOB_PAYLOAD] = {"payload", FIELD_OBJECT, .max = JSON_MAX, .initial = "{}",
		     .summary = "What it is done with"},
    [JOB_RESULT] = {"result", FIELD_OBJECT, FIELD_NULL, .max = JSON_MAX,
		    .summary = "What came of it"},
    [JOB_ERROR] = {"error", FIELD_TEXT, FIELD_NULL, 0, JOB_ERROR_MAX,
		   .summary = "Why the last attempt failed"},
    [JOB_ATTEMPTS] = {"attempts", FIELD_INT, 0, 0, INT32_MAX, .initial = "0",
		      .summary = "How often it was begun"},
    [JOB_MAX_ATTEMPTS] = {"max_attempts", FIELD_INT, 0, 0, INT32_MAX, .initial = "1",
			  .summary = "After how many it is dead"},
    [JOB_REPEATABLE] = {"repeatable", FIELD_BOOL,
			.summary = "Whether it is begun again when its process was killed"},
    [JOB_CANCEL_REQUESTED] = {"cancel_requested", FIELD_BOOL,
			      .summary = "Whether it shall end before it is done"},
    [JOB_SINGLE_KEY] = {"single_key", FIELD_STRING, FIELD_NULL, 0, 100,
			.summary = "While it is queued or runs, no other job has this"},
    [JOB_HOST] = {"host", FIELD_STRING, FIELD_NULL, 0, 64,
		  .summary = "The host that runs it, or did last"},
    [JOB_RUN_AFTER] = {"run_after", FIELD_TIME, .summary = "It is not begun before"},
    [JOB_STARTED_AT] = {"started_at", FIELD_TIME, FIELD_NULL, .summary = "When it was last begun"},
    [JOB_COMPLETED_AT] = {"completed_at", FIELD_TIME, FIELD_NULL, .summary = "When it ended"},
};

static const struct record_order orders[] = {
    RECORD_SORTED("PRIMARY", RECORD_CREATED_AT),
    RECORD_SORTED("jobs_updated", RECORD_UPDATED_AT),
    RECORD_FILTERED("jobs_status", JOB_STATUS),
    RECORD_FILTERED("jobs_type", JOB_TYPE),
    RECORD_FILTERED("jobs_type_status", JOB_TYPE, JOB_STATUS),
    RECORD_FILTERED("jobs_owner", RECORD_OWNER_ID),
};

const struct record_kind jobs = {
    .name = "job",
    .table = "jobs",
    .fields = job_fields,
    .column_count = JOB_FIELDS,
    .field_count = JOB_FIELDS,
    RECORD_ROWS(orders, order_count),
    .unique = "single_key",
    .states = states,
    .status = JOB_STATUS,
};

enum err job_prepare(struct db_conn *db, struct arena *arena, const struct job_type *type,
		     struct record *job, struct errmsg *why)
{
	int64_t now_us;
	enum err err = sql_now(db, arena, &now_us, why);
	if (err != ERR_OK)
		return err;
	record_set_text(job, JOB_TYPE, type->name);
	record_set_int(job, JOB_MAX_ATTEMPTS, type->max_attempts);
	record_set(job, JOB_REPEATABLE, db_bool(type->repeatable));
	record_set(job, JOB_CANCEL_REQUESTED, db_bool(false));
	record_set_time(job, JOB_RUN_AFTER, now_us);
	if (type->every_s > 0)
		record_set_text(job, JOB_SINGLE_KEY, type->name);
	return ERR_OK;
}

static bool is(const struct record *job, const char *status)
{
	return strcmp(record_text(job, JOB_STATUS), status) == 0;
}

enum err job_cancel(struct db_conn *db, struct arena *arena, const struct record *from,
		    struct record *to, struct errmsg *why)
{
	int64_t now_us;
	if (is(from, "running")) {
		record_set(to, JOB_CANCEL_REQUESTED, db_bool(true));
		return ERR_OK;
	}
	if (is(from, "cancelled"))
		return ERR_OK;
	enum err err = sql_now(db, arena, &now_us, why);
	record_set_text(to, JOB_STATUS, "cancelled");
	record_set_time(to, JOB_COMPLETED_AT, now_us);
	return err;
}

enum err job_retry(struct db_conn *db, struct arena *arena, const struct record *from,
		   struct record *to, struct errmsg *why)
{
	int64_t now_us;
	if (is(from, "queued"))
		return err_set(why, ERR_CONFLICT, "the job is queued already");
	enum err err = sql_now(db, arena, &now_us, why);
	record_set_text(to, JOB_STATUS, "queued");
	record_set_int(to, JOB_PROGRESS, 0);
	record_set_int(to, JOB_ATTEMPTS, 0);
	record_set(to, JOB_CANCEL_REQUESTED, db_bool(false));
	record_set_time(to, JOB_RUN_AFTER, now_us);
	record_set_null(to, JOB_COMPLETED_AT);
	return err;
}

/* So many rows went at once: their part in the total is taken from one of its rows. */
struct removing {
	int64_t wall_us;
	unsigned most;
	uint64_t removed;
};

static enum err remove_some(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const char sql[] =
	    "DELETE FROM jobs WHERE completed_at < ? ORDER BY completed_at LIMIT ?";
	struct removing *r = arg;
	enum err err =
	    db_exec(db, sql, DB_BINDS(db_time(r->wall_us), db_u64(r->most)), &r->removed, why);
	if (err != ERR_OK || r->removed == 0)
		return err;
	return record_count(db, &jobs, 0, -(int64_t)r->removed, why);
}

enum err jobs_remove_before(struct db_conn *db, int64_t wall_us, unsigned most, uint64_t *removed,
			    struct errmsg *why)
{
	struct removing r = {.wall_us = wall_us, .most = most};
	enum err err = db_transaction(db, remove_some, &r, why);
	*removed = err == ERR_OK ? r.removed : 0;
	return err;
}

enum err jobs_count(struct db_conn *db, struct job_counts *out, struct errmsg *why)
{
	static const char sql[] =
	    "SELECT (SELECT COUNT(*) FROM jobs WHERE status = 'queued'),"
	    " (SELECT COUNT(*) FROM jobs WHERE status = 'running'),"
	    " (SELECT COUNT(*) FROM jobs WHERE status = 'dead'),"
	    " COALESCE((SELECT TIMESTAMPDIFF(MICROSECOND, MIN(run_after), UTC_TIMESTAMP(6))"
	    " FROM jobs FORCE INDEX (jobs_due) WHERE status = 'queued'), 0)";
	struct arena arena;
	struct db_result row;
	arena_init(&arena, 1024, 8192);
	enum err err = db_query(db, &arena, sql, DB_NO_BINDS, &row, why);
	if (err == ERR_OK) {
		int64_t oldest_us = db_col_i64(&row, 0, 3);
		*out = (struct job_counts){.queued = db_col_i64(&row, 0, 0),
					   .running = db_col_i64(&row, 0, 1),
					   .dead = db_col_i64(&row, 0, 2),
					   .oldest_us = oldest_us > 0 ? oldest_us : 0};
	}
	arena_release(&arena);
	return err;
}
