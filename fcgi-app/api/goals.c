/*
 * /api/v1/goals.
 */
#include "store/goals.h"

#include "api/api.h"
#include "api/records.h"
#include "base/assert.h"
#include "base/clock.h"

static enum err check_new(struct http_request *r, struct db_conn *db, struct record *goal,
			  struct errmsg *why)
{
	(void)r;
	(void)db;
	(void)why;
	goal_note_end(goal, clock_wall_us());
	return ERR_OK;
}

static enum err check_change(struct http_request *r, struct db_conn *db, const struct record *from,
			     struct record *to, struct errmsg *why)
{
	(void)r;
	enum err err = ERR_OK;
	if (!record_same(from, to, GOAL_PARENT_GOAL_ID))
		err = records_check_parent(db, to, GOAL_PARENT_GOAL_ID, why);
	if (err == ERR_OK)
		goal_note_end(to, clock_wall_us());
	return err;
}

static const struct resource resource = {
    .kind = &goals,
    .path = "/api/v1/goals",
    .agent = GOAL_AGENT_ID,
    .before_insert = check_new,
    .before_update = check_change,
};

RECORD_SCHEMAS(goal, "Goal", goal_fields);

static const char *const sorts[] = {"created_at", "-created_at", "updated_at", "-updated_at",
				    "priority",   "-priority",   NULL};
static const struct field list_fields[] = {
    RECORD_LIST_FIELDS,
    RECORD_SORT_FIELD(sorts),
    {"status", FIELD_STRING, 0, 1, 16, .summary = "Only those in this status"},
    {"agent_id", FIELD_ID, .summary = "Only those of this agent; status may stand beside it"},
    {"project_id", FIELD_ID, .summary = "Only those of this project; status may stand beside it"},
    {"parent_goal_id", FIELD_ID, .summary = "Only the parts of this goal"},
    {"owner_id", FIELD_ID, .summary = "Only those of this user"},
};
static const struct schema list_schema = SCHEMA("GoalQuery", list_fields);

const struct route goal_routes[] = {
    RECORD_ROUTES("/api/v1/goals", "goals", goal, "a goal", "Goals"),
};
const size_t goal_route_count = ARRAY_LEN(goal_routes);
