#include "store/goals.h"

#include <string.h>

#include "base/assert.h"

#define NEXT(...) ((const char *const[]){__VA_ARGS__})

const char *const goal_statuses[] = {"pending", "active", "completed", "failed", "cancelled", NULL};

/* What was given up can be taken up again; what is completed stays so. */
const struct record_state goal_states[] = {
    {"pending", NEXT("active", "cancelled", NULL)},
    {"active", NEXT("pending", "completed", "failed", "cancelled", NULL)},
    {"failed", NEXT("pending", "active", "cancelled", NULL)},
    {"cancelled", NEXT("pending", NULL)},
    {"completed", NEXT(NULL)},
    {NULL, NULL},
};

enum { WRITABLE = FIELD_CREATE | FIELD_PATCH };

const struct field goal_fields[GOAL_FIELDS] = {
    RECORD_HEAD_FIELDS,
    [GOAL_AGENT_ID] = {"agent_id", FIELD_ID, WRITABLE | FIELD_NULL,
		       .summary = "Who is to reach it"},
    [GOAL_PROJECT_ID] = {"project_id", FIELD_ID, WRITABLE | FIELD_NULL, .summary = "What for"},
    [GOAL_PARENT_GOAL_ID] = {"parent_goal_id", FIELD_ID, WRITABLE | FIELD_NULL,
			     .summary = "The goal that this one is a part of"},
    [GOAL_DESCRIPTION] = {"description", FIELD_TEXT, WRITABLE | FIELD_REQUIRED, 1, 10000,
			  .summary = "What is to be reached"},
    [GOAL_SUCCESS_CRITERIA] = {"success_criteria", FIELD_LIST, WRITABLE, 0, 100,
			       .item = FIELD_STRING, .initial = "[]",
			       .summary = "How one sees that it is reached"},
    [GOAL_STATUS] = {"status", FIELD_WORD, WRITABLE, .words = goal_statuses,
		     .initial = "\"pending\"", .summary = "Where it stands"},
    [GOAL_PRIORITY] = {"priority", FIELD_INT, WRITABLE, 1, 10, .initial = "5",
		       .summary = "10 is the most urgent"},
    [GOAL_COMPLETED_AT] = {"completed_at", FIELD_TIME, FIELD_NULL,
			   .summary = "When it was completed, failed or cancelled"},
};

static const struct record_order orders[] = {
    RECORD_SORTED("PRIMARY", RECORD_CREATED_AT),
    RECORD_SORTED("goals_updated", RECORD_UPDATED_AT),
    RECORD_SORTED("goals_priority", GOAL_PRIORITY),
    RECORD_FILTERED("goals_status", GOAL_STATUS),
    RECORD_FILTERED("goals_agent", GOAL_AGENT_ID),
    RECORD_FILTERED("goals_agent_status", GOAL_AGENT_ID, GOAL_STATUS),
    RECORD_FILTERED("goals_project", GOAL_PROJECT_ID),
    RECORD_FILTERED("goals_project_status", GOAL_PROJECT_ID, GOAL_STATUS),
    RECORD_FILTERED("goals_parent", GOAL_PARENT_GOAL_ID),
    RECORD_FILTERED("goals_owner", RECORD_OWNER_ID),
};
static const struct record_reference references[] = {{GOAL_AGENT_ID, "agents", "agent"},
						     {GOAL_PROJECT_ID, "projects", "project"},
						     {GOAL_PARENT_GOAL_ID, "goals", "goal"}};
static const struct record_child children[] = {
    {"goals", "parent_goal_id"}, {"plans", "goal_id"}, {"tasks", "goal_id"}};

const struct record_kind goals = {
    .name = "goal",
    .table = "goals",
    .fields = goal_fields,
    .column_count = GOAL_FIELDS,
    .field_count = GOAL_FIELDS,
    RECORD_ROWS(orders, order_count),
    RECORD_ROWS(references, reference_count),
    RECORD_ROWS(children, child_count),
    .states = goal_states,
    .status = GOAL_STATUS,
};

void goal_note_end(struct record *goal, int64_t wall_us)
{
	const char *status = record_text(goal, GOAL_STATUS);
	if (strcmp(status, "pending") == 0 || strcmp(status, "active") == 0)
		record_set_null(goal, GOAL_COMPLETED_AT);
	else if (record_null(goal, GOAL_COMPLETED_AT))
		record_set_time(goal, GOAL_COMPLETED_AT, wall_us);
}
