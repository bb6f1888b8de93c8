/*
 * /api/v1/tasks: records like the others, and how agents take them and hand them back.
 */
#include "store/tasks.h"

#include <string.h>

#include "api/api.h"
#include "api/records.h"
#include "base/assert.h"
#include "base/clock.h"
#include "http/database.h"

enum { LEASE_MIN_S = 5, LEASE_MAX_S = 86400, LEASE_DEFAULT_S = 60 };

/* Records */

/* The ids that the body names, each once. */
static size_t read_needs(const struct http_request *r, struct uuid *out)
{
	size_t count = field_ids(&r->values[TASK_DEPENDS_ON], out), kept = 0;
	for (size_t i = 0; i < count; i++) {
		size_t k = 0;
		while (k < kept && !uuid_equal(&out[k], &out[i]))
			k++;
		if (k == kept)
			out[kept++] = out[i];
	}
	return kept;
}

static enum err check_new(struct http_request *r, struct db_conn *db, struct record *task,
			  struct errmsg *why)
{
	struct uuid needs[TASK_DEPENDS_MAX];
	return tasks_weigh(db, r->arena, task, needs, read_needs(r, needs), why);
}

static enum err note_needs(struct http_request *r, struct db_conn *db, const struct record *task,
			   struct errmsg *why)
{
	struct uuid needs[TASK_DEPENDS_MAX];
	return tasks_depend(db, task, needs, read_needs(r, needs), why);
}

static enum err check_change(struct http_request *r, struct db_conn *db, const struct record *from,
			     struct record *to, struct errmsg *why)
{
	(void)r;
	(void)db;
	return task_note_status(from, to, clock_wall_us(), why);
}

static enum err tell_dependents(struct http_request *r, struct db_conn *db,
				const struct record *from, const struct record *to,
				struct errmsg *why)
{
	(void)r;
	return tasks_tell_dependents(db, from, to, why);
}

static const struct resource resource = {
    .kind = &tasks,
    .path = "/api/v1/tasks",
    .agent = TASK_AGENT_ID,
    .before_insert = check_new,
    .after_insert = note_needs,
    .before_update = check_change,
    .after_update = tell_dependents,
};

RECORD_SCHEMAS(task, "Task", task_fields);

/* Claims */

enum { CLAIM_AGENT_ID, CLAIM_TASK_TYPE, CLAIM_LEASE_S, CLAIM_FIELDS };
static const struct field claim_fields[CLAIM_FIELDS] = {
    [CLAIM_AGENT_ID] = {"agent_id", FIELD_ID,
			.summary = "Who claims; a key that is bound to an agent need not say it"},
    [CLAIM_TASK_TYPE] = {"task_type", FIELD_STRING, 0, 1, 64, .summary = "Only tasks of this type"},
    [CLAIM_LEASE_S] = {"lease_seconds", FIELD_INT, 0, LEASE_MIN_S, LEASE_MAX_S, .initial = "60",
		       .summary = "How long the agent may be silent before it loses the task"},
};
static const struct schema claim_schema = SCHEMA("TaskClaim", claim_fields);

static enum err read_claim(const struct http_request *r, struct task_claim *out, struct errmsg *why)
{
	const struct field_value *agent = &r->values[CLAIM_AGENT_ID];
	const struct field_value *type = &r->values[CLAIM_TASK_TYPE];
	const struct field_value *lease = &r->values[CLAIM_LEASE_S];
	int64_t lease_s = lease->given ? lease->as.integer : LEASE_DEFAULT_S;
	*out = (struct task_claim){.agent_id = r->principal.agent_id,
				   .task_type = type->given ? type->as.text.data : NULL,
				   .lease_ms = lease_s * MS_PER_S};
	if (agent->given)
		out->agent_id = agent->as.id;
	if (uuid_is_nil(&out->agent_id))
		return err_set(why, ERR_INVALID, "agent_id: is missing");
	return records_act_as(r, &out->agent_id, why);
}

static enum err claim_next(struct http_request *r, struct db_conn *db, struct record *from,
			   struct record *to, struct errmsg *why)
{
	struct task_claim claim;
	enum err err = read_claim(r, &claim, why);
	return err == ERR_OK ? tasks_claim(db, r->arena, &claim, from, to, why) : err;
}

/* No task is an everyday answer, not an error: 204. */
static enum err post_claim(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	struct errmsg message = ERRMSG_INIT;
	enum err err = records_take(r, response, claim_next, &message);
	if (err != ERR_NOT_FOUND)
		return err == ERR_OK ? err : err_set(why, err, "%s", message.text);
	response->status = 204;
	return ERR_OK;
}

/* Handing back: by the agent that holds it, when the body or the key says who that is. */

enum { END_AGENT_ID, END_OUTPUT = 1, END_ERROR = 1, END_RETRY };
#define END_AGENT                                                                                  \
	[END_AGENT_ID] = {"agent_id", FIELD_ID,                                                    \
			  .summary = "Who hands it back; refused when it is another's by now"}
static const struct field complete_fields[] = {
    END_AGENT,
    [END_OUTPUT] = {"output_data", FIELD_OBJECT, FIELD_NULL, .max = 262144,
		    .summary = "What came of it"},
};
static const struct schema complete_schema = SCHEMA("TaskCompletion", complete_fields);
static const struct field fail_fields[] = {
    END_AGENT,
    [END_ERROR] = {"error", FIELD_TEXT, FIELD_REQUIRED, 1, 10000, .summary = "Why it failed"},
    [END_RETRY] = {"retry", FIELD_BOOL, .initial = "false",
		   .summary = "Whether another agent may try: ready instead of failed"},
};
static const struct schema fail_schema = SCHEMA("TaskFailure", fail_fields);

static enum err check_holder(const struct http_request *r, const struct record *task,
			     const struct record *to, struct errmsg *why)
{
	const struct field_value *agent = &r->values[END_AGENT_ID];
	struct uuid holder, who = agent->given ? agent->as.id : r->principal.agent_id;
	enum err err = record_check_state(task, to, why);
	if (err == ERR_OK && strcmp(record_text(task, TASK_STATUS), "running") != 0)
		err = err_set(why, ERR_CONFLICT, "the task is %s, not running",
			      record_text(task, TASK_STATUS));
	if (err != ERR_OK || uuid_is_nil(&who))
		return err;
	err = records_act_as(r, &who, why);
	if (err == ERR_OK &&
	    (!record_uuid(task, TASK_AGENT_ID, &holder) || !uuid_equal(&holder, &who)))
		err = err_set(why, ERR_CONFLICT, "the task is another agent's by now");
	return err;
}

static enum err complete(struct http_request *r, struct db_conn *db, const struct record *from,
			 struct record *to, struct errmsg *why)
{
	(void)db;
	const struct field_value *output = &r->values[END_OUTPUT];
	record_set_text(to, TASK_STATUS, "completed");
	enum err err = check_holder(r, from, to, why);
	if (err != ERR_OK)
		return err;
	if (output->given && !output->null)
		record_set(to, TASK_OUTPUT_DATA,
			   db_textn(output->as.text.data, output->as.text.len));
	return task_note_status(from, to, clock_wall_us(), why);
}

static enum err fail(struct http_request *r, struct db_conn *db, const struct record *from,
		     struct record *to, struct errmsg *why)
{
	(void)db;
	const struct field_value *retry = &r->values[END_RETRY];
	record_set_text(to, TASK_STATUS, retry->given && retry->as.boolean ? "ready" : "failed");
	enum err err = check_holder(r, from, to, why);
	if (err != ERR_OK)
		return err;
	record_set_text(to, TASK_ERROR, r->values[END_ERROR].as.text.data);
	record_set_int(to, TASK_ATTEMPTS, record_int(from, TASK_ATTEMPTS) + 1);
	return task_note_status(from, to, clock_wall_us(), why);
}

static enum err cancel(struct http_request *r, struct db_conn *db, const struct record *from,
		       struct record *to, struct errmsg *why)
{
	(void)db;
	enum err err = records_check_agents(r, from, to, why);
	record_set_text(to, TASK_STATUS, "cancelled");
	return err == ERR_OK ? task_note_status(from, to, clock_wall_us(), why) : err;
}

static enum err post_complete(struct http_request *r, struct http_response *response,
			      struct errmsg *why)
{
	return records_edit(r, response, complete, why);
}

static enum err post_fail(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	return records_edit(r, response, fail, why);
}

static enum err post_cancel(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	return records_edit(r, response, cancel, why);
}

/* Parts of a task */

static const size_t status_columns[] = {RECORD_ID,        TASK_STATUS,     TASK_ATTEMPTS,
					TASK_WAITING_ON,  TASK_STARTED_AT, TASK_COMPLETED_AT,
					RECORD_UPDATED_AT};
static const size_t result_columns[] = {RECORD_ID, TASK_STATUS, TASK_OUTPUT_DATA, TASK_ERROR,
					TASK_COMPLETED_AT};

static enum err get_status(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	return records_get_part(r, response, status_columns, ARRAY_LEN(status_columns), why);
}

static enum err get_result(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	return records_get_part(r, response, result_columns, ARRAY_LEN(result_columns), why);
}

static const struct field status_fields[] = {
    {"id", FIELD_ID, .summary = "The task"},
    {"status", FIELD_WORD, .words = task_statuses, .summary = "Where it stands"},
    {"attempts", FIELD_INT, 0, 0, INT32_MAX, .summary = "How often it failed or was dropped"},
    {"waiting_on", FIELD_INT, 0, 0, TASK_DEPENDS_MAX, .summary = "How many tasks it waits for"},
    {"started_at", FIELD_TIME, FIELD_NULL, .summary = "When it was last claimed"},
    {"completed_at", FIELD_TIME, FIELD_NULL, .summary = "When it ended"},
    {"updated_at", FIELD_TIME, .summary = "When it last changed"},
};
static const struct schema status_schema = SCHEMA("TaskStatus", status_fields, .whole = true);
static const struct field result_fields[] = {
    {"id", FIELD_ID, .summary = "The task"},
    {"status", FIELD_WORD, .words = task_statuses, .summary = "Where it stands"},
    {"output_data", FIELD_OBJECT, FIELD_NULL, .max = 262144, .summary = "What came of it"},
    {"error", FIELD_TEXT, FIELD_NULL, 0, 10000, .summary = "Why it failed"},
    {"completed_at", FIELD_TIME, FIELD_NULL, .summary = "When it ended"},
};
static const struct schema result_schema = SCHEMA("TaskResult", result_fields, .whole = true);

static const char *const sorts[] = {"created_at", "-created_at", "updated_at", "-updated_at",
				    "priority",   "-priority",   NULL};
static const struct field list_fields[] = {
    RECORD_LIST_FIELDS,
    RECORD_SORT_FIELD(sorts),
    {"status", FIELD_STRING, 0, 1, 16, .summary = "Only those in this status"},
    {"agent_id", FIELD_ID, .summary = "Only those of this agent; status may stand beside it"},
    {"goal_id", FIELD_ID, .summary = "Only those for this goal; status may stand beside it"},
    {"plan_id", FIELD_ID, .summary = "Only those of this plan"},
    {"owner_id", FIELD_ID, .summary = "Only those of this user"},
};
static const struct schema list_schema = SCHEMA("TaskQuery", list_fields);

#define TASK_POST(path, others, body, handler, ...)                                                \
	ROUTE(HTTP_POST, "/api/v1/tasks/" path, ACCESS_USER, others, "tasks", RATE_WRITE,          \
	      WEIGHT_NORMAL, body, handler, __VA_ARGS__, .answers = &task_schema,                  \
	      .resource = &resource)
#define TASK_GET(path, handler, ...)                                                               \
	ROUTE(HTTP_GET, "/api/v1/tasks/" path, ACCESS_READONLY, OTHERS_READ, "tasks", RATE_READ,   \
	      WEIGHT_NORMAL, BODY_NONE, handler, __VA_ARGS__, .resource = &resource)

const struct route task_routes[] = {
    RECORD_ROUTES("/api/v1/tasks", "tasks", task, "a task", "Tasks"),
    TASK_GET("{id}/status", get_status, "Where a task stands", .answers = &status_schema),
    TASK_GET("{id}/result", get_result, "What came of a task", .answers = &result_schema),
    TASK_POST("claim", OTHERS_CHANGED, BODY_JSON, post_claim,
	      "Take the most urgent of the agent's own tasks that are ready, or else of those of "
	      "nobody; 204 when there is none",
	      .accepts = &claim_schema, .also = 204),
    TASK_POST("{id}/complete", OTHERS_CHANGED, BODY_JSON, post_complete, "Hand in what came of it",
	      .accepts = &complete_schema, .fails = FAILS(ERR_PRECONDITION)),
    TASK_POST("{id}/fail", OTHERS_CHANGED, BODY_JSON, post_fail, "Say that it failed, and why",
	      .accepts = &fail_schema, .fails = FAILS(ERR_PRECONDITION)),
    TASK_POST("{id}/cancel", OTHERS_KEPT, BODY_NONE, post_cancel, "Give a task up",
	      .fails = FAILS(ERR_PRECONDITION)),
};
const size_t task_route_count = ARRAY_LEN(task_routes);
