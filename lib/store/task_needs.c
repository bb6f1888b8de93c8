/*
 * What tasks need of each other.
 *
 * Whoever adds a task locks those it needs, and whoever changes a task's status has
 * locked that one: so either the new task sees the change, or the change sees the new task.
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "json/writer.h"
#include "store/agent_tasks.h"
#include "store/tasks.h"

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

static enum err weigh_one(struct db_conn *db, const struct uuid *need, int64_t *waits,
			  bool *blocked, struct errmsg *why)
{
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 512, 4096);
	enum err err =
	    db_query(db, &arena, "SELECT status FROM tasks WHERE id = ? LOCK IN SHARE MODE",
		     DB_BINDS(id_value(need)), &rows, why);
	if (err == ERR_OK && rows.row_count == 0)
		err = err_set(why, ERR_INVALID, "depends_on: there is no such task");
	if (err == ERR_OK) {
		const char *status = db_col_text(&rows, 0, 0);
		*waits += strcmp(status, "completed") != 0;
		*blocked |= strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0;
	}
	arena_release(&arena);
	return err;
}

/* What is stored of them with the task. */
static enum err note_needs(struct arena *arena, struct record *task, const struct uuid *needs,
			   size_t count, struct errmsg *why)
{
	STRBUF_CLEANUP list = STRBUF_INIT;
	struct json_writer w;
	json_init(&w, &list);
	json_array(&w);
	for (size_t i = 0; i < count; i++)
		json_uuid(&w, &needs[i]);
	json_end(&w);
	const char *text = arena_strndup(arena, list.data, list.len);
	if (list.failed || text == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a task");
	record_set(task, TASK_TASK_ID, task->values[RECORD_ID]);
	record_set_text(task, TASK_DEPENDS_ON, text);
	return ERR_OK;
}

enum err tasks_weigh(struct db_conn *db, struct arena *arena, struct record *task,
		     const struct uuid *needs, size_t count, struct errmsg *why)
{
	int64_t waits = 0;
	bool blocked = false;
	enum err err = ERR_OK;
	for (size_t i = 0; i < count && err == ERR_OK; i++)
		err = weigh_one(db, &needs[i], &waits, &blocked, why);
	if (err != ERR_OK)
		return err;
	record_set_int(task, TASK_WAITING_ON, waits);
	record_set_text(task, TASK_STATUS, blocked ? "blocked" : waits > 0 ? "pending" : "ready");
	return note_needs(arena, task, needs, count, why);
}

enum err tasks_depend(struct db_conn *db, const struct record *task, const struct uuid *needs,
		      size_t count, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO task_dependencies (task_id, depends_on_id) VALUES (?, ?)";
	enum err err = ERR_OK;
	for (size_t i = 0; i < count && err == ERR_OK; i++)
		err = db_exec(db, sql, DB_BINDS(task->values[RECORD_ID], id_value(&needs[i])), NULL,
			      why);
	return err;
}

#define DEPENDENTS "task_dependencies d JOIN tasks t ON t.id = d.task_id"
#define OF_THIS_ONE " WHERE d.depends_on_id = ?"
#define CHANGED ", t.version = t.version + 1, t.updated_at = ?" OF_THIS_ONE

/* One statement on the tasks that need this one; *count says how many there were. */
static enum err tell(struct db_conn *db, const struct record *task, const char *sql,
		     uint64_t *count, struct errmsg *why)
{
	return db_exec(db, sql, DB_BINDS(db_time(clock_wall_us()), task->values[RECORD_ID]), count,
		       why);
}

/* Counts a row of agent, status and number away from that status to the other one. */
static enum err count_move(struct db_conn *db, const struct db_result *rows, size_t row,
			   enum task_status to, struct errmsg *why)
{
	int changes[TASK_STATUSES] = {0}, moved = (int)db_col_i64(rows, row, 2);
	struct uuid agent;
	size_t len;
	const void *bytes = db_col_blob(rows, row, 0, &len);
	if (bytes == NULL)
		return ERR_OK;
	AN_INVARIANT(len == sizeof(agent.bytes));
	memcpy(agent.bytes, bytes, len);
	changes[task_status_of(db_col_text(rows, row, 1))] -= moved;
	changes[to] += moved;
	return agent_tasks_add(db, &agent, changes, why);
}

/*
 * Moves those of the tasks that need this one which `which` finds, and nobody else changes
 * between the two statements, to another status by `sql`.
 */
static enum err move(struct db_conn *db, const struct record *task, const char *which,
		     const char *sql, enum task_status to, struct errmsg *why)
{
	struct arena arena;
	struct db_result rows;
	arena_init(&arena, 1024, 1 << 20);
	enum err err = db_query(db, &arena, which, &task->values[RECORD_ID], 1, &rows, why);
	if (err == ERR_OK && rows.row_count > 0)
		err = tell(db, task, sql, NULL, why);
	for (size_t i = 0; err == ERR_OK && i < rows.row_count; i++)
		err = count_move(db, &rows, i, to, why);
	arena_release(&arena);
	return err;
}

#define WHICH(condition)                                                                           \
	"SELECT t.agent_id, t.status, COUNT(*) FROM " DEPENDENTS OF_THIS_ONE " AND " condition     \
	" GROUP BY t.agent_id, t.status ORDER BY t.agent_id FOR UPDATE"
#define MOVE(status, condition)                                                                    \
	"UPDATE " DEPENDENTS " SET t.status = '" status "'" CHANGED " AND " condition
#define WAITED_ENOUGH "t.status = 'pending' AND t.waiting_on = 0"
#define NOT_BEGUN "t.status IN ('pending', 'ready')"

/* In several statements: the order in which a join assigns its columns is not said. */
static enum err tell_completed(struct db_conn *db, const struct record *task, struct errmsg *why)
{
	static const char fewer[] =
	    "UPDATE " DEPENDENTS " SET t.waiting_on = t.waiting_on - 1" CHANGED;
	uint64_t count;
	enum err err = tell(db, task, fewer, &count, why);
	if (err != ERR_OK || count == 0)
		return err;
	return move(db, task, WHICH(WAITED_ENOUGH), MOVE("ready", WAITED_ENOUGH), TASK_IS_READY,
		    why);
}

static enum err tell_blocked(struct db_conn *db, const struct record *task, struct errmsg *why)
{
	return move(db, task, WHICH(NOT_BEGUN), MOVE("blocked", NOT_BEGUN), TASK_IS_BLOCKED, why);
}

enum err tasks_tell_dependents(struct db_conn *db, const struct record *from,
			       const struct record *to, struct errmsg *why)
{
	const char *status = record_text(to, TASK_STATUS);
	if (record_same(from, to, TASK_STATUS))
		return ERR_OK;
	if (strcmp(status, "completed") == 0)
		return tell_completed(db, to, why);
	if (strcmp(status, "failed") == 0 || strcmp(status, "cancelled") == 0)
		return tell_blocked(db, to, why);
	return ERR_OK;
}
