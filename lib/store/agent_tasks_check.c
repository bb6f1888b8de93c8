#include "store/agent_tasks_check.h"

#include <string.h>

#include "base/assert.h"
#include "store/agent_tasks.h"
#include "store/tasks.h"

/*
 * By how much the counts of agents are wrong, in the order of task_statuses.  One statement sees
 * one state of the database, and who changes a task counts it in the same transaction: the
 * differences are exact without a lock, whatever is written meanwhile.
 */
/* clang-format off */
#define OFF(comma, status)                                                                         \
	", (SELECT COUNT(*) FROM tasks FORCE INDEX (tasks_agent_status) WHERE agent_id = a.id"     \
	" AND status = '" status "') - COALESCE(k." status ", 0)"
#define DIFFERENCES                                                                                \
	"SELECT a.id" TASK_STATUS_ROWS(OFF) " FROM agents a FORCE INDEX (PRIMARY)"                 \
	" LEFT JOIN agent_tasks k ON k.agent_id = a.id WHERE a.id "
/* clang-format on */

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

static struct uuid read_agent(const struct db_result *rows, size_t row)
{
	struct uuid id;
	size_t len;
	const void *bytes = db_col_blob(rows, row, 0, &len);
	AN_INVARIANT(bytes != NULL && len == sizeof(id.bytes));
	memcpy(id.bytes, bytes, len);
	return id;
}

/* Whether any of them is not 0. */
static bool read_differences(const struct db_result *rows, size_t row, int changes[TASK_STATUSES])
{
	bool any = false;
	for (size_t i = 0; i < TASK_STATUSES; i++) {
		changes[i] = (int)db_col_i64(rows, row, 1 + i);
		any = any || changes[i] != 0;
	}
	return any;
}

struct mending {
	struct uuid agent;
	bool was_wrong;
};

static enum err add_differences(struct db_conn *db, struct mending *m, struct errmsg *why)
{
	int changes[TASK_STATUSES];
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 1024, 8192);
	enum err err =
	    db_query(db, &arena, DIFFERENCES "= ?", DB_BINDS(id_value(&m->agent)), &rows, why);
	m->was_wrong = err == ERR_OK && rows.row_count > 0 && read_differences(&rows, 0, changes);
	if (m->was_wrong)
		err = agent_tasks_add(db, &m->agent, changes, why);
	arena_release(&arena);
	return err;
}

/*
 * Two who mend at the same time would mend twice: the second waits here, and looks again.  Counting
 * nothing locks the row as those do who count, last of all and of one agent, so that nobody who
 * holds it waits for this.
 */
static enum err mend(struct db_conn *db, void *arg, struct errmsg *why)
{
	static const int nothing[TASK_STATUSES];
	struct mending *m = arg;
	enum err err = agent_tasks_add(db, &m->agent, nothing, why);
	return err == ERR_OK ? add_differences(db, m, why) : err;
}

static enum err mend_agent(struct db_conn *db, struct agent_tasks_check *check,
			   const struct uuid *agent, struct errmsg *why)
{
	struct errmsg message = ERRMSG_INIT;
	struct mending m = {.agent = *agent};
	enum err err = db_transaction(db, mend, &m, &message);
	if (err == ERR_CONFLICT) /* the agent is gone, and its counts with it */
		return ERR_OK;
	if (err != ERR_OK)
		return err_set(why, err, "%s", message.text);
	check->mended += m.was_wrong;
	return ERR_OK;
}

static enum err check_rows(struct db_conn *db, struct agent_tasks_check *check,
			   const struct db_result *rows, struct errmsg *why)
{
	int changes[TASK_STATUSES];
	enum err err = ERR_OK;
	for (size_t i = 0; i < rows->row_count && err == ERR_OK; i++) {
		const struct uuid agent = read_agent(rows, i);
		if (read_differences(rows, i, changes))
			err = mend_agent(db, check, &agent, why);
		if (err == ERR_OK) {
			check->last = agent;
			check->agents++;
		}
	}
	return err;
}

enum err agent_tasks_check_next(struct db_conn *db, struct agent_tasks_check *check, unsigned most,
				struct errmsg *why)
{
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 16384, 1 << 20);
	enum err err = db_query(db, &arena, DIFFERENCES "> ? ORDER BY a.id LIMIT ?",
				DB_BINDS(id_value(&check->last), db_u64(most)), &rows, why);
	if (err == ERR_OK)
		err = check_rows(db, check, &rows, why);
	check->done = err == ERR_OK && rows.row_count < most;
	arena_release(&arena);
	return err;
}
