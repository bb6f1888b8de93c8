/*
 * /api/v1/agents.
 */
#include "store/agents.h"

#include "api/api.h"
#include "api/records.h"
#include "base/assert.h"
#include "base/clock.h"
#include "http/database.h"
#include "store/tasks.h"

static enum err check_change(struct http_request *r, struct db_conn *db, const struct record *from,
			     struct record *to, struct errmsg *why)
{
	(void)r;
	if (record_same(from, to, AGENT_PARENT_ID))
		return ERR_OK;
	return records_check_parent(db, to, AGENT_PARENT_ID, why);
}

static const struct resource resource = {
    .kind = &agents,
    .path = "/api/v1/agents",
    .agent = RECORD_ID, /* itself */
    .before_update = check_change,
};

/*
 * Keeps the tasks that the agent works on.  No new version: who changes an agent with
 * If-Match is not disturbed by its pulse.
 */
static enum err post_heartbeat(struct http_request *r, struct http_response *response,
			       struct errmsg *why)
{
	struct uuid id;
	struct db_conn *db;
	int64_t now_us = clock_wall_us();
	enum err err = records_path_id(r, &id, why);
	if (err == ERR_OK)
		err = records_act_as(r, &id, why);
	if (err == ERR_OK)
		err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = agents_beat(db, &id, now_us, why);
	if (err == ERR_OK)
		err = tasks_extend_leases(db, &id, why);
	http_db_return(r, db);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "id", http_path_arg(r, "id"));
	json_put_time(&w, "last_heartbeat", now_us);
	json_end(&w);
	return ERR_OK;
}

static const struct field beat_fields[] = {
    {"id", FIELD_ID, FIELD_REQUIRED, .summary = "The agent"},
    {"last_heartbeat", FIELD_TIME, FIELD_REQUIRED, .summary = "Now"},
};
static const struct schema beat_schema = SCHEMA("Heartbeat", beat_fields);

RECORD_SCHEMAS(agent, "Agent", agent_fields);

static const char *const sorts[] = {"created_at", "-created_at", "updated_at", "-updated_at",
				    "name",       "-name",       NULL};
static const struct field list_fields[] = {
    RECORD_LIST_FIELDS,
    RECORD_SORT_FIELD(sorts),
    {"status", FIELD_STRING, 0, 1, 16, .summary = "Only those in this status"},
    {"agent_type", FIELD_STRING, 0, 1, 64, .summary = "Only those of this type"},
    {"level", FIELD_STRING, 0, 1, 2, .summary = "Only those of this level"},
    {"parent_id", FIELD_ID, .summary = "Only those below this agent"},
    {"owner_id", FIELD_ID, .summary = "Only those of this user"},
};
static const struct schema list_schema = SCHEMA("AgentQuery", list_fields);

const struct route agent_routes[] = {
    RECORD_ROUTES("/api/v1/agents", "agents", agent, "an agent", "Agents"),
    ROUTE(HTTP_POST, "/api/v1/agents/{id}/heartbeat", ACCESS_USER, OTHERS_CHANGED, "agents",
	  RATE_WRITE, WEIGHT_NORMAL, BODY_NONE, post_heartbeat,
	  "Note that an agent is alive, and keep the tasks it works on", .answers = &beat_schema,
	  .resource = &resource),
};
const size_t agent_route_count = ARRAY_LEN(agent_routes);
