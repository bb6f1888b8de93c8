/*
 * /api/v1/plans.
 */
#include "store/plans.h"

#include "api/api.h"
#include "api/records.h"
#include "base/assert.h"

struct page_tasks {
	struct plan_task *rows;
	size_t count;
};

static enum err load_tasks(struct http_request *r, struct db_conn *db, const struct record *records,
			   size_t count, void **computed, struct errmsg *why)
{
	struct page_tasks *page = arena_calloc(r->arena, 1, sizeof(*page));
	if (page == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for a list");
	*computed = page;
	return plans_tasks(db, r->arena, records, count, &page->rows, &page->count, why);
}

static void put_tasks(struct json_writer *w, const struct record *plan, const void *computed)
{
	const struct page_tasks *page = computed;
	struct uuid id;
	AN_INVARIANT(record_uuid(plan, RECORD_ID, &id));
	json_key(w, plan_fields[PLAN_TASKS].name);
	json_array(w);
	for (size_t i = 0; i < page->count; i++) {
		if (!uuid_equal(&page->rows[i].plan_id, &id))
			continue;
		json_object(w);
		json_put_uuid(w, "id", &page->rows[i].task_id);
		json_put_string(w, "status", page->rows[i].status);
		json_end(w);
	}
	json_end(w);
}

static const struct resource resource = {
    .kind = &plans, .path = "/api/v1/plans", .load = load_tasks, .put = put_tasks};

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
