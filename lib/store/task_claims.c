/*
 * Who works on which task.
 *
 * Those who claim at the same time skip the tasks that others are just taking (SKIP
 * LOCKED, MariaDB 10.6), so that nobody waits for anybody and each task goes to one.
 */
#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/agent_tasks.h"
#include "store/record_sql.h"
#include "store/tasks.h"

/* Among those that are meant for the agent, or for nobody; *rows is empty when there is none. */
static enum err next_ready(struct db_conn *db, struct arena *arena, const struct task_claim *claim,
			   bool own, struct db_result *rows, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct db_value binds[2];
	size_t n = 0;
	bool any = claim->task_type == NULL;
	sql_select(&tasks, any ? "tasks_ready" : "tasks_ready_of_type", NULL, &sql);
	strbuf_addf(&sql, " WHERE status = 'ready' AND agent_id %s%s", own ? "= ?" : "IS NULL",
		    any ? "" : " AND task_type = ?");
	strbuf_adds(&sql, " ORDER BY urgency, id LIMIT 1 FOR UPDATE SKIP LOCKED");
	if (own)
		binds[n++] = db_blob(claim->agent_id.bytes, sizeof(claim->agent_id.bytes));
	if (!any)
		binds[n++] = db_text(claim->task_type);
	return sql_query(db, arena, &sql, binds, n, rows, why);
}

static enum err lock_next(struct db_conn *db, struct arena *arena, const struct task_claim *claim,
			  struct record *out, struct errmsg *why)
{
	struct db_result rows;
	enum err err = next_ready(db, arena, claim, true, &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		err = next_ready(db, arena, claim, false, &rows, why);
	if (err != ERR_OK)
		return err;
	if (rows.row_count == 0)
		return err_set(why, ERR_NOT_FOUND, "no task is ready");
	return record_of_row(&rows, 0, &tasks, arena, out, why);
}

enum err tasks_claim(struct db_conn *db, struct arena *arena, const struct task_claim *claim,
		     struct record *from, struct record *to, struct errmsg *why)
{
	static const struct field_value nothing[TASK_FIELDS];
	void *agent = arena_alloc(arena, sizeof(claim->agent_id.bytes));
	int64_t now_us = 0;
	if (agent == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a claim");
	memcpy(agent, claim->agent_id.bytes, sizeof(claim->agent_id.bytes));
	enum err err = lock_next(db, arena, claim, from, why);
	if (err == ERR_OK)
		err = sql_now(db, arena, &now_us, why);
	if (err == ERR_OK)
		err = record_change(arena, from, nothing, to, why);
	if (err != ERR_OK)
		return err;
	record_set_text(to, TASK_STATUS, "running");
	record_set(to, TASK_AGENT_ID, db_blob(agent, sizeof(claim->agent_id.bytes)));
	record_set_time(to, TASK_STARTED_AT, now_us);
	record_set_int(to, TASK_LEASE_MS, claim->lease_ms);
	record_set_time(to, TASK_LEASE_UNTIL, now_us + claim->lease_ms * 1000);
	return record_update(db, from, to, why);
}

enum err tasks_extend_leases(struct db_conn *db, const struct uuid *agent, struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE tasks FORCE INDEX (tasks_agent_status)"
	    " SET lease_until = UTC_TIMESTAMP(6) + INTERVAL 1000 * lease_ms MICROSECOND"
	    " WHERE agent_id = ? AND status = 'running'";
	return db_exec(db, sql, DB_BINDS(db_blob(agent->bytes, sizeof(agent->bytes))), NULL, why);
}

struct reclaiming {
	unsigned most;
	uint64_t count;
};

/* Takes a task from its agent. */
static enum err drop(struct db_conn *db, const struct db_result *rows, size_t row,
		     struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE tasks SET status = 'ready', agent_id = NULL, attempts = attempts + 1,"
	    " lease_ms = NULL, lease_until = NULL, version = version + 1,"
	    " updated_at = UTC_TIMESTAMP(6) WHERE id = ?";
	static const int changes[TASK_STATUSES] = {[TASK_IS_RUNNING] = -1};
	size_t len;
	const void *task = db_col_blob(rows, row, 0, &len);
	enum err err = db_exec(db, sql, DB_BINDS(db_blob(task, len)), NULL, why);
	const void *holder = db_col_blob(rows, row, 1, &len);
	if (err != ERR_OK || holder == NULL)
		return err;
	struct uuid agent;
	AN_INVARIANT(len == sizeof(agent.bytes));
	memcpy(agent.bytes, holder, len);
	return agent_tasks_add(db, &agent, changes, why);
}

/* A lease that is just being extended is not waited for. */
static enum err reclaim(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const char sql[] = "SELECT id, agent_id FROM tasks FORCE INDEX (tasks_lease)"
				  " WHERE status = 'running' AND lease_until < UTC_TIMESTAMP(6)"
				  " ORDER BY lease_until LIMIT ? FOR UPDATE SKIP LOCKED";
	struct reclaiming *r = arg;
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 4096, 1 << 20);
	enum err err = db_query(db, &arena, sql, DB_BINDS(db_u64(r->most)), &rows, why);
	r->count = err == ERR_OK ? rows.row_count : 0;
	for (size_t i = 0; i < r->count && err == ERR_OK; i++)
		err = drop(db, &rows, i, why);
	arena_release(&arena);
	return err;
}

enum err tasks_reclaim(struct db_conn *db, unsigned most, uint64_t *count, struct errmsg *why)
{
	struct reclaiming r = {.most = most};
	enum err err = db_transaction(db, reclaim, &r, why);
	*count = err == ERR_OK ? r.count : 0;
	return err;
}
