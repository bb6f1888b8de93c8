/*
 * /api/v1/plans.
 */
#include "store/plans.h"

#include "api/api.h"
#include "api/records.h"
#include "base/assert.h"

static const struct resource resource = {
    .kind = &plans, .path = "/api/v1/plans", .agent = NO_AGENT};

RECORD_SCHEMAS(plan, "Plan", plan_fields);

static const char *const sorts[] = {"created_at", "-created_at", "updated_at", "-updated_at", NULL};
static const struct field list_fields[] = {
    RECORD_LIST_FIELDS,
    RECORD_SORT_FIELD(sorts),
    {"status", FIELD_STRING, 0, 1, 16, .summary = "Only those in this status"},
    {"goal_id", FIELD_ID, .summary = "Only those for this goal"},
    {"owner_id", FIELD_ID, .summary = "Only those of this user"},
};
static const struct schema list_schema = SCHEMA("PlanQuery", list_fields);

const struct route plan_routes[] = {
    RECORD_ROUTES("/api/v1/plans", "plans", plan, "a plan", "Plans"),
};
const size_t plan_route_count = ARRAY_LEN(plan_routes);
