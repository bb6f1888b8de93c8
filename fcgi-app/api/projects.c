/*
 * /api/v1/projects.
 */
#include "store/projects.h"

#include "api/api.h"
#include "api/records.h"
#include "base/assert.h"

static const struct resource resource = {
    .kind = &projects, .path = "/api/v1/projects", .agent = NO_AGENT};

RECORD_SCHEMAS(project, "Project", project_fields);

static const char *const sorts[] = {"created_at", "-created_at", "updated_at", "-updated_at",
				    "name",       "-name",       NULL};
static const struct field list_fields[] = {
    RECORD_LIST_FIELDS,
    RECORD_SORT_FIELD(sorts),
    {"status", FIELD_STRING, 0, 1, 16, .summary = "Only those in this status"},
    {"owner_id", FIELD_ID, .summary = "Only those of this user"},
};
static const struct schema list_schema = SCHEMA("ProjectQuery", list_fields);

const struct route project_routes[] = {
    RECORD_ROUTES("/api/v1/projects", "projects", project, "a project", "Projects"),
};
const size_t project_route_count = ARRAY_LEN(project_routes);
