#include "store/agent_tasks.h"

#include <string.h>

#include "base/assert.h"
#include "store/tasks.h"

#define NAME(comma, status) ", " status
#define PLACE(comma, status) ", ?"
#define ADDED(comma, status) comma status " = " status " + VALUES(" status ")"

enum err agent_tasks_add(struct db_conn *db, const struct uuid *agent, const int changes[],
			 struct errmsg *why)
{
	/* clang-format off */
	static const char sql[] =
	    "INSERT INTO agent_tasks (agent_id" TASK_STATUS_ROWS(NAME) ")"
	    " VALUES (?" TASK_STATUS_ROWS(PLACE) ")"
	    " ON DUPLICATE KEY UPDATE " TASK_STATUS_ROWS(ADDED);
	/* clang-format on */
	struct db_value binds[1 + TASK_STATUSES] = {db_blob(agent->bytes, sizeof(agent->bytes))};
	for (size_t i = 0; i < TASK_STATUSES; i++)
		binds[1 + i] = db_i64(changes[i]);
	return db_exec_later(db, sql, binds, ARRAY_LEN(binds), why);
}

/* One side of a change: whose task, and in which status it is one more or one less. */
struct side {
	struct uuid agent;
	bool counts;
	int changes[TASK_STATUSES];
};

static struct side side_of(const struct record *task, int change)
{
	struct side side = {.counts = false};
	if (task != NULL && record_uuid(task, TASK_AGENT_ID, &side.agent)) {
		side.counts = true;
		side.changes[task_status_of(record_text(task, TASK_STATUS))] = change;
	}
	return side;
}

static enum err add(struct db_conn *db, const struct side *side, struct errmsg *why)
{
	return side->counts ? agent_tasks_add(db, &side->agent, side->changes, why) : ERR_OK;
}

enum err agent_tasks_tally(struct db_conn *db, const struct record *from, const struct record *to,
			   struct errmsg *why)
{
	struct side old = side_of(from, -1), new = side_of(to, 1);
	if (old.counts && new.counts && uuid_equal(&old.agent, &new.agent)) {
		if (record_same(from, to, TASK_STATUS))
			return ERR_OK;
		for (size_t i = 0; i < TASK_STATUSES; i++)
			new.changes[i] += old.changes[i];
		old.counts = false;
	}
	bool old_first = memcmp(&old.agent, &new.agent, sizeof(old.agent)) < 0;
	enum err err = add(db, old_first ? &old : &new, why);
	return err == ERR_OK ? add(db, old_first ? &new : &old, why) : err;
}
