#include "store/projects.h"

#include "base/assert.h"

static const char *const statuses[] = {"active", "on_hold", "completed", "archived", NULL};

enum { WRITABLE = FIELD_CREATE | FIELD_PATCH };

const struct field project_fields[PROJECT_FIELDS] = {
    RECORD_HEAD_FIELDS,
    [PROJECT_NAME] = {"name", FIELD_STRING, WRITABLE | FIELD_REQUIRED, 1, 200,
		      .summary = "No two projects share one"},
    [PROJECT_PATH] = {"path", FIELD_STRING, WRITABLE | FIELD_NULL, 1, 1000,
		      .summary = "Its folder on the hosts that have it"},
    [PROJECT_DESCRIPTION] = {"description", FIELD_TEXT, WRITABLE | FIELD_NULL, 0, 10000,
			     .summary = "What it is about"},
    [PROJECT_STATUS] = {"status", FIELD_WORD, WRITABLE, .words = statuses, .initial = "\"active\"",
			.summary = "Where it stands"},
};

static const struct record_order orders[] = {
    RECORD_SORTED("PRIMARY", RECORD_CREATED_AT),
    RECORD_SORTED("projects_updated", RECORD_UPDATED_AT),
    RECORD_SORTED("projects_name", PROJECT_NAME),
    RECORD_FILTERED("projects_status", PROJECT_STATUS),
    RECORD_FILTERED("projects_owner", RECORD_OWNER_ID),
};
static const struct record_child children[] = {{"goals", "project_id"}};

const struct record_kind projects = {
    .name = "project",
    .table = "projects",
    .fields = project_fields,
    .column_count = PROJECT_FIELDS,
    .field_count = PROJECT_FIELDS,
    RECORD_ROWS(orders, order_count),
    RECORD_ROWS(children, child_count),
    .unique = "name",
};
