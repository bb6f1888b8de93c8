#include "store/plans.h"

#include "base/assert.h"
#include "store/goals.h"
#include "store/tasks.h"

#define TEXT_OF(number) TEXT_OF_EXPANDED(number)
#define TEXT_OF_EXPANDED(number) #number

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
		    .of = &task_of_plan, .initial = "[]",
		    .summary = "Its tasks in the order in which they were made, the first 200"},
};

/* clang-format off */
static const char *const computed[] = {
    "(SELECT CONCAT('[', COALESCE(GROUP_CONCAT("
    "'{\"id\":\"', " RECORD_ID_TEXT("id") ", '\",\"status\":\"', status, '\"}'"
    " ORDER BY id LIMIT " TEXT_OF(PLAN_TASKS_MAX) "), ''), ']')"
    " FROM tasks FORCE INDEX (tasks_plan) WHERE plan_id = plans.id)"};
/* clang-format on */

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
    .computed = computed,
    RECORD_ROWS(orders, order_count),
    RECORD_ROWS(references, reference_count),
    RECORD_ROWS(children, child_count),
    .states = goal_states,
    .status = PLAN_STATUS,
};
