#include "store/plans.h"

#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/goals.h"
#include "store/record_sql.h"
#include "store/tasks.h"

enum { WRITABLE = FIELD_CREATE | FIELD_PATCH };

static const struct field task_fields_of_plan[] = {
    {"id", FIELD_ID, FIELD_REQUIRED, .summary = "The task"},
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = task_statuses, .summary = "Where it stands"},
};
static const struct schema task_of_plan = SCHEMA("PlanTask", task_fields_of_plan);

const struct field plan_fields[PLAN_FIELDS] = {
    RECORD_HEAD_FIELDS,
    [PLAN_GOAL_ID] = {"goal_id", FIELD_ID, WRITABLE | FIELD_NULL,
		      .summary = "The goal that it is to reach"},
    [PLAN_STATUS] = {"status", FIELD_WORD, WRITABLE, .words = goal_statuses,
		     .initial = "\"pending\"", .summary = "Where it stands"},
    [PLAN_TASKS] = {"tasks", FIELD_LIST, 0, 0, PLAN_TASKS_MAX, .item = FIELD_OBJECT,
		    .of = &task_of_plan,
		    .summary = "Its tasks; of a page of plans the first 2,000 together"},
};

static const struct record_order orders[] = {
    RECORD_SORTED("PRIMARY", RECORD_CREATED_AT),
    RECORD_SORTED("plans_updated", RECORD_UPDATED_AT),
    RECORD_FILTERED("plans_status", PLAN_STATUS),
    RECORD_FILTERED("plans_goal", PLAN_GOAL_ID),
    RECORD_FILTERED("plans_owner", RECORD_OWNER_ID),
};
static const struct record_reference references[] = {{PLAN_GOAL_ID, "goals", "goal"}};
static const struct record_child children[] = {{"tasks", "plan_id"}};

const struct record_kind plans = {
    .name = "plan",
    .table = "plans",
    .fields = plan_fields,
    .column_count = PLAN_COLUMNS,
    .field_count = PLAN_FIELDS,
    .orders = orders,
    .order_count = ARRAY_LEN(orders),
    .references = references,
    .reference_count = ARRAY_LEN(references),
    .children = children,
    .child_count = ARRAY_LEN(children),
    .states = goal_states,
    .status = PLAN_STATUS,
};

enum err plans_tasks(struct db_conn *db, struct arena *arena, const struct record *list,
		     size_t count, struct plan_task **out, size_t *out_count, struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct record_ids ids;
	struct db_result rows;
	strbuf_adds(&sql, "SELECT plan_id, id, status FROM tasks FORCE INDEX (tasks_plan)"
			  " WHERE plan_id IN (");
	sql_ids(list, count, &ids, &sql);
	strbuf_addf(&sql, ") ORDER BY plan_id, id LIMIT %d", PLAN_TASKS_MAX);
	enum err err = sql_query(db, arena, &sql, ids.values, ids.count, &rows, why);
	if (err != ERR_OK)
		return err;
	*out = arena_calloc(arena, rows.row_count + 1, sizeof(**out));
	if (*out == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a list");
	for (size_t i = 0; i < rows.row_count; i++) {
		sql_uuid(&rows, i, 0, &(*out)[i].plan_id);
		sql_uuid(&rows, i, 1, &(*out)[i].task_id);
		(*out)[i].status = db_col_text(&rows, i, 2);
	}
	*out_count = rows.row_count;
	return ERR_OK;
}
