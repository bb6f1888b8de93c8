/*
 * What tasks need of each other.
 *
 * Whoever adds a task locks those it needs, and whoever changes a task's status has
 * locked that one: so either the new task sees the change, or the change sees the new task.
 */
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "json/writer.h"
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

/* As the database will say it once the task is stored. */
static enum err note_computed(struct arena *arena, struct record *task, const struct uuid *needs,
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
	return note_computed(arena, task, needs, count, why);
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

/* One statement on the tasks that need this one; *count says how many there were. */
static enum err tell(struct db_conn *db, const struct record *task, const char *sql,
		     uint64_t *count, struct errmsg *why)
{
	return db_exec(db, sql, DB_BINDS(db_time(clock_wall_us()), task->values[RECORD_ID]), count,
		       why);
}

#define DEPENDENTS "UPDATE task_dependencies d JOIN tasks t ON t.id = d.task_id"
#define CHANGED ", t.version = t.version + 1, t.updated_at = ? WHERE d.depends_on_id = ?"

/* In two statements: the order in which a join assigns its columns is not said. */
static enum err tell_completed(struct db_conn *db, const struct record *task, struct errmsg *why)
{
	static const char fewer[] = DEPENDENTS " SET t.waiting_on = t.waiting_on - 1" CHANGED;
	static const char ready[] = DEPENDENTS " SET t.status = 'ready'" CHANGED
					       " AND t.status = 'pending' AND t.waiting_on = 0";
	uint64_t count;
	enum err err = tell(db, task, fewer, &count, why);
	return err == ERR_OK && count > 0 ? tell(db, task, ready, NULL, why) : err;
}

static enum err tell_blocked(struct db_conn *db, const struct record *task, struct errmsg *why)
{
	static const char sql[] =
	    DEPENDENTS " SET t.status = 'blocked'" CHANGED " AND t.status IN ('pending', 'ready')";
	return tell(db, task, sql, NULL, why);
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
