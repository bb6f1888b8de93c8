#include "store/tasks.h"

#include <string.h>

#include "base/assert.h"
#include "store/agent_tasks.h"

#define NEXT(...) ((const char *const[]){__VA_ARGS__})

#define WORD(comma, status) status,
const char *const task_statuses[TASK_STATUSES + 1] = {TASK_STATUS_ROWS(WORD) NULL};

enum task_status task_status_of(const char *word)
{
	size_t i = 0;
	while (i < TASK_STATUSES && strcmp(task_statuses[i], word) != 0)
		i++;
	AN_INVARIANT(i < TASK_STATUSES);
	return (enum task_status)i;
}

static const struct record_state states[] = {
    {"pending", NEXT("ready", "blocked", "cancelled", NULL)},
    {"ready", NEXT("running", "blocked", "cancelled", NULL)},
    {"running", NEXT("ready", "completed", "failed", "cancelled", NULL)},
    {"blocked", NEXT("pending", "cancelled", NULL)},
    {"failed", NEXT("pending", "cancelled", NULL)},
    {"cancelled", NEXT("pending", NULL)},
    {"completed", NEXT(NULL)},
    {NULL, NULL},
};

#define COUNT(comma, status)                                                                       \
	{status, FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Tasks in this status"},
static const struct field count_fields[] = {TASK_STATUS_ROWS(COUNT)};
_Static_assert(ARRAY_LEN(count_fields) == TASK_STATUSES, "a count for each status");

const struct schema task_counts_schema = SCHEMA("TaskCounts", count_fields);

enum { WRITABLE = FIELD_CREATE | FIELD_PATCH, JSON_MAX = 262144 };

const struct field task_fields[TASK_FIELDS] = {
    RECORD_HEAD_FIELDS,
    [TASK_PLAN_ID] = {"plan_id", FIELD_ID, WRITABLE | FIELD_NULL, .summary = "The plan it is of"},
    [TASK_GOAL_ID] = {"goal_id", FIELD_ID, WRITABLE | FIELD_NULL, .summary = "The goal it is for"},
    [TASK_AGENT_ID] = {"agent_id", FIELD_ID, WRITABLE | FIELD_NULL,
		       .summary = "Who is to do it, works on it, or did; a claim sets it"},
    [TASK_DESCRIPTION] = {"description", FIELD_TEXT, WRITABLE | FIELD_REQUIRED, 1, 10000,
			  .summary = "What is to be done"},
    [TASK_TYPE] = {"task_type", FIELD_STRING, WRITABLE, 1, 64, .initial = "\"generic\"",
		   .summary = "What kind of work it is"},
    [TASK_STATUS] = {"status", FIELD_WORD, FIELD_PATCH, .words = task_statuses,
		     .initial = "\"pending\"", .summary = "Where it stands"},
    [TASK_INPUT_DATA] = {"input_data", FIELD_OBJECT, WRITABLE, .max = JSON_MAX, .initial = "{}",
			 .summary = "What the work is done with"},
    [TASK_OUTPUT_DATA] = {"output_data", FIELD_OBJECT, FIELD_PATCH | FIELD_NULL, .max = JSON_MAX,
			  .summary = "What came of it"},
    [TASK_ERROR] = {"error", FIELD_TEXT, FIELD_PATCH | FIELD_NULL, 0, 10000,
		    .summary = "Why it failed"},
    [TASK_PRIORITY] = {"priority", FIELD_INT, WRITABLE, 1, 10, .initial = "5",
		       .summary = "10 is the most urgent"},
    [TASK_ATTEMPTS] = {"attempts", FIELD_INT, 0, 0, INT32_MAX, .initial = "0",
		       .summary = "How often it failed or was dropped by its agent"},
    [TASK_STARTED_AT] = {"started_at", FIELD_TIME, FIELD_NULL,
			 .summary = "When it was last claimed"},
    [TASK_COMPLETED_AT] = {"completed_at", FIELD_TIME, FIELD_NULL,
			   .summary = "When it was completed, failed or cancelled"},
    [TASK_LEASE_MS] = {"lease_ms", FIELD_INT, FIELD_NULL, 0, INT32_MAX,
		       .summary = "How long its agent may be silent"},
    [TASK_LEASE_UNTIL] = {"lease_until", FIELD_TIME, FIELD_NULL,
			  .summary = "When it becomes ready again unless its agent is heard of"},
    [TASK_WAITING_ON] = {"waiting_on", FIELD_INT, 0, 0, TASK_DEPENDS_MAX, .initial = "0",
			 .summary = "How many of depends_on are not completed"},
    [TASK_DEPENDS_ON] = {"depends_on", FIELD_LIST, FIELD_CREATE, 0, TASK_DEPENDS_MAX,
			 .item = FIELD_ID, .initial = "[]",
			 .summary = "The tasks that must be completed before"},
    [TASK_TASK_ID] = {"task_id", FIELD_ID, .summary = "The same as id"},
};

static const char *const computed[] = {"id"};

static const struct record_order orders[] = {
    RECORD_SORTED("PRIMARY", RECORD_CREATED_AT),
    RECORD_SORTED("tasks_updated", RECORD_UPDATED_AT),
    RECORD_SORTED("tasks_priority", TASK_PRIORITY),
    RECORD_FILTERED("tasks_status", TASK_STATUS),
    RECORD_FILTERED("tasks_agent", TASK_AGENT_ID),
    RECORD_FILTERED("tasks_agent_status", TASK_AGENT_ID, TASK_STATUS),
    RECORD_FILTERED("tasks_goal", TASK_GOAL_ID),
    RECORD_FILTERED("tasks_goal_status", TASK_GOAL_ID, TASK_STATUS),
    RECORD_FILTERED("tasks_plan", TASK_PLAN_ID),
    RECORD_FILTERED("tasks_owner", RECORD_OWNER_ID),
};
static const struct record_reference references[] = {{TASK_PLAN_ID, "plans", "plan"},
						     {TASK_GOAL_ID, "goals", "goal"},
						     {TASK_AGENT_ID, "agents", "agent"}};

const struct record_kind tasks = {
    .name = "task",
    .table = "tasks",
    .fields = task_fields,
    .column_count = TASK_COLUMNS,
    .field_count = TASK_FIELDS,
    .computed = computed,
    RECORD_ROWS(orders, order_count),
    RECORD_ROWS(references, reference_count),
    .states = states,
    .status = TASK_STATUS,
    .tally = agent_tasks_tally,
};

static bool is_status(const struct record *task, const char *status)
{
	return strcmp(record_text(task, TASK_STATUS), status) == 0;
}

static bool is_over(const struct record *task)
{
	return is_status(task, "completed") || is_status(task, "failed") ||
	       is_status(task, "cancelled");
}

enum err task_note_status(const struct record *from, struct record *to, int64_t wall_us,
			  struct errmsg *why)
{
	int64_t waits = record_int(to, TASK_WAITING_ON);
	if (record_same(from, to, TASK_STATUS))
		return ERR_OK;
	if (is_status(to, "ready") && waits > 0)
		return err_set(why, ERR_CONFLICT, "the task still waits for %lld others",
			       (long long)waits);
	if (is_status(to, "pending") && waits == 0)
		record_set_text(to, TASK_STATUS, "ready");
	if (is_status(to, "running"))
		return err_set(why, ERR_CONFLICT,
			       "a task becomes running by a claim: POST /api/v1/tasks/claim");
	record_set_null(to, TASK_LEASE_MS);
	record_set_null(to, TASK_LEASE_UNTIL);
	if (is_status(from, "running") && !is_over(to))
		record_set_null(to, TASK_AGENT_ID);
	if (is_over(to))
		record_set_time(to, TASK_COMPLETED_AT, wall_us);
	else
		record_set_null(to, TASK_COMPLETED_AT);
	return ERR_OK;
}
